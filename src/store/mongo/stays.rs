//! Stays: of each JOIN that is stored, its LEAVE is stored, too, or its stay is noted here.
//!
//! There are no transactions. A stay is noted before its JOIN is inserted, and that it is about to end before its LEAVE;
//! the note goes once the LEAVE is there. What a crash has left between is seen when the room is opened.

use mongodb::bson::{Document, doc};

use super::documents::{MESSAGES, STAYS, integer, natural, signed, text};
use super::link::{Link, run_many};
use super::logs::gather;
use crate::rooms::Kind;
use crate::rooms::store_api::{OpenStay, RoomId, StayId};
use crate::store::error::StoreError;

/// What is to be noted of the stays in a round.
#[derive(Debug, Default)]
pub(super) struct StayNotes {
    before: Vec<Document>,
    after: Vec<Document>,
}

fn key(room: RoomId, stay: u64) -> Document {
    doc! { "_id": { "room": room.0, "stay": stay.cast_signed() } }
}

impl StayNotes {
    /// A JOIN or LEAVE is about to be inserted.
    pub(super) fn note(&mut self, room: RoomId, kind: Kind, seq: u64, stay: u64, username: &str) {
        match kind {
            Kind::Join => {
                let set = doc! { "room": room.0, "stay": stay.cast_signed(), "joined": signed(seq), "username": username };
                self.before.push(doc! { "q": key(room, stay), "u": { "$set": set }, "upsert": true });
            }
            Kind::Leave => {
                let ends = doc! { "$set": { "leaving": signed(seq) } };
                self.before.push(doc! { "q": key(room, stay), "u": ends });
                self.after.push(doc! { "q": key(room, stay), "limit": 1 });
            }
            Kind::Message | Kind::System => {}
        }
    }

    /// Before the messages are inserted.
    pub(super) fn write_before(&self, link: &Link) -> Result<(), StoreError> {
        write(link, "update", self.before.clone())
    }

    /// Once they are.
    pub(super) fn write_after(self, link: &Link) -> Result<(), StoreError> {
        write(link, "delete", self.after)
    }
}

fn write(link: &Link, command: &str, statements: Vec<Document>) -> Result<(), StoreError> {
    if statements.is_empty() {
        return Ok(());
    }
    Ok(link.ask(run_many(&link.database, command, STAYS, statements))?)
}

/// The stays of a room whose log ends with `head` that have not ended, in the order of their JOINs.
pub(super) fn open_stays(
    link: &Link,
    room: RoomId,
    name: &str,
    head: u64,
) -> Result<Vec<OpenStay>, StoreError> {
    let noted = gather(link, link.collection(STAYS).find(doc! { "room": room.0 }))?;
    let mut open: Vec<(u64, OpenStay)> = Vec::new();
    let mut over = Vec::new();
    for note in &noted {
        let Some(stay) = integer(note, "stay").map(i64::cast_unsigned) else { continue };
        let joined = natural(note, "joined");
        if joined > head || has_left(link, name, note, stay, head)? {
            over.push(doc! { "q": key(room, stay), "limit": 1 });
            continue;
        }
        let username = text(note, "username").unwrap_or_default().into();
        open.push((joined, OpenStay { id: StayId(stay), username }));
    }
    write(link, "delete", over)?;
    open.sort_by_key(|(joined, _)| *joined);
    Ok(open.into_iter().map(|(_, stay)| stay).collect())
}

/// Whether the LEAVE that was about to be inserted is there.
fn has_left(link: &Link, name: &str, note: &Document, stay: u64, head: u64) -> Result<bool, StoreError> {
    let Some(seq) = integer(note, "leaving").filter(|seq| *seq <= signed(head)) else { return Ok(false) };
    let leave = doc! { "roomId": name, "seq": seq, "stay": stay.cast_signed() };
    Ok(link.ask(link.collection(MESSAGES).find_one(leave))?.is_some())
}

/// Forgets all stays of a room.
pub(super) fn forget_room(link: &Link, room: RoomId) -> Result<(), StoreError> {
    link.ask_patiently(link.collection(STAYS).delete_many(doc! { "room": room.0 }))?;
    Ok(())
}
