"""Names that move by the client's country."""

import geography
import measure
import peers
import steering
from report import STEADY

NAME = "routed"
TITLE = "Routed answers: sixty names, three regions and the rest; every query has another client subnet"
KINDS = (peers.Echo, peers.Waypost, peers.Gdnsd, peers.Knot, peers.PowerDns, peers.PowerDnsLua)
COLUMNS = STEADY
CLIENTS = 100_000


def run(kinds, options, is_signed=False):
    for_peers = geography.as_geolite2(
        options.scratch / "country.mmdb", {country: steering.Steering.continent for country in steering.COUNTRIES}
    )
    own, others = steering.by_country(), steering.by_country(for_peers)
    return measure.steady(
        kinds, options, [steering.RoutedZone(own, is_signed=is_signed)],
        steering.questions(own, CLIENTS, is_signed),
        lambda kind: own if kind is peers.Waypost else others,
    )
