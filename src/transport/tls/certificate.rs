//! The certificate and the key by which the server shows who it is.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::{self, Ticketer};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError as Verdict, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::files::{CertificateError, CertificateFiles};
use super::session::Tls;
use crate::rooms::Timestamp;

/// The only protocol spoken inside TLS (RFC 7301): WebSockets begin with HTTP/1.1.
pub(super) const ALPN: &[u8] = b"http/1.1";

/// Certificate and key, ready for handshakes; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    config: Arc<ServerConfig>,
    path: Arc<Path>,
    /// The certificate itself comes first.
    chain: Arc<[CertificateDer<'static>]>,
}

impl Certificate {
    /// Reads the files. Blocks on the disk.
    ///
    /// # Errors
    /// [`CertificateError`], if a file cannot be read or holds something else, or if the two do not belong together.
    pub(crate) fn load(files: &CertificateFiles) -> Result<Certificate, CertificateError> {
        let CertificateFiles { certificate, key } = files;
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
            .map_err(|error| CertificateError::of_file(certificate, "certificate", &error))?;
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| CertificateError::of_file(key, "private key", &error))?;
        let config = server_config(chain.clone(), private);
        let problem =
            |error: rustls::Error| format!("does not go with the key in {}: {error}", key.display());
        match config {
            Ok(config) => Ok(Certificate { config, path: certificate.as_path().into(), chain: chain.into() }),
            Err(error) => Err(CertificateError::new(certificate, problem(error))),
        }
    }

    /// Begins a connection.
    pub(in crate::transport) fn begin(&self) -> Result<Tls, rustls::Error> {
        Ok(Tls::new(ServerConnection::new(self.config.clone())?))
    }

    /// Whether it is the same certificate as another; the key and the chain may differ.
    pub(crate) fn is_same_as(&self, other: &Certificate) -> bool {
        self.chain.first() == other.chain.first()
    }

    /// Whether clients will refuse it for its dates.
    ///
    /// # Errors
    /// [`CertificateError`] names the file and the date.
    pub(crate) fn check_dates(&self) -> Result<(), CertificateError> {
        let date = |time: UnixTime| {
            let mut text = Vec::new();
            Timestamp::from_micros(time.as_secs().saturating_mul(1_000_000)).encode(&mut text);
            // The day is enough.
            String::from_utf8_lossy(text.get(..10).unwrap_or_default()).into_owned()
        };
        let problem = match self.verdict() {
            Some(Verdict::ExpiredContext { not_after, .. }) => format!("has expired on {}", date(not_after)),
            Some(Verdict::NotValidYetContext { not_before, .. }) => {
                format!("is not valid before {}", date(not_before))
            }
            Some(Verdict::Expired) => "has expired".to_owned(),
            Some(Verdict::NotValidYet) => "is not valid yet".to_owned(),
            Some(_) | None => return Ok(()),
        };
        Err(CertificateError::new(&self.path, problem + ": clients refuse it"))
    }

    /// What a client would say of the certificate that trusts it. The dates are what is judged first; what else is found
    /// wrong (the name, above all) says nothing here.
    fn verdict(&self) -> Option<Verdict> {
        let (leaf, others) = self.chain.split_first()?;
        let mut roots = RootCertStore::empty();
        roots.add(leaf.clone()).ok()?;
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        let name = ServerName::try_from("localhost").ok()?;
        match verifier.verify_server_cert(leaf, others, &name, &[], UnixTime::now()) {
            Err(rustls::Error::InvalidCertificate(verdict)) => Some(verdict),
            Ok(_) | Err(_) => None,
        }
    }
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Clients that reconnect (after an outage of their network, all at once) cost no signature: it is the dearest part
    // of a handshake.
    config.ticketer = Ticketer::new()?;
    Ok(Arc::new(config))
}

impl CertificateError {
    pub(super) fn of_file(path: &Path, what: &str, error: &pem::Error) -> CertificateError {
        let problem = if let pem::Error::Io(error) = error {
            format!("cannot be read: {error}")
        } else if matches!(error, pem::Error::NoItemsFound) {
            format!("holds no {what}")
        } else {
            format!("is not PEM with a {what}: {error}")
        };
        CertificateError::new(path, problem)
    }
}
