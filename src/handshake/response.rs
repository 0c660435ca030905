//! The answer to an opening handshake that broke no rule.

use super::accept_key::AcceptKey;
use super::negotiate::DeflateAgreement;
use crate::http::is_token;

/// An accepted opening handshake: what the `101` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'r> {
    /// The proof for the client.
    pub key: AcceptKey,
    /// The subprotocol agreed on, one of the endpoint's own.
    ///
    /// Invariant: a token; [`accept`](super::accept) compared it with one.
    pub subprotocol: Option<&'r str>,
    /// How messages are compressed, if they are.
    pub deflate: Option<DeflateAgreement>,
}

impl Accepted<'_> {
    /// Appends the `101` to `out`. From its last byte on the connection speaks WebSocket.
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.subprotocol.is_none_or(is_token), "{:?} would break the answer", self.subprotocol);
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        );
        out.extend_from_slice(self.key.as_bytes());
        if let Some(subprotocol) = self.subprotocol {
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(subprotocol.as_bytes());
        }
        if let Some(deflate) = &self.deflate {
            out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
            deflate.encode(out);
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::DeflateTerms;
    use crate::http::Fields;
    use crate::ws::deflate::WindowBits;

    fn encoded(subprotocol: Option<&str>, deflate: Option<DeflateAgreement>) -> String {
        let key = AcceptKey::answer("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        let mut out = Vec::new();
        Accepted { key, subprotocol, deflate }.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_answer_proves_that_the_key_was_read() {
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(encoded(None, None), expected);
    }

    #[test]
    fn the_answer_names_the_subprotocol_agreed_on() {
        assert!(encoded(Some("v12.stomp"), None).ends_with("=\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n"));
    }

    #[test]
    fn the_answer_tells_how_messages_are_compressed() {
        let terms = DeflateTerms {
            server_takeover: true,
            client_takeover: false,
            server_window: WindowBits::MAX,
            client_window: WindowBits::MAX,
        };
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n";
        let answer = encoded(None, terms.agree(Fields::new(offer)));
        let expected = "=\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; \
            server_max_window_bits=10\r\n\r\n";
        assert!(answer.ends_with(expected), "{answer}");
    }
}
