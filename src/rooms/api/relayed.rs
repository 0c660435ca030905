//! Messages for relays whose sender need not be a member.

use super::publication::Published;
use crate::rooms::values::Format;
use crate::ws::Message;

/// A message for a relay. Its sender need not be a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    pub(in crate::rooms) room: Box<str>,
    /// In a conflated relay; `None` in others.
    key: Option<Box<[u8]>>,
    payload: RelayPayload,
}

/// Text and binary apart, so that what came as text need not be checked again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RelayPayload {
    Text(Box<str>),
    Binary(Box<[u8]>),
}

impl Relayed {
    /// A message for a relay as in [`JoinRequest::relay`](crate::server::JoinRequest::relay).
    #[must_use]
    pub fn new(room: &str, message: Message<'_>) -> Relayed {
        let payload = match message {
            Message::Text(text) => RelayPayload::Text(text.into()),
            Message::Binary(bytes) => RelayPayload::Binary(bytes.into()),
        };
        Relayed { room: room.into(), key: None, payload }
    }

    /// The latest value of `key`, for a conflated relay as in [`JoinRequest::latest`](crate::server::JoinRequest::latest).
    #[must_use]
    pub fn latest(room: &str, key: &[u8], value: Message<'_>) -> Relayed {
        Relayed { key: Some(key.into()), ..Relayed::new(room, value) }
    }

    /// The format of the relays that it is for.
    pub(in crate::rooms) fn format(&self) -> Format {
        if self.key.is_some() { Format::Conflated } else { Format::Relay }
    }

    /// What is published.
    pub(in crate::rooms) fn published(&self) -> Published<'_> {
        match (&self.key, &self.payload) {
            (None, RelayPayload::Text(text)) => Published::Text { content: text, id: None },
            (None, RelayPayload::Binary(bytes)) => Published::Binary(bytes),
            (Some(key), RelayPayload::Text(text)) => {
                Published::Keyed { key, value: text.as_bytes(), is_text: true }
            }
            (Some(key), RelayPayload::Binary(bytes)) => {
                Published::Keyed { key, value: bytes, is_text: false }
            }
        }
    }
}
