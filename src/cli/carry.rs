//! All rooms of one store are carried into another, which has none.

use indicatif::ProgressBar;

use super::failure::Failure;
use super::interrupt::Interrupt;
use super::offline::ask;
use crate::rooms::Timestamp;
use crate::rooms::store_api::{Page, PageRequest, ReadFrom};
use crate::store::{Import, RoomInfo, RoomQuery, Store, StoreError};

/// Messages and bytes of their texts that are in memory at one time.
const PAGE_MESSAGES: usize = 4_096;
const PAGE_BYTES: usize = 4 << 20;
/// Rooms that are asked for at once.
const ROOMS: usize = 100;

/// From where to where.
#[derive(Clone, Copy)]
pub(super) struct Ends<'e> {
    pub(super) source: &'e Store,
    pub(super) target: &'e Store,
    pub(super) interrupt: &'e Interrupt,
    pub(super) bar: &'e ProgressBar,
}

/// Whether nothing would be mixed with what comes.
pub(super) fn check_empty(target: &Store) -> Result<(), Failure> {
    let rooms =
        ask(|done| target.rooms(RoomQuery { limit: 1, ..RoomQuery::default() }, done)).map_err(failed)?;
    let bans = ask(|done| target.bans(done)).map_err(failed)?;
    if rooms.is_empty() && bans.is_empty() {
        return Ok(());
    }
    Err(Failure::new("the database is not empty (name another one)"))
}

/// Carries all rooms and bans; what was carried goes again if something fails.
pub(super) fn all(ends: Ends<'_>) -> Result<(), Failure> {
    let mut carried = Vec::new();
    let done = rooms(ends, &mut carried).and_then(|()| bans(ends));
    let Err(failure) = done else { return Ok(()) };
    for room in &carried {
        if let Err(error) = ask(|done| ends.target.delete_room(room, done)) {
            let text = format!(
                "{}; rooms that were restored by then are left in the database ({error})",
                failure.text
            );
            return Err(Failure::new(text));
        }
    }
    Err(failure)
}

fn failed(error: StoreError) -> Failure {
    Failure::new(error.to_string())
}

fn rooms(ends: Ends<'_>, carried: &mut Vec<Box<str>>) -> Result<(), Failure> {
    loop {
        let query = RoomQuery { limit: ROOMS, after: carried.last().cloned(), ..RoomQuery::default() };
        let found = ask(|done| ends.source.rooms(query, done)).map_err(failed)?;
        if found.is_empty() {
            return Ok(());
        }
        for about in found {
            carried.push(about.id.clone());
            room(ends, about)?;
        }
    }
}

/// Carries one room: its messages keep their numbers, times and ids.
fn room(ends: Ends<'_>, about: RoomInfo) -> Result<(), Failure> {
    let name = about.id.clone();
    let named = |error: StoreError| Failure::new(format!("room {name:?}: {error}"));
    let (mut about, mut after) = (Some(Box::new(about)), None);
    loop {
        if ends.interrupt.has_come() {
            return Err(Failure::new("interrupted; nothing was restored"));
        }
        let page = read(ends.source, &name, after.unwrap_or(0)).map_err(named)?;
        let last = page.messages.last().map(|message| message.seq);
        let is_last = last.is_none_or(|last| last == page.head);
        let count = page.messages.len() as u64;
        let now = page.messages.last().map_or_else(Timestamp::default, |message| message.at);
        let id_epoch = after.is_none().then_some(page.epoch);
        let (room, about, messages) = (name.clone(), about.take(), page.messages);
        let import = Import { room, about, id_epoch, after, messages, is_last };
        after = Some(ask(|done| ends.target.import(import, now, done)).map_err(named)?);
        ends.bar.inc(count);
        if is_last {
            return Ok(());
        }
    }
}

fn read(source: &Store, room: &str, after: u64) -> Result<Page, StoreError> {
    let request = PageRequest {
        from: ReadFrom::Seq(after),
        messages_max: PAGE_MESSAGES,
        bytes_max: PAGE_BYTES,
        newest_first: false,
        before: None,
        now: Timestamp::default(),
    };
    ask(|done| source.messages(room, request, done))
}

fn bans(ends: Ends<'_>) -> Result<(), Failure> {
    for ban in ask(|done| ends.source.bans(done)).map_err(failed)? {
        ask(|done| ends.target.keep_ban(ban, done)).map_err(failed)?;
    }
    Ok(())
}
