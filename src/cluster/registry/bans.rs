//! Bans, as long as they last: by the clock of Redis, which goes on when nodes end. A ban is of a name; the room need not
//! be there.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::Value;

use super::answer::{array, malformed, number, parse_number, text};
use super::call::run_all;
use crate::cluster::partition::Partition;
use crate::cluster::question::{Ask, Question};
use crate::cluster::scripts::Script;
use crate::rooms::Ban;
use crate::store::{BanChange, StoreError};

static CHANGE: Script = Script::new(include_str!("scripts/change_bans.lua"));
static LIST: Script = Script::new(include_str!("scripts/bans.lua"));

/// Bans that are read of a partition at once.
const PAGE: usize = 1_000;
/// Bans that are read at all. A node that has more refuses to ban.
const BANS_MAX: usize = 4 << 20;
/// A time that no ban has; with the time of day added to it, Lua keeps it exactly.
const LEFT_MAX: u64 = 1 << 52;

pub(in crate::cluster) fn change_bans(conn: &mut dyn Ask, change: BanChange) -> Result<(), StoreError> {
    let calls = match change {
        BanChange::Keep(Ban { room, user, left }) => {
            let left = u64::try_from(left.as_micros()).unwrap_or(LEFT_MAX).min(LEFT_MAX);
            vec![call(&CHANGE, Partition::of(&room)).arg(member(&room, &user)).arg(left.to_string())]
        }
        BanChange::Lift { room, user } => {
            vec![call(&CHANGE, Partition::of(&room)).arg(member(&room, &user)).arg("")]
        }
        // Their time passes here without being told, and what another node keeps or lifts meanwhile stays as it is: what
        // this node has heard of may be older. Bans that have ended by Redis' clock go.
        BanChange::Note { bans: _, ended } => {
            let partitions: BTreeSet<_> = ended.iter().map(|ban| Partition::of(&ban.room)).collect();
            partitions.into_iter().map(|partition| call(&CHANGE, partition)).collect()
        }
    };
    run_all(conn, &calls).map(drop)
}

/// All bans that hold, in no order.
pub(in crate::cluster) fn bans(conn: &mut dyn Ask) -> Result<Vec<Ban>, StoreError> {
    let mut bans = Vec::new();
    let mut partitions: Vec<Partition> = Partition::all().collect();
    let mut from = 0_usize;
    while !partitions.is_empty() {
        let ask = |partition: &Partition| call(&LIST, *partition).arg(from.to_string()).arg(PAGE.to_string());
        let calls: Vec<_> = partitions.iter().map(ask).collect();
        let mut answers = run_all(conn, &calls)?.into_iter();
        let mut kept = Vec::new();
        for partition in partitions {
            let found = array(answers.next().unwrap_or_default(), 2 * PAGE)?;
            if found.len() == 2 * PAGE {
                kept.push(partition);
            }
            read_bans(found, &mut bans)?;
        }
        partitions = kept;
        from += PAGE;
    }
    Ok(bans)
}

fn call(script: &'static Script, partition: Partition) -> Question {
    Question::to_run(script, partition, &[partition.bans()])
}

fn member(room: &str, user: &str) -> String {
    format!("{}:{room}{user}", room.len())
}

fn read_bans(found: Vec<Value>, bans: &mut Vec<Ban>) -> Result<(), StoreError> {
    let mut found = found.into_iter();
    while let (Some(member), left) = (found.next(), found.next()) {
        let member = text(member)?;
        let left = Duration::from_micros(number(left.unwrap_or_default())?);
        let (room, user) = read_member(&member).ok_or_else(|| malformed("a ban that cannot be read"))?;
        if bans.len() >= BANS_MAX {
            return Err(malformed("more bans than there may be"));
        }
        if !left.is_zero() {
            bans.push(Ban { room: room.into(), user: user.into(), left });
        }
    }
    Ok(())
}

fn read_member(member: &str) -> Option<(&str, &str)> {
    let (len, names) = member.split_once(':')?;
    names.split_at_checked(usize::try_from(parse_number(len)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_of_a_room_and_a_user_whatever_their_names() {
        for (room, user) in [("lobby", "eve"), ("1:a", "2:b"), ("r\u{1f32b}", "\u{1f32b}"), ("", "")] {
            assert_eq!(read_member(&member(room, user)), Some((room, user)));
        }
        for member in ["", "lobby", "9:lobby", "-1:lobby", "1:\u{1f32b}", "99999999999999999999:a"] {
            assert_eq!(read_member(member), None, "{member}");
        }
    }

    #[test]
    fn bans_that_nobody_wrote_are_an_error() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let read = |found: Vec<Value>| read_bans(found, &mut Vec::new());
        assert_eq!(read(vec![bulk("1:ab"), bulk("7")]), Ok(()));
        let bad = [vec![bulk("1:ab")], vec![bulk("1ab"), bulk("7")], vec![bulk("1:ab"), bulk("-7")]];
        for bad in bad {
            assert!(matches!(read(bad), Err(StoreError::Unavailable(_))));
        }
    }
}
