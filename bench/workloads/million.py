"""One zone of a million records: start, one changed record, memory."""

import tempfile
import time

import dns
import measure
import peers
import zone
from report import Column

NAME = "million"
TITLE = "A zone of a million records, on all cores: start to first right answer, one changed record to its answer"
KINDS = (peers.Waypost, peers.Gdnsd, peers.Nsd, peers.Knot, peers.Bind)
COLUMNS = (
    Column("start_seconds", "start", "{:.2f} s"),
    Column("start_cpu_seconds", "CPU of it", "{:.2f} s"),
    Column("change_seconds", "change", "{:.3f} s"),
    Column("change_cpu_seconds", "CPU of it", "{:.2f} s"),
    Column("memory_octets", "memory", "{:.0f} MB", 1e-6),
    Column("peak_octets", "at most", "{:.0f} MB", 1e-6),
    Column("per_second", "answers/s", "{:,.0f}", higher_is_better=True),
    Column("cpu_us", "CPU of one", "{:.2f} µs"),
)
RECORDS = 1_000_000
LOAD_SECONDS = 1


def run(kinds, options):
    original = zone.Zone(RECORDS).write(options.scratch / "original")
    changed = zone.Zone(RECORDS, serial=2, changed=RECORDS // 2).write(options.scratch / "changed")
    questions = options.scratch / "million"
    verified = measure.write_questions(questions, original.questions())
    rounds, versions = {kind.name: [] for kind in kinds}, {}
    for _ in range(options.rounds):
        for kind in kinds:
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                server = kind(directory, measure.FIRST_PORT, measure.all_cores(), [original])
                versions[kind.name] = server.version()
                try:
                    rounds[kind.name].append(round_of(server, original, changed, verified, questions))
                finally:
                    server.stop()
    return {"rounds": rounds, "versions": versions}


def round_of(server, original, changed, verified, questions):
    index = changed.changed
    with peers.PeakMemory(server) as peak:
        begin = server.start()
        figures = {"start_seconds": server.wait_for(original.expected(RECORDS // 3)) - begin}
        figures["start_cpu_seconds"] = cpu = server.settled_cpu_seconds()
        figures["memory_octets"] = server.memory_octets()
        measure.verify(server, verified)

        put_in_place = server.prepare(changed)
        server.wait_for(original.expected(index))
        figures["change_seconds"] = change_to_answer(server, put_in_place, changed.expected(index), changed.origin)
        figures["change_cpu_seconds"] = server.settled_cpu_seconds() - cpu
    figures["peak_octets"] = peak.octets
    server.pin([measure.SERVER_CORE])
    load = measure.closed(server, questions, LOAD_SECONDS)
    return figures | {key: load[key] for key in ("per_second", "cpu_us", "lost")}


def change_to_answer(server, put_in_place, expected, origin):
    """From the new file's rename to the first answer from it; others are told in their way."""
    with dns.Client(server.port) as client:
        begin = time.monotonic()
        put_in_place()
        server.reload(origin)
        moment = client.wait_for(expected, lambda: server.process.poll() is None)
    if moment is None:
        raise SystemExit(f"{server.name} doesn't take a change")
    return moment - begin
