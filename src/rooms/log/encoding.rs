//! Other wire forms of a room's log: STOMP, server-sent events, and those of other applications.

use std::fmt;

use super::frames::Log;
use super::view::Plain;
use crate::rooms::message::chat::Chat;
use crate::rooms::message::frame::payload_of;
use crate::rooms::message::notice::Notice;
use crate::rooms::timestamp::Timestamp;
use crate::ws::OpCode;

/// One message of a room's log, about to be written in another form.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub(in crate::rooms) room: &'a str,
    pub(in crate::rooms) epoch: u64,
    pub(in crate::rooms) seq: u64,
    pub(in crate::rooms) at: Timestamp,
    /// Its plain form: a whole frame.
    pub(in crate::rooms) frame: &'a [u8],
    pub(in crate::rooms) key: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// The room's name.
    #[must_use]
    pub fn room(&self) -> &'a str {
        self.room
    }

    /// The log's epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The message's number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// When it was published.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// What it is the latest value of, in a conflated relay.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// Its payload as plain members get it: the JSON object in a chat room, what was published in a relay.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        payload_of(self.frame)
    }

    /// Whether that is binary.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.frame.first().is_some_and(|first| first & 0x0f == OpCode::Binary.bits())
    }

    /// The chat message that it is; `None` in a relay. Parses its JSON.
    #[must_use]
    pub fn chat(&self) -> Option<Chat<'a>> {
        Chat::parse(self.payload())
    }
}

/// A wire form of a room's messages other than WebSocket frames with their payload.
///
/// What all members of one [`family`](Encoding::family) are sent is written once, when the first of them needs it, and
/// lies ready as long as the message itself. The methods are called on the threads of the rooms.
pub trait Encoding: fmt::Debug + Send + Sync + 'static {
    /// Members whose encodings are of one family are sent what [`encode`](Encoding::encode) of any of them writes.
    fn family(&self) -> u32;

    /// Appends what is the same for the whole family: a whole frame, unless there is a [`label`](Encoding::label).
    fn encode(&self, entry: &Entry<'_>, out: &mut Vec<u8>);

    /// What makes a member's frames differ from those of others in its family; empty if nothing does. Members with the
    /// same label are sent the same bytes.
    fn label(&self) -> &[u8] {
        &[]
    }

    /// Appends the whole frame for members with this label, made of what `encode` wrote. Called only where there is one.
    fn address(&self, shared: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(shared);
    }

    /// Appends a word of the room to this member alone, as whole frames.
    fn notice(&self, notice: &Notice<'_>, out: &mut Vec<u8>);
}

/// Appends one message as a member with this encoding is sent it.
pub(in crate::rooms) fn write_entry(encoding: &dyn Encoding, entry: &Entry<'_>, out: &mut Vec<u8>) {
    if encoding.label().is_empty() {
        return encoding.encode(entry, out);
    }
    let mut shared = Vec::new();
    encoding.encode(entry, &mut shared);
    encoding.address(&shared, out);
}

/// Appends to `out`, which follows the log, the messages after `cursor` up to `last` as a member with this encoding is
/// sent them. `shared` holds what its family shares of them. `None` if that does not reach back so far.
pub(in crate::rooms) fn address_log(
    encoding: &dyn Encoding,
    shared: &Log,
    cursor: u64,
    last: u64,
    out: &mut Log,
) -> Option<()> {
    for seq in cursor + 1..=last {
        let (at, bytes) = shared.message(seq)?;
        out.append(at, |out| encoding.address(bytes, out));
    }
    Some(())
}

/// Frames that were addressed last, for the next member that needs the same.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Addressed {
    label: Box<[u8]>,
    family: u32,
    cursor: u64,
    log: Log,
}

impl Addressed {
    /// The messages after `cursor` up to `last` for a member with this encoding, made of what `shared` holds.
    pub(in crate::rooms) fn log(
        &mut self,
        encoding: &dyn Encoding,
        shared: &Log,
        cursor: u64,
        last: u64,
    ) -> Option<&Log> {
        let (family, label) = (encoding.family(), encoding.label());
        let is_same = self.cursor == cursor && self.log.head() == last && self.family == family;
        if !is_same || *self.label != *label {
            if *self.label != *label {
                self.label = label.into();
            }
            (self.family, self.cursor) = (family, cursor);
            self.log.restart(cursor);
            address_log(encoding, shared, cursor, last, &mut self.log)?;
        }
        Some(&self.log)
    }

    /// Nothing of it may be sent any more: the numbers will be given again.
    pub(in crate::rooms) fn forget(&mut self) {
        *self = Addressed::default();
    }
}

/// The room that a log belongs to.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct LogId<'a> {
    pub(in crate::rooms) room: &'a str,
    pub(in crate::rooms) epoch: u64,
}

impl LogId<'_> {
    pub(in crate::rooms) fn write(self, encoding: &dyn Encoding) -> impl Fn(&mut Vec<u8>, Plain<'_>) {
        let LogId { room, epoch } = self;
        move |out, (seq, at, frame)| encoding.encode(&Entry { room, epoch, seq, at, frame, key: None }, out)
    }
}
