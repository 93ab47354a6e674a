"""Questions and answers in wire format: as much as checking a server takes."""

import ipaddress
import socket
import struct
import time

TYPES = {"A": 1, "NS": 2, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "RRSIG": 46, "NSEC": 47}
NOERROR, NXDOMAIN = 0, 3
OPT, CLIENT_SUBNET, DNSSEC_OK = 41, 8, 0x8000
PAYLOAD = 1232
PATIENCE_SECONDS = 60


def query(query_id, name, rtype, subnet=None, dnssec_ok=False):
    """A query with EDNS, with a client subnet (RFC 7871) if there is one; it may want signatures."""
    option = b""
    if subnet:
        network = ipaddress.ip_network(subnet)
        octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
        option = struct.pack("!HBB", 1 if network.version == 4 else 2, network.prefixlen, 0) + octets
        option = struct.pack("!2H", CLIENT_SUBNET, len(option)) + option
    return (
        struct.pack("!6H", query_id, 0, 1, 0, 0, 1)
        + wire_name(name) + struct.pack("!2H", TYPES[rtype], 1)
        + b"\0" + struct.pack("!2HIH", OPT, PAYLOAD, DNSSEC_OK if dnssec_ok else 0, len(option)) + option
    )


def wire_name(name):
    labels = name.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def rdata(rtype, text, origin):
    """Data of a record in wire format, names lower-case and uncompressed."""
    if rtype in ("A", "AAAA"):
        return ipaddress.ip_address(text).packed
    if rtype == "MX":
        preference, exchanger = text.split()
        full = exchanger if exchanger.endswith(".") else f"{exchanger}.{origin}"
        return struct.pack("!H", int(preference)) + wire_name(full)
    if rtype == "TXT":
        string = text.strip('"').encode()
        return bytes([len(string)]) + string
    raise ValueError(rtype)


class Answer:
    """RCODE, the AA bit, the answer section's data of the type asked, and what signatures cover."""

    def __init__(self, message, rtype):
        self.octets = len(message)
        _, flags, questions, answers, authority = struct.unpack_from("!5H", message)
        self.rcode = flags & 15
        self.authoritative = bool(flags & 0x0400)
        at = 12
        for _ in range(questions):
            at = skip_name(message, at) + 4
        self.data, self.covered = set(), set()
        for number in range(answers + authority):
            at = skip_name(message, at)
            kind, _, _, length = struct.unpack_from("!2HIH", message, at)
            at += 10
            if kind == TYPES["RRSIG"]:
                self.covered.add(struct.unpack_from("!H", message, at)[0])
            elif kind == TYPES[rtype] and number < answers:
                self.data.add(self._plain(message, at, length, rtype))
            at += length

    @staticmethod
    def _plain(message, at, length, rtype):
        if rtype == "MX":
            return message[at : at + 2] + name_at(message, at + 2)
        return message[at : at + length]


def skip_name(message, at):
    while True:
        length = message[at]
        if length >= 0xC0:
            return at + 2
        at += 1 + length
        if length == 0:
            return at


def name_at(message, at):
    out = b""
    while message[at]:
        if message[at] >= 0xC0:
            at = struct.unpack_from("!H", message, at)[0] & 0x3FFF
            continue
        out += message[at : at + 1 + message[at]].lower()
        at += 1 + message[at]
    return out + b"\0"


class Client:
    """Asks one server over UDP."""

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, expected, timeout=1.0):
        """The answer; None if there is none in time."""
        self.number = (self.number + 1) & 0xFFFF
        self.socket.settimeout(timeout)
        try:
            self.socket.send(
                query(self.number, expected.name, expected.rtype, expected.subnet, expected.is_signed))
            while True:  # answers to older questions may come late
                message = self.socket.recv(4096)
                if message[:2] == struct.pack("!H", self.number):
                    return Answer(message, expected.rtype)
        except OSError:  # not listening yet, or no answer in time
            return None

    def wait_for(self, expected, alive, patience=PATIENCE_SECONDS):
        """Asks until the answer is as expected; returns the moment, or None."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and alive():
            answer = self.ask(expected, timeout=0.05)
            if answer and expected.is_met_by(answer):
                return time.monotonic()
            time.sleep(0.001)
        return None


class Expected:
    """A question and what its answer has to be."""

    def __init__(self, name, rtype, data, rcode=NOERROR, subnet=None, is_signed=False):
        self.name, self.rtype, self.data, self.rcode = name, rtype, set(data), rcode
        self.subnet, self.is_signed = subnet, is_signed

    def is_met_by(self, answer):
        covered = TYPES[self.rtype if self.data else "NSEC"]
        return (answer.rcode == self.rcode and answer.authoritative and answer.data == self.data
                and (not self.is_signed or covered in answer.covered))

    def line(self):
        """As the load generator reads it."""
        return " ".join(filter(None, (self.name, self.rtype, self.subnet, "DO" if self.is_signed else None)))
