"""How the cost of a static answer grows with the number of names."""

import measure
import peers
import zone
from report import Column

NAME = "growth"
TITLE = "Growth: CPU time of a static answer with a thousand to a million names"
KINDS = (peers.Echo, peers.Waypost, peers.Gdnsd, peers.Nsd, peers.Knot)
SIZES = (1_000, 10_000, 100_000, 1_000_000)
CPU_BY_SIZE = tuple(Column(f"cpu_us_{size}", f"{size:,} names", "{:.2f} µs") for size in SIZES)
COLUMNS = (*CPU_BY_SIZE, Column("lost", "lost", "{:.0f}", is_ratio=False))


def run(kinds, options):
    rounds = {kind.name: [{} for _ in range(options.rounds)] for kind in kinds}
    for size in SIZES:
        served = zone.Zone(size, mixed=True).write(options.scratch / "zone")
        questions = options.scratch / "growth"
        verified = measure.write_questions(questions, served.questions(absent_each=10))
        with measure.fleet(kinds, [served], verified) as servers:
            for server in servers:
                measure.closed(server, questions, measure.WARM_UP_SECONDS)
            figures = measure.interleaved(
                servers, options.rounds, lambda server: measure.closed(server, questions, options.seconds)
            )
            for name, of_server in figures.items():
                for figure, place in zip(of_server, rounds[name]):
                    place[f"cpu_us_{size}"] = figure["cpu_us"]
                    place["lost"] = place.get("lost", 0) + figure["lost"]
            versions = measure.versions(servers)
    return {"rounds": rounds, "versions": versions}
