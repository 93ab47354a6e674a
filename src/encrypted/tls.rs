//! DNS over TLS (RFC 7858): a listener, and its connections.
//!
//! A connection's turn is that of TCP: read, answer all whole queries that came, write. Answers
//! leave in the order of their queries, since all are ready before these come.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Seat;
use crate::limits::{TCP_ACCEPT_PAUSE, TCP_KEPT_OCTETS, TCP_WRITE, TLS_HANDSHAKE};
use crate::serve::{Rest, Service};

/// Accepts connections until the server ends, and then waits a while for those that still write.
pub(super) async fn serve<S: Service>(listener: TcpListener, config: Arc<ServerConfig>, seat: Rc<Seat<S>>) {
    let acceptor = TlsAcceptor::from(config);
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = seat.stopped() => break,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // Without a file descriptor left, asking again at once would only spin.
            sleep(TCP_ACCEPT_PAUSE).await;
            continue;
        };
        let peer = peer.ip();
        // A refused connection is closed here, by the drop of its stream.
        let Some(ticket) = seat.connections.enter(peer) else { continue };
        let (acceptor, seat) = (acceptor.clone(), Rc::clone(&seat));
        open.spawn_local(async move {
            let _ticket = ticket;
            // What a client did to a connection is nothing that the server could mend.
            let _ = connection(stream, &acceptor, peer, &seat).await;
        });
    }
    drop(listener);
    // Whoever takes answers slowly, and has asked for many, doesn't hold up the end.
    let _ = timeout(TCP_WRITE, async { while open.join_next().await.is_some() {} }).await;
}

async fn connection<S: Service>(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    peer: IpAddr,
    seat: &Seat<S>,
) -> io::Result<()> {
    // Answers are written whole; there is nothing to wait for.
    stream.set_nodelay(true)?;
    let handshake = timeout(TLS_HANDSHAKE, acceptor.accept(stream));
    let mut stream = tokio::select! {
        () = seat.stopped() => return Ok(()),
        handshake = handshake => handshake??,
    };
    conversation(&mut stream, peer, seat).await?;
    // The client learns that nothing was cut off (close_notify).
    timeout(TCP_WRITE, stream.shutdown()).await?
}

/// Query after query, until one side has enough.
async fn conversation<S: Service>(
    stream: &mut TlsStream<TcpStream>,
    peer: IpAddr,
    seat: &Seat<S>,
) -> io::Result<()> {
    let mut input = Vec::new();
    let mut deadline = Instant::now() + seat.idle;
    loop {
        input.reserve(TCP_KEPT_OCTETS);
        let read = timeout_at(deadline, stream.read_buf(&mut input));
        let read = tokio::select! {
            () = seat.stopped() => return Ok(()),
            read = read => read,
        };
        // Silence (RFC 7766 6.2.3), or the client has said all.
        let Ok(octets) = read else { return Ok(()) };
        if octets? == 0 {
            return Ok(());
        }
        loop {
            let Some(answers) = seat.answer(&seat.desks.tls, &input, peer) else { return Ok(()) };
            input.drain(..answers.used);
            if answers.count > 0 {
                let written = timeout(TCP_WRITE, write(stream, &answers.octets)).await;
                seat.counters.written(answers.count, matches!(written, Ok(Ok(()))));
                written??;
                deadline = Instant::now() + seat.idle;
            }
            match answers.rest {
                Rest::Queries => {}
                Rest::Part => break,
                Rest::Garbage => return Ok(()),
            }
        }
        if input.is_empty() {
            input.shrink_to(TCP_KEPT_OCTETS);
        }
    }
}

async fn write(stream: &mut TlsStream<TcpStream>, octets: &[u8]) -> io::Result<()> {
    stream.write_all(octets).await?;
    stream.flush().await
}
