//! What a route says beside its chains: TTLs, failback, how its targets share clients.

use std::time::Duration;

use super::reader::{Table, Value};
use crate::route::{Failback, Kind, Minimum, Ttl};

/// Highest TTL (RFC 2181 8).
const TTL_MAX: u64 = i32::MAX as u64;

/// The TTLs, which have defaults by type.
pub(super) fn ttl(table: &Table<'_>, kind: Option<&Kind>) -> Ttl {
    // Failover as users see it is detection and the normal TTL, since caches filled just before
    // hold that. Senders of mail go on to the next exchanger by themselves.
    let default = match kind {
        Some(Kind::Mx | Kind::Srv { .. }) => Ttl { normal: 300, short: 60 },
        _ => Ttl { normal: 20, short: 5 },
    };
    let normal = table.get("ttl").and_then(|value| value.integer(0..=TTL_MAX)).unwrap_or(default.normal);
    let value = table.get("short_ttl");
    let short =
        value.as_ref().and_then(|value| value.integer(0..=TTL_MAX)).unwrap_or(default.short.min(normal));
    if let Some(value) = value.filter(|_| short > normal) {
        value.error(
            format!("the short TTL {short} is over the normal one, {normal}"),
            "write a shorter one, or a longer `ttl`",
        );
    }
    Ttl { normal, short }
}

/// When a recovered target gets its clients back.
pub(super) fn failback(table: &Table<'_>) -> Failback {
    let standby = table.get("active_standby").and_then(|value| value.bool()).unwrap_or(false);
    // A stale primary must not take over by itself.
    let default = if standby { Failback::Manual } else { Failback::Auto };
    let Some(value) = table.get("failback") else { return default };
    match value.str() {
        Some("auto") => Failback::Auto,
        Some("manual") => Failback::Manual,
        Some(text) if text.starts_with(|first: char| first.is_ascii_digit()) => value
            .duration(Duration::from_secs(1)..=Duration::from_secs(30 * 86_400))
            .map_or(default, Failback::After),
        Some(_) => {
            value.one_of::<()>(&[("auto", ()), ("manual", ()), ("10m", ())]);
            default
        }
        None => default,
    }
}

/// How much of a tier must be healthy: `"50%"`, or a number of targets.
pub(super) fn min_healthy(table: &Table<'_>, kind: Option<&Kind>) -> Option<Minimum> {
    let value = table.get("min_healthy")?;
    if !is_chosen(kind) {
        let help = "take it out: these types answer all targets, the healthy ones first";
        value.error("only address and cname routes have min_healthy", help);
        return None;
    }
    if value.is_integer() {
        return value.integer(1..=1000).map(Minimum::Targets);
    }
    let percent = value.str()?.strip_suffix('%').and_then(|number| number.parse().ok());
    let percent = percent.filter(|percent| (1..=100).contains(percent));
    if percent.is_none() {
        value.error("this is no part of a tier", "write \"50%\", or a number of targets such as 2");
    }
    percent.map(Minimum::Percent)
}

/// Whether a client's network chooses among targets with shares: it does, unless the file says
/// otherwise. A session that goes on with another connection finds itself at the same site.
pub(super) fn sticky(value: Option<&Value<'_>>, kind: Option<&Kind>, has_shares: bool) -> bool {
    let Some(value) = value else { return true };
    if !is_chosen(kind) {
        let help = "take it out: these types answer all targets, and clients choose";
        value.error("only address and cname routes are sticky", help);
    } else if !has_shares && !matches!(kind, Some(Kind::Cname)) {
        value.warning(
            "no target of this route has a share of the clients, so nothing is chosen",
            "give targets of one tier a weight or percent, or take `sticky` out",
        );
    }
    value.bool().unwrap_or(true)
}

/// Whether the server chooses among a route's targets; of MX and SRV clients do.
pub(super) fn is_chosen(kind: Option<&Kind>) -> bool {
    !matches!(kind, Some(Kind::Mx | Kind::Srv { .. }))
}
