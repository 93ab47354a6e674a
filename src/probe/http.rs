//! The probe `http`: a request to the target's address, as the client of a service would send it.

use std::net::{Ipv6Addr, SocketAddr};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::blocked;
use super::dial::{Deadline, Dialer};
use super::evidence::{Failure, Seen, of_error};
use super::tls::Agreed;
use super::{HeaderRule, Http, HttpMethod, Tls, Trust, Wanted};
use crate::limits::{PROBE_BODY_OCTETS, PROBE_HEADER_OCTETS, PROBE_REDIRECTS};

/// What HTTP probes need beside their own settings.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) trust: &'a Trust,
    pub(super) user_agent: &'a HeaderValue,
    pub(super) deadline: Deadline,
}

/// Asks and judges. `to` gives the target's address for a port.
pub(super) async fn ask(
    client: Client<'_>,
    http: &Http,
    to: impl Fn(u16) -> SocketAddr,
) -> Result<Seen, Failure> {
    let mut place = Place { tls: http.tls.is_some(), port: http.port, path: http.path.clone() };
    let mut answer = client.get(http, &place, to(place.port)).await?;
    let mut hops = 0;
    while http.follow && answer.is_redirect() {
        let Some(next) = answer.location().and_then(|location| place.joined(&http.host, location)) else {
            return Err(Failure::new(format!("HTTP {}, which leads to another host", answer.status())));
        };
        hops += 1;
        if hops > PROBE_REDIRECTS {
            return Err(Failure::new(format!("HTTP {}, the {hops}th redirect", answer.status())));
        }
        place = next;
        answer = client.get(http, &place, to(place.port)).await?;
    }
    let status = answer.status();
    let evidence = match &answer.agreed {
        Some(agreed) => format!("HTTP {status} ({})", agreed.evidence()),
        None => format!("HTTP {status}"),
    };
    let agreed = answer.agreed.take();
    let judged = judge(client, http, &mut answer).await;
    answer.leave(client.deadline).await;
    judged?;
    let seen = Seen::new(evidence);
    match (agreed, &http.tls) {
        (Some(agreed), Some(tls)) => agreed.judge(tls, seen),
        _ => Ok(seen),
    }
}

async fn judge(client: Client<'_>, http: &Http, answer: &mut Answer) -> Result<(), Failure> {
    let status = answer.status();
    if !http.status.iter().any(|(from, to)| (*from..=*to).contains(&status)) {
        let wanted: Vec<String> = http.status.iter().map(|(from, to)| range(*from, *to)).collect();
        let evidence = format!("HTTP {status}, wanted {}", wanted.join(", "));
        if let Some(mark) = blocked::by_gate(status, answer.response.headers()) {
            return Err(Failure::blocked(format!("{evidence} ({mark})")));
        }
        return Err(Failure::new(evidence));
    }
    for rule in &http.headers {
        if !rule_holds(rule, answer.response.headers()) {
            let name = &rule.name;
            return Err(Failure::new(format!("HTTP {status}, but the header {name} isn't as wanted")));
        }
    }
    if let Some(text) = &http.body {
        let body = client.deadline.limit("HTTP body", answer.body(PROBE_BODY_OCTETS)).await?;
        let body = body.map_err(|error| Failure::new(format!("HTTP {status}, then {}", of_error(&error))))?;
        let text = text.as_bytes();
        if !text.is_empty() && !body.windows(text.len()).any(|window| window == text) {
            return Err(Failure::new(format!("HTTP {status}, but the body lacks its text")));
        }
    }
    Ok(())
}

fn rule_holds(rule: &HeaderRule, headers: &HeaderMap) -> bool {
    let mut values =
        headers.get_all(&rule.name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    match &rule.wanted {
        Wanted::Present => values.next().is_some(),
        Wanted::Equals(text) => values.any(|value| value == text.as_str()),
        Wanted::Contains(text) => values.any(|value| value.contains(text.as_str())),
    }
}

/// Where a request goes at the target. A redirect leads to other ports and paths of it, never to
/// another machine: what that says is no news of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    tls: bool,
    port: u16,
    path: String,
}

impl Place {
    /// Where a `Location` leads (RFC 9110 10.2.2), if that is the same host.
    fn joined(&self, host: &str, location: &str) -> Option<Place> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(Place { path: without_fragment(location).to_owned(), ..self.clone() });
        }
        let (tls, rest) = match location.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some(_) => return None,
            None => (self.tls, location.strip_prefix("//")?),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()?),
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let path = without_fragment(path);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        name.eq_ignore_ascii_case(&bracketed(host)).then_some(Place { tls, port, path })
    }
}

fn without_fragment(path: &str) -> &str {
    path.split('#').next().unwrap_or(path)
}

/// An answer whose body hasn't been read.
struct Answer {
    response: Response<Incoming>,
    agreed: Option<Agreed>,
    /// The connection, which moves the body.
    connection: Driver,
}

/// A task that ends with what it serves.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Answer {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn is_redirect(&self) -> bool {
        self.response.status().is_redirection() && self.response.headers().contains_key(LOCATION)
    }

    fn location(&self) -> Option<&str> {
        self.response.headers().get(LOCATION)?.to_str().ok()
    }

    /// Reads what is still to come of a short page and lets the connection end in order: a server
    /// whose client went early may log it.
    async fn leave(mut self, deadline: Deadline) {
        let end = async {
            let _ = self.body(PROBE_BODY_OCTETS).await;
            drop(self.response);
            let _ = (&mut self.connection.0).await;
        };
        let _ = deadline.for_farewell().limit("end", end).await;
    }

    /// The beginning of the body.
    async fn body(&mut self, octets: usize) -> hyper::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(frame) = self.response.body_mut().frame().await {
            if let Ok(data) = frame?.into_data() {
                body.extend_from_slice(&data[..data.len().min(octets - body.len())]);
            }
            if body.len() >= octets {
                break;
            }
        }
        Ok(body)
    }
}

impl Client<'_> {
    /// The body of a page, for those that look for something else in it than a text.
    pub(super) async fn page(
        self,
        http: &Http,
        to: SocketAddr,
        octets: usize,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let place = Place { tls: http.tls.is_some(), port: http.port, path: http.path.clone() };
        let mut answer = self.get(http, &place, to).await?;
        let body = self.deadline.limit("HTTP body", answer.body(octets)).await?;
        Ok((answer.status(), body.map_err(|error| Failure::new(of_error(&error)))?))
    }

    /// One request over a connection of its own, as a new visitor's.
    async fn get(self, http: &Http, place: &Place, to: SocketAddr) -> Result<Answer, Failure> {
        let request = request(http, place, self.user_agent)?;
        let stream = self.dialer.connect(to, self.deadline).await?;
        if !place.tls {
            return self.exchange(stream, request, None).await;
        }
        let of_host;
        let tls = match &http.tls {
            Some(tls) => tls,
            // A redirect from HTTP to HTTPS: the certificate is the host's.
            None => {
                of_host = Tls::of(&http.host);
                &of_host
            }
        };
        let stream = self.trust.connect(stream, tls, self.deadline).await?;
        let agreed = Agreed::of(&stream);
        self.exchange(stream, request, Some(agreed)).await
    }

    async fn exchange<S>(
        self,
        stream: S,
        request: Request<Empty<Bytes>>,
        agreed: Option<Agreed>,
    ) -> Result<Answer, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| Failure::new(of_error(&error));
        let built = http1::Builder::new().max_buf_size(PROBE_HEADER_OCTETS).handshake(TokioIo::new(stream));
        let (mut sender, connection) = built.await.map_err(failed)?;
        let connection = Driver(tokio::spawn(async move {
            // Its error is also the request's.
            let _ = connection.await;
        }));
        let response = self.deadline.limit("HTTP answer", sender.send_request(request)).await?;
        Ok(Answer { response: response.map_err(failed)?, agreed, connection })
    }
}

/// The request itself; its target is a path (RFC 9112 3.2.1), so that nothing in it leads elsewhere.
fn request(http: &Http, place: &Place, user_agent: &HeaderValue) -> Result<Request<Empty<Bytes>>, Failure> {
    let path = if place.path.starts_with('/') { place.path.clone() } else { format!("/{}", place.path) };
    let target: Uri =
        without_fragment(&path).parse().map_err(|_| Failure::new(format!("{path:?} is no path")))?;
    let method = match http.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
    };
    Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, host(http, place)?)
        .header(USER_AGENT, user_agent)
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| Failure::new(of_error(&error)))
}

/// What a client of the service would send: the port unless it is the usual one (RFC 9110 7.2).
fn host(http: &Http, place: &Place) -> Result<HeaderValue, Failure> {
    let usual = if place.tls { 443 } else { 80 };
    let host = bracketed(&http.host);
    let value = if place.port == usual { host } else { format!("{host}:{}", place.port) };
    HeaderValue::from_str(&value).map_err(|_| Failure::new(format!("{value:?} is no host")))
}

fn bracketed(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}

fn range(from: u16, to: u16) -> String {
    if from == to { from.to_string() } else { format!("{from}-{to}") }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
