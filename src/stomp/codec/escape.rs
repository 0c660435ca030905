//! What a header line can hold in which version, and how.
//!
//! | | 1.0 | 1.1 | 1.2 |
//! |---|---|---|---|
//! | line feed, colon, backslash | as they are, so only the latter two | `\n` `\c` `\\` | `\n` `\c` `\\` |
//! | carriage return | as it is | as it is | `\r` |

use std::borrow::Cow;

use super::error::FrameError;
use super::{Command, Version};

/// What stands for a byte that a version has no way to write. No frame of ours ever holds more lines than we meant.
const UNWRITABLE: u8 = b'?';

/// How the headers of a frame are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// Not at all: in 1.0, and in the frames that begin a session.
    None,
    /// As in 1.1.
    V11,
    /// As in 1.2.
    V12,
}

impl Escaping {
    pub(crate) const fn of(version: Version) -> Escaping {
        match version {
            Version::V10 => Escaping::None,
            Version::V11 => Escaping::V11,
            Version::V12 => Escaping::V12,
        }
    }

    pub(super) const fn in_frame(self, command: Command) -> Escaping {
        if command.is_plain() { Escaping::None } else { self }
    }

    /// Whether every backslash begins an escape that there is.
    pub(super) fn check(self, text: &str) -> Result<(), FrameError> {
        if self == Escaping::None || !text.contains('\\') {
            return Ok(());
        }
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'\\' && self.meaning(bytes.next()).is_none() {
                return Err(FrameError::UnknownEscape);
            }
        }
        Ok(())
    }

    /// The meaning of text that was checked.
    pub(super) fn unescape(self, text: &str) -> Cow<'_, str> {
        if self == Escaping::None || !text.contains('\\') {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                out.push(character);
                continue;
            }
            let escape = characters.next().and_then(|escape| u8::try_from(escape).ok());
            out.extend(self.meaning(escape));
        }
        Cow::Owned(out)
    }

    fn meaning(self, escape: Option<u8>) -> Option<char> {
        match (escape?, self) {
            (_, Escaping::None) => None,
            (b'n', Escaping::V11 | Escaping::V12) => Some('\n'),
            (b'c', Escaping::V11 | Escaping::V12) => Some(':'),
            (b'\\', Escaping::V11 | Escaping::V12) => Some('\\'),
            (b'r', Escaping::V12) => Some('\r'),
            (_, Escaping::V11 | Escaping::V12) => None,
        }
    }

    /// Appends the name of a header.
    pub(super) fn push_name(self, out: &mut Vec<u8>, name: &str) {
        let start = out.len();
        self.push(out, name);
        if self == Escaping::None {
            let colons = out[start..].iter_mut().filter(|byte| **byte == b':');
            colons.for_each(|byte| *byte = UNWRITABLE);
        }
    }

    /// Appends the value of a header.
    pub(super) fn push(self, out: &mut Vec<u8>, text: &str) {
        if !text.bytes().any(|byte| matches!(byte, b'\\' | b':' | b'\n' | b'\r' | 0)) {
            return out.extend_from_slice(text.as_bytes());
        }
        for byte in text.bytes() {
            match (byte, self) {
                (b'\n', Escaping::V11 | Escaping::V12) => out.extend_from_slice(b"\\n"),
                (b':', Escaping::V11 | Escaping::V12) => out.extend_from_slice(b"\\c"),
                (b'\\', Escaping::V11 | Escaping::V12) => out.extend_from_slice(b"\\\\"),
                (b'\r', Escaping::V12) => out.extend_from_slice(b"\\r"),
                (b'\n' | b'\r' | 0, _) => out.push(UNWRITABLE),
                (byte, _) => out.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Escaping; 3] = [Escaping::None, Escaping::V11, Escaping::V12];

    fn written(escaping: Escaping, text: &str) -> String {
        let mut out = Vec::new();
        escaping.push(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_version_has_its_escapes() {
        let cases = [
            ("a\\nb", ["a\\nb", "a\nb", "a\nb"]),
            ("a\\cb", ["a\\cb", "a:b", "a:b"]),
            ("\\\\n", ["\\\\n", "\\n", "\\n"]),
            ("plain é", ["plain é", "plain é", "plain é"]),
        ];
        for (text, meanings) in cases {
            for (escaping, meaning) in ALL.into_iter().zip(meanings) {
                assert_eq!(escaping.check(text), Ok(()), "{text} {escaping:?}");
                assert_eq!(escaping.unescape(text), meaning, "{text} {escaping:?}");
            }
        }
        assert_eq!(Escaping::V11.check("\\r"), Err(FrameError::UnknownEscape));
        assert_eq!((Escaping::V12.check("\\r"), &*Escaping::V12.unescape("\\r")), (Ok(()), "\r"));
    }

    #[test]
    fn undefined_escapes_are_an_error() {
        for text in ["\\t", "\\", "a\\", "\\\\\\", "\\é", "\\N", "\\0"] {
            assert_eq!(Escaping::None.check(text), Ok(()), "{text}");
            assert_eq!(Escaping::V11.check(text), Err(FrameError::UnknownEscape), "{text}");
            assert_eq!(Escaping::V12.check(text), Err(FrameError::UnknownEscape), "{text}");
        }
    }

    #[test]
    fn what_is_written_never_ends_a_line_or_a_frame() {
        let hostile = "a\nb:c\\d\r\0é";
        for escaping in ALL {
            let text = written(escaping, hostile);
            assert!(!text.contains(['\n', '\r', '\0']), "{text:?}");
            assert_eq!(escaping.check(&text), Ok(()));
            let mut name = Vec::new();
            escaping.push_name(&mut name, hostile);
            assert!(!name.contains(&b':'), "{name:?}");
        }
        assert_eq!(written(Escaping::None, hostile), "a?b:c\\d??é");
        assert_eq!(written(Escaping::V11, hostile), "a\\nb\\cc\\\\d??é");
        assert_eq!(written(Escaping::V12, hostile), "a\\nb\\cc\\\\d\\r?é");
    }

    #[test]
    fn what_a_version_can_write_it_reads_back() {
        for text in ["", "\n\n", ":\\:", "\\n", "a\\\\c", "é:\n漢"] {
            for escaping in [Escaping::V11, Escaping::V12] {
                assert_eq!(escaping.unescape(&written(escaping, text)), text);
            }
        }
        assert_eq!(Escaping::V12.unescape(&written(Escaping::V12, "\r\n")), "\r\n");
    }
}
