//! The operator's hand: drains and the like by command and over the API, and what is told of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::failover::{mail_lab, wait_until_all_up, wait_until_sent_to};
use crate::lab::{Lab, Server, TW, VN, free_port, output, stdout, wait_for, waypost};
use crate::recorder::{Recorder, Reply};
use crate::site::{Kind, Service};

fn command(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = waypost();
    command.args(arguments).current_dir(lab.directory.path());
    command
}

pub fn ordered(lab: &Lab, arguments: &[&str]) -> String {
    stdout(&mut command(lab, arguments))
}

/// What a command that must fail says.
fn refused(lab: &Lab, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = output(&mut command(lab, arguments));
    assert!(!status.success(), "{arguments:?} succeeded");
    String::from_utf8_lossy(&stderr).into_owned()
}

fn why(server: &Server) -> String {
    server.inspect("webmail.mail.example.why.waypost", Some(TW)).join("\n")
}

fn me() -> String {
    stdout(Command::new("id").arg("-un")).trim().to_owned()
}

#[test]
fn a_drained_site_is_left_at_once_and_stays_so_over_a_restart() {
    let (lab, _sites) = mail_lab("500ms");
    let server = lab.start();
    wait_until_all_up(&server);
    let told = ordered(&lab, &["drain", "tw", "--reason", "kernel update"]);
    assert!(told.contains("127.0.1.10 -> 127.0.1.20"), "the effect is told:\n{told}");
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.20"]);
    let said = format!("web-tw: drained by {}: kernel update", me());
    assert!(why(&server).contains(&said), "{said:?} isn't in\n{}", why(&server));
    let health = server.inspect("web-tw.health.waypost", None).join("\n");
    assert!(health.contains("DRAINED (UP)") && health.contains("kernel update"), "{health}");
    wait_for("the order is on disk", Duration::from_secs(5), || {
        std::fs::read_to_string(lab.path("state/health.json")).ok()?.contains("kernel update").then_some(())
    });
    server.kill();

    let server = lab.start();
    for _ in 0..20 {
        assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.20"]);
    }
    assert!(why(&server).contains(&said), "{}", why(&server));
    ordered(&lab, &["undrain", "tw"]);
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(5));
    assert!(refused(&lab, &["undrain", "tw"]).contains("there is no order on site tw"));
    assert!(refused(&lab, &["drain", "twx"]).contains("no site and no target \"twx\""));
    server.stop();
}

#[test]
fn an_order_for_a_time_ends_by_itself() {
    let (lab, _sites) = mail_lab("500ms");
    let server = lab.start();
    wait_until_all_up(&server);
    ordered(&lab, &["drain", "mail.example/web-tw", "--for", "2s"]);
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.20"]);
    assert!(why(&server).contains(" until 20"), "{}", why(&server));
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(5));
    let events = server.inspect("events.waypost", None).join("\n");
    assert!(events.contains("its time is over"), "{events}");
    server.stop();
}

#[test]
fn what_leaves_clients_without_a_target_is_refused_unless_forced() {
    let (lab, _sites) = mail_lab("500ms");
    let server = lab.start();
    wait_until_all_up(&server);
    ordered(&lab, &["drain", "web-my"]);
    ordered(&lab, &["force-down", "web-vn"]);
    let text = refused(&lab, &["drain", "tw"]);
    for part in ["route webmail of mail.example. (A)", "default tw my vn", "--force"] {
        assert!(text.contains(part), "{part:?} isn't in {text}");
    }
    assert_eq!(server.ask_from("webmail.mail.example.", "A", VN).data(), ["127.0.1.10"]);
    ordered(&lab, &["drain", "tw", "--force"]);
    assert!(why(&server).contains("failing open"), "{}", why(&server));
    server.stop();
}

#[test]
fn an_order_goes_before_the_file() {
    let (lab, _sites) = mail_lab("500ms");
    let path = lab.path("zones/mail.example.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    lab.write(
        "zones/mail.example.toml",
        &text.replacen("site = \"tw\"", "site = \"tw\"\nstate = \"drained\"", 1),
    );
    let server = lab.start();
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(5));
    assert!(why(&server).contains("web-tw: drained in "), "{}", why(&server));
    assert!(why(&server).contains("zones/mail.example.toml"), "{}", why(&server));
    // The file is told to whoever wonders why there is nothing to take back.
    assert!(refused(&lab, &["undrain", "web-tw"]).contains("web-tw is drained in "));
    ordered(&lab, &["force-up", "web-tw"]);
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(5));
    assert!(why(&server).contains("web-tw: forced up by "), "{}", why(&server));
    ordered(&lab, &["undrain", "web-tw"]);
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(5));
    server.stop();
}

#[test]
fn a_maintenance_window_drains_its_site_in_time() {
    let (lab, _sites) = mail_lab("500ms");
    let moment = |ahead: u64| {
        let at = std::time::SystemTime::now() + Duration::from_secs(ahead);
        humantime::format_rfc3339_seconds(at).to_string()
    };
    let text = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let window = format!(
        "[[maintenance]]\nsite = \"tw\"\nfrom = \"{}\"\nuntil = \"{}\"\nreason = \"new disks\"\n",
        moment(3),
        moment(7)
    );
    lab.write("waypost.toml", &format!("{text}{window}"));
    let server = lab.start();
    wait_until_all_up(&server);
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.10"]);
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(10));
    assert!(why(&server).contains("new disks"), "{}", why(&server));
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(15));
    server.stop();
}

#[test]
fn events_have_numbers_that_rise_over_a_restart() {
    let (lab, mut sites) = mail_lab("500ms");
    let server = lab.start();
    wait_until_all_up(&server);
    sites.web[0].down();
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(5));
    let events = |since: u64| -> Vec<serde_json::Value> {
        let since = since.to_string();
        let lines = ordered(&lab, &["events", "--json", "--since", &since]);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let death = wait_for("the death is told", Duration::from_secs(5), || {
        events(0).into_iter().find(|event| event["text"].as_str().unwrap().contains("SUSPECT -> DOWN"))
    });
    assert_eq!((&death["kind"], &death["cause"]), (&"transition".into(), &"web".into()));
    assert!(death["evidence"].as_str().unwrap().contains("refused"), "{death}");
    let effect = &death["effects"][0];
    assert_eq!((&effect["old"], &effect["new"]), (&"127.0.1.10".into(), &"127.0.1.20".into()), "{death}");
    assert!(effect["regions"].as_array().unwrap().contains(&"tw".into()), "{death}");
    server.stop();

    let before = std::fs::read_to_string(lab.path("state/events.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(before.lines().last().unwrap()).unwrap();
    let last = last["id"].as_u64().unwrap();
    let server = lab.start();
    let fresh =
        wait_for("an event after the restart", Duration::from_secs(5), || events(last).into_iter().next());
    assert_eq!(fresh["id"].as_u64().unwrap(), last + 1);
    let known = events(0).iter().any(|event| event["id"] == death["id"]);
    assert!(known, "what was told before is known");
    server.stop();
}

/// One request over TCP; its status and body.
fn request(address: SocketAddr, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let length = body.len();
    let text = format!(
        "POST /v1/drain HTTP/1.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{head}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[test]
fn over_tcp_a_token_is_needed_and_pages_of_other_origins_are_refused() {
    let (lab, _sites) = mail_lab("500ms");
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), free_port(&["127.0.0.1"]));
    let text = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let marked = lab.path("drained");
    let hook = format!("[\"/bin/sh\", \"-c\", \"echo $WAYPOST_BY $WAYPOST_DRAINED > {}\"]", marked.display());
    let admin = format!("[admin]\nlisten = \"{address}\"\ntokens = \"tokens\"\n[hooks]\ndrain = {hook}\n");
    lab.write("waypost.toml", &format!("{text}{admin}"));
    lab.write("tokens", "deploy s3cret\n");
    let server = lab.start();
    wait_until_all_up(&server);
    let host = format!("host: {address}\r\n");
    let body = "{\"whom\": \"web-tw\"}";
    let token = "authorization: Bearer s3cret\r\n";
    for (head, status) in [
        (host.clone(), 401),
        (format!("{host}authorization: Bearer s3cre\r\n"), 401),
        (format!("{host}{token}origin: http://pages.example\r\n"), 403),
        (format!("host: rebound.example\r\n{token}"), 403),
    ] {
        let (found, answer) = request(address, &head, body);
        assert_eq!(found, status, "{head}{answer}");
    }
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.10"]);
    let (status, answer) = request(address, &format!("{host}{token}origin: http://{address}\r\n"), body);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("drained by deploy"), "{answer}");
    let told = wait_for("the hook has run", Duration::from_secs(5), || {
        std::fs::read_to_string(&marked).ok().filter(|text| !text.is_empty())
    });
    assert_eq!(told.trim(), "deploy web-tw");
    server.stop();
}

#[test]
fn whoever_waits_is_told_how_long_still_and_how_often_the_zone_is_asked() {
    let (lab, _sites) = mail_lab("500ms");
    let path = lab.path("zones/mail.example.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    lab.write("zones/mail.example.toml", &text.replace("type = \"address\"", "type = \"address\"\nttl = 4"));
    lab.write(
        "zones/other.example.zone",
        "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns.mail.example.\n",
    );
    let server = lab.start();
    wait_until_all_up(&server);
    let is_over = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                server.ask_from("webmail.mail.example.", "A", TW);
                (0..20).for_each(|_| drop(server.ask("other.example.", "SOA")));
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let said = ordered(&lab, &["drain", "web-tw", "--wait"]);
        is_over.store(true, Ordering::Relaxed);
        said
    });
    let lines: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("waiting ")).collect();
    assert_eq!((lines.len(), lines[0]), (3, "waiting 6s until caches have let go"), "{said}");
    for (line, left) in lines[1..].iter().zip(["1s", "0s"]) {
        let end = " newer answers/s go out from mail.example.";
        let begin = format!("{left} until the last older answer has expired; ");
        let rate = line.strip_prefix(&begin).and_then(|line| line.strip_suffix(end));
        let rate: f64 = rate.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
        // Ten a second at most, and not the two hundred of the other zone.
        assert!(rate > 0.0 && rate < 15.0, "{said}");
    }
    server.stop();
}

#[test]
fn a_drain_is_posted_and_once_more_after_a_failure() {
    let (lab, _sites) = mail_lab("500ms");
    let recorder = Recorder::start();
    let text = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let hooks = format!("[hooks]\ndrain_url = \"{}\"\n", recorder.url("/drained?key=s3cret"));
    lab.write("waypost.toml", &format!("{text}{hooks}"));
    let server = lab.start();
    wait_until_all_up(&server);
    let path = "/drained?key=s3cret";

    recorder.reply(path, &[Reply::Status(500, "")]);
    ordered(&lab, &["drain", "tw", "--reason", "kernel update"]);
    let posted = recorder.wait_for(path, 2);
    assert!(posted[1].at - posted[0].at >= Duration::from_secs(1), "{posted:?}");
    for request in &posted {
        let told = serde_json::json!({
            "drained": "tw", "targets": ["mail.example./web-tw", "mail.example./mx-tw"],
            "by": me(), "reason": "kernel update",
        });
        assert_eq!(request.json(), told);
    }
    server.wait_for_log("the drain hook failed, once more in a second");
    server.wait_for_log("the drain hook was posted");
    ordered(&lab, &["undrain", "tw"]);

    // Who never answers holds up neither the order nor the answers.
    recorder.reply(path, &[Reply::Silence, Reply::Silence]);
    let started = Instant::now();
    ordered(&lab, &["drain", "web-tw"]);
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.20"]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let posted = recorder.wait_for(path, 4);
    let apart = posted[3].at - posted[2].at;
    // A time-out of five seconds and a second, less what the first was on its way.
    assert!(apart >= Duration::from_millis(5500), "{apart:?}");
    assert_eq!(posted[3].json()["reason"], serde_json::Value::Null);
    server.wait_for_log("the drain hook failed\"");
    let log = server.log();
    assert!(!log.contains("s3cret") && log.contains(&recorder.url("/drained")), "{log}");
    server.stop();
}

#[test]
fn a_change_of_the_admin_address_is_told_to_take_a_restart() {
    let (lab, _sites) = mail_lab("500ms");
    let server = lab.start();
    let text = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &format!("{text}[admin]\nsocket = \"other.sock\"\n"));
    server.wait_for_log("[admin] changed in the configuration; it takes a restart");
    // The commands go where the configuration says; where the server is can be said to them.
    assert!(refused(&lab, &["drain", "web-tw"]).contains("other.sock: no server answers here"));
    ordered(&lab, &["drain", "web-tw", "--socket", "state/admin.sock"]);
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.20"]);
    server.stop();
}

#[test]
fn with_good_canaries_the_death_of_all_sites_is_believed() {
    let (lab, mut sites) = mail_lab("500ms");
    let port = free_port(&["127.0.2.1"]);
    let _canary = Service::start(Kind::Http, "127.0.2.1", port);
    let text = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let canary = format!(
        "[canaries.uplink]\naddress = \"127.0.2.1\"\ntype = \"tcp\"\nport = {port}\ninterval = \"500ms\"\n"
    );
    lab.write("waypost.toml", &format!("{text}{canary}"));
    let server = lab.start();
    wait_for("all are up, the canary too", Duration::from_secs(10), || {
        let lines = server.inspect("health.waypost", None);
        (lines.len() == 7 && lines.iter().all(|line| line.contains(" UP "))).then_some(())
    });
    sites.web.iter_mut().chain(&mut sites.mx).for_each(Service::down);
    wait_for("the failures are believed", Duration::from_secs(10), || {
        why(&server).contains("failing open").then_some(())
    });
    assert!(!why(&server).contains("doubts"), "{}", why(&server));
    server.stop();
}

#[test]
fn a_drain_is_refused_when_those_who_are_left_cannot_take_the_load() {
    let (lab, _sites) = mail_lab("500ms");
    let path = lab.path("zones/mail.example.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let sites = "[sites.tw]\ncapacity = 160\nload = 100\n[sites.my]\ncapacity = 120\nload = 60\n[sites.vn]\ncapacity = 500\nload = 50\n";
    lab.write("zones/mail.example.toml", &format!("{text}{sites}"));
    let server = lab.start();
    wait_until_all_up(&server);
    let text = refused(&lab, &["drain", "web-tw"]);
    assert!(text.contains("my has 60 of the 100 that tw serves (route webmail of mail.example.)"), "{text}");
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.10"]);
    // The other way round there is room.
    ordered(&lab, &["drain", "web-vn"]);
    ordered(&lab, &["undrain", "web-vn"]);
    ordered(&lab, &["drain", "web-tw", "--force"]);
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.20"]);
    server.stop();
}
