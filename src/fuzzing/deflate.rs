//! A target for [`crate::ws::deflate`].

use flate2::{Decompress, FlushDecompress, Status};

use super::cut;
use crate::ws::deflate::{Deflate, History, Level, WindowBits};
use crate::ws::{Decoder, Event, Input, Message, OpCode, ProtocolError, Role, encode};

/// What a message leaves out at its end, and a last empty block behind it.
const END: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// More than 32 bits can stand for: a match of 258 bytes takes two of them at least.
const TAIL_OUTPUT_MAX: usize = 8192;

/// Compression: what a peer may send as a compressed message is read as by an inflater that gets it in one piece, within
/// the limit and over any cutting and fragmentation; and what is compressed here is read back, by ourselves and by an
/// inflater that remembers no more than was agreed on.
///
/// Input: a byte for level and window, one for the cutting, one for the limit, then bytes that are taken for a
/// compressed message first, and then for payload.
pub fn deflate(input: &[u8]) {
    let Some((&[setup, seed, limit], bytes)) = input.split_first_chunk() else { return };
    let limit = usize::from(limit) * 16;
    // A longer frame is refused for its length, whatever is in it.
    let body = &bytes[..bytes.len().min(limit + 64)];
    let expected = plainly_inflated(body, limit);
    for pieces in [vec![body], cut(body, seed.into()), cut(body, 1)] {
        let pieces = if pieces.is_empty() { vec![body] } else { pieces };
        let wire = fragments(&pieces);
        assert_eq!(received(limit, &[&wire]), expected);
        assert_eq!(received(limit, &cut(&wire, seed.into())), expected);
        assert_eq!(received_in_turns(limit, &wire, 1 + usize::from(seed) * 16), expected);
    }
    reads_back(setup, &cut(bytes, seed.into()));
}

/// The message or the close code that `body` should come to.
fn plainly_inflated(body: &[u8], limit: usize) -> Result<Vec<u8>, u16> {
    let invalid = Err(ProtocolError::DeflateInvalid.close_code().get());
    let mut rest = body;
    let mut payload = Vec::with_capacity(limit + 1);
    if body.is_empty() {
        return Ok(payload);
    }
    loop {
        let mut stream = Decompress::new(false);
        let status = stream.decompress_vec(rest, &mut payload, FlushDecompress::None);
        rest = &rest[usize::try_from(stream.total_in()).expect("not more than there is")..];
        if payload.len() > limit {
            return Err(ProtocolError::MessageTooBig.close_code().get());
        }
        match status {
            // It has ended itself; what comes behind that is another stream.
            Ok(Status::StreamEnd) if rest.is_empty() => return Ok(payload),
            Ok(Status::StreamEnd) => {}
            Ok(Status::Ok | Status::BufError) => {
                let (more, is_whole) = end(&mut stream);
                return if payload.len() + more.len() > limit {
                    Err(ProtocolError::MessageTooBig.close_code().get())
                } else if is_whole {
                    // What was cut off was no tail if it is data: the end of stored bytes.
                    payload.extend_from_slice(&more);
                    Ok(payload)
                } else {
                    invalid
                };
            }
            Err(_) => return invalid,
        }
    }
}

/// What the tail adds to the payload, and whether the stream is complete with it: it ends there, or between two blocks.
/// In the middle of a block the tail's bits are codes like any other.
fn end(stream: &mut Decompress) -> (Vec<u8>, bool) {
    let taken = stream.total_in();
    let mut more = Vec::with_capacity(TAIL_OUTPUT_MAX);
    let tail = stream.decompress_vec(&END[..4], &mut more, FlushDecompress::None);
    let mut is_whole = tail.is_ok() && stream.total_in() == taken + 4;
    if is_whole && !matches!(tail, Ok(Status::StreamEnd)) {
        let given = stream.total_out();
        let last = stream.decompress(&END[4..], &mut [0; 16], FlushDecompress::None);
        is_whole = matches!(last, Ok(Status::StreamEnd))
            && stream.total_in() == taken + 9
            && stream.total_out() == given;
    }
    (more, is_whole)
}

/// A compressed binary message, one frame for each piece.
fn fragments(pieces: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let start = wire.len();
        encode::binary(&mut wire, piece);
        let fin = if number + 1 == pieces.len() { 0x80 } else { 0 };
        wire[start] = fin | if number == 0 { 0x42 } else { 0x00 };
    }
    wire
}

/// What our decoder makes of one message.
fn received(limit: usize, pieces: &[&[u8]]) -> Result<Vec<u8>, u16> {
    let mut decoder = Decoder::new(Role::Client, limit).with_deflate(None);
    for piece in pieces {
        let mut bytes = piece.to_vec();
        match decoder.poll(&mut Input::new(&mut bytes)) {
            Ok(Some(Event::Message(Message::Binary(payload)))) => {
                assert!(payload.len() <= limit);
                return Ok(payload.to_vec());
            }
            Ok(event) => assert_eq!(event, None),
            Err(error) => return Err(error.close_code().get()),
        }
    }
    unreachable!("a message ends with its last frame, or is refused before");
}

/// As [`received`], inflating only a few bytes at a time.
fn received_in_turns(limit: usize, wire: &[u8], allowance: usize) -> Result<Vec<u8>, u16> {
    let mut decoder = Decoder::new(Role::Client, limit).with_deflate(None);
    let mut bytes = wire.to_vec();
    let mut rest = &mut bytes[..];
    while !rest.is_empty() {
        let mut input = Input::new(rest).inflating_at_most(allowance);
        match decoder.poll(&mut input) {
            Ok(Some(Event::Message(Message::Binary(payload)))) => return Ok(payload.to_vec()),
            Ok(event) => assert_eq!(event, None),
            Err(error) => return Err(error.close_code().get()),
        }
        // A step gives 8 KiB, and once all is taken what is left comes at once.
        assert!(input.inflated_bytes() < allowance + 32 * 1024);
        let unread = input.len();
        let used = rest.len() - unread;
        rest = &mut rest[used..];
    }
    unreachable!("a message ends with its last frame, or is refused before");
}

/// Each piece is a message that may refer to those before it.
fn reads_back(setup: u8, messages: &[&[u8]]) {
    let window = WindowBits::new(8 + (setup & 7)).expect("8 to 15");
    let level = Level::new(1 + (setup >> 3) % 9).expect("1 to 9");
    let deflate = Deflate { level, threshold_bytes: 0, window };
    let mut sent = History::new(window);
    let mut decoder = Decoder::new(Role::Client, 1 << 20).with_deflate(Some(window));
    let mut forgetful = Decompress::new_with_window_bits(false, window.get().max(9));
    for message in messages {
        let mut frame = Vec::new();
        deflate.frame(&mut frame, OpCode::Binary, message, Some(&mut sent));
        assert!(frame.len() <= message.len() + encode::header(OpCode::Binary, message.len()).1);
        if frame[0] & 0x40 != 0 {
            let header_len = [2, 4, 10][usize::from(frame[1].saturating_sub(125))];
            let body = [&frame[header_len..], &END[..4]].concat();
            let mut payload = Vec::with_capacity(message.len() + 1);
            let inflated = forgetful.decompress_vec(&body, &mut payload, FlushDecompress::Sync);
            assert!(inflated.is_ok() && payload == *message);
        }
        let mut input = Input::new(&mut frame);
        assert_eq!(decoder.poll(&mut input), Ok(Some(Event::Message(Message::Binary(message)))));
        assert_eq!(decoder.poll(&mut input), Ok(None));
    }
}
