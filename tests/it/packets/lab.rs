//! The server that the packets are sent to, and its zones.

use std::fs;
use std::net::SocketAddr;
use std::sync::LazyLock;

use waypost::daemon::{Daemon, Options};

/// The server's one secret of cookies.
pub const SECRET: [u8; 16] = [0xe5; 16];
/// How long a TCP connection may be silent, in units of 100 ms.
pub const IDLE: u16 = 307;
/// Networks of the regions.
pub const TW: [u8; 4] = [203, 0, 113, 0];
pub const MY: [u8; 4] = [203, 0, 113, 128];
pub const VN_IPV6: [u8; 6] = [0x20, 0x01, 0x0d, 0xb8, 0, 5];

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
identity = "ns1.packets.example"
inspect = ["127.0.0.1/32"]
cookie_secrets = "cookies"
[tcp]
idle = "30700ms"
[tls]
listen = ["127.0.0.1:0"]
quic = ["127.0.0.1:0"]
[regions.tw]
networks = ["203.0.113.0/25"]
[regions.my]
networks = ["203.0.113.128/25"]
[regions.vn]
networks = ["2001:db8:5::/48"]
"#;

const ZONE: &str = r#"
$ORIGIN packets.example.
$TTL 300
@           SOA   ns1 hostmaster 7 3600 600 86400 60
@           NS    ns1
@           MX    10 www
ns1         A     192.0.2.53
www         A     192.0.2.1
www         A     192.0.2.2
www         AAAA  2001:db8::1
CaSe        A     192.0.2.9
strange     TYPE65280 \# 3 abcdef
single      TXT   "only"

alias       CNAME www
alias2      CNAME alias
gone        CNAME nothing
away        CNAME www.elsewhere.example.
across      CNAME www.other.example.
tosub       CNAME www.sub
tobroken    CNAME www.broken.example.
loop1       CNAME loop2
loop2       CNAME loop3
loop3       CNAME loop1
self        CNAME self

*.wild      TXT   "any"
*.wild      A     192.0.2.7
host.wild   A     192.0.2.8
a.ent.wild  A     192.0.2.8
*.cwild     CNAME www
leaf.ent    A     192.0.2.3

sub         NS    ns.sub
sub         NS    ns1
sub         DS    1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub      A     192.0.2.54
nods        NS    ns.elsewhere.example.
deep        NS    ns.elsewhere.example.
child       NS    ns.elsewhere.example.
child       DS    2 13 2 0000000000000000000000000000000000000000000000000000000000000000

old         DNAME new
x.new       A     192.0.2.77
there       DNAME back
back        DNAME there
grow        DNAME more.grow
long        DNAME LONG.example.
routed      A     192.0.2.100
"#;

const ROUTES: &str = r#"
[targets.tw]
ipv4 = "198.51.100.1"
ipv6 = "2001:db8::1"
host = "www"
[targets.my]
ipv4 = "198.51.100.2"
ipv6 = "2001:db8::2"
host = "ns1"
[targets.vn]
ipv4 = "198.51.100.3"
ipv6 = "2001:db8::3"
host = "CaSe"
[routes.routed]
type = "address"
tw = ["tw"]
my = ["my"]
vn = ["vn"]
default = ["tw"]
[routes.own]
name = "bysource"
type = "address"
ecs = false
tw = ["tw"]
default = ["my"]
[routes.name]
name = "cname"
type = "cname"
tw = ["tw"]
default = ["my"]
"#;

fn zone(apex: &str, lines: &str) -> String {
    format!(
        "$TTL 300\n@ SOA ns.elsewhere.test. h.elsewhere.test. 1 1 1 1 60\n@ NS ns.elsewhere.test.\n{lines}\n; {apex}\n"
    )
}

/// Where the server listens. It ends with the tests.
pub fn server() -> SocketAddr {
    daemon().addresses()[0]
}

/// Where it listens for TLS.
pub fn tls() -> SocketAddr {
    daemon().encrypted().unwrap().tls()[0]
}

/// Where it listens for QUIC.
pub fn quic() -> SocketAddr {
    daemon().encrypted().unwrap().quic()[0]
}

fn daemon() -> &'static Daemon {
    static SERVER: LazyLock<(tempfile::TempDir, Daemon)> = LazyLock::new(|| {
        let directory = tempfile::tempdir().unwrap();
        let write = |inside: &str, text: &str| fs::write(directory.path().join(inside), text).unwrap();
        fs::create_dir(directory.path().join("zones")).unwrap();
        write("waypost.toml", CONFIG);
        write("cookies", &SECRET.map(|octet| format!("{octet:02x}")).concat());
        let long = [["x".repeat(63)].as_slice(); 3].concat().join(".");
        let big: String = (0..40).map(|n| format!("big TXT \"{n:02} {}\"\n", "x".repeat(200))).collect();
        let text = ZONE.replace("LONG", &long)
            + &big
            + "alias3 CNAME alias2\ncname2 CNAME cname\nrouted2 CNAME routed\n";
        write("zones/packets.example.zone", &text);
        write("zones/packets.example.toml", ROUTES);
        write("zones/child.packets.example.zone", &zone("child", "www A 192.0.2.60"));
        write("zones/far.deep.packets.example.zone", &zone("far", "www A 192.0.2.61"));
        write("zones/other.example.zone", &zone("other", "www A 192.0.2.62"));
        write("zones/broken.example.zone", "@ A not-an-address\n");
        let config = directory.path().join("waypost.toml");
        let daemon = Daemon::start(Options { config, ..Options::default() }).unwrap();
        (directory, daemon)
    });
    &SERVER.1
}
