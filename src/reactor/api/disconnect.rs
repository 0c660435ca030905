//! How a session ended.

use crate::limit_hits::Limit;
use crate::ws::{CloseCode, ProtocolError};

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// The peer sent a Close frame, with this code if any.
    PeerClosed(Option<CloseCode>),
    /// The connection ended without a Close frame.
    PeerGone,
    /// The server closed it with this code.
    Closed(CloseCode),
    /// The peer broke the protocol.
    Protocol(ProtocolError),
    /// Nothing came for too long, not even an answer to a ping.
    Idle,
    /// A message was begun and not finished in time.
    UnfinishedMessage,
    /// The peer takes nothing of what was sent to it.
    Stalled,
    /// The peer sent more than this limit allows.
    OverLimit(Limit),
    /// What waited for or from the peer in memory was more than all together may have.
    Memory,
    /// The member fell behind its room.
    TooSlow,
    /// The handler panicked.
    HandlerFailed,
    /// The server shuts down.
    Shutdown,
}

impl std::fmt::Display for Disconnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Disconnect::PeerClosed(Some(code)) => write!(f, "closed by the peer with {}", code.get()),
            Disconnect::PeerClosed(None) => f.write_str("closed by the peer"),
            Disconnect::PeerGone => f.write_str("connection lost"),
            Disconnect::Closed(code) => write!(f, "closed with {}", code.get()),
            Disconnect::Protocol(error) => write!(f, "protocol error: {error}"),
            Disconnect::Idle => f.write_str("silent for too long"),
            Disconnect::UnfinishedMessage => f.write_str("message not finished in time"),
            Disconnect::Stalled => f.write_str("takes no data"),
            Disconnect::OverLimit(limit) => write!(f, "more than {}", limit.key()),
            Disconnect::Memory => f.write_str("too much waited in memory"),
            Disconnect::TooSlow => f.write_str("too slow for its room"),
            Disconnect::HandlerFailed => f.write_str("handler failed"),
            Disconnect::Shutdown => f.write_str("server shuts down"),
        }
    }
}
