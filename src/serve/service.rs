//! What the transports ask of the data plane.

use crate::answer::{Answered, Client};
use crate::wire::query::LowerName;

/// Answers queries. Each worker has its own clone; calls are resolved when compiling.
pub trait Service: Clone + Send + Sync + 'static {
    /// What is held while a batch is answered: a guard of the published snapshot.
    type Batch<'a>;
    /// A query that was read, and not yet answered.
    type Prepared<'b>;

    /// Begins a batch. Called once for all that one read of a socket brought.
    fn begin(&self) -> Self::Batch<'_>;

    /// Reads a query. `name` is memory for its name.
    fn prepare<'b>(
        batch: &'b Self::Batch<'_>,
        query: &'b [u8],
        name: &'b mut LowerName,
    ) -> Self::Prepared<'b>;

    /// Brings into the processor's cache what answering needs, for several queries together.
    /// Answers are the same without it.
    fn fetch<'p, 'b: 'p>(prepared: impl Iterator<Item = &'p Self::Prepared<'b>> + Clone)
    where
        Self::Prepared<'b>: 'p;

    /// Writes the response into `out`, whose length is the most that the transport takes.
    fn answer(prepared: &Self::Prepared<'_>, client: &Client, out: &mut [u8]) -> Answered;
}
