//! `--assume tw=down`: rehearses what isn't so.

use std::str::FromStr;

use super::Failure;
use crate::diagnostic::did_you_mean;
use crate::health::Desired;
use crate::load::Offline;
use crate::route::Routing;

/// A site or target, and what it is taken for.
#[derive(Clone, Debug)]
pub(super) struct Assumption {
    name: String,
    desired: Desired,
}

impl FromStr for Assumption {
    type Err = String;

    fn from_str(text: &str) -> Result<Assumption, String> {
        let desired = match text.split_once('=') {
            Some((_, "up")) => Desired::Up,
            Some((_, "down")) => Desired::Down,
            Some((_, "drained")) => Desired::Drained,
            _ => return Err("write SITE=down or TARGET=down; also up and drained".to_owned()),
        };
        let name = text.split('=').next().unwrap_or_default().to_owned();
        Ok(Assumption { name, desired })
    }
}

impl Assumption {
    /// Makes it so for a zone's targets.
    pub(super) fn apply(&self, routing: &mut Routing) {
        for target in &mut routing.targets {
            if target.name == self.name || target.site.as_deref() == Some(self.name.as_str()) {
                target.desired = self.desired;
            }
        }
    }
}

/// Refuses assumptions about what isn't there: they would rehearse nothing.
pub(super) fn check(assumptions: &[Assumption], offline: &Offline) -> Result<(), Failure> {
    let targets = || offline.zones.iter().flat_map(|(_, loaded)| &loaded.config.routing.targets);
    let known: Vec<&str> =
        targets().flat_map(|target| target.site.iter().chain([&target.name])).map(String::as_str).collect();
    for Assumption { name, .. } in assumptions {
        if !known.contains(&name.as_str()) {
            let help = did_you_mean(name, known.iter().copied()).unwrap_or_default();
            return Err(Failure::Message(format!("there is no site or target \"{name}\"; {help}")));
        }
    }
    Ok(())
}
