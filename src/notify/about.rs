//! Whom an event is about, in words that receivers can be chosen by.

use serde::{Deserialize, Serialize};

use crate::model::Model;
use crate::model::event::Event;
use crate::wire::name::Name;

/// Zone, target and site, where an event has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<String>,
}

impl About {
    /// From an event's subject, and the site that its target stands in.
    pub(super) fn of(event: &Event, model: &Model) -> About {
        let Some(subject) = event.subject.as_deref() else { return About::default() };
        if let Some(site) = subject.strip_prefix("site ") {
            return About { site: Some(site.to_owned()), ..About::default() };
        }
        // A zone's name ends with a dot, and may have a slash itself (RFC 2317).
        let Some((zone, target)) = subject.split_once("./") else {
            return About { zone: Some(subject.to_owned()), ..About::default() };
        };
        // Behind the target's name may stand the address that died.
        let target = target.split(' ').next().unwrap_or(target);
        let zone = format!("{zone}.");
        let site = Name::parse(&zone, None).ok().and_then(|apex| site_of(model, &apex, target));
        About { zone: Some(zone), target: Some(target.to_owned()), site }
    }
}

/// The site that a target stands in.
pub(super) fn site_of(model: &Model, zone: &Name, target: &str) -> Option<String> {
    let zone = model.zones.get(zone)?;
    let named = |known: &&crate::route::Target| known.name == target;
    zone.routing.targets.iter().find(named)?.site.clone()
}
