//! Probes of real mail and web servers: what Postfix, Dovecot and nginx say to a well-behaved
//! client, what they log of it, and how soon their death is known.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use waypost::health::{Outcome, Pace, ProbeKey, Report, Subject};
use waypost::probe::{
    Asker, Check, Encryption, Http, Job, Mail, Prober, ProberOptions, Protocol, Spec, Tls, TlsVersion,
};
use waypost::route::model::Family;
use waypost::wire::name::Name;

use crate::lab::{free_port, stdout, wait_for};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Their directory, readable to the users that they become; with a certificate for mail.example.com.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        let place = Place { directory: tempfile::tempdir().unwrap() };
        fs::set_permissions(place.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        place.certificate("mail", 90);
        place.certificate("short", 3);
        place
    }

    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.directory.path().join(name), text).unwrap();
        self.path(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    /// Mail that Postfix took, as it is in its queue.
    pub fn held(&self) -> Vec<String> {
        let queue = stdout(Command::new("find").arg(self.path("postfix/queue/hold")).args(["-type", "f"]));
        let etc = self.path("postfix/etc");
        queue.lines().map(|path| stdout(Command::new("/usr/sbin/postcat").args(["-c", &etc, path]))).collect()
    }

    fn certificate(&self, name: &str, days: u32) {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        openssl.args([
            "-subj",
            "/CN=mail.example.com",
            "-addext",
            "subjectAltName=DNS:mail.example.com,IP:127.0.0.1",
        ]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-days", &days.to_string()]);
        openssl.args([
            "-keyout",
            &self.path(&format!("{name}.key")),
            "-out",
            &self.path(&format!("{name}.pem")),
        ]);
        stdout(&mut openssl);
    }

    fn options(&self) -> ProberOptions {
        let root = |name| CertificateDer::from_pem_file(Path::new(&self.path(name))).unwrap();
        ProberOptions { extra_roots: vec![root("mail.pem"), root("short.pem")], ..ProberOptions::default() }
    }

    fn ask(&self, check: Check) -> Report {
        let pace = Pace { timeout: Duration::from_secs(10), ..Pace::default() };
        let spec = Spec { name: "probe".to_owned(), check, pace, tripwire: None };
        Runtime::new().unwrap().block_on(Asker::new(&self.options()).ask(HERE, "mail", &spec))
    }

    fn healthy(&self, check: Check) -> Report {
        let report = self.ask(check.clone());
        assert_eq!(report.outcome, Outcome::Healthy, "{check:?}: {report:?}");
        report
    }

    fn failed(&self, check: Check) -> String {
        let report = self.ask(check.clone());
        assert_eq!(report.outcome, Outcome::Failed, "{check:?}: {report:?}");
        report.evidence
    }
}

/// A server that is ended with all its processes: it leads its own group.
pub struct Peer {
    child: Child,
}

impl Peer {
    fn start(program: &str, arguments: &[&str], port: u16) -> Peer {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let spawned = command.process_group(0).spawn();
        let child = spawned.unwrap_or_else(|error| panic!("{program}: {error}; ./test installs it"));
        let peer = Peer { child };
        wait_for(&format!("{program} listens"), Duration::from_secs(20), || {
            std::net::TcpStream::connect(SocketAddr::new(HERE, port)).ok()
        });
        peer
    }

    /// SIGKILL to all of them at once, as when the machine's memory runs out.
    fn kill(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tls() -> Tls {
    Tls::of("mail.example.com")
}

fn mail(protocol: Protocol, port: u16, encryption: Encryption) -> Check {
    Check::Mail(Mail { protocol, port, encryption, ehlo: Some("ns1.example.com".to_owned()) })
}

/// Dovecot with all that it listens on.
pub struct Dovecot {
    peer: Peer,
    imap: u16,
    imaps: u16,
    pop3: u16,
    pop3s: u16,
    sieve: u16,
    lmtp: u16,
    /// Where Postfix asks what it may offer with AUTH.
    pub auth: u16,
}

pub fn dovecot(place: &Place, certificate: &str) -> Dovecot {
    let [imap, imaps, pop3, pop3s, sieve, lmtp, auth] = std::array::from_fn(|_| free_port(&["127.0.0.1"]));
    fs::create_dir_all(place.path("dovecot/state")).unwrap();
    let config = format!(
        "base_dir = {base}/run\nstate_dir = {base}/state\ninstance_name = probes\n\
         log_path = {log}\nprotocols = imap pop3 lmtp sieve\nlisten = 127.0.0.1\n\
         ssl = yes\nssl_cert = <{certificate}.pem\nssl_key = <{certificate}.key\n\
         passdb {{\n driver = static\n args = password=x\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={base}/%u\n}}\n\
         service imap-login {{\n inet_listener imap {{\n port = {imap}\n }}\n inet_listener imaps {{\n port = {imaps}\n ssl = yes\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n port = {pop3}\n }}\n inet_listener pop3s {{\n port = {pop3s}\n ssl = yes\n }}\n}}\n\
         service managesieve-login {{\n inet_listener sieve {{\n port = {sieve}\n }}\n}}\n\
         service lmtp {{\n inet_listener lmtp {{\n address = 127.0.0.1\n port = {lmtp}\n }}\n}}\n\
         service auth {{\n inet_listener {{\n address = 127.0.0.1\n port = {auth}\n }}\n}}\n",
        base = place.path("dovecot"),
        log = place.path("dovecot.log"),
        certificate = place.path(certificate),
    );
    let config = place.write("dovecot.conf", &config);
    let peer = Peer::start("/usr/sbin/dovecot", &["-F", "-c", &config], imap);
    Dovecot { peer, imap, imaps, pop3, pop3s, sieve, lmtp, auth }
}

#[test]
fn dovecot_in_all_its_protocols() {
    let place = Place::new();
    let dovecot = dovecot(&place, "mail");
    let starttls = || Encryption::StartTls(tls());
    let implicit = || Encryption::Implicit(tls());
    let plain = place.healthy(mail(Protocol::Imap, dovecot.imap, Encryption::None));
    assert!(plain.evidence.starts_with("* OK [CAPABILITY IMAP4rev1"), "{}", plain.evidence);
    for check in [
        mail(Protocol::Imap, dovecot.imap, starttls()),
        mail(Protocol::Imap, dovecot.imaps, implicit()),
        mail(Protocol::Pop3, dovecot.pop3, starttls()),
        mail(Protocol::Pop3, dovecot.pop3s, implicit()),
        mail(Protocol::Sieve, dovecot.sieve, starttls()),
    ] {
        let report = place.healthy(check);
        let days = report.figures.iter().find(|(name, _)| name == "certificate_days").unwrap().1;
        assert!((89.0..=90.0).contains(&days), "{report:?}");
    }
    place.healthy(mail(Protocol::Pop3, dovecot.pop3, Encryption::None));
    place.healthy(mail(Protocol::Sieve, dovecot.sieve, Encryption::None));
    place.healthy(mail(Protocol::Lmtp, dovecot.lmtp, Encryption::None));

    let other = Encryption::Implicit(Tls::of("imap.example.net"));
    assert!(place.failed(mail(Protocol::Imap, dovecot.imaps, other)).contains("not valid for name"));
    let log = wait_for("dovecot logs the ends", Duration::from_secs(10), || {
        let log = place.read("dovecot.log");
        (log.matches("Aborted login by logging out").count() == 8).then_some(log)
    });
    // Cut off was the connection by which the test saw that it listens, beside the handshake that
    // ended with an alert.
    let cut = log.lines().filter(|line| line.contains("Connection closed") && !line.contains("SSL_accept"));
    assert_eq!(cut.count(), 1, "{log}");
    assert!(log.contains("Logged out (state=READY)"), "{log}");
}

#[test]
fn a_certificate_that_ends_soon() {
    let place = Place::new();
    let dovecot = dovecot(&place, "short");
    let wanting = |days| Encryption::Implicit(Tls { days, ..tls() });
    place.healthy(mail(Protocol::Imap, dovecot.imaps, wanting(2)));
    let seen = place.failed(mail(Protocol::Imap, dovecot.imaps, wanting(7)));
    assert_eq!(seen, "the certificate expires in 2 days, wanted 7");
}

/// Postfix with SMTP, submission and submissions.
pub fn postfix(place: &Place, auth: u16) -> (Postfix, [u16; 3]) {
    let ports: [u16; 3] = std::array::from_fn(|_| free_port(&["127.0.0.1"]));
    let lines = format!(
        "inet_interfaces = 127.0.0.1\nmynetworks_style = host\nsmtpd_tls_cert_file = {cert}.pem\n\
         smtpd_tls_key_file = {cert}.key\nsmtpd_tls_security_level = may\nsmtpd_tls_auth_only = yes\n\
         smtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:{auth}\nlocal_recipient_maps =\n\
         header_checks = static:HOLD\n",
        cert = place.path("mail"),
    );
    let [smtp, submission, submissions] = ports;
    let service = |port: u16, options: &str| format!("127.0.0.1:{port} inet n - n - - smtpd{options}\n");
    let mut services = service(smtp, "");
    services += &service(submission, " -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes");
    services += &service(submissions, " -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes");
    let program = Command::new(Postfix::PROGRAM);
    let postfix = Postfix::start(program, &place.directory.path().join("postfix"), &services, &lines);
    wait_for("postfix listens", Duration::from_secs(20), || {
        std::net::TcpStream::connect(SocketAddr::new(HERE, smtp)).ok()
    });
    (postfix, ports)
}

/// A running Postfix, of which all is in one directory.
pub struct Postfix {
    etc: PathBuf,
}

impl Postfix {
    pub const PROGRAM: &str = "/usr/sbin/postfix";

    /// Sets one up in a directory, and starts it by the program `postfix`, wherever that runs. Those
    /// who listen are `services`, in lines of master.cf; `lines` are for main.cf.
    pub fn start(mut postfix: Command, base: &Path, services: &str, lines: &str) -> Postfix {
        let [etc, queue, data] = ["etc", "queue", "data"].map(|inside| base.join(inside));
        [&etc, &queue, &data].iter().for_each(|directory| fs::create_dir_all(directory).unwrap());
        stdout(Command::new("chown").arg("postfix").arg(&data));
        let base = base.display();
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {base}/queue\ndata_directory = {base}/data\n\
             maillog_file = {base}/mail.log\nmaillog_file_prefixes = {base}\nmyhostname = mail.example.com\n\
             mydestination =\ninet_protocols = ipv4\nsmtpd_peername_lookup = no\nalias_maps =\n\
             alias_database =\n{lines}"
        );
        let master = format!(
            "{services}\nsmtpd pass - - n - - smtpd\npostlog unix-dgram n - n - 1 postlogd\n\
             anvil unix - - n - 1 anvil\ntlsmgr unix - - n 1000? 1 tlsmgr\ncleanup unix n - n - 0 cleanup\n\
             proxymap unix - - n - - proxymap\nrewrite unix - - n - - trivial-rewrite\n"
        );
        fs::write(etc.join("main.cf"), main).unwrap();
        fs::write(etc.join("master.cf"), master).unwrap();
        stdout(postfix.arg("-c").arg(&etc).arg("start"));
        Postfix { etc }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = Command::new(Postfix::PROGRAM).arg("-c").arg(&self.etc).arg("abort").output();
    }
}

#[test]
fn postfix_takes_probes_for_clients_with_manners() {
    let place = Place::new();
    let dovecot = dovecot(&place, "mail");
    let (_postfix, [smtp, submission, submissions]) = postfix(&place, dovecot.auth);
    let plain = place.healthy(mail(Protocol::Smtp, smtp, Encryption::None));
    assert_eq!(plain.evidence, "220 mail.example.com ESMTP Postfix");
    let from_1_3 = Tls { least: TlsVersion::V1_3, ..tls() };
    let report = place.healthy(mail(Protocol::Smtp, smtp, Encryption::StartTls(from_1_3)));
    assert!(report.evidence.contains("(TLS 1.3, certificate for "), "{report:?}");
    place.healthy(mail(Protocol::Submission, submission, Encryption::StartTls(tls())));
    place.healthy(mail(Protocol::Submission, submissions, Encryption::Implicit(tls())));
    let seen = place.failed(mail(Protocol::Submission, smtp, Encryption::StartTls(tls())));
    assert_eq!(seen, "AUTH isn't offered over TLS");
    let log = wait_for("postfix logs the ends", Duration::from_secs(10), || {
        let log = place.read("postfix/mail.log");
        (log.matches("disconnect from").count() >= 6).then_some(log)
    });
    // Lost was the connection by which the test saw that it listens.
    assert_eq!(log.matches("lost connection").count(), 1, "{log}");
    assert!(log.contains("ehlo=2 starttls=1 quit=1"), "{log}");
}

/// nginx with a page over HTTPS.
pub fn nginx(place: &Place, protocols: &str) -> (Peer, u16) {
    let port = free_port(&["127.0.0.1"]);
    let config = format!(
        "daemon off;\npid {base}/nginx.pid;\nerror_log {base}/error.log info;\nevents {{}}\n\
         http {{\n access_log {base}/access.log;\n server {{\n listen 127.0.0.1:{port} ssl;\n \
         ssl_protocols {protocols};\n ssl_certificate {base}/mail.pem;\n ssl_certificate_key {base}/mail.key;\n \
         location / {{ return 200 well; }}\n location /moved {{ return 302 /; }}\n }}\n}}\n",
        base = place.directory.path().display(),
    );
    let config = place.write("nginx.conf", &config);
    (Peer::start("/usr/sbin/nginx", &["-c", &config, "-e", &place.path("error.log")], port), port)
}

#[test]
fn nginx_by_its_pages() {
    let place = Place::new();
    let (_nginx, port) = nginx(&place, "TLSv1.2");
    let page = |path: &str, least| Http {
        port,
        path: path.to_owned(),
        tls: Some(Tls { least, ..tls() }),
        ..Http::get("mail.example.com")
    };
    let body = Some("well".to_owned());
    let report = place.healthy(Check::Http(Http { body, ..page("/", TlsVersion::V1_2) }));
    assert!(report.evidence.starts_with("HTTP 200 (TLS 1.2, "), "{report:?}");
    let moved = Http { status: vec![(200, 200)], ..page("/moved", TlsVersion::V1_2) };
    assert_eq!(place.failed(Check::Http(moved.clone())), "HTTP 302, wanted 200");
    place.healthy(Check::Http(Http { follow: true, ..moved }));
    let seen = place.failed(Check::Http(page("/", TlsVersion::V1_3)));
    assert!(seen.starts_with("TLS"), "{seen}");
    let access = place.read("access.log");
    assert!(access.contains("(health probe)"), "{access}");
}

/// Probes every ten minutes, and tells how long after a server's death the next report came.
fn death_is_seen(place: &Place, check: Check, mut die: impl FnMut()) -> Duration {
    let runtime = Runtime::new().unwrap();
    let (sender, mut reports) = mpsc::channel(16);
    let prober = Prober::new(&place.options(), sender, runtime.handle().clone());
    let pace = Pace { interval: Duration::from_secs(600), ..Pace::default() };
    let spec = Spec { name: "probe".to_owned(), check, pace, tripwire: None };
    let zone = Name::parse("example.com.", None).unwrap();
    let subject = Subject { zone, target: "mail".to_owned(), family: Family::V4 };
    let key = ProbeKey { subject, probe: spec.name.clone() };
    prober.apply(vec![Job { key, address: HERE, spec }]);
    let mut next = |what: &str| {
        let waited = async { tokio::time::timeout(Duration::from_secs(10), reports.recv()).await };
        let report = runtime.block_on(waited).unwrap_or_else(|_| panic!("no report of {what}"));
        report.unwrap().1
    };
    assert_eq!(next("life").outcome, Outcome::Healthy);
    // The idle connection is greeted about when the first probe is.
    std::thread::sleep(Duration::from_secs(1));
    let died = Instant::now();
    die();
    let report = next("death");
    let took = died.elapsed();
    assert_eq!(report.outcome, Outcome::Failed, "{report:?}");
    took
}

#[test]
fn death_of_idle_servers_is_known_long_before_the_next_interval() {
    let place = Place::new();
    let (mut web, port) = nginx(&place, "TLSv1.3");
    let check = Check::Http(Http { port, tls: Some(tls()), ..Http::get("mail.example.com") });
    let took = death_is_seen(&place, check, || web.kill());
    println!("nginx: probed {took:?} after its death");
    let mut dovecot = dovecot(&place, "mail");
    let check = mail(Protocol::Imap, dovecot.imaps, Encryption::Implicit(tls()));
    let took_imap = death_is_seen(&place, check, || dovecot.peer.kill());
    println!("dovecot: probed {took_imap:?} after its death");
    assert!(took.max(took_imap) < Duration::from_secs(5), "{took:?} {took_imap:?}");
}
