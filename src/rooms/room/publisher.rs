//! Who published a message that is not stored yet, and messages that came again meanwhile.

use std::sync::Arc;

use super::dedup::Earlier;
use crate::rooms::api::post::PostReply;
use crate::rooms::ids::{MemberKey, SessionKey, StayId};
use crate::rooms::message::kind::Kind;

/// The publisher of a message that is not stored yet: hears what becomes of it.
#[derive(Debug)]
pub(in crate::rooms) enum Publisher {
    /// The room itself: it is a JOIN or LEAVE, which is published again if it is taken back.
    Notice(PresenceNotice),
    /// A member; it hears only of failure, its own message is the acknowledgement.
    Member {
        /// Its key, which another session may have by the time of the answer.
        key: MemberKey,
        /// Its session.
        session: SessionKey,
    },
    /// A request, which is answered.
    Request {
        /// Where the answer goes.
        reply: PostReply,
        /// Whether it has the message's JSON, which has to be copied for it.
        wants_json: bool,
    },
}

impl Publisher {
    /// The session of the member, if it is one.
    pub(in crate::rooms) fn session(&self) -> Option<SessionKey> {
        match self {
            Publisher::Member { session, .. } => Some(*session),
            Publisher::Notice(_) | Publisher::Request { .. } => None,
        }
    }
}

/// A message that came again before its first was stored.
#[derive(Debug)]
pub(in crate::rooms) struct Repeat {
    pub(in crate::rooms) first: Earlier,
    pub(in crate::rooms) is_same: bool,
    pub(in crate::rooms) client_id: Box<str>,
    pub(in crate::rooms) publisher: Publisher,
}

/// A JOIN or LEAVE that is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rooms) struct PresenceNotice {
    pub(in crate::rooms) kind: Kind,
    pub(in crate::rooms) stay: StayId,
    /// The public id of the session; 0 if it was one of another process.
    pub(in crate::rooms) session_id: u128,
    pub(in crate::rooms) username: Arc<str>,
}
