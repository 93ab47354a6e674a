//! The signatures of a zone that is signed elsewhere: taken when they are the zone's, and all there.
//!
//! A zone and its bundle are one. A bundle without signatures of what the zone file has now, or a
//! zone file that is older than the bundle, is an error of the zone, whose last good version stays
//! with the bundle of its time.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::stamp::Recorder;
use super::zone::ZoneFiles;
use crate::compile::fit::{self, Fitted};
use crate::compile::signer::Signer;
use crate::config::bundles::{Bundles, Role};
use crate::config::zone::ZoneConfig;
use crate::diagnostic::Diagnostic;
use crate::dnssec::bundle::{Bundle, BundleError};
use crate::health::tick::short;
use crate::limits::BUNDLE_LEFT;
use crate::publish::now;
use crate::state;
use crate::wire::name::Name;
use crate::zone::Zone;

/// What a server without private keys reads signed zones with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge<'s> {
    bundles: &'s Bundles,
    /// The state directory, which has the bundles that were taken before a restart.
    state: &'s Path,
}

impl<'s> Edge<'s> {
    /// None where zones are signed by keys.
    pub(super) fn of(bundles: Option<&'s Bundles>, state: &'s Path) -> Option<Edge<'s>> {
        bundles.filter(|bundles| bundles.role == Role::Edge).map(|bundles| Edge { bundles, state })
    }

    /// What signs the zone, what was compiled to see that, and warnings; `before` is what signed the last good version.
    pub(super) fn signer(
        self,
        files: &ZoneFiles,
        zone: &Arc<Zone>,
        config: &ZoneConfig,
        before: Option<&Arc<Signer>>,
        recorder: &Recorder,
    ) -> Result<(Arc<Signer>, Fitted, Vec<Diagnostic>), Vec<Diagnostic>> {
        let path = &files.bundle;
        let error = |message: String, help: &str| vec![Diagnostic::error(path, message).help(help)];
        let mut warnings = Vec::new();
        if config.routing.names_to_resolve().next().is_some() {
            let message = "targets with `address_of` can't be served from a bundle".to_owned();
            let help = "write their addresses: the signer can't know what is resolved here";
            return Err(vec![Diagnostic::error(&files.routes, message).help(help)]);
        }
        let octets = match recorder.read_if_there(path) {
            Ok(Some(octets)) => octets,
            Ok(None) => {
                let help = "put the signer's bundle of the zone there; this server has no keys";
                return Err(error("there is no bundle of the zone's signatures".to_owned(), help));
            }
            Err(cause) => return Err(error(format!("cannot be read: {cause}"), "see to the file")),
        };
        let refused = |cause: BundleError| error(cause.to_string(), help(&cause));
        let bundle = Bundle::read(&files.apex, &octets).map_err(refused)?;
        let known = before.and_then(|signer| signer.bundle().cloned());
        let known = known.or_else(|| self.kept(&files.apex).map(Arc::new));
        let anchors = self.bundles.anchors.get(&files.apex.to_lower());
        let is_anchored = |cause| anchors.map_or(Err(cause), |anchors| bundle.is_anchored(anchors));
        match known.map(|known| bundle.follows(&known)) {
            Some(Ok(())) => {}
            Some(Err(BundleError::Stranger)) => is_anchored(BundleError::Stranger).map_err(refused)?,
            Some(Err(cause)) => return Err(refused(cause)),
            None if anchors.is_some() => is_anchored(BundleError::Stranger).map_err(refused)?,
            None => {
                warnings.push(Diagnostic::warning(path, "the bundle's keys are taken at first sight").help(
                    "write their DS under [bundles.anchors], as `waypost keys ds` of the signer has it",
                ))
            }
        }
        let bundle = Arc::new(bundle);
        let signer = Arc::new(Signer::of_bundle(Arc::clone(&bundle), before.map(|before| &**before)));
        let now = now();
        let fitted = fit::fit(zone, &config.routing, &signer, now.0 / 1000).map_err(|lacking| {
            let first = lacking.first.map(|(owner, rtype)| format!("{owner} {rtype}")).unwrap_or_default();
            let more =
                if lacking.count > 1 { format!(" and {} more", lacking.count - 1) } else { String::new() };
            let (serial, signed) = (zone.soa().serial(), bundle.serial());
            let message = format!(
                "no signature of {first}{more} in the bundle, which was made of serial {signed}; \
                 the zone file has {serial}"
            );
            let help = "zone, routes and bundle are taken together, once all three are of one version";
            error(message, help)
        })?;
        let end = signer.earliest_end().unwrap_or(u64::MAX);
        let left = end.saturating_sub(now.0 / 1000);
        if left < BUNDLE_LEFT.as_secs() {
            let left = short(Duration::from_secs(left));
            let message = format!("the first of the bundle's signatures ends in {left}");
            warnings.push(
                Diagnostic::warning(path, message).help("see to the signer, and how bundles come here"),
            );
        }
        Ok((signer, fitted, warnings))
    }

    /// The bundle that was in force before a restart.
    fn kept(self, apex: &Name) -> Option<Bundle> {
        let kept = state::kept_zone(self.state, apex)?;
        Bundle::read(apex, &fs::read(kept.bundle).ok()?).ok()
    }
}

fn help(cause: &BundleError) -> &'static str {
    match cause {
        BundleError::Malformed(_) | BundleError::OtherZone(_) | BundleError::Seal => {
            "have the signer's bundle brought here whole"
        }
        BundleError::Stranger => {
            "if they are the signer's, write their DS under [bundles.anchors], as `waypost keys ds` has it"
        }
        BundleError::Older => "have the newest bundle brought here",
    }
}
