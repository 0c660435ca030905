//! Rooms are created, shown, joined, left, configured, deleted.

use redis::Value;

use super::answer::{malformed, text};
use super::call::run;
use super::info::{read_info, write_settings};
use crate::cluster::partition::Partition;
use crate::cluster::question::{Ask, Question};
use crate::cluster::scripts::Script;
use crate::cluster::shared::nonce;
use crate::cluster::value::hex;
use crate::rooms::store_api::RoomSettings;
use crate::store::{NewRoom, PARTICIPANTS_MAX, RoomInfo, StoreError, made_up_id};

static CREATE: Script =
    Script::new(concat!(include_str!("scripts/room.lua"), include_str!("scripts/create.lua")));
static SHOW: Script =
    Script::new(concat!(include_str!("scripts/room.lua"), include_str!("scripts/show.lua")));
static JOIN: Script =
    Script::new(concat!(include_str!("scripts/room.lua"), include_str!("scripts/join.lua")));
static LEAVE: Script =
    Script::new(concat!(include_str!("scripts/room.lua"), include_str!("scripts/leave.lua")));
static CONFIGURE: Script =
    Script::new(concat!(include_str!("scripts/room.lua"), include_str!("scripts/configure.lua")));
static DELETE: Script =
    Script::new(concat!(include_str!("scripts/room.lua"), include_str!("scripts/delete.lua")));

/// What scripts of a room are given, as `room.lua` has it.
pub(super) fn call(script: &'static Script, room: &str) -> Question {
    let partition = Partition::of(room);
    let keys = [
        partition.room(room),
        partition.stream(room),
        partition.participants(room),
        partition.stays(room),
        partition.users(room),
        partition.rooms(),
        partition.rooms_by_participant(),
        partition.imports(),
        partition.meta(),
        partition.channel(room),
    ];
    Question::to_run(script, partition, &keys).arg(room).arg(partition.prefix())
}

/// Gives a script what makes a room, as `make` in `room.lua` takes it.
pub(super) fn with_room(call: Question, room: &NewRoom) -> Question {
    let by = room.created_by.as_deref().map_or(String::new(), |by| format!("+{by}"));
    call.arg(nonce())
        .arg(nonce())
        .arg(nonce())
        .arg(room.created_at.micros().to_string())
        .arg(&*room.name)
        .arg(&*room.description)
        .arg(by)
        .arg(write_settings(&room.settings))
}

pub(in crate::cluster) fn create_room(conn: &mut dyn Ask, room: NewRoom) -> Result<RoomInfo, StoreError> {
    let id = room.id.clone().unwrap_or_else(|| made_up_id(room.created_at));
    match run(conn, with_room(call(&CREATE, &id), &room))? {
        Value::Int(0) => Err(StoreError::RoomExists),
        answer => read_info(&id, answer),
    }
}

pub(in crate::cluster) fn room(conn: &mut dyn Ask, id: &str) -> Result<RoomInfo, StoreError> {
    read_info(id, run(conn, show(id))?)
}

/// Asks for what [`read_info`] reads.
pub(super) fn show(id: &str) -> Question {
    call(&SHOW, id)
}

pub(in crate::cluster) fn join_participant(
    conn: &mut dyn Ask,
    id: &str,
    user: &str,
) -> Result<RoomInfo, StoreError> {
    match run(conn, call(&JOIN, id).arg(user).arg(PARTICIPANTS_MAX))? {
        Value::Int(0) => Err(StoreError::TooManyParticipants),
        answer => read_info(id, answer),
    }
}

pub(in crate::cluster) fn leave_participant(
    conn: &mut dyn Ask,
    id: &str,
    user: &str,
) -> Result<RoomInfo, StoreError> {
    read_info(id, run(conn, call(&LEAVE, id).arg(user))?)
}

/// Changes what a room has its own way. What it keeps no longer goes with the next append.
pub(in crate::cluster) fn configure_room(
    conn: &mut dyn Ask,
    id: &str,
    settings: &RoomSettings,
) -> Result<(), StoreError> {
    match run(conn, call(&CONFIGURE, id).arg(write_settings(settings)))? {
        Value::Nil => Err(StoreError::NoSuchRoom),
        Value::Int(1) => Ok(()),
        _ => Err(malformed("an answer that was not asked for")),
    }
}

/// Deletes a room and all that belongs to it, and says so to those who follow it: the byte `D` and the `uid`. What is
/// returned is the `uid`.
pub(in crate::cluster) fn delete_room(conn: &mut dyn Ask, id: &str) -> Result<Box<str>, StoreError> {
    match run(conn, call(&DELETE, id))? {
        Value::Nil => Err(StoreError::NoSuchRoom),
        // Whatever it was called, it is gone.
        uid => {
            text(uid).and_then(|uid| hex(&uid).map(|_| uid).ok_or_else(|| malformed("another kind of uid")))
        }
    }
}
