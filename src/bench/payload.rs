//! The number that every message of the load carries: who sent it, and as its how-manieth.
//!
//! Sixteen letters that mean the same in text, in binary and inside a JSON string, at a fixed width, so that a
//! prepared frame can be given another stamp in place, and so cheap to read that checking every delivery of a
//! broadcast costs a few nanoseconds.

use super::body::{Body, End, FILLER};
use super::entry::{ENTRY_BYTES_MAX, Entry};
use super::payload_id::{PAYLOAD_ID_BYTES, PayloadId};
use crate::ws::OpCode;
use crate::ws::encode;
use crate::ws::header::HEADER_BYTES_MAX;
use crate::ws::mask::Mask;

/// What comes before the stamp in a chat message, from either side.
const CONTENT: &[u8] = b"\"content\":\"";
/// The same in a STOMP frame.
const END_OF_HEADERS: &[u8] = b"\n\n";
/// Where a SEND names its room, and what it is called before it has a number.
const DESTINATION: &[u8] = b"SEND\ndestination:/topic/r";
const NO_ROOM: &[u8] = b"000000";

/// How far into a chat message its content may begin: room, sender and id come before it.
const CONTENT_WITHIN: usize = 512;

/// What a received message is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Its publisher's count.
    PayloadId(PayloadId),
    /// Its place in the room's log.
    Entry(Entry),
}

/// Where in a payload the stamp stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// At its start: the payload comes back as it was sent.
    Plain,
    /// At the start of the JSON string `content`.
    Chat,
    /// At the start of the body of a STOMP frame.
    Stomp,
    /// As in `Chat`, and what comes back is read as a part of the room's log.
    Log,
}

/// Finds marks in received payloads.
#[derive(Clone, Debug)]
pub(super) struct Finder {
    layout: Layout,
    /// Bytes that follow the stamp, if that is to be checked.
    filler_bytes: Option<u64>,
    /// Where the last content began: the next one most likely begins there, too.
    guess: usize,
}

impl Finder {
    pub(super) fn new(layout: Layout) -> Finder {
        Finder { layout, filler_bytes: None, guess: CONTENT.len() }
    }

    /// The same, which checks that messages of `size` bytes of content have come whole.
    pub(super) fn checking(self, size: usize) -> Finder {
        Finder { filler_bytes: Some((size.max(PAYLOAD_ID_BYTES) - PAYLOAD_ID_BYTES) as u64), ..self }
    }

    /// What has to follow in the payload in which this mark was found last.
    #[inline]
    pub(super) fn body(&self, mark: Option<Mark>) -> Option<Body> {
        let filler = self.filler_bytes?;
        match mark {
            Some(Mark::PayloadId(_) | Mark::Entry(Entry::Message { id: Some(_), .. })) => {}
            Some(Mark::Entry(_)) | None => return None,
        }
        let (start, end) = match self.layout {
            Layout::Plain => (0, End::Here),
            Layout::Stomp => (self.guess, End::Byte(0)),
            Layout::Chat | Layout::Log => (self.guess, End::Byte(b'"')),
        };
        Some(Body { before: (start + PAYLOAD_ID_BYTES) as u64, filler, end, sound: true })
    }

    /// How much of a payload has to be seen to find its mark.
    pub(super) fn prefix_bytes(&self) -> usize {
        match self.layout {
            Layout::Plain => PAYLOAD_ID_BYTES,
            Layout::Chat | Layout::Stomp => CONTENT_WITHIN,
            Layout::Log => ENTRY_BYTES_MAX,
        }
    }

    /// The mark in a payload of which at least the first [`Finder::prefix_bytes`] are there.
    #[inline]
    pub(super) fn find(&mut self, payload: &[u8]) -> Option<Mark> {
        match self.layout {
            Layout::Plain => PayloadId::parse(payload).map(Mark::PayloadId),
            Layout::Chat => self.find_behind(CONTENT, payload).map(Mark::PayloadId),
            Layout::Stomp => self.find_behind(END_OF_HEADERS, payload).map(Mark::PayloadId),
            Layout::Log => {
                Entry::parse(payload, |payload| self.find_behind(CONTENT, payload)).map(Mark::Entry)
            }
        }
    }

    #[inline]
    fn find_behind(&mut self, before: &'static [u8], payload: &[u8]) -> Option<PayloadId> {
        let begins = |at: usize| payload.get(at - before.len()..at) == Some(before);
        if !begins(self.guess) {
            let within = &payload[..payload.len().min(CONTENT_WITHIN)];
            let at = within.windows(before.len()).position(|window| window == before)?;
            self.guess = at + before.len();
        }
        PayloadId::parse(payload.get(self.guess..)?)
    }
}

/// A masked frame that is complete but for its stamp, and in STOMP the number of its room.
#[derive(Clone, Debug)]
pub(super) struct Template {
    frame: Vec<u8>,
    stamp_at: usize,
    /// The masking key as it falls on the stamp.
    mask: Mask,
    /// Where the number of the room stands, and the masking key there.
    room: Option<(usize, Mask)>,
}

impl Template {
    /// A message of `size` bytes of content, at least [`STAMP_BYTES`].
    ///
    /// All frames of a template have one masking key: what is measured costs the server the same, and nothing secret
    /// is sent.
    pub(super) fn new(layout: Layout, opcode: OpCode, size: usize, key: [u8; 4]) -> Template {
        let content = vec![FILLER; size.max(PAYLOAD_ID_BYTES)];
        let send = [DESTINATION, NO_ROOM, END_OF_HEADERS].concat();
        let (before, after): (&[u8], &[u8]) = match layout {
            Layout::Plain => (b"", b""),
            Layout::Stomp => (&send, b"\0"),
            Layout::Chat | Layout::Log => (b"{\"content\":\"", b"\"}"),
        };
        let payload = [before, &content, after].concat();
        let mut frame = Vec::with_capacity(payload.len() + HEADER_BYTES_MAX);
        encode::masked(&mut frame, opcode, &payload, key);
        let behind = |bytes: usize| {
            let mut mask = Mask::new(key);
            mask.apply(&mut vec![0; bytes]);
            (frame.len() - payload.len() + bytes, mask)
        };
        let (stamp_at, mask) = behind(before.len());
        let room = (layout == Layout::Stomp).then(|| behind(DESTINATION.len()));
        Template { frame, stamp_at, mask, room }
    }

    /// Appends the frame with this stamp, for this room if the frame says for which it is.
    pub(super) fn append(&self, out: &mut Vec<u8>, room: usize, id: PayloadId) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        fill(&mut out[start + self.stamp_at..], &mut id.letters(), self.mask);
        if let Some((at, mask)) = self.room {
            fill(&mut out[start + at..], format!("{room:06}").as_bytes().to_vec().as_mut_slice(), mask);
        }
    }
}

/// Puts bytes into their place, masked.
fn fill(place: &mut [u8], bytes: &mut [u8], mut mask: Mask) {
    mask.apply(bytes);
    place[..bytes.len()].copy_from_slice(bytes);
}

/// What a member says first, right behind its opening handshake: in STOMP it asks for the room of its path.
pub(super) fn greeting(layout: Layout, path: &str, key: [u8; 4]) -> Vec<u8> {
    let mut frames = Vec::new();
    if layout == Layout::Stomp {
        let room = path.split(['?', '&']).find_map(|pair| pair.strip_prefix("room=")).unwrap_or_default();
        let subscribe = format!("SUBSCRIBE\nid:0\ndestination:/topic/{room}\n\n\0");
        for frame in ["CONNECT\naccept-version:1.2\nhost:load\nheart-beat:0,0\n\n\0", &subscribe] {
            encode::masked(&mut frames, OpCode::Text, frame.as_bytes(), key);
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::{Connection, Decoder, Incoming, Input, Message, Role};

    fn payload(template: &Template, id: PayloadId) -> String {
        let mut wire = Vec::new();
        template.append(&mut wire, 12, id);
        let mut connection = Connection::new(Decoder::new(Role::Server, 1 << 20));
        let Some(Incoming::Message(Message::Text(text))) = connection.poll(&mut Input::new(&mut wire)) else {
            panic!("the frame holds a text message");
        };
        text.to_owned()
    }

    #[test]
    fn every_stamp_is_read_back() {
        for number in [0, 1, 15, 16, 0xdead_beef, u32::MAX] {
            let id = PayloadId { publisher: number.rotate_left(7), number };
            assert_eq!(PayloadId::parse(&id.letters()), Some(id));
        }
        assert_eq!(&PayloadId { publisher: 0, number: 0x1f }.letters(), b"@@@@@@@@@@@@@@AO");
    }

    #[test]
    fn what_is_no_stamp_is_not_taken_for_one() {
        for letters in
            [&b"@@@@@@@@@@@@@@@"[..], b"@@@@@@@@@@@@@@@P", b"?@@@@@@@@@@@@@@@", b"someone else's text"]
        {
            assert_eq!(PayloadId::parse(letters), None);
        }
    }

    #[test]
    fn a_prepared_frame_carries_the_stamp_under_its_mask() {
        let id = PayloadId { publisher: 7, number: 300 };
        let key = [1, 2, 3, 4];
        for size in [16, 17, 128, 70_000] {
            let plain = payload(&Template::new(Layout::Plain, OpCode::Text, size, key), id);
            assert_eq!(plain.len(), size);
            assert_eq!(Finder::new(Layout::Plain).find(plain.as_bytes()), Some(Mark::PayloadId(id)));
            let chat = payload(&Template::new(Layout::Chat, OpCode::Text, size, key), id);
            assert_eq!(chat.len(), size + "{\"content\":\"\"}".len());
            assert_eq!(Finder::new(Layout::Chat).find(chat.as_bytes()), Some(Mark::PayloadId(id)));
            let stomp = payload(&Template::new(Layout::Stomp, OpCode::Text, size, key), id);
            assert!(
                stomp.starts_with("SEND\ndestination:/topic/r000012\n\n")
                    && stomp.ends_with("x\0") | (size == 16)
            );
            assert_eq!(Finder::new(Layout::Stomp).find(stomp.as_bytes()), Some(Mark::PayloadId(id)));
        }
    }

    #[test]
    fn the_content_of_a_broadcast_is_found_wherever_it_begins() {
        let mut finder = Finder::new(Layout::Chat);
        let id = PayloadId { publisher: 1, number: 2 };
        let letters = String::from_utf8(id.letters().to_vec()).unwrap();
        for sender in ["a", "somebody", "a", "a"] {
            let text =
                format!("{{\"id\":\"1\",\"sender\":\"{sender}\",\"content\":\"{letters}xx\",\"seq\":1}}");
            assert_eq!(finder.find(text.as_bytes()), Some(Mark::PayloadId(id)));
            let entry = Entry::Message { seq: 1, id: Some(id) };
            assert_eq!(Finder::new(Layout::Log).find(text.as_bytes()), Some(Mark::Entry(entry)));
        }
        assert_eq!(finder.find(b"{\"type\":\"GAP\"}"), None);
        assert_eq!(finder.find(b"{\"content\":\"ann joined\"}"), None);
        assert_eq!(finder.find(b""), None);
    }
}
