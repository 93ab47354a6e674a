//! The model's changes as edits of the snapshot: zones become entries, routes become slots.

mod chain;
pub mod fit;
mod kept;
#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod model_tests;
pub mod outcomes;
pub mod routed;
pub mod shape;
pub mod shares;
#[cfg(test)]
pub(crate) mod signed_tests;
pub mod signer;
pub mod sticky;
#[cfg(test)]
pub(crate) mod tests;
pub mod zone;
