//! The line about the room itself, with which an export begins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::line_value::{check_name, parse_time};
use crate::config::{parse_duration, write_duration};
use crate::rooms::Timestamp;
use crate::rooms::store_api::{Durability, RoomSettings};
use crate::store::{RoomInfo, SEQ_MAX};

/// The value of `type`, which no message has.
const TYPE: &str = "ROOM";
/// As by REST, where a character has four bytes at most.
const NAME_BYTES_MAX: usize = 800;
const DESCRIPTION_BYTES_MAX: usize = 8_000;
const USER_BYTES_MAX: usize = 64;
/// As in the configuration.
const AGE_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// What a room has besides its messages, in the words of REST.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RoomLine {
    #[serde(rename = "type")]
    kind: String,
    pub(super) room_id: Box<str>,
    name: Box<str>,
    description: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_by: Option<Box<str>>,
    created_at: String,
    participants: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    durability: Option<String>,
    #[serde(default, skip_serializing_if = "RetentionFields::is_empty")]
    retention: RetentionFields,
}

#[derive(Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    messages: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    age: Option<String>,
}

impl RetentionFields {
    fn is_empty(&self) -> bool {
        *self == RetentionFields::default()
    }
}

impl RoomLine {
    pub(super) fn of(room: RoomInfo) -> RoomLine {
        let RoomInfo { id, name, description, created_by, participants, created_at, settings } = room;
        let mut at = Vec::with_capacity(Timestamp::TEXT_BYTES);
        created_at.encode(&mut at);
        let RoomSettings { durability, messages_max, bytes_max, age_max } = settings;
        RoomLine {
            kind: TYPE.to_owned(),
            room_id: id,
            name,
            description,
            created_by,
            created_at: String::from_utf8_lossy(&at).into_owned(),
            participants,
            durability: durability.map(|durability| durability.name().to_owned()),
            retention: RetentionFields {
                messages: messages_max,
                bytes: bytes_max,
                age: age_max.map(write_duration),
            },
        }
    }

    /// Whether a line is meant to be one.
    pub(super) fn is_one(text: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Probe<'l> {
            #[serde(rename = "type", borrow)]
            kind: std::borrow::Cow<'l, str>,
        }
        serde_json::from_slice(text).is_ok_and(|Probe { kind }| kind == TYPE)
    }

    /// The room, if the server could have made it.
    pub(super) fn room(self) -> Result<RoomInfo, String> {
        let too_long = |what: &str, max| format!("{what} must have up to {max} bytes");
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX {
            return Err(format!("name must have 1 to {NAME_BYTES_MAX} bytes"));
        }
        if self.description.len() > DESCRIPTION_BYTES_MAX {
            return Err(too_long("description", DESCRIPTION_BYTES_MAX));
        }
        for user in self.participants.iter().chain(&self.created_by) {
            check_name(user, USER_BYTES_MAX).map_err(|why| format!("user {user:?} {why}"))?;
        }
        let created_at = parse_time(&self.created_at).ok_or("createdAt is no RFC 3339 time since 1970")?;
        let RetentionFields { messages, bytes, age } = self.retention;
        if messages.into_iter().chain(bytes).any(|limit| limit > SEQ_MAX) {
            return Err(format!("retention must not be more than {SEQ_MAX}"));
        }
        let durability = self
            .durability
            .map(|name| Durability::from_name(&name).ok_or_else(|| format!("durability {name:?} is none")));
        let age = age.map(|age| {
            parse_duration(&age)
                .ok()
                .filter(|age| *age <= AGE_MAX)
                .ok_or("retention.age is no duration up to 3650d")
        });
        Ok(RoomInfo {
            id: self.room_id,
            name: self.name,
            description: self.description,
            created_by: self.created_by,
            participants: self.participants,
            created_at,
            settings: RoomSettings {
                durability: durability.transpose()?,
                messages_max: messages,
                bytes_max: bytes,
                age_max: age.transpose()?,
            },
        })
    }
}
