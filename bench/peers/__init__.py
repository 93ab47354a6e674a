"""The servers that are measured, a file for each: how it is configured and told of a change."""

import pathlib
import shutil
import subprocess

from .bind import Bind
from .echo import Echo
from .gdnsd import Gdnsd
from .knot import Knot
from .nsd import Nsd
from .powerdns import PowerDns, PowerDnsLua
from .server import REPOSITORY, PeakMemory, Server
from .waypost import Waypost

ALL = (Echo, Waypost, Gdnsd, Nsd, Knot, Bind, PowerDns, PowerDnsLua)
LOAD = REPOSITORY / "bench/load/target/release/load"


def build():
    """Builds what is ours, or ends the run."""
    for directory, arguments in ((REPOSITORY, ["--bin", "waypost"]), (REPOSITORY / "bench/echo", []),
                                 (REPOSITORY / "bench/load", [])):
        subprocess.run(["cargo", "build", "--locked", "--release", "--quiet", *arguments], cwd=directory,
                       check=True)


def missing_packages(chosen, programs):
    """Debian packages that the chosen servers, and {program: package}, lack here."""
    missing = {package for program, package in programs.items() if not shutil.which(program)}
    for kind in chosen:
        files = all(list(pathlib.Path("/usr").glob(pattern)) for pattern in kind.needs)
        if kind.packages and not (shutil.which(kind.program) and files):
            missing.update(kind.packages)
    return sorted(missing)
