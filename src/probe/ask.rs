//! One probe from its connection to its report.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use tokio::time::Instant;

use super::dial::Deadline;
use super::evidence::{Failure, printable};
use super::{Check, ProberOptions, Spec, Trust, dial, http, imap, smtp, tls};
use crate::health::{Outcome, Report};

/// What all probes share: whom they trust and where they connect to.
#[derive(Clone, Debug)]
pub struct Asker {
    trust: Trust,
    redirect: HashMap<SocketAddr, SocketAddr>,
    own_name: Option<String>,
}

impl Asker {
    /// Reads the system's trust store, once.
    #[must_use]
    pub fn new(options: &ProberOptions) -> Asker {
        Asker {
            trust: Trust::new(&options.extra_roots),
            redirect: options.redirect.clone(),
            own_name: options.own_name.clone(),
        }
    }

    /// Probes an address once. Ends within the pace's time-out.
    pub async fn ask(&self, address: IpAddr, spec: &Spec) -> Report {
        let started = Instant::now();
        let deadline = Deadline::new(started, spec.pace.timeout);
        let seen = self.check(address, &spec.check, deadline).await;
        let latency = started.elapsed();
        let (outcome, evidence) = match seen {
            Ok(evidence) => (Outcome::Healthy, evidence),
            Err(Failure(evidence)) => (Outcome::Failed, evidence),
        };
        Report { outcome, latency, evidence: printable(&evidence) }
    }

    async fn check(&self, address: IpAddr, check: &Check, deadline: Deadline) -> Result<String, Failure> {
        match check {
            Check::Http(http) => {
                http::ask(self.destination(address, http.port), http, &self.trust, deadline).await
            }
            Check::Tcp { port } => {
                dial::connect(self.destination(address, *port), deadline).await?;
                Ok("connected".to_owned())
            }
            Check::Tls { port, tls } => {
                let stream = dial::connect(self.destination(address, *port), deadline).await?;
                tls::ask(stream, tls, &self.trust, deadline).await
            }
            Check::Smtp { port, ehlo, starttls } => {
                let stream = dial::connect(self.destination(address, *port), deadline).await?;
                let name = ehlo.as_ref().or(self.own_name.as_ref());
                smtp::ask(stream, name.map(String::as_str), starttls.as_ref(), &self.trust, deadline).await
            }
            Check::Imap { port, tls } => {
                let stream = dial::connect(self.destination(address, *port), deadline).await?;
                match tls {
                    Some(tls) => imap::ask(self.trust.connect(stream, tls, deadline).await?, deadline).await,
                    None => imap::ask(stream, deadline).await,
                }
            }
        }
    }

    fn destination(&self, address: IpAddr, port: u16) -> SocketAddr {
        let named = SocketAddr::new(address, port);
        self.redirect.get(&named).copied().unwrap_or(named)
    }
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
