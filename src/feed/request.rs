//! What a request for a feed asks for, and the answers that both kinds share.

use std::borrow::Cow;
use std::sync::Arc;

use crate::auth::Identity;
use crate::http::{CorsFields, Problem, Response, Status, query};
use crate::request::rights::{self, NotThatUser};
use crate::request::{answer, names, position};
use crate::server::{Answer, RejectReason, Request, Responder, Start};

/// What a request asks for.
pub(super) struct FeedRequest<'r> {
    pub(super) room: Cow<'r, str>,
    /// The user who asks; empty if unknown.
    pub(super) user: Cow<'r, str>,
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) start: Start,
    pub(super) request: &'r Request<'r>,
    /// For the web page that asks.
    pub(super) fields: CorsFields,
}

/// One of the two ways.
pub(super) trait FeedKind: Send + Sync + 'static {
    const PREFIX: &'static str;

    fn answer(&self, feed: FeedRequest<'_>, responder: Responder) -> Result<Answer, Response>;
}

impl<'r> FeedRequest<'r> {
    pub(super) fn parse(
        prefix: &str,
        request: &'r Request<'r>,
        fields: CorsFields,
    ) -> Result<FeedRequest<'r>, Response> {
        let bad = |error: &dyn std::fmt::Display| problem(Status::BAD_REQUEST, error.to_string());
        let head = request.head;
        let segment = head.path().strip_prefix(prefix).unwrap_or_default();
        if segment.is_empty() || segment.contains('/') {
            return Err(problem(Status::NOT_FOUND, "there is nothing at this path"));
        }
        let room = query::decode_path_segment(segment).map_err(|error| bad(&error))?;
        if !names::is_room_id(&room) {
            return Err(refusal(RejectReason::NoSuchRoom));
        }
        let identity = request.identity();
        if identity.as_ref().is_some_and(|identity| !identity.may_enter(&room)) {
            return Err(problem(Status::FORBIDDEN, "the token does not allow this room"));
        }
        let given = query::get(head.query(), "username").map_err(|error| bad(&error))?;
        let known = identity.as_deref().map(Identity::user);
        let user = rights::user(known, given.filter(|given| !given.is_empty()))
            .map_err(|NotThatUser| problem(Status::FORBIDDEN, "the token is another user's"))?;
        let user = match user {
            // A name that was proved may be older than what a name can be today.
            Some(user) if known.is_none() => names::user(Some(user), None).map_err(|error| bad(&error))?,
            Some(user) => user,
            None => Cow::Borrowed(""),
        };
        let start = position::start(head.query()).map_err(|error| bad(&error))?;
        Ok(FeedRequest { room, user, identity, start, request, fields })
    }
}

pub(super) fn problem(status: Status, detail: impl Into<Cow<'static, str>>) -> Response {
    Problem::new(status, detail).response()
}

pub(super) fn busy() -> Response {
    problem(Status::SERVICE_UNAVAILABLE, "the server is busy").header("Retry-After", "1")
}

/// Why there is nothing to read.
pub(super) fn refusal(why: RejectReason) -> Response {
    match why {
        RejectReason::NoSuchRoom | RejectReason::RoomDeleted => {
            problem(Status::NOT_FOUND, "there is no such room")
        }
        RejectReason::Kicked => problem(Status::FORBIDDEN, "this user was thrown out of the room"),
        RejectReason::Banned => answer::banned().response(),
        RejectReason::RoomFull
        | RejectReason::TooManyRooms
        | RejectReason::TooManyNewRooms
        | RejectReason::TooManyOpenings
        | RejectReason::TooSlow
        | RejectReason::Unavailable
        | RejectReason::HandlerFailed => match why.limit() {
            Some(limit) => busy().limited_by(limit.full_key()),
            None => busy(),
        },
    }
}
