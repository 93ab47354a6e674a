//! How names move: targets, tiers and routes, and the decision which targets a region gets now.
//!
//! Pure: a route, a region and the standing of targets go in, a decision with its trail comes out.
//!
//! ```text
//! model    what the operator said          judge    one target: may it be served, is it waiting
//! chain    address and CNAME: first tier   rank     MX and SRV: the whole set, in order
//! minimum  how much of a tier suffices     addresses  of targets that are host names
//! decide   the door to both                trail    why, in words
//! ```

pub mod addresses;
mod chain;
pub mod decide;
mod judge;
mod minimum;
pub mod model;
mod rank;
pub mod trail;

#[cfg(test)]
mod tests;

pub use addresses::{Addresses, Resolved};
pub use decide::{Alternative, Decision, Pick, Preference, Service, decide, types};
pub use model::{
    Dependency, Failback, Family, Kind, Member, Minimum, Route, Routing, Target, TargetId, Tier, Ttl,
};
pub use trail::{Reason, Step};
