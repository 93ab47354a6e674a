//! A zone's records: read from RFC 1035 files with positions, checked, kept compactly, compared.
