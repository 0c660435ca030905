//! A client's own id of a message, and what is compared when it comes again.

use xxhash_rust::xxh3::xxh3_64;

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
// XXH3, which its specification fixes: the nodes of a cluster compare each other's, and need not come from one compiler.
// A quarter of what SipHash takes.
#[must_use]
pub fn content_digest(content: &str) -> u64 {
    xxh3_64(content.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the reference implementation has them.
    #[test]
    fn a_digest_is_the_same_on_every_node() {
        let known =
            [("", 0x2d06_8005_38d3_94c2), ("a", 0xe6c6_32b6_1e96_4e1f), ("abc", 0x78af_5f94_892f_3950)];
        for (content, digest) in known {
            assert_eq!(content_digest(content), digest, "{content:?}");
        }
    }
}
