//! A wish to enter a room, and the place in it.

use std::fmt;
use std::sync::Arc;

use crate::rooms::{Encoding, Format, Joined, MemberKey, RejectReason, Reply, Start};
use crate::ws::CloseCode;

/// A session's place in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    pub(crate) shard: u16,
    pub(crate) member: MemberKey,
}

/// A wish to enter a room.
pub struct JoinRequest<'a> {
    pub(crate) room: &'a str,
    pub(crate) user: &'a str,
    pub(crate) format: Format,
    pub(crate) start: Start,
    pub(crate) welcome: bool,
    pub(crate) announced: bool,
    pub(crate) creates: bool,
    pub(crate) nameless: bool,
    pub(crate) encoding: Option<Arc<dyn Encoding>>,
    pub(crate) reply: Option<Reply<Result<Joined, RejectReason>>>,
}

impl<'a> JoinRequest<'a> {
    /// Into a chat room, under the name that the others are to see; from the next message on.
    #[must_use]
    pub fn chat(room: &'a str, user: &'a str) -> JoinRequest<'a> {
        JoinRequest::new(room, user, Format::Chat)
    }

    /// Into a relay, which has other names than the chat; from the next message on.
    #[must_use]
    pub fn relay(room: &'a str) -> JoinRequest<'a> {
        JoinRequest::new(room, "", Format::Relay)
    }

    /// Into a conflated relay, which again has other names: of messages published with the same key, members that lag get
    /// the latest alone.
    #[must_use]
    pub fn latest(room: &'a str) -> JoinRequest<'a> {
        JoinRequest::new(room, "", Format::Conflated)
    }

    fn new(room: &'a str, user: &'a str, format: Format) -> JoinRequest<'a> {
        let start = Start::Live;
        let (welcome, announced, creates, nameless) = (false, true, true, false);
        let (encoding, reply) = (None, None);
        JoinRequest { room, user, format, start, welcome, announced, creates, nameless, encoding, reply }
    }

    /// Begins elsewhere in the room's log.
    #[must_use]
    pub fn start(mut self, start: Start) -> JoinRequest<'a> {
        self.start = start;
        self
    }

    /// Whether to begin with a WELCOME.
    #[must_use]
    pub fn welcome(mut self, welcome: bool) -> JoinRequest<'a> {
        self.welcome = welcome;
        self
    }

    /// Only listens: the room announces neither arrival nor departure, and the user does not count as present.
    #[must_use]
    pub fn silent(mut self) -> JoinRequest<'a> {
        self.announced = false;
        self
    }

    /// Only reads: waits at a room that is not there as at an empty one, instead of creating it.
    #[must_use]
    pub fn reading(mut self) -> JoinRequest<'a> {
        self.creates = false;
        self
    }

    /// The name is no user's, but what sessions without one are called: each of them counts for itself.
    #[must_use]
    pub(crate) fn nameless(mut self, nameless: bool) -> JoinRequest<'a> {
        self.nameless = nameless;
        self
    }

    /// Gets the messages in this form.
    #[must_use]
    pub fn encoding(mut self, encoding: Arc<dyn Encoding>) -> JoinRequest<'a> {
        self.encoding = Some(encoding);
        self
    }

    /// Hears how it went, on a thread of the rooms, where `reply` must not block. Without this a session that is refused
    /// is closed; with it, it stays and has to [leave](crate::server::Context::leave).
    #[must_use]
    pub fn then(
        mut self,
        reply: impl FnOnce(Result<Joined, RejectReason>) + Send + 'static,
    ) -> JoinRequest<'a> {
        self.reply = Some(Reply::new(reply));
        self
    }
}

impl fmt::Debug for JoinRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest")
            .field("room", &self.room)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// RejectReason a session cannot join or publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomError {
    /// The session is in `limits.rooms_per_session` rooms already.
    TooManyRooms,
    /// The user has `limits.sessions_per_user` other sessions already.
    TooManySessions,
    /// The session is closing.
    Closed,
    /// More was published in one turn than a batch can hold (4 GiB).
    TooBig,
    /// Too much waits for the room already.
    Busy,
    /// The session's [`Identity`](crate::auth::Identity) may not enter that room.
    NotAllowed,
    /// The session's [`Identity`](crate::auth::Identity) has another name.
    NotThatUser,
}

impl RoomError {
    /// The code to close a session with that cannot go on for this reason.
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            RoomError::TooManyRooms
            | RoomError::TooManySessions
            | RoomError::Closed
            | RoomError::TooBig
            | RoomError::Busy => CloseCode::TRY_AGAIN_LATER,
            RoomError::NotAllowed => CloseCode::POLICY,
            RoomError::NotThatUser => CloseCode::UNAUTHENTICATED,
        }
    }
}

impl std::fmt::Display for RoomError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RoomError::TooManyRooms => "the session is in too many rooms",
            RoomError::TooManySessions => "the user has too many sessions",
            RoomError::Closed => "the session is closing",
            RoomError::TooBig => "too much was published at once",
            RoomError::Busy => "too much waits for the room",
            RoomError::NotAllowed => "the token does not allow this room",
            RoomError::NotThatUser => "the token is another user's",
        })
    }
}

impl std::error::Error for RoomError {}
