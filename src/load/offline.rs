//! Everything read once, without a server: for `check`, `explain` and `plan`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::across::across;
use super::{LoadedZone, Loader, ZoneFiles};
use crate::config::server::Server;
use crate::diagnostic::Diagnostic;
use crate::model::{Geography, Model, ZoneModel};
use crate::route::Routing;

/// A configuration as files have it.
#[derive(Debug)]
pub struct Offline {
    /// The server's configuration; none if that has errors, and then nothing else was read.
    pub server: Option<Arc<Server>>,
    /// Geography; none if it has errors.
    pub geography: Option<Arc<Geography>>,
    /// Zones without errors.
    pub zones: Vec<(Arc<ZoneFiles>, LoadedZone)>,
    /// Everything that is wrong or odd.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the configuration in a file, and all that it names.
#[must_use]
pub fn read_once(config: &Path) -> Offline {
    let mut loader = Loader::new(config);
    let mut pass = loader.pass();
    let diagnostics = pass.diagnostics().cloned().collect();
    let mut offline = Offline {
        server: loader.server().cloned(),
        geography: pass.geography.take().and_then(Result::ok),
        zones: pass.zones.into_iter().filter_map(|(files, result)| Some((files, result.ok()?))).collect(),
        diagnostics,
    };
    // With zones missing, what others lack says little.
    if let Ok(model) = offline.model(|_| {}) {
        offline.diagnostics.extend(across(&model, &offline.zones));
    }
    offline.diagnostics.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
    offline
}

impl Offline {
    /// Whether anything is wrong.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The model, with each zone's routes changed by `change` first.
    ///
    /// # Errors
    /// All errors, when there are any: a part of a model explains nothing.
    pub fn model(&self, change: impl Fn(&mut Routing)) -> Result<Model, Vec<Diagnostic>> {
        let geography = match &self.geography {
            Some(geography) if !self.has_errors() => Arc::clone(geography),
            _ => return Err(self.diagnostics.iter().filter(|found| found.is_error()).cloned().collect()),
        };
        let zones: BTreeMap<_, _> = self
            .zones
            .iter()
            .map(|(files, loaded)| {
                let mut routing = loaded.config.routing.clone();
                change(&mut routing);
                let zone = Arc::clone(&loaded.zone);
                (files.apex.clone(), Arc::new(ZoneModel { zone, routing: Arc::new(routing) }))
            })
            .collect();
        Ok(Model { geography, zones })
    }
}
