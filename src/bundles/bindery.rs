//! Writes bundles, on a thread of its own: the writer waits for no disk, and a large zone takes a
//! while.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::{path, replace};
use crate::compile::signer::Signer;
use crate::dnssec::bundle::Bundle;
use crate::limits::{BUNDLE_AGAIN, BUNDLE_KEYS, BUNDLE_PAUSE};
use crate::publish::{Change, Control, now};
use crate::wire::name::Name;

/// Takes what bundles are made of.
#[derive(Clone, Debug)]
pub struct Bindery {
    orders: Sender<Order>,
    written: Written,
    /// Who is told of trouble, from when there is somebody.
    told: Arc<OnceLock<Control>>,
}

/// When the bundle of each zone was made that was written last; milliseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Written(Arc<Mutex<BTreeMap<Name, u64>>>);

impl Written {
    /// All of them, by zone.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Name, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, apex: &Name, made: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(apex.clone(), made);
    }
}

/// What signs a zone, and the zone's serial.
type Order = (Arc<Signer>, u32);

impl Bindery {
    /// Starts the thread, which writes into a directory. It ends with the last of these.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(directory: &Path) -> io::Result<Bindery> {
        let (orders, waiting) = channel();
        let (directory, written, told) = (directory.to_owned(), Written::default(), Arc::default());
        let bindery = Bindery { orders, written: written.clone(), told: Arc::clone(&told) };
        let run = move || run(&directory, &waiting, &written, &told);
        std::thread::Builder::new().name("bundles".into()).spawn(run)?;
        Ok(bindery)
    }

    /// Tells the writer from now on when a bundle can't be written.
    pub fn tell(&self, control: Control) {
        // A server has one writer.
        let _ = self.told.set(control);
    }

    /// What it has written.
    #[must_use]
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Has a zone's signatures written as they are soon. Of several orders for a zone the last counts.
    pub fn write(&self, signer: Arc<Signer>, serial: u32) {
        // The thread ends only when nobody can order.
        let _ = self.orders.send((signer, serial));
    }
}

fn run(directory: &Path, waiting: &Receiver<Order>, written: &Written, told: &OnceLock<Control>) {
    // When each zone's newest bundle was made.
    let mut made: BTreeMap<Name, u64> = BTreeMap::new();
    // What couldn't be written is tried again: the next change may be days away.
    let mut failed: BTreeMap<Name, Order> = BTreeMap::new();
    loop {
        let first = if failed.is_empty() {
            waiting.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            waiting.recv_timeout(BUNDLE_AGAIN)
        };
        let first = match first {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let troubled: BTreeSet<Name> = failed.keys().cloned().collect();
        let new = first.into_iter().chain(waiting.try_iter());
        let mut latest = std::mem::take(&mut failed);
        latest.extend(new.map(|order| (order.0.keyring().apex().clone(), order)));
        let started = Instant::now();
        for (apex, order) in latest {
            let last = made.get(&apex).copied().unwrap_or_else(|| made_before(directory, &apex));
            // A clock that was set back must not make bundles that are taken for old ones.
            let now = now().0.max(last + 1);
            made.insert(apex.clone(), now);
            match bind(directory, &apex, &order, now) {
                Ok(()) => written.set(&apex, now),
                Err(what) => {
                    // The same is told once.
                    if !troubled.contains(&apex) {
                        tracing::error!(kind = "bundle", zone = %apex, "{what}");
                        told.get().map(|control| control.send(Change::Trouble { zone: apex.clone(), what }));
                    }
                    failed.insert(apex, order);
                }
            }
        }
        std::thread::sleep(pause(started.elapsed()));
    }
}

/// Writes a bundle, or says why not.
fn bind(directory: &Path, apex: &Name, (signer, serial): &Order, made: u64) -> Result<(), String> {
    let Some(octets) = signer.to_bundle(*serial, made) else {
        return Err(format!(
            "no bundle is written: no key seals it, or there are more than {BUNDLE_KEYS} keys"
        ));
    };
    replace(directory, apex, &octets).map_err(|error| {
        let path = path(directory, apex);
        format!(
            "the bundle {} can't be written: {error}; edges keep the one before, and know nothing of keys that \
             roll",
            path.display()
        )
    })?;
    tracing::info!(kind = "bundle", zone = %apex, serial, "bundle written");
    Ok(())
}

fn made_before(directory: &Path, apex: &Name) -> u64 {
    let octets = fs::read(path(directory, apex)).ok();
    octets.and_then(|octets| Bundle::read(apex, &octets).ok()).map_or(0, |bundle| bundle.made())
}

fn pause(took: Duration) -> Duration {
    BUNDLE_PAUSE.max(took * 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::signed_tests::keyring;
    use crate::dnssec::Denial;
    use crate::wire::rtype::Rtype;

    #[test]
    fn what_cannot_be_written_leaves_the_one_before_in_its_place_and_is_tried_again() {
        let scratch = tempfile::tempdir().unwrap();
        let apex = Name::parse("example.", None).unwrap();
        let signer = Arc::new(Signer::new(keyring(&apex), Denial::Nsec, None));
        let keys: Vec<&[u8]> = signer.keyring().dnskeys().collect();
        let _ = signer.sign(apex.as_wire(), Rtype::DNSKEY, 3600, &keys, now().0 / 1000);
        let order = (signer, 1);
        bind(scratch.path(), &apex, &order, 1_000).unwrap();
        // Nothing can be written where a directory is, whoever asks.
        let fresh = path(scratch.path(), &apex).with_extension("new");
        fs::create_dir(&fresh).unwrap();
        let told = bind(scratch.path(), &apex, &order, 2_000).unwrap_err();
        assert!(told.contains("example.bundle can't be written"), "{told}");
        assert_eq!(made_before(scratch.path(), &apex), 1_000);
        // It is tried again without another order.
        let bindery = Bindery::start(scratch.path()).unwrap();
        bindery.write(order.0, 2);
        std::thread::sleep(Duration::from_millis(200));
        assert!(bindery.written().all().is_empty());
        fs::remove_dir(&fresh).unwrap();
        let started = Instant::now();
        while made_before(scratch.path(), &apex) == 1_000 {
            assert!(started.elapsed() < BUNDLE_AGAIN + Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_bundle_that_is_taken_for_an_old_one() {
        let scratch = tempfile::tempdir().unwrap();
        let apex = Name::parse("example.", None).unwrap();
        let signer = Arc::new(Signer::new(keyring(&apex), Denial::Nsec, None));
        let keys: Vec<&[u8]> = signer.keyring().dnskeys().collect();
        let _ = signer.sign(apex.as_wire(), Rtype::DNSKEY, 3600, &keys, now().0 / 1000);
        // Made by a clock an hour ahead.
        let ahead = now().0 + 3_600_000;
        bind(scratch.path(), &apex, &(Arc::clone(&signer), 1), ahead).unwrap();
        let bindery = Bindery::start(scratch.path()).unwrap();
        let made = || made_before(scratch.path(), &apex);
        bindery.write(signer, 2);
        let started = Instant::now();
        while made() == ahead {
            assert!(started.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(made(), ahead + 1);
        while bindery.written().all().get(&apex) != Some(&(ahead + 1)) {
            assert!(started.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
