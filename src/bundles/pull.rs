//! Asks a signer for bundles, again and again, on a thread of its own.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::IF_NONE_MATCH;
use reqwest::redirect::Policy;

use super::{path, replace, tag};
use crate::config::bundles::Pull;
use crate::dnssec::bundle::{Bundle, BundleError};
use crate::limits::{BUNDLE_ANSWER, BUNDLE_OCTETS};
use crate::wire::name::Name;

/// Gets the bundles of signed zones from their signer.
#[derive(Debug)]
pub struct Puller {
    pull: Pull,
    directory: PathBuf,
    client: Client,
    is_stopped: Mutex<bool>,
    change: Condvar,
}

impl Puller {
    /// One that puts what it gets into a directory.
    ///
    /// # Errors
    /// When the system's trust store can't be read.
    pub fn new(pull: Pull, directory: PathBuf) -> io::Result<Arc<Puller>> {
        let client = client(&pull.url).map_err(io::Error::other)?;
        Ok(Arc::new(Puller {
            pull,
            directory,
            client,
            is_stopped: Mutex::new(false),
            change: Condvar::new(),
        }))
    }

    /// Asks once for each of these zones, and tells whether the signer's bundle is here now, or why
    /// not. What can't be had is told in the log.
    pub fn ask(&self, zones: impl Iterator<Item = Name>, told: &dyn Fn(Name, Result<(), String>)) {
        let token = match fs::read_to_string(&self.pull.token) {
            Ok(token) => token,
            Err(error) => {
                let path = self.pull.token.display();
                tracing::error!(kind = "bundle", file = %path, %error, "the token can't be read: no bundle is asked for");
                return zones.for_each(|apex| told(apex, Err(format!("{path} can't be read: {error}"))));
            }
        };
        for apex in zones {
            let came = match self.ask_for(token.trim(), &apex) {
                Ok(Came::Another) => {
                    tracing::info!(kind = "bundle", zone = %apex, "another bundle came");
                    Ok(())
                }
                Ok(Came::Same) => Ok(()),
                // Of a zone that isn't signed there is none; one that lacks it is told by the loader.
                Ok(Came::None) => Err("the signer has no bundle of it".to_owned()),
                Err(error) => {
                    tracing::warn!(kind = "bundle", zone = %apex, %error, "no bundle came from the signer");
                    Err(error.to_string())
                }
            };
            told(apex, came);
        }
    }

    /// Starts the thread, which asks for what `zones` says in intervals, and tells what came of it.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start<Z: Iterator<Item = Name>>(
        self: &Arc<Puller>,
        zones: impl Fn() -> Z + Send + 'static,
        told: impl Fn(Name, Result<(), String>) + Send + 'static,
    ) -> io::Result<()> {
        let puller = Arc::clone(self);
        std::thread::Builder::new().name("pull".into()).spawn(move || {
            loop {
                puller.ask(zones(), &told);
                let stopped = puller.is_stopped.lock().unwrap_or_else(PoisonError::into_inner);
                let waited =
                    puller.change.wait_timeout_while(stopped, puller.pull.interval, |stopped| !*stopped);
                if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                    return;
                }
            }
        })?;
        Ok(())
    }

    /// Ends the thread.
    pub fn stop(&self) {
        *self.is_stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.change.notify_all();
    }

    fn ask_for(&self, token: &str, apex: &Name) -> io::Result<Came> {
        let here = fs::read(path(&self.directory, apex)).ok();
        let name = apex.to_string().replace('/', "\\047");
        let mut request = self.client.get(format!("{}/v1/bundles/{name}", self.pull.url)).bearer_auth(token);
        if let Some(here) = &here {
            request = request.header(IF_NONE_MATCH, tag(here));
        }
        let answer = request.send().map_err(io::Error::other)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(Came::Same),
            StatusCode::NOT_FOUND => return Ok(Came::None),
            other => return Err(io::Error::other(format!("the signer said {other}"))),
        }
        let octets = body(answer)?;
        // What isn't whole takes nobody's place; the loader looks at all the rest.
        let fresh = Bundle::read(apex, &octets).map_err(io::Error::other)?;
        let here = here.and_then(|here| Bundle::read(apex, &here).ok());
        if here.is_some_and(|here| fresh.follows(&here) == Err(BundleError::Older)) {
            return Err(io::Error::other("the signer's bundle is older than the one here"));
        }
        replace(&self.directory, apex, &octets)?;
        Ok(Came::Another)
    }
}

/// What a signer that answers has.
enum Came {
    Another,
    Same,
    None,
}

fn client(url: &str) -> reqwest::Result<Client> {
    // A second one doesn't take the first one's place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().timeout(BUNDLE_ANSWER).redirect(Policy::none());
    // Reading all certificates of the system takes a while.
    if url.starts_with("https:") { builder.build() } else { builder.tls_certs_only([]).build() }
}

fn body(answer: Response) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(answer, BUNDLE_OCTETS + 1), &mut octets)?;
    if octets.len() as u64 > BUNDLE_OCTETS {
        return Err(io::Error::other("the signer's answer doesn't end"));
    }
    Ok(octets)
}
