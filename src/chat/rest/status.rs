//! How the server is.

use std::time::Duration;

use serde::Serialize;

use super::call::{Call, json};
use super::error::ApiError;
use crate::http::Status;
use crate::server::Figures;
use crate::store::Health;

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

const ALIVE: Alive = Alive { status: "ok" };
/// As long as Redis does not answer: sessions stay, and nothing can be published.
const CUT_OFF: Alive = Alive { status: "cluster unavailable" };

/// What was counted since the start, and what there is at the moment.
pub(super) fn stats(call: Call<'_>) -> Result<(), ApiError> {
    let (pending, store, rooms) = (call.pending.clone(), call.store.clone(), call.rooms.clone());
    call.rooms.figures(move |reactor, shards| {
        pending.send(json(Status::OK, &Figures::new(&reactor, &shards, &rooms, &store)));
    })?;
    Ok(())
}

/// The server is alive if every shard answers. A shard that hangs leaves the request to its deadline.
pub(super) fn health(call: Call<'_>) -> Result<(), ApiError> {
    let pending = call.pending.clone();
    call.rooms.ping(move || pending.send(json(Status::OK, &ALIVE)))?;
    Ok(())
}

/// How long a room may be on its way from the store before the server says that it is not ready: far longer than a disk
/// hesitates, shorter than who waits for the room has patience.
const OPENING_AGE_MAX: Duration = Duration::from_secs(10);

/// As [`health`], and no room has waited too long for the store.
fn openings(call: Call<'_>) -> Result<(), ApiError> {
    let pending = call.pending.clone();
    call.rooms.opening_age(move |age| match age {
        Some(age) if age > OPENING_AGE_MAX => {
            pending
                .send(Err(ApiError::unavailable("a room has been on its way from the store for too long")));
        }
        Some(_) | None => pending.send(json(Status::OK, &ALIVE)),
    })?;
    Ok(())
}

/// The server is ready if it is alive and can store.
pub(super) fn readiness(call: Call<'_>) -> Result<(), ApiError> {
    match call.store.health() {
        Health::Healthy => openings(call),
        // No room was ever opened here: nothing is lost if clients are sent elsewhere.
        Health::Unavailable(_) if call.store.is_awaited() => {
            Err(ApiError::unavailable("the cluster has not answered since the start"))
        }
        // The others of a cluster are no better off: a balancer that took this node out would take all of them out.
        Health::Unavailable(_) if call.store.is_shared() => {
            let pending = call.pending.clone();
            call.rooms.ping(move || pending.send(json(Status::OK, &CUT_OFF)))?;
            Ok(())
        }
        Health::Unavailable(_) => Err(ApiError::unavailable("nothing can be stored at the moment")),
        Health::Failed(_) => Err(ApiError::unavailable("nothing is stored until the server is restarted")),
    }
}
