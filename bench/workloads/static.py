"""A zone of 10,000 names over UDP."""

import measure
import peers
import zone
from report import STEADY

NAME = "static"
TITLE = "Static answers: 10,000 names, A, AAAA, MX and TXT, one of ten doesn't exist; UDP with EDNS"
KINDS = (peers.Echo, peers.Waypost, peers.Gdnsd, peers.Nsd, peers.Knot, peers.Bind, peers.PowerDns)
COLUMNS = STEADY
NAMES = 10_000
ABSENT_EACH = 10


def run(kinds, options):
    served = zone.Zone(NAMES, mixed=True)
    return measure.steady(kinds, options, [served], served.questions(ABSENT_EACH))
