//! Whether an answer says that the prober isn't let in, while the server may be well for others.
//!
//! Taking a dead server for one that blocks us leaves clients with it; so in doubt it has failed.
//!
//! | answer | means |
//! | --- | --- |
//! | enhanced code X.7.Y (RFC 3463 3.8: security or policy) | blocked |
//! | any other enhanced code, as X.3.Y (the system) | failed |
//! | none, but words of policy about this client | blocked |
//! | none, other words: `421 service not available`, `421 too busy` | failed |
//! | HTTP 403 or 429 with a header of gates, 429 with `Retry-After` | blocked |
//! | a reset before the first octet of a server that speaks first | blocked |
//! | `220-` and silence: postscreen sees whether a stranger speaks too early | blocked |

use hyper::header::HeaderMap;

/// What servers say to a client that they don't want, in lower case. All of it is about the client:
/// "too many connections" alone may hold for everybody.
const WORDS: &[&str] = &[
    "access denied",
    "blacklist",
    "blocked",
    "blocklist",
    "connections from",
    "denylist",
    "from this ip",
    "from your ip",
    "policy",
    "reputation",
    "your address",
    "your host",
    "your ip",
];

/// A reply of SMTP to the connection or to EHLO.
pub(super) fn by_reply(code: &str, text: &str) -> bool {
    if !code.starts_with(['4', '5']) {
        return false;
    }
    match enhanced(text) {
        Some((class, subject)) => code.starts_with(class) && subject == "7",
        None => speaks_of_policy(text),
    }
}

/// What a status says of a gate in front of the server: the header that only gates send.
pub(super) fn by_gate(status: u16, headers: &HeaderMap) -> Option<&'static str> {
    let marks: &[&'static str] = match status {
        403 => &["cf-ray", "cf-mitigated", "x-amzn-waf-action", "x-sucuri-id", "x-iinfo"],
        // RFC 6585 4: the client sent too much. A server that is busy says 503.
        429 => &["retry-after", "cf-ray", "cf-mitigated", "x-amzn-waf-action", "x-sucuri-id", "x-iinfo"],
        _ => &[],
    };
    marks.iter().copied().find(|mark| headers.contains_key(*mark))
}

/// Class and subject of an enhanced code (RFC 3463 2) at the beginning of a text.
fn enhanced(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.split(' ').next()?.splitn(3, '.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit());
    (class.len() == 1 && [class, subject, detail].into_iter().all(is_number)).then_some((class, subject))
}

fn speaks_of_policy(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_leave_their_mark() {
        let with = |name: &'static str| HeaderMap::from_iter([(name.parse().unwrap(), "1".parse().unwrap())]);
        assert_eq!(by_gate(403, &with("cf-ray")), Some("cf-ray"));
        assert_eq!(by_gate(429, &with("retry-after")), Some("retry-after"));
        // A server may say when it will be well again.
        assert_eq!(by_gate(403, &with("retry-after")), None);
        assert_eq!(by_gate(503, &with("cf-ray")), None);
        assert_eq!(by_gate(403, &HeaderMap::new()), None);
    }

    #[test]
    fn replies_that_turn_the_prober_away() {
        for (code, text) in [
            ("421", "4.7.0 mx.example.com Error: too many connections from 192.0.2.1"),
            ("421", "4.7.0 Try again later, closing connection."),
            ("554", "5.7.1 Service unavailable; client host [192.0.2.1] is listed"),
            ("554", "your address is listed"),
            ("550", "5.7.606 Access denied, banned sending IP"),
            ("421", "Too many concurrent SMTP connections from this IP address; please try again later."),
            (
                "554",
                "mx.example.com Your access to this mail system has been rejected due to the sending \
                     MTA's poor reputation",
            ),
        ] {
            assert!(by_reply(code, text), "{code} {text}");
        }
    }

    #[test]
    fn replies_of_servers_that_are_ill() {
        for (code, text) in [
            ("421", "4.3.0 mx.example.com Error: queue file write error"),
            ("421", "4.3.2 mx.example.com shutting down"),
            ("421", "4.3.2 Connection rate limit exceeded, blocked"),
            ("421", "mx.example.com Service not available, closing transmission channel"),
            ("421", "Too many concurrent SMTP connections; please try again later."),
            ("421", "too busy"),
            ("451", "5.7.1 a class that isn't the reply's"),
            ("521", "mx.example.com does not accept mail"),
            ("554", "5.3.0 no"),
            ("554", ""),
            ("220", "4.7.0 blocked"),
        ] {
            assert!(!by_reply(code, text), "{code} {text}");
        }
    }
}
