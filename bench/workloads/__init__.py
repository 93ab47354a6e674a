"""What is measured, a file for each workload.

Each has `NAME`, `TITLE`, the `KINDS` of servers that can take part, the `COLUMNS` of its table, and
`run(kinds, options)`, which returns {"rounds": {server: [figures]}, ...}.
"""

from . import growth, million, routed, static, storm, tcp, wide, zones

ALL = {module.NAME: module for module in (static, routed, growth, tcp, million, zones, storm, wide)}
