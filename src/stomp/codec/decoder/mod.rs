//! From bytes to frames. A frame may come with others in one message of the WebSocket, or in pieces over several.

use memchr::{memchr, memchr2};

use super::error::FrameError;
use super::escape::Escaping;
use super::frame::{Frame, HeaderLine, Reading};
use super::{ACCEPT_VERSION, CONTENT_LENGTH, Command, RECEIPT, Version};

/// What a frame may cost, checked as its bytes arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLimits {
    /// Header lines.
    pub(crate) headers_max: usize,
    /// Bytes of a line, without its line feed.
    pub(crate) line_bytes_max: usize,
    /// Bytes of a body.
    pub(crate) body_bytes_max: usize,
}

/// Reads one direction of one connection.
///
/// How the bytes are cut never changes what comes out. A frame that came in one piece is lent out of that; only one
/// that is cut off is copied, and kept in memory that grows with the bytes that have arrived.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: FrameLimits,
    /// `None`: it is not decided yet.
    version: Option<Version>,
    state: DecoderState,
    /// The beginning of a frame that was cut off.
    held: Vec<u8>,
    /// The headers of the current frame.
    lines: Vec<HeaderLine>,
    /// The receipt that a frame asks for which broke a rule, if that could be told.
    receipt: Option<Box<str>>,
}

/// ```text
///            first byte            empty line           NUL
///   Between ───────────► Head ───────────────► Body ──────────► Lent
///    ▲  (line ends are skipped)                                  │
///    └───────────────────────────────────────────────────────────┘
///                         any ──► Failed
/// ```
#[derive(Clone, Copy, Debug)]
enum DecoderState {
    Between,
    /// Between frames, behind a carriage return.
    BetweenInLineEnd,
    /// In the command or the headers: where the current line begins, counted from the frame's first byte.
    Head {
        first: First,
        line_start: usize,
    },
    Body {
        command: Command,
        start: usize,
        length: Option<usize>,
    },
    /// A frame was lent out.
    Lent,
    Failed(FrameError),
}

/// What the first line of a frame says.
#[derive(Clone, Copy, Debug)]
enum First {
    /// It has not come yet.
    Awaited,
    Command(Command),
    /// No command. The frame is refused at the end of its headers, where it may ask for a receipt.
    Unknown,
}

/// What a step came to.
enum Step {
    /// All input is consumed.
    Starved,
    /// There is more to do.
    Onward,
    /// The frame is complete: its command, and where its body begins and ends.
    Complete(Command, (usize, usize)),
}

/// A complete frame, before it can be borrowed.
struct Complete<'i> {
    command: Command,
    body: (usize, usize),
    /// Its bytes, if they lie in the input.
    fresh: Option<&'i [u8]>,
}

/// The input, and how far it has been read.
struct Cursor<'i> {
    input: &'i [u8],
    at: usize,
    /// The frame began in earlier input, so its bytes are gathered.
    is_held: bool,
}

impl<'i> Cursor<'i> {
    fn rest(&self) -> &'i [u8] {
        &self.input[self.at..]
    }

    fn take(&mut self, count: usize, held: &mut Vec<u8>) {
        if self.is_held {
            held.extend_from_slice(&self.rest()[..count]);
        }
        self.at += count;
    }

    /// The frame as far as it was read.
    fn frame<'f>(&self, held: &'f [u8]) -> &'f [u8]
    where
        'i: 'f,
    {
        if self.is_held { held } else { &self.input[..self.at] }
    }
}

impl Decoder {
    pub(crate) fn new(limits: FrameLimits) -> Decoder {
        Decoder {
            limits,
            version: None,
            state: DecoderState::Between,
            held: Vec::new(),
            lines: Vec::new(),
            receipt: None,
        }
    }

    /// Reads by the rules of this version from the next frame on.
    pub(crate) fn speak(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// The receipt that the frame has asked for that broke a rule, if it came so far.
    pub(crate) fn receipt(&self) -> Option<&str> {
        self.receipt.as_deref()
    }

    /// Bytes that are kept of a frame that has begun, about.
    pub(crate) fn held_bytes(&self) -> usize {
        match self.state {
            DecoderState::Head { .. } | DecoderState::Body { .. } => {
                self.held.capacity() + self.lines.capacity() * size_of::<HeaderLine>()
            }
            DecoderState::Between
            | DecoderState::BetweenInLineEnd
            | DecoderState::Lent
            | DecoderState::Failed(_) => 0,
        }
    }

    /// Whether no frame has begun without having ended.
    pub(crate) fn is_idle(&self) -> bool {
        match self.state {
            DecoderState::Between
            | DecoderState::BetweenInLineEnd
            | DecoderState::Lent
            | DecoderState::Failed(_) => true,
            DecoderState::Head { .. } | DecoderState::Body { .. } => false,
        }
    }

    /// The next frame, or `None` once all input is consumed.
    ///
    /// # Errors
    /// The rule that was broken; every further call returns the same.
    pub(crate) fn poll<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'d>>, FrameError> {
        let advanced = self.advance(input).inspect_err(|error| self.state = DecoderState::Failed(*error))?;
        let Some(Complete { command, body, fresh }) = advanced else { return Ok(None) };
        self.state = DecoderState::Lent;
        let bytes = fresh.unwrap_or(&self.held);
        let reading = self.reading(command, bytes);
        Ok(Some(Frame { command, reading, bytes, lines: &self.lines, body }))
    }

    /// Reads on, up to the end of a frame at most.
    fn advance<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Complete<'i>>, FrameError> {
        if let DecoderState::Failed(error) = self.state {
            return Err(error);
        }
        if let DecoderState::Lent = self.state {
            self.state = DecoderState::Between;
            self.lines.clear();
            self.held = Vec::new();
        }
        if !self.begin(input)? {
            return Ok(None);
        }
        let mut cursor = Cursor { input, at: 0, is_held: !self.held.is_empty() };
        let complete = loop {
            let step = match self.state {
                DecoderState::Head { first, line_start } => self.read_line(&mut cursor, first, line_start)?,
                DecoderState::Body { command, start, length } => {
                    self.read_body(&mut cursor, command, start, length)?
                }
                DecoderState::Between
                | DecoderState::BetweenInLineEnd
                | DecoderState::Lent
                | DecoderState::Failed(_) => Step::Starved,
            };
            match step {
                Step::Onward => {}
                Step::Complete(command, body) => break Some((command, body)),
                Step::Starved => break None,
            }
        };
        *input = cursor.rest();
        let Some((command, body)) = complete else {
            if !cursor.is_held {
                self.held.extend_from_slice(cursor.input);
            }
            return Ok(None);
        };
        let fresh = (!cursor.is_held).then(|| &cursor.input[..cursor.at]);
        Ok(Some(Complete { command, body, fresh }))
    }

    /// Skips the line ends between frames. False if nothing is behind them.
    fn begin(&mut self, input: &mut &[u8]) -> Result<bool, FrameError> {
        loop {
            let Some((&first, rest)) = input.split_first() else { return Ok(false) };
            self.state = match (self.state, first) {
                (DecoderState::Between | DecoderState::BetweenInLineEnd, b'\n') => DecoderState::Between,
                (DecoderState::BetweenInLineEnd, _) => return Err(FrameError::BareCarriageReturn),
                (DecoderState::Between, b'\r') if self.ends_lines_with_both() => {
                    DecoderState::BetweenInLineEnd
                }
                (DecoderState::Between, _) => DecoderState::Head { first: First::Awaited, line_start: 0 },
                (
                    DecoderState::Head { .. }
                    | DecoderState::Body { .. }
                    | DecoderState::Lent
                    | DecoderState::Failed(_),
                    _,
                ) => {
                    return Ok(true);
                }
            };
            if let DecoderState::Head { .. } = self.state {
                return Ok(true);
            }
            *input = rest;
        }
    }

    /// Whether a carriage return may stand before a line feed: in 1.2, and before the version is known.
    fn ends_lines_with_both(&self) -> bool {
        match self.version {
            None | Some(Version::V12) => true,
            Some(Version::V10 | Version::V11) => false,
        }
    }

    fn read_line(
        &mut self,
        cursor: &mut Cursor<'_>,
        first: First,
        line_start: usize,
    ) -> Result<Step, FrameError> {
        let rest = cursor.rest();
        let end = memchr2(b'\n', 0, rest);
        let len = cursor.frame(&self.held).len() - line_start + end.unwrap_or(rest.len());
        if len > self.limits.line_bytes_max {
            return Err(FrameError::LongLine);
        }
        let Some(end) = end else {
            cursor.take(rest.len(), &mut self.held);
            return Ok(Step::Starved);
        };
        if rest[end] == 0 {
            return Err(FrameError::NulInHead);
        }
        cursor.take(end + 1, &mut self.held);
        let frame = cursor.frame(&self.held);
        let mut line = &frame[line_start..line_start + len];
        if self.ends_lines_with_both() {
            line = line.strip_suffix(b"\r").unwrap_or(line);
            if memchr(b'\r', line).is_some() {
                return Err(FrameError::BareCarriageReturn);
            }
        }
        let next = frame.len();
        self.state = match first {
            First::Awaited => {
                let first = Command::parse(line).map_or(First::Unknown, First::Command);
                DecoderState::Head { first, line_start: next }
            }
            First::Unknown if line.is_empty() => {
                self.receipt = self.head(Command::Send, frame).header(RECEIPT).map(Into::into);
                return Err(FrameError::UnknownCommand);
            }
            First::Command(command) if line.is_empty() => {
                let head = self.head(command, frame);
                let length = content_length(&head, self.limits.body_bytes_max);
                if length == Err(FrameError::UnexpectedBody) {
                    self.receipt = head.header(RECEIPT).map(Into::into);
                }
                DecoderState::Body { command, start: next, length: length? }
            }
            First::Command(_) | First::Unknown => {
                if self.lines.len() >= self.limits.headers_max {
                    return Err(FrameError::TooManyHeaders);
                }
                let line =
                    check_header(line, line_start, self.escaping(first)).map_err(|error| match first {
                        First::Unknown => FrameError::UnknownCommand,
                        First::Awaited | First::Command(_) => error,
                    })?;
                self.lines.push(line);
                DecoderState::Head { first, line_start: next }
            }
        };
        Ok(Step::Onward)
    }

    fn read_body(
        &mut self,
        cursor: &mut Cursor<'_>,
        command: Command,
        start: usize,
        length: Option<usize>,
    ) -> Result<Step, FrameError> {
        let rest = cursor.rest();
        let have = cursor.frame(&self.held).len() - start;
        let lacking = match length {
            Some(length) => match rest.get(length - have) {
                Some(0) => Some(length - have),
                Some(_) => return Err(FrameError::NoNul),
                None => None,
            },
            None => memchr(0, rest),
        };
        let arrived = have + lacking.unwrap_or(rest.len());
        if arrived > 0 && !command.has_body() {
            self.receipt = self.head(command, cursor.frame(&self.held)).header(RECEIPT).map(Into::into);
            return Err(FrameError::UnexpectedBody);
        }
        if arrived > self.limits.body_bytes_max {
            return Err(FrameError::LongBody);
        }
        let Some(lacking) = lacking else {
            cursor.take(rest.len(), &mut self.held);
            return Ok(Step::Starved);
        };
        cursor.take(lacking + 1, &mut self.held);
        Ok(Step::Complete(command, (start, start + arrived)))
    }

    fn escaping(&self, first: First) -> Escaping {
        let escaping = self.version.map_or(Escaping::None, Escaping::of);
        match first {
            First::Command(command) => escaping.in_frame(command),
            First::Awaited | First::Unknown => escaping,
        }
    }

    /// The headers of a frame, once all of them are there.
    fn head<'f>(&'f self, command: Command, frame: &'f [u8]) -> Frame<'f> {
        let reading = self.reading(command, frame);
        Frame { command, reading, bytes: frame, lines: &self.lines, body: (0, 0) }
    }

    /// How the headers of a frame are to be read, once all of them are there.
    fn reading(&self, command: Command, frame: &[u8]) -> Reading {
        let reading = Reading { escaping: self.escaping(First::Command(command)), trim: false };
        let head = Frame { command, reading, bytes: frame, lines: &self.lines, body: (0, 0) };
        let is_first_version = match self.version {
            None => head.header(ACCEPT_VERSION).is_none(),
            Some(version) => version == Version::V10,
        };
        Reading { trim: is_first_version, ..reading }
    }
}

/// What the headers say about the length of the body.
fn content_length(head: &Frame<'_>, body_bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(value) = head.header(CONTENT_LENGTH) else { return Ok(None) };
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FrameError::BadContentLength);
    }
    match value.parse() {
        Ok(0) => Ok(Some(0)),
        Ok(_) | Err(_) if !head.command().has_body() => Err(FrameError::UnexpectedBody),
        Ok(length) if length <= body_bytes_max => Ok(Some(length)),
        Ok(_) | Err(_) => Err(FrameError::LongBody),
    }
}

/// Checks a line between the command and the body.
fn check_header(line: &[u8], start: usize, escaping: Escaping) -> Result<HeaderLine, FrameError> {
    let text = simdutf8::basic::from_utf8(line).map_err(|_| FrameError::NotUtf8)?;
    let (name, value) = text.split_once(':').ok_or(FrameError::NoColon)?;
    if name.is_empty() {
        return Err(FrameError::NoName);
    }
    escaping.check(name)?;
    escaping.check(value)?;
    Ok(HeaderLine { start, colon: start + name.len(), end: start + line.len() })
}

#[cfg(test)]
mod tests;
