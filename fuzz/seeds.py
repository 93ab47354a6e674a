#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets; run it from the repository after a change here."""
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


def write(target, name, octets):
    corpus = HERE / "src" / "__fuzz__" / target / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / name).write_bytes(octets)


def wire(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def option(code, octets):
    return struct.pack("!HH", code, len(octets)) + octets


def query(name, rtype=1, opt=None, payload=1232, ttl=0, rclass=1, flags=0x0100):
    edns = b"" if opt is None else b"\0" + struct.pack("!HHIH", 41, payload, ttl, len(opt)) + opt
    header = struct.pack("!HHHHHH", 0x1234, flags, 1, 0, 0, 0 if opt is None else 1)
    return header + wire(name) + struct.pack("!HH", rtype, rclass) + edns


SUBNET = option(8, struct.pack("!HBB", 1, 24, 0) + bytes([1, 160, 0]))
SUBNET6 = option(8, struct.pack("!HBB", 2, 48, 0) + bytes([0x20, 1, 0xb0, 0x11, 0, 0]))
COOKIE = option(10, bytes(range(8)))
QUERIES = {
    "address": query("a.fuzz.example"),
    "address-edns": query("a.fuzz.example", 28, b""),
    "apex-any": query("fuzz.example", 255, b"", ttl=0x8000),
    "apex-soa": query("FUZZ.example", 6),
    "chain": query("c.fuzz.example"),
    "chain-of-wildcard": query("x.v.fuzz.example"),
    "chaos": query("version.bind", 16, rclass=3),
    "chaos-why": query("r.fuzz.example.why.waypost", 16, SUBNET, rclass=3),
    "chaos-zones": query("zones.waypost", 16, b"", rclass=3),
    "cookie": query("a.fuzz.example", 1, COOKIE),
    "cookies-and-subnet": query("r.fuzz.example", 1, COOKIE + SUBNET + option(3, b"")),
    "dname": query("x.d.fuzz.example"),
    "dname-growing": query("x.g.fuzz.example", payload=512, opt=b""),
    "ds": query("s.fuzz.example", 43, b"", ttl=0x8000),
    "empty-nonterminal": query("e.fuzz.example"),
    "large": query("big.fuzz.example", 16, b"", payload=4096),
    "loop": query("l.fuzz.example", 16),
    "nothing": query("none.a.fuzz.example"),
    "outside": query("www.elsewhere.test", 1, b""),
    "referral": query("www.s.fuzz.example", 1, b""),
    "root": query("", 2),
    "routed": query("r.fuzz.example", 1, SUBNET),
    "routed-ipv6": query("r.fuzz.example", 28, SUBNET6),
    "subnet-family-0": query("", 2, option(8, bytes(4)), rclass=64),
    "transfer": query("fuzz.example", 252),
    "update": query("fuzz.example", 6, flags=0x2800),
    "version-1": query("a.fuzz.example", 1, b"", ttl=0x00010000),
    "wildcard": query("q.w.fuzz.example", 16, b"", payload=0),
    "response": query("a.fuzz.example", flags=0x8400),
}
for name, octets in QUERIES.items():
    write("queries__queries", name, octets)


def framed(*names):
    return b"".join(struct.pack("!H", len(QUERIES[name])) + QUERIES[name] for name in names)


write("streams__streams", "one", b"\xff" + framed("address"))
write("streams__streams", "octet-by-octet", b"\x01" + framed("routed"))
write("streams__streams", "pipelined", b"\x20" + framed(*list(QUERIES)[:-1]))
write("streams__streams", "many-large", b"\xff" + framed(*["large"] * 4))
write("streams__streams", "too-short", b"\x10" + framed("address") + b"\0\x05short" + framed("address"))
write("streams__streams", "unfinished", b"\x10" + framed("address") + b"\xff\xffabc")
write("streams__streams", "response", b"\x10" + framed("address", "response", "address"))

HEAD = b"$ORIGIN example.\n$TTL 300\n@ SOA ns.test. h.test. 1 1 1 1 60\n@ NS ns.test.\n"
for path in sorted((ROOT / "tests/zones").glob("*.zone")):
    text = path.read_bytes()
    zone = path.name.removesuffix(".zone").encode()
    if len(text) < 4096:
        write("files__zones", path.name.removesuffix(".zone"), text.replace(zone + b".", b"example."))
write("files__zones", "include", HEAD + b"$INCLUDE part sub\nx A 192.0.2.1\n\n;;include\nwww A 192.0.2.2\n")
write("files__zones", "parentheses", HEAD + b"a ( A\n 192.0.2.1 ) ; comment\n  TXT (\"x\n\" y)\n")
write("files__zones", "generic", HEAD + b"a TYPE1 \\# 4 c0000201\nb CLASS1 TYPE65280 \\# 0\n")
write("files__zones", "mistakes", HEAD + b"a A 192.0.2.300\nb MX mail\nc CNAME a\nc TXT x\n$GENERATE 1-2 x A 1\n")

write("files__server_toml", "waypost", (ROOT / "waypost.toml").read_bytes())
write("files__server_toml", "mistakes", b"[server]\nlisten = [\"nowhere\"]\nzons = 1\n[regions.x]\ncountries = [\"XXX\"]\n")
write("files__zone_toml", "example", (ROOT / "zones/example.com.toml").read_bytes())
write("files__zone_toml", "mistakes", b"[routes.a]\ntype = \"addres\"\ndefault = [[\"x\", {target = \"y\", weight = 0}]]\n")


def edit(at, cut, octets=b""):
    return struct.pack("!HBB", at, cut, len(octets)) + octets


# Behind the magic, the apex and the time: where keys, signatures and the end are.
SERIAL = 17 + 2 + 9 + 8
MEMBERS = SERIAL + 4 + 1 + 4
EDITS = {
    "none": b"",
    "later": edit(SERIAL - 8, 8, struct.pack("!Q", 1_900_000_000_000)),
    "earlier": edit(SERIAL - 8, 8, bytes(8)),
    "other-denial": edit(SERIAL + 4, 1, b"\1"),
    "no-denial": edit(SERIAL + 4, 1, b"\2"),
    "many-keys": edit(MEMBERS, 2, b"\xff\xff"),
    "no-duties": edit(MEMBERS + 2, 1, b"\0"),
    "unknown-duty": edit(MEMBERS + 2, 1, b"\x1b"),
    "upper-case": edit(17 + 2 + 1, 1, b"E"),
    "other-key": edit(MEMBERS + 12, 4, b"abcd"),
    "other-signer": edit(MEMBERS + 2 + 2 * 39, 2, b"\0\1\0\4\1\0\3\x0f"),
    "many-signatures": edit(MEMBERS + 2 + 2 * 39 + 2, 4, b"\xff\xff\xff\xff"),
    "fewer-signatures": edit(MEMBERS + 2 + 2 * 39 + 2, 4, b"\0\0\0\1"),
    "changed-signature": edit(MEMBERS + 2 + 2 * 39 + 6 + 60, 2, b"xy"),
    "cut": edit(400, 255),
    "longer": edit(0xffff, 0, b"more"),
}
for name, edits in EDITS.items():
    write("bundles__edits", name, b"\0" + edits)
    write("bundles__edits", "sealed-" + name, b"\1" + edits)
    write("bundles__edits", "sealed-nsec3-" + name, b"\3" + edits)
HEADER = struct.pack("!QIBI", 1_800_000_000_000, 7, 0, 3600)
write("bundles__octets", "no-keys", HEADER + bytes(2) + bytes(2) + bytes(4) + b"\0")
write("bundles__octets", "many-signatures", HEADER + bytes(2) + bytes(2) + b"\0\x10\0\0" + bytes(17 * 64))
write("bundles__octets", "short-signatures", HEADER + bytes(4) + b"\0\0\0\1" + bytes(16) + b"\xff" + bytes(510))
