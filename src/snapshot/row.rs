//! Places of counters: which zone or region a query is counted under.

/// A row of counters. Workers have as many rows as [`crate::limits`] says, so that counting never
/// allocates; what has no row of its own is counted with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row(pub u16);

impl Row {
    /// Of queries that no zone here answers.
    pub const NONE: Row = Row(0);
    /// Of all that have none of their own.
    pub const OTHERS: Row = Row(1);
    /// The first that is given to somebody.
    pub const FIRST: Row = Row(2);
}
