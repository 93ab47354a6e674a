//! A signed zone as a resolver that validates sees it: unbound with the zone's key as its anchor.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failover::{Sites, ZONE, routes, wait_until_all_up, wait_until_sent_to};
use crate::lab::{Lab, MY, Server, TW, VN, free_port, output, wait_for};

/// Beside the routes: wildcards, a name between others, an alias, a DNAME, and delegations with
/// and without DS.
const MORE: &str = "\
*.wild A 192.0.2.1
a.b.between TXT x
alias CNAME webmail
chain CNAME x.wild
tree DNAME between
secure NS ns.secure
secure DS 1 13 2 0102030405060708091011121314151617181920212223242526272829303132
ns.secure A 192.0.2.53
insecure NS ns1
";

pub struct Unbound {
    child: Child,
    pub address: SocketAddr,
}

impl Unbound {
    /// Validates with the keys that the server has now, and keeps nothing.
    fn start(lab: &Lab, server: &Server) -> Unbound {
        let nothing_kept = "    cache-max-ttl: 0\n    cache-max-negative-ttl: 0\n    val-bogus-ttl: 0\n";
        Unbound::start_with(lab, server, nothing_kept)
    }

    /// The same with options of the test's own.
    pub fn start_with(lab: &Lab, server: &Server, options: &str) -> Unbound {
        let port = free_port(&["127.0.0.1"]);
        let directory = lab.directory.path().display();
        let keys = server.ask("mail.example.", "DNSKEY").data();
        assert!(!keys.is_empty(), "no DNSKEY\n{}", server.log());
        let anchors: String = dig(server.address, &["+short", "mail.example.", "DNSKEY"])
            .lines()
            .map(|key| format!("    trust-anchor: \"mail.example. DNSKEY {key}\"\n"))
            .collect();
        let config = format!(
            r#"
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: "{directory}/unbound.pid"
    use-syslog: no
    verbosity: 1
    val-log-level: 2
    interface: 127.0.0.1
    port: {port}
    do-not-query-localhost: no
    module-config: "subnetcache validator iterator"
    send-client-subnet: {server_ip}
    client-subnet-always-forward: yes
    max-client-subnet-ipv4: 24
    local-zone: "example." nodefault
{options}
{anchors}
stub-zone:
    name: "mail.example"
    stub-addr: {server_ip}@{server_port}
remote-control:
    control-enable: no
"#,
            server_ip = server.address.ip(),
            server_port = server.address.port(),
        );
        let path = lab.path("unbound.conf");
        fs::write(&path, config).unwrap();
        let log = fs::File::create(lab.path("unbound.log")).unwrap();
        let child = Command::new("/usr/sbin/unbound")
            .args(["-d", "-c"])
            .arg(&path)
            .stderr(Stdio::from(log))
            .spawn()
            .expect("unbound, which ./test installs");
        let unbound = Unbound { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        wait_for("unbound answers", Duration::from_secs(10), || {
            let answer = dig(unbound.address, &["+time=1", "mail.example.", "SOA"]);
            answer.contains("status: NOERROR").then_some(())
        });
        unbound
    }

    /// The answer, which must be secure; the code is checked too.
    #[track_caller]
    fn secure(&self, lab: &Lab, name: &str, rtype: &str, network: &str, status: &str) -> String {
        let answer = dig(self.address, &["+dnssec", &format!("+subnet={network}"), name, rtype]);
        let flags = answer.lines().find(|line| line.contains("flags:")).unwrap_or_default();
        let is_good = flags.contains(" ad;") || flags.contains(" ad ");
        let log = || fs::read_to_string(lab.path("unbound.log")).unwrap_or_default();
        assert!(is_good && answer.contains(status), "{name} {rtype}: not secure\n{answer}\n{}", log());
        answer
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let mut dig = Command::new("dig");
    dig.args([&format!("@{}", server.ip()), "-p", &server.port().to_string(), "+tries=2"]).args(arguments);
    // A resolver that doesn't listen yet is no failure of dig's.
    String::from_utf8_lossy(&output(&mut dig).stdout).into_owned()
}

pub fn signed_lab(denial: &str) -> (Lab, Sites) {
    let (sites, web_port, mx_port) = Sites::start();
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", &(ZONE.to_owned() + MORE));
    let policy = format!("\n[dnssec]\nsign = true\ndenial = \"{denial}\"\n");
    lab.write("zones/mail.example.toml", &(routes(web_port, mx_port, "500ms") + &policy));
    (lab, sites)
}

fn sweep(unbound: &Unbound, lab: &Lab) {
    for (name, rtype, status) in [
        ("mail.example.", "SOA", "NOERROR"),
        ("mail.example.", "DNSKEY", "NOERROR"),
        ("mail.example.", "MX", "NOERROR"),
        ("mail.example.", "TXT", "NOERROR"),
        ("webmail.mail.example.", "A", "NOERROR"),
        ("webmail.mail.example.", "AAAA", "NOERROR"),
        ("webmail.mail.example.", "TXT", "NOERROR"),
        ("none.mail.example.", "A", "NXDOMAIN"),
        ("a.b.none.mail.example.", "A", "NXDOMAIN"),
        ("x.wild.mail.example.", "A", "NOERROR"),
        ("x.y.wild.mail.example.", "A", "NOERROR"),
        ("x.wild.mail.example.", "TXT", "NOERROR"),
        ("wild.mail.example.", "A", "NOERROR"),
        ("b.between.mail.example.", "A", "NOERROR"),
        ("alias.mail.example.", "A", "NOERROR"),
        ("alias.mail.example.", "TXT", "NOERROR"),
        ("chain.mail.example.", "A", "NOERROR"),
        ("a.b.tree.mail.example.", "TXT", "NOERROR"),
        ("none.tree.mail.example.", "TXT", "NXDOMAIN"),
        ("secure.mail.example.", "DS", "NOERROR"),
        ("insecure.mail.example.", "DS", "NOERROR"),
    ] {
        for network in [TW, MY, VN] {
            unbound.secure(lab, name, rtype, network, status);
        }
    }
}

fn each_answer_is_secure(denial: &str) {
    let (lab, mut sites) = signed_lab(denial);
    let server = lab.start();
    wait_until_all_up(&server);
    let unbound = Unbound::start(&lab, &server);
    sweep(&unbound, &lab);
    // During a failover nothing is bogus either, and the short TTL goes with the same signature.
    sites.web[0].down();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        unbound.secure(&lab, "webmail.mail.example.", "A", TW, "NOERROR");
    }
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(10));
    sweep(&unbound, &lab);
    // All of them: the first chain answers as though it were healthy.
    sites.web[1].down();
    sites.web[2].down();
    std::thread::sleep(Duration::from_secs(3));
    sweep(&unbound, &lab);
    // A reload signs what changed, and its neighbours in the chain.
    for (serial, name) in (2..6).zip(["none", "zz", "a.b.c", "wild.none"]) {
        let zone = ZONE.replace(" hostmaster 1 ", &format!(" hostmaster {serial} "));
        lab.write("zones/mail.example.zone", &(zone + MORE + &format!("{name} TXT fresh\n")));
        wait_for("the new name is served", Duration::from_secs(5), || {
            unbound.secure(&lab, "mail.example.", "SOA", TW, "NOERROR");
            let name = format!("{name}.mail.example.");
            dig(unbound.address, &["+dnssec", &name, "TXT"]).contains("fresh").then_some(())
        });
        unbound.secure(&lab, &format!("{name}.mail.example."), "TXT", TW, "NOERROR");
        unbound.secure(&lab, &format!("{name}.mail.example."), "A", TW, "NOERROR");
        unbound.secure(&lab, "nothing.mail.example.", "A", TW, "NXDOMAIN");
    }
    server.stop();
}

#[test]
fn unbound_takes_all_with_names_in_order() {
    each_answer_is_secure("nsec");
}

#[test]
fn unbound_takes_all_with_hashes_in_order() {
    each_answer_is_secure("nsec3");
}
