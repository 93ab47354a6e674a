//! The subcommands, as operators and CI call them.

use std::fs;
use std::process::Command;

use crate::failover::{ZONE, mail_lab, routes, wait_until_all_up};
use crate::lab::{Lab, TW, output, repository, stdout, waypost};

/// A lab without any site behind it.
fn files() -> Lab {
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", ZONE);
    lab.write("zones/mail.example.toml", &routes(443, 25, "5s"));
    lab
}

#[test]
fn check_is_content_with_what_is_shipped() {
    let output = output(waypost().current_dir(repository()).arg("check"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("error:") && !said.contains("warning:"), "{said}");
    // The worst case of each route, added up.
    assert!(said.contains("webmail") && said.contains("worst case") && said.contains(" = "), "{said}");
}

#[test]
fn check_finds_everything_at_once_in_each_format() {
    let lab = files();
    lab.write("zones/mail.example.zone", &format!("{ZONE}bad A 192.0.2.999\nworse AAAA 192.0.2.1\n"));
    let text = fs::read_to_string(lab.path("zones/mail.example.toml")).unwrap();
    lab.write("zones/mail.example.toml", &text.replace("\"web-tw\", \"web-my\"", "\"web-tw\", \"web-mx\""));
    let check = |arguments: &[&str]| {
        let output = output(waypost().arg("check").arg(lab.directory.path()).args(arguments));
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = check(&[]);
    for part in
        ["mail.example.zone:11:7", "mail.example.zone:12:12", "mail.example.toml:", "web-mx", "did you mean"]
    {
        assert!(said.contains(part), "{part:?} isn't in\n{said}");
    }
    let json: serde_json::Value = serde_json::from_str(&check(&["--format", "json"])).unwrap();
    let found = json["diagnostics"].as_array().unwrap();
    assert!(found.len() >= 3 && found.iter().all(|one| one["path"].is_string()), "{json}");
    let github = check(&["--format", "github"]);
    assert!(
        github.lines().any(|line| line.starts_with("::error file=") && line.contains(",line=11,")),
        "{github}"
    );
}

#[test]
fn explain_from_files_and_from_a_server_agree() {
    let (lab, _sites) = mail_lab("1s");
    let server = lab.start();
    wait_until_all_up(&server);
    let explain = |arguments: &[&str]| {
        let mut command = waypost();
        command.current_dir(lab.directory.path()).args([
            "explain",
            "webmail.mail.example",
            "A",
            "--from",
            TW,
        ]);
        stdout(command.args(arguments))
    };
    let offline = explain(&[]);
    let online = explain(&["--server", &server.address.to_string()]);
    for said in [&offline, &online] {
        assert!(said.contains("region tw: country TW") && said.contains("127.0.1.10"), "{said}");
    }
    let rehearsed = explain(&["--assume", "tw=down"]);
    assert!(rehearsed.contains("127.0.1.20") && rehearsed.contains("web-tw passed over"), "{rehearsed}");
    let json: serde_json::Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    assert_eq!(json["region"], "tw");
    assert_eq!(json["routed"][0]["records"][0], "127.0.1.10");
    let health = stdout(waypost().args(["health", "--server", &server.address.to_string()]));
    assert!(health.contains("web-tw 127.0.1.10 UP"), "{health}");
    let json = stdout(waypost().args(["health", "--json", "--server", &server.address.to_string()]));
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["state"], "UP");
    server.stop();
    let unknown = output(waypost().current_dir(lab.directory.path()).args([
        "explain",
        "webmail.mail.example",
        "--from",
        TW,
        "--assume",
        "twx=down",
    ]));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("did you mean \"tw\""));
}

#[test]
fn plan_between_directories_and_git_revisions() {
    let lab = files();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(lab.directory.path());
        git.args(["-c", "user.name=operator", "-c", "user.email=operator@example.com"]);
        stdout(git.args(arguments))
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "before"]);
    let text = fs::read_to_string(lab.path("zones/mail.example.toml")).unwrap();
    let text =
        text.replace(r#"tw = ["web-tw", "web-my", "web-vn"]"#, r#"tw = ["web-vn", "web-my", "web-tw"]"#);
    lab.write("zones/mail.example.toml", &text);
    lab.write("zones/mail.example.zone", &format!("{ZONE}new A 192.0.2.8\n"));
    git(&["commit", "-qam", "after"]);
    let plan =
        |arguments: &[&str]| stdout(waypost().current_dir(lab.directory.path()).arg("plan").args(arguments));
    let said = plan(&["HEAD~1", "HEAD"]);
    assert!(said.contains("webmail.mail.example. A\n  tw: 127.0.1.10 -> 127.0.1.30\n"), "{said}");
    assert!(said.contains("new.mail.example. A\n  all: nothing -> 192.0.2.8\n"), "{said}");
    assert!(said.contains("2 answers change"), "{said}");
    assert_eq!(plan(&["HEAD", "."]), "no answer changes\n");
    let rehearsed = plan(&["HEAD", ".", "--assume", "my=down"]);
    assert!(
        rehearsed.contains("my, default: 127.0.1.20 -> 127.0.1.30")
            || rehearsed.contains("default, my: 127.0.1.20 -> 127.0.1.30"),
        "{rehearsed}"
    );
    let failed = output(waypost().current_dir(lab.directory.path()).args(["plan", "nowhere", "HEAD"]));
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("nowhere"));
}

#[test]
fn help_is_for_people() {
    let help = stdout(waypost().arg("--help"));
    for command in ["run", "check", "delegation", "explain", "health", "plan", "demo"] {
        assert!(help.contains(command), "{help}");
        let help = stdout(waypost().args([command, "--help"]));
        assert!(help.contains("Usage:"), "{help}");
    }
}

#[test]
fn the_demo_plays_its_round() {
    let said = stdout(waypost().args(["demo", "--script", "--listen", "127.0.0.1:0"]));
    assert!(said.contains("tw") && said.contains("198.51.100."), "{said}");
    println!("{said}");
}
