//! What goes wrong at the start is said in one clear line, with a non-zero exit and no backtrace.

use std::fs;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::lab::{Lab, output, wait_for, waypost};

const ZONE: &str = "@ 60 SOA ns1 h 1 1 1 1 60\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n";

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("zones/plain.example.zone", ZONE);
    lab
}

/// What `waypost run` says before it ends.
fn refusal(lab: &Lab, arguments: &[&str]) -> String {
    let mut command = waypost();
    command.current_dir(lab.directory.path()).arg("run").args(arguments);
    let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let status = wait_for("the server gives up", Duration::from_secs(10), || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    said
}

#[test]
fn bad_configuration() {
    let lab = lab();
    lab.write("waypost.toml", "[server]\nlisten = [\"127.0.0.1:0\"]\nlisen = 1\n");
    let said = refusal(&lab, &[]);
    assert!(said.contains("waypost.toml:3:1") && said.contains("lisen") && said.contains("listen"), "{said}");
    lab.write("waypost.toml", "[server\n");
    assert!(refusal(&lab, &[]).contains("waypost.toml:1:"));
    let said = refusal(&lab, &["--config", "nowhere.toml"]);
    assert!(said.contains("nowhere.toml") && said.contains("no such file"), "{said}");
}

#[test]
fn port_in_use() {
    let lab = lab();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&lab, &["--listen", &address]);
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
}

#[test]
fn missing_database() {
    let lab = lab();
    fs::remove_file(lab.path("country.mmdb")).unwrap();
    let said = refusal(&lab, &[]);
    assert!(said.contains("country.mmdb"), "{said}");
}

#[test]
fn no_zones() {
    let lab = Lab::new();
    assert!(refusal(&lab, &[]).contains("there are no zones here"));
    fs::remove_dir(lab.path("zones")).unwrap();
    assert!(refusal(&lab, &[]).contains("cannot read the zone directory"));
}

#[test]
fn unreadable_zone() {
    let alone = Lab::new();
    fs::create_dir(alone.path("zones/directory.example.zone")).unwrap();
    let said = refusal(&alone, &[]);
    assert!(said.contains("directory.example.zone cannot be read"), "{said}");
    let lab = lab();
    lab.write("zones/bad.example.zone", "@ 60 SOA ns1 h 1 1 1 1 60\n@ 60 NS ns1\nns1 60 A 192.0.2.999\n");
    fs::create_dir(lab.path("zones/directory.example.zone")).unwrap();
    let output = output(waypost().current_dir(lab.directory.path()).arg("check"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("bad.example.zone:3:10"), "{said}");
    assert!(said.contains("directory.example.zone"), "{said}");
}

#[test]
fn wrong_command_line() {
    let output = output(Command::new(env!("CARGO_BIN_EXE_waypost")).arg("explan"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("explain"));
}
