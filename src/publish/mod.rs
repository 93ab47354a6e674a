//! The single writer: it owns the model, takes changes from one queue, compiles and publishes.
//!
//! ```text
//! files changed --+
//! probe reported --+--> queue --> Writer { zones, slots, status } --> snapshot --> workers
//! operator said --+                                             \--> prober, state, log
//! ```
//!
//! Nothing else writes what queries read. Whoever sends a change waits for nothing but a place in
//! the queue; whoever answers queries waits for nothing at all.

mod inspect;
mod memory;
mod rehearsal;
#[cfg(test)]
mod signed_tests;
mod slots;
mod status;
mod writer;
mod zones;

pub use rehearsal::rehearsal;
pub use status::{Event, Status, ZoneStatus};
pub use writer::{Change, Control, Start, StartError, now, start};
