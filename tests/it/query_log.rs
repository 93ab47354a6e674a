//! Queries written down, as those read them who collect them: `fstrm_capture` and `dnstap-ldns` of
//! other makers, and whoever reads lines of JSON.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::encrypted::{address, kdig};
use crate::lab::{Ask, Lab, Server, repository, stdout, wait_for, waypost};

const ZONE: &str = "$TTL 60\n@ SOA ns1 hostmaster 1 7200 3600 1209600 60\n@ NS ns1\nns1 A 192.0.2.53\n\
                    www A 192.0.2.1\nchild NS ns1\n";

/// A zone, one below it, and this at the configuration's end.
fn lab(sections: &str) -> Lab {
    let lab = Lab::new();
    lab.write("zones/plain.example.zone", ZONE);
    lab.write("zones/child.plain.example.zone", ZONE);
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &format!("{config}\n{sections}"));
    lab
}

/// All lines of a query log, once there are so many.
fn lines(path: &Path, count: usize) -> Vec<Value> {
    let read = || {
        let text = fs::read_to_string(path).ok()?;
        let whole = text.get(..text.rfind('\n')? + 1)?;
        let lines: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines.len() >= count).then_some(lines)
    };
    wait_for(&format!("{count} lines in {}", path.display()), Duration::from_secs(5), read)
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["name"].as_str().unwrap()).collect()
}

/// What the server says of its query log.
fn metric(lab: &Lab, sample: &str) -> f64 {
    let mut socket = UnixStream::connect(lab.path("state/admin.sock")).unwrap();
    write!(socket, "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(sample)).unwrap_or_else(|| panic!("{text}"));
    line.trim().parse().unwrap()
}

#[test]
fn a_line_tells_all_of_a_query_and_the_docs_tell_all_of_a_line() {
    let lab = lab("[query_log]\nto = \"queries.jsonl\"\n");
    let server = lab.start();
    Ask::new("WWW.plain.example.", "A").subnet("198.51.100.0/24").from("127.0.0.2").to(server.address);
    Ask::new("www.child.plain.example.", "AAAA").payload(None).to(server.address);
    Ask::new("nothing.plain.example.", "A").tcp().to(server.address);
    server.ask("www.elsewhere.example.", "MX");
    server.inspect("version.bind", None);
    let lines = lines(&lab.path("queries.jsonl"), 5);
    let of = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap();
    let first = of("WWW.plain.example.");
    for (field, value) in [
        ("kind", "query".into()),
        ("client", "127.0.0.2".into()),
        ("transport", "udp".into()),
        ("type", "A".into()),
        ("class", "IN".into()),
        ("subnet", "198.51.100.0/24".into()),
        ("rcode", "NOERROR".into()),
        ("zone", "plain.example.".into()),
        ("answers", Value::from(1)),
        ("authoritative", true.into()),
        ("truncated", false.into()),
        ("dnssec_ok", false.into()),
    ] {
        assert_eq!(first[field], value, "{field} of {first}");
    }
    assert!(first["port"].as_u64().unwrap() > 0 && first["answer_octets"].as_u64().unwrap() > 40, "{first}");
    humantime::parse_rfc3339(first["timestamp"].as_str().unwrap()).unwrap();
    assert_eq!(of("www.child.plain.example.")["zone"], "child.plain.example.", "the nearest zone");
    assert_eq!(of("nothing.plain.example.")["rcode"], "NXDOMAIN");
    assert_eq!(of("nothing.plain.example.")["transport"], "tcp");
    assert_eq!(of("www.elsewhere.example.")["rcode"], "REFUSED");
    assert_eq!(of("version.bind.")["class"], "CH");
    // The table of the docs.
    let docs = fs::read_to_string(repository().join("docs/logs.md")).unwrap();
    let section = docs.split("## Query log").nth(1).unwrap();
    let described: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .take_while(|field| *field != "to")
        .collect();
    let written: BTreeSet<&str> =
        lines.iter().flat_map(|line| line.as_object().unwrap().keys().map(String::as_str)).collect();
    assert_eq!(written, described, "written, and described");
    server.stop();
}

#[test]
fn samples_and_filters_change_while_it_runs_and_a_file_that_is_moved_away_is_made_anew() {
    let lab = lab("");
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let server = lab.start();
    // Another file each time: that it is there says that all workers are turned.
    let turn = |file: &str, section: &str| {
        lab.write("waypost.toml", &format!("{config}\n[query_log]\nto = \"{file}\"\n{section}\n"));
        let path = lab.path(file);
        wait_for("the log is turned", Duration::from_secs(10), || path.exists().then_some(()));
        path
    };
    let path = turn("all", "");
    server.ask("www.plain.example.", "A");
    assert_eq!(names(&lines(&path, 1)), ["www.plain.example."]);
    fs::rename(&path, lab.path("moved")).unwrap();
    wait_for("the file is made anew", Duration::from_secs(5), || path.exists().then_some(()));
    server.ask("again.plain.example.", "A");
    assert_eq!(names(&lines(&path, 1)), ["again.plain.example."]);

    let path = turn("names", "names = [\"WWW.plain.example\"]");
    server.ask("other.plain.example.", "A");
    server.ask("below.www.Plain.example.", "A");
    assert_eq!(names(&lines(&path, 1)), ["below.www.Plain.example."]);

    let path = turn("zones-and-rcodes", "zones = [\"plain.example\"]\nrcodes = [\"NXDOMAIN\"]");
    server.ask("www.plain.example.", "A");
    server.ask("nothing.child.plain.example.", "A");
    server.ask("nothing.plain.example.", "A");
    assert_eq!(names(&lines(&path, 1)), ["nothing.plain.example."], "a zone below is another one");

    let path = turn("clients", "clients = [\"127.0.0.9/32\"]\nsample = 2");
    for name in ["a.plain.example.", "b.plain.example.", "c.plain.example.", "d.plain.example."] {
        Ask::new(name, "A").from("127.0.0.1").to(server.address);
    }
    for name in ["e.plain.example.", "f.plain.example."] {
        (0..4).for_each(|_| drop(Ask::new(name, "A").from("127.0.0.9").to(server.address)));
    }
    // Which worker gets which isn't ours to say; at least one gets two of eight.
    let taken = lines(&path, 1);
    assert!(taken.len() < 8 && taken.iter().all(|line| line["client"] == "127.0.0.9"), "{taken:?}");
    server.stop();
}

/// A collector, ended when the test ends.
struct Capture(Child);

impl Capture {
    fn start(socket: &Path, file: &Path) -> Capture {
        let mut command = Command::new("fstrm_capture");
        command.args(["-t", "protobuf:dnstap.Dnstap", "-u"]).arg(socket).arg("-w").arg(file);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Capture(child.unwrap_or_else(|error| panic!("fstrm_capture: {error}; ./test installs it")))
    }

    /// Ends it as a person does, so that it writes all that it has.
    fn stop(mut self) {
        stdout(Command::new("kill").args(["-INT", &self.0.id().to_string()]));
        self.0.wait().unwrap();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until_connected(lab: &Lab, connected: bool) {
    wait_for("the reader is there, or gone", Duration::from_secs(10), || {
        (metric(lab, "waypost_dnstap_connected") == f64::from(u8::from(connected))).then_some(())
    });
}

#[test]
fn others_decode_the_dnstap_that_is_written_also_after_their_restart() {
    let lab = lab("[dnstap]\nsocket = \"dnstap.sock\"\nidentity = \"ns1.example.com\"\n");
    let server = lab.start();
    let (socket, written) = (lab.path("dnstap.sock"), "waypost_logged_queries_total{to=\"dnstap\"}");
    for (run, taken) in [("one", 3.0), ("two", 6.0)] {
        let file = lab.path(run);
        let capture = Capture::start(&socket, &file);
        wait_until_connected(&lab, true);
        Ask::new("www.plain.example.", "A").from("127.0.0.2").to(server.address);
        Ask::new("nothing.plain.example.", "MX").tcp().to(server.address);
        Ask::new("www.elsewhere.example.", "AAAA").from("127.0.0.3").to(server.address);
        wait_for("all is written", Duration::from_secs(5), || (metric(&lab, written) == taken).then_some(()));
        capture.stop();
        let yaml = stdout(Command::new("dnstap-ldns").arg("-y").arg("-r").arg(&file));
        let messages: Vec<&str> = yaml.split("---").filter(|text| text.contains("type: MESSAGE")).collect();
        assert_eq!(messages.len(), 6, "a query and its response for each\n{yaml}");
        let of = |kind: &str, name: &str| {
            let is_it = |text: &&&str| text.contains(&format!("type: {kind}\n")) && text.contains(name);
            *messages.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} of {name}\n{yaml}"))
        };
        for (name, parts, rcode) in [
            ("www.plain.example.", ["127.0.0.2", "UDP", "IN\tA"], "NOERROR"),
            ("nothing.plain.example.", ["127.0.0.1", "TCP", "IN\tMX"], "NXDOMAIN"),
            ("www.elsewhere.example.", ["127.0.0.3", "UDP", "IN\tAAAA"], "REFUSED"),
        ] {
            for kind in ["AUTH_QUERY", "AUTH_RESPONSE"] {
                let message = of(kind, name);
                for part in parts.into_iter().chain(["ns1.example.com", "waypost 0", "INET"]) {
                    assert!(message.contains(part), "{part} isn't in\n{message}");
                }
            }
            assert!(of("AUTH_RESPONSE", name).contains(&format!("rcode: {rcode}")), "{rcode} {yaml}");
        }
        wait_until_connected(&lab, false);
    }
    server.stop();
}

/// A reader that accepts and then reads no more.
fn stalled(socket: &Path) -> UnixStream {
    let listener = UnixListener::bind(socket).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut control = || {
        let mut head = [0; 8];
        stream.read_exact(&mut head).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(head[4..].try_into().unwrap()) as usize];
        stream.read_exact(&mut frame).unwrap();
        frame
    };
    let ready = control();
    assert_eq!(ready[..4], [0, 0, 0, 4], "READY");
    let accept = [&[0, 0, 0, 1], &ready[4..]].concat();
    stream.write_all(&[&[0; 4], &(accept.len() as u32).to_be_bytes()[..], &accept].concat()).unwrap();
    let mut head = [0; 8];
    stream.read_exact(&mut head).unwrap();
    let mut start = vec![0; u32::from_be_bytes(head[4..].try_into().unwrap()) as usize];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(start[..4], [0, 0, 0, 2], "START");
    stream
}

#[test]
fn a_reader_that_stalls_costs_what_it_does_not_read_and_no_answer() {
    let lab = lab("[dnstap]\nsocket = \"dnstap.sock\"\n");
    let server = lab.start();
    let dropped = "waypost_logged_queries_dropped_total{to=\"dnstap\"}";
    // Nobody is there: all is dropped, and answered.
    server.wait_for_log("no dnstap reader");
    server.ask("www.plain.example.", "A");
    wait_for("a drop is counted", Duration::from_secs(5), || (metric(&lab, dropped) >= 1.0).then_some(()));
    let stream = stalled(&lab.path("dnstap.sock"));
    wait_until_connected(&lab, true);
    let before = metric(&lab, dropped);
    let began = Instant::now();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    socket.connect(server.address).unwrap();
    let name = waypost_name("nothing.plain.example.");
    let query = [&[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], &name[..], &[0, 1, 0, 1]].concat();
    while metric(&lab, dropped) == before {
        for _ in 0..2_000 {
            socket.send(&query).unwrap();
            socket.recv(&mut [0; 512]).expect("an answer for every query");
        }
        assert!(began.elapsed() < Duration::from_secs(30), "a reader's memory is bounded");
    }
    // It goes, and another comes.
    drop(stream);
    fs::remove_file(lab.path("dnstap.sock")).unwrap();
    wait_until_connected(&lab, false);
    let capture = Capture::start(&lab.path("dnstap.sock"), &lab.path("captured"));
    wait_until_connected(&lab, true);
    capture.stop();
    server.stop();
}

fn waypost_name(text: &str) -> Vec<u8> {
    waypost::wire::name::Name::parse(text, None).unwrap().as_wire().to_vec()
}

#[test]
fn standard_output_is_lines_of_queries_alone() {
    let lab = lab("[query_log]\nto = \"stdout\"\n");
    let out = lab.path("out");
    let mut command = waypost();
    command.arg("run").stdout(File::create(&out).unwrap());
    let server = Server::start_with(lab.directory.path(), command);
    server.ask("www.plain.example.", "A");
    assert_eq!(names(&lines(&out, 1)), ["www.plain.example."]);
    server.stop();
}

/// Asks until more has been copied than a pipe and what may wait behind it hold.
fn flood(lab: &Lab, server: &Server) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    socket.connect(server.address).unwrap();
    let name = waypost_name("nothing.plain.example.");
    let query = [&[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], &name[..], &[0, 1, 0, 1]].concat();
    let began = Instant::now();
    while metric(lab, "waypost_logged_queries_dropped_total{to=\"query_log\"}") == 0.0 {
        for _ in 0..2_000 {
            socket.send(&query).unwrap();
            socket.recv(&mut [0; 512]).expect("an answer for every query");
        }
        assert!(began.elapsed() < Duration::from_secs(60), "what waits is bounded");
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_dnstap_nor_the_end() {
    let lab = lab("[query_log]\nto = \"stdout\"\n[dnstap]\nsocket = \"dnstap.sock\"\n");
    let file = lab.path("captured");
    let capture = Capture::start(&lab.path("dnstap.sock"), &file);
    let mut command = waypost();
    // A pipe that stays open and full.
    let (unread, written) = std::io::pipe().unwrap();
    command.arg("run").stdout(written);
    let server = Server::start_with(lab.directory.path(), command);
    wait_until_connected(&lab, true);
    flood(&lab, &server);
    let to_dnstap = "waypost_logged_queries_total{to=\"dnstap\"}";
    let before = metric(&lab, to_dnstap);
    server.ask("www.plain.example.", "A");
    wait_for("dnstap goes on", Duration::from_secs(5), || (metric(&lab, to_dnstap) > before).then_some(()));
    let log = server.stop_and_read();
    assert!(log.contains("the query log's last lines are lost"), "{log}");
    drop(unread);
    capture.stop();
}

#[test]
fn a_pipe_without_a_reader_and_a_dnstap_reader_that_hangs_dont_hold_up_the_end() {
    let lab = lab("[query_log]\nto = \"pipe\"\n[dnstap]\nsocket = \"dnstap.sock\"\n");
    stdout(Command::new("mkfifo").arg(lab.path("pipe")));
    let server = lab.start();
    let stream = stalled(&lab.path("dnstap.sock"));
    wait_until_connected(&lab, true);
    server.ask("www.plain.example.", "A");
    server.stop();
    drop(stream);
}

/// What a dnstap message says of its way, by the numbers of `dnstap.proto`.
#[derive(Clone, PartialEq, prost::Message)]
struct Way {
    #[prost(int32, optional, tag = "3")]
    socket_protocol: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "10")]
    query_message: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(message, optional, tag = "14")]
    message: Option<Way>,
}

/// The first label that each query in a captured file asks for, with SocketProtocol.
fn ways(file: &Path) -> Vec<(String, i32)> {
    let octets = fs::read(file).unwrap();
    let (mut rest, mut ways) = (&octets[..], Vec::new());
    let word = |rest: &mut &[u8]| {
        let (word, after) = rest.split_first_chunk::<4>()?;
        *rest = after;
        Some(u32::from_be_bytes(*word) as usize)
    };
    while let Some(length) = word(&mut rest) {
        let is_control = length == 0;
        let length = if is_control { word(&mut rest).unwrap() } else { length };
        let (frame, after) = rest.split_at(length);
        rest = after;
        if is_control {
            continue;
        }
        let way = <Envelope as prost::Message>::decode(frame).unwrap().message.unwrap();
        if let Some(query) = way.query_message {
            let label = &query[13..13 + usize::from(query[12])];
            ways.push((String::from_utf8(label.to_vec()).unwrap(), way.socket_protocol.unwrap()));
        }
    }
    ways.sort();
    ways
}

#[test]
fn what_came_encrypted_is_told_as_such() {
    let lab = lab("[query_log]\nto = \"queries.jsonl\"\n[dnstap]\nsocket = \"dnstap.sock\"\n\
         [tls]\nlisten = \"127.0.0.1:0\"\nquic = \"127.0.0.1:0\"\n");
    let file = lab.path("captured");
    let capture = Capture::start(&lab.path("dnstap.sock"), &file);
    let server = lab.start();
    wait_until_connected(&lab, true);
    server.ask("by-udp.plain.example.", "A");
    Ask::new("by-tcp.plain.example.", "A").tcp().to(server.address);
    kdig(address(&server, "tls"), &["+tls", "by-tls.plain.example", "A"]);
    kdig(address(&server, "quic"), &["+quic", "by-quic.plain.example", "A"]);
    let lines = lines(&lab.path("queries.jsonl"), 4);
    for transport in ["udp", "tcp", "tls", "quic"] {
        let name = format!("by-{transport}.plain.example.");
        let line = lines.iter().find(|line| line["name"] == *name).unwrap_or_else(|| panic!("{lines:?}"));
        assert_eq!((&line["transport"], &line["client"]), (&transport.into(), &"127.0.0.1".into()), "{line}");
    }
    let written = "waypost_logged_queries_total{to=\"dnstap\"}";
    wait_for("all is written", Duration::from_secs(5), || (metric(&lab, written) == 4.0).then_some(()));
    server.stop();
    capture.stop();
    // DOT is 3 and DOQ is 7 (https://github.com/dnstap/dnstap.pb).
    let told = [("by-quic", 7), ("by-tcp", 2), ("by-tls", 3), ("by-udp", 1)];
    assert_eq!(ways(&file), told.map(|(label, way)| (label.to_owned(), way)));
}
