//! Probes that aren't a client's of mail or of the web: DNS, ICMP, programs, metrics; and where
//! probes come from.

use super::*;

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
