//! JSON for programs, signed so that they know whom it is from.

use std::path::Path;

use ring::hmac;
use serde::Serialize;

use super::attempt::{Outcome, post};
use super::message::{Item, Message};
use super::receiver::{Endpoint, read_secret};
use super::template::Template;
use crate::health::Tick;
use crate::health::tick::rfc3339;

/// The header with the signature.
const SIGNATURE: &str = "Waypost-Signature";

/// Version of the format; another one wouldn't be understood by who knows this one.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Body<'m> {
    version: u32,
    id: u64,
    test: bool,
    server: &'m str,
    at: String,
    severity: &'static str,
    title: String,
    text: String,
    zones: Vec<&'m str>,
    sites: Vec<&'m str>,
    events: &'m [Item],
    omitted: usize,
}

pub(super) async fn send(
    endpoint: &Endpoint,
    secret: Option<&Path>,
    message: &Message,
    template: &Template,
    now: Tick,
) -> Outcome {
    let body = match body(message, template) {
        Ok(body) => body,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let mut headers = Vec::new();
    if let Some(path) = secret {
        match read_secret(path) {
            Ok(secret) if secret.is_empty() => {
                return Outcome::later(format!("{}: there is no secret in it", path.display()));
            }
            Ok(secret) => headers.push((SIGNATURE, signature(&secret, now, &body))),
            Err(error) => return Outcome::later(error),
        }
    }
    post(endpoint, &headers, body).await
}

fn body(message: &Message, template: &Template) -> serde_json::Result<String> {
    serde_json::to_string(&Body {
        version: VERSION,
        id: message.id,
        test: message.test,
        server: &message.server,
        at: rfc3339(message.at),
        severity: message.severity.word(),
        title: template.title.fill_line(message),
        text: template.text.fill(message),
        zones: message.zones(),
        sites: message.sites(),
        events: &message.events,
        omitted: message.omitted,
    })
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 over the time, a dot and the body, so that an old message can't
/// be sent again by somebody else as though it were new.
fn signature(secret: &str, now: Tick, body: &str) -> String {
    let seconds = now.0 / 1_000;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_what_others_compute() {
        // printf '1795509208.{}' | openssl dgst -sha256 -hmac s3cret
        assert_eq!(
            signature("s3cret", Tick(1_795_509_208_999), "{}"),
            "t=1795509208,v1=31d2705b4f91743fa9de10be2dc2eaf57b5075a28c061aa1109d3086bba9045e"
        );
    }
}
