//! The client's side of the opening handshake (RFC 6455 §4.1), for the load generator and the tests.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::accept_key::{AcceptKey, KEY_BYTES, NONCE_BYTES};
use crate::http::{Fields, HeaderError, Status, field};

/// More than a server has to say.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// As many fields as this server would take.
const HEADERS_MAX: usize = 100;

/// A `Sec-WebSocket-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// Invariant: the base64 of 16 bytes.
    text: String,
}

impl ClientKey {
    /// The key for a nonce, which should be random.
    pub fn new(nonce: [u8; NONCE_BYTES]) -> ClientKey {
        let text = STANDARD.encode(nonce);
        debug_assert_eq!(text.len(), KEY_BYTES);
        ClientKey { text }
    }

    /// A key that was written before; `None` if it is not the base64 of 16 bytes.
    pub fn parse(text: &str) -> Option<ClientKey> {
        AcceptKey::answer(text).map(|_| ClientKey { text: text.to_owned() })
    }

    /// The key as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The request for an upgrade. `headers` follow the fields of the handshake itself: `Origin`, `Authorization`,
/// `Sec-WebSocket-Protocol`.
pub fn request(
    host: &str,
    target: &str,
    key: &ClientKey,
    headers: &[(&str, &str)],
) -> Result<Vec<u8>, HeaderError> {
    // The same rule as for a field value, and no space, which would end the target.
    if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HeaderError::Value);
    }
    let mut out = format!("GET {target} HTTP/1.1\r\n").into_bytes();
    let own = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key.as_str()),
    ];
    for &(name, value) in own.iter().chain(headers) {
        field(&mut out, name, value)?;
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// What the server agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAccepted<'b> {
    /// The subprotocol it chose.
    pub subprotocol: Option<&'b str>,
}

/// Why a response is not the answer to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientError {
    /// The head is no HTTP/1.1 response, or too long.
    Malformed,
    /// Another status than 101.
    Refused(Status),
    /// `Upgrade` and `Connection` do not say that the connection speaks WebSocket now.
    NoUpgrade,
    /// `Sec-WebSocket-Accept` does not prove that the server read the key.
    AcceptKey,
    /// An extension that was not offered.
    Extension,
    /// A subprotocol that was not offered.
    Subprotocol,
}

/// Checks the response that `bytes` begins with, and says how many bytes its head took; frames follow. `Ok(None)`: it
/// is not complete. `offered` are the subprotocols of the request.
pub fn verify<'b>(
    bytes: &'b [u8],
    key: &ClientKey,
    offered: &[&str],
) -> Result<Option<(ClientAccepted<'b>, usize)>, ClientError> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() < HEAD_BYTES_MAX { Ok(None) } else { Err(ClientError::Malformed) };
    };
    let head_len = end + 4;
    let head = &bytes[..head_len];
    let mut table = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut table);
    if response.parse(head) != Ok(httparse::Status::Complete(head_len)) || response.version != Some(1) {
        return Err(ClientError::Malformed);
    }
    let status = response.code.and_then(Status::new).ok_or(ClientError::Malformed)?;
    if status != Status::SWITCHING_PROTOCOLS {
        return Err(ClientError::Refused(status));
    }
    let start = memchr::memchr(b'\n', head).map_or(head_len, |at| at + 1);
    let lines = head[start..].strip_suffix(b"\r\n").unwrap_or_default();
    let subprotocol = check(Fields::new(lines), key, offered)?;
    Ok(Some((ClientAccepted { subprotocol }, head_len)))
}

/// Checks the fields of a 101 and returns the subprotocol it names.
fn check<'b>(fields: Fields<'b>, key: &ClientKey, offered: &[&str]) -> Result<Option<&'b str>, ClientError> {
    if !fields.has_token("upgrade", "websocket") || !fields.has_token("connection", "upgrade") {
        return Err(ClientError::NoUpgrade);
    }
    let proof = fields.only("sec-websocket-accept").ok().flatten().map(str::as_bytes);
    let expected = AcceptKey::answer(key.as_str());
    debug_assert!(expected.is_some(), "a key of ours has no answer");
    if expected.is_none() || proof != expected.as_ref().map(AcceptKey::as_bytes) {
        return Err(ClientError::AcceptKey);
    }
    // The request offers none.
    if fields.list("sec-websocket-extensions").next().is_some() {
        return Err(ClientError::Extension);
    }
    match fields.only("sec-websocket-protocol") {
        Ok(Some(name)) if offered.contains(&name) => Ok(Some(name)),
        Ok(None) => Ok(None),
        Ok(Some(_)) | Err(_) => Err(ClientError::Subprotocol),
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Malformed => f.write_str("answer is not an HTTP/1.1 response"),
            ClientError::Refused(status) => write!(f, "upgrade refused with {status}"),
            ClientError::NoUpgrade => f.write_str("answer does not upgrade to websocket"),
            ClientError::AcceptKey => f.write_str("Sec-WebSocket-Accept does not answer the key"),
            ClientError::Extension => f.write_str("answer has an extension that was not offered"),
            ClientError::Subprotocol => f.write_str("answer has a subprotocol that was not offered"),
        }
    }
}

impl std::error::Error for ClientError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{Origins, Rules, accept};
    use crate::http::{Head, HeadLimits};

    fn key() -> ClientKey {
        ClientKey::new(*b"the sample nonce")
    }

    #[test]
    fn a_key_reads_back_and_nothing_else_is_one() {
        assert_eq!(ClientKey::parse(key().as_str()), Some(key()));
        assert_eq!(ClientKey::parse("c2hvcnQ="), None);
    }

    #[test]
    fn what_one_side_writes_the_other_accepts() {
        let bytes = request("h", "/ws?a=b", &key(), &[("Sec-WebSocket-Protocol", "x, b")]).unwrap();
        let (head, len) = Head::parse(&bytes, 0, &HeadLimits::default()).unwrap().unwrap();
        assert_eq!((head.target(), len), ("/ws?a=b", bytes.len()));
        let spoken = ["a".to_owned(), "b".to_owned()];
        let origins = Origins::SameOrigin;
        let rules = Rules {
            origins: &origins,
            subprotocols: &spoken,
            subprotocol_required: true,
            secure: false,
            deflate: None,
        };
        let mut answer = Vec::new();
        accept(&head, &rules).unwrap().encode(&mut answer);
        let head_len = answer.len();
        answer.extend_from_slice(b"\x81\x00");
        for cut in 0..head_len {
            assert_eq!(verify(&answer[..cut], &key(), &["x", "b"]), Ok(None));
        }
        let accepted = ClientAccepted { subprotocol: Some("b") };
        assert_eq!(verify(&answer, &key(), &["x", "b"]), Ok(Some((accepted, head_len))));
    }

    #[test]
    fn an_answer_that_breaks_a_rule_is_refused() {
        const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
        const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let cases = [
            ("HTTP/1.1 426 Upgrade Required\r\n", "", "", ClientError::Refused(Status::UPGRADE_REQUIRED)),
            ("HTTP/1.0 101 Switching Protocols\r\n", UPGRADE, ACCEPT, ClientError::Malformed),
            ("HTTP/1.1 999 What\r\n", UPGRADE, ACCEPT, ClientError::Malformed),
            ("SSH-2.0\r\n", "", "", ClientError::Malformed),
            ("HTTP/1.1 101 OK\r\n", "Upgrade: websocket\r\n", ACCEPT, ClientError::NoUpgrade),
            ("HTTP/1.1 101 OK\r\n", "Connection: upgrade\r\n", ACCEPT, ClientError::NoUpgrade),
            ("HTTP/1.1 101 OK\r\n", UPGRADE, "", ClientError::AcceptKey),
            ("HTTP/1.1 101 OK\r\n", UPGRADE, "Sec-WebSocket-Accept: x\r\n", ClientError::AcceptKey),
        ];
        for (line, upgrade, accept, expected) in cases {
            let answer = format!("{line}{upgrade}{accept}\r\n");
            assert_eq!(verify(answer.as_bytes(), &key(), &[]), Err(expected), "{answer:?}");
        }
        for (field, expected) in [
            ("Sec-WebSocket-Extensions: permessage-deflate\r\n", ClientError::Extension),
            ("Sec-WebSocket-Protocol: other\r\n", ClientError::Subprotocol),
        ] {
            let answer = format!("HTTP/1.1 101 OK\r\n{UPGRADE}{ACCEPT}{field}\r\n");
            assert_eq!(verify(answer.as_bytes(), &key(), &["mine"]), Err(expected), "{answer:?}");
        }
    }

    #[test]
    fn an_endless_answer_is_refused() {
        assert_eq!(verify(&[b'a'; HEAD_BYTES_MAX], &key(), &[]), Err(ClientError::Malformed));
    }

    #[test]
    fn nothing_given_can_add_to_the_request() {
        assert_eq!(request("h\r\nX: y", "/", &key(), &[]), Err(HeaderError::Value));
        assert_eq!(request("h", "/ HTTP/1.1\r\nX: y", &key(), &[]), Err(HeaderError::Value));
        assert_eq!(request("h", "ws", &key(), &[]), Err(HeaderError::Value));
        assert_eq!(request("h", "/", &key(), &[("X:", "y")]), Err(HeaderError::Name));
    }
}
