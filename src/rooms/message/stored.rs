//! A message as the store gives it back.

use super::kind::Kind;
use crate::rooms::timestamp::Timestamp;

/// A message as it came back from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number in the room.
    pub seq: u64,
    /// When it was numbered. Later than any message before it.
    pub at: Timestamp,
    /// What it is.
    pub kind: Kind,
    /// Who said it.
    pub sender: Box<str>,
    /// What was said.
    pub content: Box<str>,
    /// The publisher's own id of it.
    pub client_id: Option<Box<str>>,
    /// What a JOIN or LEAVE says besides.
    pub presence: Option<StoredPresence>,
}

/// What a JOIN or LEAVE says besides its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPresence {
    /// The name of the user that came or left.
    pub username: Box<str>,
    /// Number of users in the room after that.
    pub online: u64,
}

impl Stored {
    /// The bytes of its texts: what page limits count.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let client_id = self.client_id.as_ref().map_or(0, |id| id.len());
        let username = self.presence.as_ref().map_or(0, |presence| presence.username.len());
        self.sender.len() + self.content.len() + client_id + username
    }
}
