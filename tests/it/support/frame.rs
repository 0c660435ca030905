//! Frames as a client writes and reads them, by hand, so that the server is not checked by its own code.

/// One frame from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The first byte: FIN, reserved bits, opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// FIN and the opcode of a text frame; the others alike.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

impl Frame {
    pub(crate) fn new(first: u8, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { first, payload: payload.into() }
    }

    pub(crate) fn text(text: &str) -> Frame {
        Frame::new(TEXT, text)
    }

    pub(crate) fn binary(payload: &[u8]) -> Frame {
        Frame::new(BINARY, payload)
    }

    /// A Close frame with a code, whatever its reason.
    pub(crate) fn close_code(&self) -> Option<u16> {
        let code: [u8; 2] = self.payload.get(..2)?.try_into().ok()?;
        (self.first == CLOSE).then(|| u16::from_be_bytes(code))
    }

    /// Takes a whole frame from the front of `bytes`, if there is one.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Frame> {
        let (header, len) = match *bytes.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
            len => (2, usize::from(len)),
        };
        assert!(bytes[1] < 128, "a server does not mask");
        if bytes.len() < header + len {
            return None;
        }
        let rest = bytes.split_off(header + len);
        let frame = std::mem::replace(bytes, rest);
        Some(Frame { first: frame[0], payload: frame[header..].to_vec() })
    }
}

/// The bytes of a masked frame.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..126), _) => out.push(0x80 | len),
        (_, Ok(len)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&KEY);
    out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A masked Close frame.
pub(crate) fn masked_close(code: u16, reason: &str) -> Vec<u8> {
    masked(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}
