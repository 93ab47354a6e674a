"""The zone that every server gets: COUNT address records, owners of 27 octets on the wire.

The same COUNT, serial and change give the same octets, on every machine.
"""

import os

ORIGIN = "big.example"
TTL = 20
CHANGED_ADDRESS = "203.0.113.255"


def owner(index):
    """14 octets of label and 13 of the origin."""
    return f"host-{index:08d}.{ORIGIN}"


def address(index):
    network = ("192.0.2", "198.51.100", "203.0.113")[index % 3]
    return f"{network}.{1 + index // 3 % 250}"


def prepare(path, count, serial=1, changed=None):
    """Prepares the zone, in which record `changed` has CHANGED_ADDRESS.

    Returns what puts it at `path`, by a rename: so its moment can be chosen. It waits outside
    the directory, which servers may watch or read as a whole.
    """
    scratch = path.parent.with_name(f"{path.name}.new")
    with open(scratch, "w", encoding="ascii") as out:
        out.write(f"$ORIGIN {ORIGIN}.\n$TTL {TTL}\n")
        out.write(f"@ IN SOA ns1 hostmaster {serial} 7200 3600 1209600 60\n")
        out.write("@ IN NS ns1\nns1 IN A 192.0.2.53\n")
        out.writelines(
            f"host-{index:08d} IN A {CHANGED_ADDRESS if index == changed else address(index)}\n"
            for index in range(count)
        )
    return lambda: os.rename(scratch, path)


def write_queries(path, count):
    """All owners, for dnsperf, in an order that no cache likes."""
    step = 7919  # a prime: visits every index once unless count is a multiple of it
    with open(path, "w", encoding="ascii") as out:
        out.writelines(f"{owner(index * step % count)} A\n" for index in range(count))
