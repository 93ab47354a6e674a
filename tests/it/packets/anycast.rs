//! Servers of other make behind the address (RFC 9018 1): each knows the others' cookies.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::cookies::{CLIENT, COOKIE, LOOPBACK, NEW, given, is_valid, lab, lines};
use super::packet::*;
use super::reply::Reply;
use crate::lab::{Ask, Lab, free_port, wait_for};

/// Another server, with the secret that ours has.
struct Other {
    child: Child,
    address: SocketAddr,
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(command: &mut Command, port: u16) -> Other {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; ./test installs it"));
    let other = Other { child, address: SocketAddr::from((LOOPBACK, port)) };
    wait_for(&format!("{command:?} answers"), Duration::from_secs(15), || {
        Ask::new("plain.example.", "SOA").try_to(other.address).ok()
    });
    other
}

fn nsd(lab: &Lab) -> Other {
    let port = free_port(&["127.0.0.1"]);
    let place = lab.directory.path().display();
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  \
         zonesdir: \"{place}/zones\"\n  pidfile: \"{place}/nsd.pid\"\n  xfrdfile: \"{place}/xfrd.state\"\n  \
         zonelistfile: \"{place}/zone.list\"\n  logfile: \"{place}/nsd.log\"\n  server-count: 1\n  \
         answer-cookie: yes\n  cookie-secret: \"{}\"\nremote-control:\n  control-enable: no\n\
         zone:\n  name: \"plain.example\"\n  zonefile: \"plain.example.zone\"\n",
        lines(&[NEW]).trim()
    );
    lab.write("nsd.conf", &config);
    start(Command::new("/usr/sbin/nsd").args(["-d", "-c"]).arg(lab.path("nsd.conf")), port)
}

fn bind(lab: &Lab) -> Other {
    let port = free_port(&["127.0.0.1"]);
    let config = format!(
        "options {{ directory \"{}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile none; recursion no; require-server-cookie yes;\n\
         cookie-algorithm siphash24; cookie-secret \"{}\"; }};\ncontrols {{ }};\n\
         zone \"plain.example\" {{ type primary; file \"zones/plain.example.zone\"; }};\n",
        lab.directory.path().display(),
        lines(&[NEW]).trim()
    );
    lab.write("named.conf", &config);
    start(Command::new("/usr/sbin/named").args(["-g", "-c"]).arg(lab.path("named.conf")), port)
}

/// What a server says of a query with that server cookie.
fn ask(server: SocketAddr, cookie: &[u8]) -> Reply {
    let data = [&CLIENT[..], cookie].concat();
    udp_from("127.0.0.1", server, &Packet::query("plain.example.", SOA).option(COOKIE, &data).octets())
}

fn forged(cookie: &[u8]) -> Vec<u8> {
    let mut forged = cookie.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    forged
}

#[test]
fn rfc9018_1_nsd_knows_our_cookies_and_we_its() {
    let lab = lab(Some(&lines(&[NEW])));
    let (ours, theirs) = (lab.start(), nsd(&lab));
    let cookie = given(&ask(theirs.address, &[])).to_vec();
    assert!(is_valid(ours.address, LOOPBACK.into(), &cookie));
    assert!(!is_valid(ours.address, LOOPBACK.into(), &forged(&cookie)));
    // NSD gives back what it accepts.
    let cookie = given(&ask(ours.address, &[])).to_vec();
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(given(&ask(theirs.address, &cookie)), cookie);
    assert_ne!(given(&ask(theirs.address, &forged(&cookie))), forged(&cookie));
    ours.stop();
}

#[test]
fn rfc9018_1_bind_knows_our_cookies_and_we_its() {
    let lab = lab(Some(&lines(&[NEW])));
    let (ours, theirs) = (lab.start(), bind(&lab));
    let cookie = given(&ask(theirs.address, &[])).to_vec();
    assert!(is_valid(ours.address, LOOPBACK.into(), &cookie));
    // BIND tells by its code.
    let cookie = given(&ask(ours.address, &[])).to_vec();
    assert_eq!(ask(theirs.address, &cookie).rcode(), NOERROR);
    assert_eq!(ask(theirs.address, &forged(&cookie)).rcode(), BADCOOKIE);
    ours.stop();
}
