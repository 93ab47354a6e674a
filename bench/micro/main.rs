//! The query path in parts, for counting instructions: `bench/micro.py` runs this in callgrind.
//!
//! Run by itself it prints nanoseconds, which depend on the machine and on what else it does.

#![allow(clippy::print_stdout, reason = "its figures")]

use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use waypost::answer::{Client, Prepared, Transport, answer};
use waypost::daemon::{Daemon, Options};
use waypost::geo::build::build;
use waypost::geo::mmdb::Database;
use waypost::geo::rules::{Keys, RegionRule, Rules};
use waypost::geo::table::{Claim, Table};
use waypost::geo::{How, RegionId};
use waypost::limits::QUERIES_FETCHED;
use waypost::snapshot::Snapshot;
use waypost::wire::name::Name;
use waypost::wire::query::{self, LowerName};

/// Owners of the zone, and queries of each part.
const NAMES: u32 = 10_000;
const QUERIES: u32 = 1_000;
/// Operator's networks of each family.
const NETWORKS: u32 = 50_000;

fn main() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let snapshot = snapshot(directory.path());
    let table = table();
    let queries = Queries::new();
    let client = client();
    let names: Vec<LowerName> =
        (0..QUERIES).map(|number| LowerName::from_wire(owner(number).as_wire()).expect("a name")).collect();
    let ipv4: Vec<IpAddr> = (0..QUERIES).map(|number| Ipv4Addr::from_bits(spread(number)).into()).collect();
    let ipv6: Vec<IpAddr> = (0..QUERIES).map(|number| ipv6_address(number).into()).collect();

    println!("{:18} {:>12}", "part", "nanoseconds");
    report("parse", || parts::parse(&queries.subnet));
    report("look-up", || parts::look_up(&snapshot, &names));
    report("answer", || parts::answer_one_by_one(&snapshot, &client, &queries.plain));
    report("answer-batch", || parts::answer_batches(&snapshot, &client, &queries.plain));
    report("answer-nxdomain", || parts::answer_nxdomain(&snapshot, &client, &queries.missing));
    report("answer-routed", || parts::answer_routed(&snapshot, &client, &queries.subnet));
    if !is_counted() {
        geography(&ipv4, &ipv6);
    }
    report("region-ipv4", || parts::region_ipv4(&table, &ipv4));
    report("region-ipv6", || parts::region_ipv6(&table, &ipv6));
}

/// What is counted: each handles all of its queries, and none is inlined, so that callgrind can
/// tell it apart by its name.
mod parts {
    use super::*;

    #[inline(never)]
    pub(super) fn parse(queries: &[Vec<u8>]) {
        let mut name = LowerName::root();
        for octets in queries {
            let _ = black_box(query::parse(black_box(octets), &mut name));
        }
    }

    #[inline(never)]
    pub(super) fn look_up(snapshot: &Snapshot, names: &[LowerName]) {
        for name in names {
            black_box(snapshot.find(black_box(name)));
        }
    }

    #[inline(never)]
    pub(super) fn answer_one_by_one(snapshot: &Snapshot, client: &Client, queries: &[Vec<u8>]) {
        each::<0>(snapshot, client, queries);
    }

    #[inline(never)]
    pub(super) fn answer_batches(snapshot: &Snapshot, client: &Client, queries: &[Vec<u8>]) {
        let mut out = [0; 1232];
        let mut names = [const { LowerName::root() }; QUERIES_FETCHED];
        for batch in queries.chunks(QUERIES_FETCHED) {
            let mut prepared = [const { None }; QUERIES_FETCHED];
            for ((place, name), octets) in prepared.iter_mut().zip(&mut names).zip(batch) {
                *place = Some(Prepared::new(snapshot, octets, name));
            }
            Prepared::fetch(prepared.iter().flatten());
            for prepared in prepared.iter().flatten() {
                black_box(prepared.answer(client, &mut out));
            }
        }
    }

    #[inline(never)]
    pub(super) fn answer_nxdomain(snapshot: &Snapshot, client: &Client, queries: &[Vec<u8>]) {
        each::<1>(snapshot, client, queries);
    }

    #[inline(never)]
    pub(super) fn answer_routed(snapshot: &Snapshot, client: &Client, queries: &[Vec<u8>]) {
        each::<2>(snapshot, client, queries);
    }

    #[inline(never)]
    pub(super) fn region_ipv4(table: &Table, addresses: &[IpAddr]) {
        black_box(4);
        for address in addresses {
            black_box(table.locate(black_box(*address)));
        }
    }

    #[inline(never)]
    pub(super) fn region_ipv6(table: &Table, addresses: &[IpAddr]) {
        black_box(6);
        for address in addresses {
            black_box(table.locate(black_box(*address)));
        }
    }

    /// `PART` differs, since the compiler makes one function of several with the same code.
    #[inline(always)]
    fn each<const PART: u32>(snapshot: &Snapshot, client: &Client, queries: &[Vec<u8>]) {
        black_box(PART);
        let mut out = [0; 1232];
        for octets in queries {
            black_box(answer(snapshot, black_box(octets), client, &mut out));
        }
    }
}

/// Whether this runs in callgrind: once is enough, and time means nothing.
fn is_counted() -> bool {
    std::env::args().any(|argument| argument == "--once")
}

/// The shipped database, three countries, and an operator's networks: how long the table takes to
/// build, and how long to ask.
fn geography(ipv4: &[IpAddr], ipv6: &[IpAddr]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("geoip/country.mmdb");
    let begin = Instant::now();
    let content = fs::read(path).expect("the shipped database");
    let database = Database::open(content, &Keys::default()).expect("a database");
    println!("{:18} {:12.0}", "database-read", begin.elapsed().as_nanos());
    let region = |name: &str, countries: &[&str], networks: Vec<IpNet>| RegionRule {
        name: name.to_owned(),
        countries: countries.iter().map(|&code| code.to_owned()).collect(),
        networks,
        ..RegionRule::default()
    };
    let of_operator: Vec<IpNet> = networks().map(|(network, _)| network).collect();
    let rules = Rules {
        keys: Keys::default(),
        regions: vec![
            region("americas", &["US", "CA", "BR", "MX"], Vec::new()),
            region("europe", &["DE", "FR", "GB", "IT", "NL", "PL", "ES", "SE"], Vec::new()),
            region("asia", &["CN", "JP", "KR", "TW", "IN", "VN", "MY"], of_operator),
        ],
    };
    let begin = Instant::now();
    let table = build(&rules, &[], Some(&database));
    println!("{:18} {:12.0}", "table-build", begin.elapsed().as_nanos());
    println!("{:18} {:12} ranges", "table", table.ranges());
    report("database-ipv4", || parts::region_ipv4(&table, ipv4));
    report("database-ipv6", || parts::region_ipv6(&table, ipv6));
}

/// Prints the best of some runs, each of all queries, by query.
fn report(part: &str, run: impl Fn()) {
    let runs = if is_counted() { 1 } else { 200 };
    let mut best = f64::MAX;
    for _ in 0..runs {
        let begin = Instant::now();
        run();
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(QUERIES));
    }
    println!("{part:18} {best:12.1}");
}

/// Messages for each kind of answer, every one another name or another network.
struct Queries {
    plain: Vec<Vec<u8>>,
    missing: Vec<Vec<u8>>,
    subnet: Vec<Vec<u8>>,
}

impl Queries {
    fn new() -> Queries {
        let missing =
            |number: u32| Name::parse(&format!("none-{number:08}.big.example."), None).expect("a name");
        let routed = Name::parse("webmail.big.example.", None).expect("a name");
        Queries {
            plain: (0..QUERIES).map(|number| message(&owner(number), &[])).collect(),
            missing: (0..QUERIES).map(|number| message(&missing(number), &[])).collect(),
            subnet: (0..QUERIES)
                .map(|number| {
                    let [a, b, c, _] = spread(number).to_be_bytes();
                    message(&routed, &[0, 8, 0, 7, 0, 1, 24, 0, a, b, c])
                })
                .collect(),
        }
    }
}

fn owner(number: u32) -> Name {
    let number = number * 7_919 % NAMES;
    Name::parse(&format!("host-{number:08}.big.example."), None).expect("a name")
}

/// A query for addresses; with an OPT record if there are options.
fn message(name: &Name, options: &[u8]) -> Vec<u8> {
    let additional = u8::from(!options.is_empty());
    let mut octets = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, additional];
    octets.extend(name.as_wire());
    octets.extend([0, 1, 0, 1]);
    if !options.is_empty() {
        octets.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8]);
        octets.extend(options);
    }
    octets
}

fn client() -> Client {
    Client {
        address: "192.0.2.7".parse().expect("an address"),
        transport: Transport::Udp,
        entropy: 7,
        now: 0,
    }
}

/// What a server would publish for a zone of addresses and one route.
fn snapshot(directory: &std::path::Path) -> Snapshot {
    let mut zone = String::from(
        "$ORIGIN big.example.\n$TTL 20\n@ SOA ns1 hostmaster 1 7200 3600 1209600 60\n@ NS ns1\nns1 A 192.0.2.53\n\
         webmail A 192.0.2.54\n",
    );
    for number in 0..NAMES {
        zone.push_str(&format!("host-{number:08} A 192.0.2.{}\n", number % 250));
    }
    let routes = "[targets.here]\nipv4 = \"203.0.113.1\"\n[targets.there]\nipv4 = \"203.0.113.2\"\n\
                  [routes.webmail]\ntype = \"address\"\nnear = [\"here\", \"there\"]\n\
                  default = [\"there\", \"here\"]\n";
    let config = "[server]\nlisten = [\"127.0.0.1:0\"]\nzones = \"zones\"\nstate = \"state\"\n\
                  [regions.near]\nnetworks = [\"0.0.0.0/2\", \"128.0.0.0/3\"]\n";
    let write = |inside: &str, text: &str| fs::write(directory.join(inside), text).expect("a file");
    fs::create_dir(directory.join("zones")).expect("a directory");
    write("waypost.toml", config);
    write("zones/big.example.zone", &zone);
    write("zones/big.example.toml", routes);
    let options = Options { config: directory.join("waypost.toml"), ..Options::default() };
    let daemon = Daemon::start(options).unwrap_or_else(|error| panic!("{error}"));
    let snapshot = Snapshot::clone(&daemon.control().published().load_full());
    daemon.stop();
    snapshot
}

/// The regions of many networks of both families.
fn table() -> Table {
    let claim = |(network, number)| Claim { network, region: RegionId(number), how: How::Network };
    Table::new(&[networks().map(claim).collect()])
}

/// Networks of both families, each with the number of a region.
fn networks() -> impl Iterator<Item = (IpNet, u16)> {
    (0..NETWORKS).flat_map(|number| {
        let region = (number % 4) as u16;
        let length = 16 + (spread(!number) % 13) as u8;
        let ipv4 = Ipv4Net::new_assert(Ipv4Addr::from_bits(spread(number)), length).trunc();
        let length = 28 + (spread(!number) % 29) as u8;
        let ipv6 = Ipv6Net::new_assert(ipv6_address(number), length).trunc();
        [(ipv4.into(), region), (ipv6.into(), region)]
    })
}

/// Addresses as they are given out: below 2000::/3, most of them in few registries' blocks.
fn ipv6_address(number: u32) -> Ipv6Addr {
    let [low, high] = [spread(number), spread(number.wrapping_add(0x5555_5555))].map(u128::from);
    let blocks = [0x2001_0000, 0x2400_0000, 0x2600_0000, 0x2800_0000, 0x2a00_0000_u128];
    let block = blocks[number as usize % blocks.len()] | (high >> 12);
    Ipv6Addr::from_bits(block << 96 | low << 64 | high)
}

/// Numbers all over 32 bits, the same in each run (the finisher of MurmurHash3).
fn spread(number: u32) -> u32 {
    let mixed = (number ^ (number >> 16)).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
    mixed ^ (mixed >> 16)
}
