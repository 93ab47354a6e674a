//! Keys over restarts, full disks and lost files; the parent as a nameserver of its own.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::dnssec::rollover::{Roll, State};
use crate::dnssec::{Algorithm, KeySplit, Policy};
use crate::health::Tick;
use crate::load::{LoadedZone, read_once};
use crate::wire::name::Name;

const NOW: Tick = Tick(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn apex() -> Name {
    Name::parse("example.com.", None).unwrap()
}

fn signed(policy: Policy) -> Signed {
    Signed { apex: apex(), policy, max_ttl: 300, is_leaving: false }
}

fn split() -> Signed {
    signed(Policy { keys: KeySplit::KskZsk, ..Policy::default() })
}

fn states(turn: &Turn) -> Vec<State> {
    turn.memory.keys.iter().map(|key| key.state).collect()
}

#[test]
fn first_keys_are_made_once_and_are_there_again_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let zone = Store::new(&scratch.path().join("keys")).zone(&apex());
    let first = turn(&zone, &split(), None, NOW).unwrap();
    assert_eq!((first.made.len(), states(&first)), (2, vec![State::Published, State::Active]));
    let again = turn(&zone, &split(), None, NOW + Duration::from_secs(1)).unwrap();
    assert!(again.made.is_empty() && again.keyring == first.keyring);
    for key in &first.memory.keys {
        let (_, private) = zone.paths(key.id);
        assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(zone.directory()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn lost_keys_and_state_are_errors_with_path_and_remedy_and_nothing_is_made_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let zone = Store::new(scratch.path()).zone(&apex());
    let first = turn(&zone, &split(), None, NOW).unwrap();
    let (_, private) = zone.paths(first.memory.keys[0].id);
    let kept = fs::read(&private).unwrap();
    fs::remove_file(&private).unwrap();
    let error = turn(&zone, &split(), None, NOW).unwrap_err();
    assert_eq!(error.path, private);
    assert!(error.to_string().contains("restore it from a backup"), "{error}");
    // Another key's half in its place.
    fs::copy(zone.paths(first.memory.keys[1].id).1, &private).unwrap();
    let error = turn(&zone, &split(), None, NOW).unwrap_err();
    assert!(error.to_string().contains("don't belong together"), "{error}");
    fs::write(&private, kept).unwrap();
    fs::write(zone.directory().join("state.json"), "{").unwrap();
    let error = turn(&zone, &split(), None, NOW).unwrap_err();
    assert!(error.to_string().contains("all keys here count as active"), "{error}");
    // What the remedy says.
    fs::remove_file(zone.directory().join("state.json")).unwrap();
    let adopted = turn(&zone, &split(), None, NOW).unwrap();
    assert_eq!(states(&adopted), [State::Active, State::Active]);
    assert!(adopted.made.is_empty());
}

#[test]
fn a_disk_that_takes_nothing_leaves_keys_as_they_are() {
    let scratch = tempfile::tempdir().unwrap();
    let zone = Store::new(scratch.path()).zone(&apex());
    let first = turn(&zone, &split(), None, NOW).unwrap();
    // Where the new state would be written, something is in the way, for root too.
    fs::create_dir(zone.directory().join("state.json.new")).unwrap();
    let later = NOW + 2 * DAY;
    let error = turn(&zone, &split(), None, later).unwrap_err();
    assert!(error.path.ends_with("state.json") && error.message.contains("cannot be written"), "{error}");
    assert_eq!(zone.read(later).unwrap().memory, first.memory);
    fs::remove_dir(zone.directory().join("state.json.new")).unwrap();
    assert_eq!(states(&turn(&zone, &split(), None, later).unwrap()), [State::Submitted, State::Active]);
}

#[test]
fn a_key_that_is_gone_is_gone_from_the_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let zone = Store::new(scratch.path()).zone(&apex());
    let signed = split();
    let first = turn(&zone, &signed, None, NOW).unwrap();
    let old = zone.paths(first.memory.keys[1].id);
    assert!(old.0.exists() && old.1.exists());
    let mut now = NOW + 90 * DAY;
    for _ in 0..3 {
        turn(&zone, &signed, None, now).unwrap();
        now = now + DAY;
    }
    assert!(!old.0.exists() && !old.1.exists());
    let keys = zone.read(now).unwrap().keys;
    assert_eq!(keys.len(), 2);
}

/// A parent's nameserver with DS that a test sets.
struct Parent {
    address: SocketAddr,
    ds: Arc<Mutex<Vec<Vec<u8>>>>,
}

fn parent() -> Parent {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ds: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let parent = Parent { address: socket.local_addr().unwrap(), ds: Arc::clone(&ds) };
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            let ds = ds.lock().unwrap();
            // Id, an authoritative answer, one question, so many answers; the OPT isn't given back.
            let mut answer = query[..2].to_vec();
            answer.extend([0x84, 0, 0, 1, 0, ds.len() as u8, 0, 0, 0, 0]);
            let end = 12 + query[12..length].iter().position(|octet| *octet == 0).unwrap() + 5;
            answer.extend_from_slice(&query[12..end]);
            for rdata in ds.iter() {
                answer.extend([0xc0, 12, 0, 43, 0, 1, 0, 0, 0x0e, 0x10, 0, rdata.len() as u8]);
                answer.extend_from_slice(rdata);
            }
            let _ = socket.send_to(&answer, client);
        }
    });
    parent
}

#[test]
fn all_of_the_parents_nameservers_are_asked() {
    let scratch = tempfile::tempdir().unwrap();
    let zone = Store::new(scratch.path()).zone(&apex());
    let first = turn(&zone, &signed(Policy::default()), None, NOW).unwrap();
    let keys = zone.read(NOW).unwrap().keys;
    let (one, other) = (parent(), parent());
    let ask = || ask_parent(&apex(), &[one.address, other.address], &keys).unwrap();
    assert!(ask().0.anywhere.is_empty());
    let ds = crate::dnssec::ds(&apex(), keys[0].dnskey(), crate::dnssec::DigestType::Sha256);
    one.ds.lock().unwrap().push(ds.clone());
    let (said, unknown) = ask();
    assert!(said.everywhere.is_empty() && unknown.is_empty());
    assert_eq!(said.anywhere.len(), 1);
    other.ds.lock().unwrap().push(ds);
    other.ds.lock().unwrap().push(vec![0, 1, 13, 2, 9]);
    let (said, unknown) = ask();
    assert_eq!(said.everywhere.iter().next(), Some(&first.memory.keys[0].id));
    assert_eq!((said.ttl, unknown), (3_600, vec![vec![0, 1, 13, 2, 9]]));
    // One that is silent may give something else to others.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = ask_parent(&apex(), &[one.address, silent.local_addr().unwrap()], &keys).unwrap_err();
    assert!(error.to_string().contains("doesn't answer"), "{error}");
}

/// A loaded zone that is signed as the text says.
fn loaded(directory: &std::path::Path, dnssec: &str) -> LoadedZone {
    fs::create_dir_all(directory.join("zones")).unwrap();
    fs::write(directory.join("waypost.toml"), "").unwrap();
    let zone = "@ 300 IN SOA ns hostmaster 1 3600 600 86400 60\n@ 900 IN NS ns\nns 300 IN A 192.0.2.53\n";
    fs::write(directory.join("zones/example.com.zone"), zone).unwrap();
    fs::write(directory.join("zones/example.com.toml"), format!("[dnssec]\nsign = true\n{dnssec}")).unwrap();
    let mut offline = read_once(&directory.join("waypost.toml"));
    offline.zones.remove(0).1
}

type Handed = Receiver<(Name, Arc<crate::dnssec::Keyring>)>;

fn keep(keeper: &Arc<Keeper>) -> Handed {
    let (sender, handed) = channel();
    keeper
        .start(move |news| {
            if let News::Keys(zone, keyring) = news {
                let _ = sender.send((zone, keyring));
            }
        })
        .unwrap();
    handed
}

#[test]
fn the_keeper_hands_over_what_changes_and_asks_the_parent() {
    let scratch = tempfile::tempdir().unwrap();
    let parent = parent();
    let mut loaded = loaded(scratch.path(), &format!("parent = \"{}\"", parent.address));
    assert_eq!(Signed::of(&loaded).unwrap().max_ttl, 3_600);
    let store = Store::new(&scratch.path().join("keys"));
    let zone = store.zone(&apex());
    // Long ago, so that all caches know it.
    let policy = Signed::of(&loaded).unwrap();
    turn(&zone, &policy, None, Tick(1_000_000_000_000)).unwrap();
    let keeper = Arc::new(Keeper::new(store, None));
    let first = keeper.learn([&mut loaded].into_iter());
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].1.cds().count(), 1, "it is submitted by now");
    assert!(keeper.learn([&mut loaded].into_iter()).is_empty());
    let handed = keep(&keeper);
    // Rolled by hand, while the parent has the first key's DS.
    parent.ds.lock().unwrap().push(first[0].1.cds().next().unwrap().to_vec());
    let active = || zone.read(crate::publish::now()).unwrap().memory.keys[0].state == State::Active;
    for _ in 0..600 {
        if active() {
            break;
        }
        keeper.wake();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(active());
    {
        let _lock = zone.lock().unwrap();
        let mut held = zone.read(NOW).unwrap();
        let wants = held.memory.roll(Roll::Csk, &policy.policy).unwrap();
        assert_eq!(wants[0].algorithm, Algorithm::EcdsaP256Sha256);
        add_keys(&zone, &mut held, &wants, crate::publish::now()).unwrap();
        zone.write_memory(&held.memory, &policy.policy).unwrap();
    }
    keeper.wake();
    let (apex, keyring) = handed.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!((apex, keyring.dnskeys().count()), (self::apex(), 2));
    // Everything lost: what is in force stays, and no new key is made.
    fs::remove_dir_all(zone.directory()).unwrap();
    keeper.wake();
    assert!(handed.recv_timeout(Duration::from_millis(500)).is_err());
    assert!(!zone.directory().exists());
    keeper.stop();
}

#[test]
fn keys_that_can_be_read_sign_where_nothing_can_be_written() {
    let scratch = tempfile::tempdir().unwrap();
    let mut loaded = loaded(scratch.path(), "");
    let store = Store::new(&scratch.path().join("keys"));
    let zone = store.zone(&apex());
    let first = turn(&zone, &Signed::of(&loaded).unwrap(), None, NOW).unwrap();
    fs::remove_file(zone.directory().join("lock")).unwrap();
    fs::create_dir(zone.directory().join("lock")).unwrap();
    assert!(turn(&zone, &Signed::of(&loaded).unwrap(), None, NOW).is_err());
    let keyrings = Keeper::new(store, None).learn([&mut loaded].into_iter());
    assert_eq!(keyrings, [(apex(), first.keyring)]);
}

#[test]
fn a_zone_whose_keys_are_broken_has_none_until_they_are_there() {
    let scratch = tempfile::tempdir().unwrap();
    let mut loaded = loaded(scratch.path(), "");
    let store = Store::new(&scratch.path().join("keys"));
    let state = store.zone(&apex()).directory().join("state.json");
    fs::create_dir_all(state.parent().unwrap()).unwrap();
    fs::write(&state, "{}").unwrap();
    let keeper = Arc::new(Keeper::new(store, None));
    assert!(keeper.learn([&mut loaded].into_iter()).is_empty());
    // Until they are there.
    let handed = keep(&keeper);
    fs::remove_file(&state).unwrap();
    keeper.wake();
    let (zone, keyring) = handed.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!((zone, keyring.dnskeys().count()), (apex(), 1));
    keeper.stop();
}

#[test]
fn check_tells_of_signatures_that_end_before_caches_and_secondaries_do() {
    let scratch = tempfile::tempdir().unwrap();
    let loaded = loaded(scratch.path(), "");
    turn(&Store::new(&scratch.path().join("keys")).zone(&apex()), &Signed::of(&loaded).unwrap(), None, NOW)
        .unwrap();
    let told = || {
        let offline = read_once(&scratch.path().join("waypost.toml"));
        check(&offline).iter().map(|found| found.message.clone()).collect::<Vec<_>>()
    };
    assert!(told().is_empty(), "{:?}", told());
    let zone =
        "@ 300 IN SOA ns hostmaster 1 3600 600 2592000 60\n@ 900 IN NS ns\nns 864000 IN A 192.0.2.53\n";
    fs::write(scratch.path().join("zones/example.com.zone"), zone).unwrap();
    let told = told();
    assert!(told[0].contains("a TTL of 864000 is longer than signatures hold"), "{told:?}");
    assert!(told[1].contains("SOA EXPIRE 2592000 is longer than signatures hold"), "{told:?}");
}
