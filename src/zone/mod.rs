//! A zone's records: read from RFC 1035 files with positions, checked, kept compactly, compared.
//!
//! ```text
//! scan   tokens with positions       fields  RDATA's fields     rdata, loc, svcb, ttl, base64  fields -> wire form
//! load   directives, owners, TTLs    store   the zone itself    check   what records must not be
//! diff   which owners differ         text    RDATA for people     write   a zone as a zone file
//! ```

mod base64;
mod check;
mod diff;
mod fields;
mod load;
mod loc;
mod rdata;
#[cfg(test)]
mod round_trip_tests;
mod scan;
mod store;
mod svcb;
#[cfg(test)]
mod tests;
mod text;
mod ttl;
mod write;

pub use diff::diff;
pub use load::{Files, Loaded, load};
pub use store::{Owner, Rrset, Soa, Zone};
pub use text::rdata_text;
pub use write::write;
