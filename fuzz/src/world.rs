//! A whole server within the process, with data of every kind that a query can meet.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use waypost::daemon::{Daemon, Options};
use waypost::snapshot::Published;

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
zones = "zones"
state = "state"
identity = "ns1.example.com"
inspect = ["1.160.0.0/16"]
[geoip]
database = "country.mmdb"
[regions.tw]
countries = ["TW"]
[regions.my]
countries = ["MY"]
"#;

const ZONE: &str = r#"
$ORIGIN fuzz.example.
$TTL 300
@       SOA   ns1 hostmaster 7 3600 600 86400 60
@       NS    ns1
@       MX    10 mail
ns1     A     192.0.2.53
a       A     192.0.2.1
a       AAAA  2001:db8::1
mail    A     192.0.2.25
c       CNAME a
l       CNAME m
m       CNAME l
*.w     TXT   "any"
*.v     CNAME a.b.e
a.b.e   A     192.0.2.2
s       NS    ns.s
s       NS    ns1
s       DS    1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.s    A     192.0.2.54
d       DNAME e
g       DNAME h.g
o       CNAME www.elsewhere.test.
t       TXT   "short" "strings"
u       TYPE65280 \# 3 010203
r       A     192.0.2.3
"#;

const ROUTES: &str = r#"
[targets.one]
ipv4 = "198.51.100.1"
ipv6 = "2001:db8::51"
[targets.two]
ipv4 = "198.51.100.2"
[routes.r]
type = "address"
tw = ["one", "two"]
default = ["two", "one"]
"#;

/// The server.
pub struct World {
    pub published: Arc<Published>,
    pub address: SocketAddr,
    _daemon: Daemon,
}

/// The one server of this process.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        // Stays until the process ends, as the server does.
        let directory = tempfile::tempdir().unwrap().keep();
        fs::create_dir(directory.join("zones")).unwrap();
        let database = Path::new(env!("CARGO_MANIFEST_DIR")).join("../geoip/country.mmdb");
        fs::copy(database, directory.join("country.mmdb")).unwrap();
        fs::write(directory.join("waypost.toml"), CONFIG).unwrap();
        let large: String = (0..120).map(|n| format!("big TXT \"{n:04} {}\"\n", "x".repeat(200))).collect();
        fs::write(directory.join("zones/fuzz.example.zone"), format!("{ZONE}{large}")).unwrap();
        fs::write(directory.join("zones/fuzz.example.toml"), ROUTES).unwrap();
        let options = Options { config: directory.join("waypost.toml"), ..Options::default() };
        let daemon = Daemon::start(options).unwrap_or_else(|error| panic!("{error}"));
        let published = Arc::clone(daemon.control().published());
        World { published, address: daemon.addresses()[0], _daemon: daemon }
    })
}
