//! Metrics as a real Prometheus scrapes them, and whether all that others write about them is true.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::failover::{mail_lab, wait_until_all_up};
use crate::lab::{Lab, TW, free_port, output, repository, stdout, wait_for};

/// What a GET gives, header and all.
pub fn get(mut stream: impl Read + Write, host: &str, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Names of metrics that a text mentions.
fn mentioned(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    let is_name = |word: &&str| word.starts_with("waypost_") || word.starts_with("process_");
    words.filter(is_name).map(str::to_owned).collect()
}

/// Names of samples in OpenMetrics text.
fn exposed(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.flat_map(|line| mentioned(line.split([' ', '{']).next().unwrap_or(""))).collect()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

#[test]
fn every_metric_is_described_and_whatever_is_described_or_used_exists() {
    let (lab, _sites) = mail_lab("500ms");
    // A signed zone, and a certificate.
    let zone = file("tests/zones/cuts.example.zone");
    lab.write("zones/cuts.example.zone", &zone);
    lab.write("zones/cuts.example.toml", "[dnssec]\nsign = true\n");
    let text = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let notify = "[[notify]]\nname = \"operators\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n";
    lab.write(
        "waypost.toml",
        &format!("{text}\n[bundles]\nrole = \"signer\"\n[tls]\nlisten = [\"127.0.0.1:0\"]\n{notify}"),
    );
    let server = lab.start();
    wait_until_all_up(&server);
    server.wait_for_log("bundle written");
    server.ask_from("webmail.mail.example.", "A", TW);
    let socket = UnixStream::connect(lab.path("state/admin.sock")).unwrap();
    let answer = get(socket, "localhost", "/metrics");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("application/openmetrics-text"),
        "{answer}"
    );
    assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
    let exposed = exposed(&answer);
    assert!(
        answer.contains("waypost_region_responses_total{region=\"tw\",by=\"client_subnet\",found="),
        "{answer}"
    );
    assert!(answer.contains("waypost_workers{transport=\"udp\"} "), "{answer}");
    assert!(answer.contains("waypost_zone_responses_total{zone=\"mail.example.\"} 1"), "{answer}");
    assert!(
        answer.lines().any(|line| {
            line.starts_with("waypost_target_state{zone=\"mail.example.\",target=\"web-tw\"")
                && line.ends_with("state=\"up\"} 1.0")
        }),
        "{answer}"
    );
    let base = |name: &str| -> String {
        let histogram = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|base| base.ends_with("_seconds")));
        histogram.unwrap_or(name).to_owned()
    };
    // Not in this configuration: no database, and cookies and the like come with their first use. What
    // an edge shows is looked at in `edges`.
    let absent = [
        "waypost_geoip_build_timestamp_seconds",
        "waypost_target_certificate_expiry_timestamp_seconds",
        "waypost_bundle_signer_heard_timestamp_seconds",
    ];
    let there: BTreeSet<String> = exposed.iter().map(|name| base(name)).collect();
    let described: BTreeSet<String> = mentioned(&file("docs/metrics.md"));
    let undescribed: Vec<_> = there.difference(&described).collect();
    assert!(undescribed.is_empty(), "docs/metrics.md doesn't have {undescribed:?}");
    for (what, text) in [
        ("docs/metrics.md", file("docs/metrics.md")),
        ("the rules", file("contrib/prometheus/waypost.rules.yml")),
        ("the dashboard", file("contrib/grafana/waypost.json")),
    ] {
        // Names that end so are what the rules themselves record.
        let own = |name: &&String| !name.ends_with("_rate1m") && !absent.contains(&name.as_str());
        let recorded: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- record: "))
            .flat_map(mentioned)
            .collect();
        let missing: Vec<String> = mentioned(&text)
            .iter()
            .filter(own)
            .filter(|name| !recorded.contains(*name) && !there.contains(&base(name)))
            .cloned()
            .collect();
        assert!(missing.is_empty(), "{what} names metrics that don't exist: {missing:?}");
    }
}

#[test]
fn the_rules_for_prometheus_do_what_they_say() {
    let rules = repository().join("contrib/prometheus");
    let named = |file: &str, key: &str| -> BTreeSet<String> {
        let text = self::file(file);
        let names = text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
        names.map(str::to_owned).collect()
    };
    let alerts = named("contrib/prometheus/waypost.rules.yml", "alert: ");
    assert!(alerts.len() > 10, "{alerts:?}");
    assert_eq!(alerts, named("contrib/prometheus/waypost.test.yml", "alertname: "), "each has its test");
    stdout(Command::new("promtool").args(["check", "rules", "waypost.rules.yml"]).current_dir(&rules));
    stdout(Command::new("promtool").args(["test", "rules", "waypost.test.yml"]).current_dir(&rules));
}

/// A real Prometheus, with the rules that are shipped. Ended when the test ends.
pub struct Prometheus {
    child: Child,
    listen: SocketAddr,
}

impl Prometheus {
    /// One that scrapes these every second, by the token `s3cret`.
    pub fn start(lab: &Lab, servers: &[SocketAddr]) -> Prometheus {
        let rules = repository().join("contrib/prometheus/waypost.rules.yml");
        let servers: Vec<String> = servers.iter().map(SocketAddr::to_string).collect();
        lab.write(
            "prometheus.yml",
            &format!(
                "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
                 rule_files: [\"{}\"]\n\
                 scrape_configs:\n- job_name: waypost\n  authorization: {{ credentials: s3cret }}\n  \
                 static_configs: [{{ targets: {servers:?} }}]\n",
                rules.display()
            ),
        );
        let listen = SocketAddr::new("127.0.0.1".parse().unwrap(), free_port(&["127.0.0.1"]));
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", lab.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", lab.path("tsdb").display()))
            .arg(format!("--web.listen-address={listen}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Prometheus { child, listen }
    }

    /// Waits until it has an answer to a query, that says all of this.
    pub fn wait_for(&self, query: &str, said: &[&str]) {
        let url = format!("http://{}/api/v1/query", self.listen);
        wait_for(&format!("Prometheus has data for {query}"), Duration::from_secs(30), || {
            let mut curl = Command::new("curl");
            let answer =
                output(curl.args(["-sG", &url, "--data-urlencode", &format!("query={query}")])).stdout;
            let answer = String::from_utf8(answer).unwrap();
            let read: serde_json::Value = serde_json::from_str(&answer).ok()?;
            let found = !read["data"]["result"].as_array()?.is_empty();
            (found && said.iter().all(|said| answer.contains(said))).then_some(())
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_and_sees_a_target_die() {
    let (lab, mut sites) = mail_lab("500ms");
    let admin = SocketAddr::new("127.0.0.1".parse().unwrap(), free_port(&["127.0.0.1"]));
    let text = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &format!("{text}[admin]\nlisten = \"{admin}\"\ntokens = \"tokens\"\n"));
    lab.write("tokens", "prometheus s3cret\n");
    let server = lab.start();
    wait_until_all_up(&server);
    assert!(
        get(TcpStream::connect(admin).unwrap(), &admin.to_string(), "/metrics").starts_with("HTTP/1.1 401 ")
    );
    let prometheus = Prometheus::start(&lab, &[admin]);
    prometheus.wait_for("waypost_target_state{target=\"web-tw\",state=\"up\"} == 1", &["\"site\":\"tw\""]);
    sites.web[0].down();
    let down = "ALERTS{alertname=\"WaypostTargetDown\"}";
    prometheus.wait_for(down, &["\"target\":\"web-tw\"", "\"site\":\"tw\""]);
}
