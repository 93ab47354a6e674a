//! Addresses of targets that are host names, asked for once: files alone don't have them.

use super::Failure;
use crate::load::Offline;
use crate::resolve::look_up;
use crate::route::{Addresses, Resolved};

/// Resolves the names of all targets. What doesn't resolve is told, and its targets have no
/// address then.
pub(super) fn resolved(offline: &[&Offline]) -> Result<Resolved, Failure> {
    let servers = offline.iter().rev().find_map(|one| one.server.as_ref());
    let servers = servers.map_or_else(Vec::new, |server| server.resolvers.clone());
    let zones = offline.iter().flat_map(|one| &one.zones);
    let names = zones.flat_map(|(_, loaded)| loaded.config.routing.names_to_resolve().cloned());
    let mut resolved: Resolved = names.map(|name| (name, Addresses::default())).collect();
    if resolved.is_empty() {
        return Ok(resolved);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for (name, addresses) in &mut resolved {
            let (resolution, _) = look_up(name, &servers).await;
            let (found, trouble) = resolution.after(addresses);
            *addresses = found;
            if let Some(why) = trouble {
                eprintln!("{name} doesn't resolve: {why}");
            }
        }
    });
    Ok(resolved)
}
