//! The client's side of TLS with a hand on every record: it says what no library would.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundPlainMessage,
};
use rustls::crypto::ring::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::ring::default_provider;
use rustls::{
    ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::arena::transcript;
use crate::support::secure::{Certificate, connection, shake_hands, written};

/// The largest record there may be (RFC 8446 §5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Type, version, length.
const HEADER_BYTES: usize = 5;

/// A connection whose handshake is complete for this side.
pub(crate) struct Sealed {
    encrypter: Box<dyn MessageEncrypter>,
    sealed: u64,
    opener: Opener,
    /// What has not been sent yet: with TLS 1.3 the client's last word of the handshake, and what was sealed since.
    flight: Vec<u8>,
}

/// Reads what the server says.
pub(crate) struct Opener {
    decrypter: Box<dyn MessageDecrypter>,
    opened: u64,
}

impl Sealed {
    pub(crate) fn begin(
        stream: &mut TcpStream,
        certificate: &Certificate,
        version: &'static SupportedProtocolVersion,
    ) -> Sealed {
        // With this one a key may be used in any order and for anything.
        let cipher_suites =
            vec![TLS13_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256];
        let provider = CryptoProvider { cipher_suites, ..default_provider() };
        let mut config = certificate.client_of(provider, version, &[]);
        config.enable_secret_extraction = true;
        let mut connection = connection(&Arc::new(config));
        shake_hands(&mut connection, stream);
        let flight = written(&mut connection);
        let suite = connection.negotiated_cipher_suite().expect("a handshake");
        let secrets = connection.dangerous_extract_secrets().expect("they may be extracted");
        let ((sealed, own), (opened, other)) = (secrets.tx, secrets.rx);
        let ((own_key, own_iv), (key, iv)) = (parts(own), parts(other));
        let (encrypter, decrypter) = match suite {
            SupportedCipherSuite::Tls13(suite) => {
                (suite.aead_alg.encrypter(own_key, own_iv), suite.aead_alg.decrypter(key, iv))
            }
            SupportedCipherSuite::Tls12(suite) => {
                let encrypter = suite.aead_alg.encrypter(own_key, own_iv.as_ref(), &[]);
                (encrypter, suite.aead_alg.decrypter(key, iv.as_ref()))
            }
        };
        Sealed { encrypter, sealed, opener: Opener { decrypter, opened }, flight }
    }

    /// Adds a record, which may be longer than allowed.
    #[must_use]
    pub(crate) fn record(mut self, kind: ContentType, payload: &[u8]) -> Sealed {
        let version = ProtocolVersion::TLSv1_2;
        let message = OutboundPlainMessage { typ: kind, version, payload: payload.into() };
        let record = self.encrypter.encrypt(message, self.sealed).expect("a record");
        self.sealed += 1;
        self.flight.extend(record.encode());
        self
    }

    /// Adds application data, in as many records as that takes.
    #[must_use]
    pub(crate) fn data(self, bytes: &[u8]) -> Sealed {
        bytes
            .chunks(RECORD_BYTES_MAX)
            .fold(self, |sealed, chunk| sealed.record(ContentType::ApplicationData, chunk))
    }

    /// Adds bytes as they are.
    #[must_use]
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Sealed {
        self.flight.extend(bytes);
        self
    }

    /// Changes what was added last.
    #[must_use]
    pub(crate) fn spoiled(mut self) -> Sealed {
        *self.flight.last_mut().expect("a record") ^= 1;
        self
    }

    /// What is to be sent, and what reads the answers.
    pub(crate) fn parts(self) -> (Vec<u8>, Opener) {
        (self.flight, self.opener)
    }
}

impl Opener {
    /// All that the server has said in words: what was sealed as a [`transcript`], then its alerts.
    pub(crate) fn words(mut self, mut bytes: Vec<u8>) -> String {
        let (mut data, mut alerts) = (Vec::new(), String::new());
        while !bytes.is_empty() {
            let len = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
            let mut record: Vec<u8> = bytes.drain(..HEADER_BYTES + len).collect();
            let kind = ContentType::from(record[0]);
            let sealed =
                InboundOpaqueMessage::new(kind, ProtocolVersion::TLSv1_2, &mut record[HEADER_BYTES..]);
            let message = self.decrypter.decrypt(sealed, self.opened).expect("a sound record");
            self.opened += 1;
            match (message.typ, message.payload) {
                (ContentType::ApplicationData, bytes) => data.extend_from_slice(bytes),
                (ContentType::Alert, [_, description]) => alerts += &format!(" alert:{description}"),
                // Tickets for the next connection.
                (kind, _) => assert_eq!(kind, ContentType::Handshake),
            }
        }
        transcript(data) + &alerts
    }
}

fn parts(secrets: ConnectionTrafficSecrets) -> (AeadKey, Iv) {
    let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else {
        unreachable!("no other cipher is offered")
    };
    (key, iv)
}
