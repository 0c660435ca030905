//! Messages whose sender need not be in the room: one value from the application to the room.

use crate::rooms::message::draft::Draft;
use crate::rooms::message::kind::Kind;
use crate::rooms::reasons::PostError;
use crate::rooms::reply::Reply;
use crate::rooms::values::Posted;

/// Where the answer to a [`Post`] goes.
pub(crate) type PostReply = Reply<Result<Posted, PostError>>;

/// A message for a chat room. Its sender need not be a member.
#[derive(Clone, Debug)]
pub struct Post {
    pub(crate) room: Box<str>,
    pub(crate) sender: Box<str>,
    pub(crate) content: Box<str>,
    client_id: Option<Box<str>>,
    /// The session that `client_id` belongs to, if the sender has no name of its own.
    id_session: Option<u128>,
    pub(in crate::rooms) create: bool,
    pub(in crate::rooms) mandatory: bool,
    pub(in crate::rooms) wants_json: bool,
}

impl Post {
    /// A message in the name of `sender`, into a room that is there.
    #[must_use]
    pub fn new(room: &str, sender: &str, content: &str) -> Post {
        Post {
            room: room.into(),
            sender: sender.into(),
            content: content.into(),
            client_id: None,
            id_session: None,
            create: false,
            mandatory: false,
            wants_json: true,
        }
    }

    /// The sender's own id of the message, unless it is empty: a repeat within `chat.dedup_window` publishes nothing and is
    /// answered with the first message; one with other content is refused ([`PostError::IdReused`]).
    #[must_use]
    pub fn client_id(mut self, id: Option<&str>) -> Post {
        self.client_id = id.filter(|id| !id.is_empty()).map(Into::into);
        self
    }

    /// The id belongs to this session alone: `sender` is a name that others have, too.
    #[must_use]
    pub fn id_of_session(mut self, session: u128) -> Post {
        self.id_session = Some(session);
        self
    }

    /// Creates the room if it does not exist, where every client may do so (`chat.open_rooms`).
    #[must_use]
    pub fn create(mut self) -> Post {
        self.create = true;
        self
    }

    /// Is published only if a member is there to get it; otherwise [`PostError::NoReceiver`].
    #[must_use]
    pub fn mandatory(mut self, mandatory: bool) -> Post {
        self.mandatory = mandatory;
        self
    }

    /// The answer is without the message's JSON ([`Posted::json`]), which is not copied for it then.
    #[must_use]
    pub fn without_json(mut self) -> Post {
        self.wants_json = false;
        self
    }

    /// The message as it is appended.
    pub(in crate::rooms) fn draft(&self) -> Draft<'_> {
        Draft {
            kind: Kind::Message,
            sender: &self.sender,
            content: &self.content,
            client_id: self.client_id.as_deref(),
            id_session: self.id_session,
            presence: None,
        }
    }

    /// The bytes that it holds but for the room's name.
    pub(in crate::rooms) fn held_bytes(&self) -> usize {
        let id = self.client_id.as_ref().map_or(0, |id| id.len());
        size_of::<Post>() + size_of::<PostReply>() + self.sender.len() + self.content.len() + id
    }
}
