//! Regions' rules, network lists, geofeeds and the database, as one table.

use std::sync::Arc;

use super::read_text;
use super::stamp::Recorder;
use crate::config::server::Server;
use crate::diagnostic::Diagnostic;
use crate::geo::build::{build, unmatched};
use crate::geo::mmdb::Database;
use crate::geo::networks::{read_geofeed, read_list};
use crate::model::Geography;

/// Reads everything that places clients. All or nothing: half a geography sends clients astray.
pub(super) fn read(
    server: &Server,
    config: &std::path::Path,
    recorder: &Recorder,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Geography, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut rules = server.rules.clone();
    for (region, path) in &server.network_files {
        match read_text(recorder, path) {
            Ok(text) => {
                let read = read_list(path, &text);
                errors.extend(read.diagnostics);
                let rule = usize::from(region.0).checked_sub(1).and_then(|at| rules.regions.get_mut(at));
                if let Some(rule) = rule {
                    rule.networks.extend(read.entries);
                }
            }
            Err(more) => errors.extend(more),
        }
    }
    let mut feeds = Vec::new();
    for path in &server.geofeeds {
        match read_text(recorder, path) {
            Ok(text) => {
                let read = read_geofeed(path, &text);
                errors.extend(read.diagnostics);
                feeds.extend(read.entries);
            }
            Err(more) => errors.extend(more),
        }
    }
    let database = match &server.database {
        Some(path) => match recorder.read_if_there(path) {
            Ok(Some(content)) => match Database::open(content.to_vec(), &rules.keys) {
                Ok(database) => Some(database),
                Err(error) => {
                    errors.push(Diagnostic::error(path, error.to_string()));
                    None
                }
            },
            Ok(None) => {
                let help = "geoip/README.md says where to get one; or take `database` out of [geoip]";
                errors.push(Diagnostic::error(path, "there is no such database").help(help));
                None
            }
            Err(error) => {
                errors.push(Diagnostic::error(path, format!("cannot be read: {error}")));
                None
            }
        },
        None => None,
    };
    if errors.iter().any(Diagnostic::is_error) {
        return Err(errors);
    }
    warnings.extend(errors);
    for conflict in rules.conflicts() {
        let (first, second) = (rules.name(conflict.first), rules.name(conflict.second));
        let claimed = &conflict.claimed;
        let message = format!("regions {first} and {second} both claim {claimed}; {first} gets it");
        warnings.push(Diagnostic::warning(config, message));
    }
    if let (Some(database), Some(path)) = (&database, &server.database) {
        for (region, key) in unmatched(&rules, database) {
            let region = rules.name(region);
            warnings.push(Diagnostic::warning(path, format!("has nothing for {key} of region {region}")));
        }
    }
    let table = Arc::new(build(&rules, &feeds, database.as_ref()));
    Ok(Geography { table, rules, feeds, database })
}
