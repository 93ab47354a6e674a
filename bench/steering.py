"""How names move: one description that every peer's configuration is made from."""

import itertools

import dns
import geography
import zone

ORIGIN = "geo.example"


class Region:
    """Clients of a country, or of a network."""

    def __init__(self, name, country=None, network=None):
        self.name, self.country, self.network = name, country, network


class Target:
    def __init__(self, name, ipv4, ipv6=None):
        self.name, self.ipv4, self.ipv6 = name, ipv4, ipv6

    def address(self, rtype):
        return self.ipv4 if rtype == "A" else self.ipv6


class Route:
    """Names, and the chain of targets for each region and `default`."""

    def __init__(self, names, chains, origin=ORIGIN):
        self.names, self.chains, self.origin = names, chains, origin


class Steering:
    # All of the countries below are in Asia; gdnsd asks for the continent before the country.
    continent = "AS"

    def __init__(self, regions, targets, routes, database=None, probe_port=None):
        self.regions, self.targets, self.routes = regions, targets, routes
        self.database, self.probe_port = database, probe_port


COUNTRIES = ("TW", "MY", "VN")
NAMES_PER_ROUTE, ROUTES = 10, 6


def by_country(database=None, probe_port=None):
    """Sixty names in six routes, three regions and the rest; each region has a site of its own."""
    # Documentation addresses; loopback where something has to listen.
    network = "127.0.1" if probe_port else "198.51.100"
    targets = [
        Target(f"web-{country.lower()}", f"{network}.{10 * number}",
               None if probe_port else f"2001:db8:{number}::10")
        for number, country in enumerate(COUNTRIES, 1)
    ]
    tw, my, vn = targets
    chains = {"tw": (tw, my, vn), "my": (my, vn, tw), "vn": (vn, my, tw), "default": (my, vn, tw)}
    routes = [
        Route([f"host-{number:08d}" for number in range(first, first + NAMES_PER_ROUTE)], chains)
        for first in range(0, NAMES_PER_ROUTE * ROUTES, NAMES_PER_ROUTE)
    ]
    regions = [Region(country.lower(), country=country) for country in COUNTRIES]
    return Steering(regions, targets, routes, database or geography.DATABASE, probe_port)


class RoutedZone(zone.Zone):
    """The zone of a steering's names; what they have in the file is the default's addresses."""

    def __init__(self, steering, serial=1, is_signed=False):
        super().__init__(0, origin=ORIGIN, serial=serial, is_signed=is_signed)
        self.steering = steering

    def records(self):
        yield from super().records()
        for route in self.steering.routes:
            target = route.chains["default"][0]
            for name in route.names:
                yield name, "A", target.ipv4
                if target.ipv6:
                    yield name, "AAAA", target.ipv6


def questions(steering, count, is_signed=False):
    """Every query with another client subnet, A and AAAA by turns."""
    names = [(name, route) for route in steering.routes for name in route.names]
    regions = {region.country: region.name for region in steering.regions}
    clients = geography.subnets(COUNTRIES, count)
    # Not of the same length, so that every name meets every region.
    for number, ((subnet, country), (name, route)) in enumerate(zip(clients, itertools.cycle(names[:-1]))):
        target = route.chains[regions.get(country, "default")][0]
        rtype = "AAAA" if target.ipv6 and number % 3 == 0 else "A"
        data = dns.rdata(rtype, target.address(rtype), ORIGIN)
        yield dns.Expected(f"{name}.{ORIGIN}", rtype, [data], subnet=subnet, is_signed=is_signed)
