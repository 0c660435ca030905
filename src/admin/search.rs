//! Rooms and members are looked for, part by part, so that no shard is kept from its messages for long.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::command::name_of;
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
    shard: usize,
    matched: u64,
    found: Rows,
}

/// The best of what was found so far.
enum Rows {
    /// Most members first.
    Rooms(Vec<FoundRoom>),
    /// Furthest behind first.
    Members(Vec<FoundMember>),
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
            Search::Members { .. } => Rows::Members(Vec::new()),
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
            return self.answer();
        }
        if self.newest.load(Ordering::Relaxed) != self.number || !self.session.is_open() {
            return;
        }
        let (rooms, shard, search) = (self.rooms.clone(), self.shard, self.search.clone());
        let (session, number) = (self.session.clone(), self.number);
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
            Rows::Members(best) => {
                self.matched += found.members.len() as u64;
                best.extend(found.members);
                best.sort_by(|one, other| {
                    (Reverse(one.lag), &one.user, one.session_id).cmp(&(
                        Reverse(other.lag),
                        &other.user,
                        other.session_id,
                    ))
                });
                best.truncate(ROWS_MAX);
            }
        }
    }

    fn answer(self) {
        let (number, matched) = (self.number, self.matched);
        let answer = match &self.found {
            Rows::Rooms(rooms) => {
                SearchAnswer::Rooms { number, matched, rooms: rooms.iter().map(RoomRow::from).collect() }
            }
            Rows::Members(members) => SearchAnswer::Members {
                number,
                matched,
                members: members.iter().map(MemberRow::from).collect(),
            },
        };
        if let Ok(text) = serde_json::to_string(&answer) {
            let _gone = self.session.send_text(&text);
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum SearchAnswer<'s> {
    Rooms { number: u64, matched: u64, rooms: Vec<RoomRow<'s>> },
    Members { number: u64, matched: u64, members: Vec<MemberRow<'s>> },
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
struct MemberRow<'s> {
    /// What a dashboard calls it when it is to be disconnected.
    session: String,
    session_id: String,
    username: &'s str,
    room: &'s str,
    kind: &'static str,
    address: Option<String>,
    connected_at: String,
    lag: u64,
}

impl<'s> From<&'s FoundMember> for MemberRow<'s> {
    fn from(member: &'s FoundMember) -> MemberRow<'s> {
        MemberRow {
            session: name_of(member.session, member.session_id),
            session_id: format!("{:032x}", member.session_id),
            username: &member.user,
            room: &member.room,
            kind: kind_of(member.format),
            address: member.address.map(|address| address.to_string()),
            connected_at: time_text(member.joined_at),
            lag: member.lag,
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
