//! One frame, lent out of the bytes that it came in.

use std::borrow::Cow;
use std::ops::Range;

use super::Command;
use super::escape::Escaping;

/// Where a header line stands in its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderLine {
    pub(super) start: usize,
    pub(super) colon: usize,
    pub(super) end: usize,
}

/// How header lines are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) escaping: Escaping,
    /// Spaces around a value do not count: the examples of 1.0 have them, later versions forbid to trim.
    pub(super) trim: bool,
}

/// A complete frame, its headers checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(super) command: Command,
    pub(super) reading: Reading,
    /// The frame from its command on.
    pub(super) bytes: &'a [u8],
    pub(super) lines: &'a [HeaderLine],
    pub(super) body: (usize, usize),
}

impl<'a> Frame<'a> {
    pub(crate) fn command(&self) -> Command {
        self.command
    }

    pub(crate) fn body(&self) -> &'a [u8] {
        self.bytes.get(self.body.0..self.body.1).unwrap_or_default()
    }

    /// The value of a header. Of several with that name the first counts, for everything.
    pub(crate) fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        let line = self.lines.iter().find(|line| {
            let given = text(self.bytes, line.start..line.colon);
            given == name || given.contains('\\') && self.reading.escaping.unescape(given) == name
        })?;
        Some(self.value(line))
    }

    /// All headers in their order, repeated ones among them.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let frame = *self;
        self.lines.iter().map(move |line| {
            let name = text(frame.bytes, line.start..line.colon);
            (frame.reading.escaping.unescape(name), frame.value(line))
        })
    }

    fn value(&self, line: &HeaderLine) -> Cow<'a, str> {
        let value = text(self.bytes, line.colon + 1..line.end);
        let value = if self.reading.trim { value.trim_matches(' ') } else { value };
        self.reading.escaping.unescape(value)
    }
}

/// A part of a line that was checked to be UTF-8, cut beside its ASCII characters.
fn text(bytes: &[u8], range: Range<usize>) -> &str {
    bytes.get(range).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
}
