//! Services of a site that can die and come back at the same address.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A small HTTP or SMTP service.
pub struct Service {
    pub address: SocketAddr,
    kind: Kind,
    connections: Arc<AtomicUsize>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

#[derive(Clone, Copy)]
pub enum Kind {
    Http,
    Smtp,
}

impl Service {
    pub fn start(kind: Kind, address: &str, port: u16) -> Service {
        let address = SocketAddr::new(address.parse().unwrap(), port);
        let mut service = Service { address, kind, connections: Arc::default(), running: None };
        service.up();
        service
    }

    /// How many connections it has had.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Listens, if it doesn't.
    pub fn up(&mut self) {
        if self.running.is_some() {
            return;
        }
        let listener = TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, connections, kind) = (Arc::clone(&stop), Arc::clone(&self.connections), self.kind);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                connections.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                    let _ = match kind {
                        Kind::Http => http(stream),
                        Kind::Smtp => smtp(stream),
                    };
                });
            }
        });
        self.running = Some((stop, thread));
    }

    /// Closes its socket: connections are refused, as by a host whose service died.
    pub fn down(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.down();
    }
}

fn http(mut stream: impl Read + Write) -> std::io::Result<()> {
    let mut request = [0; 2048];
    let _ = stream.read(&mut request)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
}

fn smtp(mut stream: impl Read + Write) -> std::io::Result<()> {
    stream.write_all(b"220 mx.example.com ESMTP\r\n")?;
    let mut line = [0; 512];
    loop {
        let length = stream.read(&mut line)?;
        let said = line[..length].to_ascii_uppercase();
        if length == 0 {
            return Ok(());
        } else if said.starts_with(b"QUIT") {
            return stream.write_all(b"221 bye\r\n");
        }
        stream.write_all(b"250 mx.example.com\r\n")?;
    }
}
