//! Close frames: codes and bodies (RFC 6455 §5.5.1, §7.4).

use std::fmt;
use std::num::NonZeroU16;

use super::error::ProtocolError;

/// A close code that may stand on the wire: 1000–1003, 1007–1014, 3000–4999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(NonZeroU16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode::constant(1000);
    /// The server shuts down, or the browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode::constant(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode::constant(1002);
    /// A kind of message that this end does not accept.
    pub const UNSUPPORTED: CloseCode = CloseCode::constant(1003);
    /// A message whose content is not of its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode::constant(1007);
    /// Against this end's policy, where no other code says it better.
    pub const POLICY: CloseCode = CloseCode::constant(1008);
    /// A message longer than this end accepts.
    pub const TOO_BIG: CloseCode = CloseCode::constant(1009);
    /// The server met a condition of its own making.
    pub const INTERNAL: CloseCode = CloseCode::constant(1011);
    /// The server cannot serve now; connecting again later may work.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode::constant(1013);
    /// An operator removed this user from the room.
    pub const KICKED: CloseCode = CloseCode::constant(4001);
    /// The client reads too slowly to keep up.
    pub const TOO_SLOW: CloseCode = CloseCode::constant(4008);
    /// No valid credentials, or they have expired.
    pub const UNAUTHENTICATED: CloseCode = CloseCode::constant(4401);

    /// `None` if `code` must not appear on the wire.
    pub const fn new(code: u16) -> Option<CloseCode> {
        match (code, NonZeroU16::new(code)) {
            (1000..=1003 | 1007..=1014 | 3000..=4999, Some(code)) => Some(CloseCode(code)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Evaluated by the compiler only: a bad number is a compile error.
    const fn constant(code: u16) -> CloseCode {
        CloseCode::new(code).expect("a close code of this file is valid")
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// The body of a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// `None` for an empty body, which the RFC calls 1005.
    pub code: Option<CloseCode>,
    /// Empty without a code.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// Reads the payload of a close frame.
    ///
    /// # Errors
    /// [`ProtocolError::CloseCodeCutShort`], [`ProtocolError::CloseCodeInvalid`],
    /// [`ProtocolError::CloseReasonNotUtf8`].
    pub fn parse(body: &'a [u8]) -> Result<Close<'a>, ProtocolError> {
        let Some((code, reason)) = body.split_first_chunk::<2>() else {
            return if body.is_empty() {
                Ok(Close { code: None, reason: "" })
            } else {
                Err(ProtocolError::CloseCodeCutShort)
            };
        };
        let code = CloseCode::new(u16::from_be_bytes(*code)).ok_or(ProtocolError::CloseCodeInvalid)?;
        let reason = str::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?;
        Ok(Close { code: Some(code), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::{Close, CloseCode};
    use crate::ws::ProtocolError;

    #[test]
    fn exactly_the_codes_allowed_on_the_wire_exist() {
        for number in 0..=u16::MAX {
            let allowed = match number {
                0..=999 | 1004..=1006 | 1015..=2999 | 5000.. => false,
                1000..=1003 | 1007..=1014 | 3000..=4999 => true,
            };
            assert_eq!(CloseCode::new(number).map(CloseCode::get), allowed.then_some(number));
        }
    }

    #[test]
    fn an_empty_body_has_neither_code_nor_reason() {
        assert_eq!(Close::parse(b""), Ok(Close { code: None, reason: "" }));
    }

    #[test]
    fn a_code_may_stand_alone_or_with_a_reason() {
        assert_eq!(Close::parse(b"\x03\xe8"), Ok(Close { code: Some(CloseCode::NORMAL), reason: "" }));
        let with_reason = Close::parse("\u{3}è".as_bytes());
        assert_eq!(with_reason, Err(ProtocolError::CloseCodeInvalid), "0x03c3 is 963");
        let bye = Close { code: CloseCode::new(4999), reason: "tschüß" };
        assert_eq!(Close::parse(b"\x13\x87tsch\xc3\xbc\xc3\x9f"), Ok(bye));
    }

    #[test]
    fn a_body_that_breaks_a_rule_names_it() {
        let cases: &[(&[u8], ProtocolError)] = &[
            (b"\x03", ProtocolError::CloseCodeCutShort),
            (b"\x00\x00", ProtocolError::CloseCodeInvalid),
            (b"\x03\xed", ProtocolError::CloseCodeInvalid),
            (b"\x03\xf7", ProtocolError::CloseCodeInvalid),
            (b"\xff\xff", ProtocolError::CloseCodeInvalid),
            (b"\x03\xe8\xff", ProtocolError::CloseReasonNotUtf8),
            (b"\x03\xe8half \xc3", ProtocolError::CloseReasonNotUtf8),
        ];
        for &(body, error) in cases {
            assert_eq!(Close::parse(body), Err(error), "{body:02x?}");
        }
    }

    #[test]
    fn an_optional_code_takes_no_more_room_than_a_code() {
        assert_eq!(size_of::<Option<CloseCode>>(), 2);
        assert_eq!(format!("{} {:?}", CloseCode::KICKED, CloseCode::KICKED), "4001 CloseCode(4001)");
    }
}
