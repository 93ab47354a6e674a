//! What is alive: the state machine of a target's address, and the view that routing reads.
//!
//! Pure: probe results and time come in as values.

pub mod pace;
pub mod standing;
pub mod tick;

pub use pace::Pace;
pub use standing::{Desired, Standing, State};
pub use tick::Tick;
