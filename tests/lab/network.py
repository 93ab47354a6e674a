"""Networks of a run: a namespace for each host, all routed through a hub.

Nothing here leads anywhere else, and the addresses are those for documentation (RFC 5737,
RFC 3849).
"""

import contextlib
import ctypes
import ipaddress
import os
import signal
import subprocess
import time

CLONE_NEWNET = 0x40000000


class Host:
    """A namespace with one link to the hub."""

    def __init__(self, network, name, number, ipv4):
        self.name = name
        self.namespace = f"{network.prefix}-{name}"
        self.ipv4 = ipaddress.ip_interface(f"{ipv4}/28")
        self.ipv6 = ipaddress.ip_interface(f"2001:db8:{number}::10/64")
        self.hub_link = f"to-{name}"
        run("ip", "netns", "add", self.namespace)
        self.ip("link", "set", "lo", "up")
        run("ip", "link", "add", "lab", "netns", self.namespace, "type", "veth",
            "peer", "name", self.hub_link, "netns", network.hub)
        for address in (self.ipv4, self.ipv6):
            gateway = ipaddress.ip_interface(f"{address.network[1]}/{address.network.prefixlen}")
            run("ip", "-n", network.hub, "address", "add", str(gateway), "dev", self.hub_link, *no_dad(gateway))
        run("ip", "-n", network.hub, "link", "set", self.hub_link, "up")
        self.link_up()

    def address(self, rtype="A"):
        return str((self.ipv4 if rtype == "A" else self.ipv6).ip)

    def ip(self, *arguments):
        run("ip", "-n", self.namespace, *arguments)

    def link_down(self):
        self.ip("link", "set", "lab", "down")

    def link_up(self):
        """Its addresses and routes, too: they go when the link does."""
        self.ip("link", "set", "lab", "up")
        for address in (self.ipv4, self.ipv6):
            self.ip("address", "replace", str(address), "dev", "lab", *no_dad(address))
            self.ip("route", "replace", "default", "via", str(address.network[1]))

    def filter(self, hook, rule):
        """Drops what matches; `unfilter` takes it back."""
        self.nft(f"add table inet lab; add chain inet lab {hook} "
                 f"{{ type filter hook {hook} priority 0; }}; add rule inet lab {hook} {rule} drop")

    def unfilter(self):
        self.nft("delete table inet lab")

    def nft(self, commands):
        run("ip", "netns", "exec", self.namespace, "nft", commands)

    def start(self, *command, log, env=None, cwd=None):
        """A program inside, in a session of its own; its output goes to the file `log`."""
        with open(log, "ab") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, **(env or {})}, cwd=cwd,
            )


class Network(contextlib.AbstractContextManager):
    """All hosts of a run. Ends what runs inside, and takes everything away, when it is left."""

    def __init__(self):
        self.prefix = f"lab{os.getpid()}"
        self.hub = f"{self.prefix}-hub"
        self.hosts = []
        run("ip", "netns", "add", self.hub)
        run("ip", "-n", self.hub, "link", "set", "lo", "up")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            run("ip", "netns", "exec", self.hub, "sysctl", "-qw", f"{key}=1")

    def host(self, name, ipv4):
        host = Host(self, name, len(self.hosts) + 1, ipv4)
        self.hosts.append(host)
        return host

    def __exit__(self, *_):
        for namespace in [*(host.namespace for host in self.hosts), self.hub]:
            for _ in range(50):
                inside = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True,
                                        check=False).stdout.split()
                if not inside:
                    break
                for pid in inside:
                    send(int(pid), signal.SIGKILL)
                time.sleep(0.02)
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL, check=False)


def enter(host):
    """Moves the calling thread into a host's network: sockets that it opens are there."""
    with open(f"/run/netns/{host.namespace}", encoding="ascii") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"can't enter {host.namespace}")


def family(pid):
    """A process and all that came of it."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
            parents[int(entry)] = int(stat.read().rpartition(") ")[2].split()[1])
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def send(pid, kind):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, kind)


def no_dad(address):
    # Nobody else can have it, and asking takes a second.
    return ["nodad"] if address.version == 6 else []


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout
