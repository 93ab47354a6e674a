//! DNS cookies: RFC 7873, and server cookies that servers of one address make alike: RFC 9018.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use siphasher::sip::SipHasher24;

use super::lab::{SECRET, server};
use super::packet::*;
use super::reply::Reply;
use crate::lab::{Lab, output, wait_for, waypost};

pub const COOKIE: u16 = 10;
pub const CLIENT: [u8; 8] = [0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57];
pub const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32
}

/// RFC 9018 4: what a server with that secret gives a client at that time.
fn server_cookie(secret: &[u8; 16], client: [u8; 4], time: u32) -> Vec<u8> {
    let hashed = [&[1, 0, 0, 0][..], &time.to_be_bytes()].concat();
    let hash = SipHasher24::new_with_key(secret).hash(&[&CLIENT[..], &hashed, &client].concat());
    [hashed, hash.to_le_bytes().to_vec()].concat()
}

fn with(server_cookie: &[u8]) -> Packet {
    let data = [&CLIENT[..], server_cookie].concat();
    Packet::query("www.packets.example.", A).option(COOKIE, &data)
}

/// The server cookie that came with an answer to [`CLIENT`].
pub fn given(reply: &Reply) -> &[u8] {
    let option = reply.option(COOKIE).expect("a cookie");
    assert_eq!((option.len(), &option[..8]), (24, &CLIENT[..]));
    &option[8..]
}

/// Asserts that an answer is as good as one without cookies.
fn is_answered(reply: &Reply) {
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 2));
}

#[test]
fn rfc7873_5_2_1_no_cookie_for_queries_without() {
    assert_eq!(Packet::query("www.packets.example.", A).opt(Opt::new()).udp().option(COOKIE), None);
}

#[test]
fn rfc7873_5_2_2_malformed_lengths() {
    for octets in (0..64).filter(|octets| *octets != 8 && !(16..=40).contains(octets)) {
        let reply = Packet::query("www.packets.example.", A).option(COOKIE, &vec![7; octets]).udp();
        assert_eq!(reply.rcode(), FORMERR, "{octets}");
        assert!(reply.is_bare() && reply.opt.is_some() && reply.option(COOKIE).is_none());
    }
}

#[test]
fn rfc7873_5_2_3_a_client_cookie_alone_gets_an_answer_and_a_server_cookie() {
    let reply = with(&[]).udp();
    is_answered(&reply);
    given(&reply);
}

#[test]
fn rfc7873_5_2_4_a_server_cookie_of_others_is_no_error() {
    for other in [&[7; 8][..], &[7; 16], &[7; 32]] {
        let reply = with(other).udp();
        is_answered(&reply);
        assert_ne!(given(&reply), other);
    }
}

#[test]
fn rfc7873_5_2_5_a_server_cookie_of_ours_is_given_back() {
    let first = with(&[]).udp();
    let second = with(given(&first)).udp();
    is_answered(&second);
    assert_eq!(given(&second), given(&first));
}

#[test]
fn rfc7873_5_2_the_first_of_several_counts() {
    let opt = Opt::new().option(COOKIE, &CLIENT).option(COOKIE, &[9; 8]).option(COOKIE, &[1]);
    let reply = Packet::query("www.packets.example.", A).opt(opt).udp();
    is_answered(&reply);
    given(&reply);
}

#[test]
fn rfc7873_5_2_errors_have_a_cookie_too() {
    for (owner, rcode) in [("www.foreign.example.", REFUSED), ("nothing.packets.example.", NXDOMAIN)] {
        let reply = Packet::query(owner, A).option(COOKIE, &CLIENT).udp();
        assert_eq!(reply.rcode(), rcode);
        given(&reply);
    }
}

#[test]
fn rfc7873_5_2_truncated_answers_have_a_cookie_too() {
    let reply = Packet::query("big.packets.example.", TXT).option(COOKIE, &CLIENT).udp();
    assert!(reply.has(TC));
    given(&reply);
}

#[test]
fn rfc7873_5_2_streams_are_alike() {
    let reply = with(&[]).tcp();
    is_answered(&reply);
    given(&reply);
}

#[test]
fn rfc7873_5_4_a_cookie_may_be_asked_for_without_a_question() {
    let reply = Packet::empty().option(COOKIE, &CLIENT).udp();
    assert_eq!((reply.rcode(), reply.is_bare()), (NOERROR, true));
    let known = [&CLIENT[..], given(&reply)].concat();
    let reply = Packet::empty().option(COOKIE, &known).udp();
    assert_eq!(reply.rcode(), NOERROR);
    given(&reply);
}

#[test]
fn rfc7873_5_4_a_server_cookie_of_others_without_a_question_is_a_bad_cookie() {
    let reply = Packet::empty().option(COOKIE, &[&CLIENT[..], &[7; 16]].concat()).udp();
    assert_eq!((reply.rcode(), reply.is_bare()), (BADCOOKIE, true));
    given(&reply);
}

#[test]
fn rfc9018_4_a_server_cookie_of_version_1() {
    let reply = with(&[]).udp();
    let cookie = given(&reply);
    let time = u32::from_be_bytes(cookie[4..8].try_into().unwrap());
    assert!(now().abs_diff(time) < 30);
    assert_eq!(cookie, server_cookie(&SECRET, LOOPBACK, time));
}

#[test]
fn rfc9018_4_3_a_cookie_of_half_an_hour_is_kept() {
    let cookie = server_cookie(&SECRET, LOOPBACK, now() - 1_700);
    assert_eq!(given(&with(&cookie).udp()), cookie);
}

#[test]
fn rfc9018_4_3_an_older_one_is_renewed() {
    let cookie = server_cookie(&SECRET, LOOPBACK, now() - 1_900);
    let reply = with(&cookie).udp();
    is_answered(&reply);
    assert_ne!(given(&reply), cookie);
}

/// What a server gives to a client that asks for a cookie and nothing else.
fn learn(server: SocketAddr) -> Reply {
    udp_from("127.0.0.1", server, &Packet::empty().option(COOKIE, &CLIENT).octets())
}

/// Whether a cookie is valid, as a query without a question tells.
pub fn is_valid(server: SocketAddr, source: Ipv4Addr, cookie: &[u8]) -> bool {
    let octets = Packet::empty().option(COOKIE, &[&CLIENT[..], cookie].concat()).octets();
    udp_from(&source.to_string(), server, &octets).rcode() == NOERROR
}

#[test]
fn rfc9018_4_3_valid_for_an_hour_and_five_minutes_ahead() {
    for (seconds, expected) in [(0, true), (3_590, true), (3_610, false), (-290, true), (-310, false)] {
        let cookie = server_cookie(&SECRET, LOOPBACK, now().wrapping_add_signed(-seconds));
        assert_eq!(is_valid(server(), LOOPBACK.into(), &cookie), expected, "{seconds} s old");
    }
}

#[test]
fn rfc9018_4_4_a_cookie_is_its_clients_alone() {
    let other = [127, 0, 0, 9];
    for client in [LOOPBACK, other] {
        let cookie = server_cookie(&SECRET, client, now());
        assert_eq!(is_valid(server(), LOOPBACK.into(), &cookie), client == LOOPBACK);
        assert_eq!(is_valid(server(), other.into(), &cookie), client == other);
    }
}

#[test]
fn rfc9018_4_4_a_cookie_is_its_servers_alone() {
    assert!(!is_valid(server(), LOOPBACK.into(), &server_cookie(&[7; 16], LOOPBACK, now())));
}

const OLD: [u8; 16] = [0x11; 16];
pub const NEW: [u8; 16] = [0x22; 16];

pub fn lines(secrets: &[[u8; 16]]) -> String {
    secrets.iter().map(|secret| secret.map(|octet| format!("{octet:02x}")).concat() + "\n").collect()
}

pub fn lab(secrets: Option<&str>) -> Lab {
    let lab = Lab::new();
    lab.write("zones/plain.example.zone", "$TTL 60\n@ SOA ns h 1 1 1 1 60\n@ NS ns\nns A 192.0.2.1\n");
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    if let Some(secrets) = secrets {
        lab.write("waypost.toml", &config.replace("[server]", "[server]\ncookie_secrets = \"cookies\""));
        lab.write("cookies", secrets);
    }
    lab
}

#[test]
fn rfc9018_5_secrets_roll_over_while_the_server_runs() {
    let lab = lab(Some(&lines(&[OLD])));
    let server = lab.start();
    let valid = || {
        [OLD, NEW]
            .map(|secret| is_valid(server.address, LOOPBACK.into(), &server_cookie(&secret, LOOPBACK, now())))
    };
    let signs = || {
        let reply = learn(server.address);
        let cookie = given(&reply);
        let time = u32::from_be_bytes(cookie[4..8].try_into().unwrap());
        [OLD, NEW].map(|secret| cookie == server_cookie(&secret, LOOPBACK, time))
    };
    assert_eq!((valid(), signs()), ([true, false], [true, false]));
    for (secrets, accepted, signing) in [
        (&[OLD, NEW][..], [true, true], [true, false]),
        (&[NEW, OLD], [true, true], [false, true]),
        (&[NEW], [false, true], [false, true]),
    ] {
        lab.write("cookies", &lines(secrets));
        wait_for("the secrets are loaded", Duration::from_secs(10), || {
            (valid() == accepted && signs() == signing).then_some(())
        });
    }
    // The last good secrets stay.
    lab.write("cookies", "no secret\n");
    server.wait_for_log("no secret of 32 hexadecimal digits");
    assert_eq!((valid(), signs()), ([false, true], [false, true]));
    server.stop();
}

#[test]
fn rfc9018_5_without_a_file_each_server_has_a_secret_of_its_own() {
    let labs = [lab(None), lab(None)];
    let [one, other] = labs.each_ref().map(Lab::start);
    let reply = learn(one.address);
    assert!(is_valid(one.address, LOOPBACK.into(), given(&reply)));
    assert!(!is_valid(other.address, LOOPBACK.into(), given(&reply)));
    one.stop();
    other.stop();
}

#[test]
fn rfc9018_5_a_server_does_not_start_without_the_secrets_it_shares() {
    let lab = lab(Some("not a secret: 31337\n"));
    for missing in [false, true] {
        if missing {
            fs::remove_file(lab.path("cookies")).unwrap();
        }
        let check =
            output(waypost().current_dir(lab.directory.path()).args(["check", "--config", "waypost.toml"]));
        let run =
            output(waypost().current_dir(lab.directory.path()).args(["run", "--config", "waypost.toml"]));
        assert!(!check.status.success() && !run.status.success());
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(told.contains("cookies") && !told.contains("31337"), "{told}");
    }
}
