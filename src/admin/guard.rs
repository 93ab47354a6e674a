//! Who asks: the user at the other end of the Unix socket, or whose token a request has.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use axum::Extension;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use subtle::ConstantTimeEq;
use tokio::net::UnixListener;

use super::api::Problem;

/// The name of whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who(pub(super) String);

/// The process at the other end of a Unix socket.
#[derive(Clone, Debug)]
pub(super) struct Peer(String);

/// What a request over TCP must have.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) tokens: PathBuf,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Peer {
        Peer(stream.io().peer_cred().map_or_else(|_| "somebody".to_owned(), |peer| user(peer.uid())))
    }
}

/// Lets whoever may open the socket in, by the name of their user.
pub(super) async fn local(
    Extension(ConnectInfo(Peer(name))): Extension<ConnectInfo<Peer>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = same_origin(request.headers()) {
        return problem.into_response();
    }
    request.extensions_mut().insert(Who(name));
    next.run(request).await
}

/// Lets whoever has a token in, by the name beside it.
pub(super) async fn remote(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let admitted = literal_host(request.headers())
        .and_then(|()| same_origin(request.headers()))
        .and_then(|()| guard.owner(request.headers()));
    match admitted {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl Guard {
    /// Whose token it is. The file is read each time, so that a token that leaked is gone at once.
    fn owner(&self, headers: &HeaderMap) -> Result<Who, Problem> {
        let refused = || Problem::new(StatusCode::UNAUTHORIZED, "a token is needed that is known here");
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(refused)?;
        let text = fs::read_to_string(&self.tokens).map_err(|error| {
            tracing::error!(file = %self.tokens.display(), %error, "no token can be checked");
            refused()
        })?;
        let mut owner = None;
        // All are compared, so that the time tells nothing.
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((name, token)) = line.split_once(char::is_whitespace) else { continue };
            let token = token.trim();
            if bool::from(token.as_bytes().ct_eq(given.trim().as_bytes())) && !token.is_empty() {
                owner = Some(Who(name.to_owned()));
            }
        }
        owner.ok_or_else(refused)
    }
}

/// A page of another origin must not order anything by its reader's browser.
fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    if authority.is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "requests of another origin's pages are refused"))
}

/// A name in Host may have been pointed here by anybody (DNS rebinding); an address can't be.
fn literal_host(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "write this server's address in place of a name"))
}

/// The name of a user, or the number.
fn user(uid: u32) -> String {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| format!("uid {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(header::HeaderName, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn other_origins_and_names_are_refused() {
        let from = |origin, host| same_origin(&headers(&[(header::ORIGIN, origin), (header::HOST, host)]));
        assert!(from("http://127.0.0.1:8080", "127.0.0.1:8080").is_ok());
        for origin in
            ["http://evil.example", "null", "http://127.0.0.1:8081", "http://127.0.0.1:8080.example"]
        {
            assert!(from(origin, "127.0.0.1:8080").is_err(), "{origin}");
        }
        let at = |host| literal_host(&headers(&[(header::HOST, host)]));
        assert!(["127.0.0.1:8080", "[::1]:8080", "localhost:8080"].into_iter().all(|host| at(host).is_ok()));
        assert!(at("rebound.example:8080").is_err() && literal_host(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_token_names_its_owner() {
        let scratch = tempfile::tempdir().unwrap();
        let guard = Guard { tokens: scratch.path().join("tokens") };
        fs::write(&guard.tokens, "# who token\nalice  s3cret\nempty\n").unwrap();
        let owner = |value: &str| guard.owner(&headers(&[(header::AUTHORIZATION, value)])).ok();
        assert_eq!(owner("Bearer s3cret"), Some(Who("alice".to_owned())));
        for wrong in ["Bearer s3cre", "Bearer ", "s3cret", "Bearer empty", "Bearer token2"] {
            assert_eq!(owner(wrong), None, "{wrong}");
        }
    }
}
