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
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], key.into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), root)
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
async fn smtp_is_polite_and_sends_no_mail() {
    let commands = Arc::new(Mutex::new(Vec::new()));
    let noted = commands.clone();
    let port = serve(move |stream| smtp_answer(stream, None, noted.clone())).await;
    assert_eq!(healthy(&plain(), smtp(port, None)).await, "220 mx.example.com ESMTP");
    assert_eq!(*commands.lock().unwrap(), ["EHLO ns1.example.com", "QUIT"]);
    commands.lock().unwrap().clear();
    let missing = ill(&plain(), smtp(port, Some(tls("mx.example.com", true)))).await;
    assert_eq!(missing, "STARTTLS isn't offered");
    assert_eq!(commands.lock().unwrap().last().unwrap(), "QUIT");
    commands.lock().unwrap().clear();
    let nameless = Mail { protocol: Protocol::Smtp, port, encryption: Encryption::None, ehlo: None };
    healthy(&plain(), Check::Mail(nameless)).await;
    assert_eq!(commands.lock().unwrap()[0], "EHLO [127.0.0.1]");
}

#[tokio::test]
async fn smtp_with_starttls() {
    let (acceptor, root) = certificate("mx.example.com");
    let commands = Arc::new(Mutex::new(Vec::new()));
    let noted = commands.clone();
    let port = serve(move |stream| smtp_answer(stream, Some(acceptor.clone()), noted.clone())).await;
    let seen = healthy(&trusting(&root), smtp(port, Some(tls("mx.example.com", true)))).await;
    assert!(seen.starts_with("220 mx.example.com ESMTP (TLS 1.3, certificate for "), "{seen}");
    let hello = "EHLO ns1.example.com";
    assert_eq!(*commands.lock().unwrap(), [hello, "STARTTLS", hello, "QUIT"]);
    assert!(ill(&plain(), smtp(port, Some(tls("mx.example.com", true)))).await.contains("UnknownIssuer"));
    healthy(&plain(), smtp(port, Some(tls("mx.example.com", false)))).await;

    let injected = "220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n250 injected\r\n";
    let port = saying(injected).await;
    let seen = ill(&plain(), smtp(port, Some(tls("mx.example.com", false)))).await;
    assert_eq!(seen, "sent more before the TLS handshake than its reply to STARTTLS");
}

#[tokio::test]
async fn smtp_that_refuses_or_rambles() {
    for (said, seen) in [
        ("421 too busy\r\n".to_owned(), "banner refused for now: 421 too busy"),
        ("220 mx\r\n550 go away\r\n".to_owned(), "reply to EHLO refused for good: 550 go away"),
        ("* OK IMAP4rev2\r\n".to_owned(), "no SMTP: * OK IMAP4rev2"),
        ("220-mx\r\n250 mx\r\n".to_owned(), "no SMTP: 250 mx"),
        ("x\r\n".to_owned(), "no SMTP: x"),
        ("22\u{e9}".to_owned() + "\r\n", "no SMTP: 22\u{e9}"),
        ("220 ".to_owned() + &"x".repeat(9000), "SMTP banner is longer than 8192 octets"),
        ("220-x\r\n".repeat(PROBE_ANSWER_LINES + 1), "SMTP banner has more than 100 lines"),
        (String::new(), "no SMTP banner within 500ms"),
        ("220 mx".to_owned(), "no SMTP banner within 500ms"),
    ] {
        assert_eq!(ill(&plain(), smtp(saying(said).await, None)).await, seen);
    }
    let port = serve(|stream| async move { drop(stream) }).await;
    assert_eq!(ill(&plain(), smtp(port, None)).await, "connection closed, no SMTP banner");
}

#[tokio::test]
async fn imap_greetings() {
    for (said, seen) in [
        ("* OK [CAPABILITY IMAP4rev2] ready\r\n", "* OK [CAPABILITY IMAP4rev2] ready"),
        ("* preauth welcome\r\n* BYE\r\na OK bye\r\n", "* preauth welcome"),
    ] {
        let port = saying(said).await;
        assert_eq!(healthy(&plain(), imap(port, None)).await, seen);
    }
    for (said, seen) in [
        ("* BYE shutting down\r\n", "refused us: * BYE shutting down"),
        ("+OK POP3\r\n", "no IMAP greeting: +OK POP3"),
        ("* OKAY\r\n", "no IMAP greeting: * OKAY"),
        ("\0\u{1}\r\n", "no IMAP greeting:"),
        ("", "no IMAP greeting within 500ms"),
    ] {
        let port = saying(said).await;
        assert_eq!(ill(&plain(), imap(port, None)).await, seen);
    }
    let port = saying("x".repeat(100_000)).await;
    assert_eq!(ill(&plain(), imap(port, None)).await, "IMAP greeting is longer than 8192 octets");

    let (acceptor, root) = certificate("imap.example.com");
    let port = serve(move |stream| {
        let accept = acceptor.accept(stream);
        async move {
            if let Ok(mut stream) = accept.await {
                let _ = stream.write_all(b"* OK ready\r\na OK bye\r\n").await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await;
    let imaps = |verify| imap(port, Some(tls("imap.example.com", verify)));
    let seen = healthy(&trusting(&root), imaps(true)).await;
    assert!(seen.starts_with("* OK ready (TLS 1.3, certificate for "), "{seen}");
    assert!(ill(&plain(), imaps(true)).await.contains("UnknownIssuer"));
}

#[tokio::test]
async fn smtp_that_turns_the_prober_away() {
    for (said, seen) in [
        (
            "554-5.7.1 your address\r\n554 is \x1b[1mlisted\r\n",
            "banner refused for good: 554 5.7.1 your address is [1mlisted",
        ),
        (
            "421 4.7.0 mx.example.com Error: too many connections from 192.0.2.1\r\n",
            "banner refused for now: 421 4.7.0 mx.example.com Error: too many connections from 192.0.2.1",
        ),
        (
            "220 mx\r\n554 5.7.1 <[127.0.0.1]>: Helo command rejected: Access denied\r\n",
            "reply to EHLO refused for good: 554 5.7.1 <[127.0.0.1]>: Helo command rejected: Access denied",
        ),
    ] {
        assert_eq!(blocked(&plain(), smtp(saying(said).await, None)).await, seen);
    }
    // A server that dies says so to everybody.
    ill(&plain(), smtp(saying("421 4.3.2 mx.example.com shutting down\r\n").await, None)).await;
    // Accepted, and reset before a word.
    let port = serve(|stream| async move { stream.set_zero_linger().unwrap() }).await;
    let seen = blocked(&plain(), smtp(port, None)).await;
    assert_eq!(seen, "connection reset once accepted, no SMTP banner");
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
async fn metrics_of_an_exporter() {
    let page = "# TYPE queue gauge\nqueue{name=\"deferred\"} 7000\nqueue{name=\"active\"} 3\n";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", page.len());
    let (port, _) = http_server(head + page).await;
    let asking = |metric: &str, below: f64| {
        let (metric, labels) = parse_selector(metric).unwrap();
        let page = Http { port, path: "/metrics".to_owned(), ..Http::get("mx.example.com") };
        Check::Prometheus(Prometheus { page, metric, labels, below: Some(Bound(below)), above: None })
    };
    assert_eq!(healthy(&plain(), asking("queue{name=\"active\"}", 5000.0)).await, "queue is 3");
    let report = ask_with(&plain(), asking("queue{name=\"deferred\"}", 5000.0)).await;
    assert_eq!((report.outcome, &*report.evidence), (Outcome::Failed, "queue is 7000, wanted below 5000"));
    assert_eq!(report.figures, [("queue".to_owned(), 7000.0)]);
    assert_eq!(ill(&plain(), asking("other", 1.0)).await, "the metric other is missing");
}

/// A mail server that says `greeting` and answers each command as `answer` does.
async fn answering(greeting: &'static str, answer: fn(&str) -> &'static str) -> u16 {
    serve(move |stream| async move {
        let mut stream = BufReader::new(stream);
        let _ = stream.write_all(greeting.as_bytes()).await;
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|octets| octets > 0) {
            let _ = stream.write_all(answer(line.trim_end()).as_bytes()).await;
            line.clear();
        }
    })
    .await
}

#[tokio::test]
async fn pop3_lmtp_and_sieve() {
    let none = |protocol, port| mail(protocol, port, Encryption::None);
    let port = answering("+OK ready\r\n", |_| "+OK\r\n").await;
    assert_eq!(healthy(&plain(), none(Protocol::Pop3, port)).await, "+OK ready");
    let port = saying("-ERR [SYS/TEMP] later\r\n").await;
    assert_eq!(ill(&plain(), none(Protocol::Pop3, port)).await, "greeting refused: -ERR [SYS/TEMP] later");

    let port = answering("220 lmtp\r\n", |line| match line {
        "LHLO ns1.example.com" => "250 lmtp\r\n",
        "QUIT" => "221 bye\r\n",
        _ => "500 what?\r\n",
    })
    .await;
    assert_eq!(healthy(&plain(), none(Protocol::Lmtp, port)).await, "220 lmtp");

    let port =
        answering("\"IMPLEMENTATION\" \"Pigeonhole\"\r\n\"SASL\" \"\"\r\nOK \"ready\"\r\n", |_| "OK\r\n")
            .await;
    assert_eq!(healthy(&plain(), none(Protocol::Sieve, port)).await, "\"IMPLEMENTATION\" \"Pigeonhole\"");
    let starttls = mail(Protocol::Sieve, port, Encryption::StartTls(tls("mx.example.com", false)));
    assert_eq!(ill(&plain(), starttls).await, "STARTTLS isn't offered");
    let port = saying("BYE \"down\"\r\n").await;
    assert_eq!(ill(&plain(), none(Protocol::Sieve, port)).await, "refused us: BYE \"down\"");
}

#[tokio::test]
async fn submission_offers_auth_over_tls_alone() {
    let starttls =
        |port| mail(Protocol::Submission, port, Encryption::StartTls(tls("mx.example.com", false)));
    let early = answering("220 mx\r\n", |line| match line {
        "QUIT" => "221 bye\r\n",
        _ => "250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
    })
    .await;
    assert_eq!(ill(&plain(), starttls(early)).await, "AUTH is offered without TLS");
    let (acceptor, _) = certificate("mx.example.com");
    let port = serve(move |stream| smtp_answer(stream, Some(acceptor.clone()), Arc::default())).await;
    assert_eq!(ill(&plain(), starttls(port)).await, "AUTH isn't offered over TLS");
}

#[tokio::test]
async fn dns_over_udp_and_tcp() {
    use hickory_proto::op::{Message, MessageType, ResponseCode};
    let answer = |query: &[u8]| {
        let mut message = Message::from_vec(query).unwrap();
        message.metadata.message_type = MessageType::Response;
        if message.queries[0].name().to_string() == "gone.example.com." {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
        message.to_vec().unwrap()
    };
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let udp = tokio::net::UdpSocket::bind((HERE, port)).await.unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((octets, from)) = udp.recv_from(&mut query).await {
            udp.send_to(b"stray", from).await.unwrap();
            udp.send_to(&answer(&query[..octets]), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            let answer = answer(&query);
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    for tcp in [false, true] {
        let asking = |name: &str, wants_answer| {
            let name = crate::wire::name::Name::parse(name, None).unwrap();
            let rtype = crate::wire::rtype::Rtype::SOA;
            Check::Dns(Dns { port, tcp, name, rtype, recursion: false, wants_answer })
        };
        let seen = healthy(&plain(), asking("example.com.", false)).await;
        assert_eq!(seen, "NOERROR, 0 in the answer section");
        ill(&plain(), asking("example.com.", true)).await;
        assert!(ill(&plain(), asking("gone.example.com.", false)).await.starts_with("RCODE 3"));
    }
}

#[tokio::test]
async fn exec_as_plugins_have_it() {
    let run = |script: &str| {
        let argv = ["/bin/sh", "-c", script, "{address}", "{target}"].map(str::to_owned).to_vec();
        Check::Exec(Exec { argv, warning_is_healthy: true })
    };
    let report = ask_with(&plain(), run("echo \"OK $0 $1 | load=1.5;2\"; env >&2")).await;
    assert_eq!((report.outcome, &*report.evidence), (Outcome::Healthy, "OK 127.0.0.1 mx-tw"));
    assert_eq!(report.figures, [("load".to_owned(), 1.5)]);
    assert_eq!(healthy(&plain(), run("echo warm; exit 1")).await, "warm");
    assert_eq!(ill(&plain(), run("echo dead; exit 2")).await, "dead");
    assert_eq!(blocked(&plain(), run("exit 3")).await, "exit 3: unknown");
    assert_eq!(healthy(&plain(), run("test -z \"$HOME$CARGO\" && echo clean")).await, "clean");
    let missing = Exec { argv: vec!["/nonexistent".to_owned()], warning_is_healthy: true };
    blocked(&plain(), Check::Exec(missing)).await;
}

#[tokio::test]
async fn a_program_ends_with_all_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let alive = directory.path().join("alive");
    let script = format!("(sleep 1; touch {}) & sleep 60", alive.display());
    let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    let seen = ill(&plain(), Check::Exec(Exec { argv, warning_is_healthy: true })).await;
    assert_eq!(seen, "no end of the program within 500ms");
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(!alive.exists());
}

#[tokio::test]
async fn icmp_or_why_not() {
    let report = ask_with(&plain(), Check::Icmp).await;
    match report.outcome {
        Outcome::Healthy => assert_eq!(report.evidence, "echo reply"),
        _ => assert!(report.outcome == Outcome::Blocked && report.evidence.contains("ping_group_range")),
    }
}

#[tokio::test]
async fn probes_come_from_their_source() {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let from = |source: &str| ProberOptions {
        manners: Manners { source_ipv4: Some(source.parse().unwrap()), ..Manners::default() },
        ..plain()
    };
    healthy(&from("127.0.0.9"), Check::Tcp { port }).await;
    assert_eq!(listener.accept().await.unwrap().1.ip().to_string(), "127.0.0.9");
    // An address that isn't here says nothing of the target.
    assert!(blocked(&from("192.0.2.1"), Check::Tcp { port }).await.starts_with("not sent: "));
}

#[tokio::test]
async fn certificates_that_expire_soon_and_old_tls() {
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
