//! Answering allocates nothing: neither the function that makes answers, nor the threads that
//! move them.
//!
//! A binary of its own, for the allocator of the whole process counts here.
#![allow(unsafe_code, reason = "a global allocator can't be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use waypost::answer::{Answered, Client, Kind, Prepared, Transport, answer};
use waypost::daemon::{Daemon, Options};
use waypost::snapshot::Snapshot;
use waypost::wire::name::Name;
use waypost::wire::query::LowerName;
use waypost::wire::rtype::Rtype;

/// Counts allocations of threads that answer: those of UDP and TCP, and any that says so.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IS_ANSWERING: Cell<Option<bool>> = const { Cell::new(None) };
}

// SAFETY: the system's allocator, with a counter before it that doesn't allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(place, layout) }
    }
}

fn count() {
    let _ = IS_ANSWERING.try_with(|is_answering| {
        let counts = is_answering.get().unwrap_or_else(|| {
            let counts = is_named_for_answering();
            is_answering.set(Some(counts));
            counts
        });
        if counts {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Whether the calling thread is one that moves packets.
fn is_named_for_answering() -> bool {
    let mut name = [0_u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 octets.
    let got = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    got == 0 && (name.starts_with(b"udp-") || name.starts_with(b"tcp-"))
}

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
workers = 1
zones = "zones"
state = "state"

[query_log]
to = "queries.jsonl"

[regions.tw]
networks = ["198.51.100.0/25", "2001:db8:1::/48"]
"#;

const ZONE: &str = "
$ORIGIN example.com.
$TTL 60
@ SOA ns1 hostmaster 1 7200 3600 1209600 60
@ NS ns1
ns1 A 192.0.2.53
www A 192.0.2.1
www A 192.0.2.2
alias CNAME middle
middle CNAME www
*.wild A 192.0.2.3
child NS ns.child
ns.child A 192.0.2.54
old DNAME example.com.
one CNAME two
two CNAME one
webmail A 192.0.2.4
webmail AAAA 2001:db8::4
large TXT \"XXX\"
";

const ROUTES: &str = r#"
[targets.web-tw]
ipv4 = "203.0.113.10"
ipv6 = "2001:db8:1::10"
[targets.web-my]
ipv4 = "203.0.113.20"
ipv6 = "2001:db8:2::10"
[routes.webmail]
type = "address"
tw = ["web-tw", "web-my"]
default = ["web-my", "web-tw"]
[routes.shift]
type = "address"
default = [["web-my", { target = "web-tw", percent = 5 }]]
[routes.chance]
type = "address"
sticky = false
default = [["web-my", { target = "web-tw", percent = 5 }]]
"#;

/// What is asked, and the kind of answer that it must get.
struct Case {
    query: Vec<u8>,
    kind: Kind,
    truncated: bool,
}

fn cases() -> Vec<Case> {
    let ask =
        |name: &str, rtype: Rtype, kind: Kind| Case { query: query(name, rtype), kind, truncated: false };
    let with = |mut case: Case, options: &[u8]| {
        case.query[11] = 1;
        case.query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8]);
        case.query.extend(options);
        case
    };
    let subnet_ipv4 = [0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100];
    let subnet_ipv6 = [0, 8, 0, 10, 0, 2, 48, 0, 0x20, 1, 0xd, 0xb8, 0, 1];
    let nsid = [0, 3, 0, 0];
    let cookie = [&[0, 10, 0, 8][..], &[7; 8]].concat();
    let bad_cookie = [&[0, 10, 0, 24][..], &[7; 8], &[1, 0, 0, 0], &[0; 12]].concat();
    let keepalive = [0, 11, 0, 0];
    let padding = [0, 12, 0, 2, 0, 0];
    let mut cookie_alone = with(ask(".", Rtype::A, Kind::Rejected), &bad_cookie);
    cookie_alone.query[5] = 0;
    cookie_alone.query.drain(12..17);
    let mut long = ask(&format!("{}.example.com.", ["a"; 100].join(".")), Rtype::A, Kind::NxDomain);
    long.query[12 + 1] = b'A';
    let cut_off = Case {
        query: query("www.example.com.", Rtype::A)[..20].to_vec(),
        ..ask(".", Rtype::A, Kind::Rejected)
    };
    vec![
        ask("www.example.com.", Rtype::A, Kind::Static),
        with(ask("www.example.com.", Rtype::ANY, Kind::Static), &nsid),
        with(ask("www.example.com.", Rtype::A, Kind::Static), &cookie),
        with(ask("www.example.com.", Rtype::A, Kind::Static), &bad_cookie),
        with(ask("www.example.com.", Rtype::A, Kind::Static), &keepalive),
        with(ask("www.example.com.", Rtype::A, Kind::Static), &padding),
        cookie_alone,
        with(ask("www.example.net.", Rtype::A, Kind::Rejected), &[]),
        ask("one.example.com.", Rtype::A, Kind::Static),
        ask("webmail.example.com.", Rtype::A, Kind::Routed),
        with(ask("webmail.example.com.", Rtype::A, Kind::Routed), &subnet_ipv4),
        with(ask("webmail.example.com.", Rtype::AAAA, Kind::Routed), &subnet_ipv6),
        ask("shift.example.com.", Rtype::A, Kind::Routed),
        with(ask("shift.example.com.", Rtype::A, Kind::Routed), &subnet_ipv4),
        with(ask("shift.example.com.", Rtype::AAAA, Kind::Routed), &subnet_ipv6),
        ask("chance.example.com.", Rtype::A, Kind::Routed),
        ask("nothing.example.com.", Rtype::A, Kind::NxDomain),
        long,
        ask("www.example.com.", Rtype::AAAA, Kind::NoData),
        ask("any.wild.example.com.", Rtype::A, Kind::Static),
        ask("any.wild.example.com.", Rtype::MX, Kind::NoData),
        ask("below.child.example.com.", Rtype::A, Kind::Referral),
        ask("alias.example.com.", Rtype::A, Kind::Static),
        ask("www.old.example.com.", Rtype::A, Kind::Static),
        Case { truncated: true, ..ask("large.example.com.", Rtype::TXT, Kind::Static) },
        ask("www.example.net.", Rtype::A, Kind::Rejected),
        ask("www.example.com.", Rtype(252), Kind::Rejected),
        with(ask("www.example.com.", Rtype::A, Kind::Rejected), &[0, 8, 0, 1, 0]),
        cut_off,
    ]
}

/// Signed zones, with how each denies.
const SIGNED: [(&str, &str); 2] = [("names.example.", "nsec"), ("hashes.example.", "nsec3")];

/// What a signed zone is asked by clients that want signatures.
fn signed_cases(apex: &str) -> Vec<Case> {
    let of_nsec = if apex.starts_with("names") { Kind::Static } else { Kind::NoData };
    let ask = |name: &str, rtype: Rtype, kind: Kind| {
        let mut query = query(&name.replace("example.com.", apex), rtype);
        query[11] = 1;
        query.extend([0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 0]);
        Case { query, kind, truncated: false }
    };
    vec![
        ask("www.example.com.", Rtype::A, Kind::Static),
        ask("www.example.com.", Rtype::RRSIG, Kind::Static),
        ask("www.example.com.", Rtype::NSEC, of_nsec),
        ask("example.com.", Rtype::DNSKEY, Kind::Static),
        ask("webmail.example.com.", Rtype::A, Kind::Routed),
        ask("nothing.example.com.", Rtype::A, Kind::NxDomain),
        ask("www.example.com.", Rtype::TXT, Kind::NoData),
        ask("any.wild.example.com.", Rtype::A, Kind::Static),
        ask("any.wild.example.com.", Rtype::MX, Kind::NoData),
        ask("below.child.example.com.", Rtype::A, Kind::Referral),
        ask("child.example.com.", Rtype::DS, Kind::NoData),
        ask("alias.example.com.", Rtype::A, Kind::Static),
        ask("www.old.example.com.", Rtype::A, Kind::Static),
    ]
}

fn query(name: &str, rtype: Rtype) -> Vec<u8> {
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(Name::parse(name, None).unwrap().as_wire());
    query.extend(rtype.0.to_be_bytes());
    query.extend([0, 1]);
    query
}

fn start(directory: &std::path::Path) -> Daemon {
    let write = |inside: &str, text: &str| fs::write(directory.join(inside), text).unwrap();
    fs::create_dir(directory.join("zones")).unwrap();
    write("waypost.toml", CONFIG);
    let long = vec!["x".repeat(250); 8].join("\" \"");
    write("zones/example.com.zone", &ZONE.replace("XXX", &long));
    write("zones/example.com.toml", ROUTES);
    for (apex, denial) in SIGNED {
        let zone = ZONE.replace("example.com.", apex).replace("XXX", "x");
        write(&format!("zones/{apex}zone"), &zone);
        let policy = format!("{ROUTES}\n[dnssec]\nsign = true\ndenial = \"{denial}\"\n");
        write(&format!("zones/{apex}toml"), &policy);
    }
    Daemon::start(Options { config: directory.join("waypost.toml"), ..Options::default() }).unwrap()
}

/// Allocations of threads that answer while `work` runs.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    work();
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

/// One test: what others do at the same time would be counted.
#[test]
fn answering_allocates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(directory.path());
    let written = || fs::read_to_string(directory.path().join("queries.jsonl")).unwrap_or_default();
    let published = daemon.control().published();

    IS_ANSWERING.set(Some(true));
    assert!(allocations(|| drop(std::hint::black_box(Box::new(1)))) > 0, "the allocator counts");
    IS_ANSWERING.set(Some(false));
    // First, so that all workers have started, and have what they need, when the others count; and
    // until their queries reach the log, whose thread opens it when it comes to it.
    let (mut ask_udp, mut ask_tcp) = (over_udp(daemon.addresses()[0]), over_tcp(daemon.addresses()[0]));
    let until = Instant::now() + Duration::from_secs(20);
    while !(written().contains("\"udp\"") && written().contains("\"tcp\"")) {
        assert!(Instant::now() < until, "queries aren't copied for the log: {}", written());
        ask_udp();
        ask_tcp();
        std::thread::sleep(Duration::from_millis(50));
    }
    for case in &cases() {
        one_by_one(&published.load(), case);
    }
    for (apex, _) in SIGNED {
        signed_cases(apex).iter().for_each(|case| one_by_one(&published.load(), case));
    }
    as_a_batch(&published.load(), &cases());
    // All of them are copied for the query log meanwhile.
    assert_eq!(allocations(|| (0..20).for_each(|_| ask_udp())), 0);
    assert_eq!(allocations(|| (0..20).for_each(|_| ask_tcp())), 0);
    daemon.stop();
}

fn one_by_one(snapshot: &Snapshot, case: &Case) {
    let mut out = vec![0; 4096];
    let mut answered = None;
    let (tcp, tls) = (Transport::Tcp { idle: 100 }, Transport::Tls { idle: 100 });
    for transport in [tcp, tls, Transport::Quic, Transport::Udp] {
        let client = Client { address: "198.51.100.1".parse().unwrap(), transport, entropy: 7, now: 0 };
        IS_ANSWERING.set(Some(true));
        let count = allocations(|| answered = Some(answer(snapshot, &case.query, &client, &mut out)));
        IS_ANSWERING.set(Some(false));
        assert_eq!(count, 0, "{transport:?} {:?}", case.query.escape_ascii().to_string());
    }
    let Answered { octets, kind, truncated, .. } = answered.unwrap();
    let expected = (true, case.kind, case.truncated);
    assert_eq!((octets > 0, kind, truncated), expected, "{:?}", case.query.escape_ascii().to_string());
}

fn as_a_batch(snapshot: &Snapshot, cases: &[Case]) {
    let mut out = vec![0; 4096];
    let client =
        Client { address: "198.51.100.1".parse().unwrap(), transport: Transport::Udp, entropy: 7, now: 0 };
    IS_ANSWERING.set(Some(true));
    let count = allocations(|| {
        let mut names = [const { LowerName::root() }; 32];
        let mut prepared = [const { None }; 32];
        for ((place, name), case) in prepared.iter_mut().zip(&mut names).zip(cases) {
            *place = Some(Prepared::new(snapshot, &case.query, name));
        }
        Prepared::fetch(prepared.iter().flatten());
        for (prepared, case) in prepared.iter().flatten().zip(cases) {
            assert_eq!(prepared.answer(&client, &mut out).kind, case.kind);
        }
    });
    IS_ANSWERING.set(Some(false));
    assert_eq!(count, 0);
}

/// Asks the worker's own loop.
fn over_udp(server: std::net::SocketAddr) -> impl FnMut() {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.connect(server).unwrap();
    let cases = cases();
    move || {
        for case in &cases {
            client.send(&case.query).unwrap();
        }
        for _ in &cases {
            client.recv(&mut [0; 4096]).unwrap();
        }
    }
}

/// Asks by a connection that goes on: opening one may allocate, a further query may not.
fn over_tcp(server: std::net::SocketAddr) -> impl FnMut() {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let cases = cases();
    let mut pipelined = Vec::new();
    for case in &cases {
        pipelined.extend((case.query.len() as u16).to_be_bytes());
        pipelined.extend(&case.query);
    }
    move || {
        stream.write_all(&pipelined).unwrap();
        for _ in &cases {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut answer = [0; 4096];
            stream.read_exact(&mut answer[..usize::from(u16::from_be_bytes(length))]).unwrap();
        }
    }
}
