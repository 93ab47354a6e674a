//! Who is told, of what, and how: one `[[notify]]` of the configuration.

use std::io;
use std::path::PathBuf;

use super::about::About;
use super::template::Template;
use crate::model::severity::Severity;

/// One receiver of notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name, which its queue, metrics and log lines have.
    pub name: String,
    /// What it speaks, and where it is.
    pub channel: Channel,
    /// Severities that it is told of.
    pub severities: Vec<Severity>,
    /// Zones that it is told of; empty: all.
    pub zones: Vec<String>,
    /// Sites that it is told of; empty: all.
    pub sites: Vec<String>,
    /// What titles and texts say.
    pub template: Template,
}

/// What a receiver speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// JSON, signed if there is a secret.
    Webhook {
        /// Where.
        endpoint: Endpoint,
        /// The file with the secret that bodies are signed with.
        secret: Option<PathBuf>,
    },
    /// An incoming webhook of Slack, or of what understands the same.
    Slack(Endpoint),
    /// A workflow of Microsoft Teams that takes Adaptive Cards.
    Teams(Endpoint),
    /// An Alertmanager, version 2 of its API.
    Alertmanager(Endpoint),
    /// Mail by submission.
    Email(Email),
}

/// Where HTTP goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its URL.
    pub url: Url,
    /// What is put behind that: the part that an API prescribes.
    pub path: &'static str,
    /// A file of certificates that are trusted beside the system's (PEM).
    pub ca: Option<PathBuf>,
}

/// A URL, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Url {
    /// In the configuration.
    Given(String),
    /// Alone in a file, read whenever something is sent.
    File(PathBuf),
}

/// How mail is handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// The submission server: a host name, which its certificate must have.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// When TLS begins.
    pub encryption: Encryption,
    /// The user, and the file with the password.
    pub login: Option<(String, PathBuf)>,
    /// Whom mail is from.
    pub from: String,
    /// Whom it goes to.
    pub to: Vec<String>,
    /// A file of certificates that are trusted beside the system's (PEM).
    pub ca: Option<PathBuf>,
}

/// When TLS of a submission begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// By STARTTLS, without which nothing is sent (RFC 6409).
    StartTls,
    /// At once (RFC 8314 3.3).
    Implicit,
    /// Never: for a server on the same machine.
    None,
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // A URL of Slack or Teams is all that it takes to write there.
            Url::Given(_) => f.write_str("Given(..)"),
            Url::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Url {
    /// The URL as it is now.
    ///
    /// # Errors
    /// When its file can't be read.
    pub(super) fn read(&self) -> io::Result<String> {
        match self {
            Url::Given(url) => Ok(url.clone()),
            Url::File(path) => read_secret(path),
        }
    }
}

/// What a file holds, without the line's end that editors put behind it.
///
/// # Errors
/// When it can't be read, with its path.
pub(super) fn read_secret(path: &std::path::Path) -> io::Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(text.trim().to_owned())
}

impl Receiver {
    /// Whether it wants to hear of something. What is about the whole server concerns every zone
    /// and site.
    pub(super) fn wants(&self, severity: Severity, about: &About) -> bool {
        let is_zone = |zone: &String| self.zones.iter().any(|wanted| wanted.eq_ignore_ascii_case(zone));
        let has_zone = self.zones.is_empty() || about.zone.as_ref().is_none_or(is_zone);
        let has_site =
            self.sites.is_empty() || about.site.as_ref().is_none_or(|site| self.sites.contains(site));
        // A target that stands in no site is at none of those that are wanted.
        let has_place = self.sites.is_empty() || about.site.is_some() || about.target.is_none();
        self.severities.contains(&severity) && has_zone && has_site && has_place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_whole_server_concerns_all() {
        let url = Url::Given("https://chat.example.com/hook".to_owned());
        let receiver = Receiver {
            name: "ops".to_owned(),
            channel: Channel::Slack(Endpoint { url, path: "", ca: None }),
            severities: vec![Severity::Critical],
            zones: vec!["example.com.".to_owned()],
            sites: vec!["tw".to_owned()],
            template: Template::default(),
        };
        let about = |zone: Option<&str>, target: Option<&str>, site: Option<&str>| About {
            zone: zone.map(str::to_owned),
            target: target.map(str::to_owned),
            site: site.map(str::to_owned),
        };
        let wants = |about: &About| receiver.wants(Severity::Critical, about);
        assert!(wants(&about(Some("Example.com."), Some("web"), Some("tw"))));
        assert!(wants(&about(None, None, None)) && wants(&about(Some("example.com."), None, None)));
        assert!(!wants(&about(Some("example.net."), Some("web"), Some("tw"))));
        assert!(!wants(&about(Some("example.com."), Some("web"), Some("my"))));
        assert!(!wants(&about(Some("example.com."), Some("web"), None)));
        assert!(!receiver.wants(Severity::Info, &about(None, None, None)));
        assert!(!format!("{receiver:?}").contains("chat.example.com"));
    }
}
