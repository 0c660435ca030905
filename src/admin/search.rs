//! Rooms, members, and sessions in no room are looked for, part by part, so that no thread is kept from its messages for long.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::command::name_of;
use crate::reactor::{FoundSession, FoundSessions};
use crate::rooms::{Format, Found, FoundMember, FoundRoom, Inspection, Place, Reply, Search, Timestamp};
use crate::server::{Rooms, Session};

/// Rooms or members in an answer: more than a person reads, few enough for one message.
const ROWS_MAX: usize = 100;

/// A search that is under way. The newest one of a dashboard counts.
pub(super) struct Searching {
    rooms: Rooms,
    session: Session,
    /// The number of the dashboard's newest search.
    newest: Arc<AtomicU64>,
    number: u64,
    search: Arc<Search>,
    /// The shard that is asked at the moment; behind the last one stands the reactor.
    shard: usize,
    matched: u64,
    found: Rows,
}

/// The best of what was found so far.
enum Rows {
    /// Most members first.
    Rooms(Vec<FoundRoom>),
    /// Furthest behind first, then those with a name.
    People(Vec<Person>),
}

enum Person {
    Member(FoundMember),
    /// In no room.
    Session(FoundSession),
}

impl Person {
    /// What they are put in order by. Many without a name must not leave those with one without a row.
    fn rank(&self) -> (Reverse<u64>, bool, &str, u128) {
        let (lag, user, session_id) = match self {
            Person::Member(member) => (member.lag, &*member.user, member.session_id),
            Person::Session(session) => (0, session.user.as_deref().unwrap_or_default(), session.session_id),
        };
        (Reverse(lag), user.is_empty(), user, session_id)
    }
}

impl Searching {
    /// Begins a search, in place of any other of this dashboard.
    pub(super) fn begin(
        rooms: &Rooms,
        session: &Session,
        newest: &Arc<AtomicU64>,
        number: u64,
        search: Search,
    ) {
        // Relaxed: it is compared, and nothing else is handed over with it.
        newest.store(number, Ordering::Relaxed);
        let found = match &search {
            Search::Rooms(_) => Rows::Rooms(Vec::new()),
            Search::Members { .. } => Rows::People(Vec::new()),
        };
        let searching = Searching {
            rooms: rooms.clone(),
            session: session.clone(),
            newest: newest.clone(),
            number,
            search: Arc::new(search),
            shard: 0,
            matched: 0,
            found,
        };
        searching.go_on(Place::default());
    }

    /// Asks for the next part. The answer comes on the shard's thread, which asks for the part after it.
    fn go_on(mut self, from: Place) {
        if self.shard >= self.rooms.shards() {
            return match &*self.search {
                Search::Members { text, room: None } => {
                    let text = Arc::from(&**text);
                    self.go_on_without_room(text, 0)
                }
                Search::Rooms(_) | Search::Members { room: Some(_), .. } => self.answer(),
            };
        }
        if self.is_over() {
            return;
        }
        let (rooms, shard, search) = (self.rooms.clone(), self.shard, self.search.clone());
        let refused = self.refusal();
        let reply = Reply::new(move |found: Found| {
            let next = found.next;
            self.take(found);
            match next {
                Some(next) => self.go_on(next),
                None => {
                    self.shard += 1;
                    self.go_on(Place::default());
                }
            }
        });
        if rooms.inspect(Some(shard), Inspection::Find { search, from, reply }).is_err() {
            refused();
        }
    }

    /// Asks the reactor for the next part of the sessions in no room. It answers on its own thread, one part in a turn.
    fn go_on_without_room(mut self, text: Arc<str>, from: usize) {
        if self.is_over() {
            return;
        }
        let (rooms, refused, asked) = (self.rooms.clone(), self.refusal(), text.clone());
        let reply = move |found: FoundSessions| {
            self.matched += found.sessions.len() as u64;
            self.found.add_people(found.sessions.into_iter().map(Person::Session));
            match found.next {
                Some(next) => self.go_on_without_room(text, next),
                None => self.answer(),
            }
        };
        if rooms.find_sessions(&asked, from, reply).is_err() {
            refused();
        }
    }

    /// Whether nobody waits for it any more.
    fn is_over(&self) -> bool {
        self.newest.load(Ordering::Relaxed) != self.number || !self.session.is_open()
    }

    /// Tells the dashboard that the next part was refused.
    fn refusal(&self) -> impl FnOnce() + use<> {
        let (session, number) = (self.session.clone(), self.number);
        move || {
            let content = "too much waits for the rooms, try again";
            let error = super::command::Outcome::Error { number: Some(number), content };
            let _gone = session.send_text(&error.text());
        }
    }

    fn take(&mut self, found: Found) {
        match &mut self.found {
            Rows::Rooms(best) => {
                self.matched += found.rooms.len() as u64;
                best.extend(found.rooms);
                best.sort_by(|one, other| {
                    (Reverse(one.members), &one.name).cmp(&(Reverse(other.members), &other.name))
                });
                best.truncate(ROWS_MAX);
            }
            people @ Rows::People(_) => {
                self.matched += found.members.len() as u64;
                people.add_people(found.members.into_iter().map(Person::Member));
            }
        }
    }

    fn answer(self) {
        let (number, matched) = (self.number, self.matched);
        let answer = match &self.found {
            Rows::Rooms(rooms) => {
                SearchAnswer::Rooms { number, matched, rooms: rooms.iter().map(RoomRow::from).collect() }
            }
            Rows::People(people) => SearchAnswer::Members {
                number,
                matched,
                members: people.iter().map(PersonRow::from).collect(),
            },
        };
        if let Ok(text) = serde_json::to_string(&answer) {
            let _gone = self.session.send_text(&text);
        }
    }
}

impl Rows {
    /// Of these and those that were found before, keeps the first.
    fn add_people(&mut self, more: impl Iterator<Item = Person>) {
        let Rows::People(best) = self else { return };
        best.extend(more);
        best.sort_by(|one, other| one.rank().cmp(&other.rank()));
        best.truncate(ROWS_MAX);
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum SearchAnswer<'s> {
    Rooms { number: u64, matched: u64, rooms: Vec<RoomRow<'s>> },
    Members { number: u64, matched: u64, members: Vec<PersonRow<'s>> },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoomRow<'s> {
    room: &'s str,
    kind: &'static str,
    members: usize,
    seq: u64,
    lag: u64,
    lag_max: u64,
    bytes: usize,
}

impl<'s> From<&'s FoundRoom> for RoomRow<'s> {
    fn from(room: &'s FoundRoom) -> RoomRow<'s> {
        let FoundRoom { name, format, members, seq, lag, lag_max, window_bytes } = room;
        RoomRow {
            room: name,
            kind: kind_of(*format),
            members: *members,
            seq: *seq,
            lag: *lag,
            lag_max: *lag_max,
            bytes: *window_bytes,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PersonRow<'s> {
    /// What a dashboard calls it when it is to be disconnected.
    session: String,
    session_id: String,
    username: Option<&'s str>,
    /// Of a session in no room: what its endpoint or its request calls one.
    room: Option<&'s str>,
    /// Absent for a session in no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// The endpoint of a session in no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'s str>,
    address: Option<String>,
    /// When it came into the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_at: Option<String>,
    lag: u64,
}

impl<'s> From<&'s Person> for PersonRow<'s> {
    fn from(person: &'s Person) -> PersonRow<'s> {
        match person {
            Person::Member(member) => PersonRow {
                session: name_of(member.session, member.session_id),
                session_id: format!("{:032x}", member.session_id),
                username: Some(&member.user),
                room: Some(&member.room),
                kind: Some(kind_of(member.format)),
                path: None,
                address: member.address.map(|address| address.to_string()),
                connected_at: Some(time_text(member.joined_at)),
                lag: member.lag,
            },
            Person::Session(session) => PersonRow {
                session: name_of(session.session, session.session_id),
                session_id: format!("{:032x}", session.session_id),
                username: session.user.as_deref(),
                room: session.room.as_deref(),
                kind: None,
                path: session.path.as_deref(),
                address: session.address.map(|address| address.to_string()),
                connected_at: None,
                lag: 0,
            },
        }
    }
}

/// What a dashboard calls a kind of room.
pub(super) fn kind_of(format: Format) -> &'static str {
    match format {
        Format::Chat => "chat",
        Format::Relay => "relay",
        Format::Conflated => "conflated",
    }
}

/// A time as it stands in messages.
pub(super) fn time_text(at: Timestamp) -> String {
    let mut text = Vec::with_capacity(Timestamp::TEXT_BYTES);
    at.encode(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}
