//! What HTTP probes ask, and what they want to see.

use super::probe::tls;
use super::reader::{File, Table, Value};
use crate::probe::spec::{HeaderRule, Http, HttpMethod, Tls, Wanted};

/// Reads the keys of a page: all but host and TLS.
pub(super) fn page(
    table: &Table<'_>,
    host: String,
    tls: Option<Tls>,
    port: impl Fn(u16) -> Option<u16>,
) -> Option<Http> {
    let methods = [("GET", HttpMethod::Get), ("HEAD", HttpMethod::Head)];
    let method = table.get("method").map_or(Some(HttpMethod::Get), |value| value.one_of(&methods));
    let body = table.get("body");
    if let (Some(HttpMethod::Head), Some(body)) = (method, &body) {
        body.key_error("the answer to HEAD has no body", "take GET, or a rule for a header");
    }
    let follow = table
        .get("redirects")
        .map_or(Some(false), |value| value.one_of(&[("refuse", false), ("follow", true)]));
    Some(Http {
        port: port(if tls.is_some() { 443 } else { 80 })?,
        tls,
        path: path(table, "/")?,
        method: method?,
        status: status(table),
        headers: headers(table),
        body: body.and_then(|value| value.string()),
        follow: follow?,
        host,
    })
}

/// A page with metrics: plain unless TLS is told of.
pub(super) fn metrics_page(
    file: &File<'_>,
    key: &Value<'_>,
    table: &Table<'_>,
    port: impl Fn(u16) -> Option<u16>,
) -> Option<Http> {
    let host = table.get("host").map_or(Some("metrics.invalid".to_owned()), |value| value.string())?;
    let is_tls = table.get("tls").and_then(|value| value.bool()).unwrap_or(false);
    let tls = if is_tls { Some(tls(table, Some(&host), file, key)?) } else { None };
    Some(Http { port: port(9_100)?, path: path(table, "/metrics")?, tls, ..Http::get(&host) })
}

fn path(table: &Table<'_>, usual: &str) -> Option<String> {
    let Some(value) = table.get("path") else { return Some(usual.to_owned()) };
    let path = value.string()?;
    if !path.starts_with('/') {
        value.error(format!("the path \"{path}\" doesn't begin with /"), format!("write \"/{path}\""));
    }
    Some(path)
}

/// `200`, `"200-399"`, or several of these.
fn status(table: &Table<'_>) -> Vec<(u16, u16)> {
    let Some(value) = table.get("status") else { return vec![(200, 399)] };
    let codes = 100..=599;
    let range = |one: &Value<'_>| {
        if one.is_integer() {
            return one.integer(codes.clone()).map(|code: u16| (code, code));
        }
        let text = one.str()?;
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let range =
            least.trim().parse().ok().zip(most.trim().parse().ok()).filter(|(least, most): &(u16, u16)| {
                codes.contains(&u64::from(*least)) && codes.contains(&u64::from(*most)) && least <= most
            });
        if range.is_none() {
            one.error(
                format!("\"{text}\" is no range of status codes"),
                "write 200, \"200-399\", or a list of these",
            );
        }
        range
    };
    value.list().iter().filter_map(range).collect()
}

/// `{ name = "X-Health", equals = "ok" }`, or several of these.
fn headers(table: &Table<'_>) -> Vec<HeaderRule> {
    let Some(value) = table.get("header") else { return Vec::new() };
    value.list().iter().filter_map(header).collect()
}

fn header(value: &Value<'_>) -> Option<HeaderRule> {
    let table = value.table()?;
    let name = table.need("name", "\"X-Health\"").and_then(|name| name.string());
    let text = |key| table.get(key).and_then(|value| value.string());
    let wanted = match (text("equals"), text("contains")) {
        (None, None) => Wanted::Present,
        (Some(text), None) => Wanted::Equals(text),
        (None, Some(text)) => Wanted::Contains(text),
        (Some(_), Some(_)) => {
            value.error("a header is wanted to be equal or to contain", "take one of equals and contains");
            return None;
        }
    };
    table.finish();
    let name = name?;
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) {
        value.error(format!("\"{name}\" is no name of a header"), "write it as \"X-Health\"");
        return None;
    }
    Some(HeaderRule { name, wanted })
}
