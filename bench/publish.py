"""What a run shows: plots beside its figures, and the section of the README."""

import os
import re

import peers
import report
import results
import svg
from workloads import growth

README = peers.REPOSITORY / "README.md"
BEGIN, END = "<!-- figures: bench/run --readme writes this part -->", "<!-- end of figures -->"
CUT = 4.0
# (workload, key, heading) of the bars.
BARS = (
    ("static", "cpu_us", "Static, UDP"),
    ("routed", "cpu_us", "Routed by client subnet, UDP"),
    ("signed", "cpu_us", "Signed, UDP"),
    ("routed-signed", "cpu_us", "Routed and signed, UDP"),
    ("tcp", "single_cpu_us", "TCP, one query at a time"),
    ("tcp", "pipelined_cpu_us", "TCP, ten at a time"),
)
# (workload, key, what) of the README's lower table.
OTHERS = (
    ("million", "start_seconds", "a million records, start to first answer", "{:.2f} s", 1),
    ("million", "change_seconds", "one changed record of them to its answer", "{:.3f} s", 1),
    ("million", "memory_octets", "memory then", "{:.0f} MB", 1e-6),
    ("zones", "start_seconds", "10,000 zones, start to answers", "{:.2f} s", 1),
    ("zones", "change_seconds", "one changed zone to its answer", "{:.3f} s", 1),
    ("signing", "start_seconds", "a million records, signing them", "{:.0f} s", 1),
    ("signing", "peak_octets", "memory for that, at most", "{:.0f} MB", 1e-6),
    ("wide", "start_seconds", "1,000 routes in 300 regions, start", "{:.2f} s", 1),
)


def plot(place):
    """Writes the plots of what has been measured; returns their paths."""
    written = []
    groups = [(heading, rows) for workload, key, heading in BARS if (rows := cpu_rows(place, workload, key))]
    if groups:
        written.append(place / "cpu.svg")
        written[-1].write_text(svg.bars("CPU time per answer, as a multiple of a bare echo's", groups, CUT))
    measured = results.load(place, growth.NAME)
    if measured:
        series = {
            name: [column.median(rounds) for column in growth.CPU_BY_SIZE]
            for name, rounds in measured["rounds"].items()
        }
        written.append(place / "growth.svg")
        written[-1].write_text(svg.lines("CPU time per static answer, by names served",
                                         [f"{size:,}" for size in growth.SIZES], series, "µs"))
    return written


def cpu_rows(place, workload, key):
    rounds = (results.load(place, workload) or {"rounds": {}})["rounds"]
    if report.YARDSTICK not in rounds:
        return []
    column = report.Column(key, "", "")
    rows = [(name, column.ratio(of_server, rounds[report.YARDSTICK])) for name, of_server in rounds.items()]
    return sorted(rows, key=lambda row: row[1])


def write_readme(place):
    """Puts the figures in `place` between the README's marks."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{README} lacks the marks of this part")
    README.write_text(f"{before}{BEGIN}\n\n{section(place)}\n\n{END}{after}")


def caption(place):
    """The machine, the versions and the date."""
    measured = [of for file in sorted(place.glob("*.json")) if (of := results.load(place, file.stem))]
    versions = {name: text for of in measured for name, text in of["versions"].items()}
    numbers = {name: re.search(r"\d+(\.\d+)+", text) for name, text in versions.items()}
    servers = [f"{kind.name} {numbers[kind.name][0]}" for kind in peers.ALL if numbers.get(kind.name)]
    machine = measured[0]["machine"]
    date = re.match(r"\d{4}-\d\d-\d\d", place.name)
    return (f"On {machine['cores']} cores of an {machine['cpu']}, Linux {machine['kernel']}"
            f"{f', {date[0]}' if date else ''}: {', '.join(servers)}.")


def section(place):
    parts = [caption(place)]
    shown = os.path.relpath(place, peers.REPOSITORY)
    for file, words in (("cpu.svg", "CPU time per answer of each server, as a multiple of a bare echo's"),
                        ("growth.svg", "CPU time per answer from a thousand to a million names")):
        if (place / file).exists():
            parts.append(f"![{words}]({shown}/{file})")
    rows = []
    for workload, key, heading in BARS:
        of_workload = dict(cpu_rows(place, workload, key))
        cells = {name: report.multiple(ratio) for name, ratio in of_workload.items()}
        rows.append((f"{heading}: CPU of the echo's", cells))
    for workload, key, heading, pattern, scale in OTHERS:
        rounds = (results.load(place, workload) or {"rounds": {}})["rounds"]
        column = report.Column(key, heading, pattern, scale)
        rows.append((heading, {name: column.show(of_server) for name, of_server in rounds.items()}))
    rows = [(heading, cells) for heading, cells in rows if cells]
    names = [kind.name for kind in peers.ALL
             if kind is not peers.Echo and any(kind.name in cells for _, cells in rows)]
    parts.append(report.table(
        ["", *names], [[heading, *(cells.get(name, "") for name in names)] for heading, cells in rows]
    ))
    return "\n\n".join(parts)
