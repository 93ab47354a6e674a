//! The probe `prometheus`: a number that an exporter at the target gives, compared. A port that
//! answers says nothing of a queue in which mail drowns.

use std::net::SocketAddr;

use super::evidence::{Failure, Seen};
use super::http::Client;
use super::{Bound, Prometheus};
use crate::limits::PROBE_METRICS_OCTETS;

pub(super) async fn ask(client: Client<'_>, wanted: &Prometheus, to: SocketAddr) -> Result<Seen, Failure> {
    let (status, page) = client.page(&wanted.page, to, PROBE_METRICS_OCTETS).await?;
    if status != 200 {
        return Err(Failure::new(format!("metrics: HTTP {status}, wanted 200")));
    }
    judge(wanted, &String::from_utf8_lossy(&page))
}

fn judge(wanted: &Prometheus, page: &str) -> Result<Seen, Failure> {
    let name = &wanted.metric;
    let samples = page.lines().filter_map(|line| sample(line, name, &wanted.labels));
    let Some(sum) = samples.fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value)) else {
        return Err(Failure::new(format!("the metric {name} is missing")));
    };
    let figures = vec![(name.clone(), sum)];
    // NaN is neither below nor above anything.
    let is_well = wanted.below.is_none_or(|Bound(bound)| sum < bound)
        && wanted.above.is_none_or(|Bound(bound)| sum > bound);
    if is_well {
        return Ok(Seen { evidence: format!("{name} is {sum}"), figures });
    }
    let bounds = [("below", wanted.below), ("above", wanted.above)];
    let bounds: Vec<String> = bounds
        .iter()
        .filter_map(|(word, bound)| bound.map(|Bound(bound)| format!("{word} {bound}")))
        .collect();
    Err(Failure::new(format!("{name} is {sum}, wanted {}", bounds.join(" and "))).with(figures))
}

/// The value of a line, if it is a sample of this metric with these labels.
fn sample(line: &str, name: &str, labels: &[(String, String)]) -> Option<f64> {
    let rest = line.trim_start().strip_prefix(name)?;
    let (has, value) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None if rest.starts_with([' ', '\t']) => (Vec::new(), rest),
        None => return None,
    };
    if !labels.iter().all(|wanted| has.contains(wanted)) {
        return None;
    }
    // Behind the value there may be a time.
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// `metric` or `metric{label="value",...}`, as the configuration has it.
#[must_use]
pub fn parse_selector(text: &str) -> Option<(String, Vec<(String, String)>)> {
    let text = text.trim();
    let (name, labels) = match text.split_once('{') {
        Some((name, rest)) => {
            let (labels, behind) = parse_labels(rest)?;
            behind.is_empty().then_some((name.trim_end(), labels))?
        }
        None => (text, Vec::new()),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    (!name.is_empty() && name.chars().all(is_name)).then(|| (name.to_owned(), labels))
}

/// Labels up to the closing brace, and what stands behind it.
fn parse_labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim().to_owned(), value));
        let after = after.trim_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
        if rest == after && !rest.starts_with('}') {
            return None;
        }
    }
}

/// A value up to its closing quote, with what it escapes.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Http;

    const PAGE: &str = "\
# HELP postfix_queue_length Messages in a queue
# TYPE postfix_queue_length gauge
postfix_queue_length{queue=\"active\",host=\"a\"} 12
postfix_queue_length{queue=\"deferred\",host=\"a\"} 4000 1700000000000
postfix_queue_length{host=\"b}\\\"\",queue=\"deferred\"} 1.5e3
postfix_queue_length_total 9
load1 0.5
broken NaN
";

    fn judged(metric: &str, below: Option<f64>, above: Option<f64>) -> Result<String, String> {
        let (metric, labels) = parse_selector(metric).unwrap();
        let (below, above) = (below.map(Bound), above.map(Bound));
        let wanted = Prometheus { page: Http::get("a"), metric, labels, below, above };
        judge(&wanted, PAGE).map(|seen| seen.evidence).map_err(|failure| failure.evidence)
    }

    #[test]
    fn several_samples_are_summed_up() {
        let deferred = "postfix_queue_length{queue=\"deferred\"}";
        assert_eq!(judged(deferred, Some(6000.0), None).unwrap(), "postfix_queue_length is 5500");
        let drowning = judged(deferred, Some(5000.0), None).unwrap_err();
        assert_eq!(drowning, "postfix_queue_length is 5500, wanted below 5000");
        assert_eq!(
            judged("postfix_queue_length", Some(6000.0), None).unwrap(),
            "postfix_queue_length is 5512"
        );
        assert!(judged("postfix_queue_length{host=\"b}\\\"\"}", None, Some(1499.0)).is_ok());
        assert_eq!(
            judged("load1", Some(2.0), Some(1.0)).unwrap_err(),
            "load1 is 0.5, wanted below 2 and above 1"
        );
    }

    #[test]
    fn what_is_missing_is_no_success() {
        for metric in ["postfix_queue", "postfix_queue_length{queue=\"hold\"}", "HELP"] {
            assert!(judged(metric, Some(1e9), None).unwrap_err().ends_with("is missing"), "{metric}");
        }
        assert!(judged("broken", Some(1.0), None).is_err());
        assert!(judged("broken", None, Some(1.0)).is_err());
    }

    #[test]
    fn selectors() {
        for wrong in
            ["", "a b", "{a=\"b\"}", "a{b}", "a{b=c}", "a{b=\"c\"", "a{b=\"c\"}x", "a{b=\"c\" d=\"e\"}"]
        {
            assert_eq!(parse_selector(wrong), None, "{wrong}");
        }
        let (name, labels) = parse_selector("a{ b = \"c\", d=\"e,f\" }").unwrap();
        assert_eq!(name, "a");
        assert_eq!(labels, [("b".to_owned(), "c".to_owned()), ("d".to_owned(), "e,f".to_owned())]);
    }
}
