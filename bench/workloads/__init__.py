"""What is measured, a file for each workload.

Each has `NAME`, `TITLE`, the `KINDS` of servers that can take part, the `COLUMNS` of its table, and
`run(kinds, options)`, which returns {"rounds": {server: [figures]}, ...}; and `PROGRAMS` {program:
Debian package} if it needs more than servers.
"""

from . import dnsperf, growth, million, routed, routed_signed, signed, signing, static, storm, tcp, wide, zones

ALL = {
    module.NAME: module
    for module in (static, dnsperf, routed, signed, routed_signed, growth, tcp, million, zones, signing, storm, wide)
}
