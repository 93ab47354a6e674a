"""A thousand routes in three hundred regions: start."""

import tempfile

import dns
import measure
import peers
import steering
from report import Column

NAME = "wide"
TITLE = "A wide configuration, on all cores: 1,000 routes in 300 regions, start to right answers"
# gdnsd has at most 254 sites in a map.
KINDS = (peers.Waypost, peers.Knot)
COLUMNS = (
    Column("start_seconds", "start", "{:.2f} s"),
    Column("start_cpu_seconds", "CPU of it", "{:.2f} s"),
    Column("memory_octets", "memory", "{:.0f} MB", 1e-6),
    Column("peak_octets", "at most", "{:.0f} MB", 1e-6),
)
ROUTES, REGIONS = 1_000, 300
DOCUMENTATION = ("192.0.2", "198.51.100", "203.0.113")


def run(kinds, options):
    wide = configuration()
    asked = [expected(wide, route, route * 7 % REGIONS) for route in range(0, ROUTES, ROUTES // 20)]
    rounds, versions = {kind.name: [] for kind in kinds}, {}
    for _ in range(options.rounds):
        for kind in kinds:
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                zones = [steering.RoutedZone(wide)]
                server = kind(directory, measure.FIRST_PORT, measure.all_cores(), zones, wide)
                versions[kind.name] = server.version()
                try:
                    with peers.PeakMemory(server) as peak:
                        begin = server.start()
                        figures = {"start_seconds": server.wait_for(*asked) - begin}
                        figures["start_cpu_seconds"] = server.settled_cpu_seconds()
                        figures["memory_octets"] = server.memory_octets()
                    rounds[kind.name].append(figures | {"peak_octets": peak.octets})
                finally:
                    server.stop()
    return {"rounds": rounds, "versions": versions}


def configuration():
    """Each region has its site first, then its neighbour's; each route begins elsewhere."""
    networks = [f"2001:db8:{number + 1:x}::/48" for number in range(REGIONS)]
    regions = [steering.Region(f"r{number:03d}", network=network) for number, network in enumerate(networks)]
    targets = [
        steering.Target(f"t{number:03d}", f"{DOCUMENTATION[number % 3]}.{1 + number // 3}", f"2001:db8::{number + 1:x}")
        for number in range(REGIONS)
    ]

    def chain(number):
        return (targets[number % REGIONS], targets[(number + 1) % REGIONS])

    routes = []
    for number in range(ROUTES):
        chains = {region.name: chain(number + place) for place, region in enumerate(regions)}
        routes.append(steering.Route([f"host-{number:08d}"], chains | {"default": chain(number)}))
    return steering.Steering(regions, targets, routes)


def expected(wide, route, region):
    target = wide.routes[route].chains[wide.regions[region].name][0]
    name = f"{wide.routes[route].names[0]}.{steering.ORIGIN}"
    data = [dns.rdata("A", target.ipv4, steering.ORIGIN)]
    return dns.Expected(name, "A", data, subnet=wide.regions[region].network)
