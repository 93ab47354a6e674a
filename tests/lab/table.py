"""A run's figures: as lines, as a table, and kept under tests/lab/results/."""

import datetime
import json
import os
import pathlib
import platform

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
SUBJECT = "waypost"
# What a client behind a resolver waits at most, with default settings: 5 + 1 + a TTL of 20.
BEHIND_A_RESOLVER = 26.0
# Of 1,200 answers while a server dies every other second, and how often names may move meanwhile:
# away, and back.
FLAPPING_WRONG, FLAPPING_CHANGES, FLAPPING_BACK = 150, 2, 10.0
# From a nameserver's start to its first answer.
FIRST_ANSWER = 0.2


def line(of_row):
    return "; ".join(f"{name} {seconds(figures['server_seconds'])} (resolver {seconds(figures['resolver_seconds'])}), "
                     f"{figures['wrong']}/{figures['asked']} wrong, {figures['changes']} changes, "
                     f"back {seconds(figures['back_seconds'])}" for name, figures in of_row.items())


def markdown(rows, figures):
    """For each server: seconds to the last wrong answer at itself / behind a resolver, wrong
    answers, changes."""
    names = list(next(iter(figures.values()))) if figures else []
    head = ["", *(f"{name}: last wrong, s | behind unbound, s | wrong | changes" for name in names)]
    lines = [" | ".join(head), "|".join(["---"] + ["---:"] * 4 * len(names))]
    for row in rows:
        if row.key in figures:
            cells = [row.title]
            for name in names:
                of = figures[row.key][name]
                cells += [seconds(of["server_seconds"]), seconds(of["resolver_seconds"]),
                          f"{of['wrong']:,}", str(of["changes"])]
            lines.append(" | ".join(cells))
    return "\n".join(f"| {text.strip()} |" if not text.startswith(" |") else f"|{text} |" for text in lines)


def seconds(value):
    return "never" if value is None else f"{value:.1f}"


def missed(rows, figures):
    """What Waypost promises and this run didn't show."""
    found = []
    for row in rows:
        of = figures.get(row.key, {}).get(SUBJECT)
        if of is None:
            continue
        if row.goal is not None and (of["server_seconds"] is None or of["server_seconds"] > row.goal):
            found.append(f"{row.key}: last wrong after {seconds(of['server_seconds'])} s, not {row.goal} s")
        if of["resolver_seconds"] is None or of["resolver_seconds"] > BEHIND_A_RESOLVER:
            if row.ends_when_right:
                found.append(f"{row.key}: behind a resolver {seconds(of['resolver_seconds'])} s")
        if not row.site_is_dead and of["wrong"]:
            found.append(f"{row.key}: {of['wrong']} answers left a living site")
        if row.key == "flapping":
            if of["changes"] > FLAPPING_CHANGES or of["wrong"] > FLAPPING_WRONG or of["back_seconds"] > FLAPPING_BACK:
                found.append(f"flapping: {of['changes']} changes, {of['wrong']} wrong, "
                             f"back after {of['back_seconds']:.1f} s")
        first = of["first_answer_seconds"]
        if row.key == "restart" and (first is None or first > FIRST_ANSWER):
            found.append(f"restart: the first answer came after {seconds(first)} s")
    return found


def directory():
    return RESULTS / datetime.date.today().isoformat()


def save(place, figures, versions):
    """Adds the rows to those that are there."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / "failover.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else {}
    for key, servers in figures.items():
        rows.setdefault(key, {}).update(rounded(servers))
    machine = {"cores": os.cpu_count(), "kernel": platform.release().split("-")[0]}
    path.write_text(json.dumps({"machine": machine, "versions": versions, "rows": rows}, indent=1) + "\n")


def rounded(servers):
    return {name: {key: round(value, 2) if isinstance(value, float) else value for key, value in of.items()}
            for name, of in servers.items()}
