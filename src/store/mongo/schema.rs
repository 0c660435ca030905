//! The indexes, and the note of the last run.

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;

use super::documents::{LOGS, MESSAGES, META, ROOMS, STAYS, integer};
use super::link::{Fault, Link, durably};
use crate::rooms::ID_EPOCH_BITS;
use crate::rooms::store_api::Durability;
use crate::store::entropy::random_change;
use crate::store::error::StoreError;

/// The layout of the collections `foghorn_…`. A database with a higher one is refused.
const LAYOUT: i64 = 1;

/// Builds the indexes of rooms that are not there: these collections are small.
pub(super) fn build_room_indexes(link: &Link) -> Result<(), StoreError> {
    build(link, ROOMS, plain(doc! { "participants": 1 }))?;
    build(link, LOGS, unique(doc! { "room": 1 }, None))?;
    build(link, STAYS, plain(doc! { "room": 1 }))
}

/// Builds the indexes of messages that are not there. With millions of messages that takes its time; MongoDB goes on reading
/// and writing meanwhile.
pub(super) fn build_message_indexes(link: &Link) -> Result<(), StoreError> {
    // What the programs ask for that made this layout.
    build(link, MESSAGES, plain(doc! { "roomId": 1, "timestamp": -1 }))?;
    // Documents without a number are in it, too: it finds them, and each number.
    build(link, MESSAGES, plain(doc! { "roomId": 1, "seq": 1 }))?;
    let numbered = doc! { "seq": { "$gt": 0 } };
    build(link, MESSAGES, unique(doc! { "roomId": 1, "epoch": 1, "seq": 1 }, Some(numbered)))
}

fn plain(keys: Document) -> IndexModel {
    IndexModel::builder().keys(keys).build()
}

fn unique(keys: Document, only: Option<Document>) -> IndexModel {
    let options = IndexOptions::builder().unique(true).partial_filter_expression(only).build();
    IndexModel::builder().keys(keys).options(options).build()
}

fn build(link: &Link, collection: &str, index: IndexModel) -> Result<(), StoreError> {
    match link.ask_patiently(link.collection(collection).create_index(index)) {
        Ok(_) => Ok(()),
        Err(fault @ Fault::Unanswered(_)) => Err(fault.into()),
        Err(fault) => {
            // Documents that contradict each other, most likely: their rooms are found when they are read.
            tracing::error!(collection, %fault, "an index cannot be built; the rooms go on without it");
            Ok(())
        }
    }
}

/// What is combined with the epochs of the rooms, by durability.
#[derive(Clone, Copy, Debug)]
pub(super) struct EpochSalts {
    off: u64,
    after_kill: u64,
}

impl EpochSalts {
    /// The epoch of a room whose own number is `own`.
    ///
    /// What was acknowledged by a majority is there after any end of a process, so an epoch changes only where messages
    /// are shown before; whether the database itself has lost something is seen when a room is opened.
    pub(super) const fn epoch(self, own: u64, durability: Durability) -> u64 {
        own ^ match durability {
            Durability::Off => self.off,
            Durability::Async => self.after_kill,
            Durability::Commit | Durability::Fsync => 0,
        }
    }
}

/// Finds out how the last run ended, and notes that this one has not ended yet.
pub(super) fn begin_run(link: &Link) -> Result<EpochSalts, StoreError> {
    let meta = link.collection(META);
    let last = link.ask(meta.find_one(doc! { "_id": "run" }))?.unwrap_or_default();
    let layout = integer(&last, "layout").unwrap_or(LAYOUT);
    if layout > LAYOUT {
        let text = format!(
            "it has layout {layout}, but this version knows layouts up to {LAYOUT} only (use a newer version)"
        );
        return Err(StoreError::Unavailable(text.into()));
    }
    let counter = meta.update_one(doc! { "_id": "rooms" }, doc! { "$setOnInsert": { "last": 0_i64 } });
    link.ask(counter.upsert(true).write_concern(durably()))?;
    let ended = last.get_bool("ended").unwrap_or(true);
    let salt = integer(&last, "saltAfterKill").unwrap_or(0).cast_unsigned();
    let after_kill = if ended { salt } else { random_change() | salt & ID_EPOCH_BITS };
    let note = doc! { "layout": LAYOUT, "ended": false, "saltAfterKill": after_kill.cast_signed() };
    let update = meta.update_one(doc! { "_id": "run" }, doc! { "$set": note });
    link.ask(update.upsert(true).write_concern(durably()))?;
    Ok(EpochSalts { off: random_change(), after_kill })
}

/// Notes that this run ended in good order; if messages were `refused` meanwhile, rooms that do not wait for the store
/// have lost some all the same.
pub(super) fn end_run(link: &Link, refused: bool) -> Result<(), StoreError> {
    let note = doc! { "$set": { "ended": !refused } };
    let meta = link.collection(META);
    let update = meta.update_one(doc! { "_id": "run" }, note).write_concern(durably());
    link.ask(update)?;
    Ok(())
}
