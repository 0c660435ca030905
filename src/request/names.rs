//! Names in requests: of rooms, of users, of the messages of clients.

use std::borrow::Cow;

use super::error::QueryError;
use crate::auth::{NameError, USER_BYTES_MAX, check_name};
use crate::http::query;

/// Maximum bytes of a room's name.
pub(crate) const ROOM_BYTES_MAX: usize = 128;
/// Maximum bytes of the id that a client gives its message.
pub(crate) const CLIENT_ID_BYTES_MAX: usize = 64;

/// The name that is given, or else known.
pub(crate) fn user<'q>(
    given: Option<Cow<'q, str>>,
    known: Option<&'q str>,
) -> Result<Cow<'q, str>, QueryError> {
    let given = given.filter(|given| !given.is_empty());
    name("username", given.or(known.map(Cow::Borrowed)), USER_BYTES_MAX)
}

/// The room that a query names.
pub(crate) fn room(text: &str) -> Result<Cow<'_, str>, QueryError> {
    let value = query::get(text, "roomId").map_err(|_| QueryError::Malformed)?;
    name("roomId", value, ROOM_BYTES_MAX)
}

/// As [`room`], where a query need not name one.
pub(crate) fn room_if_any(text: &str) -> Result<Option<Cow<'_, str>>, QueryError> {
    match room(text) {
        Ok(room) => Ok(Some(room)),
        Err(QueryError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A value that can be a name; `what` is how errors call it.
pub(crate) fn name<'q>(
    what: &'static str,
    value: Option<Cow<'q, str>>,
    bytes_max: usize,
) -> Result<Cow<'q, str>, QueryError> {
    let value = value.filter(|value| !value.is_empty()).ok_or(QueryError::Missing(what))?;
    match check_name(&value, bytes_max) {
        Ok(()) => Ok(value),
        Err(NameError::Empty) => Err(QueryError::Missing(what)),
        Err(NameError::TooLong) => Err(QueryError::TooLong(what)),
        Err(NameError::Control) => Err(QueryError::ControlCharacter(what)),
        Err(NameError::Reserved) => Err(QueryError::Reserved(what)),
        Err(NameError::Invisible) => Err(QueryError::Invisible(what)),
    }
}

/// Whether a room can have this id: one that exists may have an older name than [`name`] takes today.
pub(crate) fn is_room_id(id: &str) -> bool {
    id.len() <= ROOM_BYTES_MAX && !id.chars().any(char::is_control)
}

/// As [`name`], of a user who exists already: the name may be older than the rules of today.
pub(crate) fn older_name<'q>(
    what: &'static str,
    value: Option<Cow<'q, str>>,
    bytes_max: usize,
) -> Result<Cow<'q, str>, QueryError> {
    let value = value.filter(|value| !value.is_empty()).ok_or(QueryError::Missing(what))?;
    if value.len() > bytes_max {
        return Err(QueryError::TooLong(what));
    }
    if value.chars().any(char::is_control) { Err(QueryError::ControlCharacter(what)) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_need_not_be_named_is_checked_if_it_is() {
        let long = format!("roomId={}", "r".repeat(129));
        let cases = [
            ("", Ok(None)),
            ("roomId", Ok(None)),
            ("roomId=&username=u", Ok(None)),
            ("roomId=a%20b", Ok(Some(Cow::Borrowed("a b")))),
            ("roomId=%0A", Err(QueryError::ControlCharacter("roomId"))),
            ("roomId=%zz", Err(QueryError::Malformed)),
            (&*long, Err(QueryError::TooLong("roomId"))),
        ];
        for (query, room) in cases {
            assert_eq!(room_if_any(query), room, "{query}");
        }
    }
}
