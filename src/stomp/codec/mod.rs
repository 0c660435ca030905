//! STOMP frames in their three versions, without I/O.
//!
//! | file | subject |
//! |---|---|
//! | `decoder` | from bytes, however they are cut, to frames |
//! | `frame` | one frame, lent out of those bytes |
//! | `writer` | from headers and a body to bytes |
//! | `escape` | what a header line can hold in which version |
//! | `error` | the rules that a frame can break |

mod decoder;
mod error;
mod escape;
mod frame;
mod writer;

pub(crate) use decoder::{Decoder, FrameLimits};
pub(crate) use error::FrameError;
pub(crate) use escape::Escaping;
pub(crate) use frame::Frame;
pub(crate) use writer::FrameWriter;

/// The header that tells how long a body is.
pub(crate) const CONTENT_LENGTH: &str = "content-length";
const RECEIPT: &str = "receipt";

/// The header that tells which versions a client speaks; one without it speaks the first.
pub(crate) const ACCEPT_VERSION: &str = "accept-version";

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V10,
    V11,
    V12,
}

impl Version {
    /// The newest first.
    pub(crate) const ALL: [Version; 3] = [Version::V12, Version::V11, Version::V10];

    /// As in `accept-version` and `version`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Version::V10 => "1.0",
            Version::V11 => "1.1",
            Version::V12 => "1.2",
        }
    }

    /// The name of its WebSocket subprotocol.
    pub(crate) const fn subprotocol(self) -> &'static str {
        match self {
            Version::V10 => "v10.stomp",
            Version::V11 => "v11.stomp",
            Version::V12 => "v12.stomp",
        }
    }
}

/// The first line of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Connect,
    Stomp,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
    Connected,
    Message,
    Receipt,
    Error,
}

impl Command {
    pub(crate) const ALL: [Command; 15] = [
        Command::Connect,
        Command::Stomp,
        Command::Send,
        Command::Subscribe,
        Command::Unsubscribe,
        Command::Ack,
        Command::Nack,
        Command::Begin,
        Command::Commit,
        Command::Abort,
        Command::Disconnect,
        Command::Connected,
        Command::Message,
        Command::Receipt,
        Command::Error,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Command::Connect => "CONNECT",
            Command::Stomp => "STOMP",
            Command::Send => "SEND",
            Command::Subscribe => "SUBSCRIBE",
            Command::Unsubscribe => "UNSUBSCRIBE",
            Command::Ack => "ACK",
            Command::Nack => "NACK",
            Command::Begin => "BEGIN",
            Command::Commit => "COMMIT",
            Command::Abort => "ABORT",
            Command::Disconnect => "DISCONNECT",
            Command::Connected => "CONNECTED",
            Command::Message => "MESSAGE",
            Command::Receipt => "RECEIPT",
            Command::Error => "ERROR",
        }
    }

    fn parse(line: &[u8]) -> Option<Command> {
        Command::ALL.into_iter().find(|command| command.name().as_bytes() == line)
    }

    /// Whether its headers are never escaped, since they decide how the others are.
    pub(crate) const fn is_plain(self) -> bool {
        matches!(self, Command::Connect | Command::Stomp | Command::Connected)
    }

    /// Whether it may have a body.
    pub(crate) const fn has_body(self) -> bool {
        matches!(self, Command::Send | Command::Message | Command::Error)
    }
}
