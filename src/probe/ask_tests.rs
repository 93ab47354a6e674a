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
use crate::probe::{Http, Tls};

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
    Tls { name: name.to_owned(), verify }
}

fn http(port: u16) -> Http {
    Http {
        tls: None,
        port,
        host: "www.example.com".to_owned(),
        path: "/healthz?full=1".to_owned(),
        status: vec![(200, 299), (401, 401)],
        body: None,
    }
}

fn smtp(port: u16, starttls: Option<Tls>) -> Check {
    Check::Smtp { port, ehlo: Some("ns1.example.com".to_owned()), starttls }
}

async fn ask_with(options: &ProberOptions, check: Check) -> Report {
    let pace = Pace { timeout: Duration::from_millis(500), ..Pace::default() };
    let spec = Spec { name: "probe".to_owned(), check, pace };
    let report = Asker::new(options).ask(HERE, &spec).await;
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
    let spec = Spec { name: "tcp".to_owned(), check: Check::Tcp { port: 25 }, pace: Pace::default() };
    assert_eq!(asker.ask(documented, &spec).await.outcome, Outcome::Healthy);
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
    assert_eq!(healthy(&trusting(&root), https(tls("www.example.com", true))).await, "HTTP 200");
    assert_eq!(healthy(&plain(), https(tls("www.example.com", false))).await, "HTTP 200");
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
    assert_eq!(healthy(&trusting(&root), check("mail.example.com", true)).await, "TLS 1.3");
    assert_eq!(healthy(&plain(), check("mail.example.com", false)).await, "TLS 1.3");
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
    healthy(&plain(), Check::Smtp { port, ehlo: None, starttls: None }).await;
    assert_eq!(commands.lock().unwrap()[0], "EHLO [127.0.0.1]");
}

#[tokio::test]
async fn smtp_with_starttls() {
    let (acceptor, root) = certificate("mx.example.com");
    let commands = Arc::new(Mutex::new(Vec::new()));
    let noted = commands.clone();
    let port = serve(move |stream| smtp_answer(stream, Some(acceptor.clone()), noted.clone())).await;
    let seen = healthy(&trusting(&root), smtp(port, Some(tls("mx.example.com", true)))).await;
    assert_eq!(seen, "220 mx.example.com ESMTP (TLS 1.3)");
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
        (
            "554-5.7.1 your address\r\n554 is \x1b[1mlisted\r\n".to_owned(),
            "banner refused for good (is the prober blocked?): 554 5.7.1 your address is [1mlisted",
        ),
        ("421 too busy\r\n".to_owned(), "banner refused for now (busy?): 421 too busy"),
        (
            "220 mx\r\n550 go away\r\n".to_owned(),
            "reply to EHLO refused for good (is the prober blocked?): 550 go away",
        ),
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
async fn imap() {
    for (said, seen) in [
        ("* OK [CAPABILITY IMAP4rev2] ready\r\n", "* OK [CAPABILITY IMAP4rev2] ready"),
        ("* preauth welcome\r\n* BYE\r\na OK bye\r\n", "* preauth welcome"),
    ] {
        let port = saying(said).await;
        assert_eq!(healthy(&plain(), Check::Imap { port, tls: None }).await, seen);
    }
    for (said, seen) in [
        ("* BYE shutting down\r\n", "refused us: * BYE shutting down"),
        ("+OK POP3\r\n", "no IMAP greeting: +OK POP3"),
        ("* OKAY\r\n", "no IMAP greeting: * OKAY"),
        ("\0\u{1}\r\n", "no IMAP greeting:"),
        ("", "no IMAP greeting within 500ms"),
    ] {
        let port = saying(said).await;
        assert_eq!(ill(&plain(), Check::Imap { port, tls: None }).await, seen);
    }
    let port = saying("x".repeat(100_000)).await;
    assert_eq!(
        ill(&plain(), Check::Imap { port, tls: None }).await,
        "IMAP greeting is longer than 8192 octets"
    );

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
    let imaps = |verify| Check::Imap { port, tls: Some(tls("imap.example.com", verify)) };
    assert_eq!(healthy(&trusting(&root), imaps(true)).await, "* OK ready");
    assert!(ill(&plain(), imaps(true)).await.contains("UnknownIssuer"));
}
