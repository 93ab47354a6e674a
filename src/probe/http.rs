//! The probe `http`: one request to the target's address, as the client of a service would send it.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HOST, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use super::dial::Deadline;
use super::evidence::{Failure, of_error};
use super::{Http, TlsVersion, Trust};
use crate::limits::PROBE_BODY_OCTETS;

/// How probes call themselves, so that operators can find them in logs.
const USER_AGENT: &str = concat!("waypost/", env!("CARGO_PKG_VERSION"), " (health probe)");

pub(super) async fn ask(
    to: SocketAddr,
    http: &Http,
    trust: &Trust,
    deadline: Deadline,
) -> Result<String, Failure> {
    let client = client(to, http, trust)?;
    let request = client.get(url(to, http)?).header(HOST, host(http)?);
    let response = deadline.limit("HTTP answer", request.send()).await?;
    let response = response.map_err(|error| Failure::new(of_error(&error)))?;
    let status = response.status().as_u16();
    if !http.status.iter().any(|(from, to)| (*from..=*to).contains(&status)) {
        let wanted: Vec<String> = http.status.iter().map(|(from, to)| range(*from, *to)).collect();
        return Err(Failure::new(format!("HTTP {status}, wanted {}", wanted.join(", "))));
    }
    if let Some(text) = &http.body {
        let found = deadline.limit("HTTP body", contains(response, text.as_bytes())).await?;
        if !found.map_err(|error| Failure::new(format!("HTTP {status}, then {}", of_error(&error))))? {
            return Err(Failure::new(format!("HTTP {status}, but the body lacks its text")));
        }
    }
    Ok(format!("HTTP {status}"))
}

/// A client for one request: every probe opens its own connection, as a new visitor does.
fn client(to: SocketAddr, http: &Http, trust: &Trust) -> Result<Client, Failure> {
    let verify = http.tls.as_ref().is_some_and(|tls| tls.verify);
    let built = Client::builder()
        // Also without TLS: reqwest would look for a crypto provider of the whole process.
        .tls_backend_preconfigured(trust.config(verify, TlsVersion::V1_2).as_ref().clone())
        .dns_resolver(OnlyTarget(to))
        // A proxy from the environment would answer in the target's place.
        .no_proxy()
        .redirect(Policy::none())
        .http1_only()
        .pool_max_idle_per_host(0)
        .user_agent(USER_AGENT)
        .build();
    built.map_err(|error| Failure::new(of_error(&error)))
}

/// Resolves every name to the target.
struct OnlyTarget(SocketAddr);

impl Resolve for OnlyTarget {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// The URL decides SNI and the certificate's name, so its host is that of `tls`; without TLS it
/// decides nothing, and is a name that can't be taken for an address.
fn url(to: SocketAddr, http: &Http) -> Result<Url, Failure> {
    let bad = |what: &str| Failure::new(format!("{what} can't be asked for"));
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    let mut url = Url::parse(&format!("{scheme}://target.invalid/")).map_err(|_| bad("nothing"))?;
    if let Some(tls) = &http.tls {
        match tls.name.parse::<IpAddr>() {
            // An address in a URL is connected to as it is. Only the target's own may stand there.
            Ok(address) if address != to.ip() => return Err(bad("a certificate for another address")),
            Ok(address) => url.set_ip_host(address).map_err(|()| bad(&tls.name))?,
            Err(_) => {
                let name = tls.name.strip_suffix('.').unwrap_or(&tls.name);
                url.set_host(Some(name)).map_err(|_| bad(name))?;
                if url.domain().is_none() {
                    return Err(bad(name));
                }
            }
        }
    }
    url.set_port(Some(to.port())).map_err(|()| bad("the port"))?;
    let (path, query) = match http.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&*http.path, None),
    };
    url.set_path(path);
    url.set_query(query);
    Ok(url)
}

/// What a client of the service would send: the port unless it is the usual one (RFC 9110 7.2).
fn host(http: &Http) -> Result<HeaderValue, Failure> {
    let usual = if http.tls.is_some() { 443 } else { 80 };
    let host = if http.host.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{}]", http.host)
    } else {
        http.host.clone()
    };
    let value = if http.port == usual { host } else { format!("{host}:{}", http.port) };
    HeaderValue::from_str(&value).map_err(|_| Failure::new(format!("{value:?} is no host")))
}

/// Looks for a text at the beginning of the body.
async fn contains(mut response: Response, text: &[u8]) -> reqwest::Result<bool> {
    let mut body = Vec::new();
    while body.len() < PROBE_BODY_OCTETS {
        let Some(chunk) = response.chunk().await? else { break };
        // Only what is new, and as much before it as a text across the seam needs.
        let from = body.len().saturating_sub(text.len());
        body.extend_from_slice(&chunk[..chunk.len().min(PROBE_BODY_OCTETS - body.len())]);
        if text.is_empty() || body[from..].windows(text.len()).any(|window| window == text) {
            return Ok(true);
        }
    }
    Ok(text.is_empty())
}

fn range(from: u16, to: u16) -> String {
    if from == to { from.to_string() } else { format!("{from}-{to}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Tls;

    fn http(path: &str, tls_name: Option<&str>) -> Http {
        Http {
            tls: tls_name.map(|name| Tls {
                name: name.to_owned(),
                verify: true,
                least: TlsVersion::default(),
                days: 0,
            }),
            port: 8443,
            host: "www.example.com".to_owned(),
            path: path.to_owned(),
            status: vec![(200, 399)],
            body: None,
        }
    }

    #[test]
    fn nothing_in_a_path_or_name_leads_elsewhere() {
        let to: SocketAddr = "192.0.2.1:8443".parse().unwrap();
        for path in ["/", "//198.51.100.1/", "@198.51.100.1/", "http://198.51.100.1/", "#x", ""] {
            let url = url(to, &http(path, None)).unwrap();
            assert_eq!((url.host_str(), url.port()), (Some("target.invalid"), Some(8443)), "{path}");
        }
        let asked = url(to, &http("/a?b=c&d", Some("www.example.com."))).unwrap();
        assert_eq!(asked.as_str(), "https://www.example.com:8443/a?b=c&d");
        assert!(url(to, &http("/", Some("192.0.2.1"))).is_ok());
        for name in ["198.51.100.1", "0x7f.1", "3232235777", "a/b c", ""] {
            assert!(url(to, &http("/", Some(name))).is_err(), "{name}");
        }
    }

    #[test]
    fn unusual_ports_are_part_of_the_host() {
        assert_eq!(host(&http("/", None)).unwrap(), "www.example.com:8443");
        assert_eq!(host(&Http { port: 80, ..http("/", None) }).unwrap(), "www.example.com");
        assert_eq!(host(&Http { port: 443, ..http("/", Some("x")) }).unwrap(), "www.example.com");
        assert!(host(&Http { host: "a\r\nb".to_owned(), ..http("/", None) }).is_err());
    }
}
