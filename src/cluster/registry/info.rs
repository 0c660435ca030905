//! A room as it is shown, and what it has its own way.

use std::time::Duration;

use redis::Value;
use serde_json::json;

use super::answer::{array, malformed, number, optional_text, text};
use crate::cluster::settings;
use crate::cluster::value::hex;
use crate::rooms::Timestamp;
use crate::rooms::store_api::RoomSettings;
use crate::store::{PARTICIPANTS_MAX, RoomInfo, StoreError};

/// What `info` in `room.lua` answers about the room of this public id.
pub(super) fn read_info(id: &str, answer: Value) -> Result<RoomInfo, StoreError> {
    if matches!(answer, Value::Nil) {
        return Err(StoreError::NoSuchRoom);
    }
    let fields: Result<[Value; 7], _> = array(answer, 7)?.try_into();
    let [uid, made, title, about, by, settings, participants] =
        fields.map_err(|_| malformed("a room with other fields"))?;
    if hex(&text(uid)?).is_none() {
        return Err(malformed("a room with another kind of uid"));
    }
    let participants = array(participants, usize::try_from(PARTICIPANTS_MAX).unwrap_or(usize::MAX))?;
    Ok(RoomInfo {
        id: id.into(),
        name: optional_text(title)?.unwrap_or_else(|| id.into()),
        description: optional_text(about)?.unwrap_or_default(),
        created_by: optional_text(by)?,
        participants: participants.into_iter().map(text).collect::<Result<_, _>>()?,
        created_at: Timestamp::from_micros(number(made)?),
        settings: optional_text(settings)?
            .map_or(Ok(RoomSettings::default()), |text| read_settings(&text))?,
    })
}

/// As [`settings::parse`] reads them; empty if there are none.
pub(super) fn write_settings(settings: &RoomSettings) -> String {
    let RoomSettings { durability, messages_max, bytes_max, age_max } = *settings;
    // For ever, and no more than a number of JSON keeps.
    let age = age_max.map(|age| age.min(Duration::from_secs(1 << 52)));
    let age =
        age.map(|age| if age.subsec_nanos() == 0 { json!(age.as_secs()) } else { json!(age.as_secs_f64()) });
    let fields = [
        ("durability", durability.map(|durability| json!(durability.name()))),
        ("messages", messages_max.map(|max| json!(max))),
        ("bytes", bytes_max.map(|max| json!(max))),
        ("age", age),
    ];
    let fields: serde_json::Map<_, _> =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    if fields.is_empty() {
        return String::new();
    }
    serde_json::Value::Object(fields).to_string()
}

fn read_settings(text: &str) -> Result<RoomSettings, StoreError> {
    settings::parse(text).ok_or_else(|| malformed("settings of a room that cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::store_api::Durability;

    #[test]
    fn settings_come_back_as_they_were() {
        let all = RoomSettings {
            durability: Some(Durability::Fsync),
            messages_max: Some(u64::MAX),
            bytes_max: Some(0),
            age_max: Some(Duration::from_secs(86_400)),
        };
        assert_eq!(read_settings(&write_settings(&all)), Ok(all));
        let short = RoomSettings { age_max: Some(Duration::from_micros(1_500_001)), ..all };
        assert_eq!(read_settings(&write_settings(&short)), Ok(short));
        let one = RoomSettings { bytes_max: Some(7), ..RoomSettings::default() };
        assert_eq!((&*write_settings(&one), read_settings(r#"{"bytes":7}"#)), (r#"{"bytes":7}"#, Ok(one)));
        assert_eq!(write_settings(&RoomSettings::default()), "");
        let ever = RoomSettings { age_max: Some(Duration::MAX), ..RoomSettings::default() };
        assert!(read_settings(&write_settings(&ever)).is_ok_and(|read| read.age_max > short.age_max));
        // A later version may know more.
        assert_eq!(read_settings(r#"{"colour":"grey"}"#), Ok(RoomSettings::default()));
    }

    #[test]
    fn settings_that_nobody_wrote_are_an_error() {
        let bad = [
            "[]",
            "7",
            "{",
            r#"{"bytes":-1}"#,
            r#"{"bytes":"7"}"#,
            r#"{"age":-1}"#,
            r#"{"durability":"none"}"#,
        ];
        for text in bad {
            assert!(matches!(read_settings(text), Err(StoreError::Unavailable(_))), "{text}");
        }
    }

    #[test]
    fn a_room_that_nobody_wrote_is_an_error() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let room = |uid: &str, made: &str, participants: Value| {
            let optional = [bulk("title"), Value::Nil, Value::Nil, Value::Nil];
            let fields = [bulk(uid), bulk(made)].into_iter().chain(optional).chain([participants]);
            read_info("r", Value::Array(fields.collect()))
        };
        let nobody = || Value::Array(Vec::new());
        let uid = "0123456789abcdef";
        assert_eq!(room(uid, "7", nobody()).map(|room| room.created_at.micros()), Ok(7));
        let many = Value::Array(vec![bulk("ann"); 10_001]);
        let bad = [
            room("0123", "7", nobody()),
            room(uid, "x", nobody()),
            room(uid, "7", Value::Int(7)),
            room(uid, "7", Value::Array(vec![Value::Nil])),
            room(uid, "7", many),
            read_info("r", Value::Array(Vec::new())),
            read_info("r", Value::Okay),
        ];
        for room in bad {
            assert!(matches!(room, Err(StoreError::Unavailable(_))), "{room:?}");
        }
        assert_eq!(read_info("r", Value::Nil), Err(StoreError::NoSuchRoom));
    }
}
