//! `[[notify]]`: who is told of what happens.

use std::path::{Path, PathBuf};

use super::reader::{Table, Value};
use crate::diagnostic::did_you_mean;
use crate::http;
use crate::model::severity::Severity;
use crate::notify::{
    Channel, Email, Encryption, Endpoint, Mistake, Receiver, Template, Url, Words, is_mailbox,
};
use crate::wire::name::Name;

/// Where an Alertmanager takes alerts.
const ALERTS: &str = "/api/v2/alerts";

/// The names of severities.
const SEVERITIES: [(&str, Severity); 3] =
    [("critical", Severity::Critical), ("warning", Severity::Warning), ("info", Severity::Info)];

/// Characters of a receiver's name, which a directory is called by.
const NAME_CHARACTERS: usize = 64;

#[derive(Clone, Copy)]
enum Type {
    Webhook,
    Slack,
    Teams,
    Alertmanager,
    Email,
}

/// Reads all receivers; paths are relative to `directory`.
pub(super) fn receivers(value: &Value<'_>, directory: &Path) -> Vec<Receiver> {
    let mut receivers: Vec<Receiver> = Vec::new();
    for one in value.list() {
        let Some(table) = one.table() else { continue };
        let name = name(&table, &receivers);
        let receiver = receiver(&one, &table, directory);
        table.finish();
        receivers.extend(name.zip(receiver).map(|(name, receiver)| Receiver { name, ..receiver }));
    }
    receivers
}

fn name(table: &Table<'_>, others: &[Receiver]) -> Option<String> {
    let value = table.need("name", "\"operators\"")?;
    let name = value.string()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > NAME_CHARACTERS || !name.chars().all(is_plain) {
        value.error(
            format!("\"{name}\" is no name of a receiver"),
            "write up to 64 letters, digits, hyphens and underscores",
        );
    }
    if others.iter().any(|other| other.name == name) {
        value.error(format!("there is another receiver \"{name}\""), "give this one a name of its own");
    }
    Some(name)
}

fn receiver(value: &Value<'_>, table: &Table<'_>, directory: &Path) -> Option<Receiver> {
    let types = [
        ("webhook", Type::Webhook),
        ("slack", Type::Slack),
        ("teams", Type::Teams),
        ("alertmanager", Type::Alertmanager),
        ("email", Type::Email),
    ];
    let kind = table.need("type", "\"slack\"").and_then(|value| value.one_of(&types));
    let severities = match table.get("severity") {
        Some(value) => value.list().iter().filter_map(|one| one.one_of(&SEVERITIES)).collect(),
        None => vec![Severity::Critical, Severity::Warning],
    };
    let zones = table.get("zones").map_or_else(Vec::new, |value| value.list());
    let zones = zones.iter().filter_map(zone).collect();
    let sites = table.get("sites").map_or_else(Vec::new, |value| value.strings());
    let template = table.table("template").map_or_else(Template::default, |table| template(&table));
    // Without a type nobody knows which keys there are.
    let Some(kind) = kind else {
        ignore(table);
        return None;
    };
    let endpoint = |path| endpoint(value, table, path, directory);
    let channel = match kind {
        Type::Webhook => {
            let secret = path(table, "secret_file", directory);
            endpoint("").map(|endpoint| Channel::Webhook { endpoint, secret })
        }
        Type::Slack => endpoint("").map(Channel::Slack),
        Type::Teams => endpoint("").map(Channel::Teams),
        Type::Alertmanager => endpoint(ALERTS).map(Channel::Alertmanager),
        Type::Email => email(value, table, directory).map(Channel::Email),
    };
    Some(Receiver { name: String::new(), channel: channel?, severities, zones, sites, template })
}

/// Takes all keys for known.
fn ignore(table: &Table<'_>) {
    for key in KEYS {
        let _ = table.get(key);
    }
}

/// Keys that only some types have.
const KEYS: [&str; 11] = [
    "url",
    "url_file",
    "ca_file",
    "secret_file",
    "server",
    "port",
    "encryption",
    "user",
    "password_file",
    "from",
    "to",
];

fn zone(value: &Value<'_>) -> Option<String> {
    let text = value.str()?;
    let name = Name::parse(text, Some(&Name::root())).ok();
    if name.is_none() {
        value.error(format!("\"{text}\" is no name of a zone"), "write it as \"example.com\"");
    }
    name.map(|name| name.to_string())
}

fn path(table: &Table<'_>, key: &'static str, directory: &Path) -> Option<PathBuf> {
    table.get(key).and_then(|value| value.str()).map(|text| directory.join(text))
}

fn endpoint(
    value: &Value<'_>,
    table: &Table<'_>,
    suffix: &'static str,
    directory: &Path,
) -> Option<Endpoint> {
    let ca = path(table, "ca_file", directory);
    let url = match (table.get("url"), path(table, "url_file", directory)) {
        (Some(given), None) => {
            let text = given.str()?;
            if http::url(text).is_none() {
                given.error("this is no URL of HTTP", "write it as \"https://chat.example.com/hook\"");
            }
            Url::Given(text.to_owned())
        }
        (None, Some(path)) => Url::File(path),
        (Some(given), Some(_)) => {
            given.key_error("the URL is in a file too", "take one of url and url_file");
            return None;
        }
        (None, None) => {
            value.error(
                "`url` is missing",
                "add for example url = \"https://chat.example.com/hook\", or url_file where it is a secret",
            );
            return None;
        }
    };
    Some(Endpoint { url, path: suffix, ca })
}

fn email(value: &Value<'_>, table: &Table<'_>, directory: &Path) -> Option<Email> {
    let words =
        [("starttls", Encryption::StartTls), ("implicit", Encryption::Implicit), ("none", Encryption::None)];
    let encryption = table.get("encryption").map_or(Some(Encryption::StartTls), |value| value.one_of(&words));
    let usual = match encryption {
        Some(Encryption::Implicit) => 465,
        Some(Encryption::None) => 25,
        _ => 587,
    };
    let port = table.get("port").map_or(Some(usual), |value| value.integer(1..=65_535));
    let server = table.need("server", "\"smtp.example.com\"").and_then(|value| value.string());
    let from = table.need("from", "\"dns@example.com\"").and_then(|value| mailbox(&value));
    let to = table.need("to", "[\"operators@example.com\"]").map(|value| {
        if value.list().is_empty() {
            value.error("nobody gets this mail", "write [\"operators@example.com\"]");
        }
        value.list().iter().filter_map(mailbox).collect()
    });
    let login = match (table.get("user"), path(table, "password_file", directory)) {
        (Some(user), Some(password)) => {
            if encryption == Some(Encryption::None) {
                user.key_error(
                    "the password would be read by anybody on the way",
                    "take starttls or implicit",
                );
            }
            user.string().map(|user| (user, password))
        }
        (None, None) => None,
        _ => {
            value.key_error(
                "of user and password one is missing",
                "give both user and password_file, or neither",
            );
            None
        }
    };
    let ca = path(table, "ca_file", directory);
    Some(Email { server: server?, port: port?, encryption: encryption?, login, from: from?, to: to?, ca })
}

fn mailbox(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    if !is_mailbox(&text) {
        value.error(format!("\"{text}\" is no address of mail"), "write it as \"operators@example.com\"");
    }
    Some(text)
}

fn template(table: &Table<'_>) -> Template {
    let Template { title, text } = Template::default();
    let words = |key, usual| table.get(key).and_then(|value| words(&value)).unwrap_or(usual);
    let template = Template { title: words("title", title), text: words("text", text) };
    table.finish();
    template
}

fn words(value: &Value<'_>) -> Option<Words> {
    match Words::parse(value.str()?) {
        Ok(words) => Some(words),
        Err(Mistake::Unknown(name)) => {
            let known: Vec<&str> = Words::places().collect();
            let help = did_you_mean(&name, known.iter().copied())
                .unwrap_or_else(|| format!("there are {{{}}}", known.join("}, {")));
            value.error_at(&format!("{{{name}}}"), format!("messages have no \"{name}\""), help);
            None
        }
        Err(Mistake::Brace(rest)) => {
            value.error_at(&rest, "a brace without its other one", "write {{ or }} for a brace itself");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::server;

    fn read(text: &str) -> Result<Vec<Receiver>, Vec<String>> {
        match server::parse(Path::new("/etc/waypost/waypost.toml"), text) {
            Ok((server, _)) => Ok(server.notify),
            Err(found) => Err(found
                .iter()
                .map(|one| {
                    format!(
                        "{}:{} {}; {}",
                        one.line,
                        one.column,
                        one.message,
                        one.help.as_deref().unwrap_or("")
                    )
                })
                .collect()),
        }
    }

    #[test]
    fn each_type_has_its_keys() {
        let receivers = read(
            "[[notify]]\nname = \"hook\"\ntype = \"webhook\"\nurl_file = \"hook.url\"\nsecret_file = \"/k/hook\"\n\
             severity = \"critical\"\nzones = [\"Example.com\"]\nsites = \"tw\"\n\
             [notify.template]\ntitle = \"{server}: {summary}\"\n\
             [[notify]]\nname = \"alerts\"\ntype = \"alertmanager\"\nurl = \"http://127.0.0.1:9093/\"\n\
             [[notify]]\nname = \"mail\"\ntype = \"email\"\nserver = \"smtp.example.com\"\nencryption = \"implicit\"\n\
             user = \"dns\"\npassword_file = \"password\"\nfrom = \"DNS <dns@example.com>\"\nto = \"ops@example.com\"\n",
        )
        .unwrap();
        let [hook, alerts, mail] = &receivers[..] else { panic!("{receivers:?}") };
        let url = Url::File("/etc/waypost/hook.url".into());
        let endpoint = Endpoint { url, path: "", ca: None };
        assert_eq!(hook.channel, Channel::Webhook { endpoint, secret: Some("/k/hook".into()) });
        assert_eq!(
            (&*hook.severities, &*hook.zones),
            (&[Severity::Critical][..], &["Example.com.".to_owned()][..])
        );
        assert_ne!(hook.template.title, Template::default().title);
        assert_eq!(alerts.severities, [Severity::Critical, Severity::Warning]);
        let url = Url::Given("http://127.0.0.1:9093/".to_owned());
        assert_eq!(alerts.channel, Channel::Alertmanager(Endpoint { url, path: ALERTS, ca: None }));
        let Channel::Email(email) = &mail.channel else { panic!("{mail:?}") };
        assert_eq!((email.port, email.encryption), (465, Encryption::Implicit));
        assert_eq!(email.login, Some(("dns".to_owned(), "/etc/waypost/password".into())));
    }

    #[test]
    fn each_mistake_has_its_place() {
        let good = "[[notify]]\nname = \"ok\"\ntype = \"slack\"\nurl_file = \"u\"\n";
        for (lines, expected) in [
            (
                "type = \"slack\"\nurl_file = \"u\"",
                "5:1 `name` is missing; add for example name = \"operators\"",
            ),
            (
                "name = \"x\"\nurl = \"https://a.example\"",
                "5:1 `type` is missing; add for example type = \"slack\"",
            ),
            ("name = \"x\"\ntype = \"slak\"", "7:8 \"slak\" isn't known here; did you mean \"slack\"?"),
            ("name = \"ok\"\ntype = \"teams\"\nurl_file = \"u\"", "6:8 there is another receiver \"ok\""),
            ("name = \"../x\"\ntype = \"teams\"\nurl_file = \"u\"", "6:8 \"../x\" is no name of a receiver"),
            ("name = \"x\"\ntype = \"teams\"", "5:1 `url` is missing; add for example url = "),
            ("name = \"x\"\ntype = \"teams\"\nurl = \"ftp://a.example\"", "8:7 this is no URL of HTTP"),
            (
                "name = \"x\"\ntype = \"teams\"\nurl_file = \"u\"\nto = \"a@b.example\"",
                "9:1 unknown key `to`",
            ),
            (
                "name = \"x\"\ntype = \"teams\"\nurl_file = \"u\"\nseverity = \"bad\"",
                "9:12 \"bad\" isn't known",
            ),
            (
                "name = \"x\"\ntype = \"email\"\nserver = \"a.example\"\nfrom = \"nobody\"\nto = []",
                "9:8 \"nobody\" is no",
            ),
            (
                "name = \"x\"\ntype = \"email\"\nserver = \"a.example\"\nfrom = \"a@b.example\"\nto = []",
                "10:6 nobody gets",
            ),
            (
                "name = \"x\"\ntype = \"slack\"\nurl_file = \"u\"\n[notify.template]\ntext = \"to {severty} of\"",
                "10:12 messages have no \"severty\"; did you mean \"severity\"?",
            ),
            (
                "name = \"x\"\ntype = \"slack\"\nurl_file = \"u\"\ntemplate = { text = \"a } b\" }",
                "9:24 a brace without its other one; write {{ or }}",
            ),
        ] {
            let found = read(&format!("{good}[[notify]]\n{lines}\n")).unwrap_err();
            assert!(found.iter().any(|one| one.starts_with(expected)), "{lines}: {found:?}");
        }
    }
}
