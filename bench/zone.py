"""Zones of the benchmarks. The same arguments give the same octets on every machine."""

import os
import subprocess

import dns

TTL = 20
CHANGED_ADDRESS = "203.0.113.255"
# A prime: steps of it visit every index in an order that no cache likes.
STEP = 7919


class Zone:
    """COUNT owners with one record each. `mixed`: A, AAAA, MX and TXT; else all are A.

    Owners have 27 octets on the wire. Record `changed` has CHANGED_ADDRESS. `is_signed`: servers sign
    it, with one ECDSA P-256 key and NSEC, or have it signed.
    """

    # The file, where it has been written already: large ones are written once for all servers.
    written = None
    # The same with signatures, where it has been signed.
    signed = None

    def __init__(self, count, origin="big.example", mixed=False, serial=1, changed=None, is_signed=False):
        self.count, self.origin, self.mixed, self.serial, self.changed = count, origin, mixed, serial, changed
        self.is_signed = is_signed

    def records(self):
        """(owner relative to the origin, type, data) of each; the SOA record comes first."""
        yield "@", "SOA", f"ns1 hostmaster {self.serial} 7200 3600 1209600 60"
        yield "@", "NS", "ns1"
        yield "ns1", "A", "192.0.2.53"
        for index in range(self.count):
            yield (f"host-{index:08d}", *self.record(index))

    def record(self, index):
        """(type, data) of one."""
        if index == self.changed:
            return "A", CHANGED_ADDRESS
        # Of ten: five A, two AAAA, two MX, one TXT.
        place = index % 10 if self.mixed else 0
        if place < 5:
            network = ("192.0.2", "198.51.100", "203.0.113")[index % 3]
            return "A", f"{network}.{1 + index // 3 % 250}"
        if place < 7:
            return "AAAA", f"2001:db8::{index % 65535 + 1:x}"
        if place < 9:
            return "MX", f"10 mx{index % 4}.mail.example."
        return "TXT", f'"v=spf1 ip4:192.0.2.{index % 250} -all"'

    def lines(self):
        """The file (RFC 1035)."""
        yield f"$ORIGIN {self.origin}.\n$TTL {TTL}\n"
        for owner, rtype, data in self.records():
            yield f"{owner} IN {rtype} {data}\n"

    def write(self, path):
        """For servers that read RFC 1035 files."""
        with open(path, "w", encoding="ascii") as out:
            out.writelines(self.lines())
        self.written = path
        return self

    def sign(self, directory):
        """Signs it with BIND's tools, for servers that can't or that read signed files faster; CPU
        seconds that it took, and octets of memory at most."""
        plain, signed = directory / self.origin, directory / f"{self.origin}.signed"
        Zone.write(self, plain)
        for command in (
            ["dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", directory, self.origin],
            ["dnssec-signzone", "-q", "-n", os.cpu_count(), "-z", "-S", "-K", directory, "-o", self.origin, "-O", "full", "-f", signed, plain],
        ):
            with subprocess.Popen(list(map(str, command)), cwd=directory, stdout=subprocess.DEVNULL) as process:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                raise SystemExit(f"{command[0]} failed")
        self.signed = signed
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024

    def expected(self, index):
        rtype, data = self.record(index)
        name = f"host-{index:08d}.{self.origin}"
        return dns.Expected(name, rtype, [dns.rdata(rtype, data, self.origin)], is_signed=self.is_signed)

    def questions(self, absent_each=None):
        """All owners in an order of their own; one of `absent_each` names isn't there."""
        for number in range(self.count):
            index = number * STEP % self.count
            if absent_each and number % absent_each == 0:
                name = f"none-{index:08d}.{self.origin}"
                yield dns.Expected(name, "A", [], rcode=dns.NXDOMAIN, is_signed=self.is_signed)
            else:
                yield self.expected(index)

