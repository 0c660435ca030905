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
//! with the next message. `request` is what they share.

mod poll;
mod request;
mod sse;

use self::poll::Polls;
use self::request::{FeedKind, FeedRequest, no_store, problem};
use self::sse::Events;
use crate::config::Config;
use crate::http::{Access, Method, Response, Status};
use crate::server::{Answer, Api, Request, Responder, Router};

/// Adds both.
#[must_use]
pub fn routes(router: Router, config: &Config) -> Router {
    let events = Events { beat: config.heartbeat.text_interval };
    router.api(Events::PREFIX, Feed(events)).api(Polls::PREFIX, Feed(Polls))
}

struct Feed<W>(W);

impl<W: FeedKind> Api for Feed<W> {
    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer {
        let access = Access::of(request.origins, request.head, request.arrival.secure);
        let fields = access.fields();
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
        answer.unwrap_or_else(|refusal| Answer::Now(no_store(&fields, refusal)))
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
