//! From payloads to frames (RFC 6455 §5.2). Each frame is a whole message or a control frame: this end never
//! fragments, since what it sends is already in memory.

use super::close_code::CloseCode;
use super::header::CONTROL_BYTES_MAX;
use super::mask::Mask;
use super::message::OpCode;

pub use super::header::HEADER_BYTES_MAX;

/// The longest header without a masking key.
const SERVER_HEADER_BYTES_MAX: usize = 10;

/// The longest reason that fits a close frame behind its code.
const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Appends one unmasked frame with FIN.
///
/// The payload of a control frame must not be longer than 125 bytes; this is checked in debug builds.
pub fn frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    let (header, header_len) = header(opcode, payload.len());
    out.reserve(header_len + payload.len());
    out.extend_from_slice(&header[..header_len]);
    out.extend_from_slice(payload);
}

/// Appends an unmasked text message.
pub fn text(out: &mut Vec<u8>, text: &str) {
    frame(out, OpCode::Text, text.as_bytes());
}

/// Appends an unmasked binary message.
pub fn binary(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, OpCode::Binary, payload);
}

/// Appends an unmasked ping of at most 125 bytes.
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, OpCode::Ping, payload);
}

/// Appends an unmasked pong of at most 125 bytes.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, OpCode::Pong, payload);
}

/// Appends an unmasked close frame.
///
/// The reason is cut at 123 bytes, between two characters. Without a code the body is empty: a reason has no place
/// on the wire then.
pub fn close(out: &mut Vec<u8>, code: Option<CloseCode>, reason: &str) {
    let Some(code) = code else {
        frame(out, OpCode::Close, &[]);
        return;
    };
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    let (header, header_len) = header(OpCode::Close, 2 + reason.len());
    out.extend_from_slice(&header[..header_len]);
    out.extend_from_slice(&code.get().to_be_bytes());
    out.extend_from_slice(reason);
}

/// Appends one masked frame with FIN, as a client sends it.
///
/// A client must take a fresh, unpredictable key for each frame (RFC 6455 §5.3).
pub fn masked(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], key: [u8; 4]) {
    let (mut header, header_len) = header(opcode, payload.len());
    header[1] |= MASKED;
    out.reserve(header_len + key.len() + payload.len());
    out.extend_from_slice(&header[..header_len]);
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    Mask::new(key).apply(&mut out[start..]);
}

/// The header of an unmasked frame with FIN, without its payload: an array and how much of it counts.
#[inline]
pub fn header(opcode: OpCode, payload_len: usize) -> ([u8; SERVER_HEADER_BYTES_MAX], usize) {
    debug_assert!(!opcode.is_control() || payload_len <= CONTROL_BYTES_MAX, "control frame over 125 bytes");
    let mut header = [0; SERVER_HEADER_BYTES_MAX];
    header[0] = FIN | opcode.bits();
    if let Ok(len @ ..126) = u8::try_from(payload_len) {
        header[1] = len;
        return (header, 2);
    }
    if let Ok(len) = u16::try_from(payload_len) {
        header[1] = 126;
        header[2..4].copy_from_slice(&len.to_be_bytes());
        return (header, 4);
    }
    header[1] = 127;
    header[2..].copy_from_slice(&(payload_len as u64).to_be_bytes());
    (header, SERVER_HEADER_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::{binary, close, frame, header, masked, ping, pong, text};
    use crate::ws::{CloseCode, OpCode};

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = b"before ".to_vec();
        encode(&mut out);
        assert_eq!(&out[..7], b"before ", "frames are appended");
        out.split_off(7)
    }

    #[test]
    fn the_examples_of_the_rfc_come_out_byte_for_byte() {
        assert_eq!(encoded(|out| text(out, "Hello")), b"\x81\x05Hello");
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(encoded(|out| masked(out, OpCode::Text, b"Hello", key)), hello);
        assert_eq!(encoded(|out| ping(out, b"Hello")), b"\x89\x05Hello");
        assert_eq!(encoded(|out| pong(out, b"Hello")), b"\x8a\x05Hello");
        assert_eq!(encoded(|out| binary(out, &[7; 256])), [&b"\x82\x7e\x01\x00"[..], &[7; 256]].concat());
        let long = encoded(|out| binary(out, &[7; 65_536]));
        assert_eq!(long[..10], *b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00");
        assert_eq!(long[10..], [7; 65_536]);
    }

    #[test]
    fn the_length_takes_its_shortest_form() {
        for (len, expected) in [
            (0, &b"\x82\x00"[..]),
            (125, b"\x82\x7d"),
            (126, b"\x82\x7e\x00\x7e"),
            (255, b"\x82\x7e\x00\xff"),
            (65_535, b"\x82\x7e\xff\xff"),
            (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        ] {
            let (header, header_len) = header(OpCode::Binary, len);
            assert_eq!(&header[..header_len], expected);
            assert_eq!(encoded(|out| frame(out, OpCode::Binary, &vec![0; len])).len(), header_len + len);
        }
    }

    #[test]
    fn a_masked_frame_of_each_length_form_carries_the_key_behind_the_length() {
        let key = [1, 2, 3, 4];
        for (len, key_at) in [(125, 2), (126, 4), (65_536, 10)] {
            let wire = encoded(|out| masked(out, OpCode::Binary, &vec![0; len], key));
            assert_eq!(wire[key_at..key_at + 4], key);
            assert_eq!(wire[key_at + 4..], key.repeat(len.div_ceil(4))[..len], "a masked zero is the key");
        }
    }

    #[test]
    fn a_close_frame_holds_code_and_reason() {
        assert_eq!(encoded(|out| close(out, Some(CloseCode::NORMAL), "bye")), b"\x88\x05\x03\xe8bye");
        assert_eq!(encoded(|out| close(out, Some(CloseCode::KICKED), "")), b"\x88\x02\x0f\xa1");
        assert_eq!(encoded(|out| close(out, None, "has no place")), b"\x88\x00");
    }

    #[test]
    fn a_long_close_reason_is_cut_between_characters() {
        let whole = encoded(|out| close(out, Some(CloseCode::NORMAL), &"x".repeat(124)));
        assert_eq!(whole.len(), 2 + 125);
        let cut = encoded(|out| close(out, Some(CloseCode::NORMAL), &"é".repeat(100)));
        assert_eq!(&cut[4..], "é".repeat(61).as_bytes(), "122 bytes: the 62nd would need a 124th");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "control frame over 125 bytes")]
    fn a_ping_over_125_bytes_is_a_bug_of_the_caller() {
        ping(&mut Vec::new(), &[0; 126]);
    }
}
