//! One probe from its connection to its report.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use hyper::header::HeaderValue;
use tokio::time::Instant;

use super::dial::{Deadline, Dialer};
use super::evidence::{Failure, Seen, printable};
use super::http::Client;
use super::manners::USER_AGENT;
use super::tripwire::{Kind, Wire};
use super::{Check, ProberOptions, Spec, Trust, dns, exec, file, http, icmp, mail, prometheus, tls};
use crate::health::{Contact, Outcome, Report};

/// What all probes share: whom they trust, who they are, and where they connect to.
#[derive(Clone, Debug)]
pub struct Asker {
    trust: Trust,
    redirect: HashMap<SocketAddr, SocketAddr>,
    dialer: Dialer,
    ehlo: Option<String>,
    user_agent: HeaderValue,
    /// Tells answers to earlier questions from those to this one.
    questions: Arc<AtomicU16>,
    /// Files that were read.
    ages: Arc<file::Ages>,
}

/// A report, and whether the target's own kernel refused.
pub(super) struct Answer {
    pub(super) report: Report,
    pub(super) is_refused: bool,
}

impl Asker {
    /// Reads the system's trust store, once.
    #[must_use]
    pub fn new(options: &ProberOptions) -> Asker {
        let manners = &options.manners;
        let named = manners.user_agent.as_deref().and_then(|name| HeaderValue::from_str(name).ok());
        Asker {
            trust: Trust::new(&options.extra_roots),
            redirect: options.redirect.clone(),
            dialer: Dialer { ipv4: manners.source_ipv4, ipv6: manners.source_ipv6 },
            ehlo: manners.ehlo.clone(),
            user_agent: named.unwrap_or(HeaderValue::from_static(USER_AGENT)),
            questions: Arc::default(),
            ages: Arc::default(),
        }
    }

    /// Probes an address of a target once. Ends within the pace's time-out.
    pub async fn ask(&self, address: IpAddr, target: &str, spec: &Spec) -> Report {
        let deadline = Deadline::new(Instant::now(), spec.pace.timeout);
        self.ask_until(address, target, spec, deadline).await.report
    }

    pub(super) async fn ask_until(
        &self,
        address: IpAddr,
        target: &str,
        spec: &Spec,
        deadline: Deadline,
    ) -> Answer {
        let started = Instant::now();
        let seen = self.check(address, target, &spec.check, deadline).await;
        let latency = started.elapsed();
        let is_refused = seen.as_ref().is_err_and(|failure| failure.refused);
        let contact = match (&spec.check, &seen) {
            (Check::Exec(_) | Check::File(_) | Check::Push(_), _) => Contact::Local,
            (_, Err(failure)) if failure.unreachable || deadline.is_over() => Contact::Silent,
            _ => Contact::Answered,
        };
        let (outcome, evidence, figures) = match seen {
            Ok(Seen { evidence, figures }) => (Outcome::Healthy, evidence, figures),
            Err(Failure { evidence, blocked, figures, .. }) => {
                (if blocked { Outcome::Blocked } else { Outcome::Failed }, evidence, figures)
            }
        };
        let report = Report { outcome, contact, latency, evidence: printable(&evidence), figures };
        Answer { report, is_refused }
    }

    async fn check(
        &self,
        address: IpAddr,
        target: &str,
        check: &Check,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let to = |port| self.destination(address, port);
        let dialer = &self.dialer;
        match check {
            Check::Http(http) => http::ask(self.client(deadline), http, to).await,
            Check::Prometheus(wanted) => {
                prometheus::ask(self.client(deadline), wanted, to(wanted.page.port)).await
            }
            Check::Tcp { port } => {
                dialer.connect(to(*port), deadline).await?;
                Ok(Seen::new("connected"))
            }
            Check::Tls { port, tls } => {
                let stream = dialer.connect(to(*port), deadline).await?;
                tls::ask(stream, tls, &self.trust, deadline).await
            }
            Check::Mail(mail) => {
                let stream = dialer.connect(to(mail.port), deadline).await?;
                let name = mail.ehlo.as_deref().or(self.ehlo.as_deref());
                mail::ask(stream, mail, name, &self.trust, deadline).await
            }
            Check::Dns(dns) => dns::ask(to(dns.port), dns, self.question(), dialer, deadline).await,
            Check::Icmp => icmp::ask(address, self.question(), dialer, deadline).await,
            Check::Exec(exec) => exec::ask(exec, address, target, deadline).await,
            // A prober that runs knows what it was told; a single question can't.
            Check::Push(_) => Err(Failure::blocked("told to a running server, and not asked for")),
            Check::File(check) => {
                let path = check.path.replace("{address}", &address.to_string()).replace("{target}", target);
                file::ask(path.into(), check, &self.ages, deadline).await
            }
        }
    }

    /// The idle connection that suits a job, if its probe wants one.
    pub(super) fn wire(&self, address: IpAddr, spec: &Spec) -> Option<Wire> {
        if !spec.tripwire.unwrap_or(Kind::is_usual(&spec.check)) {
            return None;
        }
        let (kind, port) = Kind::of(&spec.check)?;
        Some(Wire {
            to: self.destination(address, port),
            kind,
            dialer: self.dialer,
            trust: self.trust.clone(),
            user_agent: self.user_agent.clone(),
        })
    }

    fn client(&self, deadline: Deadline) -> Client<'_> {
        Client { dialer: &self.dialer, trust: &self.trust, user_agent: &self.user_agent, deadline }
    }

    fn question(&self) -> u16 {
        self.questions.fetch_add(1, Ordering::Relaxed)
    }

    fn destination(&self, address: IpAddr, port: u16) -> SocketAddr {
        let named = SocketAddr::new(address, port);
        self.redirect.get(&named).copied().unwrap_or(named)
    }
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
