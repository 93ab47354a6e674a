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

mod asked;
mod due;
mod figures;
mod hand;
mod health_document;
mod inspect;
mod journal;
mod loading;
mod names;
mod rehearsal;
mod rows;
#[cfg(test)]
mod signed_tests;
mod signing;
mod slots;
mod status;
mod thread;
mod verdicts;
mod watching;
mod writer;
mod zones;

#[cfg(test)]
mod simulation;

pub use figures::Figures;
pub use hand::{Done, Hand, Refused, Whom, Wish};
pub use health_document::{AddressHealth, HealthDocument, ProbeHealth, Unresolved};
pub use inspect::Inspector;
pub use journal::Journal;
pub use rehearsal::rehearsal;
pub use rows::Rows;
pub use status::{Status, ZoneStatus};
pub use thread::{Control, Start, StartError, now, start};
pub use verdicts::{Alert, Verdict};
pub use writer::Change;
pub use zones::Unpublishable;
