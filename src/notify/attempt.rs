//! One attempt to hand something over, and what became of it.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode};

use super::receiver::Endpoint;
use crate::diagnostic::with_causes;
use crate::{http, limits};

/// What became of an attempt, in words too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken(String),
    /// It wasn't, and may be another time: after so long, if the receiver said when.
    Later(String, Option<Duration>),
    /// It wasn't, and never will be.
    Refused(String),
}

impl Outcome {
    /// Something that isn't there yet: a file, a server, an answer.
    pub(super) fn later(why: impl std::fmt::Display) -> Outcome {
        Outcome::Later(why.to_string(), None)
    }
}

/// Sends a body by POST.
pub(super) async fn post(endpoint: &Endpoint, headers: &[(&'static str, String)], body: String) -> Outcome {
    // Files, and hundreds of roots: not on a thread that others wait for.
    let of_files = endpoint.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(&of_files)).await;
    let (client, url) = match prepared {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(outcome)) => return outcome,
        Err(error) => return Outcome::later(error),
    };
    let mut request = client.post(url).header(CONTENT_TYPE, "application/json").body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = match request.send().await {
        Ok(response) => response,
        // The URL may be a secret, and this is for the log.
        Err(error) => return Outcome::later(with_causes(&error.without_url())),
    };
    let status = response.status();
    let after = retry_after(response.headers(), SystemTime::now());
    judge(status, after, &beginning(response).await)
}

/// What a status code means for what was sent.
fn judge(status: StatusCode, after: Option<Duration>, said: &str) -> Outcome {
    let words = format!("HTTP {}{}{said}", status.as_u16(), if said.is_empty() { "" } else { ": " });
    match status.as_u16() {
        200..=299 => Outcome::Taken(words),
        // Request Timeout, Too Many Requests, and whatever ails the receiver itself.
        408 | 429 | 500..=599 => Outcome::Later(words, after),
        _ => Outcome::Refused(words),
    }
}

fn prepare(endpoint: &Endpoint) -> Result<(Client, reqwest::Url), Outcome> {
    let url = endpoint.url.read().map_err(Outcome::later)?;
    let base = if endpoint.path.is_empty() { &*url } else { url.trim_end_matches('/') };
    let Some(url) = http::url(&format!("{}{}", base, endpoint.path)) else {
        return Err(Outcome::later("what stands in the file of its URL is no URL of HTTP"));
    };
    let client = http::client(&url, endpoint.ca.as_deref()).map_err(Outcome::later)?;
    Ok((client.build().map_err(|error| Outcome::later(with_causes(&error)))?, url))
}

/// How long the receiver wants to be left alone: seconds, or a date (RFC 9110 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let of_date = || httpdate::parse_http_date(text).ok()?.duration_since(now).ok();
    let span = text.parse().ok().map(Duration::from_secs).or_else(of_date)?;
    Some(span.min(limits::NOTIFY_RETRY_AFTER))
}

/// The first line of an answer.
async fn beginning(mut response: reqwest::Response) -> String {
    let mut octets = Vec::new();
    while octets.len() < limits::NOTIFY_ANSWER_OCTETS {
        match response.chunk().await {
            Ok(Some(chunk)) => octets.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&octets);
    text.lines().next().unwrap_or("").chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let of = |code| judge(StatusCode::from_u16(code).unwrap(), None, "");
        assert!(matches!(of(200), Outcome::Taken(_)) && matches!(of(202), Outcome::Taken(_)));
        for code in [408, 429, 500, 502, 503] {
            assert!(matches!(of(code), Outcome::Later(..)), "{code}");
        }
        for code in [301, 400, 401, 403, 404, 410, 413] {
            assert!(matches!(of(code), Outcome::Refused(_)), "{code}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let of = |text: &str| retry_after(&[(RETRY_AFTER, text.parse().unwrap())].into_iter().collect(), now);
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:07 GMT"), None);
        assert_eq!(of("999999999"), Some(limits::NOTIFY_RETRY_AFTER));
        assert_eq!(of("soon"), None);
    }
}
