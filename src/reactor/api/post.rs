//! Messages whose sender need not be in the room.

use crate::rooms::{PostError, Posted, Posting, RelayMessage, Reply, RoomRequest};
use crate::ws::Message;

/// A message for a chat room. Its sender need not be a member.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    pub(crate) room: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) content: &'a str,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) id_session: Option<u128>,
    pub(crate) create: bool,
    pub(crate) mandatory: bool,
}

impl<'a> Post<'a> {
    /// A message in the name of `sender`, into a room that is there.
    #[must_use]
    pub fn new(room: &'a str, sender: &'a str, content: &'a str) -> Post<'a> {
        Post { room, sender, content, client_id: None, id_session: None, create: false, mandatory: false }
    }

    /// The sender's own id of the message, unless it is empty: a repeat within `chat.dedup_window` publishes nothing and is
    /// answered with the first message; one with other content is refused ([`PostError::IdReused`]).
    #[must_use]
    pub fn client_id(mut self, id: Option<&'a str>) -> Post<'a> {
        self.client_id = id.filter(|id| !id.is_empty());
        self
    }

    /// The id belongs to this session alone: `sender` is a name that others have, too.
    #[must_use]
    pub fn id_of_session(mut self, session: u128) -> Post<'a> {
        self.id_session = Some(session);
        self
    }

    /// Creates the room if it does not exist, where every client may do so (`chat.open_rooms`).
    #[must_use]
    pub fn create(mut self) -> Post<'a> {
        self.create = true;
        self
    }

    /// Is published only if a member is there to get it; otherwise [`PostError::NoReceiver`].
    #[must_use]
    pub fn mandatory(mut self, mandatory: bool) -> Post<'a> {
        self.mandatory = mandatory;
        self
    }

    pub(crate) fn ask(self, reply: impl FnOnce(Result<Posted, PostError>) + Send + 'static) -> RoomRequest {
        RoomRequest::Post(Box::new(self.posting(reply)))
    }

    pub(crate) fn posting(self, reply: impl FnOnce(Result<Posted, PostError>) + Send + 'static) -> Posting {
        Posting {
            room: self.room.into(),
            sender: self.sender.into(),
            content: self.content.into(),
            client_id: self.client_id.map(Into::into),
            id_session: self.id_session,
            create: self.create,
            mandatory: self.mandatory,
            reply: Reply::new(reply),
        }
    }
}

/// A message for a relay. Its sender need not be a member.
#[derive(Clone, Copy, Debug)]
pub struct Relayed<'a> {
    room: &'a str,
    /// In a conflated relay; `None` in others.
    key: Option<&'a [u8]>,
    message: Message<'a>,
}

impl<'a> Relayed<'a> {
    /// A message for a relay as in [`JoinRequest::relay`](crate::server::JoinRequest::relay).
    #[must_use]
    pub fn new(room: &'a str, message: Message<'a>) -> Relayed<'a> {
        Relayed { room, key: None, message }
    }

    /// The latest value of `key`, for a conflated relay as in [`JoinRequest::latest`](crate::server::JoinRequest::latest).
    #[must_use]
    pub fn latest(room: &'a str, key: &'a [u8], value: Message<'a>) -> Relayed<'a> {
        Relayed { room, key: Some(key), message: value }
    }

    pub(crate) fn ask(self, reply: impl FnOnce(usize) + Send + 'static) -> RoomRequest {
        let Relayed { room, key, message } = self;
        let message = match (key, message) {
            (None, Message::Text(text)) => RelayMessage::Text(text.into()),
            (None, Message::Binary(payload)) => RelayMessage::Binary(payload.into()),
            (Some(key), value) => {
                let (value, is_text) = match value {
                    Message::Text(text) => (text.as_bytes(), true),
                    Message::Binary(payload) => (payload, false),
                };
                RelayMessage::Keyed { key: key.into(), value: value.into(), is_text }
            }
        };
        RoomRequest::Relay { room: room.into(), message, reply: Reply::new(reply) }
    }
}
