//! What others tell of targets: over the API, by a file, and by alerts.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::failover::{ZONE, wait_until_sent_to};
use crate::lab::{Lab, Server, TW, wait_for};

/// Two web servers that nobody asks; `probe` says how the first is.
fn lab(probe: &str) -> Lab {
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", ZONE);
    let text = format!(
        "[probes.told]\n{probe}\nhold = \"500ms\"\n\
         [targets.web-tw]\nsite = \"tw\"\nipv4 = \"127.0.1.10\"\nprobes = [\"told\"]\n\
         [targets.web-my]\nsite = \"my\"\nipv4 = \"127.0.1.20\"\n\
         [routes.webmail]\ntype = \"address\"\ndefault = [\"web-tw\", \"web-my\"]\n"
    );
    lab.write("zones/mail.example.toml", &text);
    lab
}

/// One request over the local socket; its status and body.
fn post(lab: &Lab, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(lab.path("state/admin.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let length = body.len();
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

fn sent(server: &Server) -> Vec<String> {
    server.ask_from("webmail.mail.example.", "A", TW).data()
}

fn wait_for_health(server: &Server, text: &str) {
    wait_for(text, Duration::from_secs(10), || {
        let lines = server.inspect("web-tw.health.waypost", None).join("\n");
        lines.contains(text).then_some(())
    });
}

#[test]
fn a_pushed_verdict_moves_clients_and_silence_does_too() {
    let lab = lab("type = \"push\"\nttl = \"60s\"");
    let server = lab.start();
    let up = "{\"target\": \"web-tw\", \"state\": \"up\", \"evidence\": \"queue is short\"}";
    let (status, answer) = post(&lab, "/v1/verdicts", up);
    assert_eq!(status, 200, "{answer}");
    wait_for_health(&server, " UP ");
    wait_for_health(&server, "\"queue is short\"");
    assert_eq!(sent(&server), ["127.0.1.10"]);

    let down = "{\"target\": \"web-tw\", \"state\": \"down\", \"evidence\": \"disk is full\"}";
    assert_eq!(post(&lab, "/v1/verdicts", down).0, 200);
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(5));
    let events = server.inspect("events.waypost", None).join("\n");
    assert!(events.contains("SUSPECT -> DOWN: told: disk is full"), "{events}");

    // A restart believes what was told last, and the silence goes on counting.
    post(&lab, "/v1/verdicts", up);
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(5));
    server.stop();
    let server = lab.start();
    assert_eq!(sent(&server), ["127.0.1.10"]);
    wait_for_health(&server, "\"queue is short\"");
    let brief = "{\"target\": \"web-tw\", \"state\": \"up\", \"ttl\": 1}";
    assert_eq!(post(&lab, "/v1/verdicts", brief).0, 200);
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(8));
    wait_for_health(&server, "nothing was told for");

    for (body, status) in [
        ("{\"target\": \"web-tx\", \"state\": \"up\"}", 404),
        ("{\"target\": \"web-my\", \"state\": \"up\"}", 409),
        ("{\"target\": \"web-tw\", \"state\": \"well\"}", 422),
        ("{\"target\": \"web-tw\", \"state\": \"up\", \"ttl\": 0}", 400),
    ] {
        let (found, answer) = post(&lab, "/v1/verdicts", body);
        assert_eq!(found, status, "{body}: {answer}");
    }
    server.stop();
}

#[test]
fn what_was_never_told_is_not_up_for_ever() {
    let lab = lab("type = \"push\"\nttl = \"2s\"");
    let server = lab.start();
    assert_eq!(sent(&server), ["127.0.1.10"], "it may be that nobody had time to tell");
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(10));
    server.stop();
}

#[test]
fn a_file_says_how_a_target_is_as_long_as_it_is_written() {
    let lab = lab("type = \"file\"\npath = \"PATH/{target}\"\nttl = \"6s\"\ninterval = \"500ms\"");
    let directory = lab.path("verdicts");
    std::fs::create_dir(&directory).unwrap();
    let text = std::fs::read_to_string(lab.path("zones/mail.example.toml")).unwrap();
    lab.write("zones/mail.example.toml", &text.replace("PATH", &directory.display().to_string()));
    let file = directory.join("web-tw");
    let server = lab.start();
    std::fs::write(&file, "up\n").unwrap();
    wait_for_health(&server, " UP ");
    std::fs::write(&file, "down raid is degraded\n").unwrap();
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(8));
    wait_for_health(&server, "\"raid is degraded\"");
    std::fs::write(&file, "up\n").unwrap();
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(3));
    // Whoever wrote it has died.
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(15));
    wait_for_health(&server, "wasn't written for");
    server.stop();
}

#[test]
fn an_alert_takes_its_target_down_until_it_is_resolved() {
    let lab = lab("type = \"push\"\nalert = { alertname = \"QueueDrowning\", site = \"{site}\" }");
    let server = lab.start();
    wait_for_health(&server, "\"no alert fires\"");
    let webhook = |site: &str, status: &str| {
        // As Alertmanager 0.27 sends it.
        let body = format!(
            r#"{{"receiver":"waypost","status":"{status}","alerts":[{{"status":"{status}",
            "labels":{{"alertname":"QueueDrowning","instance":"198.51.100.11:9154","site":"{site}"}},
            "annotations":{{"summary":"9000 mails wait"}},"startsAt":"2026-11-24T02:00:00.000Z",
            "endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example/graph",
            "fingerprint":"5ef77f1f8a3ecf8d"}}],"groupLabels":{{"alertname":"QueueDrowning"}},
            "commonLabels":{{"alertname":"QueueDrowning"}},"commonAnnotations":{{}},
            "externalURL":"http://alertmanager.example","version":"4",
            "groupKey":"{{}}:{{alertname=\"QueueDrowning\"}}","truncatedAlerts":0}}"#
        );
        post(&lab, "/v1/verdicts/alertmanager", &body)
    };
    let (status, answer) = webhook("my", "firing");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("{\"probes\":0}"), "an alert of another site: {answer}");
    assert!(webhook("tw", "firing").1.contains("{\"probes\":1}"));
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(3));
    wait_for_health(&server, "\"alert QueueDrowning: 9000 mails wait\"");
    server.stop();
    // It still fires: nobody has said otherwise.
    let server = lab.start();
    assert_eq!(sent(&server), ["127.0.1.20"]);
    webhook("tw", "resolved");
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(5));
    let (status, answer) = post(&lab, "/v1/verdicts/alertmanager", "{\"version\":\"3\",\"alerts\":[]}");
    assert_eq!(status, 400, "{answer}");
    server.stop();
}
