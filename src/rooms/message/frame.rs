//! Whole text frames around a payload, and the payload of a whole frame.

use crate::ws::{OpCode, encode};

/// Appends one text frame around what `payload` writes.
///
/// The header stands before a payload whose length is not known yet. Room for the usual header is left open; the
/// payload moves only if the header turns out to be of another size.
pub(super) fn text_frame(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    // A chat message as JSON has between 126 and 65,535 bytes nearly always: its header has four.
    const USUAL_HEADER_BYTES: usize = 4;
    let start = out.len();
    out.extend_from_slice(&[0; USUAL_HEADER_BYTES]);
    payload(out);
    let (header, len) = encode::header(OpCode::Text, out.len() - start - USUAL_HEADER_BYTES);
    if len == USUAL_HEADER_BYTES {
        out[start..start + len].copy_from_slice(&header[..len]);
    } else {
        out.splice(start..start + USUAL_HEADER_BYTES, header[..len].iter().copied());
    }
}

/// The payload of a whole unmasked frame.
pub(in crate::rooms) fn payload_of(frame: &[u8]) -> &[u8] {
    let header = match frame.get(1) {
        Some(127) => 10,
        Some(126) => 4,
        Some(_) | None => 2,
    };
    frame.get(header..).unwrap_or_default()
}
