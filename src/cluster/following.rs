//! Logs are shown as they grow: what is heard of them, what had to be read because it was not heard, other epochs, the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::asker::Asker;
use super::follow::{Follow, Heard};
use super::opening::{Look, Looked, look_at, read_part};
use super::rooms::{Log, Room};
use super::shared::Shared;
use crate::rooms::LogUpdate;
use crate::rooms::store_api::{Opened, PageRequest, ReadFrom, RoomId, Stored};
use crate::store::{Answer, ClusterEvent, Follower, StoreError};

/// Messages, and bytes of them, that are read at once of a log that is behind.
const PART_MESSAGES: usize = 256;
const PART_BYTES: usize = 1 << 20;

/// How often a log is read that changes meanwhile, before it is left for later.
const ATTEMPTS: usize = 4;

impl Log {
    /// Hands news to whoever follows the room. Called with the lock held, so that they come in order.
    fn tell(&mut self, room: RoomId, news: LogUpdate) {
        if let Some(follower) = &self.follower {
            follower(room, news);
        }
    }

    /// Shows what comes next; says whether the log is to be read instead.
    fn show(&mut self, room: RoomId, heard: Heard) -> bool {
        match heard {
            Heard::Nothing => false,
            Heard::Read => true,
            Heard::Show(messages) => {
                self.note_shown(&messages);
                self.tell(room, LogUpdate::Messages(messages));
                false
            }
        }
    }
}

/// Messages were announced; without any, the next one will be `first`.
pub(super) fn hear(shared: &Arc<Shared>, room: &Arc<Room>, epoch: u64, first: u64, messages: Vec<Stored>) {
    let mut log = room.lock();
    let heard = log.follow.hear(epoch, first, messages);
    shared.counters.note(match &heard {
        Heard::Show(_) => ClusterEvent::AnnouncementShown,
        Heard::Nothing => ClusterEvent::AnnouncementKnown,
        Heard::Read => ClusterEvent::AnnouncementAhead,
    });
    let must_read = log.show(room.id, heard);
    drop(log);
    if must_read {
        read_later(shared, room);
    }
}

/// Something was missed.
pub(super) fn miss(shared: &Arc<Shared>, room: &Arc<Room>) {
    let must_read = room.lock().follow.miss() == Heard::Read;
    if must_read {
        read_later(shared, room);
    }
}

/// What this node has appended itself is shown at once, if it follows; if not, it will be heard, after what is before it.
/// False if the log stands in another epoch here.
pub(super) fn show_own(room: &Arc<Room>, epoch: u64, first: u64, messages: Vec<Stored>) -> bool {
    let mut log = room.lock();
    let Some(live) = log.follow.live() else { return true };
    if live.epoch != epoch {
        return false;
    }
    if first <= live.shown + 1 {
        let heard = live.next(first, messages);
        log.show(room.id, heard);
    }
    true
}

fn read_later(shared: &Arc<Shared>, room: &Arc<Room>) {
    let (on, room) = (shared.clone(), room.clone());
    shared.tasks.push(move |asker| catch_up(&on, asker, &room));
}

/// Reads what was missed, and shows it.
fn catch_up(shared: &Arc<Shared>, asker: &mut Asker, room: &Arc<Room>) {
    loop {
        shared.counters.note(ClusterEvent::LogRead);
        if let Err(error) = read_missed(shared, asker, room) {
            tracing::debug!(room = &*room.name, %error, "the log of a room could not be read, and will be");
            if let Some(live) = room.lock().follow.live() {
                live.has_not_read();
            }
            return shared.behind.note(room);
        }
        if !room.lock().follow.live().is_some_and(|live| live.has_read()) {
            return;
        }
    }
}

fn read_missed(shared: &Arc<Shared>, asker: &mut Asker, room: &Arc<Room>) -> Result<(), StoreError> {
    let mut turns = 0;
    loop {
        let mut log = room.lock();
        let (uid, Some((epoch, shown))) =
            (log.uid.clone(), log.follow.live().map(|live| (live.epoch, live.shown)))
        else {
            return Ok(());
        };
        drop(log);
        let request = PageRequest {
            from: ReadFrom::Seq(shown),
            messages_max: PART_MESSAGES,
            bytes_max: PART_BYTES,
            newest_first: false,
            before: None,
            now: crate::rooms::Timestamp::default(),
        };
        let part = read_part(shared, asker, room, &uid, &request)?;
        let follows =
            |part: &super::answers::Part| part.epoch == epoch && part.seq >= shown && part.tail <= shown + 1;
        let Some(part) = part.filter(follows) else {
            turns += 1;
            if turns > ATTEMPTS {
                return Err(StoreError::Unavailable("a room changes faster than it can be read".into()));
            }
            turn(shared, asker, room)?;
            continue;
        };
        if part.messages.is_empty() {
            return Ok(());
        }
        let mut log = room.lock();
        let Some(live) = log.follow.live().filter(|live| live.epoch == epoch) else { continue };
        let heard = live.next(shown + 1, part.messages);
        if let Heard::Show(messages) = &heard {
            shared.counters.note_many(ClusterEvent::MessageRead, messages.len() as u64);
        }
        log.show(room.id, heard);
        let is_at_head = log.follow.live().is_some_and(|live| live.shown >= part.seq);
        drop(log);
        if is_at_head {
            return Ok(());
        }
    }
}

/// The log may go on under another epoch, or not follow what was shown: looks where it stands, and says so.
pub(super) fn turn(shared: &Arc<Shared>, asker: &mut Asker, room: &Arc<Room>) -> Result<(), StoreError> {
    for _ in 0..ATTEMPTS {
        let mut log = room.lock();
        let Some(before) = log.follow.live().map(|live| (live.epoch, live.shown)) else { return Ok(()) };
        let (uid, generation) = (log.uid.clone(), log.generation.clone());
        drop(log);
        let Some(Looked { standing, opened }) = look_at(shared, asker, room, Look::Find)? else {
            deleted(shared, room);
            return Ok(());
        };
        if standing.uid != uid && standing.generation == generation {
            deleted(shared, room);
            return Ok(());
        }
        let mut log = room.lock();
        let Some(live) = log.follow.live() else { return Ok(()) };
        if live.epoch != before.0 {
            // Another thread was first.
            return Ok(());
        }
        let follows =
            standing.epoch == live.epoch && standing.seq >= live.shown && standing.tail <= live.shown + 1;
        if !follows && live.shown != before.1 {
            continue;
        }
        if !follows {
            shared.counters.note(if standing.generation != log.generation {
                ClusterEvent::ResetForgotten
            } else if standing.epoch != before.0 {
                ClusterEvent::ResetEpoch
            } else if standing.seq < before.1 {
                ClusterEvent::ResetBehind
            } else {
                ClusterEvent::ResetTrimmed
            });
        }
        (log.uid, log.generation) = (standing.uid, standing.generation);
        if !follows {
            enter(&mut log, room.id, opened);
            shared.stays.lose(room);
        }
        return Ok(());
    }
    Err(StoreError::Unavailable("a room changes faster than it can be read".into()))
}

/// The log goes on elsewhere.
fn enter(log: &mut Log, room: RoomId, opened: Opened) {
    if let Some(live) = log.follow.live() {
        live.turn(opened.epoch, opened.head);
    }
    log.shown_at = log.shown_at.max(opened.last_at);
    log.tell(room, LogUpdate::Epoch(Box::new(opened)));
}

/// The room is gone.
pub(super) fn deleted(shared: &Arc<Shared>, room: &Arc<Room>) {
    let mut log = room.lock();
    let was_followed = log.follow.live().is_some();
    log.follow = Follow::Closed;
    if was_followed {
        log.tell(room.id, LogUpdate::Deleted);
    }
    let follower = log.follower.take();
    drop(log);
    if follower.is_some() {
        shared.released(room);
    }
    shared.stays.forget(room.id);
    shared.rooms.forget(room);
}

/// Nobody here wants to see the room any more that was opened up to then.
pub(super) fn unfollow(shared: &Arc<Shared>, room: &Arc<Room>, opening: u64) {
    let mut log = room.lock();
    if log.opening > opening {
        return;
    }
    log.close();
    let follower = log.follower.take();
    drop(log);
    if follower.is_some() {
        shared.released(room);
    }
}

/// What is to be opened, for whom.
pub(super) struct Opening {
    pub(super) room: Arc<Room>,
    /// Which one it is of this room.
    pub(super) number: u64,
    pub(super) look: Look,
    /// The room that is meant, if only that one is.
    pub(super) meant: Option<RoomId>,
    pub(super) follower: Option<Follower>,
    pub(super) until: Instant,
    pub(super) answer: Answer<Opened>,
}

/// Opens a room: listens to its channel first, so that nothing is missed between.
pub(super) fn open(shared: &Arc<Shared>, asker: &mut Asker, opening: Opening) {
    if crate::system::instant() >= opening.until {
        return opening.answer.send(Err(StoreError::Unavailable("Redis did not answer in time".into())));
    }
    let room = opening.room.clone();
    if opening.follower.is_none() {
        return look(shared, asker, &room, opening);
    }
    let (on, here, until) = (shared.clone(), room.clone(), opening.until);
    let waiter = Box::new(move |is_heard: bool| {
        if !is_heard {
            on.released(&here);
            let late = StoreError::Unavailable("Redis did not subscribe to a channel in time".into());
            return opening.answer.send(Err(late));
        }
        let shared = on.clone();
        on.tasks.push(move |asker| look(&shared, asker, &here, opening));
    });
    shared.subscriptions.acquire(&room, until, waiter);
}

/// Looks at a room whose channel is listened to, if it is to be followed, and says where it stands.
fn look(shared: &Arc<Shared>, asker: &mut Asker, room: &Arc<Room>, opening: Opening) {
    let follows = opening.follower.is_some();
    if follows {
        room.lock().opens();
    }
    let is_meant = opening.meant.is_none_or(|meant| meant == room.id);
    let looked = if is_meant { look_at(shared, asker, room, opening.look) } else { Ok(None) };
    let looked = looked.and_then(|looked| looked.ok_or(StoreError::NoSuchRoom));
    match looked {
        Ok(looked) => admit(shared, asker, room, opening, looked),
        Err(error) => {
            if follows {
                room.lock().close();
                shared.released(room);
            }
            opening.answer.send(Err(error));
        }
    }
}

/// A room was found: it may be another one than was known by its name.
fn admit(shared: &Arc<Shared>, asker: &mut Asker, room: &Arc<Room>, opening: Opening, looked: Looked) {
    let Looked { standing, mut opened } = looked;
    let mut log = room.lock();
    let is_other = !log.uid.is_empty() && log.uid != standing.uid && log.generation == standing.generation;
    if is_other {
        drop(log);
        let other = shared.rooms.replace(room);
        if opening.follower.is_some() {
            shared.subscriptions.belongs_to(&other);
            other.openings.fetch_max(opening.number, Ordering::Relaxed);
            other.lock().opens();
            room.lock().close();
        }
        deleted(shared, room);
        return look(shared, asker, &other, opening);
    }
    (log.uid, log.generation) = (standing.uid, standing.generation);
    opened.id = room.id;
    let Opening { follower, answer, number, .. } = opening;
    let Some(follower) = follower else {
        drop(log);
        return answer.send(Ok(opened));
    };
    let (epoch, head) = (opened.epoch, opened.head);
    log.shown_at = log.shown_at.max(opened.last_at);
    let before = log.follower.replace(follower);
    log.opening = number;
    answer.send(Ok(opened));
    let must_read = log.follow.opened(epoch, head);
    drop(log);
    if before.is_some() {
        shared.released(room);
    }
    if must_read {
        catch_up(shared, asker, room);
    }
}
