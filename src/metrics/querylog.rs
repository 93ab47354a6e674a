//! What came of queries that are to be written down.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::family::Families;
use crate::querylog::Handle;
use crate::serve::Taker;

#[derive(Debug)]
pub(super) struct QueryLog(pub(super) Handle);

impl Collector for QueryLog {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let by_taker = |count: fn(&Handle, Taker) -> u64| {
            let takers = [(Taker::QueryLog, "query_log"), (Taker::Dnstap, "dnstap")];
            takers.map(|(taker, to)| (vec![("to", to)], count(&self.0, taker)))
        };
        families.counters(
            "logged_queries",
            "Queries that the query log or a dnstap reader was given",
            by_taker(Handle::written),
        )?;
        families.counters(
            "logged_queries_dropped",
            "Queries that should have been given, and found no room or no reader",
            by_taker(Handle::dropped),
        )?;
        families.gauges(
            "dnstap_connected",
            "Whether a dnstap reader takes frames",
            None,
            [(vec![], f64::from(u8::from(self.0.is_dnstap_connected())))],
        )
    }
}
