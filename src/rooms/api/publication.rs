//! What a member publishes, as it lies in the arena of a batch.

use crate::rooms::ids::{Arena, Span, TextSpan};

/// A message of a member. A session does not know what format its room has, so each form has its meaning in each of
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// The text of a chat message, or a payload for a relay.
    Text {
        /// The text.
        content: TextSpan,
        /// In a chat, the client's own id of the message, by which repeats are recognised; in a conflated relay, its
        /// key.
        id: Option<TextSpan>,
    },
    /// A binary payload for a relay.
    Binary(Span),
    /// The latest value of a key, for a conflated relay.
    Keyed {
        /// The key.
        key: Span,
        /// The value.
        value: Span,
        /// Whether the value is text rather than binary.
        is_text: bool,
    },
}

/// A [`Publication`] taken out of its arena.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) enum Published<'a> {
    Text { content: &'a str, id: Option<&'a str> },
    Binary(&'a [u8]),
    Keyed { key: &'a [u8], value: &'a [u8], is_text: bool },
}

impl Publication {
    /// The message, from the arena that it lies in.
    pub(in crate::rooms) fn of(self, arena: &Arena) -> Published<'_> {
        match self {
            Publication::Text { content, id } => {
                Published::Text { content: content.of(&arena.text), id: id.map(|id| id.of(&arena.text)) }
            }
            Publication::Binary(payload) => Published::Binary(payload.of(&arena.bytes)),
            Publication::Keyed { key, value, is_text } => {
                Published::Keyed { key: key.of(&arena.bytes), value: value.of(&arena.bytes), is_text }
            }
        }
    }
}

impl<'a> Published<'a> {
    /// Copies it into another arena. `None` if that would outgrow 4 GiB.
    pub(in crate::rooms) fn store(&self, arena: &mut Arena) -> Option<Publication> {
        Some(match *self {
            Published::Text { content, id } => Publication::Text {
                content: TextSpan::store(&mut arena.text, content)?,
                id: id.and_then(|id| TextSpan::store(&mut arena.text, id)),
            },
            Published::Binary(payload) => Publication::Binary(Span::store(&mut arena.bytes, payload)?),
            Published::Keyed { key, value, is_text } => {
                let value = Span::store(&mut arena.bytes, value)?;
                Publication::Keyed { key: Span::store(&mut arena.bytes, key)?, value, is_text }
            }
        })
    }

    /// The bytes of all of it.
    pub(in crate::rooms) fn len(&self) -> usize {
        self.payload().len() + self.key().map_or(0, <[u8]>::len)
    }

    /// What a relay sends of it.
    pub(in crate::rooms) fn payload(&self) -> &'a [u8] {
        match *self {
            Published::Text { content, .. } => content.as_bytes(),
            Published::Binary(payload) => payload,
            Published::Keyed { value, .. } => value,
        }
    }

    /// Whether a relay sends it as text.
    pub(in crate::rooms) fn is_text(&self) -> bool {
        match *self {
            Published::Text { .. } => true,
            Published::Binary(_) => false,
            Published::Keyed { is_text, .. } => is_text,
        }
    }

    /// What it is the latest value of, in a conflated relay.
    pub(in crate::rooms) fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Published::Text { id, .. } => id.map(str::as_bytes),
            Published::Binary(_) => None,
            Published::Keyed { key, .. } => Some(key),
        }
    }

    /// What a chat publishes of it; `None` if it is no text. Only what did not come as text is checked here.
    pub(in crate::rooms) fn content(&self) -> Option<&'a str> {
        match *self {
            Published::Text { content, .. } => Some(content),
            Published::Binary(bytes) | Published::Keyed { value: bytes, .. } => {
                simdutf8::basic::from_utf8(bytes).ok()
            }
        }
    }

    /// The client's own id of it, in a chat.
    pub(in crate::rooms) fn client_id(&self) -> Option<&'a str> {
        let id = match *self {
            Published::Text { id, .. } => id,
            Published::Binary(_) => None,
            Published::Keyed { key, .. } => simdutf8::basic::from_utf8(key).ok(),
        };
        id.filter(|id| !id.is_empty())
    }
}
