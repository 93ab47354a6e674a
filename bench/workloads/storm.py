"""Routed answers while targets come and go and the zone's file is written again and again."""

import contextlib
import socket
import tempfile
import threading
import time

import dns
import measure
import peers
import steering
from report import Column

NAME = "storm"
TITLE = "Routed answers at half load, calm and in a storm of health transitions and reloads; all on one core"
KINDS = (peers.Waypost,)
COLUMNS = (
    Column("p50", "p50", "{:.0f} µs"),
    Column("p99", "p99", "{:.0f} µs"),
    Column("p999", "p99.9", "{:.0f} µs"),
    Column("most", "longest", "{:.0f} µs"),
    Column("cpu_us", "CPU", "{:.2f} µs"),
    Column("lost", "lost", "{:.0f}", is_ratio=False),
    Column("failed", "other RCODE", "{:.0f}", is_ratio=False),
    Column("moves", "moves seen", "{:.0f}", is_ratio=False),
    Column("reloads", "reloads", "{:.0f}", is_ratio=False),
)
PROBE_PORT = 5399
CLIENTS = 100_000
FLAP_SECONDS = 0.25
REWRITE_SECONDS = 0.2
SETTLE_SECONDS = 1
# A storm needs time for its gusts.
SECONDS_LEAST = 3


def run(kinds, options):
    moving = steering.by_country(probe_port=PROBE_PORT)
    questions = options.scratch / "storm"
    asked = measure.write_questions(questions, steering.questions(moving, CLIENTS))
    seconds = max(options.seconds, SECONDS_LEAST)
    rounds = {"calm": [], "storm": []}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Sites(moving.targets) as sites:
        server = peers.Waypost(directory, measure.FIRST_PORT, [measure.SERVER_CORE], [steering.RoutedZone(moving)],
                               moving)
        try:
            server.start()
            server.wait_for(*asked[:8])
            rate = measure.closed(server, questions, options.seconds)["per_second"] / 2
            for number in range(options.rounds):
                time.sleep(SETTLE_SECONDS)
                rounds["calm"].append(figures(measure.at_rate(server, questions, seconds, rate)))
                with Storm(server, sites, moving, serial=2 + number * 1000) as storm:
                    load = measure.at_rate(server, questions, seconds, rate)
                rounds["storm"].append(figures(load, storm.moves, storm.reloads))
                # Sites that go on flapping are damped: answers move in the first rounds.
                moves = sum(one["moves"] for one in rounds["storm"])
                if not moves or not storm.reloads:
                    raise SystemExit(f"a weak storm: {moves} moves, {storm.reloads} reloads")
        finally:
            server.stop()
    return {"rounds": rounds, "versions": {server.name: server.version()}, "rate": rate}


def figures(load, moves=0, reloads=0):
    failed = load["answered"] - load["rcodes"].get("0", 0)
    # The rate was chosen to leave the core idle half of the time.
    del load["busy"]
    return load | {"failed": failed, "moves": moves, "reloads": reloads}


class Sites:
    """A listener for each target, which the kernel answers for."""

    def __init__(self, targets):
        self.addresses = [target.ipv4 for target in targets]
        self.listeners = {}

    def __enter__(self):
        for address in self.addresses:
            self.open(address)
        return self

    def __exit__(self, *_):
        for address in self.addresses:
            self.close(address)

    def open(self, address):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, PROBE_PORT))
        listener.listen(1000)
        self.listeners[address] = listener

    def close(self, address):
        self.listeners.pop(address).close()


class Storm:
    """In a `with` block: one site after the other dies and comes back, and every 200 ms there is
    a new zone file. Counts reloads that were served, and answers that moved."""

    def __init__(self, server, sites, moving, serial):
        self.server, self.sites, self.moving, self.serial = server, sites, moving, serial
        self.moves = self.reloads = 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._repeat, args=pair, daemon=True) for pair in (
            (self._flap, FLAP_SECONDS), (self._rewrite, REWRITE_SECONDS), (self._look, 0.02)
        )]
        self.last = {}
        self.number = 0

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        for address in self.sites.addresses:
            if address not in self.sites.listeners:
                self.sites.open(address)

    def _repeat(self, act, seconds):
        while not self.over.wait(seconds):
            act()

    def _flap(self):
        address = self.sites.addresses[self.number // 2 % len(self.sites.addresses)]
        (self.sites.open if self.number % 2 else self.sites.close)(address)
        self.number += 1

    def _rewrite(self):
        self.serial += 1
        self.server.prepare(steering.RoutedZone(self.moving, serial=self.serial))()

    def _look(self):
        """A route's answer, and the SOA record."""
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
            client.connect(("127.0.0.1", self.server.port))
            client.settimeout(1)
            for name, rtype in ((f"host-00000000.{steering.ORIGIN}", "A"), (steering.ORIGIN, "SOA")):
                client.send(dns.query(1, name, rtype))
                data = frozenset(dns.Answer(client.recv(4096), rtype).data)
                if self.last.setdefault(rtype, data) != data:
                    self.last[rtype] = data
                    self.moves += rtype == "A"
                    self.reloads += rtype == "SOA"
