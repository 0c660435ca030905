//! Bans: what is left of each, so that they go on after a restart. A ban is of a name; the room need not be there.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::documents::{BANS, natural, signed, text};
use super::link::{durably, run_many};
use super::logs::gather;
use super::shared::Shared;
use crate::rooms::Ban;
use crate::store::error::StoreError;
use crate::store::values::{BAN_ENDING, BanChange};

/// Statements in one command.
const STATEMENTS_MAX: usize = 500;

fn key(room: &str, user: &str) -> Document {
    doc! { "_id": { "room": room, "user": user } }
}

fn micros(left: Duration) -> i64 {
    signed(u64::try_from(left.as_micros()).unwrap_or(u64::MAX))
}

pub(super) fn change(shared: &Shared, change: BanChange) -> Result<(), StoreError> {
    shared.may_write()?;
    let bans = shared.link.collection(BANS);
    match change {
        BanChange::Keep(Ban { room, user, left }) => {
            let keep = doc! { "$set": { "room": &*room, "user": &*user, "left": micros(left) } };
            shared
                .link
                .ask(bans.update_one(key(&room, &user), keep).upsert(true).write_concern(durably()))?;
            Ok(())
        }
        BanChange::Lift { room, user } => {
            shared.link.ask(bans.delete_one(key(&room, &user)).write_concern(durably()))?;
            Ok(())
        }
        BanChange::Note { bans, ended } => note(shared, &bans, &ended),
    }
}

/// Writes down what is left of bans that were kept before, and forgets those that have ended. What was lifted, or kept,
/// after `bans` was put together stays as it is.
fn note(shared: &Shared, bans: &[Ban], ended: &[Ban]) -> Result<(), StoreError> {
    let left =
        |ban: &Ban| doc! { "q": key(&ban.room, &ban.user), "u": { "$min": { "left": micros(ban.left) } } };
    for bans in bans.chunks(STATEMENTS_MAX) {
        let statements = bans.iter().map(left).collect();
        shared.link.ask_patiently(run_many(&shared.link.database, "update", BANS, statements))?;
    }
    // A longer one has come in place of the one that has ended.
    let over = |ban: &Ban| {
        let mut over = key(&ban.room, &ban.user);
        over.insert("left", doc! { "$lte": micros(BAN_ENDING) });
        doc! { "q": over, "limit": 1 }
    };
    for ended in ended.chunks(STATEMENTS_MAX) {
        let statements = ended.iter().map(over).collect();
        shared.link.ask_patiently(run_many(&shared.link.database, "delete", BANS, statements))?;
    }
    Ok(())
}

pub(super) fn all(shared: &Shared) -> Result<Vec<Ban>, StoreError> {
    let read = |ban: &Document| {
        let (room, user) = (text(ban, "room")?.into(), text(ban, "user")?.into());
        Some(Ban { room, user, left: Duration::from_micros(natural(ban, "left")) })
    };
    let found = gather(&shared.link, shared.link.collection(BANS).find(doc! {}))?;
    Ok(found.iter().filter_map(read).collect())
}
