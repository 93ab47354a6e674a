"""`routed` once more, signed, for clients that want signatures."""

import peers
from report import STEADY
from workloads import routed

NAME = "routed-signed"
TITLE = "Routed and signed answers (ECDSA P-256): as routed, with DO"
KINDS = (peers.Echo, peers.Waypost, peers.Knot, peers.PowerDns, peers.PowerDnsLua)
COLUMNS = STEADY


def run(kinds, options):
    return routed.run(kinds, options, is_signed=True)
