//! Keys on the disk, and whoever lets them go on: files, clock and the parent's nameservers around
//! the machine of `dnssec::rollover`.
//!
//! ```text
//! keys/example.com/Kexample.com.+013+12345.key, .private     as BIND writes them
//! keys/example.com/state.json                               where each key is on its way
//!
//! store   files of a zone        turn     read, step, write: one zone, one moment
//! check   what of it is odd          first    whether a zone without keys may get some
//! parent  DS as the parent's nameservers have it            keeper   a thread that takes turns
//! ```

mod check;
mod first;
mod keeper;
mod parent;
mod store;
#[cfg(test)]
mod tests;
mod turn;

pub use check::{check, check_parent};
pub use first::{Witness, may_begin};
pub use keeper::{Keeper, News};
pub use parent::{ParentError, ask_parent};
pub use store::{Held, Store, StoreError, ZoneStore};
pub(crate) use store::{id, read_pair, role};
pub use turn::{Signed, Turn, add_keys, keyring, standing, turn};
