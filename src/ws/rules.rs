//! What this end demands of each frame: of its header, and of its place in a message.

use super::error::ProtocolError;
use super::header::{self, Header};
use super::message::{FrameKind, Role};

/// RSV1 has no meaning unless an extension gives it one, and none is negotiated.
const ALLOW_RSV1: bool = false;

/// The rules of one decoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) role: Role,
    /// Of a message's payload, all fragments together.
    pub(super) message_bytes_max: usize,
}

impl Rules {
    /// The header at the start of `bytes`, see [`header::parse`].
    #[inline]
    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Option<Header>, ProtocolError> {
        header::parse(bytes, self.role, ALLOW_RSV1)
    }

    /// Whether a frame may come now, `message_len` bytes into a message or between two (`None`), and whether the
    /// message stays within its limit. Returns the length of the frame's payload.
    #[inline]
    pub(super) fn admit(&self, header: &Header, message_len: Option<usize>) -> Result<usize, ProtocolError> {
        let payload_len = usize::try_from(header.payload_len).map_err(|_| ProtocolError::MessageTooBig)?;
        let kept_len = match (header.opcode.kind(), message_len) {
            (FrameKind::Control(_), _) => return Ok(payload_len),
            (FrameKind::Message(_), None) => 0,
            (FrameKind::Continuation, Some(len)) => len,
            (FrameKind::Message(_), Some(_)) => return Err(ProtocolError::ContinuationMissing),
            (FrameKind::Continuation, None) => return Err(ProtocolError::ContinuationUnexpected),
        };
        if payload_len > self.message_bytes_max.saturating_sub(kept_len) {
            return Err(ProtocolError::MessageTooBig);
        }
        Ok(payload_len)
    }
}
