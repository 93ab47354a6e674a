//! A site dies and comes back: who is sent where, how fast, and what `dig` says of it.

use std::time::{Duration, Instant};

use crate::lab::{Lab, MY, Server, TW, VN, free_port, wait_for};
use crate::site::{Kind, Service};

pub const ADDRESSES: [&str; 3] = ["127.0.1.10", "127.0.1.20", "127.0.1.30"];

pub const ZONE: &str = "\
$ORIGIN mail.example.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 127.0.0.1
@ MX 10 mx-tw
mx-tw A 127.0.1.10
mx-my A 127.0.1.20
mx-vn A 127.0.1.30
webmail A 127.0.1.10
";

/// Three sites, each a web server and an exchanger.
pub fn routes(web_port: u16, mx_port: u16, interval: &str) -> String {
    let mut text = format!(
        r#"
[probes.web]
type = "http"
host = "webmail.mail.example"
port = {web_port}
interval = "{interval}"
timeout = "500ms"
hold = "1s"

[probes.mx]
type = "smtp"
port = {mx_port}
interval = "{interval}"
timeout = "500ms"
hold = "1s"

[routes.webmail]
type = "address"
tw = ["web-tw", "web-my", "web-vn"]
my = ["web-my", "web-vn", "web-tw"]
vn = ["web-vn", "web-my", "web-tw"]
default = ["web-my", "web-vn", "web-tw"]

[routes.exchangers]
name = "@"
type = "mx"
tw = ["mx-tw", "mx-my", "mx-vn"]
default = ["mx-my", "mx-vn", "mx-tw"]
"#
    );
    for (site, address) in ["tw", "my", "vn"].into_iter().zip(ADDRESSES) {
        text += &format!(
            r#"
[targets.web-{site}]
site = "{site}"
ipv4 = "{address}"
probes = ["web"]

[targets.mx-{site}]
site = "{site}"
ipv4 = "{address}"
host = "mx-{site}"
probes = ["mx"]
"#
        );
    }
    text
}

/// The three sites' services.
pub struct Sites {
    pub web: Vec<Service>,
    pub mx: Vec<Service>,
}

impl Sites {
    pub fn start() -> (Sites, u16, u16) {
        let web_port = free_port(&ADDRESSES);
        let web = ADDRESSES.map(|address| Service::start(Kind::Http, address, web_port)).into();
        let mx_port = free_port(&ADDRESSES);
        let mx = ADDRESSES.map(|address| Service::start(Kind::Smtp, address, mx_port)).into();
        (Sites { web, mx }, web_port, mx_port)
    }
}

pub fn mail_lab(interval: &str) -> (Lab, Sites) {
    let (sites, web_port, mx_port) = Sites::start();
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", ZONE);
    lab.write("zones/mail.example.toml", &routes(web_port, mx_port, interval));
    (lab, sites)
}

pub fn wait_until_all_up(server: &Server) {
    wait_for("all targets are UP", Duration::from_secs(10), || {
        let lines = server.inspect("health.waypost", None);
        (lines.len() == 6 && lines.iter().all(|line| line.contains(" UP "))).then_some(())
    });
}

/// Waits until a region gets an address; the time it took.
pub fn wait_until_sent_to(server: &Server, network: &str, address: &str, at_most: Duration) -> Duration {
    let started = Instant::now();
    wait_for(&format!("{network} is sent to {address}"), at_most, || {
        (server.ask_from("webmail.mail.example.", "A", network).data() == [address]).then_some(())
    });
    started.elapsed()
}

#[test]
fn each_region_has_its_site_and_the_next_one_when_that_dies() {
    let interval = Duration::from_secs(1);
    let (lab, mut sites) = mail_lab("1s");
    let server = lab.start();
    let webmail = |network| server.ask_from("webmail.mail.example.", "A", network);
    let mx = |network| server.ask_from("mail.example.", "MX", network).data();
    wait_until_all_up(&server);
    assert_eq!(webmail(TW).data(), ["127.0.1.10"]);
    assert_eq!(webmail(MY).data(), ["127.0.1.20"]);
    assert_eq!(webmail(VN).data(), ["127.0.1.30"]);
    assert_eq!(webmail(TW).ttl(), 20);
    let at_home = ["10 mx-tw.mail.example.", "20 mx-my.mail.example.", "30 mx-vn.mail.example."];
    assert_eq!(mx(TW), at_home);

    // One probe interval and a second, and every answer on the way is one of the two sites.
    sites.web[0].down();
    let took = wait_until_sent_to(&server, TW, "127.0.1.20", interval + Duration::from_secs(1));
    println!("tw was passed over after {took:?}");
    assert_eq!(webmail(MY).data(), ["127.0.1.20"]);
    let why = server.inspect("webmail.mail.example.why.waypost", Some(TW)).join("\n");
    for part in ["region tw", "web-tw", "DOWN", "web-my", "127.0.1.20"] {
        assert!(why.contains(part), "{part:?} isn't in\n{why}");
    }
    let health = server.inspect("web-tw.health.waypost", None).join("\n");
    assert!(health.contains("DOWN") && health.contains("refused"), "{health}");

    // The exchangers are other targets: no order has changed.
    assert_eq!(mx(TW), at_home);
    sites.mx[0].down();
    wait_for("mx-tw goes behind the others", interval + Duration::from_secs(1), || {
        let moved = ["10 mx-my.mail.example.", "20 mx-vn.mail.example.", "30 mx-tw.mail.example."];
        (mx(TW) == moved).then_some(())
    });

    sites.web[0].up();
    sites.mx[0].up();
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(10));
    wait_for("MX is as it was", Duration::from_secs(10), || (mx(TW) == at_home).then_some(()));
    let events = server.inspect("events.waypost", None).join("\n");
    assert!(events.contains("web-tw 127.0.1.10 SUSPECT -> DOWN"), "{events}");
    assert!(events.contains("web-tw 127.0.1.10 DOWN -> UP"), "{events}");
    server.stop();
}

#[test]
fn servers_of_a_service_that_die_stand_behind_those_that_live() {
    let (sites, web_port, mx_port) = Sites::start();
    let (lab, mut sites) = (Lab::new(), sites);
    lab.write("zones/mail.example.zone", ZONE);
    let service = "[routes.submissions]\nname = \"_submissions._tcp\"\ntype = \"srv\"\nport = 465\n\
                   tw = [[{ target = \"mx-tw\", weight = 3 }, { target = \"mx-my\", weight = 1 }], \"mx-vn\"]\n\
                   default = [\"mx-my\", \"mx-vn\", \"mx-tw\"]\n";
    lab.write("zones/mail.example.toml", &format!("{}{service}", routes(web_port, mx_port, "500ms")));
    let server = lab.start();
    wait_until_all_up(&server);
    let answer = |network| server.ask_from("_submissions._tcp.mail.example.", "SRV", network);
    let within = Duration::from_millis(1500);
    let becomes = |what: &str, at_most: Duration, wanted: [&str; 3]| {
        wait_for(what, at_most, || (answer(TW).data() == wanted).then_some(()));
    };
    // Those of a tier have one priority, and clients choose by weight (RFC 2782).
    let at_home =
        ["10 1 465 mx-my.mail.example.", "10 3 465 mx-tw.mail.example.", "20 0 465 mx-vn.mail.example."];
    assert_eq!(answer(TW).data(), at_home);
    assert_eq!(answer(TW).ttl(), 300);

    sites.mx[0].down();
    let without_tw =
        ["10 1 465 mx-my.mail.example.", "20 0 465 mx-vn.mail.example.", "30 3 465 mx-tw.mail.example."];
    becomes("mx-tw goes behind the others", within, without_tw);
    let last_already =
        ["10 0 465 mx-my.mail.example.", "20 0 465 mx-vn.mail.example.", "30 0 465 mx-tw.mail.example."];
    assert_eq!(answer(VN).data(), last_already);
    let why = server.inspect("_submissions._tcp.mail.example.why.waypost", Some(TW)).join("\n");
    assert!(why.contains("mx-tw") && why.contains("DOWN"), "{why}");

    sites.mx[0].up();
    becomes("the order is as it was", Duration::from_secs(10), at_home);
    server.stop();
}

#[test]
fn with_all_sites_dead_nobody_is_left_without_an_answer() {
    let (lab, mut sites) = mail_lab("500ms");
    let server = lab.start();
    wait_until_all_up(&server);
    for service in sites.web.iter_mut().chain(&mut sites.mx) {
        service.down();
    }
    wait_for("all targets are DOWN", Duration::from_secs(10), || {
        let lines = server.inspect("health.waypost", None);
        lines.iter().all(|line| line.contains(" DOWN ")).then_some(())
    });
    // Most of several sites at once: the server doubts itself and holds, until a person decides.
    let why = server.inspect("webmail.mail.example.why.waypost", Some(VN)).join("\n");
    assert!(why.contains("doubts its probes") && !why.contains("failing open"), "{why}");
    crate::hand::ordered(&lab, &["doubt", "accept"]);
    // The first of the chain, as though it were well.
    assert_eq!(server.ask_from("webmail.mail.example.", "A", VN).data(), ["127.0.1.30"]);
    assert_eq!(server.ask_from("mail.example.", "MX", TW).data().len(), 3);
    let why = server.inspect("webmail.mail.example.why.waypost", Some(VN)).join("\n");
    assert!(why.contains("fail") && why.contains("open"), "{why}");
    server.stop();
}

#[test]
fn a_probe_lives_as_long_as_its_configuration() {
    let (lab, sites) = mail_lab("200ms");
    let server = lab.start();
    // At load, not after an interval, and not on the first query.
    wait_for("the first probe", Duration::from_secs(2), || (sites.web[0].connections() > 0).then_some(()));
    wait_until_all_up(&server);
    lab.write("zones/mail.example.toml", "");
    wait_for("no targets", Duration::from_secs(5), || {
        server.inspect("health.waypost", None).is_empty().then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    let before = sites.web[0].connections();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(sites.web[0].connections(), before, "probed after its configuration was gone");
    server.stop();
}

#[test]
fn webmail_leaves_a_site_whose_mail_store_died() {
    let (sites, web_port, mx_port) = Sites::start();
    let (lab, mut sites) = (Lab::new(), sites);
    lab.write("zones/mail.example.zone", ZONE);
    let text = routes(web_port, mx_port, "500ms");
    let text = text.replace("[targets.web-tw]\n", "[targets.web-tw]\nneeds = [\"exchangers\"]\n");
    lab.write("zones/mail.example.toml", &text);
    let server = lab.start();
    wait_until_all_up(&server);
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.10"]);

    sites.mx[0].down();
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_millis(1500));
    let why = server.inspect("webmail.mail.example.why.waypost", Some(TW)).join("\n");
    assert!(why.contains("web-tw passed over: needs exchangers at tw, which isn't served"), "{why}");
    let health = server.inspect("web-tw.health.waypost", None).join("\n");
    assert!(health.contains(" UP ") && health.contains("NOT SERVED: needs exchangers at tw"), "{health}");
    let events = server.inspect("json.events.waypost", None).join("\n");
    assert!(events.contains("\"cause\":\"needs exchangers at tw\""), "{events}");
    assert!(events.contains("webmail.mail.example."), "its effects are told: {events}");

    sites.mx[0].up();
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(10));
    // Draining what is needed takes along what needs it.
    let mut drain = crate::lab::waypost();
    crate::lab::stdout(drain.args(["drain", "mx-tw"]).current_dir(lab.directory.path()));
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.20"]);
    server.stop();
}
