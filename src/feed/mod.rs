//! Chat rooms over plain HTTP: as server-sent events, and by long polling.
//!
//! An ordinary user of [`server`](crate::server), and a cursor into the same log as that of every member:
//!
//! | path | is |
//! |---|---|
//! | `GET /sse/rooms/{id}` | a response that does not end, an event for each message (`sse`) |
//! | `GET /poll/rooms/{id}?wait=25` | a response when there is news, or time is up (`poll`) |
//!
//! Both begin where the query says (`sinceSeq`, `epoch`, `since`, `history`, as on `/ws/chat`; `lastEventId` on
//! `/sse`), or with the next message. `request` is what they share.

mod poll;
mod request;
mod sse;

use self::poll::Polls;
use self::request::{FeedKind, FeedRequest, problem};
use self::sse::Events;
use crate::config::Config;
use crate::http::{Access, Method, Response, Status};
use crate::request::answer::{self, no_store, refuse_strangers};
use crate::server::{Answer, Api, Request, Responder, Router};

/// Adds both.
#[must_use]
pub fn routes(router: Router, config: &Config) -> Router {
    let events = Events { beat: config.heartbeat.text_interval };
    router.api(Events::PREFIX, Feed(events)).api(Polls::PREFIX, Feed(Polls))
}

/// What can be asked of a feed.
const ALLOW: &str = "GET, HEAD, OPTIONS";

struct Feed<W>(W);

impl<W: FeedKind> Api for Feed<W> {
    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer {
        let access = Access::of(request.origins, request.head, request.peer_info.secure);
        let fields = access.fields();
        let answer = refuse_strangers(&access).map_err(Response::from);
        let answer = answer.and_then(|()| match request.head.method() {
            Method::Options => Err(options()),
            Method::Get | Method::Head => {
                let feed = FeedRequest::parse(W::PREFIX, request, fields.clone())?;
                self.0.answer(feed, responder)
            }
            Method::Post | Method::Put | Method::Delete | Method::Patch | Method::Other => {
                let response = problem(Status::METHOD_NOT_ALLOWED, "a feed can only be read");
                Err(response.header("Allow", ALLOW))
            }
        });
        answer.unwrap_or_else(|refusal| Answer::Now(no_store(&fields, refusal)))
    }
}

/// What a browser may do here.
fn options() -> Response {
    answer::preflight(answer::options(ALLOW), "GET, HEAD", "Authorization, Last-Event-ID")
}
