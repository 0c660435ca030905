//! `GET /sse/rooms/{id}`: a room as server-sent events (WHATWG HTML, "Server-sent events").

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::request::{FeedKind, FeedRequest, busy, problem, refusal};
use crate::auth::Identity;
use crate::http::{self, Method, Response, Status};
use crate::request::answer::no_store;
use crate::request::position::{parse_epoch, parse_number};
use crate::server::{Answer, Encoding, Entry, Notice, Position, Responder, Start, StreamResponse};

/// What keeps the connection alive: a comment.
const BEAT: &[u8] = b":\n\n";
/// Where the position of the last event comes back.
const FIELD: &str = "Last-Event-ID";
const PARAMETER: &str = "lastEventId";
/// How long a browser waits before it comes back, in milliseconds.
// Browsers wait for some seconds of their own choice. Coming back early costs little here, for the position comes with
// it.
const RETRY_MILLIS: u32 = 1_000;

/// The streams.
pub(super) struct Events {
    /// How often a comment is sent.
    pub(super) beat: Duration,
}

impl FeedKind for Events {
    const PREFIX: &'static str = "/sse/rooms/";

    fn answer(&self, feed: FeedRequest<'_>, responder: Responder) -> Result<Answer, Response> {
        // What a browser saw last outranks where the page wanted to begin.
        let start = match last_event_id(&feed)? {
            Some(Position { epoch, seq }) => Start::After { seq, epoch: Some(epoch) },
            None => feed.start,
        };
        let head =
            Response::new(Status::OK).body("text/event-stream", &[][..]).header("X-Accel-Buffering", "no");
        let head = no_store(&feed.fields, head);
        if feed.request.head.method() == Method::Head {
            return Ok(Answer::Now(head.close()));
        }
        let encoding = Arc::new(Event);
        let follow = StreamResponse::new(head, &feed.room, encoding)
            .start(start)
            .welcome(true)
            .user(&feed.user)
            .beat(self.beat, BEAT)
            .until(feed.identity.as_deref().and_then(Identity::expiry));
        let fields = feed.fields;
        // A browser comes back for ever to a stream that ends, and leaves alone what is refused.
        let reply = move |position: Result<_, _>| match position {
            Ok(_) => responder.follow(follow),
            Err(why) => responder.respond(no_store(&fields, refusal(why))),
        };
        feed.request.rooms.position(&feed.room, &feed.user, reply).map_err(|_| busy())?;
        Ok(Answer::Pending)
    }
}

/// The position that a browser brings back: in the field, or, where something plays the browser that cannot set fields,
/// in the query.
fn last_event_id(feed: &FeedRequest<'_>) -> Result<Option<Position>, Response> {
    let head = feed.request.head;
    let bad = |source| problem(Status::BAD_REQUEST, format!("{source} is not a position"));
    let in_field = head.fields().only(FIELD).map_err(|_| bad(FIELD))?.filter(|id| !id.is_empty());
    let in_query = http::query::get(head.query(), PARAMETER).map_err(|_| bad(PARAMETER))?;
    let (source, id) = match (in_field, in_query.filter(|id| !id.is_empty())) {
        // The page's address stays as it was first, the field is of the last event.
        (Some(id), _) => (FIELD, Cow::Borrowed(id)),
        (None, Some(id)) => (PARAMETER, id),
        (None, None) => return Ok(None),
    };
    let (epoch, seq) = id.split_once(':').ok_or_else(|| bad(source))?;
    let epoch = parse_epoch(epoch).map_err(|_| bad(source))?;
    let seq = parse_number("seq", seq).map_err(|_| bad(source))?;
    Ok(Some(Position { epoch, seq }))
}

/// One event a message, with its position as the id.
#[derive(Debug)]
struct Event;

/// The family of this encoding: there is one.
const FAMILY: u32 = u32::from_be_bytes(*b"sse ");

impl Encoding for Event {
    fn family(&self) -> u32 {
        FAMILY
    }

    fn encode(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let position = Position { epoch: entry.epoch(), seq: entry.seq() };
        // JSON has no line breaks outside its strings, and inside them they are escaped.
        push(out, position, |out| out.extend_from_slice(entry.payload()));
    }

    fn notice(&self, notice: &Notice<'_>, out: &mut Vec<u8>) {
        match *notice {
            // An id without data is no event, but the browser keeps it.
            Notice::Welcome { epoch, from, .. } => {
                out.extend_from_slice(format!("retry: {RETRY_MILLIS}\n").as_bytes());
                if let Some(seq) = from {
                    out.extend_from_slice(format!("id: {}\n", Position { epoch, seq }).as_bytes());
                }
                out.push(b'\n');
            }
            Notice::Gap { epoch, to, .. } => {
                push(out, Position { epoch, seq: to }, |out| notice.encode_json(out));
            }
            // What a member has published is nothing to a reader.
            Notice::Ack { .. } => {}
            Notice::Error { .. } => {
                out.extend_from_slice(b"data: ");
                notice.encode_json(out);
                out.extend_from_slice(b"\n\n");
            }
        }
    }
}

fn push(out: &mut Vec<u8>, position: Position, data: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(format!("id: {position}\ndata: ").as_bytes());
    data(out);
    out.extend_from_slice(b"\n\n");
}
