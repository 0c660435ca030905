//! Close frames: their bodies (RFC 6455 §5.5.1, §7.4).

use super::close_code::CloseCode;
use super::error::ProtocolError;

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
