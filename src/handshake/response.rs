//! The answer to an opening handshake that broke no rule.

use super::AcceptKey;

/// An accepted opening handshake: what the `101` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'r> {
    /// The proof for the client.
    pub key: AcceptKey,
    /// The subprotocol agreed on, one of the endpoint's own.
    ///
    /// Invariant: a token; [`accept`](super::accept) compared it with one.
    pub subprotocol: Option<&'r str>,
}

impl Accepted<'_> {
    /// Appends the `101` to `out`. From its last byte on the connection speaks WebSocket.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        );
        out.extend_from_slice(self.key.as_bytes());
        if let Some(subprotocol) = self.subprotocol {
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(subprotocol.as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(subprotocol: Option<&str>) -> String {
        let key = AcceptKey::answer("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        let mut out = Vec::new();
        Accepted { key, subprotocol }.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_answer_proves_that_the_key_was_read() {
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(encoded(None), expected);
    }

    #[test]
    fn the_answer_names_the_subprotocol_agreed_on() {
        assert!(encoded(Some("v12.stomp")).ends_with("=\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n"));
    }
}
