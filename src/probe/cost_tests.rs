//! What probing many targets costs: `cargo test --lib cost_of_probing -- --ignored --nocapture`.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc as threads;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

use super::{Check, Encryption, Http, Job, Mail, Prober, ProberOptions, Protocol, Spec};
use crate::health::{Outcome, Pace, ProbeKey, Report, Subject, Tick};
use crate::route::model::Family;
use crate::wire::name::Name;

const INTERVAL: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(20);

/// Ports of a server that listens on all of 127.0.0.0/8: HTTP, SMTP, and one that only accepts.
type Ports = [u16; 3];

#[test]
#[ignore = "a measurement of a minute"]
fn cost_of_probing() {
    let ports = servers();
    for targets in [1_000, 10_000] {
        let (cpu, sent, bad) = thread::spawn(move || measured(targets, ports)).join().unwrap();
        let per_minute = cpu.as_secs_f64() * 60.0 / MEASURED.as_secs_f64();
        let wanted = f64::from(targets) * MEASURED.as_secs_f64() / INTERVAL.as_secs_f64();
        let kept = sent as f64 / wanted;
        println!("{targets} targets: {per_minute:.1} CPU s/min, {kept:.3} of the probes due, {bad} bad");
        // Waits are up to a tenth shorter than the interval.
        assert!(bad == 0 && (0.95..1.12).contains(&kept));
    }
}

/// CPU time of the prober's thread, probes sent, and those that weren't healthy.
fn measured(targets: u32, ports: Ports) -> (Duration, u64, usize) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (sender, mut reports) = mpsc::channel::<(ProbeKey, Report, Tick)>(10_000);
        let bad = tokio::spawn(async move {
            let mut bad = 0;
            while let Some((_, report, _)) = reports.recv().await {
                bad += usize::from(report.outcome != Outcome::Healthy);
            }
            bad
        });
        let prober = Prober::new(&ProberOptions::default(), sender, Handle::current());
        prober.apply((0..targets).map(|nth| job(nth, ports)).collect());
        // The first probes come at once.
        tokio::time::sleep(INTERVAL * 2).await;
        let (before, sent) = (cpu(), prober.figures().sent);
        tokio::time::sleep(MEASURED).await;
        let figures = (cpu() - before, prober.figures().sent - sent);
        drop(prober);
        (figures.0, figures.1, bad.await.unwrap())
    })
}

/// A third each of HTTP, SMTP and TCP, every one at an address of its own.
fn job(nth: u32, [http, smtp, tcp]: Ports) -> Job {
    let check = match nth % 3 {
        0 => Check::Http(Http { port: http, ..Http::get("www.example.com") }),
        1 => {
            let (protocol, encryption) = (Protocol::Smtp, Encryption::None);
            Check::Mail(Mail { protocol, port: smtp, encryption, ehlo: None })
        }
        _ => Check::Tcp { port: tcp },
    };
    let pace = Pace { interval: INTERVAL, ..Pace::default() };
    let spec = Spec { name: "probe".to_owned(), check, pace, tripwire: Some(false) };
    let zone = Name::parse("example.com.", None).unwrap();
    let subject = Subject { zone, target: format!("t{nth}"), family: Family::V4 };
    let key = ProbeKey { subject, probe: spec.name.clone() };
    Job { key, address: IpAddr::V4(Ipv4Addr::from(0x7f01_0000 + nth)), spec }
}

/// Time that this thread has run, by the scheduler's account.
fn cpu() -> Duration {
    let account = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(account.split(' ').next().unwrap().parse().unwrap())
}

/// Servers in a thread of their own, whose time isn't the prober's.
fn servers() -> Ports {
    let (sender, ports) = threads::channel();
    thread::spawn(move || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let mut bound = Vec::new();
            for _ in 0..3 {
                bound.push(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap());
            }
            sender.send(std::array::from_fn(|nth| bound[nth].local_addr().unwrap().port())).unwrap();
            let [http, smtp, tcp] = <[TcpListener; 3]>::try_from(bound).unwrap();
            tokio::join!(accept(http, false), accept(smtp, true), async {
                while tcp.accept().await.is_ok() {}
            });
        });
    });
    let ports = ports.recv().unwrap();
    // Bound; let it come to accepting.
    let started = Instant::now();
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, ports[0])).is_err() {
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    ports
}

async fn accept(listener: TcpListener, is_smtp: bool) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move { if is_smtp { smtp(stream).await } else { http(stream).await } });
    }
}

async fn http(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 1024]).await;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
}

async fn smtp(mut stream: TcpStream) {
    let _ = stream.write_all(b"220 mx.example.com\r\n").await;
    for reply in [&b"250 mx.example.com\r\n"[..], b"221 bye\r\n"] {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(reply).await;
    }
}
