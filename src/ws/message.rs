//! The words of RFC 6455: who receives, what a frame is for, and what the decoder hands out.

use std::mem;

use super::allowance::Allowance;
use super::buffer::{Buffer, Spares};
use super::close::Close;
use super::error::ProtocolError;
use super::text::Payload;
use super::utf8::InvalidUtf8;

/// Which end of the connection this is; it decides the direction of masking (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives masked frames, sends unmasked ones.
    Server,
    /// Receives unmasked frames, sends masked ones.
    Client,
}

/// What a frame is for (RFC 6455 §5.2). A reserved opcode has no value here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// Asks for a pong with the same payload.
    Ping = 0x9,
    /// Answers a ping, or says unasked that its sender is alive.
    Pong = 0xa,
}

impl OpCode {
    /// The low four bits of a frame's first byte; `None` for a reserved value.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<OpCode> {
        match bits {
            0x0 => Some(OpCode::Continuation),
            0x1 => Some(OpCode::Text),
            0x2 => Some(OpCode::Binary),
            0x8 => Some(OpCode::Close),
            0x9 => Some(OpCode::Ping),
            0xa => Some(OpCode::Pong),
            _ => None,
        }
    }

    /// The four bits on the wire.
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Close, ping and pong: never fragmented, at most 125 bytes of payload.
    #[inline]
    pub const fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }

    /// The same, sorted by what the decoder does with it.
    #[inline]
    pub(super) const fn kind(self) -> FrameKind {
        match self {
            OpCode::Continuation => FrameKind::Continuation,
            OpCode::Text => FrameKind::Message(MessageKind::Text),
            OpCode::Binary => FrameKind::Message(MessageKind::Binary),
            OpCode::Close => FrameKind::Control(ControlKind::Close),
            OpCode::Ping => FrameKind::Control(ControlKind::Ping),
            OpCode::Pong => FrameKind::Control(ControlKind::Pong),
        }
    }
}

/// The opcodes in their three families.
#[derive(Clone, Copy, Debug)]
pub(super) enum FrameKind {
    /// The first or only frame of a message.
    Message(MessageKind),
    /// A further one.
    Continuation,
    /// A frame that stands alone, also inside a fragmented message.
    Control(ControlKind),
}

/// Text or binary.
#[derive(Clone, Copy, Debug)]
pub(super) enum MessageKind {
    Text,
    Binary,
}

impl MessageKind {
    /// The event of a whole message. This is the one place where every message passes in one piece.
    #[inline]
    pub(super) fn event(self, payload: Payload<'_>) -> Result<Event<'_>, ProtocolError> {
        let message = match self {
            MessageKind::Text => match payload.text() {
                Ok(text) => Message::Text(text),
                Err(InvalidUtf8) => return Err(ProtocolError::TextNotUtf8),
            },
            MessageKind::Binary => Message::Binary(payload.bytes()),
        };
        Ok(Event::Message(message))
    }
}

/// Close, ping or pong.
#[derive(Clone, Copy, Debug)]
pub(super) enum ControlKind {
    Close,
    Ping,
    Pong,
}

impl ControlKind {
    /// The event of a whole control frame.
    #[inline]
    pub(super) fn event(self, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
        match self {
            ControlKind::Close => Close::parse(payload).map(Event::Close),
            ControlKind::Ping => Ok(Event::Ping(payload)),
            ControlKind::Pong => Ok(Event::Pong(payload)),
        }
    }
}

/// A whole message, lent out until the next poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Valid UTF-8.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl Message<'_> {
    /// The length of the payload in bytes.
    pub const fn len(&self) -> usize {
        match self {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the payload has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the decoder has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message, its fragments joined.
    Message(Message<'a>),
    /// A ping; the payload wants to be sent back in a pong.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// A close frame.
    Close(Close<'a>),
}

/// Bytes lent to the decoder; advances as it is read.
///
/// The decoder unmasks in place, so the bytes behind it are no longer what was received.
#[derive(Debug)]
pub struct Input<'i> {
    rest: &'i mut [u8],
    spares: Option<&'i mut Spares>,
    allowance: Allowance,
}

impl<'i> Input<'i> {
    /// All of `bytes`, unread.
    #[inline]
    pub const fn new(bytes: &'i mut [u8]) -> Self {
        Self { rest: bytes, spares: None, allowance: Allowance::UNLIMITED }
    }

    /// As [`Input::new`], with buffers for what has to be kept.
    #[inline]
    pub const fn with_spares(bytes: &'i mut [u8], spares: &'i mut Spares) -> Self {
        Self { rest: bytes, spares: Some(spares), allowance: Allowance::UNLIMITED }
    }

    /// Has at most about this number of bytes inflated from it. Once they have come out, polling returns `None`
    /// although bytes are left: these have to be the first of the next input, just as they lie there then.
    #[inline]
    #[must_use]
    pub const fn inflating_at_most(mut self, bytes: usize) -> Self {
        self.allowance = Allowance::new(bytes);
        self
    }

    /// The work that inflating has been so far, in bytes: what came out, and something for each message.
    #[inline]
    pub const fn inflated_bytes(&self) -> usize {
        self.allowance.spent()
    }

    /// How many bytes more were inflated than had been read for it.
    #[inline]
    pub const fn surplus_bytes(&self) -> usize {
        self.allowance.surplus()
    }

    /// Whether everything has been read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes have not been read.
    #[inline]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// The unread bytes, which stay unread.
    #[inline]
    pub(super) const fn rest(&self) -> &[u8] {
        self.rest
    }

    /// The unread bytes, to be unmasked where they lie, and how much may be inflated.
    pub(super) const fn parts(&mut self) -> (&mut [u8], &mut Allowance) {
        (self.rest, &mut self.allowance)
    }

    /// Reads the next `count` bytes, or fewer where fewer are left.
    #[inline]
    pub(super) fn take_up_to(&mut self, count: usize) -> &'i mut [u8] {
        let rest = mem::take(&mut self.rest);
        let count = count.min(rest.len());
        let (taken, rest) = rest.split_at_mut(count);
        self.rest = rest;
        taken
    }

    /// A buffer for a message that lacks `len` bytes.
    pub(super) fn take_spare(&mut self, len: usize) -> Buffer {
        self.spares.as_mut().map(|spares| spares.take(len)).unwrap_or_default()
    }

    /// Leaves a buffer that is not needed any more.
    pub(super) fn put_spare(&mut self, buffer: Buffer) {
        if let Some(spares) = &mut self.spares {
            spares.put(buffer);
        }
    }

    /// Reads everything and forgets it.
    pub(super) fn discard(&mut self) {
        self.rest = &mut [];
    }
}

#[cfg(test)]
mod tests {
    use super::OpCode;

    #[test]
    fn exactly_the_six_opcodes_of_the_rfc_have_a_value() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|&bits| OpCode::from_bits(bits).is_some()).collect();
        assert_eq!(known, [0x0, 0x1, 0x2, 0x8, 0x9, 0xa]);
    }

    #[test]
    fn an_opcode_keeps_its_bits_and_knows_a_control_frame() {
        for bits in 0..=0xf {
            let Some(opcode) = OpCode::from_bits(bits) else { continue };
            assert_eq!(opcode.bits(), bits);
            assert_eq!(opcode.is_control(), bits >= 0x8);
        }
    }
}
