//! Chat rooms over plain HTTP: as server-sent events, and by long polling.
//!
//! An ordinary user of [`server`](crate::server), and a cursor into the same log as everybody else's:
//!
//! | path | is |
//! |---|---|
//! | `GET /sse/rooms/{id}` | a response that does not end, an event for each message (`sse`) |
//! | `GET /poll/rooms/{id}?wait=25` | a response when there is news, or time is up (`poll`) |
//!
//! Both begin where the query says (`sinceSeq`, `epoch`, `since`, `history`, as on `/ws/chat`; `lastEventId` on `/sse`), or
//! with the next message.

mod poll;
mod sse;

use std::borrow::Cow;
use std::sync::Arc;

use crate::auth::Identity;
use crate::chat::query::{self, ROOM_BYTES_MAX};
use crate::config::Config;
use crate::http::{Access, Method, Problem, Response, Status};
use crate::server::{Answer, Api, PostError, RejectReason, Request, Responder, Router, Start};

const SSE: &str = "/sse/rooms/";
const POLL: &str = "/poll/rooms/";

/// Adds both.
#[must_use]
pub fn routes(router: Router, config: &Config) -> Router {
    router.api(SSE, Feed(sse::Events { beat: config.heartbeat.text_interval })).api(POLL, Feed(poll::Polls))
}

/// What a request asks for.
struct FeedRequest<'r> {
    room: Cow<'r, str>,
    /// Who asks; empty if nobody knows.
    user: Cow<'r, str>,
    identity: Option<Arc<Identity>>,
    start: Start,
    request: &'r Request<'r>,
    /// For the web page that asks.
    fields: Fields,
}

/// One of the two ways.
trait FeedKind: Send + Sync + 'static {
    const PREFIX: &'static str;

    fn answer(&self, feed: FeedRequest<'_>, responder: Responder) -> Result<Answer, Response>;
}

struct Feed<W>(W);

impl<W: FeedKind> Api for Feed<W> {
    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer {
        let access = Access::of(request.origins, request.head, request.arrival.secure);
        let fields = Fields(access.headers());
        let answer = match (access, request.head.method()) {
            (Access::Stranger, _) => Err(problem(Status::FORBIDDEN, "this origin is not allowed")),
            (_, Method::Options) => Err(options()),
            (_, Method::Get | Method::Head) => {
                let feed = FeedRequest::parse(W::PREFIX, request, fields.clone());
                feed.and_then(|feed| self.0.answer(feed, responder))
            }
            (Access::Client | Access::Page { .. }, _) => {
                let response = problem(Status::METHOD_NOT_ALLOWED, "a feed can only be read");
                Err(response.header("Allow", "GET, HEAD, OPTIONS"))
            }
        };
        answer.unwrap_or_else(|refusal| Answer::Now(fields.apply(refusal)))
    }
}

impl<'r> FeedRequest<'r> {
    fn parse(prefix: &str, request: &'r Request<'r>, fields: Fields) -> Result<FeedRequest<'r>, Response> {
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

/// Header fields for the web page that asks.
#[derive(Clone)]
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// An answer for this reader alone, and not for later.
    fn apply(&self, response: Response) -> Response {
        let response =
            response.header("Cache-Control", "no-store").header("X-Content-Type-Options", "nosniff");
        let response = response.header("Vary", "Origin");
        self.0.iter().fold(response, |response, (name, value)| response.header(*name, value.clone()))
    }
}

/// What a browser may do here.
fn options() -> Response {
    Response::new(Status::NO_CONTENT)
        .header("Allow", "GET, HEAD, OPTIONS")
        .header("Access-Control-Allow-Methods", "GET, HEAD")
        .header("Access-Control-Allow-Headers", "Authorization, Last-Event-ID")
        .header("Access-Control-Max-Age", "600")
}

fn problem(status: Status, detail: impl Into<Cow<'static, str>>) -> Response {
    Problem::new(status, detail).response()
}

fn busy() -> Response {
    problem(Status::SERVICE_UNAVAILABLE, "the server is busy").header("Retry-After", "1")
}

/// Why there is nothing to read.
fn refusal(why: RejectReason) -> Response {
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
