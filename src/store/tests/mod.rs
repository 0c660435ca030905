//! The store as its users see it, through [`Store`] alone.
//!
//! | file | subject |
//! |---|---|
//! | `appending` | batches are stored together, in order, or refused |
//! | `reading` | rooms are opened, pages read, epochs changed |
//! | `registry` | rooms are created, listed, joined, deleted, imported |
//! | `retention` | what is deleted when |
//! | `failures` | disks that are full or fail, damaged files, threads that end |
//! | `memory` | the store in memory: as the other one, within its limits |
//! | `mongo` | the store in MongoDB: as the others, and what others write to it |
//! | `place` | where a test's store is |

/// A test that every store passes, each as a test of its own. What `in_mongodb` needs is started by `tests/mongo/run`.
macro_rules! on_every_store {
    ($name:ident) => {
        mod $name {
            use crate::store::tests::place::Place;

            #[test]
            fn in_memory() {
                super::$name(&Place::Memory);
            }

            #[test]
            fn on_disk() {
                super::$name(&Place::directory());
            }

            #[cfg(feature = "mongodb")]
            #[test]
            #[ignore = "needs a MongoDB: tests/mongo/run"]
            fn in_mongodb() {
                super::$name(&Place::database());
            }
        }
    };
}

/// As [`on_every_store`], of stores that outlive the process.
macro_rules! on_disk {
    ($name:ident) => {
        mod $name {
            use crate::store::tests::place::Place;

            #[test]
            fn on_disk() {
                super::$name(&Place::directory());
            }

            #[cfg(feature = "mongodb")]
            #[test]
            #[ignore = "needs a MongoDB: tests/mongo/run"]
            fn in_mongodb() {
                super::$name(&Place::database());
            }
        }
    };
}

mod appending;
mod failures;
mod memory;
#[cfg(feature = "mongodb")]
mod mongo;
mod place;
mod reading;
mod registry;
mod retention;

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;

use self::place::Place;
use super::*;
use crate::rooms::store_api::{OpenStay, Opened, Record, RecordBatch, RecordPresence, RecordText, StayId};
use crate::rooms::{Kind, Timestamp, content_digest};

const DEADLINE: Duration = Duration::from_secs(20);
const NOON: u64 = 1_769_860_800_000_000;

/// Waits for the answer to a request.
fn ask<T: Send + 'static, E: Send + 'static>(
    request: impl FnOnce(Done<Result<T, E>>) -> Result<(), Busy>,
) -> Result<T, E> {
    let (answer, answered) = mpsc::sync_channel(1);
    request(Box::new(move |outcome| answer.send(outcome).unwrap())).unwrap();
    answered.recv_timeout(DEADLINE).expect("an answer")
}

fn directory(path: &Path) -> Location {
    Location::Directory(path.to_owned())
}

fn open(path: &Path) -> (Store, StoreThreads) {
    Store::open(directory(path), Options::default()).unwrap()
}

fn at(seq: u64) -> Timestamp {
    Timestamp::from_micros(NOON + seq * 1_000)
}

fn open_room(store: &Store, name: &str) -> Opened {
    ask(|done| store.open_room(name, true, at(0), done)).unwrap()
}

/// What message `seq` of every room in these tests is.
fn message(seq: u64) -> Stored {
    Stored {
        seq,
        at: at(seq),
        kind: if seq % 10 == 1 { Kind::Join } else { Kind::Message },
        sender: format!("user {}", seq % 7).into(),
        content: format!("message {seq} \u{1f32b}").into(),
        client_id: seq.is_multiple_of(2).then(|| format!("id-{seq}").into()),
        presence: (seq % 10 == 1)
            .then(|| StoredPresence { username: format!("user {seq}").into(), online: seq }),
    }
}

fn push(batch: &mut RecordBatch, room: RoomId, message: &Stored) {
    let mut store = |text: &str| RecordText::store(&mut batch.text, text);
    let (sender, content) = (store(&message.sender), store(&message.content));
    let client_id = message.client_id.as_deref().map(&mut store);
    let Stored { seq, at, kind, .. } = *message;
    let presence = message.presence.as_ref().map(|presence| RecordPresence {
        username: store(&presence.username),
        online: presence.online,
        stay: None,
        session_id: 0,
    });
    batch.records.push(Record { room, seq, at, kind, sender, content, client_id, presence });
}

fn batch(shard: usize, term: u32, room: RoomId, seqs: impl IntoIterator<Item = u64>) -> RecordBatch {
    let mut batch = RecordBatch { shard, term, ..RecordBatch::default() };
    for seq in seqs {
        push(&mut batch, room, &message(seq));
    }
    batch
}

fn append(store: &Store, batch: RecordBatch) -> Result<(), StoreError> {
    append_refusing(store, batch).map(|refused| assert_eq!(refused, []))
}

/// Says which rooms of the batch were refused.
fn append_refusing(store: &Store, batch: RecordBatch) -> Result<Vec<RoomId>, StoreError> {
    let answer = ask(|done| store.append(batch, done));
    answer.map(|batch| {
        assert!(batch.records.is_empty() && batch.text.is_empty());
        batch.refused
    })
}

fn everything() -> PageRequest {
    PageRequest {
        from: ReadFrom::Seq(0),
        messages_max: 1_000_000,
        bytes_max: usize::MAX,
        newest_first: false,
        before: None,
        now: Timestamp::default(),
    }
}

fn read(store: &Store, room: RoomId, request: PageRequest) -> Page {
    ask(|done| store.read(room, request, done)).unwrap()
}

fn seqs(messages: &[Stored]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

/// Asks again and again until there is an answer.
#[expect(clippy::disallowed_methods, reason = "a deadline for what the store does unasked")]
fn wait_for<T>(mut answer: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "it did not happen in time");
        std::thread::yield_now();
    }
}

/// Waits until the room's log begins at `tail`.
fn wait_for_tail(store: &Store, room: RoomId, tail: u64) -> Page {
    let floor = || ask(|done| store.backend.floor(room, done)).unwrap();
    wait_for(|| {
        let page = read(store, room, everything());
        assert!(page.tail <= tail, "{} messages too many were deleted", page.tail - tail);
        (page.tail == tail && floor() + 1 == tail).then_some(page)
    })
}

/// A short message with this number, late enough to follow any other.
fn message_at(seq: u64) -> Stored {
    let at = Timestamp::from_micros(NOON + (seq & 0xffff_ffff));
    Stored { seq, at, ..message(1) }
}
