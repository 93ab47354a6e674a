//! A scratch directory with a configuration, the real binary running on it, and clients.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::BinDecodable;

/// Real networks of the three regions in the database that is shipped.
pub const TW: &str = "1.160.0.0/24";
pub const MY: &str = "175.136.0.0/24";
pub const VN: &str = "113.160.0.0/24";

/// The program under test.
pub fn waypost() -> Command {
    Command::new(env!("CARGO_BIN_EXE_waypost"))
}

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; ./test installs what is missing"))
}

/// Standard output as text; the command must succeed.
pub fn stdout(command: &mut Command) -> String {
    let output = output(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?} failed\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Waits until `condition` gives something; panics with `what` when it takes longer.
pub fn wait_for<T>(what: &str, at_most: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < at_most, "not within {at_most:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody has on any of these addresses, by UDP or TCP. It lies below the ports that
/// the system gives to clients, so that no connection of another test takes it meanwhile.
pub fn free_port(addresses: &[&str]) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 15_000 + (std::process::id() % 1_000) as u16 * 15;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        let is_free = addresses.iter().all(|address| {
            let address = SocketAddr::new(address.parse().unwrap(), port);
            UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
        });
        if is_free {
            return port;
        }
    }
}

/// A configuration in a directory of its own.
pub struct Lab {
    pub directory: tempfile::TempDir,
}

impl Lab {
    /// Regions tw, my and vn by the shipped database and by loopback addresses; no zones yet.
    pub fn new() -> Lab {
        let lab = Lab { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(lab.path("zones")).unwrap();
        fs::copy(repository().join("geoip/country.mmdb"), lab.path("country.mmdb")).unwrap();
        lab.write("waypost.toml", CONFIG);
        lab
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.directory.path().join(inside)
    }

    /// Writes beside the place and renames, as editors and `git` do.
    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        let fresh = path.with_extension("fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    pub fn start(&self) -> Server {
        Server::start(self.directory.path(), None)
    }

    /// A server whose clock of the world is off, by `-60d` for example.
    pub fn start_with_clock(&self, off: &str) -> Server {
        // The tool stays between a program and its signals, so it only says where its library is.
        let library = stdout(Command::new("faketime").args(["-f", off, "printenv", "LD_PRELOAD"]));
        let mut command = waypost();
        command.arg("run").env("LD_PRELOAD", library.trim()).env("FAKETIME", off);
        command.env("DONT_FAKE_MONOTONIC", "1");
        Server::start_with(self.directory.path(), command)
    }
}

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
zones = "zones"
state = "state"
identity = "ns1.example.com"
inspect = ["127.0.0.0/8"]

[geoip]
database = "country.mmdb"

[regions.tw]
countries = ["TW"]
networks = ["127.0.0.2/32"]

[regions.my]
countries = ["MY"]
networks = ["127.0.0.3/32"]

[regions.vn]
countries = ["VN"]
networks = ["127.0.0.4/32"]
"#;

/// The running binary.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts it in a directory and waits until it answers.
    pub fn start(directory: &Path, listen: Option<SocketAddr>) -> Server {
        let mut command = waypost();
        if let Some(listen) = listen {
            command.args(["run", "--listen", &listen.to_string()]);
        } else {
            command.arg("run");
        }
        Server::start_with(directory, command)
    }

    /// Starts it by a command of the test's own.
    pub fn start_with(directory: &Path, mut command: Command) -> Server {
        command.current_dir(directory);
        let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = wait_for("the server answers", Duration::from_secs(20), || {
            let log = log.lock().unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended, {status}\n{log}");
            }
            let line = log.lines().find(|line| line.contains("\"answering\""))?;
            let record: serde_json::Value = serde_json::from_str(line).ok()?;
            record["listen"].as_str()?.split(' ').next()?.parse().ok()
        });
        Server { child, address, log }
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait_for(&format!("the log says {text:?}\n"), Duration::from_secs(10), || {
            self.log().contains(text).then_some(())
        });
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        stdout(Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]));
    }

    /// Ends it without any chance to tidy up.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as service managers do; it must end well.
    pub fn stop(self) {
        self.stop_and_read();
    }

    /// The same, and what it wrote to standard error.
    pub fn stop_and_read(mut self) -> String {
        self.signal("TERM");
        let status = wait_for("the server ends", Duration::from_secs(10), || self.child.try_wait().unwrap());
        // Its last words may still be in the pipe.
        let is_read = || Arc::strong_count(&self.log) == 1;
        wait_for("its log is read", Duration::from_secs(10), || is_read().then_some(()));
        assert!(status.success(), "{status}\n{}", self.log());
        self.log()
    }

    /// Asks by UDP.
    pub fn ask(&self, name: &str, rtype: &str) -> Answer {
        Ask::new(name, rtype).to(self.address)
    }

    /// Asks by UDP for a client in a network (ECS).
    pub fn ask_from(&self, name: &str, rtype: &str, network: &str) -> Answer {
        Ask::new(name, rtype).subnet(network).to(self.address)
    }

    /// `dig CH TXT NAME`: the lines.
    pub fn inspect(&self, name: &str, subnet: Option<&str>) -> Vec<String> {
        let mut dig = Command::new("dig");
        dig.args([&format!("@{}", self.address.ip()), "-p", &self.address.port().to_string()]);
        dig.args(["+short", "+tcp", "+time=5", "+tries=1", "CH", "TXT", name]);
        if let Some(subnet) = subnet {
            dig.arg(format!("+subnet={subnet}"));
        }
        let joined = |line: &str| line.replace("\" \"", "").trim_matches('"').replace("\\\"", "\"");
        stdout(&mut dig).lines().map(joined).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", self.log());
        }
    }
}

/// hickory-proto reads fewer escapes than zone files have.
fn hickory_name(text: &str) -> Name {
    use waypost::wire::name::Name as Wire;
    let name = Wire::parse(text, Some(&Wire::root())).unwrap();
    Name::from_bytes(name.as_wire()).unwrap()
}

/// A question on its way.
pub struct Ask {
    name: Name,
    rtype: RecordType,
    subnet: Option<ClientSubnet>,
    payload: Option<u16>,
    source: IpAddr,
    tcp: bool,
    dnssec_ok: bool,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub message: Message,
    pub octets: usize,
}

impl Ask {
    pub fn new(name: &str, rtype: &str) -> Ask {
        Ask {
            name: hickory_name(name),
            rtype: RecordType::from_str(rtype).unwrap(),
            subnet: None,
            payload: Some(1232),
            source: Ipv4Addr::LOCALHOST.into(),
            tcp: false,
            dnssec_ok: false,
        }
    }

    pub fn subnet(mut self, network: &str) -> Ask {
        let network: ipnet::IpNet = network.parse().unwrap();
        self.subnet = Some(ClientSubnet::new(network.network(), network.prefix_len(), 0));
        self
    }

    pub fn payload(mut self, octets: Option<u16>) -> Ask {
        self.payload = octets;
        self
    }

    pub fn from(mut self, source: &str) -> Ask {
        self.source = source.parse().unwrap();
        self
    }

    /// With DO: a resolver that validates says what it found.
    pub fn dnssec_ok(mut self) -> Ask {
        self.dnssec_ok = true;
        self
    }

    pub fn tcp(mut self) -> Ask {
        self.tcp = true;
        self
    }

    pub fn to(&self, server: SocketAddr) -> Answer {
        self.try_to(server).unwrap_or_else(|error| panic!("{} {}: {error}", self.name, self.rtype))
    }

    pub fn try_to(&self, server: SocketAddr) -> std::io::Result<Answer> {
        let id = std::process::id() as u16 ^ 0x5a5a;
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        // A resolver answers nothing else; we don't mind.
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.rtype));
        if let Some(payload) = self.payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            edns.set_dnssec_ok(self.dnssec_ok);
            if let Some(subnet) = self.subnet {
                edns.options_mut().insert(EdnsOption::Subnet(subnet));
            }
            message.set_edns(edns);
        }
        let query = message.to_vec().unwrap();
        let octets = if self.tcp { self.over_tcp(server, &query)? } else { self.over_udp(server, &query)? };
        let message = Message::from_vec(&octets).unwrap();
        assert_eq!(message.metadata.id, id);
        Ok(Answer { message, octets: octets.len() })
    }

    fn over_udp(&self, server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let socket = UdpSocket::bind((self.source, 0))?;
        socket.set_read_timeout(Some(Duration::from_secs(3)))?;
        socket.connect(server)?;
        socket.send(query)?;
        let mut octets = vec![0; 65_535];
        let length = socket.recv(&mut octets)?;
        octets.truncate(length);
        Ok(octets)
    }

    fn over_tcp(&self, server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], query].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut octets)?;
        Ok(octets)
    }
}

impl Answer {
    /// RDATA of the answer section, sorted.
    pub fn data(&self) -> Vec<String> {
        let mut data: Vec<String> =
            self.message.answers.iter().map(|record| record.data.to_string()).collect();
        data.sort();
        data
    }

    pub fn ttl(&self) -> u32 {
        self.message.answers.first().expect("an answer").ttl
    }

    pub fn rcode(&self) -> String {
        format!("{:?}", self.message.metadata.response_code)
    }

    /// SCOPE PREFIX-LENGTH of the client subnet in the answer.
    pub fn scope(&self) -> Option<u8> {
        use hickory_proto::rr::rdata::opt::EdnsCode;
        match self.message.edns.as_ref()?.option(EdnsCode::Subnet)? {
            EdnsOption::Subnet(subnet) => Some(subnet.scope_prefix()),
            _ => None,
        }
    }
}
