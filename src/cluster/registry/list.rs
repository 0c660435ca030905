//! The rooms of a page.

use redis::Value;

use super::answer::{malformed, number};
use super::call::run_all;
use super::info::read_info;
use super::merge::Merge;
use super::rooms::show;
use crate::cluster::keys::field;
use crate::cluster::partition::Partition;
use crate::cluster::question::{Ask, Question};
use crate::store::{LIST_BYTES_MAX, RoomInfo, RoomQuery, StoreError};

/// Rooms that are looked at in one round at most.
const ROUND_MAX: usize = 1_000;
/// What a participant may take in an answer, before it is known.
const PARTICIPANT_BYTES: u64 = 64;
/// The same of all else of a room.
const ROOM_BYTES: u64 = 512;

/// As the other stores have it: in the order of public ids, ended early where the rooms are large, but never empty if there
/// is one more.
pub(in crate::cluster) fn rooms(conn: &mut dyn Ask, query: &RoomQuery) -> Result<Vec<RoomInfo>, StoreError> {
    let mut list = List { query, rooms: Vec::new(), bytes: 0 };
    if let Some(names) = query.names_after() {
        let mut names = &names[..];
        while !names.is_empty() && !list.is_full() {
            let (round, rest) = names.split_at(names.len().min(ROUND_MAX));
            list.add(conn, round)?;
            names = rest;
        }
        return Ok(list.rooms);
    }
    let after = query.after.as_deref().unwrap_or_default();
    let mut merge = Merge::new(query.participant.as_deref(), after, query.limit.min(ROUND_MAX));
    while !list.is_full() {
        let ids = merge.take(conn, (query.limit - list.rooms.len()).min(ROUND_MAX))?;
        if ids.is_empty() {
            break;
        }
        list.add(conn, &ids.iter().map(|id| &**id).collect::<Vec<_>>())?;
    }
    Ok(list.rooms)
}

struct List<'q> {
    query: &'q RoomQuery,
    rooms: Vec<RoomInfo>,
    bytes: usize,
}

impl List<'_> {
    fn is_full(&self) -> bool {
        self.rooms.len() >= self.query.limit || self.bytes > LIST_BYTES_MAX
    }

    /// Adds the rooms of these ids that are there and wanted, until the list is full.
    fn add(&mut self, conn: &mut dyn Ask, ids: &[&str]) -> Result<(), StoreError> {
        let sizes = self.sizes(conn, ids)?;
        let mut rest = &sizes[..];
        // No more at a time than a list may have, so that rooms of many participants do not come all at once.
        while !rest.is_empty() && !self.is_full() {
            let (group, others) = rest.split_at(group_len(rest, self.query.limit - self.rooms.len()));
            rest = others;
            let calls: Vec<_> = group.iter().map(|(id, _)| show(id)).collect();
            for ((id, _), answer) in group.iter().zip(run_all(conn, &calls)?) {
                match read_info(id, answer) {
                    Ok(room) if !self.is_full() && self.is_wanted(&room) => {
                        self.bytes += room.text_bytes();
                        self.rooms.push(room);
                    }
                    // It was deleted meanwhile.
                    Ok(_) | Err(StoreError::NoSuchRoom) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn is_wanted(&self, room: &RoomInfo) -> bool {
        self.query.participant.as_ref().is_none_or(|user| room.participants.contains(user))
    }

    /// About how large the answer for each of the rooms will be, of those that may be wanted.
    fn sizes<'i>(&self, conn: &mut dyn Ask, ids: &[&'i str]) -> Result<Vec<(&'i str, u64)>, StoreError> {
        let user = self.query.participant.as_deref();
        let mut questions = Vec::with_capacity(3 * ids.len());
        for id in ids {
            let partition = Partition::of(id);
            let (room, participants) = (partition.room(id), partition.participants(id));
            questions.push(Question::new(partition, "ZCARD").arg(&participants));
            questions.push(Question::new(partition, "HSTRLEN").arg(&room).arg(field::ABOUT));
            questions.push(match user {
                Some(user) => Question::new(partition, "ZSCORE").arg(&participants).arg(user),
                None => Question::new(partition, "HEXISTS").arg(&room).arg(field::UID),
            });
        }
        let mut answers = run_all(conn, &questions)?.into_iter();
        let mut sizes = Vec::new();
        for id in ids {
            let (Some(participants), Some(about), Some(found)) =
                (answers.next(), answers.next(), answers.next())
            else {
                return Err(malformed("too few answers"));
            };
            if !matches!(found, Value::Nil | Value::Int(0)) {
                let participants = number(participants)?.saturating_mul(PARTICIPANT_BYTES);
                sizes.push((*id, number(about)?.saturating_add(participants).saturating_add(ROOM_BYTES)));
            }
        }
        Ok(sizes)
    }
}

/// How many of these to ask for at once: at least one.
fn group_len(sizes: &[(&str, u64)], max: usize) -> usize {
    let mut bytes = 0_u64;
    let fits = |(_, size): &&(&str, u64)| {
        bytes = bytes.saturating_add(*size);
        bytes <= LIST_BYTES_MAX as u64
    };
    sizes.iter().take(max).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_asked_for_in_groups_that_fit_a_list() {
        let half = LIST_BYTES_MAX as u64 / 2;
        assert_eq!(group_len(&[("a", half), ("b", half), ("c", 1)], 9), 2);
        assert_eq!(group_len(&[("a", u64::MAX), ("b", u64::MAX)], 9), 1);
        assert_eq!(group_len(&[("a", 1), ("b", 1), ("c", 1)], 2), 2);
    }
}
