//! The model's changes as edits of the snapshot: zones become entries, routes become slots.

pub mod routed;
pub mod shape;
#[cfg(test)]
mod tests;
pub mod zone;
