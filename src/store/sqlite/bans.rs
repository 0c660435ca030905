//! Bans: what is left of each, so that they go on after a restart. A ban is of a name; the room need not be there.

use std::time::Duration;

use rusqlite::Connection;

use super::rows::integer;
use crate::rooms::Ban;
use crate::store::error::StoreError;
use crate::store::values::{BAN_ENDING, BanChange};

impl BanChange {
    pub(super) fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        match self {
            BanChange::Keep(ban) => keep(conn, &[ban]),
            BanChange::Lift { room, user } => lift(conn, &room, &user),
            BanChange::Note { bans, ended } => note(conn, &bans, &ended),
        }
    }
}

/// What is left of a ban, as it stands in the database.
fn micros(left: Duration) -> i64 {
    integer(u64::try_from(left.as_micros()).unwrap_or(u64::MAX))
}

fn keep(conn: &Connection, bans: &[Ban]) -> Result<(), StoreError> {
    let mut insert = conn.prepare_cached("REPLACE INTO bans (room, user, left) VALUES (?1, ?2, ?3)")?;
    for Ban { room, user, left } in bans {
        insert.execute((room, user, micros(*left)))?;
    }
    Ok(())
}

fn lift(conn: &Connection, room: &str, user: &str) -> Result<(), StoreError> {
    conn.execute("DELETE FROM bans WHERE room = ?1 AND user = ?2", (room, user))?;
    Ok(())
}

/// Writes down what is left of bans that were kept before, and forgets those that have ended. What was lifted, or kept,
/// after `bans` was put together stays as it is.
fn note(conn: &Connection, bans: &[Ban], ended: &[Ban]) -> Result<(), StoreError> {
    let mut update =
        conn.prepare_cached("UPDATE bans SET left = min(left, ?3) WHERE room = ?1 AND user = ?2")?;
    for Ban { room, user, left } in bans {
        update.execute((room, user, micros(*left)))?;
    }
    // A longer one has come in place of the one that has ended.
    let mut delete = conn.prepare_cached("DELETE FROM bans WHERE room = ?1 AND user = ?2 AND left <= ?3")?;
    for Ban { room, user, .. } in ended {
        delete.execute((room, user, micros(BAN_ENDING)))?;
    }
    Ok(())
}

pub(super) fn all(conn: &Connection) -> Result<Vec<Ban>, StoreError> {
    let mut query = conn.prepare("SELECT room, user, left FROM bans")?;
    let bans = query.query_map([], |row| {
        Ok(Ban { room: row.get(0)?, user: row.get(1)?, left: Duration::from_micros(row.get(2)?) })
    })?;
    Ok(bans.collect::<Result<_, _>>()?)
}
