//! A signed zone as a resolver that validates sees it: unbound with the zone's key as its anchor.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::failover::{Sites, ZONE, routes, wait_until_all_up, wait_until_sent_to};
use crate::lab::{Lab, MY, Server, TW, VN, wait_for};
use crate::resolver::{Setup, Unbound, VALIDATING, anchors, dig};

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

pub struct Validator(pub Unbound);

impl Validator {
    /// Validates with the keys that the server has now, and keeps nothing.
    fn start(lab: &Lab, server: &Server) -> Validator {
        let nothing_kept = "    cache-max-ttl: 0\n    cache-max-negative-ttl: 0\n    val-bogus-ttl: 0\n";
        Validator::start_with(lab, server, nothing_kept)
    }

    /// The same with options of the test's own.
    pub fn start_with(lab: &Lab, server: &Server, options: &str) -> Validator {
        let settings = [VALIDATING, options, &anchors(server.address, "mail.example.")].concat();
        let stubs: &[(&str, &[SocketAddr])] = &[("mail.example", &[server.address])];
        Validator(Unbound::start(lab, &Setup { stubs, settings: &settings, ready: "mail.example." }))
    }

    /// The answer, which must be secure; the code is checked too.
    #[track_caller]
    fn secure(&self, name: &str, rtype: &str, network: &str, status: &str) -> String {
        let answer = dig(self.0.address, &["+dnssec", &format!("+subnet={network}"), name, rtype]);
        let flags = answer.lines().find(|line| line.contains("flags:")).unwrap_or_default();
        let is_good = flags.contains(" ad;") || flags.contains(" ad ");
        assert!(is_good && answer.contains(status), "{name} {rtype}: not secure\n{answer}\n{}", self.0.log());
        answer
    }
}

pub fn signed_lab(denial: &str) -> (Lab, Sites) {
    let (sites, web_port, mx_port) = Sites::start();
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", &(ZONE.to_owned() + MORE));
    let policy = format!("\n[dnssec]\nsign = true\ndenial = \"{denial}\"\n");
    lab.write("zones/mail.example.toml", &(routes(web_port, mx_port, "500ms") + &policy));
    (lab, sites)
}

fn sweep(unbound: &Validator) {
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
            unbound.secure(name, rtype, network, status);
        }
    }
}

fn each_answer_is_secure(denial: &str) {
    let (lab, mut sites) = signed_lab(denial);
    let server = lab.start();
    wait_until_all_up(&server);
    let unbound = Validator::start(&lab, &server);
    sweep(&unbound);
    // During a failover nothing is bogus either, and the short TTL goes with the same signature.
    sites.web[0].down();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        unbound.secure("webmail.mail.example.", "A", TW, "NOERROR");
    }
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(10));
    sweep(&unbound);
    // All of them: the first chain answers as though it were healthy.
    sites.web[1].down();
    sites.web[2].down();
    std::thread::sleep(Duration::from_secs(3));
    sweep(&unbound);
    // A reload signs what changed, and its neighbours in the chain.
    for (serial, name) in (2..6).zip(["none", "zz", "a.b.c", "wild.none"]) {
        let zone = ZONE.replace(" hostmaster 1 ", &format!(" hostmaster {serial} "));
        lab.write("zones/mail.example.zone", &(zone + MORE + &format!("{name} TXT fresh\n")));
        wait_for("the new name is served", Duration::from_secs(5), || {
            unbound.secure("mail.example.", "SOA", TW, "NOERROR");
            let name = format!("{name}.mail.example.");
            dig(unbound.0.address, &["+dnssec", &name, "TXT"]).contains("fresh").then_some(())
        });
        unbound.secure(&format!("{name}.mail.example."), "TXT", TW, "NOERROR");
        unbound.secure(&format!("{name}.mail.example."), "A", TW, "NOERROR");
        unbound.secure("nothing.mail.example.", "A", TW, "NXDOMAIN");
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
