//! What a room tells one member besides the messages: WELCOME, GAP, ERROR, ACK.

use super::frame::text_frame;
use super::id::push_id;
use super::json::{push_number, push_string};
use crate::rooms::timestamp::Timestamp;

/// A word of the room to one member, not numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The first, if the member asked for it: the position from which it can recover.
    Welcome {
        /// The room's name.
        room: &'a str,
        /// The session's public id.
        session_id: u128,
        /// The user's name.
        user: &'a str,
        /// The log's epoch.
        epoch: u64,
        /// The newest message.
        seq: u64,
        /// How many users are there.
        online: usize,
        /// The message after which the member begins, where that is known already and nothing before it is missing.
        from: Option<u64>,
        /// As in [`Notice::Error`].
        at: Timestamp,
    },
    /// The messages `from..=to` will not come.
    Gap {
        /// The room's name.
        room: &'a str,
        /// The log's epoch.
        epoch: u64,
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
        /// As in [`Notice::Error`].
        at: Timestamp,
    },
    /// Something that the member said was not done.
    Error {
        /// A word that programs understand.
        code: &'a str,
        /// The same for people.
        content: &'a str,
        /// When the newest message that the member was sent was published, or the one that it began after: a member
        /// that comes back from there misses nothing.
        at: Timestamp,
        /// The client's own id of the message that it is about, if it had one.
        client_id: Option<&'a str>,
    },
    /// The member has published a message that was stored before.
    Ack {
        /// The client's own id of it.
        client_id: &'a str,
        /// The log's epoch.
        epoch: u64,
        /// The message's number.
        seq: u64,
        /// When it was numbered.
        stored_at: Timestamp,
        /// As in an error.
        at: Timestamp,
    },
}

impl Notice<'_> {
    /// The first and the last message of a log that stands at `head`, for a reader that knows another log; `(0, 0)` if
    /// there is none.
    pub(in crate::rooms) fn whole_log(head: u64) -> (u64, u64) {
        (head.min(1), head)
    }

    /// Appends the notice as one text frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        text_frame(out, |out| self.encode_json(out));
    }

    /// Appends the notice as a JSON object.
    pub fn encode_json(&self, out: &mut Vec<u8>) {
        let at = match *self {
            Notice::Welcome { room, session_id, user, epoch, seq, online, at, from: _ } => {
                out.extend_from_slice(b"{\"type\":\"WELCOME\",\"roomId\":");
                push_string(out, room);
                out.extend_from_slice(
                    format!(",\"sessionId\":\"{session_id:032x}\",\"username\":").as_bytes(),
                );
                push_string(out, user);
                push_epoch(out, epoch);
                out.extend_from_slice(format!(",\"seq\":{seq},\"online\":{online}").as_bytes());
                at
            }
            Notice::Gap { room, epoch, from, to, at } => {
                out.extend_from_slice(b"{\"type\":\"GAP\",\"roomId\":");
                push_string(out, room);
                out.extend_from_slice(format!(",\"from\":{from},\"to\":{to}").as_bytes());
                push_epoch(out, epoch);
                at
            }
            Notice::Error { code, content, at, client_id } => {
                out.extend_from_slice(b"{\"type\":\"ERROR\",\"code\":");
                push_string(out, code);
                out.extend_from_slice(b",\"content\":");
                push_string(out, content);
                if let Some(client_id) = client_id {
                    out.extend_from_slice(b",\"clientId\":");
                    push_string(out, client_id);
                }
                at
            }
            Notice::Ack { client_id, epoch, seq, stored_at, at } => {
                out.extend_from_slice(b"{\"type\":\"ACK\",\"clientId\":");
                push_string(out, client_id);
                out.extend_from_slice(b",\"id\":\"");
                push_id(out, stored_at, epoch, seq);
                out.extend_from_slice(b"\",\"seq\":");
                push_number(out, seq);
                out.extend_from_slice(b",\"storedAt\":\"");
                stored_at.encode(out);
                out.push(b'"');
                at
            }
        };
        out.extend_from_slice(b",\"timestamp\":\"");
        at.encode(out);
        out.push(b'"');
        out.push(b'}');
    }
}

fn push_epoch(out: &mut Vec<u8>, epoch: u64) {
    out.extend_from_slice(format!(",\"epoch\":\"{epoch:016x}\"").as_bytes());
}
