//! Each kind of roll under a resolver that validates from the parent's key down, while a registry
//! follows CDS: from the first DS to the last step no answer is bogus.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::lab::{Ask, Lab, Server, free_port, stdout, wait_for, waypost};

const CHILD: &str = "\
$TTL 1
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
ns A 127.0.0.1
www A 192.0.2.80
*.wild TXT w
";

/// A registry, with a zone of its own that is signed, and a zone below it.
struct World {
    registry: Lab,
    above: Server,
    lab: Lab,
    below: Server,
    serial: u32,
    /// The DS that the parent has.
    ds: BTreeSet<String>,
}

fn child_policy(parent: SocketAddr, more: &str) -> String {
    let waits = "dnskey_ttl = 1\nparent_ds_ttl = 1\npropagation = \"1s\"\n";
    format!("[dnssec]\nsign = true\nparent = \"{parent}\"\n{waits}{more}")
}

fn parent_zone(serial: u32, ds: &BTreeSet<String>) -> String {
    let head = format!("$TTL 1\n@ SOA ns hostmaster {serial} 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n");
    let ds: String = ds.iter().map(|data| format!("mail DS {data}\n")).collect();
    format!("{head}mail NS ns.mail\nns.mail A 127.0.0.1\n{ds}")
}

impl World {
    fn start(policy: &str, prepare: impl FnOnce(&Lab)) -> World {
        let registry = Lab::new();
        registry.write("zones/example.zone", &parent_zone(1, &BTreeSet::new()));
        registry.write("zones/example.toml", "[dnssec]\nsign = true\n");
        let above = registry.start();
        let lab = Lab::new();
        lab.write("zones/mail.example.zone", CHILD);
        lab.write("zones/mail.example.toml", &child_policy(above.address, policy));
        prepare(&lab);
        let below = lab.start();
        World { registry, above, lab, below, serial: 1, ds: BTreeSet::new() }
    }

    fn keys(&self, arguments: &[&str]) -> String {
        stdout(waypost().current_dir(self.lab.directory.path()).arg("keys").args(arguments))
    }

    /// What a registry does that reads CDS (RFC 7344 4).
    fn follow(&mut self) {
        let cds: BTreeSet<String> = self.below.ask("mail.example.", "CDS").data().into_iter().collect();
        if cds.is_empty() || cds == self.ds {
            return;
        }
        self.serial += 1;
        self.registry.write("zones/example.zone", &parent_zone(self.serial, &cds));
        self.ds = cds;
    }

    fn until(&mut self, what: &str, is_so: &dyn Fn(&str) -> bool) -> String {
        let mut round = 0;
        for _ in 0..400 {
            self.follow();
            self.below.signal("HUP");
            self.has_signatures_of_each_algorithm();
            let listed = self.keys(&["list", "mail.example"]);
            if is_so(&listed) {
                return listed;
            }
            // A reload now and then.
            round += 1;
            if round % 8 == 0 {
                let zone = CHILD.replace("hostmaster 1", &format!("hostmaster {}", round + 1));
                self.lab.write("zones/mail.example.zone", &format!("{zone}more{round} A 192.0.2.1\n"));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        panic!("never: {what}\n{}\n{}", self.keys(&["list", "mail.example"]), self.below.log());
    }

    /// RFC 4035 2.2: of each algorithm among the DNSKEYs there is a signature with every RRset. Keys
    /// come after signatures, and go before them (RFC 6781 4.1.4).
    fn has_signatures_of_each_algorithm(&self) {
        let dig = |rtype: &str, name: &str| {
            let mut dig = Command::new("dig");
            dig.args([
                "@127.0.0.1",
                "-p",
                &self.below.address.port().to_string(),
                "+dnssec",
                "+noall",
                "+answer",
            ]);
            stdout(dig.args([name, rtype]))
        };
        let field = |text: &str, rtype: &str, at: usize| -> BTreeSet<String> {
            let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            lines.filter(|fields| fields.get(3) == Some(&rtype)).map(|fields| fields[at].to_owned()).collect()
        };
        let keys = field(&dig("DNSKEY", "mail.example"), "DNSKEY", 6);
        for name in ["www.mail.example", "a.wild.mail.example"] {
            let rtype = if name.starts_with("www") { "A" } else { "TXT" };
            let signatures = field(&dig(rtype, name), "RRSIG", 5);
            assert!(signatures.is_superset(&keys), "{name}: keys of {keys:?}, signatures of {signatures:?}");
        }
    }
}

/// A resolver whose anchor is the registry's key, and somebody who asks it all the time.
struct Watch {
    resolver: Child,
    stop: Arc<AtomicBool>,
    asking: Option<JoinHandle<(usize, Vec<String>)>>,
}

impl Watch {
    fn start(world: &World) -> Watch {
        let port = free_port(&["127.0.0.1"]);
        let directory = world.lab.directory.path().display();
        let mut dig = Command::new("dig");
        dig.args([
            "@127.0.0.1",
            "-p",
            &world.above.address.port().to_string(),
            "+short",
            "example",
            "DNSKEY",
        ]);
        let anchors: String = stdout(&mut dig)
            .lines()
            .map(|key| format!("    trust-anchor: \"example. DNSKEY {key}\"\n"))
            .collect();
        let config = format!(
            "server:
    directory: \"{directory}\"
    chroot: \"\"
    username: \"\"
    pidfile: \"{directory}/unbound.pid\"
    use-syslog: no
    val-log-level: 2
    interface: 127.0.0.1
    port: {port}
    do-not-query-localhost: no
    module-config: \"validator iterator\"
    local-zone: \"example.\" nodefault
    aggressive-nsec: yes
    harden-algo-downgrade: yes
{anchors}stub-zone:
    name: \"example\"
    stub-addr: 127.0.0.1@{}
stub-zone:
    name: \"mail.example\"
    stub-addr: 127.0.0.1@{}
remote-control:
    control-enable: no
",
            world.above.address.port(),
            world.below.address.port()
        );
        fs::write(world.lab.path("unbound.conf"), config).unwrap();
        let log = fs::File::create(world.lab.path("unbound.log")).unwrap();
        let resolver = Command::new("/usr/sbin/unbound")
            .args(["-d", "-c"])
            .arg(world.lab.path("unbound.conf"))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("unbound, which ./test installs");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let ask = move |name: &str, rtype: &str| Ask::new(name, rtype).dnssec_ok().try_to(address).ok();
        wait_for("unbound answers", Duration::from_secs(10), || ask("example.", "SOA"));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asking = std::thread::spawn(move || {
            let (mut asked, mut bad) = (0, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                let nothing = format!("none{asked}.mail.example.");
                let wild = format!("x{asked}.wild.mail.example.");
                for (name, rtype) in [
                    ("www.mail.example.", "A"),
                    (&*nothing, "A"),
                    (&*wild, "TXT"),
                    ("mail.example.", "DNSKEY"),
                ] {
                    // A datagram lost says nothing.
                    let Some(answer) = ask(name, rtype) else { continue };
                    asked += 1;
                    if !answer.message.metadata.authentic_data {
                        bad.push(format!("{name} {rtype}: {}", answer.rcode()));
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            (asked, bad)
        });
        Watch { resolver, stop, asking: Some(asking) }
    }

    fn end(mut self, world: &World) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let (asked, bad) = self.asking.take().unwrap().join().unwrap();
        let log = fs::read_to_string(world.lab.path("unbound.log")).unwrap_or_default();
        assert!(
            bad.is_empty(),
            "{} of {asked} aren't secure: {:?}\n{log}",
            bad.len(),
            &bad[..bad.len().min(9)]
        );
        assert!(asked > 100, "{asked}");
        asked
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.resolver.kill();
        let _ = self.resolver.wait();
    }
}

/// All keys are active, and there are so many.
fn settled(count: usize) -> impl Fn(&str) -> bool {
    move |listed| listed.lines().count() == count && listed.lines().all(|line| line.contains("  active "))
}

fn roll(policy: &str, count: usize, roll: &[&str], prepare: impl FnOnce(&Lab)) {
    let mut world = World::start(policy, prepare);
    let tags = |listed: &str| -> BTreeSet<String> {
        listed.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    let before = tags(&world.until("first keys", &settled(count)));
    let has_ds = |world: &mut World| {
        wait_for("the first DS", Duration::from_secs(30), || {
            world.follow();
            let there = world.above.ask("mail.example.", "DS").data();
            (!there.is_empty() && there.len() == world.ds.len()).then_some(())
        });
    };
    has_ds(&mut world);
    // What the resolver may have learnt of a zone without DS is none of a roll's.
    std::thread::sleep(Duration::from_secs(2));
    let watch = Watch::start(&world);
    let mut arguments = vec!["roll", "mail.example"];
    arguments.extend(roll);
    world.keys(&arguments);
    let rolled = world.until("another key", &|listed| settled(count)(listed) && tags(listed) != before);
    std::thread::sleep(Duration::from_secs(2));
    println!("{roll:?}: {} answers, all of them secure\n{rolled}", watch.end(&world));
}

#[test]
fn a_zsk_rolls() {
    roll("keys = \"ksk+zsk\"\n", 2, &["--zsk"], |_| {});
}

#[test]
fn a_ksk_rolls() {
    roll("keys = \"ksk+zsk\"\n", 2, &["--ksk"], |_| {});
}

#[test]
fn a_csk_rolls() {
    roll("", 1, &["--csk"], |_| {});
}

#[test]
fn a_zone_goes_to_ed25519() {
    roll("", 1, &["--algorithm", "ed25519"], |_| {});
}

#[test]
fn a_zone_with_rsa_keys_goes_to_ecdsa() {
    roll("", 1, &["--algorithm", "ecdsap256sha256"], |lab| {
        let made = lab.path("bind");
        fs::create_dir(&made).unwrap();
        let mut make = Command::new("dnssec-keygen");
        make.current_dir(&made).args(["-a", "RSASHA256", "-b", "2048", "-f", "KSK", "mail.example"]);
        let stem = stdout(&mut make);
        let key = made.join(format!("{}.key", stem.trim())).display().to_string();
        stdout(waypost().current_dir(lab.directory.path()).args(["keys", "import", "mail.example", &key]));
    });
}
