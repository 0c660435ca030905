//! What a destination leads to.

use super::fault::Fault;
use crate::auth::check_name;
use crate::request::names::{ROOM_BYTES_MAX, is_room_id};

/// A kind of destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DestinationKind {
    /// A chat room: every subscriber gets each message, and it is kept.
    Room,
    /// Each message goes to one subscriber.
    Queue,
    /// Each message goes to all of a user's own sessions.
    UserQueue,
}

/// What a destination can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Subscribe,
    Send,
}

/// Where a SEND with a new token goes: to the server itself.
pub(crate) const AUTH_DESTINATION: &str = "/app/auth";

/// What destinations begin with, where that leads, and what for only, if not for both.
const PREFIXES: [(&str, DestinationKind, Option<Purpose>); 5] = [
    ("/topic/", DestinationKind::Room, None),
    ("/sub/", DestinationKind::Room, Some(Purpose::Subscribe)),
    ("/pub/", DestinationKind::Room, Some(Purpose::Send)),
    ("/queue/", DestinationKind::Queue, None),
    ("/user/queue/", DestinationKind::UserQueue, None),
];

/// A destination that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    text: Box<str>,
    kind: DestinationKind,
    /// Where in `text` the name begins.
    name_at: usize,
}

impl Destination {
    /// # Errors
    /// [`Fault::UnknownDestination`].
    pub(crate) fn parse(text: &str, purpose: Purpose) -> Result<Destination, Fault> {
        let suits = |only: Option<Purpose>| only.is_none_or(|only| only == purpose);
        let (prefix, kind, _) = PREFIXES
            .into_iter()
            .find(|(prefix, _, only)| text.starts_with(prefix) && suits(*only))
            .ok_or(Fault::UnknownDestination)?;
        let name = &text[prefix.len()..];
        if name.is_empty() || !is_room_id(name) {
            return Err(Fault::UnknownDestination);
        }
        if kind == DestinationKind::Room && check_name(name, ROOM_BYTES_MAX).is_err() {
            return Err(Fault::UnknownDestination);
        }
        Ok(Destination { text: text.into(), kind, name_at: prefix.len() })
    }

    /// The name of the room that this leads to, by either command, if it leads to one.
    pub(crate) fn room_in(text: &str) -> Option<Box<str>> {
        let parsed = [Purpose::Send, Purpose::Subscribe]
            .into_iter()
            .find_map(|purpose| Self::parse(text, purpose).ok());
        parsed
            .filter(|destination| destination.kind == DestinationKind::Room)
            .map(|destination| destination.name().into())
    }

    /// As the client wrote it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn kind(&self) -> DestinationKind {
        self.kind
    }

    /// The name of the room or queue.
    pub(crate) fn name(&self) -> &str {
        &self.text[self.name_at..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, purpose: Purpose) -> Option<(DestinationKind, String)> {
        let destination = Destination::parse(text, purpose).ok()?;
        assert_eq!(destination.text(), text);
        Some((destination.kind(), destination.name().to_owned()))
    }

    #[test]
    fn a_prefix_decides_and_the_rest_is_the_name() {
        let cases = [
            ("/topic/a", Some(DestinationKind::Room), Some(DestinationKind::Room)),
            ("/sub/a", Some(DestinationKind::Room), None),
            ("/pub/a", None, Some(DestinationKind::Room)),
            ("/queue/a", Some(DestinationKind::Queue), Some(DestinationKind::Queue)),
            ("/user/queue/a", Some(DestinationKind::UserQueue), Some(DestinationKind::UserQueue)),
        ];
        for (text, subscribed, sent) in cases {
            let expected = |kind: Option<DestinationKind>| kind.map(|kind| (kind, "a".to_owned()));
            assert_eq!(parse(text, Purpose::Subscribe), expected(subscribed), "{text}");
            assert_eq!(parse(text, Purpose::Send), expected(sent), "{text}");
        }
        assert_eq!(parse("/topic/a/b é", Purpose::Send), Some((DestinationKind::Room, "a/b é".to_owned())));
    }

    #[test]
    fn anything_else_is_unknown() {
        let long = format!("/topic/{}", "x".repeat(129));
        let cases = [
            "",
            "/",
            "topic/a",
            "/topic",
            "/topic/",
            "/Topic/a",
            "/queue/",
            "/user/a",
            "/user/queue/",
            "/exchange/a",
            " /topic/a",
            "/topic/a\nb",
            "/topic/a\u{7f}",
            &long,
        ];
        for text in cases {
            for purpose in [Purpose::Subscribe, Purpose::Send] {
                assert_eq!(Destination::parse(text, purpose), Err(Fault::UnknownDestination), "{text:?}");
            }
        }
        assert!(parse(&long[..long.len() - 1], Purpose::Send).is_some());
    }
}
