"""The servers that are measured: how each is configured, started and told of a change."""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import time

import zone

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36
PATIENCE_SECONDS = 60


class Server:
    """One server on a port of loopback, in a directory and a session of its own.

    `cores` are those that it may use; it has as many workers.
    """

    name = None
    program = None

    def __init__(self, directory, port, cores):
        self.directory = pathlib.Path(directory) / self.name
        self.port = port
        self.cores = cores
        self.process = None
        self.directory.mkdir(parents=True)
        self.zone_file().parent.mkdir(exist_ok=True)

    def zone_file(self):
        return self.directory / f"{zone.ORIGIN}.zone"

    def configure(self):
        """Writes the configuration; returns the arguments."""
        raise NotImplementedError

    def reload(self):
        """Tells it to look at the zone file again."""
        os.kill(self.process.pid, signal.SIGHUP)

    def version(self):
        return ""

    def start(self):
        arguments = self.configure()
        log = open(self.directory / "log", "w")
        pin = ["taskset", "-c", ",".join(map(str, self.cores))]
        self.process = subprocess.Popen(
            pin + [str(argument) for argument in arguments],
            cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )

    def stop(self):
        """Ends all its processes, and waits until they are gone."""
        if self.process is None:
            return
        deadline = time.monotonic() + 10
        kind = signal.SIGTERM
        while pids := [pid for pid, state, _ in self.processes() if state != "Z"]:
            for pid in pids:
                try:
                    os.kill(pid, kind)
                except ProcessLookupError:
                    pass
            time.sleep(0.1)
            if time.monotonic() > deadline:
                kind = signal.SIGKILL
        self.process.wait()
        for pid, _, _ in self.processes():
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass

    def processes(self):
        """(pid, state, CPU seconds with reaped children) of each process of its session."""
        found = []
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            try:
                with open(f"/proc/{entry.name}/stat", encoding="utf-8", errors="replace") as stat:
                    fields = stat.read().rpartition(") ")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.process.pid:
                found.append((int(entry.name), fields[0], sum(map(int, fields[11:15])) * TICK_SECONDS))
        return found

    def cpu_seconds(self):
        return sum(seconds for _, _, seconds in self.processes())

    def settled_cpu_seconds(self):
        """CPU time once it stands still: work may go on after the first answer."""
        seconds = self.cpu_seconds()
        for _ in range(PATIENCE_SECONDS * 2):
            time.sleep(0.5)
            before, seconds = seconds, self.cpu_seconds()
            if seconds - before <= TICK_SECONDS:
                break
        return seconds

    def memory_octets(self):
        """Resident memory; pages that several processes share are counted once (PSS)."""
        total = 0
        for pid, state, _ in self.processes():
            if state == "Z":
                continue
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
                total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) * 1024
        return total

    def wait_for(self, name, address):
        """Asks until the answer is `address`; returns the moment."""
        expected = socket.inet_aton(address)
        deadline = time.monotonic() + PATIENCE_SECONDS
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self.port))
            client.settimeout(0.05)
            for number in range(1 << 30):
                asked = query(number & 0xFFFF, name)
                try:
                    client.send(asked)
                    answer = b""
                    while answer[:2] != asked[:2]:  # older ones may come late
                        answer = client.recv(4096)
                    if answer[3] & 15 == 0 and expected in answer:
                        return time.monotonic()
                except OSError:  # not listening yet, or no answer in time
                    pass
                if time.monotonic() > deadline or self.process.poll() is not None:
                    log = (self.directory / "log").read_text(errors="replace")[-2000:]
                    raise SystemExit(f"{self.name} doesn't answer {name} with {address}:\n{log}")
                time.sleep(0.001)


class Waypost(Server):
    name = "waypost"
    program = REPOSITORY / "target/release/waypost"

    def zone_file(self):
        return self.directory / "zones" / f"{zone.ORIGIN}.zone"

    def configure(self):
        config = self.directory / "waypost.toml"
        config.write_text(
            f'[server]\nlisten = ["127.0.0.1:{self.port}"]\nzones = "zones"\nstate = "state"\n'
        )
        return [self.program, "run", "--config", config]

    def reload(self):
        """It watches its files."""

    def version(self):
        return first_line(self.program, "--version")


class Nsd(Server):
    name = "nsd"
    program = "/usr/sbin/nsd"

    def configure(self):
        config = self.directory / "nsd.conf"
        config.write_text(f"""server:
  ip-address: 127.0.0.1@{self.port}
  server-count: {len(self.cores)}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{self.directory}"
  pidfile: "{self.directory}/nsd.pid"
  xfrdfile: "{self.directory}/xfrd.state"
  zonelistfile: "{self.directory}/zone.list"
  xfrdir: "{self.directory}"
  minimal-responses: yes
  zonefiles-check: yes
remote-control:
  control-enable: no
zone:
  name: {zone.ORIGIN}
  zonefile: {self.zone_file()}
""")
        return [self.program, "-d", "-c", config]

    def version(self):
        return first_line(self.program, "-v")


class Knot(Server):
    name = "knot"
    program = "/usr/sbin/knotd"

    def configure(self):
        config = self.directory / "knot.conf"
        config.write_text(f"""server:
  rundir: "{self.directory}"
  listen: 127.0.0.1@{self.port}
  udp-workers: {len(self.cores)}
  tcp-workers: {len(self.cores)}
  background-workers: {len(self.cores)}
control:
  listen: knot.sock
database:
  storage: "{self.directory}"
template:
  - id: default
    storage: "{self.directory}"
    journal-content: none
    zonefile-sync: -1
zone:
  - domain: {zone.ORIGIN}
    file: {self.zone_file()}
""")
        return [self.program, "-c", config]

    def version(self):
        return first_line(self.program, "--version")


class Gdnsd(Server):
    name = "gdnsd"
    program = "/usr/sbin/gdnsd"

    def zone_file(self):
        return self.directory / "zones" / zone.ORIGIN

    def configure(self):
        config = self.directory / "config"
        config.write_text(f"""options => {{
  listen => ["127.0.0.1:{self.port}"],
  run_dir => "{self.directory}/run",
  state_dir => "{self.directory}/state",
  udp_threads => {len(self.cores)},
  tcp_threads => {len(self.cores)},
}}
""")
        return [self.program, "-c", self.directory, "start"]

    def reload(self):
        # Returns when it is done; the clock doesn't wait for that.
        subprocess.Popen(["gdnsdctl", "-c", self.directory, "reload-zones"], stderr=subprocess.DEVNULL)

    def version(self):
        return first_line(self.program, "version")


class Echo(Server):
    """The yardstick: no name server, only its sockets. It answers anything."""

    name = "echo"
    program = REPOSITORY / "bench/echo/target/release/echo"
    # Header, question and one address record of 16 octets: what the others send.
    octets = 12 + 27 + 4 + 16

    def configure(self):
        return [self.program, f"127.0.0.1:{self.port}", self.octets, len(self.cores)]


NAME_SERVERS = (Waypost, Gdnsd, Nsd, Knot)
ALL = (Echo, *NAME_SERVERS)


def choose(only, among):
    """The servers named in `only`, or all; built or installed, or the run ends."""
    names = only.split(",") if only else [kind.name for kind in among]
    unknown = set(names) - {kind.name for kind in among}
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}")
    chosen = [kind for kind in among if kind.name in names]
    if Waypost in chosen:
        subprocess.run(["cargo", "build", "--release", "--bin", "waypost"], cwd=REPOSITORY, check=True)
    if Echo in chosen:
        subprocess.run(["cargo", "build", "--release"], cwd=REPOSITORY / "bench/echo", check=True)
    for kind in chosen:
        if shutil.which(kind.program) is None:
            raise SystemExit(f"{kind.program} isn't there; leave it out with --only")
    return chosen


def adopt_orphans():
    """Makes this process the parent of processes whose parent ended, so that the CPU time of
    servers that fork when they reload isn't lost."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def query(query_id, name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", query_id, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def first_line(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]
