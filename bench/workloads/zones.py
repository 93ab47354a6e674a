"""Ten thousand zones of ten records: start, and one changed zone."""

import tempfile

import measure
import peers
import zone
from report import Column
from workloads.million import change_to_answer

NAME = "zones"
TITLE = "10,000 zones of ten records, on all cores: start to right answers, one changed zone to its answer"
KINDS = (peers.Waypost, peers.Gdnsd, peers.Nsd, peers.Knot, peers.Bind)
COLUMNS = (
    Column("start_seconds", "start", "{:.3f} s"),
    Column("start_cpu_seconds", "CPU of it", "{:.2f} s"),
    Column("change_seconds", "change", "{:.4f} s"),
    Column("change_cpu_seconds", "CPU of it", "{:.2f} s"),
    Column("memory_octets", "memory", "{:.0f} MB", 1e-6),
    Column("peak_octets", "at most", "{:.0f} MB", 1e-6),
)
ZONES, RECORDS = 10_000, 10
CHANGED_INDEX = 4


def run(kinds, options):
    served = [zone.Zone(RECORDS, f"zone-{number:05d}.example") for number in range(ZONES)]
    asked = [one.expected(RECORDS - 1) for one in served[:: ZONES // 20] + served[-1:]]
    rounds, versions = {kind.name: [] for kind in kinds}, {}
    for _ in range(options.rounds):
        for kind in kinds:
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                server = kind(directory, measure.FIRST_PORT, measure.all_cores(), served)
                versions[kind.name] = server.version()
                try:
                    rounds[kind.name].append(round_of(server, asked))
                finally:
                    server.stop()
    return {"rounds": rounds, "versions": versions}


def round_of(server, asked):
    changed = zone.Zone(RECORDS, f"zone-{ZONES // 2:05d}.example", serial=2, changed=CHANGED_INDEX)
    with peers.PeakMemory(server) as peak:
        begin = server.start()
        figures = {"start_seconds": server.wait_for(*asked) - begin}
        figures["start_cpu_seconds"] = cpu = server.settled_cpu_seconds()
        figures["memory_octets"] = server.memory_octets()
        put_in_place = server.prepare(changed)
        expected = changed.expected(CHANGED_INDEX)
        figures["change_seconds"] = change_to_answer(server, put_in_place, expected, changed.origin)
        figures["change_cpu_seconds"] = server.settled_cpu_seconds() - cpu
    return figures | {"peak_octets": peak.octets}
