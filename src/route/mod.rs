//! How names move: targets, tiers and routes, and the decision which targets a region gets now.
//!
//! Pure: a route, a region and the standing of targets go in, a decision with its trail comes out.

pub mod model;

pub use model::{Failback, Family, Kind, Member, Route, Routing, Target, TargetId, Tier, Ttl};
