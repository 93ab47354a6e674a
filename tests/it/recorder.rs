//! An HTTP server that keeps what it is sent, and answers as a test wants.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::wait_for;

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub path: String,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// A status, and further lines of the header.
    Status(u16, &'static str),
    /// Never.
    Silence,
}

/// The running server. It ends with the process.
pub struct Recorder {
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    requests: Vec<Request>,
    replies: BTreeMap<String, VecDeque<Reply>>,
    /// Connections that nobody answers.
    silent: Vec<TcpStream>,
}

impl Recorder {
    pub fn start() -> Recorder {
        Recorder::at("127.0.0.1:0".parse().unwrap())
    }

    pub fn at(address: SocketAddr) -> Recorder {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Mutex<Shared>>::default();
        let kept = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || answer(stream, &kept));
            }
        });
        Recorder { address, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the next requests for a path so, one after the other; later ones with 200.
    pub fn reply(&self, path: &str, replies: &[Reply]) {
        self.shared.lock().unwrap().replies.entry(path.to_owned()).or_default().extend(replies);
    }

    /// What came for a path so far.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let shared = self.shared.lock().unwrap();
        shared.requests.iter().filter(|request| request.path == path).cloned().collect()
    }

    /// Waits until so many requests for a path have come.
    pub fn wait_for(&self, path: &str, count: usize) -> Vec<Request> {
        let what = format!("{count} requests for {path}");
        wait_for(&what, Duration::from_secs(15), || {
            let requests = self.requests(path);
            (requests.len() >= count).then_some(requests)
        })
    }
}

fn answer(stream: TcpStream, shared: &Mutex<Shared>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let reply = {
        let mut shared = shared.lock().unwrap();
        let reply = shared.replies.get_mut(&path).and_then(VecDeque::pop_front);
        shared.requests.push(Request { at: Instant::now(), path, headers, body });
        reply.unwrap_or(Reply::Status(200, ""))
    };
    match reply {
        Reply::Status(status, header) => {
            let text =
                format!("HTTP/1.1 {status} So\r\n{header}content-length: 2\r\nconnection: close\r\n\r\nok");
            (&stream).write_all(text.as_bytes()).ok()?;
        }
        Reply::Silence => shared.lock().unwrap().silent.push(stream),
    }
    Some(())
}
