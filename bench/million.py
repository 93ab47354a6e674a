#!/usr/bin/env python3
"""A million records: start to first right answer, one changed record to its answer, memory.

    bench/million.py [--only waypost,gdnsd,nsd,knot] [--records 1000000] [--rounds 3] [--output DIR]

All servers get the same file in the same run, one after the other. A change is a new file of
the whole zone (one address and the serial differ), put in place by a rename; the clock starts
at the rename. Others are told in their way; Waypost watches its files.
"""

import argparse
import os
import statistics
import tempfile
import time

import peers
import results
import zone

PORT = 5310
COLUMNS = (
    ("start_seconds", "start to first answer", "{:.2f} s"),
    ("start_cpu_seconds", "CPU of that", "{:.2f} s"),
    ("memory_octets", "memory", "{:.0f} MB"),
    ("change_seconds", "change to its answer", "{:.3f} s"),
    ("change_cpu_seconds", "CPU of that", "{:.2f} s"),
    ("memory_after_octets", "memory after", "{:.0f} MB"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", help="servers, separated by commas")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", help="directory of the JSON file")
    arguments = parser.parse_args()
    chosen = peers.choose(arguments.only, peers.NAME_SERVERS)
    peers.adopt_orphans()
    rounds = {kind.name: [] for kind in chosen}
    versions = {}
    for _ in range(arguments.rounds):
        for kind in chosen:
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                server = kind(directory, PORT, sorted(os.sched_getaffinity(0)))
                versions[kind.name] = server.version()
                try:
                    rounds[kind.name].append(measure(server, arguments.records))
                finally:
                    server.stop()
    figures = {"records": arguments.records, "versions": versions, "rounds": rounds}
    path = results.save("million", figures, arguments.output)
    print(results.table(["", *(title for _, title, _ in COLUMNS)], map(row, rounds, rounds.values())))
    print(f"\nMedians of {arguments.rounds}; {arguments.records} records; raw figures in {path}")


def measure(server, records):
    first, changed = records // 3, records // 2
    zone.prepare(server.zone_file(), records)()
    begin = time.monotonic()
    server.start()
    figures = {"start_seconds": server.wait_for(zone.owner(first), zone.address(first)) - begin}
    figures["start_cpu_seconds"] = cpu = server.settled_cpu_seconds()
    figures["memory_octets"] = server.memory_octets()

    put_in_place = zone.prepare(server.zone_file(), records, serial=2, changed=changed)
    server.wait_for(zone.owner(changed), zone.address(changed))
    begin = time.monotonic()
    put_in_place()
    server.reload()
    figures["change_seconds"] = server.wait_for(zone.owner(changed), zone.CHANGED_ADDRESS) - begin
    figures["change_cpu_seconds"] = server.settled_cpu_seconds() - cpu
    figures["memory_after_octets"] = server.memory_octets()
    return figures


def row(name, rounds):
    cells = [name]
    for key, _, form in COLUMNS:
        value = statistics.median(figures[key] for figures in rounds)
        cells.append(form.format(value / 1e6 if key.endswith("octets") else value))
    return cells


if __name__ == "__main__":
    main()
