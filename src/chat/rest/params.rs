//! The parameters of a request's query.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::ApiError;
use crate::auth::USER_BYTES_MAX;
use crate::config::parse_duration;
use crate::http::query;
use crate::request::{QueryError, names, position};
use crate::server::Timestamp;

/// How long a ban may last.
// A ban of less is over before it is answered. None is for ever: the list of bans is bounded, and its reasons are
// forgotten.
const BAN_MIN: Duration = Duration::from_secs(1);
const BAN_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A query, not decoded. Every error names its parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params<'q>(&'q str);

impl<'q> Params<'q> {
    pub(super) fn new(query: &'q str) -> Params<'q> {
        Params(query)
    }

    pub(super) fn text(self, name: &str) -> Result<Option<Cow<'q, str>>, ApiError> {
        Ok(query::get(self.0, name).map_err(|_| QueryError::Malformed)?)
    }

    /// A user's name, perhaps an old one.
    pub(super) fn user(self, name: &'static str) -> Result<Option<Cow<'q, str>>, ApiError> {
        let value = self.text(name)?;
        Ok(value.map(|value| names::older_name(name, Some(value), USER_BYTES_MAX)).transpose()?)
    }

    /// The parameter `username`, which must be there; perhaps an old name.
    pub(super) fn username(self) -> Result<Cow<'q, str>, ApiError> {
        Ok(names::older_name("username", self.text("username")?, USER_BYTES_MAX)?)
    }

    pub(super) fn number(self, name: &'static str) -> Result<Option<u64>, ApiError> {
        Ok(self.text(name)?.map(|value| position::parse_number(name, &value)).transpose()?)
    }

    /// The parameter `limit`, or what holds without one.
    pub(super) fn limit(self, range: RangeInclusive<usize>, default: usize) -> Result<usize, ApiError> {
        let Some(limit) = self.number("limit")? else { return Ok(default) };
        usize::try_from(limit).ok().filter(|limit| range.contains(limit)).ok_or_else(|| {
            ApiError::malformed(format!("limit is not between {} and {}", range.start(), range.end()))
        })
    }

    pub(super) fn time(self, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
        Ok(self.text(name)?.map(|value| position::parse_time(&value)).transpose()?)
    }

    /// The parameter `ban`.
    pub(super) fn ban(self) -> Result<Option<Duration>, ApiError> {
        let Some(value) = self.text("ban")? else { return Ok(None) };
        let ban = parse_duration(&value).ok().filter(|ban| (BAN_MIN..=BAN_MAX).contains(ban));
        let rule = "ban is not a duration like \"60s\", \"10min\" or \"1h\", from \"1s\" to \"365d\"";
        ban.map(Some).ok_or_else(|| ApiError::malformed(rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_a_default_and_a_range() {
        let limit = |query| Params::new(query).limit(1..=1000, 50).ok();
        let cases = [
            ("", Some(50)),
            ("limit=1", Some(1)),
            ("limit=1000", Some(1000)),
            ("limit=0", None),
            ("limit=1001", None),
            ("limit=", None),
            ("limit=-1", None),
            ("limit=1e2", None),
            ("limit=%", None),
            ("limit=18446744073709551616", None),
        ];
        for (query, expected) in cases {
            assert_eq!(limit(query), expected, "{query:?}");
        }
    }

    #[test]
    fn a_ban_ends() {
        let ban = |query| Params::new(query).ban().ok();
        let cases = [
            ("", Some(None)),
            ("ban=60s", Some(Some(Duration::from_secs(60)))),
            ("ban=365d", Some(Some(BAN_MAX))),
            ("ban=366d", None),
            ("ban=60", None),
            ("ban=0", None),
            ("ban=0s", None),
            ("ban=", None),
            ("ban=-1s", None),
            ("ban=18446744073709551615s", None),
        ];
        for (query, expected) in cases {
            assert_eq!(ban(query), expected, "{query:?}");
        }
    }

    #[test]
    fn a_user_is_a_name_or_absent() {
        assert_eq!(
            Params::new("participant=J%C3%B6rg").user("participant").unwrap().as_deref(),
            Some("Jörg")
        );
        assert_eq!(Params::new("").user("participant").unwrap(), None);
        assert!(Params::new("participant=").user("participant").is_err());
        assert!(Params::new("participant=%0A").user("participant").is_err());
        assert!(Params::new("").username().is_err());
    }
}
