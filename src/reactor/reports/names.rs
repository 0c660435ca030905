//! The user and the room that the log names.

use std::borrow::Cow;

use crate::http::{Head, query};
use crate::reactor::incidents::cut;

/// Stands between the kept names; no name has it.
const BETWEEN: &str = "\0";
/// What a session keeps of its request for the line of its end: the user and the room, in one text, since every session
/// has it. Empty, and without memory of its own, if it names neither.
pub(crate) fn keep_names(head: &Head<'_>) -> Box<str> {
    match names(head.path(), head.query()) {
        (None, None) => Box::default(),
        (user, room) => {
            let (user, room) = (user.unwrap_or_default(), room.unwrap_or_default());
            [&cut(&user).replace(BETWEEN, " "), BETWEEN, cut(&room)].concat().into()
        }
    }
}

/// The user and the room that were kept.
pub(crate) fn kept_names(kept: &str) -> (Option<&str>, Option<&str>) {
    let (user, room) = kept.split_once(BETWEEN).unwrap_or_default();
    (Some(user).filter(|user| !user.is_empty()), Some(room).filter(|room| !room.is_empty()))
}

/// The user and the room that a request names.
pub(crate) fn names<'i>(path: &'i str, text: &'i str) -> (Option<Cow<'i, str>>, Option<Cow<'i, str>>) {
    let named = |name| query::get(text, name).ok().flatten().filter(|value| !value.is_empty());
    // `/api/chat/rooms/R/messages`, `/sse/rooms/R`, `/poll/rooms/R`.
    let mut segments = path.split('/').skip_while(|segment| *segment != "rooms").skip(1);
    let in_path = segments.next().and_then(|segment| query::decode_path_segment(segment).ok());
    let room = named("roomId").or(in_path.filter(|room| !room.is_empty()));
    (named("username"), room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_query_or_in_the_path() {
        let named = |path, query| {
            let (user, room) = names(path, query);
            (user.unwrap_or_default().into_owned(), room.unwrap_or_default().into_owned())
        };
        let both = |user: &str, room: &str| (user.to_owned(), room.to_owned());
        assert_eq!(named("/ws/chat", "token=t&roomId=a%20b&username=j%C3%B6rg"), both("jörg", "a b"));
        assert_eq!(named("/api/chat/rooms/a%2Fb/messages", "x"), both("", "a/b"));
        assert_eq!(named("/api/chat/rooms", ""), both("", ""));
        assert_eq!(named("/ws/chat", "roomId=%ff&username="), both("", ""));
    }

    #[test]
    fn what_a_session_keeps_gives_back_both_names() {
        let both = |user: &str, room: &str| [user, BETWEEN, room].concat();
        for (user, room) in [("ann", "lobby"), ("ann", ""), ("", "lobby")] {
            let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
            assert_eq!(kept_names(&both(user, room)), (some(user), some(room)));
        }
        assert_eq!(kept_names(""), (None, None));
    }
}
