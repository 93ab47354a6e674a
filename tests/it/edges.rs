//! Several nameservers of one signed zone behind one resolver that validates: a signer and an edge
//! without keys, two with the same keys, and two signers with keys of their own (RFC 8901).

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::hand::ordered;
use crate::lab::{Lab, Server, TW, free_port, output, stdout, wait_for, waypost};
use crate::metrics::get;
use crate::resolver::{Setup, Unbound, VALIDATING, anchors, dig};
use crate::small_disk::SmallDisk;

/// All TTLs are a second, so that caches forget as fast as keys roll.
const ZONE: &str = "\
$TTL 1
@ SOA ns1 hostmaster 1 3600 600 86400 1
@ NS ns1
ns1 A 127.0.0.1
@ TXT hello
*.wild TXT any
a.b TXT deep
webmail A 192.0.2.10
";

/// Names that move: by order, by weight, and by a client's network.
const ROUTES: &str = r#"
[targets.web-tw]
site = "tw"
ipv4 = "192.0.2.10"
[targets.web-my]
site = "my"
ipv4 = "192.0.2.20"
[targets.web-vn]
site = "vn"
ipv4 = "192.0.2.30"
[routes.webmail]
type = "address"
ttl = 1
short_ttl = 1
tw = ["web-tw", "web-my", "web-vn"]
default = ["web-my", "web-vn", "web-tw"]
[routes.shared]
type = "address"
ttl = 1
short_ttl = 1
default = [[{ target = "web-tw", weight = 3 }, { target = "web-my", weight = 1 }], "web-vn"]
"#;

const QUESTIONS: [(&str, &str); 10] = [
    ("mail.example.", "SOA"),
    ("mail.example.", "DNSKEY"),
    ("mail.example.", "TXT"),
    ("webmail.mail.example.", "A"),
    ("webmail.mail.example.", "AAAA"),
    ("shared.mail.example.", "A"),
    ("x.wild.mail.example.", "TXT"),
    ("b.mail.example.", "A"),
    ("none.mail.example.", "A"),
    ("a.none.mail.example.", "TXT"),
];

/// How long a bundle is on its way, at most: the pause between two, and the time of transport.
pub const PROPAGATION: &str = "6s";

/// One of the zone's nameservers.
pub fn node(parent: SocketAddr, dnssec: &str, more: &str) -> Lab {
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", ZONE);
    let waits = format!("dnskey_ttl = 1\nparent_ds_ttl = 1\npropagation = \"{PROPAGATION}\"\n");
    let policy = format!("[dnssec]\nsign = true\nparent = \"{parent}\"\n{waits}{dnssec}\n");
    lab.write("zones/mail.example.toml", &(policy + ROUTES));
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &format!("{config}\n{more}"));
    lab
}

/// A signer, and an edge that is brought its bundles.
fn signer_and_edge(parent: &Parent, dnssec: &str) -> (Lab, Lab) {
    let in_role = |role| node(parent.server.address, dnssec, &format!("[bundles]\nrole = \"{role}\"\n"));
    (in_role("signer"), in_role("edge"))
}

/// A signer that can be asked for bundles at this port.
pub fn asked_signer(parent: &Parent, port: u16) -> Lab {
    let api = format!("[admin]\nlisten = \"127.0.0.1:{port}\"\ntokens = \"tokens\"\n");
    let signer = node(parent.server.address, "", &format!("{api}[bundles]\nrole = \"signer\"\n"));
    signer.write("tokens", "edge s3cret\n");
    signer
}

/// An edge that asks for them there, so often; `anchors` stand in its configuration.
pub fn asking_edge(parent: &Parent, port: u16, interval: &str, anchors: &str) -> Lab {
    let pull = format!("url = \"http://127.0.0.1:{port}\"\ntoken = \"token\"\ninterval = \"{interval}\"\n");
    let bundles = format!("[bundles]\nrole = \"edge\"\n{pull}{anchors}");
    let edge = node(parent.server.address, "", &bundles);
    edge.write("token", "s3cret\n");
    edge
}

/// The zone above, signed, which hands out the DS that it is told.
pub struct Parent {
    lab: Lab,
    pub server: Server,
    serial: u32,
}

impl Parent {
    pub fn start() -> Parent {
        let lab = Lab::new();
        lab.write("zones/example.toml", "[dnssec]\nsign = true\n");
        lab.write("zones/example.zone", &Parent::zone(1, ""));
        let server = lab.start();
        Parent { lab, server, serial: 1 }
    }

    fn zone(serial: u32, ds: &str) -> String {
        format!(
            "$TTL 1\n@ SOA ns hostmaster {serial} 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n\
             mail NS ns1.mail\nns1.mail A 127.0.0.1\n{ds}"
        )
    }

    /// Takes the DS that these say to hand over.
    pub fn take_ds(&mut self, nodes: &[&Lab]) {
        let ds: String = nodes.iter().map(|lab| keys(lab, &["ds", "mail.example"])).collect();
        self.serial += 1;
        self.lab.write("zones/example.zone", &Parent::zone(self.serial, &ds));
        let serial = format!(" {} ", self.serial);
        wait_for("the parent has the DS", Duration::from_secs(5), || {
            self.server.ask("example.", "SOA").data()[0].contains(&serial).then_some(())
        });
    }
}

pub fn keys(lab: &Lab, arguments: &[&str]) -> String {
    stdout(waypost().current_dir(lab.directory.path()).arg("keys").args(arguments))
}

/// A resolver that asks all nodes, and trusts the parent's key alone.
pub struct Resolver {
    unbound: Unbound,
    _lab: Lab,
}

impl Resolver {
    pub fn start(parent: &Parent, nodes: &[SocketAddr]) -> Resolver {
        let lab = Lab::new();
        let settings = [VALIDATING, &anchors(parent.server.address, "example.")].concat();
        let above: &[SocketAddr] = &[parent.server.address];
        let stubs: &[(&str, &[SocketAddr])] = &[("example", above), ("mail.example", nodes)];
        let unbound = Unbound::start(&lab, &Setup { stubs, settings: &settings, ready: "mail.example." });
        Resolver { unbound, _lab: lab }
    }

    /// Asks everything once: whether all was validated. What is bogus fails the test.
    #[track_caller]
    pub fn sweep(&self) -> bool {
        let mut arguments = vec!["+dnssec".to_owned(), format!("+subnet={TW}"), "+tries=3".to_owned()];
        arguments
            .extend(QUESTIONS.iter().flat_map(|(name, rtype)| [(*name).to_owned(), (*rtype).to_owned()]));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = dig(self.unbound.address, &arguments);
        let answers = said.matches("status: NOERROR").count() + said.matches("status: NXDOMAIN").count();
        assert_eq!(answers, QUESTIONS.len(), "{said}\n{}", self.unbound.log());
        let flags = said.lines().filter(|line| line.contains(";; flags:"));
        flags.filter(|line| line.contains(" ad;") || line.contains(" ad ")).count() == QUESTIONS.len()
    }

    pub fn webmail(&self) -> String {
        let subnet = format!("+subnet={TW}");
        dig(self.unbound.address, &["+short", &subnet, "webmail.mail.example.", "A"]).trim().to_owned()
    }
}

/// Brings files from one directory to another, as they were a while ago: what rsync does.
pub struct Carrier {
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const CARRIED_EVERY: Duration = Duration::from_millis(800);

impl Carrier {
    pub fn start(from: PathBuf, to: PathBuf) -> Carrier {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&is_stopped);
        let thread = std::thread::spawn(move || {
            let mut on_its_way = fs::read(&from).ok();
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(CARRIED_EVERY);
                let next = fs::read(&from).ok();
                if let Some(octets) = std::mem::replace(&mut on_its_way, next) {
                    carry(&octets, &to);
                }
            }
        });
        Carrier { is_stopped, thread: Some(thread) }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

pub fn carry(octets: &[u8], to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let fresh = to.with_extension("fresh");
    fs::write(&fresh, octets).unwrap();
    fs::rename(fresh, to).unwrap();
}

pub fn bundle(lab: &Lab) -> PathBuf {
    lab.path("bundles/mail.example.bundle")
}

/// The signer's first bundle.
pub fn first_bundle(lab: &Lab) -> Vec<u8> {
    wait_for("a bundle", Duration::from_secs(10), || fs::read(bundle(lab)).ok())
}

/// Sweeps until the keys are listed so.
pub fn roll(
    (parent, signer, server): (&mut Parent, &Lab, &Server),
    resolver: &Resolver,
    arguments: &[&str],
    is_done: &dyn Fn(&str) -> bool,
    everybody: &[&Lab],
) {
    if !arguments.is_empty() {
        keys(signer, &[&["roll", "mail.example"], arguments].concat());
    }
    let mut handed = String::new();
    let started = Instant::now();
    loop {
        server.signal("HUP");
        resolver.sweep();
        let listed = keys(signer, &["list", "mail.example"]);
        if is_done(&listed) {
            return;
        }
        if listed.contains("submitted") && keys(signer, &["ds", "mail.example"]) != handed {
            handed = keys(signer, &["ds", "mail.example"]);
            parent.take_ds(everybody);
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{listed}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub fn are_settled(listed: &str, count: usize) -> bool {
    let lines: Vec<&str> = listed.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.len() == count && lines.iter().all(|line| line.contains("active"))
}

/// All nodes send a region's clients elsewhere, by order, and back; every answer is secure.
fn fail_over(resolver: &Resolver, nodes: &[&Lab]) {
    assert_eq!(resolver.webmail(), "192.0.2.10");
    for (order, address) in [("force-down", "192.0.2.20"), ("undrain", "192.0.2.10")] {
        for lab in nodes {
            ordered(lab, &[order, "mail.example/web-tw"]);
            assert!(resolver.sweep());
        }
        wait_for("clients are sent elsewhere", Duration::from_secs(5), || {
            assert!(resolver.sweep());
            (resolver.webmail() == address).then_some(())
        });
    }
}

/// Nothing of a private key is in any file below a directory.
fn assert_no_keys(directory: &Path, secrets: &[String]) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_keys(&path, secrets);
            continue;
        }
        assert!(path.extension().is_none_or(|extension| extension != "private"), "{}", path.display());
        let Ok(octets) = fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&octets);
        for secret in secrets {
            let mut decode = Command::new("sh");
            let raw = output(decode.args(["-c", &format!("echo {secret} | base64 -d")])).stdout;
            let has_raw = octets.windows(raw.len()).any(|window| window == raw);
            assert!(!text.contains(secret.as_str()) && !has_raw, "{} has a private key", path.display());
        }
    }
}

fn secrets(signer: &Lab) -> Vec<String> {
    let files = fs::read_dir(signer.path("keys/mail.example")).unwrap();
    let private = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "private"));
    let secret = |path: PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("PrivateKey: ")).unwrap();
        line.to_owned()
    };
    let found: Vec<String> = private.map(secret).collect();
    assert!(!found.is_empty());
    found
}

fn through_failover_and_rolls(dnssec: &str, count: usize, rolls: &[&[&str]]) {
    let mut parent = Parent::start();
    let (signer, edge) = signer_and_edge(&parent, dnssec);
    let first = signer.start();
    carry(&first_bundle(&signer), &bundle(&edge));
    let second = edge.start();
    let carrier = Carrier::start(bundle(&signer), bundle(&edge));
    let resolver = Resolver::start(&parent, &[first.address, second.address]);
    let whole = |listed: &str| are_settled(listed, count);
    roll((&mut parent, &signer, &first), &resolver, &[], &whole, &[&signer]);
    wait_for("all is secure", Duration::from_secs(10), || resolver.sweep().then_some(()));
    fail_over(&resolver, &[&signer, &edge]);
    let mut seen = secrets(&signer);
    for arguments in rolls {
        let before = keys(&signer, &["list", "mail.example"]);
        let is_rolled = |listed: &str| whole(listed) && listed != before;
        roll((&mut parent, &signer, &first), &resolver, arguments, &is_rolled, &[&signer]);
        assert!(resolver.sweep(), "all is secure");
        seen.extend(secrets(&signer));
    }
    fail_over(&resolver, &[&signer, &edge]);
    // Both answered, and the edge followed to the end.
    wait_for("the edge has the last keys", Duration::from_secs(10), || {
        let of = |server: &Server| server.ask("mail.example.", "DNSKEY").data();
        (of(&first) == of(&second)).then_some(())
    });
    assert_no_keys(edge.directory.path(), &seen);
    drop(carrier);
    second.stop();
    first.stop();
}

#[test]
fn an_edge_without_keys_follows_rolls_of_zsk_and_ksk_and_a_failover() {
    through_failover_and_rolls("keys = \"ksk+zsk\"", 2, &[&["--zsk"], &["--ksk"]]);
}

#[test]
fn an_edge_without_keys_follows_a_roll_of_the_only_key_and_of_the_algorithm() {
    through_failover_and_rolls("denial = \"nsec3\"", 1, &[&["--csk"], &["--algorithm", "ed25519"]]);
}

#[test]
fn an_edge_keeps_zone_and_bundle_of_one_version() {
    let parent = Parent::start();
    let (signer, edge) = signer_and_edge(&parent, "");
    let first = signer.start();
    let oldest = first_bundle(&signer);
    carry(&oldest, &bundle(&edge));
    let second = edge.start();
    let zone = |serial: u32| {
        ZONE.replace(" hostmaster 1 ", &format!(" hostmaster {serial} ")) + &format!("new{serial} TXT x\n")
    };
    let status = |server: &Server| server.inspect("mail.example.zones.waypost", None).join("\n");
    assert!(status(&second).contains("signed by a bundle until 20"), "{}", status(&second));
    let socket = UnixStream::connect(edge.path("state/admin.sock")).unwrap();
    let metrics = get(socket, "localhost", "/metrics");
    assert!(
        metrics.contains("waypost_zone_signatures_expiry_timestamp_seconds{zone=\"mail.example.\"}"),
        "{metrics}"
    );
    let until = |server: &Server, what: &str| {
        wait_for(&format!("the status has {what:?}"), Duration::from_secs(10), || {
            status(server).contains(what).then_some(())
        });
    };
    let has = |server: &Server, serial: u32| {
        !server.ask(&format!("new{serial}.mail.example."), "TXT").data().is_empty()
    };
    // The zone file first: the pair from before stays.
    edge.write("zones/mail.example.zone", &zone(2));
    until(&second, "no signature of ");
    assert!(
        status(&second).contains("serial 1, ") && status(&second).contains("STALE"),
        "{}",
        status(&second)
    );
    assert!(!has(&second, 2));
    assert!(second.inspect("events.waypost", None).join("\n").contains("wasn't loaded"));
    let check = output(waypost().arg("check").arg(edge.directory.path()));
    assert!(String::from_utf8_lossy(&check.stdout).contains("the zone file has 2"), "{check:?}");
    // Also over a restart.
    second.stop();
    let second = edge.start();
    assert!(status(&second).contains("serial 1, ") && status(&second).contains("no signature of "));
    // Then the bundle.
    signer.write("zones/mail.example.zone", &zone(2));
    until(&first, "serial 2, ");
    let newer = wait_for("a bundle of serial 2", Duration::from_secs(10), || {
        let octets = fs::read(bundle(&signer)).ok()?;
        (octets != oldest).then_some(octets)
    });
    carry(&newer, &bundle(&edge));
    until(&second, "serial 2, ");
    assert!(has(&second, 2) && !status(&second).contains("error"), "{}", status(&second));
    // An older one is no help to anybody, nor one that was changed or is another zone's.
    let mut changed = newer.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let strange = first_bundle_of_another(&parent);
    for (octets, said) in [
        (&oldest, "older than the one in force"),
        (&changed, "was changed since its signer made it"),
        (&newer[..newer.len() - 1].to_vec(), "no whole bundle"),
        (&strange, "signed by no key that is known"),
    ] {
        carry(octets, &bundle(&edge));
        until(&second, said);
        assert!(has(&second, 2), "{said}");
    }
    carry(&newer, &bundle(&edge));
    wait_for("no error is left", Duration::from_secs(10), || {
        (!status(&second).contains("error")).then_some(())
    });
    // Nor after a restart.
    second.stop();
    carry(&oldest, &bundle(&edge));
    edge.write("zones/mail.example.zone", ZONE);
    let second = edge.start();
    until(&second, "older than the one in force");
    assert!(has(&second, 2));
    let asked =
        output(waypost().current_dir(edge.directory.path()).args(["keys", "generate", "mail.example"]));
    assert!(!asked.status.success());
    assert!(!edge.path("keys").exists(), "an edge makes no keys");
    second.stop();
    first.stop();
}

/// A bundle of the same zone by a signer whom nobody knows.
fn first_bundle_of_another(parent: &Parent) -> Vec<u8> {
    let (other, _) = signer_and_edge(parent, "");
    let server = other.start();
    let octets = first_bundle(&other);
    server.stop();
    octets
}

#[test]
fn an_edge_asks_its_signer_for_bundles_that_the_anchor_vouches_for() {
    let parent = Parent::start();
    let port = free_port(&["127.0.0.1"]);
    let signer = asked_signer(&parent, port);
    let first = signer.start();
    first_bundle(&signer);
    let ds = keys(&signer, &["ds", "mail.example"]);
    let line = ds.lines().find(|line| !line.starts_with(';')).unwrap();
    let (_, anchor) = line.split_once(" DS ").unwrap();
    let anchors = |anchor: &str| format!("[bundles.anchors]\n\"mail.example\" = \"{anchor}\"\n");
    // One that trusts another key takes nothing.
    let wrong = anchor.replace(anchor.split_whitespace().next_back().unwrap(), &"ab".repeat(32));
    let other = asking_edge(&parent, port, "1s", &anchors(&wrong));
    let refused = output(waypost().arg("run").current_dir(other.directory.path()));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("signed by no key that is known"), "{said}");
    let edge = asking_edge(&parent, port, "1s", &anchors(anchor));
    let second = edge.start();
    assert_eq!(second.ask("mail.example.", "TXT").data(), first.ask("mail.example.", "TXT").data());
    // What changes there comes by itself, once the zone file is here too.
    for lab in [&signer, &edge] {
        lab.write("zones/mail.example.zone", &ZONE.replace(" hostmaster 1 ", " hostmaster 2 "));
    }
    wait_for("the new version", Duration::from_secs(15), || {
        second.ask("mail.example.", "SOA").data()[0].contains(" 2 ").then_some(())
    });
    // Both show the same bundle; how long ago the signer was heard, only who asks it.
    let shown = |lab: &Lab, metric: &str| -> Option<f64> {
        let socket = UnixStream::connect(lab.path("state/admin.sock")).unwrap();
        let metrics = get(socket, "localhost", "/metrics");
        let line = format!("waypost_bundle_{metric}_timestamp_seconds{{zone=\"mail.example.\"}} ");
        metrics.lines().find_map(|text| text.strip_prefix(&line)).map(|value| value.parse().unwrap())
    };
    wait_for("the edge has the signer's last bundle", Duration::from_secs(10), || {
        let made = shown(&signer, "made").unwrap();
        (shown(&edge, "made") == Some(made)).then_some(())
    });
    assert_eq!(shown(&signer, "signer_heard"), None);
    let heard = shown(&edge, "signer_heard").unwrap();
    wait_for("the signer is heard again", Duration::from_secs(10), || {
        (shown(&edge, "signer_heard").unwrap() > heard).then_some(())
    });
    // It dies. An edge may lag by six seconds here: half of that is patience.
    first.stop();
    let lags = |server: &Server, what: &str| {
        wait_for(what, Duration::from_secs(20), || {
            let status = server.inspect("mail.example.zones.waypost", None).join("\n");
            let events = server.inspect("events.waypost", None).join("\n");
            (status.contains(what) && events.contains("its signer's newest bundle hasn't been here for "))
                .then_some(status)
        })
    };
    let status = lags(&second, ", LAGS: ");
    assert!(status.contains("its signer heard "), "{status}");
    assert_eq!(second.ask("mail.example.", "TXT").rcode(), "NoError");
    let first = signer.start();
    wait_for("the signer is back", Duration::from_secs(20), || {
        let events = second.inspect("events.waypost", None).join("\n");
        events.contains("its signer is heard again").then_some(())
    });
    assert!(!second.inspect("mail.example.zones.waypost", None).join("\n").contains("LAGS"));
    second.stop();
    first.stop();
}

/// RFC 4034 3.1.5: the days from which and until which a server's signature of an answer holds.
fn signed_when(server: &Server) -> (u64, u64) {
    let answer = dig(server.address, &["+dnssec", "+noall", "+answer", "mail.example.", "TXT"]);
    let line = answer.lines().find(|line| line.contains("RRSIG")).unwrap_or_else(|| panic!("{answer}"));
    let fields: Vec<&str> = line.split_whitespace().collect();
    let day = |text: &str| text[..8].parse().unwrap();
    (day(fields[9]), day(fields[8]))
}

#[test]
fn an_edge_that_stood_until_its_signatures_were_over_has_others_before_it_answers() {
    let parent = Parent::start();
    let port = free_port(&["127.0.0.1"]);
    let signer = asked_signer(&parent, port);
    let edge = asking_edge(&parent, port, "1h", "");
    // Both stop, and stand for sixty days.
    let first = signer.start_with_clock("-60d");
    first_bundle(&signer);
    let second = edge.start_with_clock("-60d");
    let today: u64 = stdout(Command::new("date").args(["-u", "+%Y%m%d"])).trim().parse().unwrap();
    let (_, ended) = signed_when(&second);
    assert!(ended < today, "{ended}: they hold still");
    second.stop();
    first.stop();
    // One whose signer stands still answers on with what it has, and says so.
    let second = edge.start();
    assert_eq!(signed_when(&second).1, ended);
    wait_for("it is told", Duration::from_secs(10), || {
        second.inspect("events.waypost", None).join("\n").contains("signatures are over").then_some(())
    });
    second.stop();
    let first = signer.start();
    wait_for("a bundle of today", Duration::from_secs(10), || {
        let written = first.log().contains("bundle written");
        written.then_some(())
    });
    let second = edge.start();
    // The first answer of all.
    let (begun, ends) = signed_when(&second);
    assert!(begun > ended && begun <= today && ends > today, "{begun} to {ends}");
    second.stop();
    first.stop();
}

/// Accepts connections and says nothing, until it is dropped.
struct Silent {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Silent {
    fn listen(port: u16) -> Silent {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let is_over = Arc::<AtomicBool>::default();
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut held = Vec::new();
            while !over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => held.push(stream),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
            held.len()
        });
        Silent { is_over, thread: Some(thread) }
    }

    /// How many connections it has had.
    fn end(mut self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_silent_signer_delays_the_start_for_a_moment_however_many_zones_there_are() {
    let parent = Parent::start();
    let port = free_port(&["127.0.0.1"]);
    let silent = Silent::listen(port);
    let edge = asking_edge(&parent, port, "1s", "");
    edge.write("zones/unsigned.example.zone", ZONE);
    for n in 0..20 {
        edge.write(&format!("zones/z{n}.example.toml"), "[dnssec]\nsign = true\n");
        edge.write(&format!("zones/z{n}.example.zone"), ZONE);
    }
    let began = Instant::now();
    let server = edge.start();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}\n{}", server.log());
    assert!(server.log().contains("not all bundles came from the signer within 4s"), "{}", server.log());
    assert_eq!(server.ask("unsigned.example.", "TXT").rcode(), "NoError");
    assert_eq!(server.ask("mail.example.", "TXT").rcode(), "ServFail");
    let connections = silent.end();
    assert!(connections > 1, "zones are asked for side by side");
    // It is asked on, so what it has comes once it says something.
    let signer = asked_signer(&parent, port);
    let first = signer.start();
    wait_for("the zone is answered", Duration::from_secs(20), || {
        (server.ask("mail.example.", "TXT").rcode() == "NoError").then_some(())
    });
    server.stop();
    first.stop();
}

#[test]
fn an_edge_whose_disk_is_full_answers_on_with_the_bundle_that_it_has() {
    let parent = Parent::start();
    let port = free_port(&["127.0.0.1"]);
    let (signer, edge) = (asked_signer(&parent, port), asking_edge(&parent, port, "1s", ""));
    let Some(disk) = SmallDisk::mount(edge.path("bundles"), "256k") else {
        println!("skipped: this user mounts no tmpfs");
        return;
    };
    let first = signer.start();
    first_bundle(&signer);
    let second = edge.start();
    let fill = disk.fill();
    for lab in [&signer, &edge] {
        lab.write("zones/mail.example.zone", &ZONE.replace(" hostmaster 1 ", " hostmaster 2 "));
    }
    second.wait_for_log("a bundle came, and can't be written");
    let answers_on = |server: &Server| {
        assert!(server.ask("mail.example.", "SOA").data()[0].contains(" 1 "));
        signed_when(server);
    };
    answers_on(&second);
    assert!(!bundle(&edge).with_extension("new").exists(), "half a bundle takes no room");
    let told = wait_for("it is told", Duration::from_secs(20), || {
        let status = second.inspect("mail.example.zones.waypost", None).join("\n");
        let events = second.inspect("events.waypost", None).join("\n");
        (status.contains("LAGS: ") && events.contains("hasn't been here for ")).then_some(status + &events)
    });
    assert!(told.contains("mail.example.bundle can't be written: No space left on device"), "{told}");
    second.stop();
    let second = edge.start();
    answers_on(&second);
    fs::remove_file(fill).unwrap();
    wait_for("the new version", Duration::from_secs(20), || {
        second.ask("mail.example.", "SOA").data()[0].contains(" 2 ").then_some(())
    });
    second.stop();
    first.stop();
}

#[test]
fn two_nodes_with_the_same_keys_answer_alike_through_a_failover_and_a_roll() {
    let mut parent = Parent::start();
    let one = node(parent.server.address, "keys = \"ksk+zsk\"", "");
    let other = node(parent.server.address, "keys = \"ksk+zsk\"", "");
    let first = one.start();
    let share = || {
        let directory = other.path("keys/mail.example");
        fs::create_dir_all(&directory).unwrap();
        let files =
            || fs::read_dir(one.path("keys/mail.example")).unwrap().map(|entry| entry.unwrap().path());
        // Keys first: the state names none that isn't there.
        let (state, keys): (Vec<PathBuf>, Vec<PathBuf>) =
            files().partition(|path| path.ends_with("state.json"));
        for path in keys.into_iter().chain(state) {
            let Ok(octets) = fs::read(&path) else { continue };
            carry(&octets, &directory.join(path.file_name().unwrap()));
        }
    };
    share();
    let second = other.start();
    let resolver = Resolver::start(&parent, &[first.address, second.address]);
    let mut through = |arguments: &[&str], is_done: &dyn Fn(&str) -> bool| {
        let done = |listed: &str| {
            share();
            second.signal("HUP");
            is_done(listed)
        };
        roll((&mut parent, &one, &first), &resolver, arguments, &done, &[&one]);
    };
    through(&[], &|listed| are_settled(listed, 2));
    wait_for("all is secure", Duration::from_secs(10), || resolver.sweep().then_some(()));
    fail_over(&resolver, &[&one, &other]);
    for arguments in [&["--zsk"], &["--ksk"]] {
        let before = keys(&one, &["list", "mail.example"]);
        through(arguments, &|listed| are_settled(listed, 2) && listed != before);
        assert!(resolver.sweep());
    }
    second.stop();
    first.stop();
}

#[test]
fn rfc8901_two_signers_with_keys_of_their_own_are_valid_through_either() {
    let mut parent = Parent::start();
    let labs = [(); 2].map(|()| node(parent.server.address, "keys = \"ksk+zsk\"", ""));
    labs.iter().for_each(|lab| drop(keys(lab, &["generate", "mail.example"])));
    // Each publishes the other's ZSK.
    let zsk = |lab: &Lab| {
        let files = fs::read_dir(lab.path("keys/mail.example")).unwrap();
        let texts = files.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
        let lines: Vec<String> =
            texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let line =
            lines.iter().find_map(|line| line.split_once("DNSKEY 256 ").map(|(_, rest)| rest.to_owned()));
        format!("256 {}", line.unwrap())
    };
    for (lab, other) in [(&labs[0], &labs[1]), (&labs[1], &labs[0])] {
        let text = fs::read_to_string(lab.path("zones/mail.example.toml")).unwrap();
        let others = format!("[dnssec]\nother_dnskeys = \"{}\"", zsk(other));
        lab.write("zones/mail.example.toml", &text.replace("[dnssec]", &others));
    }
    let servers = labs.each_ref().map(Lab::start);
    let resolver = Resolver::start(&parent, &[servers[0].address, servers[1].address]);
    // Neither knows when the other is ready: the parent takes the DS of both.
    for (lab, server) in labs.iter().zip(&servers) {
        wait_for("the key is submitted", Duration::from_secs(60), || {
            server.signal("HUP");
            resolver.sweep();
            std::thread::sleep(Duration::from_millis(300));
            keys(lab, &["list", "mail.example"]).contains("submitted").then_some(())
        });
    }
    parent.take_ds(&[&labs[0], &labs[1]]);
    wait_for("all is secure", Duration::from_secs(10), || resolver.sweep().then_some(()));
    for _ in 0..10 {
        assert!(resolver.sweep());
        std::thread::sleep(Duration::from_millis(300));
    }
    // Either alone, so that each is asked for all.
    for server in &servers {
        let alone = Resolver::start(&parent, &[server.address]);
        assert!(alone.sweep());
    }
    fail_over(&resolver, &[&labs[0], &labs[1]]);
    servers.into_iter().for_each(Server::stop);
}
