//! A client over TLS (`rustls`), and certificates for the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use foghorn::config::Config;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use super::{PATIENCE, Raw, TestServer};

/// A stream that the tests read and write as plaintext.
pub(crate) type Secure = StreamOwned<ClientConnection, TcpStream>;

/// What the server is called.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A certificate for the server and its key, as files.
#[derive(Debug)]
pub(crate) struct Certificate {
    directory: TempDir,
    pub(crate) der: CertificateDer<'static>,
}

impl Certificate {
    pub(crate) fn new() -> Certificate {
        let directory = tempfile::tempdir().expect("a directory");
        let mut certificate = Certificate { directory, der: CertificateDer::from(Vec::new()) };
        certificate.renew();
        certificate
    }

    /// Puts another one in the place of the files.
    pub(crate) fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned)).expect("a certificate");
        std::fs::write(self.certificate(), made.cert.pem()).expect("a file");
        std::fs::write(self.key(), made.signing_key.serialize_pem()).expect("a file");
        self.der = made.cert.der().clone();
    }

    /// Puts one in the place of the files that was good until the end of 2019; clients go on to expect the old one.
    pub(crate) fn expire(&self) {
        let mut parameters = rcgen::CertificateParams::new(NAMES.map(str::to_owned)).expect("names");
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = parameters.self_signed(&key).expect("a certificate");
        std::fs::write(self.certificate(), made.pem()).expect("a file");
        std::fs::write(self.key(), key.serialize_pem()).expect("a file");
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Has a server show it.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.tls.certificate = Some(self.certificate());
        config.tls.key = Some(self.key());
    }

    /// A client that trusts this certificate alone, and what it says by ALPN.
    pub(crate) fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        Arc::new(self.client_of(default_provider(), version, alpn))
    }

    /// As [`Certificate::client`], with ciphers of its own.
    pub(crate) fn client_of(
        &self,
        provider: CryptoProvider,
        version: &'static SupportedProtocolVersion,
        alpn: &[&str],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// A client of TLS 1.3.
    pub(crate) fn connection(&self) -> ClientConnection {
        connection(&self.client(&TLS13, &["http/1.1"]))
    }

    /// Connects; the handshake comes with the first bytes.
    pub(crate) fn connect(&self, address: SocketAddr) -> Secure {
        StreamOwned::new(self.connection(), tcp(address))
    }

    /// As [`Certificate::connect`], with TLS 1.2.
    pub(crate) fn connect_1_2(&self, address: SocketAddr) -> Secure {
        StreamOwned::new(connection(&self.client(&TLS12, &[])), tcp(address))
    }

    /// A WebSocket on `path` of the server's TLS port.
    pub(crate) fn open(&self, server: &TestServer, path: &str) -> Raw<Secure> {
        Raw::on(self.connect(server.tls_address())).upgraded(path)
    }
}

pub(crate) fn connection(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(config.clone(), ServerName::try_from("localhost").expect("a name"))
        .expect("a client")
}

/// Does what there is to do until the handshake is complete, but keeps back what the client says last.
pub(crate) fn shake_hands(connection: &mut ClientConnection, stream: &mut (impl Read + Write)) {
    while connection.is_handshaking() {
        while connection.wants_write() {
            connection.write_tls(stream).expect("the server takes it");
        }
        if connection.is_handshaking() {
            connection.read_tls(stream).expect("an answer");
            connection.process_new_packets().expect("a fine answer");
        }
    }
}

/// What the client has to say, in records.
pub(crate) fn written(connection: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).expect("a vector");
    }
    bytes
}

/// A TCP connection that nobody waits for in vain.
pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
    stream
}

/// Says one byte at a time.
#[derive(Debug)]
pub(crate) struct Bytewise(pub(crate) TcpStream);

impl Read for Bytewise {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

impl Write for Bytewise {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
