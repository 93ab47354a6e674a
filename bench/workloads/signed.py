"""`static` once more, signed, for clients that want signatures."""

import measure
import peers
import zone
from report import STEADY
from workloads import static

NAME = "signed"
TITLE = "Signed answers (ECDSA P-256, NSEC): 10,000 names, one of ten doesn't exist; UDP with DO"
KINDS = (peers.Echo, peers.Waypost, peers.Nsd, peers.Knot, peers.Bind)
COLUMNS = STEADY


def run(kinds, options):
    served = zone.Zone(static.NAMES, mixed=True, is_signed=True)
    served.sign(options.scratch)
    return measure.steady(kinds, options, [served], served.questions(static.ABSENT_EACH))
