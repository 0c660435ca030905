//! `GET /poll/rooms/{id}?wait=25`: the next messages of a room as a JSON array, when there are any or time is up.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::request::{FeedKind, FeedRequest, busy, problem, refusal};
use crate::auth::{Identity, TokenError};
use crate::http::{CorsFields, Response, Status};
use crate::request::answer::no_store;
use crate::request::position::{POSITION, parse_number};
use crate::server::{Answer, Busy, Fallback, History, HistoryRequest, Position, RejectReason, Responder};
use crate::system::since_epoch;

/// How long a poll waits at most, and without being told.
// Proxies commonly give up an answer after 60 seconds, some after 30: the default stays below both.
const WAIT_MAX: Duration = Duration::from_secs(60);
const WAIT_DEFAULT: Duration = Duration::from_secs(25);
/// Messages of one answer at most, and without being told.
// As many as a page of REST has; a poll is for what is new, which is little.
const LIMIT_MAX: u64 = 1_000;
const LIMIT_DEFAULT: u64 = 100;

/// A token counts so much longer here: the wait is counted from the beginning of the turn, in ticks of 20 ms, and nobody
/// may be told that a token has expired before it has.
const EXPIRY_SLACK: Duration = Duration::from_millis(100);

/// The polls.
pub(super) struct Polls;

impl FeedKind for Polls {
    const PREFIX: &'static str = "/poll/rooms/";

    fn answer(&self, feed: FeedRequest<'_>, responder: Responder) -> Result<Answer, Response> {
        let wait = number(&feed, "wait", 0..=WAIT_MAX.as_secs())?.map_or(WAIT_DEFAULT, Duration::from_secs);
        let limit = number(&feed, "limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
        // A poll ends with its token, like a stream.
        let expiry = feed.identity.as_deref().and_then(Identity::expiry);
        let left = expiry.map_or(Duration::MAX, |expiry| expiry.saturating_sub(since_epoch()) + EXPIRY_SLACK);
        let ends_with_token = left < wait;
        let wait = wait.min(left);
        let waiter = Arc::new(Waiter {
            ends_with_token,
            fields: feed.fields,
            waits_at: OnceLock::new(),
            responder: Mutex::new(Some(responder)),
        });
        let (waiting, asking, alive) = (Arc::downgrade(&waiter), Arc::downgrade(&waiter), Arc::new(()));
        // Without a wait nothing else keeps it.
        let keeper = wait.is_zero().then(|| waiter.clone());
        let request = HistoryRequest::new(&feed.room, feed.start)
            .user(&feed.user)
            .limit(usize::try_from(limit).unwrap_or(usize::MAX))
            .wait(wait, move |position| {
                let _told_before = waiting.upgrade().map(|waiting| waiting.waits_at.set(position));
            })
            .waiter(&alive);
        let asked = feed.request.rooms.history(request, move |history| {
            if let Some(waiter) = asking.upgrade() {
                waiter.answer(history);
            }
            drop(keeper);
        });
        asked.map_err(|Busy| busy())?;
        Ok(if wait.is_zero() {
            Answer::Pending
        } else {
            // Dropped as soon as nobody waits any more, whether because of an answer or because the client has gone: then
            // the room keeps little more than a place in a queue until it looks there.
            let nothing = move || {
                drop(alive);
                waiter.nothing()
            };
            Answer::PendingUntil(wait, Fallback::new(nothing))
        })
    }
}

/// A number from the query.
fn number(
    feed: &FeedRequest<'_>,
    name: &'static str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, Response> {
    let bad = |detail: Cow<'static, str>| problem(Status::BAD_REQUEST, detail);
    let value = crate::http::query::get(feed.request.head.query(), name);
    let Some(value) = value.map_err(|error| bad(error.to_string().into()))? else { return Ok(None) };
    let number = parse_number(name, &value).ok().filter(|number| range.contains(number));
    let rule = || bad(format!("{name} is not between {} and {}", range.start(), range.end()).into());
    number.map(Some).ok_or_else(rule)
}

/// One request that waits for its answer.
struct Waiter {
    /// The time that is up is that of the token.
    ends_with_token: bool,
    fields: CorsFields,
    /// The position after which nothing has come yet.
    waits_at: OnceLock<Position>,
    // A thread of the rooms answers, while the reactor may drop the poll: the one that takes it first answers.
    responder: Mutex<Option<Responder>>,
}

impl Waiter {
    fn answer(&self, history: Result<History, RejectReason>) {
        let response = match history {
            Ok(History { json, position, .. }) => self.array(json, position),
            Err(why) => no_store(&self.fields, refusal(why)),
        };
        let responder = self.responder.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(responder) = responder {
            responder.respond(response);
        }
    }

    /// Time is up.
    fn nothing(&self) -> Response {
        if self.ends_with_token {
            let expired = TokenError::Expired;
            let response = problem(Status::UNAUTHORIZED, expired.message());
            return no_store(&self.fields, response.header("WWW-Authenticate", expired.challenge()));
        }
        match self.waits_at.get() {
            Some(position) => self.array(b"[]".to_vec(), *position),
            None => no_store(&self.fields, busy()),
        }
    }

    /// The answer; `position` is where the next poll goes on.
    fn array(&self, json: Vec<u8>, position: Position) -> Response {
        no_store(&self.fields, Response::json(Status::OK, json)).header(POSITION, position.to_string())
    }
}
