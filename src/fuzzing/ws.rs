//! Targets for [`crate::ws`].
#![expect(clippy::panic, reason = "a panic is how a fuzz target reports what it found")]

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode as TheirOpCode};
use tungstenite::protocol::{self, CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message as TheirMessage};

use super::cut;
use crate::ws::header::{self, CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header};
use crate::ws::mask::Mask;
use crate::ws::text::Payload;
use crate::ws::utf8::{InvalidUtf8, Utf8Validator};
use crate::ws::{Close, CloseCode, Decoder, Event, Input, Message, ProtocolError, Role, encode};

/// Headers: prefixes agree with the whole, and `tungstenite` reads the same fields.
///
/// Input: a byte for the role and whether RSV1 is allowed, then the header.
pub fn header(input: &[u8]) {
    let Some((&setup, wire)) = input.split_first() else { return };
    let (role, allow_rsv1) = (role(setup), setup & 2 != 0);

    let verdict = header::parse(wire, role, allow_rsv1);
    for len in 0..wire.len() {
        let earlier = header::parse(&wire[..len], role, allow_rsv1);
        assert!(earlier == Ok(None) || earlier == verdict, "{earlier:?} at {len}, {verdict:?} in the end");
    }

    // Their parser knows no rules but the opcodes'; behind zeros it always finds a whole header to compare with.
    let padded = [wire, &[0; HEADER_BYTES_MAX]].concat();
    match (verdict, FrameHeader::parse(&mut io::Cursor::new(&padded))) {
        (Ok(None), _) => assert!(wire.len() < HEADER_BYTES_MAX),
        (Err(_), Err(_)) => {}
        (Ok(Some(header)), Ok(Some((theirs, len)))) => {
            check_accepted(&header, &theirs, len);
            if header.fin && role == Role::Client && !header.rsv1 {
                let len = usize::try_from(len).expect("a length below 2^63 fits 64 bits");
                let (encoded, encoded_len) = encode::header(header.opcode, len);
                assert_eq!(encoded[..encoded_len], wire[..header.header_len]);
            }
        }
        (Err(error), Ok(Some((theirs, len)))) => check_refused(error, &theirs, len, allow_rsv1),
        (ours, theirs) => panic!("{ours:?}, but {theirs:?}"),
    }
}

fn check_accepted(header: &Header, theirs: &FrameHeader, len: u64) {
    assert_eq!(header.fin, theirs.is_final);
    assert_eq!(header.rsv1, theirs.rsv1);
    assert!(!theirs.rsv2 && !theirs.rsv3);
    assert_eq!(header.opcode.bits(), u8::from(theirs.opcode));
    assert_eq!(header.mask, theirs.mask.map(Mask::new));
    assert_eq!(header.payload_len, len);
    assert_eq!(header.header_len, theirs.len(len), "their length is that of the shortest form");
}

fn check_refused(error: ProtocolError, theirs: &FrameHeader, len: u64, allow_rsv1: bool) {
    let is_control = matches!(theirs.opcode, TheirOpCode::Control(_));
    let begins_message = matches!(theirs.opcode, TheirOpCode::Data(Data::Text | Data::Binary));
    let is_broken = match error {
        ProtocolError::ReservedBit => {
            theirs.rsv2 || theirs.rsv3 || (theirs.rsv1 && !(allow_rsv1 && begins_message))
        }
        ProtocolError::MaskMissing => theirs.mask.is_none(),
        ProtocolError::MaskForbidden => theirs.mask.is_some(),
        ProtocolError::ControlFragmented => is_control && !theirs.is_final,
        // Judged by the length byte alone: what the longer form holds is not looked at.
        ProtocolError::ControlTooLong => is_control,
        ProtocolError::LengthNotMinimal => len <= u64::from(u16::MAX),
        ProtocolError::LengthTopBit => len >> 63 == 1,
        ProtocolError::ReservedOpcode
        | ProtocolError::ContinuationUnexpected
        | ProtocolError::ContinuationMissing
        | ProtocolError::MessageTooBig
        | ProtocolError::TextNotUtf8
        | ProtocolError::CloseCodeCutShort
        | ProtocolError::CloseCodeInvalid
        | ProtocolError::CloseReasonNotUtf8
        | ProtocolError::DeflateInvalid
        | ProtocolError::DeflateCutShort => false,
    };
    assert!(is_broken, "{error:?} of {theirs:?} with {len} bytes");
}

/// Masking: a naive loop does the same, over any cutting, and `std` finds the same text in the result.
///
/// Input: a byte for the cutting, four of key, then the payload.
pub fn mask(input: &[u8]) {
    let Some((&[seed, a, b, c, d], payload)) = input.split_first_chunk() else { return };
    let key = [a, b, c, d];
    let naive: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();

    let mut mask = Mask::new(key);
    let mut masked = Vec::new();
    for piece in cut(payload, seed.into()) {
        let start = masked.len();
        masked.extend_from_slice(piece);
        mask.apply(&mut masked[start..]);
    }
    assert_eq!(masked, naive);

    let mut payload = payload.to_vec();
    let payload = Payload::unmask(&mut payload, Mask::new(key));
    assert_eq!(payload.bytes(), naive);
    assert_eq!(payload.text().ok(), str::from_utf8(&naive).ok());
    assert_eq!(matches!(payload, Payload::Ascii(_)), naive.is_ascii());
}

/// UTF-8: `std` says the same, over any cutting, and no byte after the first impossible one is taken.
///
/// Input: a byte for the cutting, then the text.
pub fn utf8(input: &[u8]) {
    let Some((&seed, bytes)) = input.split_first() else { return };
    let expected = str::from_utf8(bytes);

    let impossible_at = expected.err().and_then(|error| {
        let (at, len) = (error.valid_up_to(), error.error_len()?);
        let can_begin = matches!(bytes[at], 0xc2..=0xf4);
        Some(if can_begin { at + len } else { at })
    });
    assert_eq!(refused_in(bytes.chunks(1)), impossible_at);

    let pieces = cut(bytes, seed.into());
    let mut end = 0;
    let piece_ends = pieces.iter().map(|piece| {
        end += piece.len();
        end
    });
    let impossible_in = impossible_at.and_then(|at| piece_ends.into_iter().position(|end| at < end));
    assert_eq!(refused_in(pieces.iter().copied()), impossible_in);

    let mut validator = Utf8Validator::new();
    let verdict = pieces.iter().try_for_each(|piece| validator.push(piece)).and_then(|()| validator.finish());
    assert_eq!(verdict, expected.map(|_| ()).map_err(|_| InvalidUtf8));
}

/// The number of the first piece that a validator refuses.
fn refused_in<'a>(mut pieces: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
    let mut validator = Utf8Validator::new();
    pieces.position(|piece| validator.push(piece).is_err())
}

/// Close frames: a plain reading of the RFC says the same, and what is accepted survives encoding and decoding.
///
/// Input: the payload of a close frame.
pub fn close(input: &[u8]) {
    let body = &input[..input.len().min(CONTROL_BYTES_MAX)];
    let parsed = Close::parse(body);
    match body {
        [] => assert_eq!(parsed, Ok(Close { code: None, reason: "" })),
        [_] => assert_eq!(parsed, Err(ProtocolError::CloseCodeCutShort)),
        [high, low, reason @ ..] => {
            let code = u16::from(*high) * 256 + u16::from(*low);
            let is_allowed = (1000..=1014).contains(&code) && !(1004..=1006).contains(&code)
                || (3000..=4999).contains(&code);
            let expected = match (is_allowed, str::from_utf8(reason)) {
                (false, _) => Err(ProtocolError::CloseCodeInvalid),
                (true, Err(_)) => Err(ProtocolError::CloseReasonNotUtf8),
                (true, Ok(reason)) => Ok(Close { code: CloseCode::new(code), reason }),
            };
            assert_eq!(parsed, expected);
        }
    }

    let Ok(close) = parsed else { return };
    let mut wire = Vec::new();
    encode::close(&mut wire, close.code, close.reason);
    assert_eq!(&wire[2..], body);
    let mut decoder = Decoder::new(Role::Client, 0);
    assert_eq!(decoder.poll(&mut Input::new(&mut wire)), Ok(Some(Event::Close(close))));
}

/// The decoder: the same events over any cutting, and the same as `tungstenite` reads.
///
/// Input: a byte for role and limit, a byte for the cutting, then what the peer sends.
pub fn decoder(input: &[u8]) {
    let Some((&[setup, seed], wire)) = input.split_first_chunk() else { return };
    let role = role(setup);
    let message_bytes_max = [16, 125, 1000, 70_000][usize::from(setup >> 1 & 3)];

    let (ours, end) = read_ours(role, message_bytes_max, &[wire]);
    assert_eq!(read_ours(role, message_bytes_max, &cut(wire, seed.into())), (ours.clone(), end));
    assert_eq!(read_ours(role, message_bytes_max, &cut(wire, 1)), (ours.clone(), end));

    let (theirs, their_end) = read_theirs(role, message_bytes_max, wire);
    match (end, their_end) {
        // Allowed: they read lengths that are not minimal, also of control frames, whatever comes of it then.
        (End::Failed(ProtocolError::LengthNotMinimal | ProtocolError::ControlTooLong), _) => {
            assert!(theirs.starts_with(&ours));
        }
        // Allowed: they report a code that must not be on the wire as a close with another one.
        (End::Failed(ProtocolError::CloseCodeInvalid), TheirEnd::Closed) => {
            assert_eq!([&ours[..], &[refused_code()]].concat(), theirs);
        }
        // Allowed: they refuse 1014, which was registered after the RFC.
        (End::Closed, TheirEnd::Closed) if matches!(ours.last(), Some(Seen::Close(Some(1014), _))) => {
            assert_eq!([&ours[..ours.len() - 1], &[refused_code()]].concat(), theirs);
        }
        (End::Waiting, TheirEnd::Waiting)
        | (End::Closed, TheirEnd::Closed)
        | (End::Failed(_), TheirEnd::Failed) => assert_eq!(ours, theirs),
        // Allowed: they judge a frame when it is complete. So complete it: then they must refuse it, too.
        (End::Failed(error), TheirEnd::Waiting) => {
            assert_eq!(ours, theirs, "before {error:?}");
            let rest = vec![0; HEADER_BYTES_MAX + message_bytes_max.max(CONTROL_BYTES_MAX)];
            let completed = read_theirs(role, message_bytes_max, &[wire, &rest].concat());
            assert_eq!(completed, (theirs, TheirEnd::Failed), "{error:?}");
        }
        (End::Waiting | End::Closed, _) | (End::Failed(_), TheirEnd::Closed) => {
            panic!("we end with {end:?} after {ours:?}, they with {their_end:?} after {theirs:?}")
        }
    }
}

/// What they make of a close code that they do not allow.
fn refused_code() -> Seen {
    Seen::Close(Some(1002), "Protocol violation".to_owned())
}

/// The lowest bit of a byte.
fn role(setup: u8) -> Role {
    if setup & 1 == 0 { Role::Server } else { Role::Client }
}

/// An event with its payload, as either of the two has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

/// What comes after the events of our decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// For more input.
    Waiting,
    /// A close frame; what follows it is not read.
    Closed,
    Failed(ProtocolError),
}

/// The same for theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TheirEnd {
    Waiting,
    Closed,
    Failed,
}

fn read_ours(role: Role, message_bytes_max: usize, pieces: &[&[u8]]) -> (Vec<Seen>, End) {
    let mut decoder = Decoder::new(role, message_bytes_max);
    let mut seen = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            seen.push(match decoder.poll(&mut input) {
                Ok(None) => break,
                Ok(Some(Event::Message(Message::Text(text)))) => Seen::Text(text.to_owned()),
                Ok(Some(Event::Message(Message::Binary(bytes)))) => Seen::Binary(bytes.to_owned()),
                Ok(Some(Event::Ping(payload))) => Seen::Ping(payload.to_owned()),
                Ok(Some(Event::Pong(payload))) => Seen::Pong(payload.to_owned()),
                Ok(Some(Event::Close(Close { code, reason }))) => {
                    seen.push(Seen::Close(code.map(CloseCode::get), reason.to_owned()));
                    return (seen, End::Closed);
                }
                Err(error) => {
                    assert_eq!(decoder.poll(&mut input), Err(error), "an error stays");
                    return (seen, End::Failed(error));
                }
            });
        }
        assert!(input.is_empty());
    }
    (seen, End::Waiting)
}

fn read_theirs(role: Role, message_bytes_max: usize, wire: &[u8]) -> (Vec<Seen>, TheirEnd) {
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .max_message_size(Some(message_bytes_max))
        // Their limit on frames is one on control frames, too.
        .max_frame_size(Some(message_bytes_max.max(CONTROL_BYTES_MAX)));
    let mut socket = tungstenite::WebSocket::from_raw_socket(OneWay(wire), role, Some(config));
    let mut seen = Vec::new();
    loop {
        seen.push(match socket.read() {
            Ok(TheirMessage::Text(text)) => Seen::Text(text.as_str().to_owned()),
            Ok(TheirMessage::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
            Ok(TheirMessage::Ping(payload)) => Seen::Ping(payload.to_vec()),
            Ok(TheirMessage::Pong(payload)) => Seen::Pong(payload.to_vec()),
            Ok(TheirMessage::Close(close)) => {
                seen.push(match close {
                    None => Seen::Close(None, String::new()),
                    Some(CloseFrame { code, reason }) => Seen::Close(Some(code.into()), reason.to_string()),
                });
                return (seen, TheirEnd::Closed);
            }
            Ok(TheirMessage::Frame(frame)) => panic!("a raw frame was read: {frame}"),
            // Nothing more to read is an end without a closing handshake to them.
            Err(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                return (seen, TheirEnd::Waiting);
            }
            Err(_) => return (seen, TheirEnd::Failed),
        });
    }
}

/// A socket that gives its bytes and swallows what is written.
struct OneWay<'w>(&'w [u8]);

impl Read for OneWay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for OneWay<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
