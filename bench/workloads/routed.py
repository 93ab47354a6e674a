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


def run(kinds, options):
    for_peers = geography.as_geolite2(
        options.scratch / "country.mmdb", {country: steering.Steering.continent for country in steering.COUNTRIES}
    )
    own, others = steering.by_country(), steering.by_country(for_peers)
    questions = options.scratch / "routed"
    verified = measure.write_questions(questions, steering.questions(own, CLIENTS))

    def steering_of(kind):
        return own if kind is peers.Waypost else others

    with measure.fleet(kinds, [steering.RoutedZone(own)], verified, steering_of) as servers:
        for server in servers:
            measure.closed(server, questions, measure.WARM_UP_SECONDS)
        rounds = measure.interleaved(
            servers, options.rounds, lambda server: measure.full_and_half_load(server, questions, options.seconds)
        )
        return {"rounds": rounds, "versions": measure.versions(servers)}
