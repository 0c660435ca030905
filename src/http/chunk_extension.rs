//! What may stand behind the size of a chunk (RFC 9112 §7.1.1): read over, but not guessed at.

use super::fields::is_token_byte;

/// What the next byte of `*( ";" name [ "=" ( token / quoted-string ) ] )` belongs to. White space is forgiven around both
/// signs, nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// Behind a semicolon.
    NameStart,
    /// Within a name.
    Name,
    /// White space behind a name.
    NameEnd,
    /// Behind an equals sign.
    ValueStart,
    /// Within a token.
    Token,
    /// Between quotes.
    Quoted,
    /// Behind a backslash between quotes.
    QuotedPair,
    /// Behind the closing quotes.
    QuotedEnd,
    /// White space behind a value.
    ValueEnd,
}

impl Extension {
    /// Behind the first semicolon.
    pub(super) const BEGIN: Extension = Extension::NameStart;

    /// The place after a byte that is no control byte but perhaps the tab; `None` if it must not stand here.
    pub(super) fn after(self, byte: u8) -> Option<Extension> {
        let is_blank = matches!(byte, b' ' | b'\t');
        match self {
            Extension::NameStart | Extension::ValueStart if is_blank => Some(self),
            Extension::NameStart | Extension::Name if is_token_byte(byte) => Some(Extension::Name),
            Extension::Name | Extension::NameEnd if is_blank => Some(Extension::NameEnd),
            Extension::Name | Extension::NameEnd if byte == b'=' => Some(Extension::ValueStart),
            Extension::ValueStart | Extension::Token if is_token_byte(byte) => Some(Extension::Token),
            Extension::ValueStart if byte == b'"' => Some(Extension::Quoted),
            Extension::Quoted => Some(match byte {
                b'"' => Extension::QuotedEnd,
                b'\\' => Extension::QuotedPair,
                _ => Extension::Quoted,
            }),
            Extension::QuotedPair => Some(Extension::Quoted),
            Extension::Token | Extension::QuotedEnd | Extension::ValueEnd if is_blank => {
                Some(Extension::ValueEnd)
            }
            Extension::Name
            | Extension::NameEnd
            | Extension::Token
            | Extension::QuotedEnd
            | Extension::ValueEnd
                if byte == b';' =>
            {
                Some(Extension::NameStart)
            }
            Extension::NameStart
            | Extension::Name
            | Extension::NameEnd
            | Extension::ValueStart
            | Extension::Token
            | Extension::QuotedEnd
            | Extension::ValueEnd => None,
        }
    }

    /// Whether the line may end here.
    pub(super) fn may_end(self) -> bool {
        match self {
            Extension::Name | Extension::Token | Extension::QuotedEnd => true,
            Extension::NameStart
            | Extension::NameEnd
            | Extension::ValueStart
            | Extension::Quoted
            | Extension::QuotedPair
            | Extension::ValueEnd => false,
        }
    }
}
