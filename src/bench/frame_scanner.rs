//! Received frames, walked over header by header: no payload is copied, and of a long one only the start is looked at.

use super::body::Body;
use super::payload::{Finder, Mark};
use crate::ws::header::{self, CONTROL_BYTES_MAX};
use crate::ws::{OpCode, ProtocolError, Role};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'b> {
    /// A message has come whole.
    Message {
        /// What it is recognised by, if it can be.
        mark: Option<Mark>,
        /// Bytes of its payload.
        bytes: u64,
        /// What follows the mark is as it was sent, as far as that is known.
        whole: bool,
    },
    /// A ping, with its payload.
    Ping(&'b [u8]),
    /// A Close frame.
    Close,
}

/// The message that is under way.
#[derive(Clone, Copy, Debug)]
struct Message {
    mark: Option<Mark>,
    /// What is checked of it.
    body: Option<Body>,
    bytes: u64,
    /// The frame under way is its last one.
    last: bool,
}

/// Where in the stream of frames a connection is.
#[derive(Debug, Default)]
pub(super) struct FrameScanner {
    /// The start of a frame that was cut off before its mark. Empty nearly always.
    carry: Vec<u8>,
    /// Bytes of the current frame that are still to come.
    skip: u64,
    /// The current frame is a part of the message under way.
    in_message: bool,
    message: Option<Message>,
}

impl FrameScanner {
    /// Walks over what was read and hands every item to `sink`.
    ///
    /// # Errors
    /// The rule that the server broke.
    #[inline]
    pub(super) fn scan(
        &mut self,
        mut bytes: &[u8],
        finder: &mut Finder,
        mut sink: impl FnMut(Item<'_>),
    ) -> Result<(), ProtocolError> {
        if self.skip > 0 {
            let passed = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= passed as u64;
            self.check(&bytes[..passed]);
            bytes = &bytes[passed..];
            if self.skip > 0 {
                return Ok(());
            }
            self.frame_ended(&mut sink);
        }
        while !bytes.is_empty() {
            let Some(rest) = self.step(bytes, finder, &mut sink)? else { return Ok(()) };
            bytes = rest;
        }
        Ok(())
    }

    /// Takes one frame, or as much of it as there is. Returns what follows it; `None` if all was taken.
    #[inline]
    fn step<'b>(
        &mut self,
        bytes: &'b [u8],
        finder: &mut Finder,
        sink: &mut impl FnMut(Item<'_>),
    ) -> Result<Option<&'b [u8]>, ProtocolError> {
        let held = self.carry.len();
        let mut carried = Vec::new();
        let frame = if held == 0 {
            self.begin(bytes, finder, sink)?
        } else {
            let mut carry = std::mem::take(&mut self.carry);
            let wanted = header::HEADER_BYTES_MAX + finder.prefix_bytes().max(CONTROL_BYTES_MAX);
            carry.extend_from_slice(&bytes[..bytes.len().min(wanted - held)]);
            let frame = self.begin(&carry, finder, sink)?;
            if frame.is_none() {
                self.carry = carry;
                return Ok(None);
            }
            carried = carry;
            frame
        };
        let Some((header_len, frame_len)) = frame else {
            self.carry.extend_from_slice(bytes);
            return Ok(None);
        };
        // What is in both was carried up to the old length, and comes from `bytes` behind it.
        self.check(carried.get(header_len..held).unwrap_or_default());
        let left = frame_len - held as u64;
        let payload_len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.check(bytes.get(header_len.saturating_sub(held)..payload_len).unwrap_or_default());
        if let Some(rest) = usize::try_from(left).ok().and_then(|left| bytes.get(left..)) {
            self.frame_ended(sink);
            return Ok(Some(rest));
        }
        self.skip = left - bytes.len() as u64;
        Ok(None)
    }

    /// Checks bytes of the current frame's payload, if they belong to a message that is checked.
    #[inline]
    fn check(&mut self, payload: &[u8]) {
        if let Some(Message { body: Some(body), .. }) = &mut self.message
            && self.in_message
        {
            body.take(payload);
        }
    }

    /// Reads the header and the mark of the frame that `window` begins with; the lengths of its header and of the whole
    /// frame, or `None` while not enough of it is there.
    #[inline]
    fn begin(
        &mut self,
        window: &[u8],
        finder: &mut Finder,
        sink: &mut impl FnMut(Item<'_>),
    ) -> Result<Option<(usize, u64)>, ProtocolError> {
        let Some(header) = header::parse(window, Role::Client, false)? else { return Ok(None) };
        let prefix_max = if header.opcode.is_control() { CONTROL_BYTES_MAX } else { finder.prefix_bytes() };
        let prefix_len = usize::try_from(header.payload_len).unwrap_or(usize::MAX).min(prefix_max);
        let Some(prefix) = window.get(header.header_len..header.header_len + prefix_len) else {
            return Ok(None);
        };
        self.in_message = !header.opcode.is_control();
        match header.opcode {
            OpCode::Text | OpCode::Binary => {
                if self.message.is_some() {
                    return Err(ProtocolError::ContinuationMissing);
                }
                let mark = finder.find(prefix);
                let body = finder.body(mark);
                self.message = Some(Message { mark, body, bytes: header.payload_len, last: header.fin });
            }
            OpCode::Continuation => {
                let message = self.message.as_mut().ok_or(ProtocolError::ContinuationUnexpected)?;
                message.bytes += header.payload_len;
                message.last = header.fin;
            }
            OpCode::Ping => sink(Item::Ping(prefix)),
            OpCode::Pong => {}
            OpCode::Close => sink(Item::Close),
        }
        Ok(Some((header.header_len, header.header_len as u64 + header.payload_len)))
    }

    /// The frame under way has come whole. A control frame inside a message ends nothing: `last` is not set then.
    #[inline]
    fn frame_ended(&mut self, sink: &mut impl FnMut(Item<'_>)) {
        if let Some(Message { mark, body, bytes, .. }) = self.message.take_if(|message| message.last) {
            let whole = body.is_none_or(|body| body.is_whole());
            sink(Item::Message { mark, bytes, whole });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::payload::Layout;
    use crate::bench::payload_id::{PAYLOAD_ID_BYTES, PayloadId};
    use crate::every_split::every_split;
    use crate::ws::encode;

    #[derive(Debug, PartialEq)]
    enum Found {
        Message(Option<u32>, u64),
        Ping(Vec<u8>),
        Close,
    }

    fn walked(layout: Layout, wire: &[u8]) -> Result<Vec<Found>, ProtocolError> {
        every_split(wire, |pieces| {
            let (mut scanner, mut finder, mut found) =
                (FrameScanner::default(), Finder::new(layout), Vec::new());
            for piece in pieces {
                scanner.scan(piece, &mut finder, |item| {
                    found.push(match item {
                        Item::Message { mark: Some(Mark::PayloadId(id)), bytes, .. } => {
                            Found::Message(Some(id.number), bytes)
                        }
                        Item::Message { mark: None | Some(Mark::Entry(_)), bytes, .. } => {
                            Found::Message(None, bytes)
                        }
                        Item::Ping(payload) => Found::Ping(payload.to_vec()),
                        Item::Close => Found::Close,
                    });
                })?;
            }
            Ok(found)
        })
    }

    fn stamped(number: u32, len: usize) -> Vec<u8> {
        let mut payload = PayloadId { publisher: 3, number }.letters().to_vec();
        payload.resize(len, b'x');
        payload
    }

    #[test]
    fn messages_of_every_length_form_are_found_in_order() {
        let mut wire = Vec::new();
        for (number, len) in [(0, PAYLOAD_ID_BYTES), (1, 125), (2, 126), (3, 1000)] {
            encode::binary(&mut wire, &stamped(number, len));
        }
        encode::text(&mut wire, "short");
        encode::ping(&mut wire, b"are you there");
        encode::pong(&mut wire, b"");
        encode::text(&mut wire, "");
        encode::close(&mut wire, None, "");
        let expected = [
            Found::Message(Some(0), 16),
            Found::Message(Some(1), 125),
            Found::Message(Some(2), 126),
            Found::Message(Some(3), 1000),
            Found::Message(None, 5),
            Found::Ping(b"are you there".to_vec()),
            Found::Message(None, 0),
            Found::Close,
        ];
        assert_eq!(walked(Layout::Plain, &wire).unwrap(), expected);
        let without_stamps = walked(Layout::Chat, &wire).unwrap();
        assert_eq!(without_stamps[0], Found::Message(None, 16), "there is no content in it");
    }

    #[test]
    fn a_message_in_fragments_counts_once_it_is_whole() {
        let wire = [b"\x02\x10", &stamped(9, 16)[..], b"\x89\x01p", b"\x00\x02ab", b"\x80\x01c", b"\x81\x00"]
            .concat();
        let expected = [Found::Ping(b"p".to_vec()), Found::Message(Some(9), 19), Found::Message(None, 0)];
        assert_eq!(walked(Layout::Plain, &wire).unwrap(), expected);
    }

    #[test]
    fn the_content_of_a_chat_message_is_found_across_cuts() {
        let id = PayloadId { publisher: 3, number: 77 }.letters();
        let text = format!("{{\"id\":\"1\",\"content\":\"{}yz\"}}", String::from_utf8_lossy(&id));
        let mut wire = Vec::new();
        encode::text(&mut wire, &text);
        assert_eq!(walked(Layout::Chat, &wire).unwrap(), [Found::Message(Some(77), text.len() as u64)]);
    }

    #[test]
    fn a_body_that_is_cut_or_garbled_is_noticed_however_it_comes() {
        let chat = |body: &str| {
            let id = PayloadId { publisher: 3, number: 77 }.letters();
            format!("{{\"id\":\"1\",\"content\":\"{}{body}\",\"seq\":1}}", String::from_utf8_lossy(&id))
        };
        let plain = |body: &str| [&stamped(1, PAYLOAD_ID_BYTES)[..], body.as_bytes()].concat();
        let filler = "x".repeat(20);
        let wrong =
            ["x".repeat(19), "x".repeat(21), format!("{}y", &filler[1..]), format!("y{}", &filler[1..])];
        let (mut plain_wire, mut chat_wire, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        for body in wrong.iter().chain([&filler]) {
            encode::binary(&mut plain_wire, &plain(body));
            encode::text(&mut chat_wire, &chat(body));
            expected.push(*body == filler);
        }
        // In fragments, with a ping that is no part of it.
        let whole = plain(&filler);
        plain_wire.extend([&[0x02, 18][..], &whole[..18], b"\x89\x01p", &[0x80, 18], &whole[18..]].concat());
        for (layout, wire, expected) in [
            (Layout::Plain, plain_wire, [&expected[..], &[true]].concat()),
            (Layout::Chat, chat_wire, expected.clone()),
        ] {
            let found = every_split(&wire, |pieces| {
                let mut finder = Finder::new(layout).checking(PAYLOAD_ID_BYTES + 20);
                let (mut scanner, mut found) = (FrameScanner::default(), Vec::new());
                for piece in pieces {
                    let walked = scanner.scan(piece, &mut finder, |item| {
                        if let Item::Message { whole, .. } = item {
                            found.push(whole);
                        }
                    });
                    assert_eq!(walked, Ok(()));
                }
                found
            });
            assert_eq!(found, expected, "{layout:?}");
        }
    }

    #[test]
    fn a_server_that_breaks_the_protocol_is_told_on() {
        for (wire, error) in [
            (&b"\x81\x85\0\0\0\0hello"[..], ProtocolError::MaskForbidden),
            (b"\x80\x00", ProtocolError::ContinuationUnexpected),
            (b"\x01\x00\x81\x00", ProtocolError::ContinuationMissing),
            (b"\xc1\x00", ProtocolError::ReservedBit),
        ] {
            assert_eq!(walked(Layout::Plain, wire), Err(error));
        }
    }
}
