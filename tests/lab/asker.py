"""Asks the same question of every nameserver, and of the resolver in front, every 50 ms."""

import select
import socket
import struct
import sys
import threading
import time

from network import enter
from nameservers import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "bench"))

import dns  # noqa: E402

EVERY = 0.05
# An answer that comes later than this is none.
PATIENCE = 1.0


class Sample:
    """What one question brought: the addresses, or nothing."""

    __slots__ = ("at", "addresses", "took")

    def __init__(self, at):
        self.at, self.addresses, self.took = at, None, None


class Series:
    """All that one place was asked about one name."""

    def __init__(self, address, name, rtype):
        self.name, self.rtype = name, rtype
        self.samples = []
        self.waiting = {}
        self.number = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect((address, 53))

    def ask(self, now):
        self.number = (self.number + 1) & 0xFFFF
        sample = self.waiting[self.number] = Sample(now)
        self.samples.append(sample)
        message = bytearray(dns.query(self.number, self.name, self.rtype))
        message[2] |= 1  # RD: a resolver answers nothing else
        try:
            self.socket.send(message)
        except OSError:  # nobody listens: the refusal of the question before
            pass

    def receive(self, now):
        try:
            message = self.socket.recv(4096)
        except OSError:
            return
        sample = self.waiting.pop(struct.unpack_from("!H", message)[0], None)
        if sample is not None and now - sample.at <= PATIENCE:
            answer = dns.Answer(message, self.rtype)
            sample.took = now - sample.at
            sample.addresses = frozenset(answer.data) if answer.rcode == dns.NOERROR else frozenset()

    def latest(self, seconds):
        """The samples of so long ago until now that are answered or given up."""
        now = time.monotonic()
        return [sample for sample in self.samples if sample.at >= now - seconds and
                (sample.took is not None or now - sample.at > PATIENCE)]


class Asker:
    """A `with` block in which one question is asked; `direct` and `cached` are what came, by
    nameserver."""

    def __init__(self, client, resolver, servers, name_of, rtype):
        self.client, self.resolver, self.servers = client, resolver, servers
        self.name_of, self.rtype = name_of, rtype
        self.direct, self.cached = {}, {}
        self.ready, self.over = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self.thread.start()
        if not self.ready.wait(5):
            raise SystemExit("the client can't open its sockets")
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _work(self):
        enter(self.client)
        for server in self.servers:
            name = self.name_of(server)
            self.direct[server.name] = Series(server.host.address(), name, self.rtype)
            self.cached[server.name] = Series(self.resolver.host.address(), name, self.rtype)
        everybody = [*self.direct.values(), *self.cached.values()]
        self.ready.set()
        begin, rounds = time.monotonic(), 0
        while not self.over.is_set():
            for series in everybody:
                series.ask(time.monotonic())
            rounds += 1
            while (rest := begin + rounds * EVERY - time.monotonic()) > 0:
                readable, _, _ = select.select([series.socket for series in everybody], [], [], rest)
                for series in everybody:
                    if series.socket in readable:
                        series.receive(time.monotonic())
        for series in everybody:
            series.socket.close()
