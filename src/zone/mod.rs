//! A zone's records: read from RFC 1035 files with positions, checked, kept compactly, compared.
//!
//! ```text
//! scan   tokens with positions       fields  RDATA's fields     rdata, loc, svcb, ttl, base64  fields -> wire form
//! cut    a text in stretches         read    one stretch: directives, owners, TTLs    state  what lines inherit
//! load   all stretches, in order     builder records -> owners in canonical form      findings  with their places
//! store  the zone itself             index   owners by name     owner   one of them   check  what records must not be
//! check_values   what single records shouldn't say
//! diff   which owners differ         text    RDATA for people     write   a zone as a zone file
//! ```

pub(crate) mod base64;
mod builder;
mod check;
mod check_values;
mod cut;
mod diff;
mod fields;
mod findings;
mod index;
mod load;
mod loc;
mod owner;
mod rdata;
mod read;
#[cfg(test)]
mod round_trip_tests;
mod scan;
mod state;
mod store;
#[cfg(test)]
mod stretch_tests;
mod svcb;
#[cfg(test)]
mod tests;
mod text;
mod ttl;
mod write;

pub use diff::diff;
pub use load::{Files, Loaded, Scratch, load, load_with};
pub use owner::{Owner, Rrset};
pub use store::{Soa, Zone};
pub use text::rdata_text;
pub use write::write;
