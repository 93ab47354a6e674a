//! What was asked and answered.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::family::{Families, Labels};
use crate::answer::Kind;
use crate::geo::How;
use crate::publish::Rows;
use crate::serve::{Meters, Spread, Tally, type_at, way_at};
use crate::snapshot::Row;
use crate::wire::query::rcode;

/// Routed responses to clients of a region that were found to be there in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The region.
    pub region: String,
    /// Whether a resolver told the client's network; otherwise the source address was looked at.
    pub by_subnet: bool,
    /// What placed it.
    pub how: How,
    /// How many.
    pub count: u64,
}

/// Sums over all transports.
pub(super) fn all(meters: &Meters) -> Tally {
    let mut all = Tally::default();
    [meters.udp(), meters.tcp(), meters.encrypted()].iter().for_each(|tally| all += tally);
    all
}

/// What was counted by region, without what never happened.
pub(super) fn placed(all: &Tally, rows: &Rows) -> Vec<Placed> {
    let regions = with_others(rows.regions());
    let counted =
        regions.into_iter().filter_map(|(row, region)| Some((region, all.regions.get(usize::from(row.0))?)));
    let placed = counted.flat_map(|(region, ways)| {
        ways.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(place, count)| {
            let (by_subnet, how) = way_at(place);
            Placed { region: region.clone(), by_subnet, how, count: *count }
        })
    });
    placed.collect()
}

/// Sums of all workers' counters.
#[derive(Debug)]
pub(super) struct Queries {
    meters: Meters,
    rows: Arc<Rows>,
}

impl Queries {
    pub(super) fn new(meters: Meters, rows: Arc<Rows>) -> Queries {
        Queries { meters, rows }
    }
}

impl Collector for Queries {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let Queries { meters, .. } = self;
        let transports = [("udp", meters.udp()), ("tcp", meters.tcp()), ("encrypted", meters.encrypted())];
        by_transport(&mut families, &transports)?;
        let mut all = Tally::default();
        transports.iter().for_each(|(_, tally)| all += tally);
        self.by_content(&mut families, &all)?;
        let [udp, tcp] = meters.workers();
        families.gauges(
            "workers",
            "Threads that answer, each with a socket of its own",
            None,
            [("udp", udp), ("tcp", tcp)].map(|(name, count)| (vec![("transport", name)], count as f64)),
        )?;
        let connections = meters.connections();
        families.gauges(
            "tcp_connections",
            "TCP connections that are open",
            None,
            [(vec![], connections.open as f64)],
        )?;
        families.counters(
            "tcp_connections_accepted",
            "TCP connections that were let in",
            [(vec![], connections.accepted)],
        )?;
        families.counters(
            "tcp_connections_refused",
            "TCP connections that were closed at once, because there were too many",
            [(vec![], connections.refused)],
        )
    }
}

fn by_transport(families: &mut Families<'_>, transports: &[(&'static str, Tally)]) -> fmt::Result {
    let counts = |count: fn(&Tally) -> u64| {
        transports.iter().map(move |(transport, tally)| (vec![("transport", *transport)], count(tally)))
    };
    families.counters("queries", "Queries read from sockets", counts(|tally| tally.received))?;
    families.counters("responses", "Responses sent", counts(|tally| tally.answered))?;
    families.counters("queries_dropped", "Queries that got no response", counts(|tally| tally.dropped))?;
    families.counters("responses_truncated", "Responses with TC set", counts(|tally| tally.truncated))?;
    families.counters("send_errors", "Responses that couldn't be sent", counts(|tally| tally.send_errors))?;
    families.counters(
        "receive_errors",
        "Reads of sockets that failed",
        counts(|tally| tally.receive_errors),
    )?;
    families.counters("worker_panics", "Batches that a defect ended", counts(|tally| tally.panics))?;
    let durations = transports.iter().map(|(transport, tally)| {
        let Spread { buckets, nanoseconds } = &tally.durations;
        let bounded = Spread::bounds().zip(buckets.iter().copied()).collect();
        let unbounded = buckets.last().copied().unwrap_or(0);
        (vec![("transport", *transport)], bounded, unbounded, *nanoseconds as f64 / 1e9)
    });
    families.histograms(
        "response_duration",
        "From reading a batch of queries to having sent its responses; one batch of sixteen",
        durations,
    )
}

impl Queries {
    fn by_content(&self, families: &mut Families<'_>, all: &Tally) -> fmt::Result {
        let codes: Vec<(String, u64)> = all
            .rcodes
            .iter()
            .zip(0..)
            .map(|(count, code)| (rcode::word(code).into_owned(), *count))
            .collect();
        families.counters("responses_by_rcode", "Responses by response code", named("rcode", &codes))?;
        let kinds: Vec<(String, u64)> = Kind::ALL.into_iter().map(kind_name).zip(all.kinds).collect();
        families.counters("responses_by_kind", "Responses by what answered", named("kind", &kinds))?;
        let types: Vec<(String, u64)> =
            all.types.iter().enumerate().map(|(place, count)| (type_name(place), *count)).collect();
        families.counters("responses_by_type", "Responses by the type asked for", named("type", &types))?;
        families.counters(
            "responses_edns",
            "Responses to queries with an EDNS feature",
            [("edns", all.edns), ("dnssec_ok", all.dnssec_ok), ("client_subnet", all.subnets)]
                .map(|(feature, count)| (vec![("feature", feature)], count)),
        )?;
        let cookies = ["first", "invalid", "valid"].into_iter().zip(all.cookies);
        families.counters(
            "responses_cookie",
            "Responses to queries with a DNS cookie, by what its server part proved",
            cookies.map(|(cookie, count)| (vec![("cookie", cookie)], count)),
        )?;
        let zones = with_others(self.rows.zones());
        let zones = zones.iter().filter_map(|(row, zone)| {
            Some((vec![("zone", zone.as_str())], *all.zones.get(usize::from(row.0))?))
        });
        families.counters("zone_responses", "Responses by zone", zones)?;
        self.by_region(families, all)
    }

    fn by_region(&self, families: &mut Families<'_>, all: &Tally) -> fmt::Result {
        let placed = placed(all, &self.rows);
        let samples = placed.iter().map(|one| {
            let by = if one.by_subnet { "client_subnet" } else { "source_address" };
            (vec![("region", one.region.as_str()), ("by", by), ("found", found(one.how))], one.count)
        });
        families.counters(
            "region_responses",
            "Routed responses by the client's region, by which address it was placed, and by what",
            samples,
        )
    }
}

fn named<'l>(label: &'static str, counts: &'l [(String, u64)]) -> impl Iterator<Item = (Labels<'l>, u64)> {
    counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(move |(name, count)| (vec![(label, name.as_str())], *count))
}

fn with_others(mut names: Vec<(Row, String)>) -> Vec<(Row, String)> {
    names.push((Row::OTHERS, "others".to_owned()));
    names
}

fn kind_name(kind: Kind) -> String {
    let name = match kind {
        Kind::Dropped => "dropped",
        Kind::Rejected => "rejected",
        Kind::Static => "static",
        Kind::Routed => "routed",
        Kind::NoData => "nodata",
        Kind::NxDomain => "nxdomain",
        Kind::Referral => "referral",
        Kind::Failed => "failed",
        Kind::Chaos => "chaos",
    };
    name.to_owned()
}

fn type_name(place: usize) -> String {
    type_at(place).map_or_else(|| "others".to_owned(), |rtype| rtype.to_string())
}

fn found(how: How) -> &'static str {
    match how {
        How::Default => "default",
        How::Network => "network",
        How::Asn => "asn",
        How::Subdivision => "subdivision",
        How::Country => "country",
        How::Continent => "continent",
    }
}
