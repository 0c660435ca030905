//! What a request for a feed asks for, and the answers that both kinds share.

use std::borrow::Cow;
use std::sync::Arc;

use crate::auth::Identity;
use crate::chat::query::{self, ROOM_BYTES_MAX};
use crate::http::{CorsFields, Problem, Response, Status};
use crate::server::{Answer, PostError, RejectReason, Request, Responder, Start};

/// What a request asks for.
pub(super) struct FeedRequest<'r> {
    pub(super) room: Cow<'r, str>,
    /// Who asks; empty if nobody knows.
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
        let room = crate::http::query::decode_path_segment(segment).map_err(|error| bad(&error))?;
        if room.len() > ROOM_BYTES_MAX || room.chars().any(char::is_control) {
            return Err(refusal(RejectReason::NoSuchRoom));
        }
        let identity = request.identity();
        if identity.as_ref().is_some_and(|identity| !identity.may_enter(&room)) {
            return Err(problem(Status::FORBIDDEN, "the token does not allow this room"));
        }
        let given = crate::http::query::get(head.query(), "username").map_err(|error| bad(&error))?;
        let user = match (&identity, given.filter(|given| !given.is_empty())) {
            (Some(identity), Some(given)) if given != identity.user() => {
                return Err(problem(Status::FORBIDDEN, "the token is another user's"));
            }
            (Some(identity), _) => Cow::Owned(identity.user().to_owned()),
            (None, Some(given)) => query::user(Some(given), None).map_err(|error| bad(&error))?,
            (None, None) => Cow::Borrowed(""),
        };
        let start = query::start(head.query()).map_err(|error| bad(&error))?;
        Ok(FeedRequest { room, user, identity, start, request, fields })
    }
}

/// An answer for this reader alone, and not for later.
pub(super) fn no_store(fields: &CorsFields, response: Response) -> Response {
    fields.apply(response.header("Cache-Control", "no-store").header("X-Content-Type-Options", "nosniff"))
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
        RejectReason::Banned => {
            let banned = PostError::Banned;
            Problem::new(Status::FORBIDDEN, banned.text()).code(banned.code()).response()
        }
        RejectReason::RoomFull
        | RejectReason::TooManyRooms
        | RejectReason::TooManyNewRooms
        | RejectReason::TooManyOpenings
        | RejectReason::TooSlow
        | RejectReason::Unavailable
        | RejectReason::HandlerFailed => busy(),
    }
}
