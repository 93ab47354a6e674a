//! Notifications as their receivers see them: the formats of Slack, Teams and Alertmanager, the
//! real Alertmanager and a real Postfix; receivers that fail, hang, or are away over a restart.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use waypost::daemon::{Daemon, Options};
use waypost::notify::Pace;

use crate::lab::{Lab, free_port, output, repository, stdout, wait_for, waypost};
use crate::mail_servers::{Place, dovecot, nginx, postfix};
use crate::recorder::{Recorder, Reply, Request};
use crate::site::{Kind, Service};

/// Waits short enough for a test.
const PACE: Pace = Pace {
    window: Duration::from_secs(1),
    window_most: Duration::from_secs(5),
    backoff: Duration::from_millis(100),
    backoff_most: Duration::from_millis(400),
    patience: Duration::from_secs(2),
    resend: Duration::from_secs(1),
};

const ADDRESSES: [&str; 2] = ["127.0.21.10", "127.0.21.20"];

/// Targets of the site that dies.
const TARGETS: usize = 12;

/// A server with a site of twelve targets and another of one.
struct World {
    lab: Lab,
    sites: Vec<Service>,
}

impl World {
    fn new(notify: &str) -> World {
        let port = free_port(&ADDRESSES);
        let sites = ADDRESSES.map(|address| Service::start(Kind::Http, address, port)).into();
        let lab = Lab::new();
        lab.write(
            "zones/mail.example.zone",
            "$ORIGIN mail.example.\n$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\n\
             ns1 A 127.0.0.1\nwebmail A 127.0.21.10\n",
        );
        let mut routes = format!(
            "[probes.web]\ntype = \"http\"\nhost = \"webmail.mail.example\"\nport = {port}\ninterval = \"500ms\"\n\
             timeout = \"400ms\"\nhold = \"1s\"\n\
             [targets.other]\nsite = \"my\"\nipv4 = \"{}\"\nprobes = [\"web\"]\n",
            ADDRESSES[1]
        );
        let names: Vec<String> = (0..TARGETS).map(|at| format!("web-{at}")).collect();
        for name in &names {
            let address = ADDRESSES[0];
            routes += &format!("[targets.{name}]\nsite = \"tw\"\nipv4 = \"{address}\"\nprobes = [\"web\"]\n");
        }
        let all: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        routes +=
            &format!("[routes.webmail]\ntype = \"address\"\ndefault = [[{}], \"other\"]\n", all.join(", "));
        lab.write("zones/mail.example.toml", &routes);
        let world = World { lab, sites };
        world.configure(notify);
        world
    }

    fn configure(&self, notify: &str) {
        let text = fs::read_to_string(self.lab.path("waypost.toml")).unwrap();
        let server = text.split("[[notify]]").next().unwrap();
        self.lab.write("waypost.toml", &format!("{server}{notify}"));
    }

    fn start(&self) -> Daemon {
        let config = self.lab.path("waypost.toml");
        let daemon = Daemon::start(Options { config, notify: PACE, ..Options::default() }).unwrap();
        wait_for("all targets are up", Duration::from_secs(10), || {
            let board = daemon.control().status().board();
            board
                .rows(waypost::publish::now())
                .all(|row| row.standing.state == waypost::health::State::Up)
                .then_some(())
        });
        daemon
    }

    /// Waits until the board has the site's death, or its return.
    fn wait_for_events(daemon: &Daemon, text: &str, count: usize) {
        wait_for(&format!("{count} events {text}"), Duration::from_secs(10), || {
            let events = daemon.control().status().journal().since(0);
            (events.iter().filter(|event| event.text.contains(text)).count() >= count).then_some(())
        });
    }

    /// A metric of notifications, as collectors see it.
    fn metric(&self, name: &str, receiver: &str) -> u64 {
        let socket = self.lab.path("state/admin.sock");
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--unix-socket"]).arg(socket).arg("http://localhost/metrics");
        let text = stdout(&mut curl);
        let start = format!("waypost_notify_{name}{{name=\"{receiver}\"}} ");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or_else(|| panic!("{start}: {text}"));
        value.parse::<f64>().unwrap() as u64
    }
}

fn receiver(name: &str, kind: &str, url: &str) -> String {
    format!("[[notify]]\nname = \"{name}\"\ntype = \"{kind}\"\nurl = \"{url}\"\nseverity = \"critical\"\n")
}

/// Checks the signature as its receiver would, with another implementation.
fn is_signed(request: &Request, secret: &str) -> bool {
    let header = &request.headers["waypost-signature"];
    let (time, signature) = header.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let signed = tempfile::NamedTempFile::new().unwrap();
    fs::write(signed.path(), format!("{time}.{}", request.body)).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-hmac", secret, "-r"]).arg(signed.path());
    stdout(&mut openssl).split(' ').next() == Some(signature)
}

/// What Slack refuses: https://docs.slack.dev/reference/block-kit/blocks
fn check_slack(body: &Value) {
    let length = |value: &Value| value.as_str().unwrap().chars().count();
    assert!((1..=4_000).contains(&length(&body["text"])), "{body}");
    let blocks = body["blocks"].as_array().unwrap();
    assert!((1..=50).contains(&blocks.len()), "{body}");
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "header" => {
                assert_eq!(block["text"]["type"], "plain_text");
                assert!((1..=150).contains(&length(&block["text"]["text"])), "{block}");
            }
            "section" => {
                assert_eq!(block["text"]["type"], "mrkdwn");
                assert!((1..=3_000).contains(&length(&block["text"]["text"])), "{block}");
            }
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()), "{block}");
                assert!(elements.iter().all(|element| element["type"] == "mrkdwn"), "{block}");
            }
            other => panic!("a block of type {other}"),
        }
    }
}

/// What a workflow of Teams wants: a message with one Adaptive Card of version 1.4.
fn check_teams(request: &Request) {
    assert!(request.body.len() < 28 << 10, "{}", request.body.len());
    let body = request.json();
    assert_eq!(body["type"], "message");
    let [attachment] = &body["attachments"].as_array().unwrap()[..] else { panic!("{body}") };
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &attachment["content"];
    assert_eq!((card["type"].as_str(), card["version"].as_str()), (Some("AdaptiveCard"), Some("1.4")));
    for element in card["body"].as_array().unwrap() {
        match element["type"].as_str().unwrap() {
            "TextBlock" => assert!(element["text"].is_string() && element["wrap"] == true, "{element}"),
            "FactSet" => {
                let facts = element["facts"].as_array().unwrap();
                assert!(
                    facts.iter().all(|fact| fact["title"].is_string() && fact["value"].is_string()),
                    "{element}"
                );
            }
            other => panic!("an element of type {other}"),
        }
    }
}

#[test]
fn a_site_s_death_is_one_message_and_its_return_another() {
    let recorder = Recorder::start();
    let webhook = receiver("hook", "webhook", &recorder.url("/hook"));
    let slack = receiver("slack", "slack", &recorder.url("/slack"));
    let teams = receiver("teams", "teams", &recorder.url("/teams"));
    let elsewhere = receiver("elsewhere", "webhook", &recorder.url("/elsewhere"));
    let mut world = World::new(&format!(
        "{webhook}secret_file = \"secret\"\n[notify.template]\ntitle = \"{{server}}: {{summary}}\"\n\
         {slack}{teams}{elsewhere}sites = [\"my\"]\n"
    ));
    world.lab.write("secret", "s3cret\n");
    let daemon = world.start();
    world.sites[0].down();
    let hook = recorder.wait_for("/hook", 1).remove(0);
    let slack = recorder.wait_for("/slack", 1).remove(0);
    let teams = recorder.wait_for("/teams", 1).remove(0);

    let body = hook.json();
    assert_eq!(body["title"], "ns1.example.com: 12 targets at site tw DOWN", "{body}");
    assert_eq!(
        (&body["version"], &body["test"], &body["severity"]),
        (&1.into(), &false.into(), &"critical".into())
    );
    assert_eq!((&body["sites"][0], &body["zones"][0]), (&"tw".into(), &"mail.example.".into()));
    let events = body["events"].as_array().unwrap();
    assert_eq!(events.len(), TARGETS, "{body}");
    assert!(events.iter().all(|event| event["turn"] == "begins" && event["site"] == "tw"), "{body}");
    assert!(body["text"].as_str().unwrap().contains("127.0.21.20"), "who is sent elsewhere: {body}");
    assert!(is_signed(&hook, "s3cret") && !is_signed(&hook, "another"));
    assert_eq!(hook.headers["content-type"], "application/json");
    check_slack(&slack.json());
    assert!(slack.json()["text"].as_str().unwrap().contains("12 targets at site tw DOWN"));
    check_teams(&teams);

    world.sites[0].up();
    let hooks = recorder.wait_for("/hook", 2);
    assert_eq!(hooks[1].json()["title"], "ns1.example.com: 12 targets at site tw UP again");
    check_slack(&recorder.wait_for("/slack", 2)[1].json());
    assert_eq!(hooks.len(), 2);
    assert!(recorder.requests("/elsewhere").is_empty());

    // A changed receiver is taken by a reload, and the old one hears no more.
    world.configure(&receiver("hook", "webhook", &recorder.url("/moved")));
    daemon.waker().reload();
    wait_for("the configuration is taken", Duration::from_secs(5), || {
        (daemon.control().status().server().borrow().notify.len() == 1).then_some(())
    });
    world.sites[0].down();
    assert!(!recorder.wait_for("/moved", 1)[0].headers.contains_key("waypost-signature"));
    assert_eq!(recorder.requests("/hook").len(), 2);
    wait_for("what was sent is counted", Duration::from_secs(5), || {
        (world.metric("sent_total", "hook") == 3).then_some(())
    });
    daemon.stop();
}

#[test]
fn receivers_that_fail_are_asked_again_as_they_wish_and_hold_up_nobody() {
    let recorder = Recorder::start();
    let names = ["well", "busy", "broken", "gone", "silent"];
    let notify: String =
        names.iter().map(|name| receiver(name, "webhook", &recorder.url(&format!("/{name}")))).collect();
    recorder.reply("/busy", &[Reply::Status(429, "retry-after: 2\r\n")]);
    recorder.reply("/broken", &[Reply::Status(500, ""), Reply::Status(503, "")]);
    recorder.reply("/gone", &[Reply::Status(404, "")]);
    recorder.reply("/silent", &[Reply::Silence]);
    let mut world = World::new(&notify);
    let daemon = world.start();
    world.sites[0].down();
    let silent = recorder.wait_for("/silent", 1);
    let well = recorder.wait_for("/well", 1);
    assert!(well[0].at < silent[0].at + PACE.patience, "one that hangs holds up another");

    let busy = recorder.wait_for("/busy", 2);
    let waited = busy[1].at - busy[0].at;
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
    let broken = recorder.wait_for("/broken", 3);
    let silent = recorder.wait_for("/silent", 2);
    assert!(silent[1].at - silent[0].at >= PACE.patience);
    for (first, last) in [(&busy[0], &busy[1]), (&broken[0], &broken[2]), (&silent[0], &silent[1])] {
        assert_eq!(first.json()["id"], last.json()["id"], "the same message comes again");
    }
    wait_for("all is counted", Duration::from_secs(5), || {
        let all_sent =
            ["well", "busy", "broken", "silent"].iter().all(|name| world.metric("sent_total", name) == 1);
        all_sent.then_some(())
    });
    let counts =
        |name| ["failed_total", "dropped_total", "queue_length"].map(|metric| world.metric(metric, name));
    assert_eq!(counts("well"), [0, 0, 0]);
    assert_eq!(counts("busy"), [1, 0, 0]);
    assert_eq!(counts("broken"), [2, 0, 0]);
    assert_eq!(counts("gone"), [1, 1, 0]);
    assert_eq!(counts("silent"), [1, 0, 0]);
    assert_eq!(recorder.requests("/gone").len(), 1, "what is refused isn't sent again");
    daemon.stop();
}

#[test]
fn what_nobody_took_is_sent_after_a_restart() {
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), free_port(&["127.0.0.1"]));
    let mut world = World::new(&receiver("ops", "webhook", &format!("http://{address}/ops")));
    let daemon = world.start();
    world.sites[0].down();
    let queue = world.lab.path("state/notify/ops");
    wait_for("a message waits on the disk", Duration::from_secs(10), || {
        let names = fs::read_dir(&queue).unwrap().map(|entry| entry.unwrap().file_name());
        names.into_iter().any(|name| name.to_str().unwrap().ends_with(".json")).then_some(())
    });
    daemon.stop();
    let recorder = Recorder::at(address);
    world.sites[0].up();
    let daemon = world.start();
    let requests = recorder.wait_for("/ops", 2);
    assert_eq!(requests[0].json()["title"], "12 targets at site tw DOWN");
    assert_eq!(requests[1].json()["title"], "12 targets at site tw UP again");
    wait_for("its files are gone", Duration::from_secs(5), || {
        (fs::read_dir(&queue).unwrap().count() == 1).then_some(())
    });
    daemon.stop();

    // What happened and wasn't gathered yet when the server ended is told too, and nothing twice.
    let daemon = world.start();
    world.sites[0].down();
    World::wait_for_events(&daemon, "-> DOWN", 2 * TARGETS);
    // The journal is on the disk by then, and the message isn't made.
    daemon.stop();
    assert_eq!(recorder.requests("/ops").len(), 2);
    let config = world.lab.path("waypost.toml");
    let daemon = Daemon::start(Options { config, notify: PACE, ..Options::default() }).unwrap();
    let requests = recorder.wait_for("/ops", 3);
    assert_eq!(requests[2].json()["title"], "12 targets at site tw DOWN");
    daemon.stop();
}

/// Ended when the test ends.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_alertmanager_has_an_alert_fire_and_resolve() {
    let [port, gossip]: [u16; 2] = std::array::from_fn(|_| free_port(&["127.0.0.1"]));
    let url = format!("http://127.0.0.1:{port}");
    let mut world = World::new(&receiver("alerts", "alertmanager", &url));
    // Its own receiver gets what it makes of the alerts: firing, then resolved.
    let recorder = Recorder::start();
    world.lab.write(
        "alertmanager.yml",
        &format!(
            "route: {{ receiver: all, group_wait: 0s, group_interval: 1s, group_by: [alertname] }}\n\
             receivers: [{{ name: all, webhook_configs: [{{ url: \"{}\", send_resolved: true }}] }}]\n",
            recorder.url("/alerts")
        ),
    );
    let mut alertmanager = Command::new("prometheus-alertmanager");
    alertmanager.arg(format!("--config.file={}", world.lab.path("alertmanager.yml").display()));
    alertmanager.arg(format!("--storage.path={}", world.lab.path("alertmanager").display()));
    alertmanager.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    alertmanager.arg(format!("--cluster.listen-address=127.0.0.1:{gossip}"));
    let spawned = alertmanager.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _alertmanager = Peer(spawned.expect("prometheus-alertmanager; ./test installs it"));
    let amtool = |matcher: &str| {
        let mut amtool = Command::new("amtool");
        amtool.args(["--alertmanager.url", &url, "-o", "json", "alert", "query", matcher]);
        let output = output(&mut amtool);
        serde_json::from_slice::<Value>(&output.stdout).ok().and_then(|found| found.as_array().cloned())
    };
    wait_for("the alertmanager answers", Duration::from_secs(15), || amtool("site=tw"));
    let daemon = world.start();
    world.sites[0].down();
    let fires = wait_for("all alerts fire", Duration::from_secs(15), || {
        amtool("alertname=WaypostTargetDown").filter(|alerts| alerts.len() == TARGETS)
    });
    for alert in &fires {
        let labels = &alert["labels"];
        assert_eq!((&labels["site"], &labels["severity"]), (&"tw".into(), &"critical".into()), "{alert}");
        assert_eq!(
            (&labels["zone"], &labels["family"]),
            (&"mail.example.".into(), &"ipv4".into()),
            "{alert}"
        );
        assert!(
            alert["annotations"]["summary"].as_str().unwrap().contains("at site tw (ipv4) DOWN"),
            "{alert}"
        );
    }
    // Told again before they lapse: four turns of a second are over.
    std::thread::sleep(PACE.resend * 5);
    assert_eq!(amtool("alertname=WaypostTargetDown").unwrap().len(), TARGETS);
    world.sites[0].up();
    wait_for("no alert is left", Duration::from_secs(15), || {
        amtool("alertname=WaypostTargetDown").filter(Vec::is_empty)
    });
    let said = wait_for("they are told to be resolved", Duration::from_secs(15), || {
        let mut all = recorder.requests("/alerts").into_iter().map(|request| request.json());
        all.find(|body| body["status"] == "resolved")
    });
    assert_eq!(said["alerts"].as_array().unwrap().len(), TARGETS, "{said}");
    daemon.stop();
}

#[test]
fn mail_is_handed_to_a_real_postfix_over_starttls_with_a_login() {
    let place = Place::new();
    let dovecot = dovecot(&place, "mail");
    let (_postfix, [_, submission, submissions]) = postfix(&place, dovecot.auth);
    let lab = Lab::new();
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let email = |port: u16, encryption: &str, password: &str| {
        format!(
            "[[notify]]\nname = \"{encryption}\"\ntype = \"email\"\nserver = \"127.0.0.1\"\nport = {port}\n\
             encryption = \"{encryption}\"\nuser = \"dns@example.com\"\npassword_file = \"{password}\"\nca_file = \"{}\"\n\
             from = \"Waypost <dns@example.com>\"\nto = [\"operators@example.net\"]\n",
            place_path(&place)
        )
    };
    lab.write("password", "x\n");
    lab.write("wrong", "y\n");
    lab.write(
        "waypost.toml",
        &format!(
            "{config}{}{}",
            email(submission, "starttls", "password"),
            email(submissions, "implicit", "password")
        ),
    );
    let test = || waypost().args(["notify", "test"]).current_dir(lab.directory.path()).output().unwrap();
    let said = test();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.status.success(),
        "{text}{}\n{}",
        String::from_utf8_lossy(&said.stderr),
        place.read("postfix/mail.log")
    );
    assert!(text.contains("starttls: taken: 250 ") && text.contains("implicit: taken: 250 "), "{text}");
    let held = wait_for("postfix holds both", Duration::from_secs(10), || {
        let found = place.held();
        (found.len() == 2).then_some(found)
    });
    for mail in held {
        for line in [
            "From: Waypost <dns@example.com>",
            "To: operators@example.net",
            "Subject: [info] [TEST] ",
            "Auto-Submitted: auto-generated",
            "Message-ID: <waypost.0.",
            "nothing has happened",
        ] {
            assert!(mail.contains(line), "{line}: {mail}");
        }
    }
    let log = place.read("postfix/mail.log");
    assert_eq!(log.matches("sasl_username=dns@example.com").count(), 2, "{log}");

    lab.write("waypost.toml", &format!("{config}{}", email(submission, "starttls", "wrong")));
    let said = test();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.status.code() == Some(1) && text.contains("starttls: refused: ") && text.contains("535"),
        "{text}"
    );
}

fn place_path(place: &Place) -> String {
    place.path("mail.pem")
}

#[test]
fn the_page_s_configuration_is_read_as_it_stands() {
    let page = fs::read_to_string(repository().join("docs/notifications.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 4);
    let lab = Lab::new();
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let text = format!("{config}\n{}", blocks.concat());
    let (server, warnings) = waypost::config::server::parse(&lab.path("waypost.toml"), &text).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let names: Vec<&str> = server.notify.iter().map(|receiver| &*receiver.name).collect();
    assert_eq!(names, ["operators", "hook", "alerts", "mail"]);
}

#[test]
fn https_is_trusted_by_the_system_or_by_a_file() {
    let place = Place::new();
    let (_nginx, port) = nginx(&place, "TLSv1.3");
    let lab = Lab::new();
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let hook = |name| receiver(name, "webhook", &format!("https://127.0.0.1:{port}/"));
    let trusting = format!("{}ca_file = \"{}\"\n", hook("trusting"), place_path(&place));
    lab.write("waypost.toml", &format!("{config}{trusting}{}", hook("wary")));
    let output = output(waypost().args(["notify", "test"]).current_dir(lab.directory.path()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("trusting: taken: HTTP 200: well\n"), "{text}");
    assert!(text.contains("wary: not taken") && text.contains("certificate"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_command_says_who_takes_a_test() {
    let recorder = Recorder::start();
    recorder.reply("/gone", &[Reply::Status(410, "")]);
    let lab = Lab::new();
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let run = |arguments: &[&str]| {
        let output = waypost()
            .args(["notify", "test"])
            .args(arguments)
            .current_dir(lab.directory.path())
            .output()
            .unwrap();
        let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), texts.concat())
    };
    assert_eq!(run(&[]), (Some(1), "waypost: waypost.toml has no [[notify]]\n".to_owned()));
    let url = recorder.url("/well");
    lab.write("well.url", &format!("{url}\n"));
    lab.write(
        "waypost.toml",
        &format!(
            "{config}[[notify]]\nname = \"well\"\ntype = \"slack\"\nurl_file = \"well.url\"\n{}{}",
            receiver("gone", "webhook", &recorder.url("/gone")),
            receiver("away", "teams", "http://127.0.0.1:1/secret"),
        ),
    );
    assert_eq!(run(&["well"]), (Some(0), "well: taken: HTTP 200: ok\n".to_owned()));
    let body = recorder.requests("/well")[0].json();
    check_slack(&body);
    assert!(body["text"].as_str().unwrap().contains("[TEST]"), "{body}");
    let (code, text) = run(&[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("well: taken") && text.contains("gone: refused: HTTP 410"), "{text}");
    assert!(text.contains("away: not taken") && !text.contains("secret"), "a URL is a secret: {text}");
    assert!(run(&["wel"]).1.contains("has no [[notify]] \"wel\", but well, gone, away"));
}
