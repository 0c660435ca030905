//! A message before it has a number and a time.

use super::chat::Envelope;
use super::identity::{IdOwner, Identified, content_digest};
use super::kind::Kind;
use crate::rooms::ids::StayId;
use crate::rooms::timestamp::Timestamp;

/// A message that is about to be appended.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct Draft<'a> {
    pub(in crate::rooms) kind: Kind,
    pub(in crate::rooms) sender: &'a str,
    pub(in crate::rooms) content: &'a str,
    /// The publisher's own id of it; never empty.
    pub(in crate::rooms) client_id: Option<&'a str>,
    /// The session that the id belongs to, if the sender has no name of its own.
    pub(in crate::rooms) id_session: Option<u128>,
    /// Of a JOIN or LEAVE.
    pub(in crate::rooms) presence: Option<DraftPresence<'a>>,
}

/// What a JOIN or LEAVE says besides its text, and whose stay it is about.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct DraftPresence<'a> {
    pub(in crate::rooms) username: &'a str,
    pub(in crate::rooms) online: u64,
    pub(in crate::rooms) stay: StayId,
    pub(in crate::rooms) session_id: u128,
}

impl Draft<'_> {
    /// The message with its place in a room's log.
    pub(in crate::rooms) fn envelope<'e>(
        &'e self,
        room: &'e str,
        epoch: u64,
        seq: u64,
        at: Timestamp,
    ) -> Envelope<'e> {
        let Draft { kind, sender, content, client_id, presence, .. } = *self;
        let presence = presence.map(|presence| (presence.username, presence.online));
        Envelope { epoch, seq, at, kind, room, sender, content, client_id, presence }
    }

    /// The message as its id is compared, if it has one.
    pub(in crate::rooms) fn identified(&self) -> Option<Identified<'_>> {
        let owner = self.id_session.map_or(IdOwner::User(self.sender), IdOwner::Session);
        self.client_id.map(|id| Identified { owner, id, digest: content_digest(self.content) })
    }
}
