"""Static answers over TCP connections that stay open."""

import measure
import peers
import zone
from report import Column

NAME = "tcp"
TITLE = "TCP with reused connections: 32 with one query on its way each; 8 with ten"
KINDS = (peers.Echo, peers.Waypost, peers.Gdnsd, peers.Nsd, peers.Knot, peers.Bind, peers.PowerDns)
FORMS = (("single", 32, 1), ("pipelined", 8, 10))
COLUMNS = tuple(
    Column(f"{form}_{key}", f"{form}: {title}", pattern, higher_is_better=key == "per_second")
    for form, _, _ in FORMS
    for key, title, pattern in (
        ("per_second", "answers/s", "{:,.0f}"), ("cpu_us", "CPU", "{:.2f} µs"), ("user_us", "user", "{:.2f} µs"),
        ("p50", "p50", "{:.0f} µs"), ("p999", "p99.9", "{:.0f} µs"),
    )
) + (Column("lost", "lost", "{:.0f}", is_ratio=False),)
NAMES = 10_000


def run(kinds, options):
    served = zone.Zone(NAMES, mixed=True)
    questions = options.scratch / "tcp"
    verified = measure.write_questions(questions, served.questions(absent_each=10))

    def both(server):
        figures = {"lost": 0}
        for form, connections, pipelined in FORMS:
            figure = measure.tcp(server, questions, options.seconds, connections, pipelined)
            figures["lost"] += figure.pop("lost")
            figures |= {f"{form}_{key}": value for key, value in figure.items()}
        return figures

    with measure.fleet(kinds, [served], verified) as servers:
        rounds = measure.interleaved(servers, options.rounds, both)
        return {"rounds": rounds, "versions": measure.versions(servers)}
