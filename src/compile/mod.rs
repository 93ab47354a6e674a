//! The model's changes as edits of the snapshot: zones become entries, routes become slots.

#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod model_tests;
pub mod routed;
pub mod shape;
pub mod shares;
pub mod sticky;
#[cfg(test)]
mod tests;
pub mod zone;
