//! The lines of docs/probes.md that let a prober in, taken from there and given to the servers that
//! they are for: real postscreen, anvil, fail2ban, Dovecot and nginx. Each first turns the prober
//! away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Lab, Server, repository, stdout, wait_for};
use crate::mail_servers::Postfix;
use crate::namespace::{Daemon, Namespace};

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in ["postfix/mail.log", "fail2ban.log"] {
                eprintln!("--- {log}\n{}", self.read(log));
            }
        }
    }
}

/// Where probes come from, in the documents too.
const PROBER: &str = "192.0.2.53";

/// Where the servers are.
const SITE: &str = "198.51.100.25";

/// The lines of the block in docs/probes.md that begins with the name of this file.
fn snippet(file: &str) -> String {
    let text = fs::read_to_string(repository().join("docs/probes.md")).unwrap();
    let begin = format!("```\n# {file}");
    let (_, rest) =
        text.split_once(&begin).unwrap_or_else(|| panic!("docs/probes.md has no block for {file}"));
    let (_, lines) = rest.split_once('\n').unwrap();
    lines.split_once("```").unwrap().0.to_owned()
}

/// A machine with servers on it, and Waypost that asks them from another address.
struct Site {
    lab: Lab,
    namespace: Namespace,
}

impl Site {
    fn new() -> Site {
        let site = Site { lab: Lab::new(), namespace: Namespace::new(&[PROBER, SITE]) };
        // The servers become other users, who have to reach what is theirs.
        fs::set_permissions(site.lab.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        site
    }

    fn path(&self, inside: &str) -> String {
        self.lab.path(inside).display().to_string()
    }

    fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.lab.path(inside)).unwrap_or_default()
    }

    /// Waypost with one target that is probed so every 200 ms.
    fn waypost(&self, probe: &str) -> Server {
        let config = self.read("waypost.toml");
        if !config.contains("[probing]") {
            self.lab.write("waypost.toml", &format!("{config}\n[probing]\nsource_ipv4 = \"{PROBER}\"\n"));
        }
        self.lab.write(
            "zones/mail.example.zone",
            "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\nmail A 198.51.100.25\n",
        );
        self.lab.write(
            "zones/mail.example.toml",
            &format!(
                "[probes.one]\n{probe}\ninterval = \"200ms\"\nhold = \"0s\"\n\
                 [targets.mail]\nipv4 = \"{SITE}\"\nprobes = [\"one\"]\n\
                 [routes.mail]\nname = \"mail\"\ntype = \"address\"\ndefault = [\"mail\"]\n"
            ),
        );
        let mut run = self.namespace.command(env!("CARGO_BIN_EXE_waypost"));
        run.arg("run");
        Server::start_with(self.lab.directory.path(), run)
    }

    /// Waits until `waypost health` says all of this of the target.
    fn wait_for(&self, server: &Server, at_most: u64, said: &[&str]) -> String {
        let mut last = String::new();
        let what = format!("health says {said:?}");
        let listen = server.address.to_string();
        wait_for(&what, Duration::from_secs(at_most), || {
            let mut health = self.namespace.command(env!("CARGO_BIN_EXE_waypost"));
            let health = stdout(health.args(["health", "--server", &listen]));
            if health != last {
                println!("{}", health.trim_end());
                last.clone_from(&health);
            }
            said.iter().all(|said| health.contains(said)).then_some(health)
        })
    }

    /// Postfix with this service at port 25, and lines for main.cf.
    fn postfix(&self, service: &str, lines: &str) -> Postfix {
        let lines = format!("inet_interfaces = {SITE}\nmynetworks = 127.0.0.0/8\n{lines}");
        let program = self.namespace.command(Postfix::PROGRAM);
        Postfix::start(program, &self.lab.path("postfix"), service, &lines)
    }

    /// Has Postfix know what the documents say.
    fn let_the_prober_into_postfix(&self) {
        let etc = self.path("postfix/etc");
        self.lab.write("postfix/etc/postscreen_access.cidr", &snippet("/etc/postfix/postscreen_access.cidr"));
        let main = self.read("postfix/etc/main.cf");
        let lines = snippet("/etc/postfix/main.cf").replace("/etc/postfix", &etc);
        self.lab.write("postfix/etc/main.cf", &format!("{main}{lines}"));
        stdout(self.namespace.command(Postfix::PROGRAM).args(["-c", &etc, "reload"]));
    }
}

#[test]
fn postscreen_makes_strangers_wait_and_lets_the_prober_in() {
    let site = Site::new();
    let _postfix = site.postfix("smtp inet n - n - 1 postscreen", "postscreen_greet_action = enforce\n");
    let server = site.waypost("type = \"smtp\"");
    site.wait_for(
        &server,
        20,
        &["BLOCKED", "made to wait within the banner, as by postscreen: 220-mail.example.com"],
    );
    site.let_the_prober_into_postfix();
    site.wait_for(&server, 20, &["UP", "220 mail.example.com ESMTP Postfix"]);
    let log = site.read("postfix/mail.log");
    assert!(!log.contains("PREGREET") && log.contains("ALLOWLISTED [192.0.2.53]"), "{log}");
    server.stop();
}

#[test]
fn anvil_counts_strangers_and_not_the_prober() {
    let site = Site::new();
    let _postfix = site.postfix("smtp inet n - n - - smtpd", "smtpd_client_connection_rate_limit = 5\n");
    let server = site.waypost("type = \"smtp\"");
    site.wait_for(
        &server,
        20,
        &["BLOCKED", "421 4.7.0 mail.example.com Error: too many connections from 192.0.2.53"],
    );
    site.let_the_prober_into_postfix();
    site.wait_for(&server, 20, &["UP", "220 mail.example.com ESMTP Postfix"]);
    let connected = || site.read("postfix/mail.log").matches(": connect from").count();
    let before = connected();
    wait_for("it is let in far beyond the limit", Duration::from_secs(20), || {
        (connected() > before + 20).then_some(())
    });
    site.wait_for(&server, 1, &["UP"]);
    server.stop();
}

/// fail2ban with one jail, which looks at the mail log as strictly as it can; `lines` stand in its
/// jail.local.
fn fail2ban(site: &Site, lines: &str) -> Daemon {
    let (etc, base) = (site.path("fail2ban"), site.path(""));
    if !site.lab.path("fail2ban").exists() {
        stdout(Command::new("cp").args(["-r", "/etc/fail2ban", &etc]));
        // The distribution's own jails.
        stdout(Command::new("rm").args(["-rf", &format!("{etc}/jail.d")]));
    }
    let local = format!(
        "[Definition]\nlogtarget = {base}/fail2ban.log\nsocket = {base}/fail2ban.sock\n\
         pidfile = {base}/fail2ban.pid\ndbfile = None\n"
    );
    site.lab.write("fail2ban/fail2ban.local", &local);
    let jail = format!(
        "[mail]\nenabled = true\nfilter = postfix[mode=aggressive]\nport = smtp\nbackend = polling\n\
         logpath = {base}/postfix/mail.log\nbanaction = nftables\n"
    );
    site.lab.write("fail2ban/jail.local", &format!("{lines}{jail}"));
    let mut server = site.namespace.command("/usr/bin/fail2ban-server");
    server.args(["-xf", "-c", &etc, "start"]);
    Daemon::start(server)
}

/// What one of fail2ban's filters, as `postfix[mode=aggressive]`, finds in a log.
fn found_by(filter: &str, log: &str) -> String {
    stdout(Command::new("fail2ban-regex").args([log, filter]))
}

#[test]
fn fail2ban_bans_who_hangs_up_but_neither_the_polite_nor_the_known() {
    let site = Site::new();
    let _postfix = site.postfix("smtp inet n - n - - smtpd", "");
    let polite = site.waypost("type = \"smtp\"");
    let log = || site.read("postfix/mail.log");
    wait_for("ten polite probes", Duration::from_secs(20), || {
        (log().matches("quit=1").count() >= 10).then_some(())
    });
    polite.stop();
    let found = found_by("postfix[mode=aggressive]", &site.path("postfix/mail.log"));
    assert!(found.contains(" 0 matched"), "{found}");

    // A probe that says nothing is what a scanner looks like.
    let tcp = "type = \"tcp\"\nport = 25";
    let server = site.waypost(tcp);
    site.wait_for(&server, 20, &["UP"]);
    let strict = fail2ban(&site, "");
    // A ban looks like a server that is gone.
    site.wait_for(&server, 60, &["DOWN", "connection refused"]);
    assert!(site.read("fail2ban.log").contains("Ban 192.0.2.53"));
    server.stop();
    drop(strict);
    stdout(site.namespace.command("nft").args(["flush", "ruleset"]));

    let _knowing = fail2ban(&site, &snippet("/etc/fail2ban/jail.local"));
    let server = site.waypost(tcp);
    let passed_over = || site.read("fail2ban.log").matches("Ignore 192.0.2.53 by ip").count();
    wait_for("fail2ban passes it over, old lines and new", Duration::from_secs(90), || {
        let hung_up = log().matches("lost connection after CONNECT").count();
        (passed_over() > 10 && hung_up > 20).then_some(())
    });
    site.wait_for(&server, 1, &["UP"]);
    server.stop();
}

#[test]
fn dovecot_and_nginx_take_their_lines() {
    let site = Site::new();
    let base = site.path("");
    let dovecot = format!(
        "base_dir = {base}/run\nstate_dir = {base}\ninstance_name = manners\nlog_path = {base}/dovecot.log\n\
         protocols = imap\nlisten = {SITE}\nssl = no\npassdb {{\n driver = static\n args = password=x\n}}\n{}",
        snippet("dovecot.conf")
    );
    site.lab.write("dovecot.conf", &dovecot);
    let said =
        stdout(Command::new("doveconf").args(["-c", &site.path("dovecot.conf"), "service/imap-login"]));
    assert!(said.contains("service_count = 0"), "{said}");
    let mut dovecot = site.namespace.command("/usr/sbin/dovecot");
    dovecot.args(["-F", "-c", &site.path("dovecot.conf")]);
    let _dovecot = Daemon::start(dovecot);
    let log_of_nginx = site.path("access.log");
    let nginx = format!(
        "daemon off;\npid {base}/nginx.pid;\nevents {{}}\nhttp {{\n{}server {{ listen {SITE}:80; return 200 well; }}\n}}\n",
        snippet("nginx.conf").replace("/var/log/nginx/access.log", &log_of_nginx)
    );
    site.lab.write("nginx.conf", &nginx);
    let mut nginx = site.namespace.command("/usr/sbin/nginx");
    nginx.args(["-c", &site.path("nginx.conf"), "-e", &site.path("error.log")]);
    let _nginx = Daemon::start(nginx);

    let server = site.waypost("type = \"imap\"");
    let left = || site.read("dovecot.log").matches("Aborted login by logging out").count();
    wait_for("ten polite probes", Duration::from_secs(20), || (left() >= 10).then_some(()));
    let found = found_by("dovecot", &site.path("dovecot.log"));
    assert!(found.contains(" 0 matched"), "{found}");
    // To this one everybody is an attacker who leaves without a login.
    let found = found_by("dovecot[mode=aggressive]", &site.path("dovecot.log"));
    assert!(!found.contains(" 0 matched"), "{found}");
    server.stop();

    let server = site.waypost("type = \"http\"\nhost = \"www.example.com\"");
    site.wait_for(&server, 20, &["UP", "HTTP 200"]);
    let url = format!("http://{SITE}/");
    let stranger = ["-sS", "--interface", SITE, &url];
    assert_eq!(stdout(site.namespace.command("curl").args(stranger)), "well");
    let log = wait_for("the stranger's line", Duration::from_secs(5), || {
        Some(site.read("access.log")).filter(|log| !log.is_empty())
    });
    assert!(log.lines().all(|line| line.starts_with(SITE)), "{log}");
    server.stop();
}
