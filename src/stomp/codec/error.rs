//! The rules that a frame can break.

use std::fmt;

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// The first line is no command.
    UnknownCommand,
    /// A line is longer than is allowed.
    LongLine,
    /// There are more headers than are allowed.
    TooManyHeaders,
    /// A header line is not UTF-8.
    NotUtf8,
    /// A NUL before the body.
    NulInHead,
    /// A carriage return without a line feed behind it.
    BareCarriageReturn,
    /// A header line without a colon.
    NoColon,
    /// A header without a name.
    NoName,
    /// An escape that the version does not have.
    UnknownEscape,
    /// `content-length` is not a number of digits.
    BadContentLength,
    /// The body is longer than is allowed.
    LongBody,
    /// The command takes no body.
    UnexpectedBody,
    /// No NUL behind a body of the announced length.
    NoNul,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FrameError::UnknownCommand => "unknown command",
            FrameError::LongLine => "a line of the frame is too long",
            FrameError::TooManyHeaders => "the frame has too many headers",
            FrameError::NotUtf8 => "a header is not UTF-8",
            FrameError::NulInHead => "NUL before the end of the headers",
            FrameError::BareCarriageReturn => "carriage return without line feed",
            FrameError::NoColon => "a header has no colon",
            FrameError::NoName => "a header has no name",
            FrameError::UnknownEscape => "a header has an undefined escape sequence",
            FrameError::BadContentLength => "content-length is not a number",
            FrameError::LongBody => "the body is too long",
            FrameError::UnexpectedBody => "this command takes no body",
            FrameError::NoNul => "no NUL at the end of content-length",
        })
    }
}

impl std::error::Error for FrameError {}
