//! A room is looked at: where its log stands, and the newest part of it.

use std::sync::Arc;

use super::answers::{Found, Part, Standing, part, standing};
use super::asker::Asker;
use super::error::{not_understood, understood};
use super::question::Question;
use super::reaping::reap;
use super::rooms::{Room, Shown};
use super::scripts::{OPEN, PAGE};
use super::shared::{Shared, nonce};
use crate::rooms::store_api::{Numbering, Opened, PageRequest, ReadFrom, RoomId, SEQ_MAX, Stored};
use crate::store::StoreError;
use crate::system::instant;

/// How often a room is looked at anew because it changed meanwhile.
const ATTEMPTS: usize = 4;

/// Messages that a page has at most, whatever is asked for.
const PAGE_MESSAGES_MAX: usize = 4_096;

/// Why a room is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// To see whether it is there.
    Find,
    /// One that is not there is made.
    Create,
    /// Its log gets another epoch.
    Renew,
}

impl Look {
    fn word(self) -> &'static str {
        match self {
            Look::Find => "find",
            Look::Create => "create",
            Look::Renew => "renew",
        }
    }
}

/// Where a room stands.
pub(super) fn stand(
    shared: &Shared,
    asker: &mut Asker,
    room: &Room,
    shown: &Shown,
    look: Look,
) -> Result<Found<Standing>, StoreError> {
    let (partition, name) = (room.partition, &*room.name);
    let keys = [
        partition.room(name),
        partition.stream(name),
        partition.meta(),
        partition.nodes(),
        partition.rooms(),
        partition.users(name),
    ];
    let seen = shared.generations.of(partition);
    let call = Question::to_run(&OPEN, partition, &keys);
    let call = call.arg(&shared.node).arg(look.word()).arg(&*shown.uid).arg(&shown.epoch).arg(shown.seq);
    let call = call.arg(shown.at.micros()).arg(&*shown.generation).arg(&*seen.generation).arg(seen.changes);
    let call = call.arg(nonce()).arg(shared.retention()).arg(partition.channel(name)).arg(name);
    let call = call.arg(nonce()).arg(nonce());
    let found = understood(standing(&asker.ask(&call)?))?;
    let (generation, changes) = match &found {
        Found::There(standing) => (&standing.generation, standing.changes),
        Found::Gone { generation, changes } => (generation, *changes),
    };
    shared.generations.note(partition, generation, changes);
    Ok(found)
}

/// Reads a part of the log of a room; of any room of this name, if `uid` is empty.
pub(super) fn read_part(
    shared: &Shared,
    asker: &mut Asker,
    room: &Room,
    uid: &str,
    request: &PageRequest,
) -> Result<Option<Part>, StoreError> {
    let keys = [room.partition.room(&room.name), room.partition.stream(&room.name)];
    let (from, value) = match request.from {
        ReadFrom::Seq(seq) => ("seq", seq),
        ReadFrom::Time(at) => ("time", at.micros()),
        ReadFrom::Last(count) => ("last", count),
    };
    let before = request.before.unwrap_or(SEQ_MAX).min(SEQ_MAX);
    let call = Question::to_run(&PAGE, room.partition, &keys);
    let call = call.arg(uid).arg(from).arg(value.min(SEQ_MAX - 1)).arg(before);
    let call = call.arg(request.messages_max.min(PAGE_MESSAGES_MAX)).arg(request.bytes_max);
    let call = call.arg(u8::from(request.newest_first)).arg(shared.retention());
    understood(part(&asker.ask(&call)?, request.newest_first))
}

/// The newest messages up to where the log stands, as many as fit a window, oldest first; `None` if it is another log by
/// now.
fn newest(
    shared: &Shared,
    asker: &mut Asker,
    room: &Room,
    standing: &Standing,
) -> Result<Option<Vec<Stored>>, StoreError> {
    let window = shared.options.window;
    if standing.tail > standing.seq {
        return Ok(Some(Vec::new()));
    }
    let request = PageRequest {
        from: ReadFrom::Last(window.messages as u64),
        messages_max: window.messages,
        bytes_max: window.bytes,
        newest_first: true,
        before: Some(standing.seq + 1),
        now: standing.last_at,
    };
    let part = read_part(shared, asker, room, &standing.uid, &request)?;
    let is_the_same = |part: &Part| part.epoch == standing.epoch;
    let Some(mut part) = part.filter(is_the_same) else { return Ok(None) };
    part.messages.reverse();
    Ok(Some(part.messages))
}

/// A room, where it stands, and what an opening of it gives.
pub(super) struct Looked {
    pub(super) standing: Standing,
    pub(super) opened: Opened,
}

/// Looks at a room; `None` if it is not there.
pub(super) fn look_at(
    shared: &Shared,
    asker: &mut Asker,
    room: &Arc<Room>,
    look: Look,
) -> Result<Option<Looked>, StoreError> {
    for attempt in 0..ATTEMPTS {
        let shown = room.lock().shown();
        let look = if attempt > 0 && look == Look::Renew { Look::Find } else { look };
        let Found::There(standing) = stand(shared, asker, room, &shown, look)? else { return Ok(None) };
        if attempt == 0
            && standing.users > 0
            && shared.may_reap(room.partition)
            && !standing.overdue.is_empty()
        {
            // Whoever opens the room is not told of users that are gone.
            for node in &standing.overdue {
                reap(shared, asker, room.partition, node, instant() + shared.timeout)?;
            }
            continue;
        }
        if let Some(recent) = newest(shared, asker, room, &standing)? {
            let opened = opened(shared, room.id, &standing, recent)?;
            return Ok(Some(Looked { standing, opened }));
        }
    }
    Err(StoreError::Unavailable("a room changes faster than it can be read".into()))
}

fn opened(
    shared: &Shared,
    id: RoomId,
    standing: &Standing,
    recent: Vec<Stored>,
) -> Result<Opened, StoreError> {
    let options = &shared.options;
    let settings = super::settings::parse(&standing.settings);
    let settings = understood(settings.ok_or_else(|| not_understood("the settings of a room")))?;
    Ok(Opened {
        id,
        epoch: standing.epoch,
        head: standing.seq,
        tail: standing.tail,
        gone_at: standing.gone_at,
        last_at: standing.last_at,
        recent,
        // Redis sees to these for all nodes.
        recent_ids: Vec::new(),
        open_stays: Vec::new(),
        durability: settings.durability.unwrap_or(options.durability),
        retention: settings.retention(options.retention),
        numbering: Numbering::Store { users: standing.users },
    })
}
