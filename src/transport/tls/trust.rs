//! Which servers a client believes.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::certificate::ALPN;
use super::files::CertificateError;
use super::session::Tls;

/// What a client's connections begin with; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl Trust {
    /// Accepts the certificates for `server` that were signed by one in this file (PEM).
    ///
    /// # Errors
    /// If the file cannot be read or holds no certificate, or `server` is no name.
    pub(crate) fn of_file(authority: &Path, server: &str) -> Result<Trust, CertificateError> {
        let mut roots = RootCertStore::empty();
        let failed =
            |error: &rustls_pki_types::pem::Error| CertificateError::of_file(authority, "certificate", error);
        for certificate in CertificateDer::pem_file_iter(authority).map_err(|error| failed(&error))? {
            let certificate = certificate.map_err(|error| failed(&error))?;
            roots.add(certificate).map_err(|error| CertificateError::new(authority, error.to_string()))?;
        }
        Trust::new(Arc::new(roots), server)
    }

    /// Accepts the certificates for `server` that the system trusts: those of its own store, or of `SSL_CERT_FILE`.
    ///
    /// # Errors
    /// If the system trusts none, or `server` is no name.
    #[cfg(feature = "cli")]
    pub(crate) fn of_system(server: &str) -> Result<Trust, CertificateError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some systems have certificates that are too old to be read.
        let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map_or_else(|| "it has none".to_owned(), ToString::to_string);
            let error = format!("the system's certificates cannot be used ({why}); name a file with --ca");
            return Err(CertificateError::new(Path::new(server), error));
        }
        Trust::new(Arc::new(roots), server)
    }

    fn new(roots: Arc<RootCertStore>, server: &str) -> Result<Trust, CertificateError> {
        let wrong = |error: String| CertificateError::new(Path::new(server), error);
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let server = ServerName::try_from(server.to_owned()).map_err(|error| wrong(error.to_string()))?;
        Ok(Trust { config: Arc::new(config), server })
    }

    /// Accepts every certificate.
    ///
    /// # Errors
    /// If `server` is no name.
    pub(crate) fn blind(server: &str) -> Result<Trust, CertificateError> {
        let mut trust = Trust::new(Arc::new(RootCertStore::empty()), server)?;
        let mut config = ClientConfig::clone(&trust.config);
        config.dangerous().set_certificate_verifier(Arc::new(Blind));
        trust.config = Arc::new(config);
        Ok(trust)
    }

    /// The same for another server, which need not speak HTTP.
    ///
    /// # Errors
    /// If `server` is no name.
    #[cfg(feature = "redis")]
    pub(crate) fn for_server(&self, server: &str) -> Result<Trust, CertificateError> {
        let wrong = |error: rustls_pki_types::InvalidDnsNameError| {
            CertificateError::new(Path::new(server), error.to_string())
        };
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols.clear();
        let server = ServerName::try_from(server.to_owned()).map_err(wrong)?;
        Ok(Trust { config: Arc::new(config), server })
    }

    /// Shows who it is, where a server asks for that: a certificate and its private key (PEM).
    ///
    /// # Errors
    /// If a file cannot be read, or they do not go together.
    #[cfg(feature = "redis")]
    pub(crate) fn identified(mut self, certificate: &Path, key: &Path) -> Result<Trust, CertificateError> {
        let unread = |file: &Path, what: &str, error: &rustls_pki_types::pem::Error| {
            CertificateError::of_file(file, what, error)
        };
        let chain =
            CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| unread(certificate, "certificate", &error))?;
        let key_of = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, "private key", &error))?;
        let wrong = |error: rustls::Error| CertificateError::new(certificate, error.to_string());
        let shown = ring::default_provider().key_provider.load_private_key(key_of).map_err(wrong)?;
        let shown = rustls::sign::CertifiedKey::new(chain, shown);
        shown.keys_match().map_err(wrong)?;
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(shown));
        self.config = Arc::new(config);
        Ok(self)
    }

    /// Begins a connection.
    pub(in crate::transport) fn begin(&self) -> Result<Tls, rustls::Error> {
        Ok(Tls::new(self.connection()?))
    }

    /// As [`Trust::begin`], for a socket that blocks.
    pub(crate) fn connection(&self) -> Result<ClientConnection, rustls::Error> {
        ClientConnection::new(self.config.clone(), self.server.clone())
    }
}

/// Takes any certificate. The signatures of the handshake are checked all the same: they must go with it.
#[derive(Debug)]
struct Blind;

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
