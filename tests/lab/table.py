"""A run's figures: as lines, as a table, and kept under tests/lab/results/."""

import datetime
import json
import os
import pathlib
import platform

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
DOCS = RESULTS.parent.parent.parent / "docs/failover.md"
BEGIN, END = "<!-- tests/lab/run --docs -->", "<!-- end -->"
SUBJECT = "waypost"
ORDER = (SUBJECT, "gdnsd", "powerdns")
# What a client behind a resolver waits at most, with default settings: 5 + 1 + a TTL of 20.
BEHIND_A_RESOLVER = 26.0
# Of 1,200 answers while a server dies every other second, and how often names may move meanwhile:
# away, and back.
FLAPPING_WRONG, FLAPPING_CHANGES, FLAPPING_BACK = 150, 2, 10.0
# From a nameserver's start to its first answer.
FIRST_ANSWER = 0.2


def line(of_round):
    """One round of a row, for who watches."""
    parts = []
    for name, of in of_round.items():
        part = f"{name} {seconds(of['server_seconds'])}"
        if "resolver_seconds" in of:
            part += f" (behind unbound {seconds(of['resolver_seconds'])})"
        part += f", {of['wrong']}/{of['asked']} wrong, {of['unanswered']} unanswered, {of['changes']} changes"
        parts.append(part)
    return "; ".join(parts)


def markdown(rows, figures):
    """For each server: seconds to its last wrong answer, the same behind the resolver, wrong
    answers of those asked, changes there and back. The median of the rounds, then the worst."""
    names = [name for name in ORDER if any(name in servers for servers in figures.values())]
    head = ["", "rounds", *(f"{name}: {column}" for name in names
                            for column in ("last wrong, s", "behind unbound, s", "wrong", "changes"))]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        servers = figures.get(row.key)
        if servers is None:
            continue
        cells = [row.title, str(max(map(len, servers.values())))]
        for name in names:
            rounds = servers.get(name, [])
            cells += [spread(rounds, "server_seconds", seconds), spread(rounds, "resolver_seconds", seconds),
                      spread(rounds, "wrong", str), spread(rounds, "changes", str)]
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def spread(rounds, key, show):
    """The median, and the worst if that is another. Never is worse than any time."""
    values = sorted((of[key] for of in rounds if key in of), key=lambda value: (value is None, value))
    if not values:
        return "-"
    middle, worst = show(values[(len(values) - 1) // 2]), show(values[-1])
    return middle if middle == worst else f"{middle} ({worst})"


def seconds(value):
    return "never" if value is None else f"{value:.1f}"


def missed(rows, figures):
    """What Waypost promises and a round didn't show."""
    return [f"{row.key}: {what}" for row in rows for of in figures.get(row.key, {}).get(SUBJECT, [])
            for what in missed_in(row, of)]


def missed_in(row, of):
    if row.goal is not None and (of["server_seconds"] is None or of["server_seconds"] > row.goal):
        yield f"last wrong after {seconds(of['server_seconds'])} s, not {row.goal} s"
    behind = of.get("resolver_seconds", 0.0)
    if row.ends_when_right and (behind is None or behind > BEHIND_A_RESOLVER):
        yield f"behind a resolver {seconds(behind)} s"
    if not row.site_is_dead and of["wrong"]:
        yield f"{of['wrong']} answers left a living site"
    if row.key == "flapping" and (of["changes"] > FLAPPING_CHANGES or of["wrong"] > FLAPPING_WRONG
                                  or of["back_seconds"] > FLAPPING_BACK):
        yield f"{of['changes']} changes, {of['wrong']} wrong, back after {of['back_seconds']:.1f} s"
    first = of["first_answer_seconds"]
    if row.key == "restart" and (first is None or first > FIRST_ANSWER):
        yield f"the first answer came after {seconds(first)} s"


def directory():
    return RESULTS / datetime.date.today().isoformat()


def load(place):
    path = place / "failover.json"
    return json.loads(path.read_text())["rows"] if path.exists() else {}


def save(place, key, of_round, versions):
    """Adds a round to those that are there."""
    place.mkdir(parents=True, exist_ok=True)
    rows = load(place)
    for name, of in of_round.items():
        rows.setdefault(key, {}).setdefault(name, []).append(rounded(of))
    machine = {"cores": os.cpu_count(), "kernel": platform.release().split("-")[0]}
    figures = {"machine": machine, "versions": versions, "rows": rows}
    (place / "failover.json").write_text(json.dumps(figures, indent=1) + "\n")


def write_docs(rows, place):
    """Puts the table into docs/failover.md, between its marks."""
    before, _, rest = DOCS.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text(f"{before}{BEGIN}\n\n{markdown(rows, load(place))}\n\n{END}{after}")


def rounded(of):
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in of.items()}
