//! First keys of a zone. Where there are none a zone is new, or its keys are lost: only the parent
//! can tell, and new keys in the place of those that it knows would make all answers forgeries.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::parent::ask_parent_until;
use super::store::{StoreError, ZoneStore};
use super::turn::Signed;
use crate::dnssec::rollover::Memory;

/// Remembers, away from the keys, which zones the parent had DS of.
#[derive(Clone, Debug)]
pub struct Witness {
    directory: PathBuf,
}

impl Witness {
    /// One that keeps a file for each such zone in a directory, which need not be there yet.
    #[must_use]
    pub fn new(directory: &Path) -> Witness {
        Witness { directory: directory.to_owned() }
    }

    /// Learns from a zone's keys. What the disk doesn't take is not remembered.
    pub fn see(&self, store: &ZoneStore, memory: &Memory) {
        let path = self.path(store);
        let has_seen = memory.ds_ttl > 0;
        if has_seen && !path.exists() {
            let _ = fs::create_dir_all(&self.directory).and_then(|()| fs::write(&path, ""));
        } else if !has_seen && path.exists() {
            let _ = fs::remove_file(&path);
        }
    }

    fn has_seen(&self, store: &ZoneStore) -> bool {
        self.path(store).exists()
    }

    fn path(&self, store: &ZoneStore) -> PathBuf {
        self.directory.join(store.directory().file_name().unwrap_or_default())
    }
}

/// Whether a zone without keys may get new ones.
///
/// A parent that can't be asked says nothing: then it depends on whether a DS was seen before, since
/// a new zone may have no parent that this machine can reach.
///
/// # Errors
/// Why not, and what to do.
pub fn may_begin(
    store: &ZoneStore,
    signed: &Signed,
    witness: Option<&Witness>,
    end: Instant,
) -> Result<(), StoreError> {
    let apex = &signed.apex;
    let why = match ask_parent_until(apex, &signed.policy.parent, &[], end) {
        Ok((said, _)) if !said.has_any => return Ok(()),
        Ok(_) => "the parent has DS".to_owned(),
        Err(error) if witness.is_some_and(|witness| witness.has_seen(store)) => {
            format!("the parent had DS ({error})")
        }
        Err(error) => {
            tracing::info!(kind = "key", zone = %apex, "{error}: no DS was seen before, so the zone counts as a new one");
            return Ok(());
        }
    };
    Err(StoreError {
        path: store.directory().to_owned(),
        message: format!("no keys are here, and {why}: with new ones all answers would count as forged"),
        help: format!(
            "restore the keys from a backup; or have the DS taken out at the parent first; or make new ones \
             all the same by `waypost keys generate --force {apex}`"
        ),
    })
}
