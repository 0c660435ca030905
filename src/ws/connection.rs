//! The life of one connection as seen by its reader: messages, then the closing handshake (RFC 6455 §7).

use super::close::Close;
use super::decoder::Decoder;
use super::error::ProtocolError;
use super::message::{Event, Input, Message};

/// A decoder and the state of the closing handshake.
///
/// It only reads. The writer tells it with [`close_sent`](Self::close_sent) that a close frame has gone out.
#[derive(Debug)]
pub struct Connection {
    decoder: Decoder,
    phase: Phase,
}

const _: () = assert!(size_of::<Connection>() <= 48);

/// ```text
///         close_sent            close received, or failed
///  Open ─────────────► Closing ───────────────────────────► Closed
///    │                                                         ▲
///    └──────── close received, or failed: answer it ───────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Messages flow.
    Open,
    /// This end has sent its close and waits for the peer's.
    Closing,
    /// Nothing that arrives matters any more; all of it is discarded unread.
    Closed,
}

/// What has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole message.
    Message(Message<'a>),
    /// A ping; the payload wants to be sent back in a pong.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer closes, or answers our close.
    Close {
        /// What it says.
        close: Close<'a>,
        /// Whether a close frame must be sent back: with the same code, or empty for an empty one.
        answer: bool,
    },
    /// The peer broke the protocol: the connection fails.
    Failed {
        /// How.
        error: ProtocolError,
        /// Whether a close frame with `error.close_code()` must be sent before the connection is dropped.
        answer: bool,
    },
}

impl Connection {
    /// A connection right after its opening handshake.
    pub const fn new(decoder: Decoder) -> Self {
        Self { decoder, phase: Phase::Open }
    }

    /// What has arrived next, or `None` once all input is consumed, or no more of it
    /// [may be inflated](Input::inflating_at_most) now. Call it until it returns `None`.
    ///
    /// While closing, messages, pings and pongs are dropped, and only `Close` or `Failed` comes out. Once closed,
    /// input is discarded unread.
    #[inline]
    pub fn poll<'d, 'i: 'd>(&'d mut self, input: &mut Input<'i>) -> Option<Incoming<'d>> {
        let (event, answer) = match self.phase {
            Phase::Open => (self.decoder.poll(input), true),
            Phase::Closing => (self.decoder.poll_close(input).map(|close| close.map(Event::Close)), false),
            Phase::Closed => {
                input.discard();
                return None;
            }
        };
        let last = match event {
            Ok(None) => return None,
            Ok(Some(Event::Message(message))) => return Some(Incoming::Message(message)),
            Ok(Some(Event::Ping(payload))) => return Some(Incoming::Ping(payload)),
            Ok(Some(Event::Pong(payload))) => return Some(Incoming::Pong(payload)),
            Ok(Some(Event::Close(close))) => Incoming::Close { close, answer },
            Err(error) => Incoming::Failed { error, answer },
        };
        self.phase = Phase::Closed;
        input.discard();
        Some(last)
    }

    /// The caller has sent a close frame, or will send nothing but one.
    pub const fn close_sent(&mut self) {
        match self.phase {
            Phase::Open => self.phase = Phase::Closing,
            Phase::Closing | Phase::Closed => {}
        }
    }

    /// Where in its life the connection is.
    #[inline]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether a message or frame has begun whose rest the caller should wait for only until a deadline. Once a
    /// close is on its way, the deadline of the closing handshake rules instead.
    pub fn is_mid_message(&self) -> bool {
        match self.phase {
            Phase::Open => !self.decoder.is_idle(),
            Phase::Closing | Phase::Closed => false,
        }
    }

    /// As [`Decoder::space`].
    #[inline]
    pub fn space(&mut self, max: usize) -> Option<&mut [u8]> {
        match self.phase {
            Phase::Open => self.decoder.space(max),
            Phase::Closing | Phase::Closed => None,
        }
    }

    /// As [`Decoder::fill`].
    pub fn fill(&mut self, count: usize) {
        self.decoder.fill(count);
    }

    /// Bytes of memory that a message which is not finished takes up.
    pub fn held_bytes(&self) -> usize {
        self.decoder.held_bytes()
    }

    /// Changes the limit for every frame header from now on.
    pub const fn set_message_bytes_max(&mut self, message_bytes_max: usize) {
        self.decoder.set_message_bytes_max(message_bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::{Connection, Incoming, Phase};
    use crate::every_split::every_split;
    use crate::ws::{CloseCode, Decoder, Input, Message, ProtocolError, Role};

    const HELLO: &[u8] = b"\x81\x05Hello";
    const HEL: &[u8] = b"\x01\x03Hel";
    const PING: &[u8] = b"\x89\x00";
    const PONG: &[u8] = b"\x8a\x00";
    const CLOSE_1000: &[u8] = b"\x88\x02\x03\xe8";
    const CLOSE_EMPTY: &[u8] = b"\x88\x00";
    const RESERVED: &[u8] = b"\x83\x00";

    fn connection() -> Connection {
        Connection::new(Decoder::new(Role::Client, 1000))
    }

    fn closing() -> Connection {
        let mut connection = connection();
        connection.close_sent();
        connection
    }

    /// Everything that comes out of `connection` for `pieces`, as text, and the phase it ends in.
    fn poll_all(mut connection: Connection, pieces: &[&[u8]]) -> (Vec<String>, Phase) {
        let mut seen = Vec::new();
        for piece in pieces {
            let mut bytes = piece.to_vec();
            let mut input = Input::new(&mut bytes);
            while let Some(incoming) = connection.poll(&mut input) {
                seen.push(format!("{incoming:?}"));
            }
            assert!(input.is_empty(), "polling until None consumes all input");
        }
        (seen, connection.phase())
    }

    /// Asserts what comes out of `frames`, over every split.
    fn check(start: fn() -> Connection, frames: &[&[u8]], expected: &[Incoming<'_>], phase: Phase) {
        let seen = every_split(&frames.concat(), |pieces| poll_all(start(), pieces));
        assert_eq!(seen, (expected.iter().map(|incoming| format!("{incoming:?}")).collect(), phase));
    }

    fn close(code: Option<CloseCode>, answer: bool) -> Incoming<'static> {
        Incoming::Close { close: crate::ws::Close { code, reason: "" }, answer }
    }

    #[test]
    fn an_open_connection_hands_out_everything() {
        let hello = Incoming::Message(Message::Text("Hello"));
        let frames = [HELLO, PING, HEL, PONG, b"\x80\x02lo"];
        let expected = [hello, Incoming::Ping(b""), Incoming::Pong(b""), hello];
        check(connection, &frames, &expected, Phase::Open);
    }

    #[test]
    fn a_close_from_the_peer_wants_an_answer_and_ends_reading() {
        for (frame, code) in [(CLOSE_1000, Some(CloseCode::NORMAL)), (CLOSE_EMPTY, None)] {
            check(connection, &[frame, HELLO, RESERVED, HEL], &[close(code, true)], Phase::Closed);
        }
    }

    #[test]
    fn a_broken_rule_wants_a_close_and_ends_reading() {
        let failed = Incoming::Failed { error: ProtocolError::ReservedOpcode, answer: true };
        check(connection, &[RESERVED, HELLO, CLOSE_1000], &[failed], Phase::Closed);
    }

    #[test]
    fn after_a_close_was_sent_only_the_peers_close_comes_out_and_wants_no_answer() {
        let frames = [HELLO, PING, HEL, PONG, b"\x80\x02lo", HEL, CLOSE_1000, HELLO];
        check(closing, &frames, &[close(Some(CloseCode::NORMAL), false)], Phase::Closed);
        check(closing, &[HELLO, PING], &[], Phase::Closing);
    }

    #[test]
    fn after_a_close_was_sent_a_broken_rule_ends_reading_without_another_close() {
        let failed = Incoming::Failed { error: ProtocolError::ReservedOpcode, answer: false };
        check(closing, &[HELLO, RESERVED, CLOSE_1000], &[failed], Phase::Closed);
    }

    #[test]
    fn sending_a_close_after_the_peers_leaves_the_connection_closed() {
        let mut connection = connection();
        let mut bytes = CLOSE_EMPTY.to_vec();
        assert_eq!(connection.poll(&mut Input::new(&mut bytes)), Some(close(None, true)));
        connection.close_sent();
        assert_eq!(connection.phase(), Phase::Closed);
    }

    #[test]
    fn a_connection_is_mid_message_from_its_first_byte_to_its_last() {
        let mut connection = connection();
        let mut at = Vec::new();
        for byte in [HEL, PING, b"\x80\x02lo"].concat() {
            let mut bytes = [byte];
            let mut input = Input::new(&mut bytes);
            while connection.poll(&mut input).is_some() {}
            at.push(connection.is_mid_message());
        }
        assert_eq!(at, [&[true; 10][..], &[false]].concat());
    }

    #[test]
    fn no_message_is_waited_for_once_a_close_is_on_its_way() {
        let mut connection = connection();
        let mut bytes = HEL.to_vec();
        assert_eq!(connection.poll(&mut Input::new(&mut bytes)), None);
        assert!(connection.is_mid_message());
        connection.close_sent();
        assert!(!connection.is_mid_message());
    }

    #[test]
    fn a_lower_limit_holds_for_the_next_frame() {
        let mut connection = connection();
        connection.set_message_bytes_max(4);
        let failed = Incoming::Failed { error: ProtocolError::MessageTooBig, answer: true };
        assert_eq!(poll_all(connection, &[HELLO]).0, [format!("{failed:?}")]);
    }
}
