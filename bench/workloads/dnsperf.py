"""The static answers once more, with a load generator that isn't ours."""

import re
import subprocess

import measure
import zone
from report import CPU, Column
from workloads import static

NAME = "dnsperf"
TITLE = "Static answers, asked by dnsperf: it takes a core for fewer queries, so fast servers aren't full"
KINDS = static.KINDS
PROGRAMS = {"dnsperf": "dnsperf"}
COLUMNS = (
    Column("per_second", "answers/s", "{:,.0f}", higher_is_better=True),
    CPU,
    Column("lost", "lost", "{:.0f}", is_ratio=False),
)


def run(kinds, options):
    served = zone.Zone(static.NAMES, mixed=True)
    questions = options.scratch / "dnsperf"
    verified = measure.write_questions(questions, served.questions(static.ABSENT_EACH))
    with measure.fleet(kinds, [served], verified) as servers:
        rounds = measure.interleaved(servers, options.rounds, lambda server: ask(server, questions, options.seconds))
        return {"rounds": rounds, "versions": measure.versions(servers)}


def ask(server, questions, seconds):
    command = ["taskset", "-c", measure.CLIENT_CORE, "dnsperf", "-s", "127.0.0.1", "-p", server.port,
               "-d", questions, "-l", max(1, round(seconds)), "-c", 8, "-T", 1, "-q", 100, "-e"]
    before, _ = server.busy_seconds()
    report = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    spent = server.busy_seconds()[0] - before
    answered, lost, per_second = (
        float(re.search(rf"{title}:\s+([\d.]+)", report).group(1))
        for title in ("Queries completed", "Queries lost", "Queries per second")
    )
    return {"per_second": per_second, "cpu_us": spent * 1e6 / answered, "answered": answered, "lost": lost}
