//! Rooms that were deleted: whatever is left of them goes before another room has the name.

use mongodb::bson::doc;

use super::documents::{CONDEMNED, IMPORTS, LOGS, MESSAGES, ROOMS, integer, room_key, text};
use super::link::durably;
use super::logs::gather;
use super::shared::Shared;
use super::stays;
use crate::rooms::store_api::RoomId;
use crate::store::error::StoreError;

/// Removes the messages of rooms that were deleted.
pub(super) fn bury_all(shared: &Shared) -> Result<(), StoreError> {
    let condemned = gather(&shared.link, shared.link.collection(CONDEMNED).find(doc! {}))?;
    for name in condemned.iter().filter_map(|room| text(room, "_id")) {
        shared.alone(name, || bury(shared, name))?;
    }
    Ok(())
}

/// Removes the messages of a room that was deleted, and whatever else is left of it.
pub(super) fn bury(shared: &Shared, name: &str) -> Result<(), StoreError> {
    let link = &shared.link;
    let condemned = link.collection(CONDEMNED);
    let Some(noted) = link.ask(condemned.find_one(doc! { "_id": name }))? else { return Ok(()) };
    if !noted.get_bool("gone").unwrap_or(false) {
        forget(shared, name, RoomId(integer(&noted, "room").unwrap_or(0)))?;
    }
    let messages = link.collection(MESSAGES);
    let delete = messages.delete_many(doc! { "roomId": name });
    link.ask_patiently(delete.write_concern(durably()))?;
    link.ask(condemned.delete_one(doc! { "_id": name }).write_concern(durably()))?;
    Ok(())
}

/// Removes what there is of a condemned room besides its messages.
pub(super) fn forget(shared: &Shared, name: &str, id: RoomId) -> Result<(), StoreError> {
    let link = &shared.link;
    link.ask(link.collection(ROOMS).delete_one(doc! { "_id": room_key(name) }).write_concern(durably()))?;
    let row = doc! { "_id": name, "room": id.0 };
    link.ask(link.collection(LOGS).delete_one(row).write_concern(durably()))?;
    link.ask(link.collection(IMPORTS).delete_one(doc! { "_id": name }))?;
    stays::forget_room(link, id)?;
    // From here on a room of this name is another one.
    let gone = doc! { "$set": { "gone": true } };
    let condemned = link.collection(CONDEMNED);
    link.ask(condemned.update_one(doc! { "_id": name }, gone).write_concern(durably()))?;
    shared.heads.remove(id);
    Ok(())
}
