//! The sections of the page: a table each. On a narrow screen rows become cards, whose roles are
//! written out since browsers then forget that they are tables.

use std::time::Duration;

use maud::{Markup, html};

use super::forms::{drain, failback, take_back};
use super::html::effects;
use super::view::{Address, Probe, Regional, Routed, Site, Target, View};
use crate::admin::guard::Forms;
use crate::geo::How;
use crate::health::tick::{rfc3339, short};
use crate::health::{Desired, State, Tick};
use crate::limits::PAGE_UNPLACED;
use crate::metrics::Placed;
use crate::model::event::{Event, Kind};
use crate::publish::ZoneStatus;
use crate::querylog::{Unplaced, UnplacedNetwork};

/// Addresses of the sections inside the page, and what they are called.
pub(super) const SECTIONS: [(&str, &str); 6] = [
    ("sites", "Sites"),
    ("targets", "Targets"),
    ("answers", "Answers now"),
    ("timeline", "Timeline"),
    ("zones", "Zones"),
    ("queries", "Queries"),
];

/// The whole in four figures.
pub(super) fn summary(view: &View) -> Markup {
    let watched = || view.targets.iter().filter(|target| !target.is_canary);
    let eligible = watched().filter(|target| target.is_eligible).count();
    let open =
        view.routes.iter().filter(|route| route.answers.iter().any(|one| one.answer.failed_open)).count();
    let errors = view.zones.iter().filter(|(_, zone)| zone.error.is_some()).count();
    let ordered =
        watched().filter(|target| target.addresses.iter().any(|one| one.desired != Desired::Auto)).count();
    let figure = |title: &str, value: String, of: String, is_bad: bool| {
        html! { div.figure data-bad[is_bad] { dt { (title) } dd { strong { (value) } " " span { (of) } } } }
    };
    html! {
        h1.unseen { "Status" }
        dl.figures {
            (figure("Targets served", eligible.to_string(), format!("of {}", watched().count()), eligible < watched().count()))
            (figure("By an operator's word", ordered.to_string(), "targets".to_owned(), false))
            (figure("Failing open", open.to_string(), format!("of {} routed sets", view.routes.len()), open > 0))
            (figure("Zones with errors", errors.to_string(), format!("of {}", view.zones.len() + view.zones_left_out), errors > 0))
        }
    }
}

/// That the server doubts what its probes say.
pub(super) fn doubt(view: &View, forms: &Forms) -> Markup {
    html! {
        div #doubt {
            @if let Some(why) = &view.doubt {
                div.problem role="alert" {
                    p { strong { "The last states are held: " } (why) }
                    (super::forms::accept(forms))
                }
            }
        }
    }
}

pub(super) fn sites(view: &View, forms: &Forms) -> Markup {
    let row = |site: &Site| {
        let is_whole = site.eligible == site.targets;
        html! {
            tr #(id("site", &site.name)) role="row" {
                th scope="row" role="rowheader" { (site.name) }
                (cell("State", html! {
                    @if site.order.is_some() { (badge("drained", "BY ORDER")) }
                    @else if is_whole { (badge("up", "SERVED")) }
                    @else if site.eligible == 0 { (badge("down", "NOT SERVED")) }
                    @else { (badge("suspect", "IN PART")) }
                    @if let Some(order) = &site.order { span.muted { (order) } }
                }))
                (cell("Targets", html! { (site.eligible) " of " (site.targets) " may be served" }))
                (cell("Orders", html! {
                    div.actions {
                        @if site.order.is_some() { (take_back(forms, &site.name, &site.name)) }
                        @else { (drain(forms, &site.name, &site.name)) }
                        @if site.is_waiting { (failback(forms, &site.name, &site.name)) }
                    }
                }))
            }
        }
    };
    section(
        "sites",
        None,
        table(&["Site", "State", "Targets", "Orders"], view.sites.iter().map(row), "No target has a site."),
    )
}

pub(super) fn targets(view: &View, forms: &Forms) -> Markup {
    let rows = view.targets.iter().flat_map(|target| {
        target
            .addresses
            .iter()
            .enumerate()
            .map(move |(at, address)| target_row(view.now, target, at, address, forms))
    });
    let left_out = (view.targets_left_out > 0)
        .then(|| format!("{} more addresses: waypost health", view.targets_left_out));
    let titles = ["Target", "Site", "Address", "State", "Since", "Newest probes", "Orders"];
    section("targets", left_out, table(&titles, rows, "Nothing is probed: no zone has targets."))
}

fn target_row(now: Tick, target: &Target, at: usize, address: &Address, forms: &Forms) -> Markup {
    let whom = format!("{}/{}", target.zone, target.name);
    let shown = address.address.map_or_else(String::new, |address| address.to_string());
    html! {
        tr #(id("target", &format!("{whom} {shown} {at}"))) role="row" {
            th scope="row" role="rowheader" { (target.name) " " small.muted { (target.zone) } }
            (cell("Site", html! { (target.site.as_deref().unwrap_or(if target.is_canary { "canary" } else { "" })) }))
            (cell("Address", html! { span.data { (shown) } }))
            (cell("State", html! {
                (state(address))
                @if let Some(said) = &target.said { span.muted { (said) } }
                @if address.is_held { span.muted { "its death is doubted" } }
                @if address.is_stale { span.muted { "stale: its prober is silent" } }
                @if target.is_waiting { span.muted { "well again, waits for its failback" } }
            }))
            (cell("Since", html! { @if address.since.0 > 0 { (moment(address.since, now)) } }))
            (cell("Newest probes", html! { @for probe in &address.probes { (probe_line(probe, now)) } }))
            (cell("Orders", html! {
                @if at == 0 && !target.is_canary {
                    div.actions {
                        @if target.is_ordered { (take_back(forms, &whom, &target.name)) }
                        @else { (drain(forms, &whom, &target.name)) }
                        @if target.is_waiting { (failback(forms, &whom, &target.name)) }
                    }
                }
            }))
        }
    }
}

fn probe_line(probe: &Probe, now: Tick) -> Markup {
    html! {
        div.probe {
            span.muted { (probe.name) }
            @match &probe.last {
                Some((at, evidence, latency)) => {
                    span.evidence { (evidence) }
                    span.latency { (milliseconds(*latency)) }
                    (moment(*at, now))
                }
                None => span.muted { "not yet answered" },
            }
            @if let Some(evidence) = &probe.blocked { span { "turned away: " (evidence) } }
            @if probe.is_damped { span.muted { "held down because it flapped" } }
        }
    }
}

pub(super) fn answers(view: &View) -> Markup {
    let left_out =
        (view.routes_left_out > 0).then(|| format!("{} more routes: waypost explain", view.routes_left_out));
    let row = |Regional { regions, answer }: &Regional| {
        let ttl = answer.trail.iter().find_map(|step| step.strip_prefix("TTL "));
        let steps = answer.trail.iter().filter(|step| !step.starts_with("TTL "));
        html! {
            tr role="row" {
                th scope="row" role="rowheader" { (regions.join(", ")) }
                (cell("Answer", html! {
                    @for record in &answer.records { div.data { (record) } }
                    @if answer.failed_open { (badge("down", "FAILING OPEN")) }
                }))
                (cell("TTL", html! { (ttl.map_or_else(|| answer.ttl.to_string(), str::to_owned)) }))
                (cell("Why", html! { ul.why { @for step in steps { li { (step) } } } }))
            }
        }
    };
    let block = |routed: &Routed| {
        let (first, others) =
            routed.owners.split_first().map_or(("", 0), |(first, rest)| (first, rest.len()));
        html! {
            div.route #(id("route", &format!("{} {first} {}", routed.zone, routed.rtype))) {
                h3 { span.data { (first) } " " (routed.rtype) @if others > 0 { small.muted { " and " (others) " more names" } } }
                (table(&["Clients in", "Answer", "TTL", "Why"], routed.answers.iter().map(row), ""))
            }
        }
    };
    section(
        "answers",
        left_out,
        html! {
            @if view.routes.is_empty() { p.muted { "No name is routed." } }
            @for routed in &view.routes { (block(routed)) }
        },
    )
}

pub(super) fn timeline(view: &View) -> Markup {
    let item = |event: &Event| {
        let (class, word) = kind(event);
        html! {
            li #{ "event-" (event.id) } {
                (moment(event.at, view.now))
                (badge(class, word))
                div {
                    p { (event.text) }
                    @if let Some(evidence) = event.evidence.as_deref().filter(|evidence| !event.text.contains(evidence)) {
                        p.muted { @if let Some(cause) = &event.cause { (cause) ": " } span.evidence { (evidence) } }
                    }
                    (effects(&event.effects))
                }
            }
        }
    };
    section(
        "timeline",
        None,
        html! {
            @if view.events.is_empty() { p.muted { "Nothing has happened yet." } }
            ol.timeline { @for event in &view.events { (item(event)) } }
        },
    )
}

pub(super) fn zones(view: &View) -> Markup {
    let row = |(apex, zone): &(String, ZoneStatus)| {
        html! {
            tr #(id("zone", apex)) role="row" {
                th scope="row" role="rowheader" { (apex) }
                (cell("State", html! {
                    @match (zone.serial, &zone.error) {
                        (None, _) => (badge("down", "NEVER LOADED")),
                        (_, Some(_)) => (badge("suspect", "LAST GOOD")),
                        (_, None) => (badge("up", "LOADED")),
                    }
                }))
                (cell("Serial", html! { @if let Some(serial) = zone.serial { span.data { (serial) } } }))
                (cell("Records", html! { (zone.records) }))
                (cell("Loaded", html! { @if let Some(loaded) = zone.loaded { (moment(loaded, view.now)) } }))
                (cell("Source", html! { span.data { (zone.source) } }))
                (cell("Error", html! {
                    @if let Some((error, count)) = &zone.error {
                        span.evidence { (error) } @if *count > 1 { " and " (count - 1) " more" }
                    }
                }))
            }
        }
    };
    let left_out = (view.zones_left_out > 0).then(|| format!("{} more zones", view.zones_left_out));
    let titles = ["Zone", "State", "Serial", "Records", "Loaded", "Source", "Error"];
    section("zones", left_out, table(&titles, view.zones.iter().map(row), "There is no zone."))
}

pub(super) fn queries(view: &View) -> Markup {
    let all: u64 = view.placed.iter().map(|one| one.count).sum();
    let row = |one: &Placed| {
        let (how, by) =
            (found(one.how), if one.by_subnet { "client subnet (ECS)" } else { "source address" });
        let percent = 100.0 * one.count as f64 / all.max(1) as f64;
        html! {
            tr role="row" {
                th scope="row" role="rowheader" { (one.region) }
                (cell("Found by", html! { (how) }))
                (cell("Looked at", html! { (by) }))
                (cell("Responses", html! { span.number { (one.count) } }))
                (cell("Share", html! {
                    svg.share viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
                        rect width="100" height="8" {}
                        rect.part width=(format!("{percent:.1}")) height="8" {}
                    }
                    span.number { (format!("{percent:.1} %")) }
                }))
            }
        }
    };
    let titles = ["Region", "Found by", "Looked at", "Responses", "Share"];
    section(
        "queries",
        None,
        html! {
            (table(&titles, view.placed.iter().map(row), "No routed name has been asked for since the start."))
            (unplaced(&view.unplaced))
        },
    )
}

fn unplaced(unplaced: &Unplaced) -> Markup {
    let row = |one: &UnplacedNetwork| {
        let by = if one.by_subnet { "client subnet (ECS)" } else { "source address" };
        html! {
            tr role="row" {
                th scope="row" role="rowheader" { span.data { (one.network) } }
                (cell("Told by", html! { (by) }))
                (cell("The database says", html! { (one.known.as_deref().unwrap_or("nothing")) }))
                (cell("Zones", html! {
                    @for zone in &one.zones { div { (zone.zone) " " span.number { (zone.sampled) } } }
                }))
                (cell("In the sample", html! {
                    span.number { (one.sampled) }
                    @if one.overcounted > 0 { span.muted { "up to " (one.overcounted) " too many" } }
                }))
            }
        }
    };
    let titles = ["Network", "Told by", "The database says", "Zones", "In the sample"];
    let left_out = unplaced.networks.len().saturating_sub(PAGE_UNPLACED);
    html! {
        h3 #unplaced { "Networks that fell to default most often" }
        @match (unplaced.sample, &unplaced.since) {
            (Some(sample), Some(since)) => p.muted {
                "One of " (sample) " queries is looked at. Of " (unplaced.routed) " with a routed answer, "
                (unplaced.unplaced) " fell to default since " time datetime=(since) { (since) } "."
            },
            _ => p.muted { "Not counted: " code { "[unplaced] sample = 0" } "." },
        }
        (table(&titles, unplaced.networks.iter().take(PAGE_UNPLACED).map(row), "None in the sample."))
        @if left_out > 0 { p.muted { (left_out) " more: " code { "/v1/unplaced" } } }
    }
}

fn section(id: &str, left_out: Option<String>, content: Markup) -> Markup {
    let title = SECTIONS.iter().find(|(known, _)| *known == id).map_or(id, |(_, title)| title);
    html! {
        section #(id) aria-labelledby={ (id) "-title" } {
            h2 #{ (id) "-title" } { (title) }
            (content)
            @if let Some(text) = left_out { p.muted { (text) } }
        }
    }
}

fn table(titles: &[&str], rows: impl Iterator<Item = Markup>, nothing: &str) -> Markup {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return html! { p.muted { (nothing) } };
    }
    html! {
        table role="table" {
            thead role="rowgroup" {
                tr role="row" { @for title in titles { th scope="col" role="columnheader" data-title=(title) { (title) } } }
            }
            tbody role="rowgroup" { @for row in rows { (row) } }
        }
    }
}

/// A cell, which says its column's title where there is no room for columns.
fn cell(title: &str, content: Markup) -> Markup {
    html! { td role="cell" data-title=(title) { (content) } }
}

fn badge(class: &str, word: &str) -> Markup {
    html! { span.badge.(class) { (word) } }
}

fn state(address: &Address) -> Markup {
    match (address.desired, address.state) {
        (Desired::Drained, _) => badge("drained", "DRAINED"),
        (Desired::Up, _) => badge("drained", "FORCED UP"),
        (Desired::Down, _) => badge("drained", "FORCED DOWN"),
        (Desired::Auto, State::Up) => badge("up", "UP"),
        (Desired::Auto, State::Suspect) => badge("suspect", "SUSPECT"),
        (Desired::Auto, State::Down) => badge("down", "DOWN"),
        (Desired::Auto, State::Unknown) => badge("unknown", "UNKNOWN"),
    }
}

fn kind(event: &Event) -> (&'static str, &'static str) {
    match event.kind {
        Kind::Transition if event.text.contains("-> UP") => ("up", "UP"),
        Kind::Transition if event.text.contains("-> DOWN") => ("down", "DOWN"),
        Kind::Transition if event.text.contains("-> SUSPECT") => ("suspect", "SUSPECT"),
        Kind::Transition => ("unknown", "STATE"),
        Kind::Order => ("drained", "ORDER"),
        Kind::Failback => ("up", "FAILBACK"),
        Kind::Stale => ("suspect", "STALE"),
        Kind::Fresh => ("up", "FRESH"),
        Kind::Doubt => ("suspect", "DOUBT"),
        Kind::Error => ("down", "ERROR"),
        Kind::Notice => ("unknown", "NOTICE"),
    }
}

fn found(how: How) -> &'static str {
    match how {
        How::Default => "nothing: default",
        How::Network => "network list",
        How::Asn => "AS number",
        How::Subdivision => "subdivision",
        How::Country => "country",
        How::Continent => "continent",
    }
}

fn moment(at: Tick, now: Tick) -> Markup {
    let exact = rfc3339(at);
    html! { time datetime=(exact) title=(exact) { (short(now.since(at))) " ago" } }
}

fn milliseconds(latency: Duration) -> String {
    match latency.as_millis() {
        0 => "<1 ms".to_owned(),
        more => format!("{more} ms"),
    }
}

/// An id that stays the same from one page to the next, whatever the name holds.
pub(super) fn id(kind: &str, name: &str) -> String {
    let mut id = format!("{kind}-");
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || octet == b'-' {
            id.push(char::from(octet));
        } else {
            id.push_str(&format!("_{octet:02x}"));
        }
    }
    id
}
