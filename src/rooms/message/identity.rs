//! A client's own id of a message, and what is compared when it comes again.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

/// The sender that an id belongs to. Ids of different senders have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::rooms) enum IdOwner<'a> {
    /// A user; the message may come in any way.
    User(&'a str),
    /// A session without a name.
    Session(u128),
}

/// A message with an id, as its client sent it.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct Identified<'a> {
    pub(in crate::rooms) owner: IdOwner<'a>,
    pub(in crate::rooms) id: &'a str,
    /// [`content_digest`] of its content.
    pub(in crate::rooms) digest: u64,
}

/// What stands for a content when two are compared. Not keyed: a client that finds two contents with one digest can
/// suppress only its own message.
#[must_use]
pub fn content_digest(content: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(content.as_bytes());
    hasher.finish()
}
