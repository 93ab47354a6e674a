//! `[probing]`: how probes behave towards those they ask.

use super::reader::Table;
use crate::probe::Manners;

pub(super) fn manners(table: &Table<'_>) -> Manners {
    let mut manners = Manners {
        source_ipv4: table.get("source_ipv4").and_then(|value| value.parsed("IPv4 address", "192.0.2.1")),
        source_ipv6: table.get("source_ipv6").and_then(|value| value.parsed("IPv6 address", "2001:db8::1")),
        ..Manners::default()
    };
    for (key, place) in [("ehlo", &mut manners.ehlo), ("user_agent", &mut manners.user_agent)] {
        let Some(value) = table.get(key) else { continue };
        *place = value.string().filter(|text| {
            let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
            if !is_plain {
                value.error("this can't be said to a server", "write printable ASCII");
            }
            is_plain
        });
    }
    for (key, most, place) in [
        ("max_connections_per_target", 1_000, &mut manners.max_connections_per_target),
        ("max_in_flight", 100_000, &mut manners.max_in_flight),
    ] {
        if let Some(count) = table.get(key).and_then(|value| value.integer(1..=most)) {
            *place = count;
        }
    }
    manners
}
