//! `GET /poll/rooms/{id}?wait=25`: the next messages of a room as a JSON array, when there are any or time is up.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::{Fields, Wanted, Way, busy, problem, refusal};
use crate::chat::query::parse_number;
use crate::chat::rest::messages;
use crate::http::{Response, Status};
use crate::rooms::journal::{Page, PageRequest, RoomId};
use crate::server::{
    Answer, Busy, From, News, Notice, Otherwise, Poll, Position, Reply, Responder, Rooms, Start, Why,
};
use crate::store::{Store, StoreError};

/// How long a poll waits at most, and without being told.
const WAIT_MAX: Duration = Duration::from_secs(60);
const WAIT_DEFAULT: Duration = Duration::from_secs(25);
/// Messages of one answer at most, and without being told.
const LIMIT_MAX: u64 = 1_000;
const LIMIT_DEFAULT: u64 = 100;
/// Bytes of the texts in one answer at most, if they come from the store.
const PAGE_BYTES: usize = 1 << 20;

/// The polls.
pub(super) struct Polls {
    pub(super) store: Store,
}

impl Way for Polls {
    const PREFIX: &'static str = super::POLL;

    fn answer(&self, wanted: Wanted<'_>, responder: Responder) -> Result<Answer, Response> {
        let wait = number(&wanted, "wait", 0..=WAIT_MAX.as_secs())?.map_or(WAIT_DEFAULT, Duration::from_secs);
        let limit = number(&wanted, "limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
        let reader = Arc::new(Reader {
            rooms: wanted.request.rooms.clone(),
            store: self.store.clone(),
            room: (*wanted.room).into(),
            user: (*wanted.user).into(),
            fields: wanted.fields,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            wait,
            waits_at: OnceLock::new(),
            responder: Mutex::new(Some(responder)),
        });
        reader.clone().poll(wanted.start).map_err(|Busy| busy())?;
        Ok(if wait.is_zero() {
            Answer::Later
        } else {
            Answer::LaterOr(wait, Otherwise::new(move || reader.nothing()))
        })
    }
}

/// A number from the query.
fn number(
    wanted: &Wanted<'_>,
    name: &'static str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, Response> {
    let bad = |detail: Cow<'static, str>| problem(Status::BAD_REQUEST, detail);
    let value = crate::http::query::get(wanted.request.head.query(), name);
    let Some(value) = value.map_err(|error| bad(error.to_string().into()))? else { return Ok(None) };
    let number = parse_number(name, &value).ok().filter(|number| range.contains(number));
    let rule = || bad(format!("{name} is not between {} and {}", range.start(), range.end()).into());
    number.map(Some).ok_or_else(rule)
}

/// One request that waits for its answer.
struct Reader {
    rooms: Rooms,
    store: Store,
    room: Box<str>,
    user: Box<str>,
    fields: Fields,
    limit: usize,
    wait: Duration,
    /// The position after which nothing has come yet.
    waits_at: OnceLock<Position>,
    responder: Mutex<Option<Responder>>,
}

impl Reader {
    /// Asks the room for what comes next.
    fn poll(self: Arc<Self>, start: Start) -> Result<(), Busy> {
        let (waiting, asking) = (self.clone(), self.clone());
        let waits = Reply::new(move |position| {
            let _told_before = waiting.waits_at.set(position);
        });
        let reply = Reply::new(move |news: Result<News, Why>| match news {
            Ok(News::Messages { json, position }) => asking.respond(asking.array(json, position)),
            Ok(News::Stored(from)) => asking.read(from),
            Err(why) => asking.respond(asking.fields.dress(refusal(why))),
        });
        let (limit, wait) = (self.limit, self.wait);
        self.rooms.poll(&self.room, &self.user, Poll { start, limit, wait, waits, reply })
    }

    /// Asks the store for what only it has.
    fn read(self: Arc<Self>, from: From) {
        let request = PageRequest {
            // The store takes the room's public id instead.
            room: RoomId(0),
            from,
            messages_max: self.limit,
            bytes_max: PAGE_BYTES,
            newest_first: false,
            before: None,
        };
        let reader = self.clone();
        let done = move |page: Result<Page, StoreError>| match page {
            Ok(page) => reader.turn_page(from, &page),
            Err(_) => reader.respond(reader.fields.dress(busy())),
        };
        if self.store.messages(&self.room, request, Box::new(done)).is_err() {
            self.respond(self.fields.dress(busy()));
        }
    }

    fn turn_page(self: Arc<Self>, from: From, page: &Page) {
        let after = match from {
            From::Seq(seq) => seq,
            From::Time(_) | From::Last(_) => page.start,
        };
        if page.messages.is_empty() && after + 1 >= page.tail && !self.wait.is_zero() {
            // Nothing was as late as that: it is still to come.
            let start = Start::After { seq: after.max(page.head), epoch: Some(page.epoch) };
            if self.clone().poll(start).is_err() {
                self.respond(self.fields.dress(busy()));
            }
            return;
        }
        let mut json = Vec::new();
        if after + 1 < page.tail {
            let (room, epoch, from, to) = (&*self.room, page.epoch, after + 1, page.tail - 1);
            Notice::Gap { room, epoch, from, to }.encode_json(&mut json);
        }
        let messages = messages::array(&self.room, page);
        let json = match json.is_empty() {
            true => messages,
            false if messages.len() == 2 => [b"[", &*json, b"]"].concat(),
            false => [b"[", &*json, b",", &messages[1..]].concat(),
        };
        let seq = page.messages.last().map_or(after.max(page.tail.saturating_sub(1)), |last| last.seq);
        self.respond(self.array(json, Position { epoch: page.epoch, seq }));
    }

    /// Time is up.
    fn nothing(&self) -> Response {
        match self.waits_at.get() {
            Some(position) => self.array(b"[]".to_vec(), *position),
            None => self.fields.dress(busy()),
        }
    }

    /// The answer; `position` is where the next poll goes on.
    fn array(&self, json: Vec<u8>, position: Position) -> Response {
        self.fields.dress(Response::json(Status::OK, json)).header(messages::POSITION, position.to_string())
    }

    fn respond(&self, response: Response) {
        let responder = self.responder.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(responder) = responder {
            responder.respond(response);
        }
    }
}
