//! Rooms: created, listed, shown, deleted; and who takes part in them.

use serde::Serialize;

use super::answer::PendingResponse;
use super::body::{Fields, user};
use super::call::{Call, encode, json, now, time_text};
use super::error::ApiError;
use super::routes::Action;
use super::settings::{self, Settings};
use crate::auth::{NameError, USER_BYTES_MAX, check_name};
use crate::http::{Response, Status};
use crate::request::names;
use crate::store::{Done, NewRoom, RoomInfo, RoomQuery, StoreError};

/// Characters of a room's name at most.
// A title, and below a few paragraphs: a list shows both of every room.
const NAME_CHARS_MAX: usize = 200;
/// Characters of a room's description at most.
const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// What a room is created with.
const FIELDS: &[&str] = &[
    "name",
    "description",
    "createdBy",
    settings::DURABILITY,
    settings::RETENTION,
    settings::MESSAGES,
    settings::BYTES,
    settings::AGE,
];
/// Rooms of one answer at most, and without a limit in the request.
// As for messages: a list is built whole in memory.
const LIMIT_MAX: usize = 1_000;
const LIMIT_DEFAULT: usize = 100;

/// A room as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Room<'r> {
    id: &'r str,
    name: &'r str,
    description: &'r str,
    /// Null for a room that its first member opened.
    created_by: Option<&'r str>,
    participants: &'r [Box<str>],
    created_at: String,
    #[serde(flatten)]
    settings: Settings,
}

impl<'r> From<&'r RoomInfo> for Room<'r> {
    fn from(room: &'r RoomInfo) -> Room<'r> {
        let RoomInfo { id, name, description, created_by, participants, created_at, settings } = room;
        let (created_by, created_at) = (created_by.as_deref(), time_text(*created_at));
        Room { id, name, description, created_by, participants, created_at, settings: settings.into() }
    }
}

pub(super) fn create(call: Call<'_>) -> Result<(), ApiError> {
    let mut fields = Fields::parse(call.request.head, call.request.body, FIELDS)?;
    let name = fields.required("name")?;
    let description = fields.optional("description")?.unwrap_or_default();
    let created_by = call.authorization.user(fields.optional("createdBy")?)?;
    let created_by =
        user("createdBy", created_by.ok_or_else(|| ApiError::field("createdBy", "is missing"))?)?;
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(ApiError::field("name", format_args!("must have 1 to {NAME_CHARS_MAX} characters")));
    }
    match check_name(&name, usize::MAX) {
        Ok(()) => {}
        Err(NameError::Control) => return Err(ApiError::field("name", "has a control character")),
        Err(NameError::Reserved) => return Err(ApiError::field("name", "is one that means something else")),
        Err(NameError::Empty | NameError::TooLong | NameError::Invisible) => {
            return Err(ApiError::field("name", "has nothing that can be seen"));
        }
    }
    if description.chars().count() > DESCRIPTION_CHARS_MAX {
        let rule = format_args!("must have up to {DESCRIPTION_CHARS_MAX} characters");
        return Err(ApiError::field("description", rule));
    }
    let room = NewRoom {
        id: None,
        name: name.into(),
        description: description.into(),
        created_by: Some(created_by.into()),
        created_at: now(),
        settings: settings::parse(&mut fields)?,
    };
    if !call.rooms.may_create(room.created_at) {
        return Err(ApiError::too_many_new_rooms());
    }
    let pending = call.pending.clone();
    call.store.create_room(
        room,
        Box::new(move |created| {
            pending.send(created.map_err(ApiError::from).and_then(|room| {
                let location = format!("/api/chat/rooms/{}", room.id);
                Ok(json(Status::CREATED, &Room::from(&room))?.header("Location", location))
            }));
        }),
    )?;
    Ok(())
}

pub(super) fn list(call: Call<'_>) -> Result<(), ApiError> {
    let params = call.params;
    let query = RoomQuery {
        participant: params.user("participant")?.map(Into::into),
        limit: params.limit(1..=LIMIT_MAX, LIMIT_DEFAULT)?,
        after: params.text("after")?.map(Into::into),
        // In the query, not after it: a page has as many rooms as were asked for, if there are that many.
        among: call.authorization.visible_rooms(),
    };
    let pending = call.pending.clone();
    call.store.rooms(
        query,
        Box::new(move |rooms| match rooms {
            Ok(rooms) => {
                let rooms: Vec<_> = rooms.iter().map(Room::from).collect();
                pending.send_tagged(encode(&rooms), Vec::new());
            }
            Err(error) => pending.send(Err(error.into())),
        }),
    )?;
    Ok(())
}

pub(super) fn show(call: Call<'_>) -> Result<(), ApiError> {
    let pending = call.pending.clone();
    call.store.room(
        call.room,
        Box::new(move |room| match room {
            Ok(room) => pending.send_tagged(encode(&Room::from(&room)), Vec::new()),
            Err(error) => pending.send(Err(error.into())),
        }),
    )?;
    Ok(())
}

/// Deletes the room, then sees its members off: those of this very room, not of one that has its name by then.
pub(super) fn delete(call: Call<'_>) -> Result<(), ApiError> {
    let (pending, rooms, room) = (call.pending.clone(), call.rooms.clone(), Box::<str>::from(call.room));
    call.store.delete_room(
        call.room,
        Box::new(move |deleted| match deleted {
            Ok(id) => rooms.close_deleted(&room, id, move |_closed| {
                pending.send(Ok(Response::new(Status::NO_CONTENT)));
            }),
            Err(error) => pending.send(Err(error.into())),
        }),
    )?;
    Ok(())
}

pub(super) fn join(call: Call<'_>) -> Result<(), ApiError> {
    let user = call.username()?;
    call.store.join_participant(call.room, &user, changed(&call.pending))?;
    Ok(())
}

pub(super) fn leave(call: Call<'_>) -> Result<(), ApiError> {
    let user = call.authorization.user(call.params.text("username")?)?;
    let user = names::older_name("username", user, USER_BYTES_MAX)?;
    // Without tokens the name is the one who asks; an administrator may take any user out.
    if call.authorization.known_user(Action::LeaveRoom).is_none() {
        call.require_no_ban(&user)?;
    }
    call.store.leave_participant(call.room, &user, changed(&call.pending))?;
    Ok(())
}

/// Answers with the room as it has become.
fn changed(pending: &PendingResponse) -> Done<Result<RoomInfo, StoreError>> {
    let pending = pending.clone();
    Box::new(move |room| {
        pending.send(room.map_err(ApiError::from).and_then(|room| json(Status::OK, &Room::from(&room))));
    })
}
