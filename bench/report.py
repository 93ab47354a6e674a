"""Tables of a run: medians of the rounds, and what one server needs of what another does."""

import statistics

SUBJECT, YARDSTICK = "waypost", "echo"
# Under full load a server has at least this part of a core that nobody else wants.
QUIET = 0.9


class Column:
    """A figure of each server: its key in a round, its title, and how it is shown."""

    def __init__(self, key, title, pattern, scale=1, higher_is_better=False, is_ratio=True):
        self.key, self.title, self.pattern, self.scale = key, title, pattern, scale
        self.higher_is_better, self.is_ratio = higher_is_better, is_ratio

    def median(self, rounds):
        return statistics.median(figures[self.key] for figures in rounds) * self.scale

    def show(self, rounds):
        return self.pattern.format(self.median(rounds))

    def ratio(self, rounds, others):
        """Of neighbours in time, round by round; then the median."""
        pairs = [(own[self.key], other[self.key]) for own, other in zip(rounds, others)]
        if not all(other for _, other in pairs):
            return None
        return statistics.median(own / other for own, other in pairs)


CPU = Column("cpu_us", "CPU per answer", "{:.2f} µs")
STEADY = (
    Column("per_second", "answers/s per core", "{:,.0f}", higher_is_better=True),
    CPU,
    Column("user_us", "user part", "{:.2f} µs"),
    Column("p50", "p50 at half load", "{:.0f} µs"),
    Column("p99", "p99", "{:.0f} µs"),
    Column("p999", "p99.9", "{:.0f} µs"),
    Column("memory_octets", "memory at most", "{:.1f} MB", 1e-6),
    Column("lost", "lost", "{:.0f}", is_ratio=False),
)


def tables(columns, rounds):
    """Markdown: every server's figures; then each as a multiple of the yardstick's; then the
    first of ours as a multiple of every other's."""
    parts = [table(["", *(column.title for column in columns)],
                   [[name, *(column.show(of_server) for column in columns)] for name, of_server in rounds.items()])]
    ratios = [column for column in columns if column.is_ratio]
    if YARDSTICK in rounds and len(rounds) > 1:
        parts.append("Of the echo's:\n\n" + table(
            ["", *(column.title for column in ratios)],
            [[name, *(multiple(column.ratio(of_server, rounds[YARDSTICK])) for column in ratios)]
             for name, of_server in rounds.items() if name != YARDSTICK]))
    subject = SUBJECT if SUBJECT in rounds else list(rounds)[-1]
    others = [name for name in rounds if name not in (subject, YARDSTICK)]
    if others:
        parts.append(f"The figures of {subject}, as multiples of others':\n\n" + table(
            [f"{subject} / ", *(column.title for column in ratios)],
            [[name, *(multiple(column.ratio(rounds[subject], rounds[name])) for column in ratios)]
             for name in others]))
    return "\n\n".join(parts)


def warnings(rounds):
    """Servers that hadn't their core for themselves under full load: their figures are of a busy
    machine."""
    busy = {
        name: statistics.median(figures["busy"] for figures in of_server)
        for name, of_server in rounds.items() if all("busy" in figures for figures in of_server)
    }
    return [f"{name} got only {part:.0%} of its core: was the machine quiet?"
            for name, part in busy.items() if part < QUIET]


def multiple(ratio):
    return "-" if ratio is None else f"{ratio:.2f}x"


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
