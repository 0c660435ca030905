//! From bytes to messages: the hot path for frames that arrive whole.
//!
//! A message that arrives in one whole frame is unmasked and validated where it lies and lent out; nothing is
//! kept or copied. Everything cut off, fragmented or compressed is the business of [`Unfinished`].

use super::close::Close;
use super::deflate::{History, WindowBits};
use super::error::ProtocolError;
use super::message::{Event, FrameKind, Input, Role};
use super::rules::{Held, Rules};
use super::text::Payload;
use super::unfinished::Unfinished;

/// Reads one direction of one connection.
///
/// Feed it every received byte in order; how the bytes are cut never changes what comes out. Between messages it
/// owns no heap memory. A cut-off or fragmented message is kept in one buffer that grows with the bytes that have
/// arrived, never with a declared length, and never beyond the limit.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    rules: Rules,
    /// What compressed messages may refer back to, if they may.
    history: Option<Box<History>>,
}

/// ```text
///        cut off, or a fragment
///   Idle ───────────────────────► Unfinished
///    ▲                                │ │
///    └──── the event was lent out ────┘ │
///    └──────────► Failed ◄──────────────┘
///            a rule was broken
/// ```
#[derive(Debug)]
enum State {
    /// Between messages.
    Idle,
    /// A message, a frame or only a header has begun and is kept.
    Unfinished(Box<Unfinished>),
    /// Nothing more is read.
    Failed(ProtocolError),
}

const _: () = assert!(size_of::<Decoder>() <= 40);

/// One step of the decoder. What it kept is lent in a second step, so that a caller may loop before it borrows.
#[derive(Debug)]
pub(super) enum Progress<'i> {
    /// All input is consumed, or what is left of it may not be inflated now.
    Starved,
    /// An event in the input itself.
    Lent(Event<'i>),
    /// An event in the decoder's own memory.
    Kept,
}

impl Decoder {
    /// A decoder at the start of a connection.
    ///
    /// `message_bytes_max` bounds the payload of a message, all fragments together.
    #[inline]
    pub const fn new(role: Role, message_bytes_max: usize) -> Decoder {
        let rules = Rules { role, message_bytes_max, deflate: false };
        Decoder { state: State::Idle, rules, history: None }
    }

    /// Takes compressed messages as well, as permessage-deflate has been agreed on (RFC 7692). `takeover`: they may
    /// refer back so far into the messages before them.
    ///
    /// The limit holds for what a message is inflated to. Only while a compressed message is unfinished an inflater of
    /// some 50 KiB belongs to this decoder; a takeover costs the window, as far as messages have filled it.
    #[must_use]
    pub fn with_deflate(mut self, takeover: Option<WindowBits>) -> Decoder {
        self.rules.deflate = true;
        self.history = takeover.map(|window| Box::new(History::new(window)));
        self
    }

    /// The next event, or `None` once all input is consumed and what was cut off is kept; with input left, if no more of
    /// it [may be inflated](Input::inflating_at_most) now.
    ///
    /// Call it until it returns `None`: that last call also frees what a delivered message owned.
    ///
    /// # Errors
    /// The rule that the peer broke. The decoder stays failed: every further call returns the same error.
    #[inline]
    pub fn poll<'d, 'i: 'd>(&'d mut self, input: &mut Input<'i>) -> Result<Option<Event<'d>>, ProtocolError> {
        match self.advance(input)? {
            Progress::Lent(event) => Ok(Some(event)),
            Progress::Starved => Ok(None),
            Progress::Kept => self.kept(),
        }
    }

    /// The next close frame. Everything else is checked by the same rules and dropped.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn poll_close<'d, 'i: 'd>(
        &'d mut self,
        input: &mut Input<'i>,
    ) -> Result<Option<Close<'d>>, ProtocolError> {
        loop {
            match self.advance(input)? {
                Progress::Starved => return Ok(None),
                Progress::Lent(Event::Close(close)) => return Ok(Some(close)),
                Progress::Lent(Event::Message(_) | Event::Ping(_) | Event::Pong(_)) => {}
                Progress::Kept if matches!(self.kept()?, Some(Event::Close(_))) => break,
                Progress::Kept => {}
            }
        }
        match self.kept()? {
            Some(Event::Close(close)) => Ok(Some(close)),
            Some(Event::Message(_) | Event::Ping(_) | Event::Pong(_)) | None => Ok(None),
        }
    }

    /// Where the next bytes of a large frame can be read into directly, at most `max` of them: that spares them a copy.
    /// `None` if they have to go through an [`Input`], as most do.
    ///
    /// Call [`fill`](Self::fill) with the number of bytes that have been read, then [`poll`](Self::poll) as always.
    pub fn space(&mut self, max: usize) -> Option<&mut [u8]> {
        match &mut self.state {
            State::Unfinished(unfinished) => unfinished.space(max, self.rules.message_bytes_max),
            State::Idle | State::Failed(_) => None,
        }
    }

    /// Takes the first `count` bytes of [`space`](Self::space). An error comes out of the next poll.
    pub fn fill(&mut self, count: usize) {
        if let State::Unfinished(unfinished) = &mut self.state
            && let Err(error) = unfinished.fill(count)
        {
            self.state = State::Failed(error);
        }
    }

    /// Whether no message and no frame has begun without having ended: no deadline is needed for its rest.
    pub fn is_idle(&self) -> bool {
        match &self.state {
            State::Idle | State::Failed(_) => true,
            State::Unfinished(unfinished) => unfinished.is_over(),
        }
    }

    /// Bytes of memory that a message which is not finished takes up.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Idle | State::Failed(_) => 0,
            State::Unfinished(unfinished) => unfinished.held_bytes(),
        }
    }

    /// Changes the limit for every frame header from now on, also within a message that has begun.
    pub const fn set_message_bytes_max(&mut self, message_bytes_max: usize) {
        self.rules.message_bytes_max = message_bytes_max;
    }

    #[inline]
    fn advance<'i>(&mut self, input: &mut Input<'i>) -> Result<Progress<'i>, ProtocolError> {
        let progress = match &self.state {
            State::Idle => self.receive(input),
            State::Unfinished(_) => self.resume(input),
            State::Failed(error) => Err(*error),
        };
        if let Err(error) = progress {
            self.state = State::Failed(error);
        }
        progress
    }

    /// Reads a frame between messages.
    #[inline]
    fn receive<'i>(&mut self, input: &mut Input<'i>) -> Result<Progress<'i>, ProtocolError> {
        let Some(header) = self.rules.parse(input.rest())? else {
            return self.keep(input);
        };
        let payload_len = self.rules.admit(&header, Held::Nothing)?;
        if !header.fin || header.rsv1 || input.len() - header.header_len < payload_len {
            return self.keep(input);
        }
        let payload = &mut input.take_up_to(header.header_len + payload_len)[header.header_len..];
        let payload = match header.mask {
            Some(mask) => Payload::unmask(payload, mask),
            None => Payload::Bytes(payload),
        };
        let event = match header.opcode.kind() {
            FrameKind::Message(kind) => kind.event(payload),
            FrameKind::Control(kind) => kind.event(payload.bytes()),
            FrameKind::Continuation => Err(ProtocolError::ContinuationUnexpected),
        };
        event.map(Progress::Lent)
    }

    /// Goes on between messages with what cannot be lent from the input: a cut-off frame, a fragment, or what has to be
    /// inflated.
    #[cold]
    fn keep<'i>(&mut self, input: &mut Input<'i>) -> Result<Progress<'i>, ProtocolError> {
        if input.is_empty() {
            return Ok(Progress::Starved);
        }
        self.state = State::Unfinished(Box::default());
        self.resume(input)
    }

    /// Goes on with a frame or message that has begun, or forgets the one that was lent out last.
    fn resume<'i>(&mut self, input: &mut Input<'i>) -> Result<Progress<'i>, ProtocolError> {
        let State::Unfinished(unfinished) = &mut self.state else { return self.receive(input) };
        if unfinished.is_over() {
            if let State::Unfinished(over) = std::mem::replace(&mut self.state, State::Idle) {
                input.put_spare(over.into_buffer());
            }
            return self.receive(input);
        }
        let has_event = unfinished.receive(input, &self.rules, self.history.as_deref_mut())?;
        Ok(if has_event { Progress::Kept } else { Progress::Starved })
    }

    fn kept(&self) -> Result<Option<Event<'_>>, ProtocolError> {
        match &self.state {
            State::Unfinished(unfinished) => unfinished.event(),
            State::Idle | State::Failed(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
