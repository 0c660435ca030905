//! One request on its way to its action, and what all actions write.

use std::borrow::Cow;

use super::answer::PendingResponse;
use super::authorization::Authorization;
use super::error::ApiError;
use super::params::Params;
use crate::http::{Problem, Response, Status};
use crate::request::names;
use crate::server::{Request, Rooms, Timestamp};
use crate::store::Store;
use crate::system::since_epoch;

/// One request on its way to its action.
pub(super) struct Call<'r> {
    pub(super) store: &'r Store,
    pub(super) rooms: &'r Rooms,
    pub(super) request: &'r Request<'r>,
    pub(super) params: Params<'r>,
    /// The id of the room that the path names; empty on paths that name none.
    pub(super) room: &'r str,
    /// The user whom the path names; empty on paths that name none.
    pub(super) user: &'r str,
    pub(super) authorization: Authorization,
    /// For the answer, if it comes later.
    pub(super) pending: PendingResponse,
}

impl<'r> Call<'r> {
    /// The user in whose name this is done: the parameter `username`, or the user who asks.
    pub(super) fn username(&self) -> Result<Cow<'r, str>, ApiError> {
        let user = self.authorization.user(self.params.text("username")?)?;
        let user = names::user(user, None)?;
        self.require_no_ban(&user)?;
        Ok(user)
    }

    /// Refuses what would be done for a user who is banned from the room.
    pub(super) fn require_no_ban(&self, user: &str) -> Result<(), ApiError> {
        if self.rooms.bans().holds(self.room, user) { Err(ApiError::banned()) } else { Ok(()) }
    }
}

/// A response of JSON.
pub(super) fn json<T: serde::Serialize>(status: Status, value: &T) -> Result<Response, ApiError> {
    Ok(Response::json(status, encode(value)?))
}

/// What is answered here is strings and numbers, which always serialise.
pub(super) fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, ApiError> {
    let unwritable = "the answer could not be written";
    serde_json::to_vec(value).map_err(|_| Problem::new(Status::INTERNAL_SERVER_ERROR, unwritable).into())
}

/// A time as it stands in messages.
pub(super) fn time_text(at: Timestamp) -> String {
    let mut text = Vec::with_capacity(Timestamp::TEXT_BYTES);
    at.encode(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_unix(since_epoch())
}
