//! What a room has its own way: how safely its messages are stored, and how long.
//!
//! ```json
//! {"durability": "fsync", "retention": {"messages": 10000, "bytes": 1048576, "age": "30d"}}
//! ```
//!
//! What is missing is as the configuration says; a limit of zero is none.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use super::body::Fields;
use super::error::ApiError;
use crate::config::{parse_duration, write_duration};
use crate::rooms::store_api::{Durability, RoomSettings};

/// The names of the fields, in the body that creates a room.
pub(super) const DURABILITY: &str = "durability";
pub(super) const RETENTION: &str = "retention";
pub(super) const MESSAGES: &str = "retention.messages";
pub(super) const BYTES: &str = "retention.bytes";
pub(super) const AGE: &str = "retention.age";

/// Whole numbers that every JSON parser keeps exactly (RFC 8259 §6).
const LIMIT_MAX: u64 = (1 << 53) - 1;
/// As in the configuration.
const AGES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3650 * 86_400);

/// What of it is shown with the room: only what it has.
#[derive(Serialize)]
pub(super) struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Retention>,
}

#[derive(Serialize)]
struct Retention {
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<String>,
}

impl From<&RoomSettings> for Settings {
    fn from(settings: &RoomSettings) -> Settings {
        let RoomSettings { durability, messages_max, bytes_max, age_max } = *settings;
        let has_retention = messages_max.is_some() || bytes_max.is_some() || age_max.is_some();
        let retention =
            Retention { messages: messages_max, bytes: bytes_max, age: age_max.map(write_duration) };
        Settings {
            durability: durability.map(Durability::name),
            retention: has_retention.then_some(retention),
        }
    }
}

/// Takes the settings out of a body.
pub(super) fn parse(fields: &mut Fields<'_>) -> Result<RoomSettings, ApiError> {
    fields.object(RETENTION)?;
    Ok(RoomSettings {
        durability: fields.optional(DURABILITY)?.map(|name| durability(&name)).transpose()?,
        messages_max: limit(fields, MESSAGES)?,
        bytes_max: limit(fields, BYTES)?,
        age_max: fields.optional(AGE)?.map(|text| age(&text)).transpose()?,
    })
}

fn durability(name: &str) -> Result<Durability, ApiError> {
    Durability::from_name(name).ok_or_else(|| {
        let names = Durability::ALL.map(|durability| format!("{:?}", durability.name())).join(", ");
        ApiError::field(DURABILITY, format_args!("must be one of {names}"))
    })
}

fn limit(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<u64>, ApiError> {
    let limit = fields.number(name)?;
    if limit.is_some_and(|limit| limit > LIMIT_MAX) {
        return Err(ApiError::field(name, format_args!("must not be more than {LIMIT_MAX}")));
    }
    Ok(limit)
}

fn age(text: &str) -> Result<Duration, ApiError> {
    let age = parse_duration(text).ok().filter(|age| age.is_zero() || AGES.contains(age));
    let rule = "must be a duration like \"90s\", \"12h\" or \"30d\", up to \"3650d\"; \"0\" is for ever";
    age.ok_or_else(|| ApiError::field(AGE, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_shown_and_nothing_else() {
        let hour = Duration::from_secs(3600);
        let shown = |settings: RoomSettings| serde_json::to_value(Settings::from(&settings)).unwrap();
        assert_eq!(shown(RoomSettings::default()), serde_json::json!({}));
        let fsync = RoomSettings { durability: Some(Durability::Fsync), ..RoomSettings::default() };
        assert_eq!(shown(fsync), serde_json::json!({ "durability": "fsync" }));
        let kept =
            RoomSettings { messages_max: Some(0), bytes_max: Some(7), age_max: Some(hour), durability: None };
        let expected = serde_json::json!({ "retention": { "messages": 0, "bytes": 7, "age": "1h" } });
        assert_eq!(shown(kept), expected);
    }

    #[test]
    fn an_age_is_within_what_the_configuration_takes() {
        let cases =
            [("0", true), ("0s", true), ("1s", true), ("3650d", true), ("999ms", false), ("3651d", false)];
        for (text, is_age) in cases {
            assert_eq!(age(text).is_ok(), is_age, "{text}");
        }
        for text in ["", "1", "-1s", "1 year", "99999999999999999999d"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
