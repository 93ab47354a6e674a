//! Asks a signer for bundles, again and again.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::header::IF_NONE_MATCH;
use reqwest::{Client, Response, StatusCode};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::{path, replace, tag};
use crate::config::bundles::Pull;
use crate::diagnostic::with_causes;
use crate::dnssec::bundle::{Bundle, BundleError};
use crate::http;
use crate::limits::{BUNDLE_ANSWER, BUNDLE_FIRST, BUNDLE_OCTETS, BUNDLE_TIME, BUNDLES_TOGETHER};
use crate::publish::{Change, Control, Status};
use crate::wire::name::Name;

/// Gets the bundles of signed zones from their signer.
#[derive(Debug)]
pub struct Puller {
    pull: Pull,
    directory: PathBuf,
    client: Client,
}

impl Puller {
    /// One that puts what it gets into a directory.
    ///
    /// # Errors
    /// When the URL is none, or TLS isn't to be had.
    pub fn new(pull: Pull, directory: PathBuf) -> io::Result<Arc<Puller>> {
        let url = http::url(&pull.url).ok_or_else(|| io::Error::other(format!("{} is no URL", pull.url)))?;
        let client = http::client(&url, None).map_err(io::Error::other)?;
        let client = client.read_timeout(BUNDLE_ANSWER).timeout(BUNDLE_TIME);
        let client = client.build().map_err(|error| io::Error::other(with_causes(&error)))?;
        Ok(Arc::new(Puller { pull, directory, client }))
    }

    /// Asks once for zones that can't be answered well without. A signer that is silent holds up the
    /// start for a moment, however many zones there are: answers come first.
    pub async fn ask_first(self: &Arc<Puller>, zones: Vec<Name>) {
        if timeout(BUNDLE_FIRST, self.ask(zones, None)).await.is_err() {
            tracing::warn!(
                "not all bundles came from the signer within {BUNDLE_FIRST:?}: what is here is answered, and \
                 it is asked on"
            );
        }
    }

    /// Asks in intervals, and tells the writer what came of it.
    pub async fn run(self: Arc<Puller>, control: Control) {
        loop {
            self.ask(signed_elsewhere(control.status()), Some(&control)).await;
            sleep(self.pull.interval).await;
        }
    }

    /// Asks once for each of these zones, for several at a time. What can't be had is told in the log.
    async fn ask(self: &Arc<Puller>, zones: Vec<Name>, control: Option<&Control>) {
        let of_token = self.pull.token.clone();
        let token = blocking(move || fs::read_to_string(of_token)).await;
        let token = token.map(|token| token.trim().to_owned()).map_err(|error| {
            let path = self.pull.token.display();
            tracing::error!(kind = "bundle", file = %path, %error, "the token can't be read: no bundle is asked for");
            format!("{path} can't be read: {error}")
        });
        let mut asked = JoinSet::new();
        let mut zones = zones.into_iter();
        loop {
            while asked.len() < BUNDLES_TOGETHER
                && let Some(zone) = zones.next()
            {
                let (puller, token) = (Arc::clone(self), token.clone());
                asked.spawn(async move {
                    let answer = match token {
                        Ok(token) => puller.ask_for(&token, &zone).await,
                        Err(error) => Err(error),
                    };
                    (zone, answer)
                });
            }
            let (zone, answer) = match asked.join_next().await {
                Some(Ok(asked)) => asked,
                // That one panicked, and has said so.
                Some(Err(_)) => continue,
                None => return,
            };
            if let Some(control) = control {
                control.tell(Change::Asked { zone, answer }).await;
            }
        }
    }

    /// Whether the signer's bundle is here now, or why not.
    async fn ask_for(&self, token: &str, apex: &Name) -> Result<(), String> {
        match self.get(token, apex).await {
            Ok(Came::Another) => {
                tracing::info!(kind = "bundle", zone = %apex, "another bundle came");
                Ok(())
            }
            Ok(Came::Same) => Ok(()),
            // Of a zone that isn't signed there is none; one that lacks it is told by the loader.
            Ok(Came::None) => Err("the signer has no bundle of it".to_owned()),
            Ok(Came::Unwritten(error)) => {
                let file = path(&self.directory, apex);
                let file = file.display();
                tracing::error!(kind = "bundle", zone = %apex, %file, %error, "a bundle came, and can't be written: the one before stays in force");
                Err(format!("{file} can't be written: {error}"))
            }
            Err(error) => {
                tracing::warn!(kind = "bundle", zone = %apex, %error, "no bundle came from the signer");
                Err(error.to_string())
            }
        }
    }

    async fn get(&self, token: &str, apex: &Name) -> io::Result<Came> {
        let path = path(&self.directory, apex);
        let here = blocking(move || Ok(fs::read(path).ok())).await?;
        let name = apex.to_string().replace('/', "\\047");
        let mut request = self.client.get(format!("{}/v1/bundles/{name}", self.pull.url)).bearer_auth(token);
        if let Some(here) = &here {
            request = request.header(IF_NONE_MATCH, tag(here));
        }
        let answer = request.send().await.map_err(failed)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(Came::Same),
            StatusCode::NOT_FOUND => return Ok(Came::None),
            other => return Err(io::Error::other(format!("the signer said {other}"))),
        }
        let octets = body(answer).await?;
        let (directory, apex) = (self.directory.clone(), apex.clone());
        blocking(move || {
            // What isn't whole takes nobody's place; the loader looks at all the rest.
            let fresh = Bundle::read(&apex, &octets).map_err(io::Error::other)?;
            let here = here.and_then(|here| Bundle::read(&apex, &here).ok());
            if here.is_some_and(|here| fresh.follows(&here) == Err(BundleError::Older)) {
                return Err(io::Error::other("the signer's bundle is older than the one here"));
            }
            Ok(match replace(&directory, &apex, &octets) {
                Ok(()) => Came::Another,
                Err(error) => Came::Unwritten(error),
            })
        })
        .await
    }
}

/// What came of asking a signer that answers.
enum Came {
    Another,
    Same,
    None,
    /// Another one, for which there is no place here.
    Unwritten(io::Error),
}

/// Zones that have a bundle, or may want one.
fn signed_elsewhere(status: &Status) -> Vec<Name> {
    let zones = status.zones();
    let signed = zones.iter().filter(|(_, zone)| zone.signatures_end.is_some() || zone.error.is_some());
    signed.map(|(apex, _)| apex.clone()).collect()
}

/// Work with files, and digests of large ones: not on a thread that probes wait for.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

fn failed(error: reqwest::Error) -> io::Error {
    io::Error::other(with_causes(&error))
}

async fn body(mut answer: Response) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        octets.extend_from_slice(&chunk);
        if octets.len() as u64 > BUNDLE_OCTETS {
            return Err(io::Error::other("the signer's answer doesn't end"));
        }
    }
    Ok(octets)
}
