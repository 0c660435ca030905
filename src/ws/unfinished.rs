//! What the decoder keeps of a message or frame that has begun and not ended: at most a header, one control
//! frame, and the message so far, inflated if it came compressed.

use super::buffer::{Buffer, WORTHWHILE_BYTES};
use super::deflate::{History, Inflation};
use super::error::ProtocolError;
use super::header::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header};
use super::mask::Mask;
use super::message::{ControlKind, Event, FrameKind, Input, MessageKind};
use super::rules::{Held, Rules};
use super::text;
use super::utf8::Utf8Validator;

/// What an inflater takes up, roughly.
// A window of 32 KiB and the tables of two codes.
const INFLATER_BYTES: usize = 50 * 1024;

/// The slow path: a header cut off, a payload cut off, a message in fragments, in any combination.
///
/// Text is validated as it arrives, so that it fails at the first impossible byte and not at the end of its frame.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    stage: Stage,
    message: Assembly,
}

/// ```text
///            ┌────────── not FIN ───────────┐
///            ▼                              │
///  start ► Header ───── data frame ─────► Fragment ── FIN ──► MessageWhole ► end
///            │ ▲
///            │ └─────── inside a message ─────────┐
///            └──── control frame ──► Control ──► ControlWhole ── outside of one ► end
/// ```
#[derive(Debug)]
enum Stage {
    /// At or in a frame's header.
    Header(HeldHeader),
    /// In the payload of a data frame; the message has begun.
    Fragment { fin: bool, rest: Rest },
    /// In the payload of a control frame.
    Control { kind: ControlKind, rest: Rest, body: Body },
    /// The message is complete and lent out until the next poll.
    MessageWhole,
    /// The control frame is complete and lent out until the next poll.
    ControlWhole { kind: ControlKind, body: Body },
}

impl Default for Stage {
    fn default() -> Self {
        Stage::Header(HeldHeader::default())
    }
}

impl Unfinished {
    /// Whether all that had begun has been lent out, so that nothing needs to be kept.
    pub(super) const fn is_over(&self) -> bool {
        match self.stage {
            Stage::MessageWhole => true,
            Stage::ControlWhole { .. } => !self.message.has_begun(),
            Stage::Header(_) | Stage::Fragment { .. } | Stage::Control { .. } => false,
        }
    }

    /// Bytes of memory that are held, roughly.
    pub(super) fn held_bytes(&self) -> usize {
        let has_inflater = self.message.inflation.as_ref().is_some_and(Inflation::has_inflater);
        let inflater = if has_inflater { INFLATER_BYTES } else { 0 };
        size_of::<Self>() + self.message.bytes.capacity() + inflater
    }

    /// Reads until an event is complete (`true`: see [`event`](Self::event)), or the input is consumed, or as much of it
    /// has been inflated as may be.
    ///
    /// `history`: what compressed messages may refer back to, if they may.
    pub(super) fn receive(
        &mut self,
        input: &mut Input<'_>,
        rules: &Rules,
        mut history: Option<&mut History>,
    ) -> Result<bool, ProtocolError> {
        loop {
            match &mut self.stage {
                Stage::Header(held) => {
                    let Some(header) = held.complete(input, rules)? else { return Ok(false) };
                    let payload_len = rules.admit(&header, self.message.held())?;
                    self.begin(&header, payload_len);
                }
                Stage::Fragment { fin, rest } => {
                    if self.message.bytes.capacity() == 0 {
                        self.message.bytes = input.take_spare(rest.lacking);
                    }
                    self.message.receive(rest, input, rules.message_bytes_max, history.as_deref())?;
                    if rest.lacking > 0 {
                        return Ok(false);
                    }
                    if *fin {
                        self.message.finish(rules.message_bytes_max, history.as_deref_mut())?;
                        self.stage = Stage::MessageWhole;
                        return Ok(true);
                    }
                    self.stage = Stage::default();
                }
                Stage::Control { kind, rest, body } => {
                    body.push(rest.receive(input));
                    if rest.lacking > 0 {
                        return Ok(false);
                    }
                    kind.event(body.bytes())?;
                    self.stage = Stage::ControlWhole { kind: *kind, body: *body };
                    return Ok(true);
                }
                Stage::MessageWhole | Stage::ControlWhole { .. } => self.stage = Stage::default(),
            }
        }
    }

    /// Where the next bytes of a large frame can be read into directly, at most `max` of them, if it has begun and is not
    /// compressed. See [`fill`](Self::fill).
    pub(super) fn space(&mut self, max: usize, message_bytes_max: usize) -> Option<&mut [u8]> {
        let Stage::Fragment { rest, .. } = &self.stage else { return None };
        if rest.lacking < WORTHWHILE_BYTES || self.message.inflation.is_some() {
            return None;
        }
        let space = self.message.bytes.space(rest.lacking.min(max), message_bytes_max);
        (space.len() >= WORTHWHILE_BYTES).then_some(space)
    }

    /// Takes `count` bytes that have been read into [`space`](Self::space).
    pub(super) fn fill(&mut self, count: usize) -> Result<(), ProtocolError> {
        let Stage::Fragment { rest, .. } = &mut self.stage else { return Ok(()) };
        let piece = self.message.bytes.fill(count);
        rest.unmask(piece);
        validate(&mut self.message.kind, piece)
    }

    /// What the message was gathered in.
    pub(super) fn into_buffer(self) -> Buffer {
        self.message.bytes
    }

    /// The event that [`receive`](Self::receive) has just completed. It has been validated there.
    pub(super) fn event(&self) -> Result<Option<Event<'_>>, ProtocolError> {
        match &self.stage {
            Stage::MessageWhole => self.message.event().map(Some),
            Stage::ControlWhole { kind, body } => kind.event(body.bytes()).map(Some),
            Stage::Header(_) | Stage::Fragment { .. } | Stage::Control { .. } => Ok(None),
        }
    }

    fn begin(&mut self, header: &Header, payload_len: usize) {
        let rest = Rest { mask: header.mask, lacking: payload_len, unmasked: 0 };
        self.stage = match header.opcode.kind() {
            FrameKind::Control(kind) => Stage::Control { kind, rest, body: Body::default() },
            FrameKind::Message(kind) => {
                self.message.begin(kind);
                self.message.inflation = header.rsv1.then(Inflation::default);
                Stage::Fragment { fin: header.fin, rest }
            }
            FrameKind::Continuation => Stage::Fragment { fin: header.fin, rest },
        };
    }
}

/// The bytes of a header that has been cut off, if any.
#[derive(Debug, Default)]
struct HeldHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl HeldHeader {
    /// Takes from the input what the header lacks, and nothing behind it.
    fn complete(&mut self, input: &mut Input<'_>, rules: &Rules) -> Result<Option<Header>, ProtocolError> {
        let room = &mut self.bytes[self.len..];
        let fresh_len = room.len().min(input.len());
        room[..fresh_len].copy_from_slice(&input.rest()[..fresh_len]);

        let header = rules.parse(&self.bytes[..self.len + fresh_len])?;
        let taken_len = header.map_or(fresh_len, |header| header.header_len - self.len);
        input.take_up_to(taken_len);
        self.len += taken_len;
        Ok(header)
    }
}

/// What is still to come of a frame's payload.
#[derive(Debug)]
struct Rest {
    mask: Option<Mask>,
    lacking: usize,
    /// Number of the first unread bytes that are unmasked already. Invariant: they were not inflated yet.
    unmasked: usize,
}

impl Rest {
    /// Takes and unmasks as much of the payload as has arrived.
    fn receive<'i>(&mut self, input: &mut Input<'i>) -> &'i [u8] {
        debug_assert_eq!(self.unmasked, 0, "only what is inflated is unmasked ahead");
        let piece = input.take_up_to(self.lacking);
        self.unmask(piece);
        piece
    }

    /// As much of the payload as has arrived, unmasked where it lies; it stays unread.
    fn unmask_ahead<'b>(&mut self, bytes: &'b mut [u8]) -> &'b [u8] {
        debug_assert!(self.unmasked <= bytes.len(), "what was left unread comes again");
        let arrived = self.lacking.min(bytes.len());
        let piece = &mut bytes[..arrived];
        if let (Some(mask), Some(fresh)) = (&mut self.mask, piece.get_mut(self.unmasked..)) {
            mask.apply(fresh);
        }
        self.unmasked = arrived;
        piece
    }

    /// The first `count` bytes that were unmasked ahead are taken.
    fn take(&mut self, count: usize) {
        debug_assert!(
            count <= self.unmasked && self.unmasked <= self.lacking,
            "only what has arrived is taken"
        );
        self.lacking -= count;
        self.unmasked -= count;
    }

    fn unmask(&mut self, piece: &mut [u8]) {
        if let Some(mask) = &mut self.mask {
            mask.apply(piece);
        }
        self.lacking -= piece.len();
    }
}

/// The payload of a control frame, as far as it has arrived.
#[derive(Clone, Copy, Debug)]
struct Body {
    bytes: [u8; CONTROL_BYTES_MAX],
    /// Invariant: at most [`CONTROL_BYTES_MAX`], since a longer frame is refused by its header.
    len: usize,
}

impl Default for Body {
    fn default() -> Self {
        Self { bytes: [0; CONTROL_BYTES_MAX], len: 0 }
    }
}

impl Body {
    fn push(&mut self, piece: &[u8]) {
        debug_assert!(
            self.len + piece.len() <= CONTROL_BYTES_MAX,
            "a longer frame was refused by its header"
        );
        self.bytes[self.len..][..piece.len()].copy_from_slice(piece);
        self.len += piece.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A message as far as it has arrived.
#[derive(Debug, Default)]
struct Assembly {
    /// `None` until a message begins.
    kind: Option<Kind>,
    bytes: Buffer,
    /// Where the pieces go first, if the message is compressed.
    inflation: Option<Inflation>,
}

#[derive(Debug)]
enum Kind {
    Text(Utf8Validator),
    Binary,
}

impl Assembly {
    const fn has_begun(&self) -> bool {
        self.kind.is_some()
    }

    fn held(&self) -> Held {
        match (&self.kind, &self.inflation) {
            (None, _) => Held::Nothing,
            (Some(_), None) => Held::Plain(self.bytes.len()),
            (Some(_), Some(_)) => Held::Compressed,
        }
    }

    fn begin(&mut self, kind: MessageKind) {
        self.kind = Some(match kind {
            MessageKind::Text => Kind::Text(Utf8Validator::new()),
            MessageKind::Binary => Kind::Binary,
        });
    }

    /// Takes what has arrived of a payload that [`Rules::admit`] has let through; of a compressed one, as much as may be
    /// inflated now.
    fn receive(
        &mut self,
        rest: &mut Rest,
        input: &mut Input<'_>,
        message_bytes_max: usize,
        history: Option<&History>,
    ) -> Result<(), ProtocolError> {
        let Some(mut inflation) = self.inflation.take() else {
            return self.append(rest.receive(input), message_bytes_max);
        };
        let (bytes, allowance) = input.parts();
        let piece = rest.unmask_ahead(bytes);
        let taken = inflation
            .push(piece, history, allowance, |inflated| self.append_inflated(inflated, message_bytes_max))?;
        rest.take(taken);
        input.take_up_to(taken);
        self.inflation = Some(inflation);
        Ok(())
    }

    fn append_inflated(&mut self, inflated: &[u8], message_bytes_max: usize) -> Result<(), ProtocolError> {
        // The first byte that breaks a rule decides which one it is, however the bytes arrive.
        let room = message_bytes_max.saturating_sub(self.bytes.len());
        self.append(&inflated[..inflated.len().min(room)], message_bytes_max)?;
        if inflated.len() > room { Err(ProtocolError::MessageTooBig) } else { Ok(()) }
    }

    fn append(&mut self, piece: &[u8], message_bytes_max: usize) -> Result<(), ProtocolError> {
        self.bytes.push(piece, message_bytes_max);
        validate(&mut self.kind, piece)
    }

    fn finish(
        &mut self,
        message_bytes_max: usize,
        history: Option<&mut History>,
    ) -> Result<(), ProtocolError> {
        if let Some(inflation) = self.inflation.take() {
            inflation.finish(|inflated| self.append_inflated(inflated, message_bytes_max))?;
            if let Some(history) = history {
                history.note(self.bytes.bytes());
            }
        }
        match &self.kind {
            Some(Kind::Text(validator)) => validator.finish().map_err(|_| ProtocolError::TextNotUtf8),
            Some(Kind::Binary) | None => Ok(()),
        }
    }

    fn event(&self) -> Result<Event<'_>, ProtocolError> {
        let kind = match self.kind {
            // A second validation of the same bytes, at a fraction of the cost of copying them, instead of `unsafe`.
            Some(Kind::Text(_)) => MessageKind::Text,
            Some(Kind::Binary) | None => MessageKind::Binary,
        };
        kind.event(text::Payload::Bytes(self.bytes.bytes()))
    }
}

/// Text fails at its first impossible byte.
fn validate(kind: &mut Option<Kind>, piece: &[u8]) -> Result<(), ProtocolError> {
    match kind {
        Some(Kind::Text(validator)) => validator.push(piece).map_err(|_| ProtocolError::TextNotUtf8),
        Some(Kind::Binary) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Assembly, Rules, Unfinished};
    use crate::ws::{Event, Input, Message, ProtocolError, Role};

    const RULES: Rules = Rules { role: Role::Client, message_bytes_max: 1 << 20, deflate: false };

    fn receive(unfinished: &mut Unfinished, bytes: &[u8]) -> Result<bool, ProtocolError> {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        let has_event = unfinished.receive(&mut input, &RULES, None);
        assert!(input.is_empty(), "the tests hand in no more than one event at a time");
        has_event
    }

    #[test]
    fn memory_grows_with_the_bytes_received_and_not_with_the_length_declared() {
        let mut unfinished = Unfinished::default();
        assert_eq!(receive(&mut unfinished, b"\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00"), Ok(false));
        assert_eq!(unfinished.message.bytes.capacity(), 0);
        for received in 1..=1000 {
            assert_eq!(receive(&mut unfinished, b"a"), Ok(false));
            assert!(unfinished.message.bytes.capacity() <= 2 * received);
        }
    }

    #[test]
    fn memory_never_grows_past_the_limit() {
        let mut message = Assembly::default();
        for _ in 0..10 {
            message.append(&[0; 100], 1000).unwrap();
            assert!(message.bytes.capacity() <= 1000);
        }
        assert_eq!(message.bytes.len(), 1000);
    }

    #[test]
    fn a_hundred_thousand_tiny_fragments_cost_their_payload() {
        let mut unfinished = Unfinished::default();
        assert_eq!(receive(&mut unfinished, b"\x01\x00"), Ok(false));
        assert_eq!(receive(&mut unfinished, &b"\x00\x00".repeat(100_000)), Ok(false));
        assert_eq!(unfinished.message.bytes.capacity(), 0);
        assert_eq!(receive(&mut unfinished, &b"\x00\x01a".repeat(100_000)), Ok(false));
        assert!(unfinished.message.bytes.capacity() <= 200_000);
        assert_eq!(receive(&mut unfinished, b"\x80\x00"), Ok(true));
        assert_eq!(unfinished.event(), Ok(Some(Event::Message(Message::Text(&"a".repeat(100_000))))));
    }

    #[test]
    fn an_unfinished_message_without_payload_costs_a_few_hundred_bytes() {
        assert!(size_of::<Unfinished>() <= 256);
    }

    #[test]
    fn a_control_frame_inside_a_message_leaves_the_message_unfinished() {
        let mut unfinished = Unfinished::default();
        assert_eq!(receive(&mut unfinished, b"\x01\x01a\x89\x01p"), Ok(true));
        assert_eq!(unfinished.event(), Ok(Some(Event::Ping(b"p"))));
        assert!(!unfinished.is_over());
        assert_eq!(receive(&mut unfinished, b"\x80\x01b"), Ok(true));
        assert_eq!(unfinished.event(), Ok(Some(Event::Message(Message::Text("ab")))));
        assert!(unfinished.is_over());
    }
}
