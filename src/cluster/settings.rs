//! What a room has its own way, as it stands in Redis.

use std::time::Duration;

use crate::rooms::store_api::{Durability, RoomSettings};

/// Reads `{"durability":"fsync","messages":1,"bytes":1,"age":1}`, the age in seconds; what is missing, and all of an empty
/// text, is as the configuration says.
pub(super) fn parse(text: &str) -> Option<RoomSettings> {
    if text.is_empty() {
        return Some(RoomSettings::default());
    }
    let settings: serde_json::Value = serde_json::from_str(text).ok()?;
    let fields = settings.as_object()?;
    let limit = |name: &str| fields.get(name).map_or(Some(None), |max| max.as_u64().map(Some));
    let durability = |name: &serde_json::Value| Durability::from_name(name.as_str()?);
    let age = |age: &serde_json::Value| Duration::try_from_secs_f64(age.as_f64()?).ok();
    Some(RoomSettings {
        durability: fields.get("durability").map_or(Some(None), |name| durability(name).map(Some))?,
        messages_max: limit("messages")?,
        bytes_max: limit("bytes")?,
        age_max: fields.get("age").map_or(Some(None), |found| age(found).map(Some))?,
    })
}
