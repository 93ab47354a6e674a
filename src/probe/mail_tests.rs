//! Probes of mail servers against small ones on loopback, well and ill.

use super::*;

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
async fn nothing_is_said_to_a_server_that_owes_an_answer() {
    for said in ["", "220-mx\r\n", "220 mx\r\n", "220 mx\r\n250-mx\r\n"] {
        let heard = Arc::new(Mutex::new(None));
        let noted = heard.clone();
        let port = serve(move |mut stream| {
            let noted = noted.clone();
            async move {
                let _ = stream.write_all(said.as_bytes()).await;
                let mut text = String::new();
                let _ = stream.read_to_string(&mut text).await;
                *noted.lock().unwrap() = Some(text);
            }
        })
        .await;
        let report = ask_with(&plain(), smtp(port, None)).await;
        assert_ne!(report.outcome, Outcome::Healthy, "{report:?}");
        let heard = tokio::time::timeout(Duration::from_secs(5), async {
            loop {
                if let Some(heard) = heard.lock().unwrap().take() {
                    return heard;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let expected = if said.starts_with("220 ") { "EHLO ns1.example.com\r\n" } else { "" };
        assert_eq!(heard.await.expect("the connection ends"), expected, "after {said:?}");
    }
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
    // What postscreen has strangers wait for, to see who speaks before it has ended.
    let seen = blocked(&plain(), smtp(saying("220-mx.example.com ESMTP\r\n").await, None)).await;
    assert_eq!(seen, "made to wait within the banner, as by postscreen: 220-mx.example.com ESMTP");
    // A server that dies says so to everybody.
    ill(&plain(), smtp(saying("421 4.3.2 mx.example.com shutting down\r\n").await, None)).await;
    // Accepted, and reset before a word.
    let port = serve(|stream| async move { stream.set_zero_linger().unwrap() }).await;
    let seen = blocked(&plain(), smtp(port, None)).await;
    assert_eq!(seen, "connection reset once accepted, no SMTP banner");
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
