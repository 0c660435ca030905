//! Frame headers (RFC 6455 §5.2): from bytes to a value in which every rule about the header alone holds.
//!
//! ```text
//!  byte 0              byte 1            bytes 2…
//!  FIN RSV1 RSV2 RSV3  MASK length (7)   length: 126 → 2 more bytes, 127 → 8 more; then, if MASK, 4 of key
//!  opcode (4)
//! ```

use super::error::ProtocolError;
use super::mask::Mask;
use super::message::{OpCode, Role};

/// The longest header: two bytes, a 64-bit length and a masking key.
pub const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a close, ping or pong (RFC 6455 §5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

const FIN: u8 = 0x80;
/// Says that a message is compressed, where that was agreed on (RFC 7692 §6).
pub(super) const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_IS_U16: u8 = 126;
const LENGTH_IS_U64: u8 = 127;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last (or only) fragment of its message.
    pub fin: bool,
    /// RSV1; only ever set on the first frame of a message, and only where an extension allows it.
    pub rsv1: bool,
    /// What the frame is for.
    pub opcode: OpCode,
    /// The masking key; there exactly if the role receives masked frames.
    pub mask: Option<Mask>,
    /// The length of the payload in bytes, as declared; at most 125 for a control frame.
    pub payload_len: u64,
    /// The length of the header itself in bytes, 2 to 14.
    pub header_len: usize,
}

/// Reads the header at the start of `bytes`; `None` while it is not all there.
///
/// The first two bytes are judged as soon as both have arrived, before any length is believed. `allow_rsv1` is
/// for an extension that gives RSV1 a meaning on the first frame of a message (RFC 7692 §6).
///
/// # Errors
/// The first broken rule in the order of the bytes.
#[inline(always)] // A call would pass the header through memory, which costs as much as reading it.
pub fn parse(bytes: &[u8], role: Role, allow_rsv1: bool) -> Result<Option<Header>, ProtocolError> {
    if let Some(window) = bytes.first_chunk() {
        return parse_window(window, HEADER_BYTES_MAX, role, allow_rsv1);
    }
    let mut window = [0; HEADER_BYTES_MAX];
    window[..bytes.len()].copy_from_slice(bytes);
    parse_window(&window, bytes.len(), role, allow_rsv1)
}

/// A window of fixed size makes every index below one that needs no check; only the first `held` bytes count.
#[inline(always)]
fn parse_window(
    window: &[u8; HEADER_BYTES_MAX],
    held: usize,
    role: Role,
    allow_rsv1: bool,
) -> Result<Option<Header>, ProtocolError> {
    if held < 2 {
        return Ok(None);
    }
    let &[first, second, a, b, c, d, e, f, g, h, ..] = window;
    let opcode = judge(first, second, role, allow_rsv1)?;

    let (payload_len, length_end, key) = match second & LENGTH {
        LENGTH_IS_U64 => {
            if held < 10 {
                return Ok(None);
            }
            let len = long_len(u64::from_be_bytes([a, b, c, d, e, f, g, h]))?;
            (len, 10, [window[10], window[11], window[12], window[13]])
        }
        LENGTH_IS_U16 => {
            if held < 4 {
                return Ok(None);
            }
            (medium_len(u16::from_be_bytes([a, b]))?, 4, [c, d, e, f])
        }
        len => (u64::from(len), 2, [a, b, c, d]),
    };
    let (mask, header_len) = match role {
        Role::Server => (Some(Mask::new(key)), length_end + 4),
        Role::Client => (None, length_end),
    };
    if held < header_len {
        return Ok(None);
    }
    let (fin, rsv1) = (first & FIN != 0, first & RSV1 != 0);
    Ok(Some(Header { fin, rsv1, opcode, mask, payload_len, header_len }))
}

/// Everything that the first two bytes alone can break.
#[inline]
fn judge(first: u8, second: u8, role: Role, allow_rsv1: bool) -> Result<OpCode, ProtocolError> {
    if first & RSV2_RSV3 != 0 || (first & RSV1 != 0 && !allow_rsv1) {
        return Err(ProtocolError::ReservedBit);
    }
    let Some(opcode) = OpCode::from_bits(first & OPCODE) else {
        return Err(ProtocolError::ReservedOpcode);
    };
    if first & RSV1 != 0 && !matches!(opcode, OpCode::Text | OpCode::Binary) {
        return Err(ProtocolError::ReservedBit);
    }
    if opcode.is_control() {
        if first & FIN == 0 {
            return Err(ProtocolError::ControlFragmented);
        }
        if usize::from(second & LENGTH) > CONTROL_BYTES_MAX {
            return Err(ProtocolError::ControlTooLong);
        }
    }
    match (second & MASKED != 0, role) {
        (true, Role::Server) | (false, Role::Client) => Ok(opcode),
        (false, Role::Server) => Err(ProtocolError::MaskMissing),
        (true, Role::Client) => Err(ProtocolError::MaskForbidden),
    }
}

/// The rule of the 16-bit form.
#[inline]
fn medium_len(len: u16) -> Result<u64, ProtocolError> {
    if len < u16::from(LENGTH_IS_U16) {
        return Err(ProtocolError::LengthNotMinimal);
    }
    Ok(u64::from(len))
}

/// The rules of the 64-bit form.
fn long_len(len: u64) -> Result<u64, ProtocolError> {
    if len >> 63 != 0 {
        return Err(ProtocolError::LengthTopBit);
    }
    if len <= u64::from(u16::MAX) {
        return Err(ProtocolError::LengthNotMinimal);
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES_MAX, Header, parse};
    use crate::ws::mask::Mask;
    use crate::ws::{OpCode, ProtocolError, Role};

    /// Parses longer and longer prefixes until one gives a verdict; returns it and the length that it took.
    fn first_verdict(bytes: &[u8], role: Role, rsv1: bool) -> (usize, Result<Option<Header>, ProtocolError>) {
        for held in 0..bytes.len() {
            let verdict = parse(&bytes[..held], role, rsv1);
            if verdict != Ok(None) {
                return (held, verdict);
            }
        }
        (bytes.len(), parse(bytes, role, rsv1))
    }

    #[test]
    fn each_form_of_the_length_is_read_at_its_last_byte_and_not_before() {
        let key = Some(Mask::new([1, 2, 3, 4]));
        let cases: &[(&[u8], Role, Option<Mask>, u64)] = &[
            (b"\x81\x00", Role::Client, None, 0),
            (b"\x81\x7d", Role::Client, None, 125),
            (b"\x81\x7e\x00\x7e", Role::Client, None, 126),
            (b"\x81\x7e\xff\xff", Role::Client, None, 65_535),
            (b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", Role::Client, None, 65_536),
            (b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", Role::Client, None, u64::MAX >> 1),
            (b"\x81\x80\x01\x02\x03\x04", Role::Server, key, 0),
            (b"\x81\xfe\x01\x00\x01\x02\x03\x04", Role::Server, key, 256),
            (b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03\x04", Role::Server, key, 65_536),
        ];
        for &(wire, role, mask, payload_len) in cases {
            let header_len = wire.len();
            let header =
                Header { fin: true, rsv1: false, opcode: OpCode::Text, mask, payload_len, header_len };
            let followed = [wire, &[0xee; HEADER_BYTES_MAX]].concat();
            assert_eq!(first_verdict(&followed, role, false), (header_len, Ok(Some(header))), "{wire:02x?}");
        }
    }

    #[test]
    fn fin_and_every_opcode_are_read() {
        for (byte, fin, opcode) in [
            (0x80, true, OpCode::Continuation),
            (0x00, false, OpCode::Continuation),
            (0x01, false, OpCode::Text),
            (0x82, true, OpCode::Binary),
            (0x88, true, OpCode::Close),
            (0x89, true, OpCode::Ping),
            (0x8a, true, OpCode::Pong),
        ] {
            let header = Header { fin, rsv1: false, opcode, mask: None, payload_len: 5, header_len: 2 };
            assert_eq!(parse(&[byte, 5], Role::Client, false), Ok(Some(header)));
        }
    }

    #[test]
    fn a_broken_rule_is_named_at_the_byte_that_breaks_it() {
        let cases: &[(&[u8], Role, usize, ProtocolError)] = &[
            (b"\xc1\x80", Role::Server, 2, ProtocolError::ReservedBit),
            (b"\xa1\x80", Role::Server, 2, ProtocolError::ReservedBit),
            (b"\x91\x80", Role::Server, 2, ProtocolError::ReservedBit),
            (b"\x83\xff", Role::Server, 2, ProtocolError::ReservedOpcode),
            (b"\x8b\xff", Role::Server, 2, ProtocolError::ReservedOpcode),
            (b"\x8f\x00", Role::Client, 2, ProtocolError::ReservedOpcode),
            (b"\x81\x05", Role::Server, 2, ProtocolError::MaskMissing),
            (b"\x81\x85", Role::Client, 2, ProtocolError::MaskForbidden),
            (b"\x08\x80", Role::Server, 2, ProtocolError::ControlFragmented),
            (b"\x89\xfe", Role::Server, 2, ProtocolError::ControlTooLong),
            (b"\x8a\x7f", Role::Client, 2, ProtocolError::ControlTooLong),
            (b"\x82\xfe\x00\x7d", Role::Server, 4, ProtocolError::LengthNotMinimal),
            (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Role::Client, 10, ProtocolError::LengthNotMinimal),
            (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", Role::Server, 10, ProtocolError::LengthTopBit),
        ];
        for &(wire, role, at, error) in cases {
            let followed = [wire, &[0xee; HEADER_BYTES_MAX]].concat();
            assert_eq!(first_verdict(&followed, role, false), (at, Err(error)), "{wire:02x?}");
        }
    }

    #[test]
    fn an_extension_may_allow_rsv1_on_the_first_frame_of_a_message_only() {
        for (first, allowed) in [(0xc1, true), (0x42, true), (0xc0, false), (0xc9, false), (0xe1, false)] {
            let verdict = parse(&[first, 0], Role::Client, true);
            assert_eq!(
                verdict.map(|header| header.is_some_and(|header| header.rsv1)).ok(),
                allowed.then_some(true)
            );
        }
    }
}
