"""Clients' geography: the subnets that ask, and the database in the layout that peers read.

Waypost reads geoip/'s database as it is. Its records are flat (`country_code`); gdnsd and
PowerDNS know GeoLite2's layout only, and Knot gets the same as they do.
"""

import subprocess

import peers

DATABASE = peers.REPOSITORY / "geoip/country.mmdb"
METADATA = b"\xab\xcd\xefMaxMind.com"
# Octets of zeros between the tree and the data.
SEPARATOR = 16


def subnets(countries, count):
    """(subnet, country) of clients: a fourth each from three countries and the rest."""
    command = [peers.LOAD, "subnets", DATABASE, ",".join(countries), str(count)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [tuple(line.split()) for line in text.splitlines()]


def as_geolite2(path, continents):
    """Writes the database with `country.iso_code`, and `continent.code` by `continents`.

    The tree keeps its form: each place of a record in it is exchanged for that of the new one.
    """
    old = DATABASE.read_bytes()
    at = old.rindex(METADATA)
    metadata = old[at + len(METADATA):]
    nodes, record_bits = number_after(metadata, b"node_count"), number_after(metadata, b"record_size")
    if record_bits != 24:
        raise SystemExit(f"{DATABASE}: records of {record_bits} bits aren't known here")
    tree = bytearray(old[: nodes * 6])
    data, places = bytearray(), {}
    for place in range(0, len(tree), 3):
        value = int.from_bytes(tree[place : place + 3], "big")
        if value <= nodes:
            continue
        if value not in places:
            places[value] = nodes + SEPARATOR + len(data)
            country = code_at(old, nodes * 6 + value - nodes)
            data += record(country, continents.get(country))
        tree[place : place + 3] = places[value].to_bytes(3, "big")
    path.write_bytes(tree + bytes(SEPARATOR) + data + METADATA + metadata)
    return path


def number_after(metadata, key):
    at = metadata.index(key) + len(key)
    size = metadata[at] & 31
    at += 1 if metadata[at] >> 5 else 2  # types above 7 have an octet of their own
    return int.from_bytes(metadata[at : at + size], "big")


def code_at(octets, at):
    """The two letters in a record: a map of one key, a string or a pointer to it, and a string."""
    at += 1
    key = octets[at]
    at += 2 + (key >> 3 & 3) if key >> 5 == 1 else 1 + (key & 31)
    return octets[at + 1 : at + 3].decode("ascii")


def record(country, continent):
    pairs = [("country", "iso_code", country)] + [("continent", "code", continent)] * bool(continent)
    maps = b"".join(string(key) + b"\xe1" + string(inner) + string(value) for key, inner, value in pairs)
    return bytes([0xE0 | len(pairs)]) + maps


def string(text):
    return bytes([0x40 | len(text)]) + text.encode()
