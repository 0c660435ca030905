//! Messages that come from elsewhere, with the numbers and times that they have, for a room that has none.

use std::time::Duration;

use redis::Value;

use super::answer::{array, malformed, number, text};
use super::call::{run, run_all};
use super::rooms::{call, with_room};
use crate::cluster::partition::Partition;
use crate::cluster::question::{Ask, Question};
use crate::cluster::scripts::Script;
use crate::cluster::shared::nonce;
use crate::rooms::store_api::{RoomId, SEQ_MAX, Stored};
use crate::rooms::{ID_EPOCH_BITS, Kind, Timestamp, content_digest};
use crate::store::{Import, NewRoom, Options, PARTICIPANTS_MAX, StoreError};

static IMPORT: Script =
    Script::new(concat!(include_str!("scripts/room.lua"), include_str!("scripts/import.lua")));
static TAKE_BACK: Script =
    Script::new(concat!(include_str!("scripts/room.lua"), include_str!("scripts/take_back.lua")));
static OVERDUE: Script = Script::new(include_str!("scripts/overdue.lua"));

/// Imports that are taken back of a partition at once.
const OVERDUE_MAX: usize = 16;

/// Puts messages into a room; says the number of the last one. All of them are stored, or nothing has changed.
pub(in crate::cluster) fn import(
    conn: &mut dyn Ask,
    import: &Import,
    now: Timestamp,
    options: &Options,
) -> Result<u64, StoreError> {
    let (room, participants) = room_of(import, now);
    if participants.len() as u64 > PARTICIPANTS_MAX {
        return Err(StoreError::TooManyParticipants);
    }
    // What the room says comes before what is wrong with the messages.
    let flaw = flaw(import);
    let messages = if flaw.is_none() { &import.messages[..] } else { &[] };
    let mut call = with_room(call(&IMPORT, &import.room), &room)
        .arg(import.after.map_or(String::new(), |after| after.to_string()))
        .arg(if import.is_last { "1" } else { "0" })
        .arg(import.id_epoch.map_or(String::new(), |epoch| format!("{:016x}", epoch & ID_EPOCH_BITS)))
        .arg(if flaw.is_some() { "1" } else { "0" })
        .arg(micros(options.dedup_window))
        .arg(options.retention.messages_max.unwrap_or(0).to_string())
        .arg(participants.len().to_string());
    for user in participants {
        call = call.arg(&**user);
    }
    for message in messages {
        call = with_message(call, message);
    }
    let answer = array(run(conn, call)?, 2)?;
    let [outcome, seq]: [Value; 2] =
        answer.try_into().map_err(|_| malformed("an answer of another length"))?;
    let (outcome, head) = (text(outcome)?, number(seq)?);
    match (&*outcome, flaw) {
        ("ok", None) => Ok(head),
        ("ok", Some(flaw)) => Err(flaw),
        ("exists", _) => Err(StoreError::RoomExists),
        ("disorder", _) => Err(disorder(head.saturating_add(1), found(import))),
        _ => Err(malformed("an answer that was not asked for")),
    }
}

/// What the room is if there is none yet, and who takes part in it.
fn room_of(import: &Import, now: Timestamp) -> (NewRoom, &[Box<str>]) {
    let first = import.messages.first();
    match import.about.as_deref() {
        None => {
            let created_at = first.map_or(now, |message| message.at);
            (NewRoom { name: import.room.clone(), created_at, ..NewRoom::default() }, &[])
        }
        Some(about) => {
            let about_room = NewRoom {
                id: None,
                name: about.name.clone(),
                description: about.description.clone(),
                created_by: about.created_by.clone(),
                created_at: about.created_at,
                settings: about.settings,
            };
            (about_room, &about.participants)
        }
    }
}

/// The number that comes where another is due.
fn found(import: &Import) -> u64 {
    let first = import.messages.first().map(|message| message.seq);
    import.after.map_or(first, |after| after.checked_add(1)).unwrap_or(0)
}

fn disorder(expected: u64, found: u64) -> StoreError {
    // Nothing here has such an id: it is the process that gives them.
    StoreError::OutOfOrder { room: RoomId(0), expected, found }
}

/// What is wrong with the messages themselves.
fn flaw(import: &Import) -> Option<StoreError> {
    let first = import.messages.first()?;
    let Some(after) = import.after.or(first.seq.checked_sub(1)) else { return Some(StoreError::Malformed) };
    let mut before = (after, Timestamp::default());
    for message in &import.messages {
        if message.seq > SEQ_MAX || message.at.micros() > SEQ_MAX {
            return Some(StoreError::Malformed);
        }
        if message.seq != before.0.saturating_add(1) || message.at <= before.1 {
            return Some(disorder(before.0.saturating_add(1), message.seq));
        }
        before = (message.seq, message.at);
    }
    None
}

fn with_message(call: Question, message: &Stored) -> Question {
    let Stored { seq, at, kind, sender, content, client_id, presence } = message;
    let (username, online) = match presence {
        None => ("", String::new()),
        Some(presence) => (&*presence.username, presence.online.to_string()),
    };
    call.arg(seq.to_string())
        .arg(at.micros().to_string())
        .arg(kind_name(*kind))
        .arg(&**sender)
        .arg(&**content)
        .arg(client_id.as_deref().unwrap_or_default())
        .arg(username)
        .arg(online)
        .arg(format!("{:016x}", content_digest(content)))
}

/// As the log has it.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "m",
        Kind::Join => "j",
        Kind::Leave => "l",
        Kind::System => "s",
    }
}

/// Takes back what an import that was not finished has left of this room: half a log is no log.
pub(in crate::cluster) fn take_back(
    conn: &mut dyn Ask,
    room: &str,
    options: &Options,
) -> Result<(), StoreError> {
    match run(conn, taking_back(room, options, None))? {
        Value::Nil => Err(StoreError::NoSuchRoom),
        answer => number(answer).map(drop),
    }
}

/// Takes back the imports of which nothing has come for so long; says of which rooms. For a node that ended meanwhile.
pub(in crate::cluster) fn take_back_overdue(
    conn: &mut dyn Ask,
    idle: Duration,
    options: &Options,
) -> Result<Vec<Box<str>>, StoreError> {
    let ask = |partition: Partition| {
        let call = Question::to_run(&OVERDUE, partition, &[partition.imports()]);
        call.arg(micros(idle)).arg(OVERDUE_MAX.to_string())
    };
    let calls: Vec<_> = Partition::all().map(ask).collect();
    let mut overdue = Vec::new();
    for rooms in run_all(conn, &calls)? {
        for room in array(rooms, OVERDUE_MAX)? {
            overdue.push(text(room)?);
        }
    }
    let calls: Vec<_> = overdue.iter().map(|room| taking_back(room, options, Some(idle))).collect();
    let answers = run_all(conn, &calls)?;
    let taken_back = overdue.into_iter().zip(answers).filter(|(_, answer)| *answer == Value::Int(1));
    Ok(taken_back.map(|(room, _)| room).collect())
}

fn taking_back(room: &str, options: &Options, idle: Option<Duration>) -> Question {
    let idle = idle.map_or(String::new(), micros);
    call(&TAKE_BACK, room).arg(nonce()).arg(nonce()).arg(micros(options.dedup_window)).arg(idle)
}

fn micros(time: Duration) -> String {
    // Lua keeps it exactly.
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(1 << 52).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64, at: u64) -> Stored {
        Stored {
            seq,
            at: Timestamp::from_micros(at),
            kind: Kind::Message,
            sender: "ann".into(),
            content: "hello".into(),
            client_id: None,
            presence: None,
        }
    }

    #[test]
    fn messages_must_be_dense_and_grow_in_time() {
        type Case<'a> = (Option<u64>, &'a [(u64, u64)], Option<StoreError>);
        let cases: [Case<'_>; 10] = [
            (None, &[], None),
            (None, &[(41, 1), (42, 2)], None),
            (Some(40), &[(41, 1), (42, 2)], None),
            (None, &[(0, 1), (1, 2)], Some(StoreError::Malformed)),
            (None, &[(1, 1), (3, 2)], Some(disorder(2, 3))),
            (None, &[(1, 2), (2, 2)], Some(disorder(2, 2))),
            (None, &[(1, 0)], Some(disorder(1, 1))),
            (Some(7), &[(9, 1)], Some(disorder(8, 9))),
            (Some(SEQ_MAX), &[(SEQ_MAX + 1, 1)], Some(StoreError::Malformed)),
            (Some(u64::MAX), &[(u64::MAX, 1)], Some(StoreError::Malformed)),
        ];
        for (after, messages, expected) in cases {
            let messages = messages.iter().map(|(seq, at)| message(*seq, *at)).collect();
            let room = "r".into();
            let import = Import { room, about: None, id_epoch: None, after, messages, is_last: true };
            assert_eq!(flaw(&import), expected, "{:?}", import.messages);
        }
    }
}
