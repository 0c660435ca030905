//! Who wants into which room, and from which point on: the query of `/ws/chat`.

use std::borrow::Cow;
use std::fmt;

use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{OffsetDateTime, PrimitiveDateTime};

pub(crate) use crate::auth::USER_BYTES_MAX;
use crate::auth::{NameError, check_name};
use crate::http::query;
use crate::rooms::{Start, Timestamp};

/// Bytes of a room's name at most.
pub(crate) const ROOM_BYTES_MAX: usize = 128;

/// A checked query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'q> {
    pub(crate) room: Cow<'q, str>,
    pub(crate) user: Cow<'q, str>,
    pub(crate) start: Start,
    pub(crate) welcome: bool,
}

/// What is wrong with a query; its text is the reason in the Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryError {
    Malformed,
    Missing(&'static str),
    TooLong(&'static str),
    ControlCharacter(&'static str),
    Reserved(&'static str),
    Invisible(&'static str),
    NotANumber(&'static str),
    NotATime,
    NotAnEpoch,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueryError::Malformed => f.write_str("the query is not percent-encoded UTF-8"),
            QueryError::Missing(name) => write!(f, "{name} is missing"),
            QueryError::TooLong(name) => write!(f, "{name} is too long"),
            QueryError::ControlCharacter(name) => write!(f, "{name} has a control character"),
            QueryError::Reserved(name) => write!(f, "{name} is a name that means something else"),
            QueryError::Invisible(name) => write!(f, "{name} has nothing that can be seen"),
            QueryError::NotANumber(name) => write!(f, "{name} is not a number"),
            QueryError::NotATime => f.write_str("since is not a time"),
            QueryError::NotAnEpoch => f.write_str("epoch is not an epoch"),
        }
    }
}

impl<'q> Entry<'q> {
    /// Reads a query. `known` is who the user is, if that was proved; then the name need not be there.
    pub(crate) fn parse(text: &'q str, known: Option<&'q str>) -> Result<Entry<'q>, QueryError> {
        let value = |name| query::get(text, name).map_err(|_| QueryError::Malformed);
        Ok(Entry {
            room: room(text)?,
            user: user(value("username")?, known)?,
            start: start(text)?,
            welcome: value("hello")?.is_some_and(|hello| hello == "1"),
        })
    }
}

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

/// As [`name`], of a user who is there already, perhaps by a name that could not be taken any more.
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

/// Where a query says to begin. The most exact position wins: a number, then a time, then a count.
pub(crate) fn start(text: &str) -> Result<Start, QueryError> {
    let value = |name| query::get(text, name).map_err(|_| QueryError::Malformed);
    let epoch = value("epoch")?.map(|epoch| parse_epoch(&epoch)).transpose()?;
    let seq = value("sinceSeq")?.map(|seq| parse_number("sinceSeq", &seq)).transpose()?;
    let since = value("since")?.map(|since| parse_time(&since)).transpose()?;
    let count = value("history")?.map(|count| parse_number("history", &count)).transpose()?;
    Ok(match (seq, since, count) {
        (Some(seq), _, _) => Start::After { seq, epoch },
        (None, Some(since), _) => Start::Since(since),
        (None, None, Some(count)) => Start::Last(count),
        (None, None, None) => Start::Live,
    })
}

pub(crate) fn parse_number(what: &'static str, text: &str) -> Result<u64, QueryError> {
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits_only {
        text.parse().map_err(|_| QueryError::NotANumber(what))
    } else {
        Err(QueryError::NotANumber(what))
    }
}

/// Sixteen digits, or `0`: the epoch before any, whose number 0 is before the first message.
pub(crate) fn parse_epoch(text: &str) -> Result<u64, QueryError> {
    if text == "0" {
        return Ok(0);
    }
    let hexadecimal = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hexadecimal {
        u64::from_str_radix(text, 16).map_err(|_| QueryError::NotAnEpoch)
    } else {
        Err(QueryError::NotAnEpoch)
    }
}

/// RFC 3339, or ISO 8601 without a zone, which then is UTC. Times before 1970 are as good as 1970.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, QueryError> {
    // The plus of an offset that was not percent-encoded has become a space.
    let text = text.replace(' ', "+");
    let time = OffsetDateTime::parse(&text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&text, &Iso8601::DEFAULT))
        .or_else(|_| PrimitiveDateTime::parse(&text, &Iso8601::DEFAULT).map(PrimitiveDateTime::assume_utc))
        .map_err(|_| QueryError::NotATime)?;
    let micros = time.unix_timestamp_nanos() / 1000;
    Ok(Timestamp::from_micros(u64::try_from(micros).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_of(query: &str) -> Result<Start, QueryError> {
        Entry::parse(&format!("roomId=r&username=u&{query}"), None).map(|entry| entry.start)
    }

    #[test]
    fn names_are_decoded_and_checked() {
        let entry = Entry::parse("username=J%C3%B6rg+K&roomId=a%2Fb&hello=1", None).unwrap();
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
            assert_eq!(Entry::parse(query, None).err(), Some(error), "{query}");
        }
    }

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

    #[test]
    fn a_name_that_is_known_need_not_be_given() {
        let cases = [
            ("roomId=r", "known"),
            ("roomId=r&username=", "known"),
            ("roomId=r&username=known", "known"),
            ("roomId=r&username=other", "other"),
        ];
        for (query, user) in cases {
            assert_eq!(Entry::parse(query, Some("known")).unwrap().user, user, "{query}");
        }
    }

    #[test]
    fn a_position_is_a_number_a_time_or_a_count() {
        assert_eq!(start_of(""), Ok(Start::Live));
        assert_eq!(start_of("history=10"), Ok(Start::Last(10)));
        assert_eq!(start_of("sinceSeq=5&history=10"), Ok(Start::After { seq: 5, epoch: None }));
        let epoch = Some(0xabc);
        assert_eq!(start_of("sinceSeq=5&epoch=0000000000000abc"), Ok(Start::After { seq: 5, epoch }));
        assert_eq!(start_of("sinceSeq=0&epoch=0"), Ok(Start::After { seq: 0, epoch: Some(0) }));
    }

    #[test]
    fn times_come_with_or_without_a_zone() {
        let noon = Timestamp::from_micros(1_769_860_800_000_000);
        let later = Timestamp::from_micros(1_769_860_800_123_456);
        let cases = [
            ("2026-01-31T12:00:00Z", noon),
            ("2026-01-31T12:00:00", noon),
            ("2026-01-31T13:00:00%2B01:00", noon),
            ("2026-01-31T13:00:00+01:00", noon),
            ("2026-01-31T12:00:00.123456", later),
            ("2026-01-31T12:00:00.123456789Z", later),
            ("1960-01-31T12:00:00Z", Timestamp::from_micros(0)),
        ];
        for (text, time) in cases {
            assert_eq!(start_of(&format!("since={text}")), Ok(Start::Since(time)), "{text}");
        }
    }

    #[test]
    fn malformed_positions_are_refused() {
        let cases = [
            ("history=", QueryError::NotANumber("history")),
            ("history=-1", QueryError::NotANumber("history")),
            ("sinceSeq=%2B5", QueryError::NotANumber("sinceSeq")),
            ("sinceSeq=18446744073709551616", QueryError::NotANumber("sinceSeq")),
            ("sinceSeq=1&epoch=zz", QueryError::NotAnEpoch),
            ("since=yesterday", QueryError::NotATime),
            ("since=2026-13-31T12:00:00Z", QueryError::NotATime),
        ];
        for (query, error) in cases {
            assert_eq!(start_of(query), Err(error), "{query}");
        }
        assert_eq!(
            start_of("sinceSeq=18446744073709551615"),
            Ok(Start::After { seq: u64::MAX, epoch: None })
        );
    }
}
