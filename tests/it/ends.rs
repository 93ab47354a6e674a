//! The end of a server: told to, dropped, and with something in the way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waypost::daemon::{Daemon, Options};

use crate::lab::{Lab, stdout, wait_for};

/// Nobody who manages services is less patient.
const PATIENCE: Duration = Duration::from_secs(10);

const ZONE: &str = "\
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 127.0.0.1
";

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("zones/example.com.zone", ZONE);
    lab
}

#[test]
fn a_server_that_is_dropped_leaves_nothing_running() {
    let lab = lab();
    let start = || {
        let options = Options {
            config: lab.path("waypost.toml"),
            state: Some(lab.path("state")),
            ..Options::default()
        };
        Daemon::start(options).unwrap()
    };
    for is_stopped in [false, true, false] {
        let daemon = start();
        let address = daemon.addresses()[0];
        let published = Arc::clone(daemon.control().published());
        if is_stopped {
            daemon.stop()
        } else {
            drop(daemon)
        }
        // Whoever answers, writes, counts or is asked over the local API has one of these.
        let is_alone = || (Arc::strong_count(&published) == 1).then_some(());
        wait_for("all threads and tasks have ended", Duration::from_secs(5), is_alone);
        UdpSocket::bind(address).unwrap();
        assert!(lab.path("state/health.json").exists(), "the state is kept");
        assert!(lab.path("state/zones/example.com.zone").exists());
    }
}

#[test]
fn a_disk_that_hangs_holds_up_the_end_for_a_while_only() {
    let lab = lab();
    let server = lab.start();
    // Who opens it for writing waits for a reader, and nobody reads.
    stdout(Command::new("mkfifo").arg(lab.path("state/health.new")));
    let began = Instant::now();
    let log = server.stop_and_read();
    assert!(began.elapsed() < PATIENCE, "{:?}\n{log}", began.elapsed());
    assert!(log.contains("the disk doesn't take the state within 7s"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

/// Asks for so much, and takes it so slowly, that the server would be busy for half an hour.
fn slow_reader(server: SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let query = b"\0\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x10\0\x01";
    stream.write_all(&query.repeat(500)).unwrap();
    std::thread::spawn(move || {
        let mut some = [0; 8192];
        while stream.read(&mut some).is_ok_and(|octets| octets > 0) {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

#[test]
fn a_client_that_takes_its_answers_slowly_holds_up_the_end_for_a_while_only() {
    let lab = lab();
    let strings = format!("\"{}\" ", "x".repeat(250)).repeat(230);
    lab.write("zones/example.com.zone", &format!("{ZONE}@ TXT ( {strings} )\n"));
    let server = lab.start();
    slow_reader(server.address);
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let log = server.stop_and_read();
    let took = began.elapsed();
    assert!(took > Duration::from_secs(2), "{took:?}: nobody was waited for");
    assert!(took < PATIENCE, "{took:?}\n{log}");
    assert!(!log.contains("left behind"), "{log}");
}
