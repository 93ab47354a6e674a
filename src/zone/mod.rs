//! A zone's records: read from RFC 1035 files with positions, checked, kept compactly, compared.
//!
//! ```text
//! scan   tokens with positions          rdata  tokens -> wire form        loc, ttl  their parts
//! load   directives, owners, TTLs       store  the zone itself            check     what records must not be
//! diff   which owners differ            text   RDATA for people
//! ```

mod check;
mod diff;
mod load;
mod loc;
mod rdata;
mod scan;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod ttl;

pub use diff::diff;
pub use load::{Files, Loaded, load};
pub use store::{Owner, Rrset, Soa, Zone};
pub use text::rdata_text;
