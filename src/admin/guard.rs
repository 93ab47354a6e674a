//! Who asks: the user at the other end of the Unix socket, or whose token or session a request has.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::serve::IncomingStream;
use subtle::ConstantTimeEq;
use tokio::net::UnixListener;

use super::api::Problem;
use super::attempts::{Attempt, Attempts};
use super::session::{Session, Sessions, digest_of, is_same};
use crate::limits::ADMIN_SESSION_TIME;
use crate::publish::now;

/// Where one signs in.
pub(super) const SIGN_IN: &str = "/sign-in";

/// The name of whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who(pub(super) String);

/// The process at the other end of a Unix socket.
#[derive(Clone, Debug)]
pub(super) struct Peer(String);

/// How whoever asks may fill forms of the status page in.
#[derive(Clone, Debug)]
pub(super) struct Forms {
    /// What each form must hold, which no other origin's page can know.
    pub(super) seal: String,
    /// Whether a session was begun, which can be ended.
    pub(super) is_session: bool,
}

/// What a request must have.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// Over TCP alone: the file of tokens.
    pub(super) tokens: PathBuf,
    /// Those who signed in.
    pub(super) sessions: Arc<Sessions>,
    /// Those who showed wrong tokens.
    pub(super) attempts: Arc<Attempts>,
    /// Of forms without a session.
    pub(super) seal: String,
    /// The name of the session's cookie: browsers don't keep those of several ports apart.
    pub(super) cookie: String,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Peer {
        Peer(stream.io().peer_cred().map_or_else(|_| "somebody".to_owned(), |peer| user(peer.uid())))
    }
}

/// Lets whoever may open the socket in, by the name of their user.
pub(super) async fn local(
    State(guard): State<Guard>,
    Extension(ConnectInfo(Peer(name))): Extension<ConnectInfo<Peer>>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(Who(name));
    request.extensions_mut().insert(Forms { seal: guard.seal, is_session: false });
    next.run(request).await
}

/// Lets whoever has a token in, by the name beside it. A session is enough to look.
pub(super) async fn remote(
    State(guard): State<Guard>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let is_look = request.method().is_safe();
    guard.admit(client.ip(), request, next, is_look).await
}

/// The same for the status page, whose forms hold a seal. Without either one may sign in.
pub(super) async fn page(
    State(guard): State<Guard>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let is_look = request.method().is_safe();
    let response = guard.admit(client.ip(), request, next, true).await;
    match response.status() {
        StatusCode::UNAUTHORIZED if is_look => Redirect::to(SIGN_IN).into_response(),
        _ => response,
    }
}

/// Turns away what another origin's page, or a name that points here, has a browser send.
pub(super) async fn origin(request: Request, next: Next) -> Response {
    let headers = request.headers();
    match literal_host(headers).and_then(|()| same_origin(headers)) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

impl Guard {
    async fn admit(&self, client: IpAddr, mut request: Request, next: Next, sessions: bool) -> Response {
        let headers = request.headers();
        let session =
            self.session(headers).filter(|_| sessions && !headers.contains_key(header::AUTHORIZATION));
        let admitted = match session {
            Some((who, session)) => Ok((who, Forms { seal: session.seal, is_session: true })),
            None => {
                let forms = Forms { seal: self.seal.clone(), is_session: false };
                self.owner(headers, client).map(|who| (who, forms))
            }
        };
        match admitted {
            Ok((who, forms)) => {
                request.extensions_mut().insert(who);
                request.extensions_mut().insert(forms);
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        }
    }

    /// Begins a session for whoever has this token: the header that sets its cookie.
    pub(super) fn sign_in(&self, token: &str, client: IpAddr) -> Result<String, Problem> {
        let Who(name) = self.owner_of(token.trim(), client)?;
        let none = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the system has no random numbers");
        let session = self.sessions.begin(token.trim(), now()).ok_or_else(none)?;
        tracing::info!(by = %name, "signed in at the status page");
        let seconds = ADMIN_SESSION_TIME.as_secs();
        Ok(format!(
            "{}={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict",
            self.cookie, session.cookie
        ))
    }

    /// Ends the session of a request: the header that takes its cookie back.
    pub(super) fn sign_out(&self, headers: &HeaderMap) -> String {
        if let Some(cookie) = self.cookie_in(headers) {
            self.sessions.end(cookie);
        }
        format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", self.cookie)
    }

    /// Whether a form has the seal of the session that sends it.
    pub(super) fn is_sealed(&self, headers: &HeaderMap, seal: &str) -> bool {
        self.session(headers).is_some_and(|(_, session)| is_same(&session.seal, seal))
    }

    fn session(&self, headers: &HeaderMap) -> Option<(Who, Session)> {
        let session = self.sessions.of(self.cookie_in(headers)?, now())?;
        let is_its = |known: &str| bool::from(digest_of(known).ct_eq(&session.token));
        Some((self.owner_where(is_its)?, session))
    }

    fn cookie_in<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split(';')).find_map(|one| {
            let (name, value) = one.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        })
    }

    /// Whose token a header has. A request without any guesses at none.
    fn owner(&self, headers: &HeaderMap, client: IpAddr) -> Result<Who, Problem> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(unknown)?;
        self.owner_of(given.trim(), client)
    }

    /// Whose token it is that a client shows.
    fn owner_of(&self, given: &str, client: IpAddr) -> Result<Who, Problem> {
        let known = || self.owner_where(|known| is_same(known, given));
        match self.attempts.look(client, Instant::now(), known) {
            Attempt::Right(who) => Ok(who),
            Attempt::Wrong => Err(unknown()),
            Attempt::LastWrong => {
                tracing::warn!(%client, "too many wrong tokens: no more of this client are looked at for a minute");
                Err(unknown())
            }
            Attempt::Refused(wait) => {
                let text = "too many wrong tokens came from this address: wait a minute";
                Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, text).after(wait))
            }
        }
    }

    /// Whose token is such. The file is read each time, so that a token that leaked is gone at once.
    fn owner_where(&self, is_such: impl Fn(&str) -> bool) -> Option<Who> {
        let text = match fs::read_to_string(&self.tokens) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(file = %self.tokens.display(), %error, "no token can be checked");
                return None;
            }
        };
        let mut owner = None;
        // All are compared, so that the time tells nothing.
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((name, token)) = line.split_once(char::is_whitespace) else { continue };
            let token = token.trim();
            if is_such(token) && !token.is_empty() {
                owner = Some(Who(name.to_owned()));
            }
        }
        owner
    }
}

fn unknown() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "a token is needed that is known here")
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

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

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

    fn guard(scratch: &tempfile::TempDir) -> Guard {
        let tokens = scratch.path().join("tokens");
        fs::write(&tokens, "# who token\nalice  s3cret\nempty\n").unwrap();
        let (seal, cookie) = ("sealed".to_owned(), "waypost-8080".to_owned());
        Guard { tokens, sessions: Arc::default(), attempts: Arc::default(), seal, cookie }
    }

    #[test]
    fn a_token_names_its_owner() {
        let scratch = tempfile::tempdir().unwrap();
        let guard = guard(&scratch);
        let owner = |value: &str| guard.owner(&headers(&[(header::AUTHORIZATION, value)]), CLIENT).ok();
        assert_eq!(owner("Bearer s3cret"), Some(Who("alice".to_owned())));
        for wrong in ["Bearer s3cre", "Bearer ", "s3cret", "Bearer empty", "Bearer token2"] {
            assert_eq!(owner(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_session_lasts_as_long_as_its_token() {
        let scratch = tempfile::tempdir().unwrap();
        let guard = guard(&scratch);
        for wrong in ["", "s3cre", "empty"] {
            assert!(guard.sign_in(wrong, CLIENT).is_err(), "{wrong:?}");
        }
        let set = guard.sign_in(" s3cret ", CLIENT).unwrap();
        assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
        let cookie = format!("other=1; {}", set.split(';').next().unwrap());
        let asked = headers(&[(header::COOKIE, &cookie)]);
        let whose = |guard: &Guard| guard.session(&asked).map(|(Who(name), _)| name);
        assert_eq!(whose(&guard).as_deref(), Some("alice"));
        fs::write(&guard.tokens, "bob another\n").unwrap();
        assert_eq!(whose(&guard), None);
        fs::write(&guard.tokens, "alice s3cret\n").unwrap();
        assert_eq!(whose(&guard).as_deref(), Some("alice"));
        assert!(guard.sign_out(&asked).contains("Max-Age=0"));
        assert_eq!(whose(&guard), None);
    }
}
