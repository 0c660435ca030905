//! Messages: read page by page, and published without a WebSocket.

use std::borrow::Cow;

use super::answer::PendingResponse;
use super::body::{Fields, user};
use super::call::{Call, now};
use super::error::ApiError;
use super::params::Params;
use crate::http::{FieldError, Head, Problem, Response, Status};
use crate::request::names::{self, CLIENT_ID_BYTES_MAX, ROOM_BYTES_MAX};
use crate::request::position::POSITION;
use crate::rooms::store_api::{Page, PageRequest, ReadFrom};
use crate::rooms::{Position, PostError, Posted, VisibleHead, push_stored_json};
use crate::server::{Post, Rooms};
use crate::store::{Store, StoreError};

/// Messages of one answer at most, and without a limit in the request.
// A page is built whole in memory, and once more as JSON. Fifty fill a screen.
const LIMIT_MAX: usize = 1_000;
const LIMIT_DEFAULT: usize = 50;
/// Bytes of the texts in one answer at most, so that it may have fewer messages than asked for.
// What one answer may hold of the memory of all; the next page goes on where it ends.
const PAGE_BYTES: usize = 4 << 20;

/// Newest first; oldest first if the request says after what.
pub(super) fn read(call: Call<'_>) -> Result<(), ApiError> {
    let request = page_request(call.params)?;
    let (store, rooms, pending) = (call.store.clone(), call.rooms.clone(), call.pending.clone());
    Reading { store, rooms, room: call.room.into(), request, pending }.begin();
    Ok(())
}

/// A page that is being read. It ends where the room's members are: the store knows of a message a little earlier than
/// they do, and who went on from there would be ahead of the room, which takes that for a position in another log.
struct Reading {
    store: Store,
    rooms: Rooms,
    room: Box<str>,
    request: PageRequest,
    pending: PendingResponse,
}

impl Reading {
    fn begin(self) {
        self.ask_room(Reading::read);
    }

    /// Asks how much of the room's log may be seen.
    fn ask_room(self, go_on: impl FnOnce(Reading, Option<VisibleHead>) + Send + 'static) {
        let (rooms, room, pending) = (self.rooms.clone(), self.room.clone(), self.pending.clone());
        let asked = rooms.visible(&room, move |visible| match visible {
            Ok(visible) => go_on(self, visible),
            Err(_flooded) => self.pending.send(Err(ApiError::busy())),
        });
        if let Err(busy) = asked {
            pending.send(Err(busy.into()));
        }
    }

    /// Reads what the room's members may have seen: all there is, if the room was not open.
    fn read(self, visible: Option<VisibleHead>) {
        let end = visible.and_then(|visible| visible.seq.checked_add(1));
        let before = self.request.before.into_iter().chain(end).min();
        let request = PageRequest { before, ..self.request };
        let (store, room, pending) = (self.store.clone(), self.room.clone(), self.pending.clone());
        let done = move |page: Result<Page, StoreError>| match page {
            Ok(page) => self.take_page(page, visible),
            Err(error) => self.pending.send(Err(error.into())),
        };
        if let Err(busy) = store.messages(&room, request, Box::new(done)) {
            pending.send(Err(busy.into()));
        }
    }

    /// Answers; but a room that was not open may have been opened and written to since.
    fn take_page(self, page: Page, visible: Option<VisibleHead>) {
        if visible.is_some() || page.head == 0 {
            return self.answer(&page, visible);
        }
        self.ask_room(move |reading, visible| match visible {
            Some(open) if open.stored_epoch == page.epoch && open.seq < page.head => reading.read(visible),
            Some(_) | None => reading.answer(&page, visible),
        });
    }

    fn answer(&self, page: &Page, visible: Option<VisibleHead>) {
        let position = position(page, &self.request, visible).to_string();
        self.pending.send_tagged(Ok(array(&self.room, page)), vec![(POSITION, position)]);
    }
}

fn page_request(params: Params<'_>) -> Result<PageRequest, ApiError> {
    let (after, since) = (params.number("after")?, params.time("since")?);
    let from = match (after, since) {
        (Some(_), Some(_)) => return Err(ApiError::malformed("after and since exclude each other")),
        (Some(seq), None) => ReadFrom::Seq(seq),
        (None, Some(time)) => ReadFrom::Time(time),
        (None, None) => ReadFrom::Seq(0),
    };
    Ok(PageRequest {
        from,
        messages_max: params.limit(1..=LIMIT_MAX, LIMIT_DEFAULT)?,
        bytes_max: PAGE_BYTES,
        newest_first: after.is_none() && since.is_none(),
        before: params.number("before")?,
        now: now(),
    })
}

/// The position after which the reader of a page goes on. A room of which nothing is stored any more goes on under an
/// epoch of its own.
fn position(page: &Page, request: &PageRequest, visible: Option<VisibleHead>) -> Position {
    let seq = reached(page, request);
    match visible.filter(|visible| visible.stored_epoch == page.epoch) {
        Some(VisibleHead { epoch, seq: visible, .. }) => Position { epoch, seq: seq.min(visible) },
        None => Position { epoch: page.epoch, seq },
    }
}

/// The number of the message after which the reader of the page has to go on so that it misses nothing.
fn reached(page: &Page, request: &PageRequest) -> u64 {
    let seq = if request.newest_first {
        request.before.map_or(page.head, |before| before.saturating_sub(1))
    } else {
        page.messages.last().map_or(page.start, |last| last.seq)
    };
    seq.min(page.head)
}

/// The messages of a page as a JSON array.
fn array(room: &str, page: &Page) -> Vec<u8> {
    let mut json = b"[".to_vec();
    for (index, message) in page.messages.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        push_stored_json(&mut json, room, page.epoch, message);
    }
    json.push(b']');
    json
}

/// Publishes in the name of `sender`. A repeat is answered as its first attempt was.
pub(super) fn post(call: Call<'_>) -> Result<(), ApiError> {
    let mut fields = Fields::parse(call.request.head, call.request.body, &["sender", "content", "id"])?;
    let sender = call.authorization.user(fields.optional("sender")?)?;
    let sender = user("sender", sender.ok_or_else(|| ApiError::field("sender", "is missing"))?)?;
    let content = fields.required("content")?;
    // As many as a member may send.
    let content_bytes_max = call.request.message_bytes;
    if content.len() > content_bytes_max {
        return Err(ApiError::too_large("content", content_bytes_max));
    }
    names::name("the room's id", Some(Cow::Borrowed(call.room)), ROOM_BYTES_MAX)?;
    let id = fields.optional("id")?.filter(|id| !id.is_empty());
    let id = message_id(id, idempotency_key(call.request.head)?)?;
    if let Some(publisher) = call.authorization.publisher(call.request.peer_info.peer.ip()) {
        call.rooms.may_publish(|| publisher).map_err(ApiError::too_many_messages)?;
    }
    let (pending, store, room) = (call.pending.clone(), call.store.clone(), Box::<str>::from(call.room));
    let reply = move |posted| match posted {
        Ok(Posted { json: Some(json), .. }) => pending.send(Ok(created(json.into()))),
        Ok(Posted { seq, json: None, .. }) => reread(&store, &room, seq, &pending),
        Err(error) => pending.send(Err(PostError::into(error))),
    };
    let post = Post::new(call.room, &sender, &content).client_id(id.as_deref()).create();
    call.rooms.post(post, reply)?;
    Ok(())
}

fn created(json: Vec<u8>) -> Response {
    Response::json(Status::CREATED, json)
}

/// Answers with a message that was published before and is no longer in memory.
fn reread(store: &Store, room: &str, seq: u64, pending: &PendingResponse) {
    let request = PageRequest {
        from: ReadFrom::Seq(seq.saturating_sub(1)),
        messages_max: 1,
        bytes_max: PAGE_BYTES,
        newest_first: false,
        before: seq.checked_add(1),
        now: now(),
    };
    let (later, name) = (pending.clone(), Box::<str>::from(room));
    let done = move |page: Result<Page, StoreError>| {
        later.send(page.map_err(ApiError::from).and_then(|page| {
            let gone = "the message was published before and is no longer kept";
            let message = page.messages.first().ok_or_else(|| Problem::new(Status::CONFLICT, gone))?;
            let mut json = Vec::new();
            push_stored_json(&mut json, &name, page.epoch, message);
            Ok(created(json))
        }));
    };
    if let Err(busy) = store.messages(room, request, Box::new(done)) {
        pending.send(Err(busy.into()));
    }
}

/// The value of `Idempotency-Key`, with or without the quotes of a structured field.
fn idempotency_key<'h>(head: &Head<'h>) -> Result<Option<&'h str>, ApiError> {
    let key = head.fields().only("Idempotency-Key").map_err(|error| {
        ApiError::malformed(match error {
            FieldError::Repeated => "Idempotency-Key comes more than once",
            FieldError::NotText => "Idempotency-Key is not UTF-8",
        })
    })?;
    let unquoted = key.map(|key| key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key));
    match unquoted {
        Some(key) if !is_message_id(key) => {
            Err(ApiError::malformed(format!("Idempotency-Key must have 1 to {CLIENT_ID_BYTES_MAX} bytes")))
        }
        unquoted => Ok(unquoted),
    }
}

/// The id by which a repeat is known: from the body or from the head, but not two different ones.
fn message_id<'r>(id: Option<Cow<'r, str>>, key: Option<&'r str>) -> Result<Option<Cow<'r, str>>, ApiError> {
    match (id, key) {
        (Some(id), _) if !is_message_id(&id) => {
            Err(ApiError::field("id", format_args!("must have 1 to {CLIENT_ID_BYTES_MAX} bytes")))
        }
        (Some(id), Some(key)) if id != key => Err(ApiError::field("id", "differs from Idempotency-Key")),
        (Some(id), _) => Ok(Some(id)),
        (None, key) => Ok(key.map(Cow::Borrowed)),
    }
}

fn is_message_id(id: &str) -> bool {
    (1..=CLIENT_ID_BYTES_MAX).contains(&id.len())
}

#[cfg(test)]
mod late_store;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::store_api::Stored;
    use crate::rooms::{Kind, Timestamp};

    fn page(seqs: impl IntoIterator<Item = u64>, head: u64, start: u64) -> Page {
        let message = |seq| Stored {
            seq,
            at: Timestamp::from_micros(seq),
            kind: Kind::Message,
            sender: "s".into(),
            content: "c".into(),
            client_id: None,
            presence: None,
        };
        Page {
            messages: seqs.into_iter().map(message).collect(),
            tail: 1,
            gone_at: Timestamp::default(),
            head,
            epoch: 7,
            start,
        }
    }

    #[test]
    fn whoever_goes_on_from_the_position_misses_nothing() {
        let cases = [
            ("", page([10, 9], 10, 8), 10),
            ("", page([], 0, 0), 0),
            ("before=5", page([4, 3], 10, 2), 4),
            ("before=50", page([10, 9], 10, 8), 10),
            ("before=0", page([], 10, 0), 0),
            ("after=3", page([4, 5], 10, 3), 5),
            ("after=3", page([4, 5], 5, 3), 5),
            ("after=18446744073709551615", page([], 10, u64::MAX), 10),
            ("after=5&before=6", page([], 10, 5), 5),
            ("since=2026-01-31T12:00:00Z", page([], 10, 10), 10),
            ("since=2026-01-31T12:00:00Z", page([6, 7], 10, 5), 7),
        ];
        for (query, page, expected) in cases {
            let request = page_request(Params::new(query)).unwrap();
            assert_eq!(reached(&page, &request), expected, "{query:?}");
        }
    }

    #[test]
    fn a_page_is_asked_for_in_one_way_at_a_time() {
        for query in ["after=1&since=2026-01-31T12:00:00Z", "after=x", "before=-1", "since=now", "limit=0"] {
            assert!(page_request(Params::new(query)).is_err(), "{query}");
        }
        let request = page_request(Params::new("before=7")).unwrap();
        assert_eq!((request.messages_max, request.newest_first, request.before), (50, true, Some(7)));
        assert!(!page_request(Params::new("after=0")).unwrap().newest_first);
    }

    #[test]
    fn two_ids_of_one_message_must_be_the_same() {
        let id = |id: Option<&'static str>, key| {
            message_id(id.map(Cow::Borrowed), key).map(|id| id.map(Cow::into_owned)).ok()
        };
        assert_eq!(id(None, None), Some(None));
        assert_eq!(id(Some("a"), None), Some(Some("a".into())));
        assert_eq!(id(None, Some("a")), Some(Some("a".into())));
        assert_eq!(id(Some("a"), Some("a")), Some(Some("a".into())));
        assert_eq!(id(Some("a"), Some("b")), None);
        assert_eq!(id(Some(""), None), None);
    }
}
