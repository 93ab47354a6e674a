//! What a probe saw, as one line for a person at 3 a.m.

use std::error::Error;
use std::io;

use crate::limits::PROBE_EVIDENCE_CHARACTERS;

/// What a healthy probe saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(super) evidence: String,
    pub(super) figures: Vec<(String, f64)>,
}

impl Seen {
    pub(super) fn new(evidence: impl Into<String>) -> Seen {
        Seen { evidence: evidence.into(), figures: Vec::new() }
    }
}

/// Why a probe isn't healthy.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(super) evidence: String,
    /// The server is there, or nothing was learnt of it: the prober wasn't let in.
    pub(super) blocked: bool,
    pub(super) figures: Vec<(String, f64)>,
    /// The target's own kernel said that nobody listens: no lost packet looks like that.
    pub(super) refused: bool,
    /// Nothing can be sent there, says this machine or a router: the way is cut.
    pub(super) unreachable: bool,
}

impl Failure {
    pub(super) fn new(evidence: impl Into<String>) -> Failure {
        let (blocked, refused, unreachable) = (false, false, false);
        Failure { evidence: evidence.into(), blocked, figures: Vec::new(), refused, unreachable }
    }

    pub(super) fn blocked(evidence: impl Into<String>) -> Failure {
        Failure { blocked: true, ..Failure::new(evidence) }
    }

    /// Adds what was measured none the less.
    pub(super) fn with(self, figures: Vec<(String, f64)>) -> Failure {
        Failure { figures, ..self }
    }
}

/// An error of a socket. When this machine has no file, port or source address left for a probe,
/// its target isn't to blame.
pub(super) fn of_socket(error: &io::Error) -> Failure {
    use rustix::io::Errno;
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    let evidence = of_error(error);
    if Errno::from_io_error(error).is_some_and(|errno| ours.contains(&errno)) {
        return Failure::blocked(format!("not sent: {evidence}"));
    }
    let refused = error.kind() == io::ErrorKind::ConnectionRefused;
    let unreachable = matches!(
        error.kind(),
        io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::TimedOut
            | io::ErrorKind::PermissionDenied
    );
    Failure { refused, unreachable, ..Failure::new(evidence) }
}

/// One printable line of bounded length. What servers say is theirs: line ends, escape sequences
/// and text that turns direction must not reach a terminal.
pub(super) fn printable(text: &str) -> String {
    let mut words = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !words.is_empty() {
            words.push(' ');
        }
        words.extend(word.chars().filter(|c| !turns_text(*c)));
    }
    if let Some((cut, _)) = words.char_indices().nth(PROBE_EVIDENCE_CHARACTERS) {
        words.truncate(cut);
    }
    words
}

/// Names an error by its innermost cause: libraries wrap a refused connection into sentences that
/// say less.
pub(super) fn of_error(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    loop {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return format!("TLS: {tls}");
        }
        // An I/O error's source is its payload's source: the payload itself has to be asked for.
        let payload = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match payload.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source()) {
            Some(deeper) => cause = deeper,
            None => break,
        }
    }
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        Some(io::ErrorKind::UnexpectedEof) => "connection closed early".to_owned(),
        Some(io::ErrorKind::HostUnreachable) => "host unreachable".to_owned(),
        Some(io::ErrorKind::NetworkUnreachable) => "network unreachable".to_owned(),
        Some(io::ErrorKind::TimedOut) => "connection timed out".to_owned(),
        _ => cause.to_string(),
    }
}

/// Invisible characters that reorder or hide what follows (Unicode bidirectional controls,
/// zero-width marks).
fn turns_text(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_printable_and_short() {
        assert_eq!(printable("220 mx\r\n\x1b[31mred\x07\t\u{202e}x "), "220 mx [31mred x");
        assert_eq!(printable(&"ä".repeat(500)).chars().count(), PROBE_EVIDENCE_CHARACTERS);
        assert_eq!(printable("\u{feff}"), "");
    }

    #[test]
    fn a_way_that_is_cut_is_no_answer() {
        use rustix::io::Errno;
        for (errno, unreachable, refused) in [
            (Errno::NETUNREACH, true, false),
            (Errno::HOSTUNREACH, true, false),
            (Errno::CONNREFUSED, false, true),
            (Errno::CONNRESET, false, false),
        ] {
            let failure = of_socket(&errno.into());
            assert_eq!((failure.unreachable, failure.refused), (unreachable, refused), "{errno}");
        }
    }

    #[test]
    fn errors_are_named_by_their_cause() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(of_error(&io::Error::other(refused)), "connection refused");
        let tls = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        assert_eq!(of_error(&tls), format!("TLS: {}", rustls::Error::DecryptError));
    }
}
