//! Why an opening handshake is refused, and the response that says so.

use std::fmt;

use crate::http::{Response, Status};

/// The rule that an opening handshake broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// An upgrade with a method other than `GET`.
    Method,
    /// An ordinary request, with a method other than `GET`.
    PlainMethod,
    /// HTTP/1.0, which has no upgrades.
    HttpVersion,
    /// A body, which the bytes behind the head would be mistaken for frames with.
    Body,
    /// An ordinary request.
    NoUpgrade,
    /// An upgrade without `Upgrade: websocket` or without the `Connection: Upgrade` that stands for it.
    HalfUpgrade,
    /// No `Sec-WebSocket-Version`.
    VersionMissing,
    /// More than one `Sec-WebSocket-Version`.
    VersionRepeated,
    /// `Sec-WebSocket-Version` is not exactly `13`.
    WebSocketVersion,
    /// No `Sec-WebSocket-Key`.
    KeyMissing,
    /// More than one `Sec-WebSocket-Key`.
    KeyRepeated,
    /// `Sec-WebSocket-Key` is not the base64 of 16 bytes.
    KeyMalformed,
    /// More than one `Origin`.
    OriginRepeated,
    /// An `Origin` that is not allowed.
    Origin,
    /// The endpoint requires a subprotocol and none was offered that it speaks.
    Subprotocol,
}

impl HandshakeError {
    /// The status of the answer.
    pub const fn status(self) -> Status {
        match self {
            HandshakeError::Method | HandshakeError::PlainMethod => Status::METHOD_NOT_ALLOWED,
            HandshakeError::NoUpgrade
            | HandshakeError::HalfUpgrade
            | HandshakeError::VersionMissing
            | HandshakeError::VersionRepeated
            | HandshakeError::WebSocketVersion => Status::UPGRADE_REQUIRED,
            HandshakeError::Origin | HandshakeError::OriginRepeated => Status::FORBIDDEN,
            HandshakeError::HttpVersion
            | HandshakeError::Body
            | HandshakeError::KeyMissing
            | HandshakeError::KeyRepeated
            | HandshakeError::KeyMalformed
            | HandshakeError::Subprotocol => Status::BAD_REQUEST,
        }
    }

    /// What was wrong, as static text.
    pub const fn message(self) -> &'static str {
        match self {
            HandshakeError::Method => "method of an upgrade is not GET",
            HandshakeError::PlainMethod => "this path speaks WebSocket only, which begins with GET",
            HandshakeError::HttpVersion => "upgrade over HTTP/1.0",
            HandshakeError::Body => "upgrade with a body",
            HandshakeError::NoUpgrade => "this path speaks WebSocket only",
            HandshakeError::HalfUpgrade => {
                "Upgrade: websocket or Connection: Upgrade is missing: a proxy may have dropped it"
            }
            HandshakeError::VersionMissing => "Sec-WebSocket-Version is missing",
            HandshakeError::VersionRepeated => "Sec-WebSocket-Version is repeated",
            HandshakeError::WebSocketVersion => "Sec-WebSocket-Version is not 13",
            HandshakeError::KeyMissing => "Sec-WebSocket-Key is missing",
            HandshakeError::KeyRepeated => "Sec-WebSocket-Key is repeated",
            HandshakeError::KeyMalformed => "Sec-WebSocket-Key is not the base64 of 16 bytes",
            HandshakeError::OriginRepeated => "Origin is repeated",
            HandshakeError::Origin => "origin is not allowed",
            HandshakeError::Subprotocol => "no supported subprotocol offered",
        }
    }

    /// The response. It ends the connection: after a refused upgrade it is unknown which protocol the next
    /// bytes speak.
    pub fn response(self) -> Response {
        let response = Response::text(self.status(), self.message()).close();
        match self {
            HandshakeError::Method | HandshakeError::PlainMethod => response.header("Allow", "GET"),
            HandshakeError::NoUpgrade | HandshakeError::HalfUpgrade => response.upgrade("websocket"),
            HandshakeError::VersionMissing
            | HandshakeError::VersionRepeated
            | HandshakeError::WebSocketVersion => {
                response.header("Sec-WebSocket-Version", "13").upgrade("websocket")
            }
            HandshakeError::HttpVersion
            | HandshakeError::Body
            | HandshakeError::KeyMissing
            | HandshakeError::KeyRepeated
            | HandshakeError::KeyMalformed
            | HandshakeError::OriginRepeated
            | HandshakeError::Origin
            | HandshakeError::Subprotocol => response,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for HandshakeError {}
