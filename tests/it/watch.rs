//! `docs/watch.md`, run as it stands in a network of its own; and whether every query of the
//! dashboard has an answer there.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::edges::{Parent, asked_signer, asking_edge, first_bundle};
use crate::lab::{Lab, Server, free_port, repository, stdout, wait_for, waypost};
use crate::mail_servers;
use crate::metrics::Prometheus;
use crate::namespace::Namespace;

/// A step: commands, and what they print, if the page says that.
#[derive(Debug, Default)]
struct Step {
    commands: String,
    expected: Option<String>,
}

/// The page's `sh` blocks, each with the `text` block behind it.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: String = lines
            .by_ref()
            .take_while(|line| !line.starts_with("```"))
            .map(|line| format!("{line}\n"))
            .collect();
        match language {
            "sh" => steps.push(Step { commands: block, expected: None }),
            "text" => steps.last_mut().expect("commands before what they print").expected = Some(block),
            _ => {}
        }
    }
    steps
}

/// The directory in which the page is followed. What was started there ends with it.
struct Place<'n> {
    namespace: &'n Namespace,
    directory: tempfile::TempDir,
}

impl Place<'_> {
    /// The commands in a shell of their own; what they print.
    fn run(&self, commands: &str) -> std::process::Output {
        let programs = Path::new(env!("CARGO_BIN_EXE_waypost")).parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut bash = self.namespace.command("bash");
        bash.args(["-euc", commands]).env("PATH", format!("{programs}:{path}")).stdin(Stdio::null());
        let inside = self.directory.path().join("watch");
        bash.current_dir(if inside.exists() { &inside } else { self.directory.path() });
        bash.output().unwrap()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let entries = fs::read_dir(self.directory.path().join("watch")).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "pid") {
                let pid = fs::read_to_string(path).unwrap_or_default();
                let _ = Command::new("kill").args(["-KILL", pid.trim()]).stderr(Stdio::null()).status();
            }
        }
    }
}

/// Every query of the dashboard, with its variables filled in as for all servers and zones.
fn queries() -> Vec<String> {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(entries) => {
                found.extend(entries.get("expr").and_then(Value::as_str).map(str::to_owned));
                entries.values().for_each(|value| walk(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let text = fs::read_to_string(repository().join("contrib/grafana/waypost.json")).unwrap();
    let mut found = Vec::new();
    walk(&serde_json::from_str(&text).unwrap(), &mut found);
    let filled = |query: String| {
        query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$zone", ".*")
    };
    found.into_iter().map(filled).collect()
}

/// Whether a query is about what the page's server has none of: signed zones, edges, certificates.
fn is_of_signatures(query: &str) -> bool {
    let kinds = ["signatures_expiry_timestamp", "certificate_expiry_timestamp", "waypost_bundle_"];
    kinds.iter().any(|kind| query.contains(kind))
}

#[test]
fn what_the_dashboard_asks_of_signatures_and_certificates_has_an_answer_too() {
    let parent = Parent::start();
    let ports = [(); 2].map(|()| free_port(&["127.0.0.1"]));
    let (signer, edge) = (asked_signer(&parent, ports[0]), asking_edge(&parent, ports[0], "1s", ""));
    let more = |lab: &Lab, lines: &str| {
        let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
        lab.write("waypost.toml", &format!("{config}\n{lines}"));
    };
    more(&signer, "[tls]\nlisten = [\"127.0.0.1:0\"]\n");
    more(&edge, &format!("[admin]\nlisten = \"127.0.0.1:{}\"\ntokens = \"tokens\"\n", ports[1]));
    edge.write("tokens", "prometheus s3cret\n");
    // A target with a certificate, whose issuer the system knows.
    let place = mail_servers::Place::new();
    let (_nginx, port) = mail_servers::nginx(&place, "TLSv1.3");
    edge.write(
        "zones/web.example.zone",
        "$TTL 60\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns.mail.example.\nwww A 127.0.0.1\n",
    );
    edge.write(
        "zones/web.example.toml",
        &format!(
            "[probes.web]\ntype = \"https\"\nhost = \"mail.example.com\"\nport = {port}\ninterval = \"500ms\"\n\
             [targets.web]\nipv4 = \"127.0.0.1\"\nprobes = [\"web\"]\n\
             [routes.www]\ntype = \"address\"\ndefault = [\"web\"]\n"
        ),
    );
    let first = signer.start();
    first_bundle(&signer);
    let mut run = waypost();
    run.arg("run").env("SSL_CERT_FILE", place.path("mail.pem"));
    let second = Server::start_with(edge.directory.path(), run);
    let lab = Lab::new();
    let prometheus = Prometheus::start(&lab, &ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))));
    let queries: Vec<String> = queries().into_iter().filter(|query| is_of_signatures(query)).collect();
    assert!(queries.len() > 5, "{queries:?}");
    queries.iter().for_each(|query| prometheus.wait_for(query, &[]));
    second.stop();
    first.stop();
}

#[test]
fn every_command_of_the_page_does_what_it_says() {
    let page = fs::read_to_string(repository().join("docs/watch.md")).unwrap();
    let steps = steps(&page);
    assert!(steps.len() > 10, "the reader of the page found only {}", steps.len());
    let namespace = Namespace::new(&[]);
    let place = Place { namespace: &namespace, directory: tempfile::tempdir().unwrap() };
    std::os::unix::fs::symlink(repository(), place.directory.path().join("waypost")).unwrap();
    for (number, step) in steps.iter().enumerate() {
        // The last ones end what the dashboard asks.
        if step.commands.starts_with("kill $(cat") {
            for query in queries().into_iter().filter(|query| !is_of_signatures(query)) {
                let command = ["curl", "-sG", "http://127.0.0.1:9090/api/v1/query", "--data-urlencode"];
                wait_for(&format!("the dashboard has data for {query}"), Duration::from_secs(15), || {
                    let mut curl = namespace.command(command[0]);
                    let said = stdout(curl.args(&command[1..]).arg(format!("query={query}")));
                    let said: Value = serde_json::from_str(&said).unwrap();
                    let found = said["data"]["result"].as_array().is_some_and(|found| !found.is_empty());
                    assert_eq!(said["status"], "success", "{query}: {said}");
                    found.then_some(())
                });
            }
        }
        let Some(expected) = &step.expected else {
            let output = place.run(&step.commands);
            assert!(output.status.success(), "step {number}: {step:?}\n{output:?}");
            continue;
        };
        // Whoever reads looks again, when it isn't there yet.
        let mut last = String::new();
        let started = std::time::Instant::now();
        while last != *expected {
            let late = started.elapsed() > Duration::from_secs(30);
            assert!(!late, "step {number} prints\n{last}\nand not\n{expected}\nby {}", step.commands);
            last = String::from_utf8_lossy(&place.run(&step.commands).stdout).into_owned();
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
