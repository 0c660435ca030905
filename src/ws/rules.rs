//! What this end demands of each frame: of its header, and of its place in a message.

use super::error::ProtocolError;
use super::header::{self, Header};
use super::message::{FrameKind, Role};

/// The rules of one decoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) role: Role,
    /// Of a message's payload, all fragments together.
    pub(super) message_bytes_max: usize,
    /// Whether messages may be compressed: nothing else gives RSV1 a meaning.
    pub(super) deflate: bool,
}

/// What has come of the message that a frame may belong to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    /// No message has begun.
    Nothing,
    /// This number of bytes of payload.
    Plain(usize),
    /// A compressed message; its limit is watched while it is inflated.
    Compressed,
}

impl Rules {
    /// The header at the start of `bytes`, see [`header::parse`].
    #[inline]
    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Option<Header>, ProtocolError> {
        header::parse(bytes, self.role, self.deflate)
    }

    /// Whether a frame may come now, and whether the message stays within its limit. Returns the length of the frame's
    /// payload.
    #[inline]
    pub(super) fn admit(&self, header: &Header, held: Held) -> Result<usize, ProtocolError> {
        let payload_len = usize::try_from(header.payload_len).map_err(|_| ProtocolError::MessageTooBig)?;
        let payload_len_max = match (header.opcode.kind(), held) {
            (FrameKind::Control(_), _) => return Ok(payload_len),
            (FrameKind::Message(_), Held::Nothing) if header.rsv1 => self.compressed_bytes_max(),
            (FrameKind::Message(_), Held::Nothing) => self.message_bytes_max,
            (FrameKind::Continuation, Held::Plain(len)) => self.message_bytes_max.saturating_sub(len),
            (FrameKind::Continuation, Held::Compressed) => self.compressed_bytes_max(),
            (FrameKind::Message(_), Held::Plain(_) | Held::Compressed) => {
                return Err(ProtocolError::ContinuationMissing);
            }
            (FrameKind::Continuation, Held::Nothing) => return Err(ProtocolError::ContinuationUnexpected),
        };
        if payload_len > payload_len_max {
            return Err(ProtocolError::MessageTooBig);
        }
        Ok(payload_len)
    }

    /// No compressor makes a message of the largest size longer than this; a frame that is longer need not be read to
    /// be refused.
    const fn compressed_bytes_max(&self) -> usize {
        self.message_bytes_max.saturating_add(self.message_bytes_max / 16).saturating_add(64)
    }
}
