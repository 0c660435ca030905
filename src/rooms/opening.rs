//! A room on its way from the store: what happens to it meanwhile waits in order.

use super::command::{Command, MemberKey, RoomKey, Span};
use super::message;
use super::peer::Peer;

/// Publishes that wait for one room at most; beyond it publishers are told that the room is busy.
const PUBLISHES_MAX: usize = 4096;
/// Bytes of such publishes at most.
const BYTES_MAX: usize = 4 << 20;

/// A room that is being opened.
#[derive(Debug)]
pub(super) struct Opening<P> {
    pub(super) key: RoomKey,
    pub(super) name: Box<str>,
    pub(super) waiting: Vec<Command<P>>,
    /// The arena of the waiting commands.
    pub(super) bytes: Vec<u8>,
    publishes: usize,
}

impl<P> Opening<P> {
    pub(super) fn new(key: RoomKey, name: Box<str>) -> Opening<P> {
        Opening { key, name, waiting: Vec::new(), bytes: Vec::new(), publishes: 0 }
    }

    /// Keeps a publish for later; false if too many wait already.
    pub(super) fn hold_publish(
        &mut self,
        member: MemberKey,
        content: &[u8],
        client_id: Option<&[u8]>,
        text: bool,
    ) -> bool {
        if self.publishes >= PUBLISHES_MAX || self.bytes.len() >= BYTES_MAX {
            return false;
        }
        let Some(content) = Span::store(&mut self.bytes, content) else { return false };
        let client_id = client_id.and_then(|id| Span::store(&mut self.bytes, id));
        self.publishes += 1;
        self.waiting.push(Command::Publish { member, content, client_id, text });
        true
    }

    /// Tells a member that waits for this room what went wrong.
    pub(super) fn tell(&self, member: MemberKey, code: &str, content: &str)
    where
        P: Peer,
    {
        let joins = self.waiting.iter().filter_map(|command| match command {
            Command::Join(join) if join.member == member => Some(join),
            Command::Join(_)
            | Command::Publish { .. }
            | Command::Leave(_)
            | Command::Resume(_)
            | Command::Ask(_)
            | Command::Barrier => None,
        });
        for join in joins {
            let mut error = Vec::new();
            message::encode_error(&mut error, code, content);
            join.peer.reply(&error);
        }
    }

    /// The member has left, and its key may be given to somebody else: what it did goes on under another one.
    pub(super) fn rename(&mut self, from: MemberKey, to: MemberKey) {
        for command in &mut self.waiting {
            match command {
                Command::Join(join) if join.member == from => join.member = to,
                Command::Publish { member, .. } | Command::Leave(member) if *member == from => *member = to,
                Command::Join(_)
                | Command::Publish { .. }
                | Command::Leave(_)
                | Command::Resume(_)
                | Command::Ask(_)
                | Command::Barrier => {}
            }
        }
        self.waiting.push(Command::Leave(to));
    }
}
