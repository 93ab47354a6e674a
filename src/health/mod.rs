//! What is alive: the state machine of a target's address, and the view that routing reads.
//!
//! ```text
//! report -> board -> machine (one probe, one address) -> state of the subject -> needs -> standing -> route
//! ```
//!
//! Pure: probe results and time come in as values.

pub mod board;
mod damping;
pub mod doubt;
pub mod machine;
pub mod memory;
pub mod needs;
pub mod order;
pub mod pace;
pub mod pushed;
pub mod silence;
pub mod standing;
pub mod subject;
pub mod tick;

pub use board::{Board, Observed, ProbeRow, Row, SubjectId, Watched};
pub use machine::Machine;
pub use memory::Saved;
pub use needs::NeedNews;
pub use order::{Order, Orders, Scope};
pub use pace::Pace;
pub use pushed::Pushed;
pub use silence::Believed;
pub use standing::{Desired, Need, Standing, State};
pub use subject::{Contact, Outcome, ProbeKey, Refusal, Report, Seen, Subject, Transition};
pub use tick::Tick;
