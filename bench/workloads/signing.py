"""Signing a zone of a million records."""

import tempfile
import time

import measure
import peers
import zone
from report import Column

NAME = "signing"
TITLE = "Signing a zone (ECDSA P-256, NSEC), on all cores: start to the last signed answer"
# BIND's tool signs, and then it starts; by itself it takes many minutes.
KINDS = (peers.Waypost, peers.Knot, peers.Bind)
COLUMNS = (
    Column("start_seconds", "start", "{:.1f} s"),
    Column("start_cpu_seconds", "CPU of it", "{:.1f} s"),
    Column("memory_octets", "memory", "{:.0f} MB", 1e-6),
    Column("peak_octets", "at most", "{:.0f} MB", 1e-6),
)
RECORDS = 1_000_000
PATIENCE_SECONDS = 600
NOTHING = {"seconds": 0, "cpu_seconds": 0, "peak_octets": 0}


def run(kinds, options):
    """Once: a figure that is the work of minutes of a core stays where it is."""
    records = options.records or RECORDS
    served = zone.Zone(records, is_signed=True).write(options.scratch / "signing")
    asked = [served.expected(index) for index in (0, records // 3, records - 1)]
    rounds, versions = {}, {}
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            ahead = signed_ahead(served, options.scratch) if kind is peers.Bind else NOTHING
            server = kind(directory, measure.FIRST_PORT, measure.all_cores(), [served])
            versions[kind.name] = server.version()
            try:
                with peers.PeakMemory(server) as peak:
                    begin = server.start()
                    moment = server.wait_for(*asked, patience=PATIENCE_SECONDS)
                    cpu, memory = server.settled_cpu_seconds(), server.memory_octets()
                rounds[kind.name] = [{
                    "start_seconds": ahead["seconds"] + moment - begin,
                    "start_cpu_seconds": ahead["cpu_seconds"] + cpu,
                    "memory_octets": memory,
                    "peak_octets": max(ahead["peak_octets"], peak.octets),
                }]
            finally:
                server.stop()
    return {"rounds": rounds, "versions": versions, "records": records}


def signed_ahead(served, scratch):
    """Signs the zone with BIND's tools: what it took."""
    begin = time.monotonic()
    cpu_seconds, peak_octets = served.sign(scratch)
    return {"seconds": time.monotonic() - begin, "cpu_seconds": cpu_seconds, "peak_octets": peak_octets}
