//! DNS over QUIC (RFC 9250): each query has a stream of its own, so answers overtake each other as
//! the network has it.
//!
//! 0-RTT is off: RFC 9250 4.5 leaves it to servers, and a query that can be replayed tells an
//! onlooker what was asked.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream};
use quinn::{ServerConfig, TokioRuntime, TransportConfig, VarInt};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::Seat;
use crate::limits::{
    QUIC_FAREWELL, QUIC_QUERY_OCTETS, QUIC_RECEIVE_OCTETS, QUIC_SEND_OCTETS, QUIC_STREAMS, TCP_WRITE,
    TLS_HANDSHAKE,
};
use crate::serve::Service;

/// Octets of the length before a message (RFC 9250 4.2).
const LENGTH_OCTETS: usize = 2;

/// RFC 9250 4.3: nothing is wrong.
const DOQ_NO_ERROR: VarInt = VarInt::from_u32(0);
/// A defect of ours.
const DOQ_INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
/// The client did what it must not.
const DOQ_PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
/// The client is slower, or wants more, than this server bears.
const DOQ_EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// An endpoint for a socket. Connections end after `idle` without a packet; without a query, see
/// [`connection`].
pub(super) fn endpoint(
    socket: UdpSocket,
    config: Arc<QuicServerConfig>,
    idle: Duration,
) -> io::Result<Endpoint> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(QUIC_STREAMS.into())
        // DNS has none (RFC 9250 4.2), nor datagrams.
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .receive_window(QUIC_RECEIVE_OCTETS.into())
        .stream_receive_window(QUIC_RECEIVE_OCTETS.into())
        .send_window(QUIC_SEND_OCTETS)
        .max_idle_timeout(idle.try_into().ok());
    let mut server = ServerConfig::with_crypto(config);
    server.transport_config(Arc::new(transport));
    Endpoint::new(EndpointConfig::default(), Some(server), socket, Arc::new(TokioRuntime))
}

/// Accepts connections until the server ends.
pub(super) async fn serve<S: Service>(endpoint: Endpoint, seat: Rc<Seat<S>>) {
    let mut open = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            () = seat.stopped() => break,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        let peer = incoming.remote_address().ip();
        // Forged addresses would take the places of those whom they belong to (RFC 9000 8.1.2).
        if seat.connections.is_crowded(peer) && incoming.may_retry() {
            // The client that has just proved its address doesn't need to.
            let _ = incoming.retry();
            continue;
        }
        let Some(ticket) = seat.connections.enter(peer) else {
            incoming.refuse();
            continue;
        };
        let seat = Rc::clone(&seat);
        open.spawn_local(async move {
            let _ticket = ticket;
            if let Some(connected) = handshake(incoming).await {
                connection(&connected, &seat).await;
            }
        });
    }
    while open.join_next().await.is_some() {}
    endpoint.close(DOQ_NO_ERROR, b"");
    // Clients that are gone don't tell that they have seen it.
    let _ = timeout(QUIC_FAREWELL, endpoint.wait_idle()).await;
}

async fn handshake(incoming: Incoming) -> Option<Connection> {
    timeout(TLS_HANDSHAKE, incoming.accept().ok()?).await.ok()?.ok()
}

/// Stream after stream. Packets that keep a connection alive are no queries (RFC 9250 5.5.1).
async fn connection<S: Service>(connection: &Connection, seat: &Rc<Seat<S>>) {
    let mut streams = JoinSet::new();
    let mut deadline = Instant::now() + seat.idle;
    loop {
        let accepted = tokio::select! {
            () = seat.stopped() => break,
            Some(_) = streams.join_next(), if !streams.is_empty() => continue,
            accepted = timeout_at(deadline, connection.accept_bi()) => accepted,
        };
        let Ok(accepted) = accepted else { break };
        // The client closed, or QUIC did.
        let Ok((send, receive)) = accepted else { return };
        deadline = Instant::now() + seat.idle;
        // Now: clients move (RFC 9000 9), and answers depend on where they are.
        let peer = connection.remote_address().ip();
        let (connection, seat) = (connection.clone(), Rc::clone(seat));
        streams.spawn_local(async move {
            if let Err(code) = stream(send, receive, peer, &seat).await {
                connection.close(code, b"");
            }
        });
    }
    // Those that wait for the rest of a query don't get it in time any more.
    let _ = timeout(TCP_WRITE, async { while streams.join_next().await.is_some() {} }).await;
    connection.close(DOQ_NO_ERROR, b"");
}

/// One query and its answer. An error ends the connection.
async fn stream<S: Service>(
    mut send: SendStream,
    mut receive: RecvStream,
    peer: IpAddr,
    seat: &Seat<S>,
) -> Result<(), VarInt> {
    let query = timeout(seat.idle, receive.read_to_end(LENGTH_OCTETS + QUIC_QUERY_OCTETS)).await;
    let query = match query.map_err(|_| DOQ_EXCESSIVE_LOAD)? {
        Ok(query) => query,
        Err(quinn::ReadToEndError::TooLong) => return Err(DOQ_EXCESSIVE_LOAD),
        // The client thought better of it (RFC 9250 4.3.1), or is gone.
        Err(quinn::ReadToEndError::Read(_)) => return Ok(()),
    };
    if !is_one_query(&query) {
        return Err(DOQ_PROTOCOL_ERROR);
    }
    let answers = seat.answer(&seat.desks.quic, &query, peer).ok_or(DOQ_INTERNAL_ERROR)?;
    // What gets no answer is no query, or forbidden here as the keepalive option (RFC 9250 5.5.2).
    if answers.count == 0 {
        return Err(DOQ_PROTOCOL_ERROR);
    }
    let written = timeout(TCP_WRITE, send.write_all(&answers.octets)).await;
    seat.counters.written(answers.count, matches!(written, Ok(Ok(()))));
    match written {
        // RFC 9250 4.2: the end of the stream says that the answer is whole. An error here means
        // that the client wants it no more, or is gone.
        Ok(Ok(())) => drop(send.finish()),
        Ok(Err(_)) => {}
        Err(_) => return Err(DOQ_EXCESSIVE_LOAD),
    }
    Ok(())
}

/// Whether the octets of a stream are one message behind its length (RFC 9250 4.2), with the id 0
/// (4.2.1).
fn is_one_query(octets: &[u8]) -> bool {
    let Some((length, message)) = octets.split_first_chunk::<LENGTH_OCTETS>() else { return false };
    usize::from(u16::from_be_bytes(*length)) == message.len() && message.starts_with(&[0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9250_4_2_a_stream_is_one_message_with_the_id_0() {
        assert!(is_one_query(&[0, 4, 0, 0, 1, 2]));
        for octets in [
            &[][..],
            &[0],
            &[0, 0],
            &[0, 4, 0, 0, 1],
            &[0, 4, 0, 0, 1, 2, 3],
            &[0, 4, 0, 1, 1, 2],
            &[0, 4, 1, 0, 1, 2],
        ] {
            assert!(!is_one_query(octets), "{octets:?}");
        }
    }
}
