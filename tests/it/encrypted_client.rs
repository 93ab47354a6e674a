//! Clients of DNS over TLS and over QUIC that do as they are told, wrong things too.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(10);

/// RFC 9539 3.2: who the server is doesn't matter; that it has the key does.
#[derive(Debug)]
struct Opportunistic(Arc<CryptoProvider>);

impl ServerCertVerifier for Opportunistic {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn config(alpn: &[&str]) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Opportunistic(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// A stream inside TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Connects, offering these protocols; the handshake is done.
pub fn try_tls(server: SocketAddr, alpn: &[&str]) -> std::io::Result<Tls> {
    let name = ServerName::try_from("ns1.example.com").unwrap();
    let connection = ClientConnection::new(Arc::new(config(alpn)), name).unwrap();
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = StreamOwned::new(connection, stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

pub fn tls(server: SocketAddr) -> Tls {
    try_tls(server, &["dot"]).unwrap()
}

/// Sends octets in a stream and reads a message behind its length.
pub fn exchange(stream: &mut (impl Read + Write), octets: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(octets)?;
    stream.flush()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// A QUIC client, with what it remembers of servers.
pub struct Quic {
    runtime: Runtime,
    endpoint: quinn::Endpoint,
}

impl Quic {
    pub fn new() -> Quic {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _guard = runtime.enter();
        let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let mut tls = config(&["doq"]);
        tls.enable_early_data = true;
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let mut transport = quinn::TransportConfig::default();
        // A connection that says nothing, and lives.
        transport.keep_alive_interval(Some(Duration::from_millis(100)));
        config.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(config);
        drop(_guard);
        Quic { runtime, endpoint }
    }

    pub fn connect(&self, server: SocketAddr) -> Result<Connected<'_>, quinn::ConnectionError> {
        let connection =
            self.wait(async { self.endpoint.connect(server, "ns1.example.com").unwrap().await })?;
        Ok(Connected { client: self, connection })
    }

    /// Whether it could send data before the handshake is done.
    pub fn has_early_data(&self, server: SocketAddr) -> bool {
        let _guard = self.runtime.enter();
        self.endpoint.connect(server, "ns1.example.com").unwrap().into_0rtt().is_ok()
    }

    fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, what).await.expect("in time") })
    }
}

/// A connection of it.
pub struct Connected<'q> {
    client: &'q Quic,
    connection: quinn::Connection,
}

impl Connected<'_> {
    /// Sends octets in a stream of their own, and its end; reads until the answer's.
    pub fn exchange(&self, octets: &[u8]) -> Option<Vec<u8>> {
        self.exchange_all(&[octets]).pop().unwrap()
    }

    /// Likewise, all at the same time.
    pub fn exchange_all(&self, messages: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let one = |octets: &[u8]| {
            let (connection, octets) = (self.connection.clone(), octets.to_vec());
            self.client.runtime.spawn(async move {
                let (mut send, mut receive) = connection.open_bi().await.ok()?;
                send.write_all(&octets).await.ok()?;
                send.finish().ok()?;
                receive.read_to_end(1 << 20).await.ok()
            })
        };
        let tasks: Vec<_> = messages.iter().map(|octets| one(octets)).collect();
        tasks.into_iter().map(|task| self.client.wait(task).unwrap()).collect()
    }

    /// The code with which the server closes.
    pub fn closed(&self) -> u64 {
        match self.client.wait(self.connection.closed()) {
            quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into(),
            other => panic!("{other}"),
        }
    }
}
