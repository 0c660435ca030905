//! Who is in a room at the moment, and throwing a user out.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::answer::PendingResponse;
use super::call::{Call, json, now, time_text};
use super::error::ApiError;
use crate::http::{Problem, Response, Status};
use crate::rooms::{Ban, OnlineSession, Timestamp, TooManyBans};
use crate::server::{NodeOrder, Rooms};
use crate::store::{Presence, RoomInfo, Store, StoreError};

/// Who is there.
#[derive(Serialize)]
struct Online<'r> {
    /// Users, each counted once.
    count: usize,
    users: Vec<&'r str>,
    sessions: Vec<MemberSession<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberSession<'r> {
    session_id: String,
    username: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    connected_at: String,
    /// Known of this node's sessions alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    #[serde(skip)]
    joined_at: Timestamp,
}

impl<'r> MemberSession<'r> {
    /// The address is nothing to strangers.
    fn new(session: &'r OnlineSession, shows_address: bool) -> MemberSession<'r> {
        MemberSession {
            session_id: format!("{:032x}", session.id),
            username: &session.user,
            address: session.address.filter(|_| shows_address).map(|address| address.to_string()),
            connected_at: time_text(session.joined_at),
            lag: Some(session.lag),
            joined_at: session.joined_at,
        }
    }

    /// A session of another node.
    fn elsewhere(session: &'r Presence) -> MemberSession<'r> {
        MemberSession {
            session_id: format!("{:032x}", session.session_id),
            username: &session.user,
            address: None,
            connected_at: time_text(session.joined_at),
            lag: None,
            joined_at: session.joined_at,
        }
    }

    fn order(&self) -> (Timestamp, &str) {
        (self.joined_at, &self.session_id)
    }
}

#[derive(Serialize)]
struct Closed {
    closed: usize,
}

/// The shard says who is there. Then the store says whether the room exists, and its thread, not the shard's, writes the
/// answer, which may be long.
pub(super) fn online(call: Call<'_>) -> Result<(), ApiError> {
    let (pending, store, room) = (call.pending.clone(), call.store.clone(), Box::<str>::from(call.room));
    let shows_addresses = call.authorization.shows_addresses();
    call.rooms.online(call.room, move |online| {
        let (later, elsewhere, name) = (pending.clone(), store.clone(), room.clone());
        let done = move |found: Result<RoomInfo, StoreError>| {
            let go_on = later.clone();
            answered(found, &later, move || {
                add_other_nodes(&elsewhere, &name, online, go_on, shows_addresses)
            });
        };
        if let Err(busy) = store.room(&room, Box::new(done)) {
            pending.send(Err(busy.into()));
        }
    })?;
    Ok(())
}

/// Whoever is there through other nodes counts, too.
fn add_other_nodes(
    store: &Store,
    room: &str,
    online: crate::rooms::Online,
    pending: PendingResponse,
    shows_addresses: bool,
) {
    let later = pending.clone();
    let done = move |found: Result<Option<Vec<Presence>>, StoreError>| {
        later.send(found.map_err(ApiError::from).and_then(|others| {
            let others = others.unwrap_or_default();
            let here: HashSet<u128> = online.sessions.iter().map(|session| session.id).collect();
            let mut users: BTreeSet<&str> = online.users.iter().map(Arc::as_ref).collect();
            let mut sessions: Vec<_> =
                online.sessions.iter().map(|session| MemberSession::new(session, shows_addresses)).collect();
            for other in others.iter().filter(|other| !here.contains(&other.session_id)) {
                users.insert(&other.user);
                sessions.push(MemberSession::elsewhere(other));
            }
            sessions.sort_unstable_by(|one, other| one.order().cmp(&other.order()));
            json(Status::OK, &Online { count: users.len(), users: users.into_iter().collect(), sessions })
        }));
    };
    if let Err(busy) = store.sessions(room, Box::new(done)) {
        pending.send(Err(busy.into()));
    }
}

/// A ban as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Banned<'b> {
    username: &'b str,
    /// When it ends if the clock does not jump; the ban itself does not follow it.
    ends_at: String,
    seconds_left: u64,
}

/// Throws a user out. A ban is kept first, so that the user is not let in after a restart although the ban was
/// confirmed; it may be of a room or a user that does not exist.
pub(super) fn kick(call: Call<'_>) -> Result<(), ApiError> {
    let (user, time) = (call.params.username()?.into_owned(), call.params.ban()?);
    let (pending, rooms, room) = (call.pending.clone(), call.rooms.clone(), Box::<str>::from(call.room));
    let store = call.store.clone();
    // The store must not hold a ban that does not hold.
    let place = time.map(|_| rooms.bans().reserve(&room, &user)).transpose();
    let place = place.map_err(|TooManyBans| ApiError::too_many_bans())?;
    let ban = time.map(|left| Ban { room: room.clone(), user: user.as_str().into(), left });
    let carry_out = move || {
        // Here, on the store's thread: in the order in which the store hears of bans, and of their being lifted.
        if let (Some(time), Some(place)) = (time, place) {
            rooms.bans().add_reserved(&room, &user, time, place);
        }
        if store.is_shared() {
            return kick_everywhere(
                &store,
                &rooms,
                NodeOrder::Kick { room, user: user.into(), ban: time },
                pending,
            );
        }
        let later = pending.clone();
        let reply = move |closed: Result<usize, TooManyBans>| {
            let closed = closed.map_err(|TooManyBans| ApiError::too_many_bans());
            later.send(closed.and_then(|closed| json(Status::OK, &Closed { closed })));
        };
        if let Err(busy) = rooms.kick(&room, &user, None, reply) {
            pending.send(Err(busy.into()));
        }
    };
    let failed = call.pending.clone();
    match ban {
        Some(ban) => call.store.keep_ban(ban, Box::new(move |kept| answered(kept, &failed, carry_out)))?,
        None => call.store.room(call.room, Box::new(move |found| answered(found, &failed, carry_out)))?,
    }
    Ok(())
}

/// Throws a user out on all nodes. How many sessions that closes is known before: the nodes do not answer.
fn kick_everywhere(store: &Store, rooms: &Rooms, order: NodeOrder, pending: PendingResponse) {
    let NodeOrder::Kick { room, user, .. } = &order else { return };
    let (room, user, rooms, later) = (room.clone(), user.clone(), rooms.clone(), pending.clone());
    let done = move |found: Result<Option<Vec<Presence>>, StoreError>| {
        later.send(found.map_err(ApiError::from).and_then(|sessions| {
            let meant = sessions.unwrap_or_default();
            let closed = meant.iter().filter(|session| session.user == user).count();
            rooms.tell_nodes(&order);
            json(Status::OK, &Closed { closed })
        }));
    };
    if let Err(busy) = store.sessions(&room, Box::new(done)) {
        pending.send(Err(busy.into()));
    }
}

/// Goes on, unless the store has refused.
fn answered<T>(outcome: Result<T, StoreError>, pending: &PendingResponse, go_on: impl FnOnce()) {
    match outcome {
        Ok(_) => go_on(),
        Err(error) => pending.send(Err(error.into())),
    }
}

/// The bans of a room, which need not be there.
pub(super) fn bans(call: Call<'_>) -> Result<(), ApiError> {
    let (bans, now) = (call.rooms.bans().of_room(call.room), now());
    let banned = bans.iter().map(|ban| {
        let micros = u64::try_from(ban.left.as_micros()).unwrap_or(u64::MAX);
        let ends_at = time_text(Timestamp::from_micros(now.micros().saturating_add(micros)));
        // Never 0: it still holds.
        Banned { username: &ban.user, ends_at, seconds_left: micros.div_ceil(1_000_000) }
    });
    let response = json(Status::OK, &banned.collect::<Vec<_>>());
    // Through the store's thread, since this one must not wait for the reactor.
    let pending = call.pending.clone();
    call.store.room(call.room, Box::new(move |_there_or_not| pending.send(response)))?;
    Ok(())
}

pub(super) fn lift(call: Call<'_>) -> Result<(), ApiError> {
    let (rooms, pending) = (call.rooms.clone(), call.pending.clone());
    let (room, user): (Box<str>, Box<str>) = (call.room.into(), call.user.into());
    let done = move |lifted: Result<(), StoreError>| {
        pending.send(lifted.map_err(ApiError::from).and_then(|()| {
            let no_ban = || Problem::new(Status::NOT_FOUND, "this user is not banned from the room").into();
            let was_banned = rooms.bans().lift(&room, &user);
            rooms.tell_nodes(&NodeOrder::LiftBan { room, user });
            if was_banned { Ok(Response::new(Status::NO_CONTENT)) } else { Err(no_ban()) }
        }));
    };
    call.store.lift_ban(call.room, call.user, Box::new(done))?;
    Ok(())
}
