//! Writes bundles, on a thread of its own: the writer waits for no disk, and a large zone takes a
//! while.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::{path, replace};
use crate::compile::signer::Signer;
use crate::dnssec::bundle::Bundle;
use crate::limits::BUNDLE_PAUSE;
use crate::publish::now;
use crate::wire::name::Name;

/// Takes what bundles are made of.
#[derive(Clone, Debug)]
pub struct Bindery {
    orders: Sender<Order>,
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
        let directory = directory.to_owned();
        std::thread::Builder::new().name("bundles".into()).spawn(move || run(&directory, &waiting))?;
        Ok(Bindery { orders })
    }

    /// Has a zone's signatures written as they are soon. Of several orders for a zone the last counts.
    pub fn write(&self, signer: Arc<Signer>, serial: u32) {
        // The thread ends only when nobody can order.
        let _ = self.orders.send((signer, serial));
    }
}

fn run(directory: &Path, waiting: &Receiver<Order>) {
    // When each zone's newest bundle was made.
    let mut made: BTreeMap<Name, u64> = BTreeMap::new();
    while let Ok(first) = waiting.recv() {
        let latest: BTreeMap<Name, Order> = [first]
            .into_iter()
            .chain(waiting.try_iter())
            .map(|order| (order.0.keyring().apex().clone(), order))
            .collect();
        let started = Instant::now();
        for (apex, order) in latest {
            let last = made.get(&apex).copied().unwrap_or_else(|| made_before(directory, &apex));
            // A clock that was set back must not make bundles that are taken for old ones.
            let now = now().0.max(last + 1);
            made.insert(apex.clone(), now);
            bind(directory, &apex, &order, now);
        }
        std::thread::sleep(pause(started.elapsed()));
    }
}

fn bind(directory: &Path, apex: &Name, (signer, serial): &Order, made: u64) {
    let Some(octets) = signer.to_bundle(*serial, made) else {
        tracing::error!(kind = "bundle", zone = %apex, "no bundle is written: no key seals it");
        return;
    };
    match replace(directory, apex, &octets) {
        Ok(()) => tracing::info!(kind = "bundle", zone = %apex, serial, "bundle written"),
        Err(error) => {
            let file: PathBuf = path(directory, apex);
            let file = file.display();
            tracing::error!(kind = "bundle", zone = %apex, %error, %file, "the bundle can't be written: edges keep the one before");
        }
    }
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
    fn a_clock_that_was_set_back_makes_no_bundle_that_is_taken_for_an_old_one() {
        let scratch = tempfile::tempdir().unwrap();
        let apex = Name::parse("example.", None).unwrap();
        let signer = Arc::new(Signer::new(keyring(&apex), Denial::Nsec, None));
        let keys: Vec<&[u8]> = signer.keyring().dnskeys().collect();
        let _ = signer.sign(apex.as_wire(), Rtype::DNSKEY, 3600, &keys, now().0 / 1000);
        // Made by a clock an hour ahead.
        let ahead = now().0 + 3_600_000;
        bind(scratch.path(), &apex, &(Arc::clone(&signer), 1), ahead);
        let bindery = Bindery::start(scratch.path()).unwrap();
        let made = || made_before(scratch.path(), &apex);
        bindery.write(signer, 2);
        let started = Instant::now();
        while made() == ahead {
            assert!(started.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(made(), ahead + 1);
    }
}
