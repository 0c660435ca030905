//! The room that a client wants to enter, its name, and the position that it begins at: the query of `/ws/chat`.

use std::borrow::Cow;

use crate::http::query;
use crate::request::{QueryError, names, position};
use crate::server::Start;

/// A checked query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChatQuery<'q> {
    pub(super) room: Cow<'q, str>,
    pub(super) user: Cow<'q, str>,
    pub(super) start: Start,
    pub(super) welcome: bool,
}

impl<'q> ChatQuery<'q> {
    /// Reads a query. `known` is who the user is, if that was proved; then the name need not be there.
    pub(super) fn parse(text: &'q str, known: Option<&'q str>) -> Result<ChatQuery<'q>, QueryError> {
        let value = |name| query::get(text, name).map_err(|_| QueryError::Malformed);
        Ok(ChatQuery {
            room: names::room(text)?,
            user: names::user(value("username")?, known)?,
            start: position::start(text)?,
            welcome: value("hello")?.is_some_and(|hello| hello == "1"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_and_checked() {
        let entry = ChatQuery::parse("username=J%C3%B6rg+K&roomId=a%2Fb&hello=1", None).unwrap();
        assert_eq!((&*entry.room, &*entry.user, entry.welcome), ("a/b", "Jörg K", true));
        let long = format!("roomId={}&username=u", "r".repeat(129));
        let cases = [
            ("", QueryError::Missing("roomId")),
            ("roomId=r", QueryError::Missing("username")),
            ("roomId=&username=u", QueryError::Missing("roomId")),
            ("roomId=r&username=%00", QueryError::ControlCharacter("username")),
            ("roomId=r&username=a%0Ab", QueryError::ControlCharacter("username")),
            ("roomId=r&username=system", QueryError::Reserved("username")),
            ("roomId=%2e%2E&username=u", QueryError::Reserved("roomId")),
            ("roomId=%E2%80%8B&username=u", QueryError::Invisible("roomId")),
            ("roomId=r&username=a%E2%80%AE", QueryError::ControlCharacter("username")),
            ("roomId=r&username=%ff", QueryError::Malformed),
            (&*long, QueryError::TooLong("roomId")),
        ];
        for (query, error) in cases {
            assert_eq!(ChatQuery::parse(query, None).err(), Some(error), "{query}");
        }
    }

    #[test]
    fn a_name_that_is_known_need_not_be_given() {
        let cases = [
            ("roomId=r", "known"),
            ("roomId=r&username=", "known"),
            ("roomId=r&username=known", "known"),
            ("roomId=r&username=other", "other"),
        ];
        for (query, user) in cases {
            assert_eq!(ChatQuery::parse(query, Some("known")).unwrap().user, user, "{query}");
        }
    }
}
