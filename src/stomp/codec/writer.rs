//! From headers and a body to the bytes of a frame.

use super::escape::Escaping;
use super::{CONTENT_LENGTH, Command};

/// Appends one frame, header by header.
#[derive(Debug)]
pub(crate) struct FrameWriter<'o> {
    out: &'o mut Vec<u8>,
    escaping: Escaping,
}

impl<'o> FrameWriter<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>, command: Command, escaping: Escaping) -> FrameWriter<'o> {
        out.extend_from_slice(command.name().as_bytes());
        out.push(b'\n');
        FrameWriter { out, escaping: escaping.in_frame(command) }
    }

    /// Goes on with a frame whose beginning stands elsewhere.
    pub(crate) fn resume(out: &'o mut Vec<u8>, escaping: Escaping) -> FrameWriter<'o> {
        FrameWriter { out, escaping }
    }

    pub(crate) fn header(self, name: &str, value: &str) -> FrameWriter<'o> {
        self.escaping.push_name(self.out, name);
        self.out.push(b':');
        self.escaping.push(self.out, value);
        self.out.push(b'\n');
        self
    }

    pub(crate) fn optional(self, name: &str, value: Option<&str>) -> FrameWriter<'o> {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    pub(crate) fn number(self, name: &str, value: u64) -> FrameWriter<'o> {
        self.header(name, &value.to_string())
    }

    /// Ends a frame that has no body.
    pub(crate) fn end(self) {
        self.out.extend_from_slice(b"\n\0");
    }

    /// Ends a frame with its body.
    pub(crate) fn body(self, body: &[u8]) {
        let writer = self.number(CONTENT_LENGTH, body.len() as u64);
        writer.out.reserve(body.len() + 2);
        writer.out.push(b'\n');
        writer.out.extend_from_slice(body);
        writer.out.push(0);
    }
}
