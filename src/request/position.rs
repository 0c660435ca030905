//! Positions in the log of a room, as requests and answers spell them.

use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::error::QueryError;
use crate::http::query;
use crate::rooms::{Start, Timestamp};

/// The header field that says where an answer ends in the log: the next request goes on from there.
pub(crate) const POSITION: &str = "Foghorn-Position";

/// Where a query says to begin.
pub(crate) fn start(text: &str) -> Result<Start, QueryError> {
    let value = |name| query::get(text, name).map_err(|_| QueryError::Malformed);
    let epoch = value("epoch")?.map(|epoch| parse_epoch(&epoch)).transpose()?;
    let seq = value("sinceSeq")?.map(|seq| parse_number("sinceSeq", &seq)).transpose()?;
    let since = value("since")?.map(|since| parse_time(&since)).transpose()?;
    let count = value("history")?.map(|count| parse_number("history", &count)).transpose()?;
    Ok(most_exact(seq, epoch, since, count))
}

/// The most exact position wins: a number, then a time, then a count.
pub(crate) fn most_exact(
    seq: Option<u64>,
    epoch: Option<u64>,
    since: Option<Timestamp>,
    count: Option<u64>,
) -> Start {
    match (seq, since, count) {
        (Some(seq), _, _) => Start::After { seq, epoch },
        (None, Some(since), _) => Start::Since(since),
        (None, None, Some(count)) => Start::Last(count),
        (None, None, None) => Start::Live,
    }
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

    #[test]
    fn a_position_is_a_number_a_time_or_a_count() {
        assert_eq!(start(""), Ok(Start::Live));
        assert_eq!(start("history=10"), Ok(Start::Last(10)));
        assert_eq!(start("sinceSeq=5&history=10"), Ok(Start::After { seq: 5, epoch: None }));
        let epoch = Some(0xabc);
        assert_eq!(start("sinceSeq=5&epoch=0000000000000abc"), Ok(Start::After { seq: 5, epoch }));
        assert_eq!(start("sinceSeq=0&epoch=0"), Ok(Start::After { seq: 0, epoch: Some(0) }));
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
            assert_eq!(start(&format!("since={text}")), Ok(Start::Since(time)), "{text}");
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
            assert_eq!(start(query), Err(error), "{query}");
        }
        assert_eq!(start("sinceSeq=18446744073709551615"), Ok(Start::After { seq: u64::MAX, epoch: None }));
    }
}
