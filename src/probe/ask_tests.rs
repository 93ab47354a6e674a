//! Every probe against small servers on loopback, well and ill.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::health::Pace;
use crate::limits::{PROBE_ANSWER_LINES, PROBE_BODY_OCTETS};
use crate::probe::{
    Bound, Dns, Encryption, Exec, HeaderRule, Http, HttpMethod, Mail, Manners, Prometheus, Protocol, Tls,
    TlsVersion, Wanted, parse_selector,
};

#[path = "mail_tests.rs"]
mod mail_servers;
#[path = "other_tests.rs"]
mod other;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server whose connections are handled by `handle`; its port.
async fn serve<F, W>(handle: F) -> u16
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    port
}

/// A server that says one thing to everybody, and then listens until the client is gone.
async fn saying(text: impl Into<String>) -> u16 {
    let text = text.into();
    serve(move |mut stream| {
        let text = text.clone();
        async move {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await
}

/// An HTTP server with one answer; it notes the requests.
async fn http_server(answer: impl Into<String>) -> (u16, Arc<Mutex<String>>) {
    let (answer, requests) = (answer.into(), Arc::new(Mutex::new(String::new())));
    let noted = requests.clone();
    let port = serve(move |stream| http_answer(stream, answer.clone(), noted.clone())).await;
    (port, requests)
}

async fn http_answer<S>(mut stream: S, answer: String, requests: Arc<Mutex<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = vec![0; 4096];
    let length = stream.read(&mut request).await.unwrap_or(0);
    requests.lock().unwrap().push_str(&String::from_utf8_lossy(&request[..length]));
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// An SMTP server; with `acceptor` it offers STARTTLS.
async fn smtp_answer(stream: TcpStream, acceptor: Option<TlsAcceptor>, commands: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let _ = stream.write_all(b"220-mx.example.com ESMTP\r\n220 ready\r\n").await;
    let offer = if acceptor.is_some() { "250-STARTTLS\r\n" } else { "" };
    if smtp_commands(&mut stream, offer, &commands).await {
        let Ok(stream) = acceptor.unwrap().accept(stream.into_inner()).await else { return };
        smtp_commands(&mut BufReader::new(stream), "", &commands).await;
    }
}

/// Answers commands; true if STARTTLS was the last.
async fn smtp_commands<S>(stream: &mut BufReader<S>, offer: &str, noted: &Mutex<Vec<String>>) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let mut command = String::new();
        if !stream.read_line(&mut command).await.is_ok_and(|length| length > 0) {
            return false;
        }
        let command = command.trim_end().to_owned();
        let verb = command.split(' ').next().unwrap().to_owned();
        noted.lock().unwrap().push(command);
        let answer = match &*verb {
            "EHLO" => format!("250-mx.example.com\r\n{offer}250 SIZE 1000\r\n"),
            "STARTTLS" => "220 go ahead\r\n".to_owned(),
            "QUIT" => "221 bye\r\n".to_owned(),
            _ => "500 what?\r\n".to_owned(),
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        if verb == "STARTTLS" {
            return true;
        }
    }
}

/// A certificate of its own making for `name`: the server's side, and the root that believes it.
fn certificate(name: &str) -> (TlsAcceptor, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let root = made.cert.der().clone();
    (acceptor(root.clone(), &made.signing_key), root)
}

fn acceptor(certificate: CertificateDer<'static>, key: &rcgen::KeyPair) -> TlsAcceptor {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn trusting(root: &CertificateDer<'static>) -> ProberOptions {
    ProberOptions { extra_roots: vec![root.clone()], ..ProberOptions::default() }
}

fn tls(name: &str, verify: bool) -> Tls {
    Tls { verify, ..Tls::of(name) }
}

fn http(port: u16) -> Http {
    Http {
        port,
        path: "/healthz?full=1".to_owned(),
        status: vec![(200, 299), (401, 401)],
        ..Http::get("www.example.com")
    }
}

fn smtp(port: u16, starttls: Option<Tls>) -> Check {
    let encryption = starttls.map_or(Encryption::None, Encryption::StartTls);
    mail(Protocol::Smtp, port, encryption)
}

fn imap(port: u16, tls: Option<Tls>) -> Check {
    mail(Protocol::Imap, port, tls.map_or(Encryption::None, Encryption::Implicit))
}

fn mail(protocol: Protocol, port: u16, encryption: Encryption) -> Check {
    Check::Mail(Mail { protocol, port, encryption, ehlo: Some("ns1.example.com".to_owned()) })
}

async fn ask_with(options: &ProberOptions, check: Check) -> Report {
    let pace = Pace { timeout: Duration::from_millis(500), ..Pace::default() };
    let spec = Spec { name: "probe".to_owned(), check, pace, tripwire: None };
    let report = Asker::new(options).ask(HERE, "mx-tw", &spec).await;
    assert!(report.latency < Duration::from_secs(2), "{report:?}");
    report
}

async fn healthy(options: &ProberOptions, check: Check) -> String {
    let report = ask_with(options, check).await;
    assert_eq!(report.outcome, Outcome::Healthy, "{}", report.evidence);
    report.evidence
}

async fn ill(options: &ProberOptions, check: Check) -> String {
    let report = ask_with(options, check).await;
    assert_eq!(report.outcome, Outcome::Failed, "{}", report.evidence);
    report.evidence
}

async fn blocked(options: &ProberOptions, check: Check) -> String {
    let report = ask_with(options, check).await;
    assert_eq!(report.outcome, Outcome::Blocked, "{}", report.evidence);
    report.evidence
}

fn plain() -> ProberOptions {
    ProberOptions::default()
}

/// A port on which nobody listens.
async fn closed() -> u16 {
    TcpListener::bind((HERE, 0)).await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn tcp() {
    let port = saying("").await;
    assert_eq!(healthy(&plain(), Check::Tcp { port }).await, "connected");
    assert_eq!(ill(&plain(), Check::Tcp { port: closed().await }).await, "connection refused");
}

#[tokio::test]
async fn what_comes_back_or_doesnt() {
    let (greets, mute) = (saying("220 mx ESMTP\r\n").await, saying("").await);
    let told = Check::Exec(Exec { argv: vec!["/bin/false".to_owned()], warning_is_healthy: false });
    for (check, contact) in [
        (Check::Tcp { port: mute }, Contact::Answered),
        (Check::Tcp { port: closed().await }, Contact::Answered),
        (smtp(mute, None), Contact::Silent),
        (smtp(greets, None), Contact::Silent),
        (told, Contact::Local),
    ] {
        assert_eq!(ask_with(&plain(), check.clone()).await.contact, contact, "{check:?}");
    }
}

#[tokio::test]
async fn redirected_to_where_a_demonstration_listens() {
    let port = saying("").await;
    let documented: IpAddr = "192.0.2.10".parse().unwrap();
    let redirect = HashMap::from([((documented, 25).into(), (HERE, port).into())]);
    let asker = Asker::new(&ProberOptions { redirect, ..plain() });
    let spec = Spec {
        name: "tcp".to_owned(),
        check: Check::Tcp { port: 25 },
        pace: Pace::default(),
        tripwire: None,
    };
    assert!(asker.ask(documented, "mx-tw", &spec).await.outcome == Outcome::Healthy);
}

#[tokio::test]
async fn http_asks_the_target_by_the_service_s_name() {
    let (port, requests) = http_server("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(healthy(&plain(), Check::Http(http(port))).await, "HTTP 204");
    let request = requests.lock().unwrap().clone();
    assert!(request.starts_with("GET /healthz?full=1 HTTP/1.1\r\n"), "{request}");
    let request = request.to_lowercase();
    assert_eq!(request.matches("host:").count(), 1, "{request}");
    assert!(request.contains(&format!("host: www.example.com:{port}\r\n")), "{request}");
    assert!(request.contains("user-agent: waypost/") && request.contains("(health probe)"), "{request}");
}

#[tokio::test]
async fn http_status() {
    let (port, _) = http_server("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(ill(&plain(), Check::Http(http(port))).await, "HTTP 503, wanted 200-299, 401");
    // A redirect is an answer, not a way to another server.
    let (elsewhere, seen) = http_server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let moved =
        format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
    let (port, _) = http_server(moved).await;
    assert!(ill(&plain(), Check::Http(http(port))).await.starts_with("HTTP 302"));
    assert_eq!(*seen.lock().unwrap(), "");
}

#[tokio::test]
async fn http_body() {
    let (port, _) = http_server("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nall is well\n").await;
    let wanting = |text: &str| Check::Http(Http { body: Some(text.to_owned()), ..http(port) });
    assert_eq!(healthy(&plain(), wanting("is well")).await, "HTTP 200");
    assert_eq!(ill(&plain(), wanting("IMAP ready")).await, "HTTP 200, but the body lacks its text");

    let long = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n{}needle{}",
        "x".repeat(PROBE_BODY_OCTETS - 6),
        "too late".repeat(1000)
    );
    let (port, _) = http_server(long).await;
    let wanting = |text: &str| Check::Http(Http { body: Some(text.to_owned()), ..http(port) });
    assert_eq!(healthy(&plain(), wanting("xneedle")).await, "HTTP 200");
    assert_eq!(ill(&plain(), wanting("too late")).await, "HTTP 200, but the body lacks its text");
}

#[tokio::test]
async fn http_without_an_answer() {
    assert_eq!(ill(&plain(), Check::Http(http(closed().await))).await, "connection refused");
    let silent = saying("").await;
    assert_eq!(ill(&plain(), Check::Http(http(silent))).await, "no HTTP answer within 500ms");
    let garbage = saying("220 mx.example.com ESMTP\r\n").await;
    ill(&plain(), Check::Http(http(garbage))).await;
    let endless = saying(format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(2 << 20))).await;
    ill(&plain(), Check::Http(http(endless))).await;
}

#[tokio::test]
async fn https_verifies_unless_told_not_to() {
    let (acceptor, root) = certificate("www.example.com");
    let port = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
            http_answer(stream, answer, Arc::default()).await;
        }
    })
    .await;
    let https = |tls| Check::Http(Http { tls: Some(tls), ..http(port) });
    assert_eq!(
        healthy(&trusting(&root), https(tls("www.example.com", true))).await[..18],
        *"HTTP 200 (TLS 1.3,"
    );
    assert_eq!(healthy(&plain(), https(tls("www.example.com", false))).await[..8], *"HTTP 200");
    let unknown = ill(&plain(), https(tls("www.example.com", true))).await;
    assert!(unknown.starts_with("TLS: invalid peer certificate: UnknownIssuer"), "{unknown}");
    let other = ill(&trusting(&root), https(tls("mail.example.com", true))).await;
    assert!(other.contains("not valid for name"), "{other}");
}

#[tokio::test]
async fn tls_handshake() {
    let (acceptor, root) = certificate("mail.example.com");
    let port = serve(move |stream| {
        let accept = acceptor.accept(stream);
        async move {
            if let Ok(mut stream) = accept.await {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await;
    let check = |name, verify| Check::Tls { port, tls: tls(name, verify) };
    assert!(
        healthy(&trusting(&root), check("mail.example.com", true))
            .await
            .starts_with("TLS 1.3, certificate for ")
    );
    assert!(
        healthy(&plain(), check("mail.example.com", false)).await.starts_with("TLS 1.3, certificate for ")
    );
    assert!(ill(&plain(), check("mail.example.com", true)).await.contains("UnknownIssuer"));
    assert!(ill(&trusting(&root), check("example.net", true)).await.contains("not valid for name"));
    ill(&plain(), check("no server name", true)).await;

    let silent = saying("").await;
    let check = Check::Tls { port: silent, tls: tls("mail.example.com", true) };
    assert_eq!(ill(&plain(), check).await, "no TLS handshake within 500ms");
    let garbage = saying("220 mx.example.com ESMTP\r\n").await;
    let check = Check::Tls { port: garbage, tls: tls("mail.example.com", true) };
    assert!(ill(&plain(), check).await.starts_with("TLS"));
}

#[tokio::test]
async fn http_behind_a_gate() {
    let (port, _) = http_server("HTTP/1.1 403 No\r\ncf-ray: 1-TPE\r\ncontent-length: 0\r\n\r\n").await;
    let seen = blocked(&plain(), Check::Http(http(port))).await;
    assert_eq!(seen, "HTTP 403, wanted 200-299, 401 (cf-ray)");
    let (port, _) = http_server("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n").await;
    ill(&plain(), Check::Http(http(port))).await;
}

#[tokio::test]
async fn http_headers_method_and_agent() {
    let (port, requests) =
        http_server("HTTP/1.1 200 OK\r\nX-Health: all well\r\ncontent-length: 9\r\n\r\n").await;
    let rule = |name: &str, wanted| HeaderRule { name: name.to_owned(), wanted };
    let asking = |headers| Check::Http(Http { headers, method: HttpMethod::Head, ..http(port) });
    let manners = Manners { user_agent: Some("probe/1".to_owned()), ..Manners::default() };
    let options = ProberOptions { manners, ..plain() };
    let well = vec![
        rule("x-health", Wanted::Present),
        rule("X-Health", Wanted::Equals("all well".to_owned())),
        rule("X-Health", Wanted::Contains("well".to_owned())),
    ];
    healthy(&options, asking(well)).await;
    let request = requests.lock().unwrap().clone();
    assert!(request.starts_with("HEAD /healthz"), "{request}");
    assert!(request.contains("user-agent: probe/1\r\n"), "{request}");
    for wrong in [
        rule("X-Health", Wanted::Equals("well".to_owned())),
        rule("X-Health", Wanted::Contains("ill".to_owned())),
        rule("X-Other", Wanted::Present),
    ] {
        let seen = ill(&plain(), asking(vec![wrong.clone()])).await;
        assert_eq!(seen, format!("HTTP 200, but the header {} isn't as wanted", wrong.name));
    }
}

#[tokio::test]
async fn http_redirects_that_are_followed() {
    let (inner, _) = http_server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    let (port, _) = http_server(moved(&format!("http://www.example.com:{inner}/in"))).await;
    let asking = |port| Check::Http(Http { follow: true, ..http(port) });
    assert_eq!(healthy(&plain(), asking(port)).await, "HTTP 200");
    let (port, _) = http_server(moved("/again")).await;
    assert_eq!(ill(&plain(), asking(port)).await, "HTTP 302, the 6th redirect");
    let (port, _) = http_server(moved(&format!("http://127.0.0.1:{inner}/"))).await;
    assert_eq!(ill(&plain(), asking(port)).await, "HTTP 302, which leads to another host");
}

#[tokio::test]
async fn a_certificate_that_has_expired() {
    let mut params = rcgen::CertificateParams::new(["mail.example.com".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let root = made.der().clone();
    let acceptor = acceptor(root.clone(), &key);
    let port = serve(move |stream| {
        let accept = acceptor.accept(stream);
        async move {
            if let Ok(mut stream) = accept.await {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await;
    let check = |verify, days| Check::Tls { port, tls: Tls { days, ..tls("mail.example.com", verify) } };
    let seen = ill(&trusting(&root), check(true, 0)).await;
    assert!(seen.contains("expired"), "{seen}");
    // Who takes any certificate may still ask for its days.
    let seen = ill(&plain(), check(false, 1)).await;
    assert!(seen.starts_with("the certificate expires in -"), "{seen}");
    healthy(&plain(), check(false, 0)).await;
}

#[tokio::test]
async fn days_of_a_certificate_are_a_figure() {
    let (acceptor, _) = certificate("mail.example.com");
    let port = serve(move |stream| {
        let accept = acceptor.accept(stream);
        async move {
            if let Ok(mut stream) = accept.await {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await;
    let check = |least, days| Check::Tls { port, tls: Tls { least, days, ..tls("mail.example.com", false) } };
    let report = ask_with(&plain(), check(TlsVersion::V1_3, 7)).await;
    assert_eq!(report.outcome, Outcome::Healthy, "{report:?}");
    assert_eq!(report.figures[0].0, "certificate_days");
    assert!(report.figures[0].1 > 1000.0);
}
