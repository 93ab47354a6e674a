//! Keys of signed zones: what they sign with, and how one takes over from another.
//!
//! ```text
//! algorithm  what is signed with         key        one key, its tag and its private half
//! canonical  RRsets as they are signed   signature  RRSIG RDATA, and how long it holds
//! keyring    all keys of a zone at one moment       ds  what the parent has of a key
//! denial     types as bits                           policy    how the operator wants it
//! rollover   how one key takes over from another     outlook   what comes next, in words
//! leaving    how a zone stops being signed           key_file  keys as BIND's files hold them
//! key_file   keys as BIND's files hold them    verify    whether a signature is good
//! bundle     signatures and public keys, for servers without private ones
//! rrsigs     the signatures of one RRset
//! ```

mod algorithm;
pub mod bundle;
#[cfg(test)]
mod bundle_tests;
mod canonical;
mod denial;
mod ds;
mod key;
pub mod key_file;
mod keyring;
pub mod leaving;
mod outlook;
mod policy;
pub mod rollover;
#[cfg(test)]
mod rollover_tests;
mod rrsigs;
mod signature;
#[cfg(test)]
mod signature_tests;
mod verify;

pub use algorithm::Algorithm;
pub use denial::type_bitmap;
pub use ds::{DigestType, ds};
pub use key::{FLAGS_ENTRY, FLAGS_ZONE, KeyError, RsaNumbers, Secret, Signer, SigningKey, key_tag};
pub use keyring::{Content, Keyring, Member};
pub use outlook::Outlook;
pub use policy::{Denial, KeySplit, Policy};
pub use rrsigs::Rrsigs;
pub use signature::{SIGNATURE_LEFT, Validity};
pub use verify::{validity, verifies};
