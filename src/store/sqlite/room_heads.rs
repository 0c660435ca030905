//! Where the logs that were written to lately begin and end.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::rows::{LogPosition, LogRow};
use crate::rooms::store_api::{Retention, RoomId, RoomSettings};
use crate::store::error::StoreError;

/// Maximum number of rooms that are remembered; beyond it all are forgotten and looked up again as needed, which is
/// simpler than an order of use and costs one query for each room in use.
const ROOMS_MAX: usize = 65_536;

/// What the writer remembers of a room.
#[derive(Clone, Copy, Debug)]
pub(super) enum RoomHead {
    Kept(KeptRoom),
    /// It was deleted while its last messages were on their way.
    Deleted,
}

/// A room that is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptRoom {
    floor: LogPosition,
    pub(super) head: LogPosition,
    /// The room's own retention limits.
    settings: RoomSettings,
    /// Whether [`RoomHeads::take_overfull`] has returned it, or will.
    overfull: bool,
}

/// The ends of the logs that were written to lately.
///
/// Invariant: says of a room what the writer's connection would, inside of its transaction. So after a rollback it is
/// emptied, and code that changes a room in another way makes it [`forget`](RoomHeads::forget) that room.
#[derive(Debug)]
pub(super) struct RoomHeads {
    rooms: HashMap<RoomId, RoomHead>,
    retention: Retention,
    overfull: Vec<RoomId>,
    /// Whether a room was deleted since [`RoomHeads::take_condemned`] was asked last.
    condemned: bool,
}

impl RoomHeads {
    pub(super) fn new(retention: Retention) -> RoomHeads {
        RoomHeads { rooms: HashMap::new(), retention, overfull: Vec::new(), condemned: false }
    }

    /// Forgets everything, after a rollback.
    pub(super) fn clear(&mut self) {
        self.rooms.clear();
    }

    /// Forgets everything if it is too much.
    pub(super) fn bound(&mut self) {
        if self.rooms.len() > ROOMS_MAX {
            self.rooms.clear();
        }
    }

    /// Forgets a room that was changed in another way than by an append.
    pub(super) fn forget(&mut self, room: RoomId) {
        self.rooms.remove(&room);
    }

    /// Forgets a room whose retention was changed, and has it looked at.
    pub(super) fn reconsider(&mut self, room: RoomId) {
        self.forget(room);
        self.overfull.push(room);
    }

    /// Forgets a room that was deleted, and notes that its messages have yet to be deleted.
    pub(super) fn condemn(&mut self, room: RoomId) {
        self.forget(room);
        self.condemned = true;
    }

    /// Notes that messages up to `position` were deleted, and whether more are going to be.
    pub(super) fn set_floor(&mut self, room: RoomId, position: LogPosition, more: bool) {
        if let Some(RoomHead::Kept(kept)) = self.rooms.get_mut(&room) {
            (kept.floor, kept.overfull) = (position, more);
        }
    }

    /// Whether a room was deleted since this was asked last.
    pub(super) fn take_condemned(&mut self) -> bool {
        std::mem::take(&mut self.condemned)
    }

    /// Rooms that may have outgrown their retention since this was called last.
    pub(super) fn take_overfull(&mut self) -> impl Iterator<Item = RoomId> + '_ {
        self.overfull.drain(..)
    }

    /// What is known of a room; looked up if nothing is.
    pub(super) fn of(&mut self, conn: &Connection, room: RoomId) -> Result<&mut RoomHead, StoreError> {
        use std::collections::hash_map::Entry;
        match self.rooms.entry(room) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(match LogRow::by_id(conn, room)? {
                Some(LogRow { floor, head, settings, .. }) => {
                    RoomHead::Kept(KeptRoom { floor, head, settings, overfull: false })
                }
                None if was_allotted(conn, room)? => RoomHead::Deleted,
                None => return Err(StoreError::NoSuchRoom),
            })),
        }
    }

    /// Has [`RoomHeads::take_overfull`] return the room.
    pub(super) fn note_overfull(&mut self, room: RoomId) {
        self.overfull.push(room);
    }

    /// How much is kept in rooms that do not say.
    pub(super) fn retention(&self) -> Retention {
        self.retention
    }
}

impl KeptRoom {
    /// Moves the head. `true`: the room has outgrown its retention now, and [`RoomHeads::note_overfull`] is due.
    pub(super) fn advance(&mut self, head: LogPosition, retention: Retention) -> bool {
        self.head = head;
        let outgrown = !self.overfull && exceeds(self.floor, head, self.settings.retention(retention));
        self.overfull |= outgrown;
        outgrown
    }
}

/// Whether a log from `floor` to `head` is more than `retention` keeps; age is not looked at.
pub(super) fn exceeds(floor: LogPosition, head: LogPosition, retention: Retention) -> bool {
    let messages = head.seq - floor.seq;
    let bytes = head.bytes_end - floor.bytes_end;
    retention.messages_max.is_some_and(|max| messages > max)
        || retention.bytes_max.is_some_and(|max| bytes > max && messages > 1)
}

/// Whether the id was some room's once.
fn was_allotted(conn: &Connection, room: RoomId) -> Result<bool, StoreError> {
    let last: Option<i64> = conn
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'rooms'", [], |row| row.get(0))
        .optional()?;
    Ok((1..=last.unwrap_or(0)).contains(&room.0))
}
