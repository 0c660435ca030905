//! Who is in a room at the moment, and throwing somebody out.

use std::sync::Arc;

use serde::Serialize;

use super::refusal::Refusal;
use super::{Call, json, time_text};
use crate::http::Status;
use crate::rooms::OnlineSession;
use crate::store::{RoomInfo, StoreError};

/// Who is there.
#[derive(Serialize)]
struct Online<'r> {
    /// Users, each counted once.
    count: usize,
    users: Vec<&'r str>,
    sessions: Vec<Session<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'r> {
    session_id: String,
    username: &'r str,
    address: Option<String>,
    connected_at: String,
    lag: u64,
}

impl<'r> From<&'r OnlineSession> for Session<'r> {
    fn from(session: &'r OnlineSession) -> Session<'r> {
        Session {
            session_id: format!("{:032x}", session.id),
            username: &session.user,
            address: session.address.map(|address| address.to_string()),
            connected_at: time_text(session.joined_at),
            lag: session.lag,
        }
    }
}

#[derive(Serialize)]
struct Closed {
    closed: usize,
}

/// The shard says who is there. Then the store says whether the room exists, and its thread, not the shard's, writes the
/// answer, which may be long.
pub(super) fn online(call: Call<'_>) -> Result<(), Refusal> {
    let (pending, store, room) = (call.pending.clone(), call.store.clone(), Box::<str>::from(call.room));
    call.rooms.online(call.room, move |mut online| {
        let later = pending.clone();
        let done = move |found: Result<RoomInfo, StoreError>| {
            later.send(found.map_err(Refusal::from).and_then(|_room| {
                online.sessions.sort_unstable_by_key(|session| (session.joined_at, session.id));
                let users: Vec<&str> = online.users.iter().map(Arc::as_ref).collect();
                let sessions = online.sessions.iter().map(Session::from).collect();
                json(Status::OK, &Online { count: users.len(), users, sessions })
            }));
        };
        if let Err(busy) = store.room(&room, Box::new(done)) {
            pending.send(Err(busy.into()));
        }
    })?;
    Ok(())
}

pub(super) fn kick(call: Call<'_>) -> Result<(), Refusal> {
    let (user, ban) = (call.params.username()?.into_owned(), call.params.ban()?);
    let (pending, rooms, room) = (call.pending.clone(), call.rooms.clone(), Box::<str>::from(call.room));
    let done = move |found: Result<RoomInfo, StoreError>| {
        if let Err(error) = found {
            return pending.send(Err(error.into()));
        }
        let later = pending.clone();
        let reply = move |closed| later.send(json(Status::OK, &Closed { closed }));
        if let Err(busy) = rooms.kick(&room, &user, ban, reply) {
            pending.send(Err(busy.into()));
        }
    };
    call.store.room(call.room, Box::new(done))?;
    Ok(())
}
