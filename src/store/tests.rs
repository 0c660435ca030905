//! The store as its users see it, through [`Store`] alone.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::rooms::store_api::{OpenStay, ReadFrom, Record, RecordPresence, RecordText, StayId, Stored};
use crate::rooms::{Kind, content_digest};

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

#[test]
fn what_was_stored_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (store, threads) = open(dir.path());
    let room = open_room(&store, "lobby");
    assert_eq!((room.head, room.tail, room.recent.len()), (0, 1, 0));
    append(&store, batch(0, 0, room.id, 1..=500)).unwrap();
    drop(threads);
    let (store, _threads) = open(dir.path());
    let again = open_room(&store, "lobby");
    assert_eq!((again.id, again.epoch, again.head, again.tail), (room.id, room.epoch, 500, 1));
    assert_eq!(again.last_at, at(500));
    assert_eq!(again.recent, (245..=500).map(message).collect::<Vec<_>>());
    let page = read(&store, room.id, everything());
    assert_eq!(page.messages, (1..=500).map(message).collect::<Vec<_>>());
    append(&store, batch(0, 0, room.id, 501..=501)).unwrap();
}

#[test]
fn messages_with_checksums_of_schema_4_are_read_and_watched_beside_newer_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("foghorn.db");
    Connection::open(&path).unwrap().execute_batch(include_str!("sqlite/fixtures/schema_4.sql")).unwrap();
    let (store, threads) = open(dir.path());
    let room = open_room(&store, "lobby");
    assert_eq!((room.head, room.tail), (7, 1));
    let newer =
        [8, 9].map(|seq| Stored { at: room.last_at.later_by(Duration::from_micros(seq)), ..message(seq) });
    let mut records = batch(0, 0, room.id, []);
    newer.iter().for_each(|message| push(&mut records, room.id, message));
    append(&store, records).unwrap();
    drop(threads);

    let (store, threads) = open(dir.path());
    let messages = read(&store, room.id, everything()).messages;
    let contents: Vec<&str> = messages.iter().map(|message| &*message.content).collect();
    assert_eq!(contents[..4], ["ann joined", "bob joined", "", "Grüße, \u{1f32b} and 'quotes'"]);
    assert_eq!(messages[7..], newer);
    drop(threads);

    let conn = Connection::open(&path).unwrap();
    let legacy = "SELECT count(*) FROM messages WHERE checksum >= 0";
    assert_eq!(conn.query_row(legacy, [], |row| row.get::<_, u64>(0)).unwrap(), 7);
    for seq in [4, 8] {
        let change = "UPDATE messages SET content = content || '!' WHERE room = ?1 AND seq = ?2";
        conn.execute(change, (room.id.0, seq)).unwrap();
        let (store, threads) = open(dir.path());
        let damaged = ask(|done| store.read(room.id, everything(), done));
        assert!(matches!(damaged, Err(StoreError::RoomDamaged { .. })), "message {seq}: {damaged:?}");
        drop(threads);
        let mend = "UPDATE messages SET content = rtrim(content, '!') WHERE room = ?1 AND seq = ?2";
        conn.execute(mend, (room.id.0, seq)).unwrap();
    }
}

#[test]
fn a_store_in_memory_does_the_same_and_is_gone_afterwards() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    let room = open_room(&store, "lobby");
    append(&store, batch(0, 0, room.id, 1..=300)).unwrap();
    assert_eq!(open_room(&store, "lobby").head, 300);
    assert_eq!(read(&store, room.id, everything()).messages.len(), 300);
    let (other, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    assert_eq!(open_room(&other, "lobby").head, 0);
}

#[test]
fn an_opened_room_brings_its_newest_messages_and_ids_within_the_limits() {
    let options = Options {
        window: Window { messages: 10, bytes: 1 << 20 },
        dedup_window: Duration::from_millis(20),
        ..Options::default()
    };
    let (store, _threads) = Store::open(Location::Memory, options).unwrap();
    let room = open_room(&store, "lobby");
    append(&store, batch(0, 0, room.id, 1..=100)).unwrap();
    let opened = ask(|done| store.open_room("lobby", false, at(105), done)).unwrap();
    assert_eq!(seqs(&opened.recent), (91..=100).collect::<Vec<_>>());
    let ids = opened.recent_ids.iter().map(|id| (id.at, id.seq, id.id.to_string()));
    let expected = (86..=100).step_by(2).map(|seq| (at(seq), seq, format!("id-{seq}")));
    assert_eq!(ids.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let newest = message(100);
    let id = opened.recent_ids.last().unwrap();
    assert_eq!((&id.sender, id.digest), (&newest.sender, content_digest(&newest.content)));
    assert_eq!(ask(|done| store.open_room("nowhere", false, at(0), done)), Err(StoreError::NoSuchRoom));
}

#[test]
fn batches_of_many_shards_are_stored_together() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _threads) = open(dir.path());
    let rooms: Vec<RoomId> = (0..8).map(|shard| open_room(&store, &format!("room-{shard}")).id).collect();
    let (answer, answered) = mpsc::sync_channel(8 * 100);
    std::thread::scope(|scope| {
        for (shard, &room) in rooms.iter().enumerate() {
            let (store, answer) = (&store, answer.clone());
            scope.spawn(move || {
                for seq in 0..100 {
                    let answer = answer.clone();
                    let mut batch = batch(shard, 0, room, seq * 5 + 1..=seq * 5 + 5);
                    batch.durability = if shard == 0 { Durability::Fsync } else { Durability::Commit };
                    let done =
                        Box::new(move |outcome: Result<_, _>| answer.send(outcome.map(|_| ())).unwrap());
                    store.append(batch, done).unwrap();
                }
            });
        }
    });
    for _ in 0..800 {
        answered.recv_timeout(DEADLINE).unwrap().unwrap();
    }
    for &room in &rooms {
        let page = read(&store, room, everything());
        assert_eq!(page.messages, (1..=500).map(message).collect::<Vec<_>>());
    }
}

#[test]
fn a_room_whose_messages_do_not_follow_is_refused_alone() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    let (room, other) = (open_room(&store, "a").id, open_room(&store, "b").id);
    append(&store, batch(0, 3, room, 1..=3)).unwrap();
    // Whatever of the room stands before or behind the message that does not follow must not stay, and nothing of the
    // other room may go.
    let mut hole = batch(0, 3, other, 1..=2);
    for (seq, other_seq) in [(4, 3), (6, 4), (7, 5), (5, 6)] {
        push(&mut hole, room, &message(seq));
        push(&mut hole, other, &message(other_seq));
    }
    assert_eq!(append_refusing(&store, hole), Ok(vec![room]));
    assert_eq!((read(&store, room, everything()).head, read(&store, other, everything()).head), (3, 6));
    // What was built on it is refused, too, and what begins where the log ends is not; the term stays the same.
    assert_eq!(append_refusing(&store, batch(0, 3, room, 8..=9)), Ok(vec![room]));
    append(&store, batch(0, 3, room, 4..=4)).unwrap();
    append(&store, batch(0, 3, other, 7..=7)).unwrap();
    assert_eq!((read(&store, room, everything()).head, read(&store, other, everything()).head), (4, 7));
}

#[test]
fn time_in_a_room_never_stands_still_or_goes_back() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    let room = open_room(&store, "a").id;
    let mut late = RecordBatch::default();
    push(&mut late, room, &message(1));
    push(&mut late, room, &Stored { at: at(1), ..message(2) });
    assert_eq!(append_refusing(&store, late), Ok(vec![room]));
    assert_eq!(read(&store, room, everything()).head, 0);
}

#[test]
fn messages_behind_a_hole_and_rooms_that_never_were_are_refused_alone() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    let (room, other) = (open_room(&store, "a").id, open_room(&store, "b").id);
    let mut broken = batch(0, 0, room, 1..=1);
    push(&mut broken, room, &message(3));
    push(&mut broken, other, &message(1));
    push(&mut broken, RoomId(99), &message(1));
    let mut refused = append_refusing(&store, broken).unwrap();
    refused.sort_unstable();
    assert_eq!(refused, [room, RoomId(99)]);
    append(&store, batch(0, 0, room, 1..=1)).unwrap();
    append(&store, batch(0, 0, other, 2..=2)).unwrap();
}

#[test]
fn a_full_disk_fails_the_term_and_the_next_one_succeeds_once_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { database_bytes_max: Some(1 << 20), ..Options::default() };
    let (store, _threads) = Store::open(directory(dir.path()), options).unwrap();
    let (big, room) = (open_room(&store, "big").id, open_room(&store, "room").id);
    append(&store, batch(1, 0, room, 1..=10)).unwrap();
    let long = |seq| Stored { content: "x".repeat(60_000).into(), ..message(seq) };
    let mut stored = 0;
    let full = loop {
        let mut batch = RecordBatch::default();
        push(&mut batch, big, &long(stored + 1));
        match append(&store, batch) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Unavailable(_)), "{full}");
    assert!(matches!(store.health(), Health::Unavailable(_)));
    assert!((5..20).contains(&stored), "{stored}");
    // What was built on the lost message fails, even what would fit; and reading goes on.
    assert_eq!(append(&store, batch(0, 0, room, 11..=11)), Err(full));
    assert_eq!(read(&store, big, everything()).head, stored);
    assert_eq!(open_room(&store, "big").head, stored);
    // A new term is tried afresh: first in vain, then not.
    let mut again = RecordBatch { term: 1, ..RecordBatch::default() };
    push(&mut again, big, &long(stored + 1));
    assert!(matches!(append(&store, again), Err(StoreError::Unavailable(_))));
    ask(|done| store.delete_room("big", done)).unwrap();
    let mut term = 1;
    loop {
        term += 1;
        let mut batch = RecordBatch { term, ..RecordBatch::default() };
        push(&mut batch, room, &long(11));
        match append(&store, batch) {
            Ok(()) => break,
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_)) && term < 100_000, "{error}"),
        }
    }
    assert_eq!(store.health(), Health::Healthy);
    assert_eq!(read(&store, room, everything()).head, 11);
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, threads) = open(dir.path());
    let error = Store::open(directory(dir.path()), Options::default()).err().unwrap();
    assert!(matches!(&error, OpenError::InUse(path) if path == dir.path()), "{error}");
    drop(threads);
    open(dir.path());
}

#[test]
fn after_the_end_requests_are_answered_and_what_was_queued_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (store, threads) = open(dir.path());
    let room = open_room(&store, "lobby").id;
    let (answer, answered) = mpsc::sync_channel(100);
    for seq in 1..=100 {
        let answer = answer.clone();
        let done = Box::new(move |outcome: Result<_, _>| answer.send(outcome.is_ok()).unwrap());
        store.append(batch(0, 0, room, seq..=seq), done).unwrap();
    }
    drop(threads);
    assert!(answered.try_iter().take(100).filter(|stored| *stored).count() == 100);
    assert_eq!(append(&store, batch(0, 0, room, 101..=101)), Err(StoreError::Stopped));
    assert_eq!(ask(|done| store.room("lobby", done)), Err(StoreError::Stopped));
    assert!(!dir.path().join("foghorn.db-wal").metadata().is_ok_and(|wal| wal.len() > 0));
    let (store, _threads) = open(dir.path());
    assert_eq!(open_room(&store, "lobby").head, 100);
}

#[test]
fn a_full_queue_gives_the_batch_back() {
    let options = Options { queue_bytes_max: 1_000, ..Options::default() };
    let (store, _threads) = Store::open(Location::Memory, options).unwrap();
    let room = open_room(&store, "lobby").id;
    let (release, blocked) = mpsc::sync_channel::<()>(0);
    let (entered, inside) = mpsc::sync_channel::<()>(1);
    let done = Box::new(move |_: Result<_, _>| {
        entered.send(()).unwrap();
        blocked.recv_timeout(DEADLINE).unwrap();
    });
    store.room("lobby", done).unwrap();
    inside.recv_timeout(DEADLINE).unwrap();
    let mut queued = 0;
    let returned = loop {
        match store.append(batch(0, 0, room, queued + 1..=queued + 1), Box::new(|_| ())) {
            Ok(()) => queued += 1,
            Err(busy) => break busy.into_batch().unwrap(),
        }
    };
    assert!((10..50).contains(&queued), "{queued}");
    release.send(()).unwrap();
    assert_eq!(open_room(&store, "lobby").head, queued);
    append(&store, returned).unwrap();
}

#[test]
fn a_file_that_is_no_database_is_reported_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("foghorn.db");
    let garbage = "this is not a database ".repeat(1_000);
    fs::write(&path, &garbage).unwrap();
    let error = Store::open(directory(dir.path()), Options::default()).err().unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("backup"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), garbage);
}

#[test]
fn a_message_that_changed_on_the_disk_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, threads) = open(dir.path());
    let room = open_room(&store, "lobby").id;
    append(&store, batch(0, 0, room, 1..=1000)).unwrap();
    drop(threads);
    let path = dir.path().join("foghorn.db");
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.windows(12).position(|window| window == b"message 500 ").unwrap();
    bytes[place] ^= 0x04;
    fs::write(&path, bytes).unwrap();
    let (store, _threads) = open(dir.path());
    let damaged = ask(|done| store.read(room, everything(), done));
    assert!(matches!(damaged, Err(StoreError::RoomDamaged { .. })), "{damaged:?}");
    // Nothing of the room is shown from then on, and other rooms are not concerned.
    let opened = ask(|done| store.open_room("lobby", true, at(0), done));
    assert!(matches!(opened, Err(StoreError::RoomDamaged { .. })), "{opened:?}");
    assert_eq!(open_room(&store, "other").head, 0);
}

#[test]
fn pages_end_by_count_and_bytes_and_begin_by_number_time_or_count() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    let room = open_room(&store, "lobby").id;
    append(&store, batch(0, 0, room, 1..=100)).unwrap();
    let all = everything();
    let between = Timestamp::from_micros(at(90).micros() + 1);
    let bytes = message(50).text_bytes() * 3;
    // Request, the numbers delivered, and the cursor before the first.
    let cases: [(PageRequest, Vec<u64>, u64); 14] = [
        (PageRequest { from: ReadFrom::Seq(97), ..all }, vec![98, 99, 100], 97),
        (PageRequest { from: ReadFrom::Seq(97), messages_max: 2, ..all }, vec![98, 99], 97),
        (PageRequest { from: ReadFrom::Seq(100), ..all }, vec![], 100),
        (PageRequest { from: ReadFrom::Seq(u64::MAX), ..all }, vec![], u64::MAX),
        (PageRequest { from: ReadFrom::Time(at(98)), ..all }, vec![99, 100], 98),
        (PageRequest { from: ReadFrom::Time(between), messages_max: 1, ..all }, vec![91], 90),
        (PageRequest { from: ReadFrom::Time(at(0)), messages_max: 1, ..all }, vec![1], 0),
        (PageRequest { from: ReadFrom::Time(Timestamp::from_micros(u64::MAX)), ..all }, vec![], 100),
        (PageRequest { from: ReadFrom::Last(2), ..all }, vec![99, 100], 98),
        (PageRequest { from: ReadFrom::Last(2), before: Some(10), ..all }, vec![8, 9], 7),
        (PageRequest { from: ReadFrom::Last(u64::MAX), messages_max: 1, ..all }, vec![1], 0),
        (PageRequest { messages_max: 2, newest_first: true, ..all }, vec![100, 99], 98),
        (PageRequest { messages_max: 2, newest_first: true, before: Some(50), ..all }, vec![49, 48], 47),
        (PageRequest { from: ReadFrom::Seq(40), bytes_max: bytes, ..all }, vec![41, 42, 43], 40),
    ];
    for (request, delivered, start) in cases {
        let page = read(&store, room, request);
        assert_eq!((seqs(&page.messages), page.start), (delivered, start), "{request:?}");
        assert_eq!((page.tail, page.head), (1, 100));
    }
    let one = read(&store, room, PageRequest { bytes_max: 0, ..all });
    assert_eq!(seqs(&one.messages), [1]);
    let by_name = ask(|done| store.messages("lobby", all, done)).unwrap();
    assert_eq!(by_name.messages.len(), 100);
    let unknown = ask(|done| store.read(RoomId(77), everything(), done));
    assert_eq!(unknown, Err(StoreError::NoSuchRoom));
}

#[test]
fn retention_deletes_the_oldest_by_count_bytes_and_age() {
    let ages = Retention { age_max: Some(Duration::from_secs(3600)), ..Retention::default() };
    let cases = [
        (Retention { messages_max: Some(700), ..Retention::default() }, 1_301),
        (Retention { messages_max: Some(0), ..Retention::default() }, 2_001),
        (Retention { bytes_max: Some(1), ..Retention::default() }, 2_000),
        (ages, 2_001),
    ];
    for (retention, tail) in cases {
        let options = Options { retention, ..Options::default() };
        let (store, _threads) = Store::open(Location::Memory, options).unwrap();
        let room = open_room(&store, "lobby").id;
        append(&store, batch(0, 0, room, 1..=2_000)).unwrap();
        if retention == ages {
            // Nothing tells the store that a message has grown old: it looks from time to time, and when asked to.
            ask(|done| store.configure_room("lobby", RoomSettings::default(), done)).unwrap();
        }
        let page = wait_for_tail(&store, room, tail);
        assert_eq!((page.head, page.messages.len() as u64), (2_000, 2_001 - tail), "{retention:?}");
        append(&store, batch(0, 0, room, 2_001..=2_001)).unwrap();
        let opened = open_room(&store, "lobby");
        assert_eq!((opened.head, opened.last_at), (2_001, at(2_001)));
    }
}

#[test]
fn what_is_kept_no_longer_is_not_read_although_it_is_not_deleted_yet() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let retention = Retention { age_max: Some(1_000 * YEAR), ..Retention::default() };
    let options = Options { retention, ..Options::default() };
    let (store, _threads) = Store::open(Location::Memory, options).unwrap();
    let room = open_room(&store, "lobby").id;
    append(&store, batch(0, 0, room, 1..=10)).unwrap();
    let later = |seq| Timestamp::from_micros(at(seq).micros() + 1_000 * YEAR.as_secs() * 1_000_000);
    for (now, gone) in [(Timestamp::default(), 0), (later(1), 0), (later(7), 6), (later(11), 10)] {
        let page = read(&store, room, PageRequest { now, ..everything() });
        assert_eq!((page.tail, page.head, page.start), (gone + 1, 10, gone), "{now:?}");
        assert_eq!(seqs(&page.messages), (gone + 1..=10).collect::<Vec<_>>());
        assert_eq!(page.gone_at, if gone == 0 { Timestamp::default() } else { at(gone) });
        let opened = ask(|done| store.open_room("lobby", false, now, done)).unwrap();
        assert_eq!((opened.tail, opened.recent.len() as u64), (gone + 1, 10 - gone));
    }
}

#[test]
fn retention_of_a_room_goes_before_the_configuration_and_applies_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, threads) = open(dir.path());
    let (own, general) = (open_room(&store, "own").id, open_room(&store, "general").id);
    append(&store, batch(0, 0, own, 1..=1_500)).unwrap();
    append(&store, batch(0, 0, general, 1..=1_500)).unwrap();
    let settings = RoomSettings { messages_max: Some(100), ..RoomSettings::default() };
    ask(|done| store.configure_room("own", settings, done)).unwrap();
    wait_for_tail(&store, own, 1_401);
    assert_eq!(read(&store, general, everything()).tail, 1);
    drop(threads);
    let retention = Retention { messages_max: Some(700), ..Retention::default() };
    let options = Options { retention, ..Options::default() };
    let (store, _threads) = Store::open(directory(dir.path()), options).unwrap();
    wait_for_tail(&store, general, 801);
    let opened = open_room(&store, "own");
    assert_eq!((opened.tail, opened.retention.messages_max), (1_401, Some(100)));
}

#[test]
fn deleting_keeps_up_while_messages_never_stop() {
    let retention = Retention { messages_max: Some(1_000), ..Retention::default() };
    let options = Options { retention, ..Options::default() };
    let (store, _threads) = Store::open(Location::Memory, options).unwrap();
    let room = open_room(&store, "lobby").id;
    let mut seq = 0;
    wait_for(|| {
        append(&store, batch(0, 0, room, seq + 1..=seq + 50)).unwrap();
        seq += 50;
        let page = read(&store, room, PageRequest { from: ReadFrom::Last(1), ..everything() });
        (page.tail > 1 && page.head + 1 - page.tail <= 1_500).then_some(())
    });
}

#[test]
fn rooms_are_created_listed_in_pages_and_found() {
    let dir = tempfile::tempdir().unwrap();
    for location in [Location::Memory, directory(dir.path())] {
        rooms_are_listed(location);
    }
}

fn rooms_are_listed(location: Location) {
    let (store, _threads) = Store::open(location, Options::default()).unwrap();
    let room = |number: u64| NewRoom {
        name: format!("room {number}").into(),
        description: "for tests".into(),
        created_by: Some(if number.is_multiple_of(2) { "even" } else { "odd" }.into()),
        created_at: at(number),
        ..NewRoom::default()
    };
    let created: Vec<RoomInfo> =
        (0..10).map(|number| ask(|done| store.create_room(room(number), done)).unwrap()).collect();
    assert!(created.is_sorted_by_key(|room| room.id.clone()), "{created:?}");
    assert_eq!(created[3].participants, ["odd".into()]);
    assert_eq!(ask(|done| store.room(&created[3].id, done)).as_ref(), Ok(&created[3]));
    assert_eq!(ask(|done| store.room("nowhere", done)), Err(StoreError::NoSuchRoom));
    let list = |query: RoomQuery| ask(|done| store.rooms(query, done));
    let query = RoomQuery { limit: 4, ..RoomQuery::default() };
    assert_eq!(list(query.clone()).unwrap(), created[..4]);
    assert_eq!(
        list(RoomQuery { after: Some(created[7].id.clone()), ..query.clone() }).unwrap(),
        created[8..]
    );
    let odd =
        RoomQuery { participant: Some("odd".into()), after: Some(created[2].id.clone()), ..query.clone() };
    let expected = [3, 5, 7, 9].map(|number: usize| created[number].clone());
    assert_eq!(list(odd).unwrap(), expected);
    // In the middle of a page the last room seen is deleted, then created anew, later than all others.
    let seen = &created[4].id;
    let rest = RoomQuery { after: Some(seen.clone()), limit: 3, ..RoomQuery::default() };
    ask(|done| store.delete_room(seen, done)).unwrap();
    assert_eq!(list(rest.clone()).unwrap(), created[5..8]);
    let again = NewRoom { id: Some(seen.clone()), ..room(20) };
    ask(|done| store.create_room(again, done)).unwrap();
    assert_eq!(list(rest).unwrap(), created[5..8]);
    // A page of certain rooms is as long as it may be, wherever those are; what is not there is left out.
    let names = [&*created[9].id, "nowhere", &created[1].id, &created[8].id, &created[9].id, &created[7].id];
    let among = RoomQuery { among: Some(names.map(Into::into).into()), limit: 3, ..RoomQuery::default() };
    assert_eq!(list(among.clone()).unwrap(), [1, 7, 8].map(|number: usize| created[number].clone()));
    let behind = RoomQuery { after: Some(created[8].id.clone()), ..among.clone() };
    assert_eq!(list(behind).unwrap(), created[9..]);
    let odd = RoomQuery { participant: Some("odd".into()), limit: 2, ..among };
    assert_eq!(list(odd).unwrap(), [1, 7].map(|number: usize| created[number].clone()));
    let taken = NewRoom { id: Some(created[0].id.clone()), ..room(0) };
    assert_eq!(ask(|done| store.create_room(taken, done)), Err(StoreError::RoomExists));
    let id = &created[5].id;
    assert_eq!(open_room(&store, id).head, 0);
    assert_eq!(&*ask(|done| store.room(id, done)).unwrap().name, "room 5");
}

#[test]
fn a_room_opened_on_first_use_is_known_by_its_id() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    open_room(&store, "lobby");
    let room = ask(|done| store.room("lobby", done)).unwrap();
    assert_eq!((&*room.id, &*room.name, room.created_by, room.created_at), ("lobby", "lobby", None, at(0)));
}

#[test]
fn participants_are_a_set_in_the_order_of_joining() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    open_room(&store, "lobby");
    for user in ["bob", "alice", "bob"] {
        ask(|done| store.join_participant("lobby", user, done)).unwrap();
    }
    let room = ask(|done| store.join_participant("lobby", "carol", done)).unwrap();
    assert_eq!(room.participants, ["bob".into(), "alice".into(), "carol".into()]);
    for _ in 0..2 {
        let room = ask(|done| store.leave_participant("lobby", "bob", done)).unwrap();
        assert_eq!(room.participants, ["alice".into(), "carol".into()]);
    }
    let unknown = ask(|done| store.join_participant("nowhere", "bob", done));
    assert_eq!(unknown, Err(StoreError::NoSuchRoom));
}

#[test]
fn a_deleted_room_takes_its_messages_along_and_leaves_its_id_to_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (store, threads) = open(dir.path());
    let (room, other) = (open_room(&store, "lobby"), open_room(&store, "other").id);
    append(&store, batch(0, 0, room.id, 1..=1_200)).unwrap();
    append(&store, batch(0, 0, other, 1..=10)).unwrap();
    assert_eq!(ask(|done| store.delete_room("lobby", done)), Ok(room.id));
    assert_eq!(ask(|done| store.delete_room("lobby", done)), Err(StoreError::NoSuchRoom));
    // A message that was on its way is no failure, neither of its batch nor of its term.
    let mut late = batch(0, 0, room.id, 1_201..=1_202);
    push(&mut late, other, &message(11));
    append(&store, late).unwrap();
    assert_eq!(read(&store, other, everything()).head, 11);
    let again = open_room(&store, "lobby");
    assert!(again.id != room.id && again.epoch != room.epoch && again.head == 0, "{again:?}");
    let conn = Connection::open(dir.path().join("foghorn.db")).unwrap();
    wait_for(|| {
        let left: u64 = conn.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
        (left == 11).then_some(())
    });
    drop(threads);
}

#[test]
fn an_import_keeps_numbers_and_times_and_refuses_a_room_with_messages() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    let import = |after: Option<u64>, seqs: std::ops::RangeInclusive<u64>| {
        let messages = Import {
            room: "lobby".into(),
            about: None,
            id_epoch: None,
            after,
            messages: seqs.map(message).collect(),
            is_last: true,
        };
        ask(|done| store.import(messages, at(0), done))
    };
    assert!(matches!(import(None, 0..=3), Err(StoreError::Malformed)));
    assert_eq!(ask(|done| store.room("lobby", done)), Err(StoreError::NoSuchRoom));
    assert_eq!(import(None, 41..=50), Ok(50));
    assert_eq!(import(Some(50), 51..=60), Ok(60));
    assert!(matches!(import(Some(50), 51..=60), Err(StoreError::OutOfOrder { .. })));
    assert!(matches!(import(Some(60), 62..=63), Err(StoreError::OutOfOrder { .. })));
    assert_eq!(import(None, 1..=5), Err(StoreError::RoomExists));
    let opened = open_room(&store, "lobby");
    assert_eq!((opened.tail, opened.head), (41, 60));
    assert_eq!(read(&store, opened.id, everything()).messages, (41..=60).map(message).collect::<Vec<_>>());
    append(&store, batch(0, 0, opened.id, 61..=61)).unwrap();
}

#[test]
fn after_a_failed_fsync_nothing_is_stored_and_everything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (store, threads) = open(dir.path());
    let room = open_room(&store, "lobby");
    append(&store, batch(0, 0, room.id, 1..=10)).unwrap();
    let failure = StoreError::Failed("the disk did not confirm a write".into());
    store.backend.monitor().failed(&failure);
    for term in 0..3 {
        assert_eq!(append(&store, batch(0, term, room.id, 11..=11)), Err(failure.clone()));
    }
    assert_eq!(ask(|done| store.create_room(NewRoom::default(), done)), Err(failure.clone()));
    assert_eq!(ask(|done| store.open_room("new", true, at(0), done)), Err(failure));
    assert!(matches!(store.health(), Health::Failed(_)));
    assert_eq!(open_room(&store, "lobby").head, 10);
    assert_eq!(read(&store, room.id, everything()).messages.len(), 10);
    drop(threads);
    let (store, _threads) = open(dir.path());
    let again = open_room(&store, "lobby");
    assert_eq!((again.head, again.epoch == room.epoch), (10, false));
    append(&store, batch(0, 0, room.id, 11..=11)).unwrap();
}

#[test]
fn a_refusal_costs_the_rooms_their_epochs_that_do_not_wait_for_the_store() {
    for durability in [Durability::Async, Durability::Commit] {
        let dir = tempfile::tempdir().unwrap();
        let open =
            || Store::open(directory(dir.path()), Options { durability, ..Options::default() }).unwrap();
        let (store, threads) = open();
        let room = open_room(&store, "lobby");
        append(&store, batch(0, 0, room.id, 1..=10)).unwrap();
        assert_eq!(append_refusing(&store, batch(0, 0, room.id, 12..=12)), Ok(vec![room.id]));
        drop(threads);
        let (store, _threads) = open();
        let again = open_room(&store, "lobby");
        assert_eq!((again.head, again.epoch == room.epoch), (10, durability == Durability::Commit));
    }
}

#[test]
fn a_log_goes_on_under_another_epoch_when_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (store, threads) = open(dir.path());
    let (room, other) = (open_room(&store, "lobby"), open_room(&store, "other"));
    append(&store, batch(0, 0, room.id, 1..=10)).unwrap();
    let renewed = ask(|done| store.renew_room("lobby", room.id, at(0), done)).unwrap();
    assert_eq!((renewed.id, renewed.head, renewed.recent.len()), (room.id, 10, 10));
    assert_ne!(renewed.epoch, room.epoch);
    append(&store, batch(0, 0, room.id, 11..=11)).unwrap();
    assert_eq!(ask(|done| store.renew_room("nowhere", room.id, at(0), done)), Err(StoreError::NoSuchRoom));
    // Another room that has the name of the one that is meant.
    let mistaken = ask(|done| store.renew_room("other", room.id, at(0), done));
    assert_eq!(mistaken, Err(StoreError::NoSuchRoom));
    assert_eq!(open_room(&store, "other").epoch, other.epoch);
    drop(threads);
    let (store, _threads) = open(dir.path());
    let again = open_room(&store, "lobby");
    assert_eq!((again.epoch, again.head), (renewed.epoch, 11));
    assert_eq!(open_room(&store, "other").epoch, other.epoch);
}

#[test]
fn a_room_opened_right_after_an_append_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _threads) = open(dir.path());
    let room = open_room(&store, "lobby").id;
    for seq in 1..=200 {
        store.append(batch(0, 0, room, seq..=seq), Box::new(|_| ())).unwrap();
        assert_eq!(open_room(&store, "lobby").head, seq);
    }
}

#[test]
fn a_panic_of_the_thread_that_writes_is_a_failure_that_everybody_hears_of() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    store.room("lobby", Box::new(|_| panic!("a callback of this test panics"))).unwrap();
    wait_for(|| matches!(store.health(), Health::Failed(_)).then_some(()));
    for _ in 0..3 {
        assert_eq!(append(&store, batch(0, 0, RoomId(1), 1..=1)), Err(StoreError::Stopped));
    }
}

/// Both kinds of store, each with its threads and, if it has one, its directory.
fn both(options: Options) -> Vec<(Store, StoreThreads, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().unwrap();
    let (disk, disk_threads) = Store::open(directory(dir.path()), options.clone()).unwrap();
    let (memory, memory_thread) = Store::open(Location::Memory, options).unwrap();
    vec![(disk, disk_threads, Some(dir)), (memory, memory_thread, None)]
}

#[test]
fn both_stores_answer_the_same() {
    let options = Options { window: Window { messages: 7, bytes: 1 << 20 }, ..Options::default() };
    let answers = both(options).into_iter().map(|(store, threads, _dir)| {
        let room = open_room(&store, "lobby").id;
        append(&store, batch(0, 0, room, 1..=40)).unwrap();
        let settings = RoomSettings { messages_max: Some(30), ..RoomSettings::default() };
        ask(|done| store.configure_room("lobby", settings, done)).unwrap();
        wait_for_tail(&store, room, 11);
        let mut answers = Vec::new();
        for from in [
            ReadFrom::Seq(0),
            ReadFrom::Seq(20),
            ReadFrom::Seq(99),
            ReadFrom::Time(at(25)),
            ReadFrom::Last(3),
        ] {
            for (before, newest_first) in [(None, false), (None, true), (Some(33), false), (Some(12), true)] {
                for bytes_max in [0, 100, 1 << 20] {
                    let page =
                        PageRequest { from, messages_max: 5, bytes_max, newest_first, before, now: at(0) };
                    let page = read(&store, room, page);
                    answers.push(format!("{:?} {} {} {}", page.messages, page.tail, page.head, page.start));
                }
            }
        }
        ask(|done| store.join_participant("lobby", "ann", done)).unwrap();
        let opened = ask(|done| store.open_room("lobby", false, at(45), done)).unwrap();
        answers.push(format!("{:?}", Opened { epoch: 0, ..opened }));
        answers.push(format!("{:?}", ask(|done| store.room("lobby", done))));
        answers.push(format!("{:?}", append_refusing(&store, batch(0, 0, room, 42..=43))));
        answers.push(format!("{:?}", append_refusing(&store, batch(0, 0, RoomId(99), 1..=1))));
        let far = Import {
            room: "far".into(),
            about: None,
            id_epoch: None,
            after: None,
            messages: vec![message_at(SEQ_MAX)],
            is_last: true,
        };
        answers.push(format!("{:?}", ask(|done| store.import(far.clone(), at(0), done))));
        let beyond = Import { after: Some(SEQ_MAX), messages: vec![message_at(SEQ_MAX + 1)], ..far.clone() };
        answers.push(format!("{:?}", ask(|done| store.import(beyond, at(0), done)).is_err()));
        let beyond = Import { room: "beyond".into(), messages: vec![message_at(SEQ_MAX + 1)], ..far };
        answers.push(format!("{:?}", ask(|done| store.import(beyond, at(0), done)).is_err()));
        ask(|done| store.delete_room("lobby", done)).unwrap();
        answers.push(format!("{:?}", append_refusing(&store, batch(0, 0, room, 41..=41))));
        answers.push(format!("{:?}", ask(|done| store.room("lobby", done))));
        drop(threads);
        answers
    });
    let answers: Vec<Vec<String>> = answers.collect();
    for (disk, memory) in answers[0].iter().zip(&answers[1]) {
        assert_eq!(disk, memory);
    }
}

/// A short message with this number, late enough to follow any other.
fn message_at(seq: u64) -> Stored {
    let at = Timestamp::from_micros(NOON + (seq & 0xffff_ffff));
    Stored { seq, at, ..message(1) }
}

#[test]
fn a_room_at_the_highest_number_refuses_alone() {
    for (store, _threads, _dir) in both(Options::default()) {
        let import = Import {
            room: "full".into(),
            about: None,
            id_epoch: None,
            after: None,
            messages: vec![message_at(SEQ_MAX)],
            is_last: true,
        };
        ask(|done| store.import(import, at(0), done)).unwrap();
        let (full, other) = (open_room(&store, "full"), open_room(&store, "other").id);
        let mut both = batch(0, 0, other, 1..=1);
        push(
            &mut both,
            full.id,
            &Stored { at: Timestamp::from_micros(u64::MAX >> 2), ..message_at(SEQ_MAX + 1) },
        );
        push(&mut both, other, &message(2));
        assert_eq!(append_refusing(&store, both), Ok(vec![full.id]));
        assert_eq!(read(&store, other, everything()).head, 2);
        assert_eq!(read(&store, full.id, everything()).head, SEQ_MAX);
    }
}

#[test]
fn a_store_in_memory_keeps_what_its_limits_allow_oldest_first() {
    let limits = |room_messages, room_bytes, bytes| {
        let memory = MemoryLimits { room_messages, room_bytes, bytes, ..MemoryLimits::default() };
        Store::open(Location::Memory, Options { memory, ..Options::default() }).unwrap()
    };
    let long = |seq| Stored {
        content: "x".repeat(1_000).into(),
        sender: "s".into(),
        client_id: None,
        ..message(seq)
    };
    let fill = |store: &Store, room, seqs: std::ops::RangeInclusive<u64>| {
        for seq in seqs {
            let mut batch = RecordBatch::default();
            push(&mut batch, room, &long(seq));
            append(store, batch).unwrap();
        }
    };
    let (store, _threads) = limits(10, 1 << 20, 1 << 20);
    let room = open_room(&store, "lobby").id;
    fill(&store, room, 1..=100);
    let page = read(&store, room, everything());
    assert_eq!((page.tail, page.head, seqs(&page.messages)), (91, 100, (91..=100).collect()));
    assert_eq!(store.evicted(), 90);

    // A message costs 1,065 bytes: 10 of them fit.
    let (store, _threads) = limits(1_000, 11_000, 1 << 20);
    let room = open_room(&store, "lobby").id;
    fill(&store, room, 1..=100);
    assert_eq!(read(&store, room, everything()).tail, 91);

    // All together: the oldest of all rooms goes, in whatever room it is.
    let (store, _threads) = limits(1_000, 1 << 20, 33_000);
    let rooms = ["a", "b", "c"].map(|name| open_room(&store, name).id);
    fill(&store, rooms[0], 1..=20);
    fill(&store, rooms[1], 1..=5);
    let tails = || rooms.map(|room| read(&store, room, everything()).tail);
    assert_eq!(tails(), [1, 1, 1]);
    let late = |seq: u64| Stored { at: at(1_000 + seq), ..long(seq) };
    for seq in 1..=20 {
        let mut batch = RecordBatch::default();
        push(&mut batch, rooms[2], &late(seq));
        append(&store, batch).unwrap();
    }
    let [a, b, c] = tails();
    assert_eq!((a - 1 + b - 1, c), (45 - 30, 1), "{a} {b}");
    assert!(a > 6 && b == 6, "the oldest times went first: {a} {b}");
    // An empty log goes on with its numbers, under its epoch.
    let opened = open_room(&store, "b");
    assert_eq!((opened.tail, opened.head, opened.recent.len()), (6, 5, 0));
    append(&store, batch(0, 0, rooms[1], 6..=6)).unwrap();
}

#[test]
fn a_store_in_memory_has_so_many_rooms_and_deleting_makes_room() {
    let memory = MemoryLimits { rooms: 3, ..MemoryLimits::default() };
    let (store, _threads) = Store::open(Location::Memory, Options { memory, ..Options::default() }).unwrap();
    for name in ["a", "b", "c"] {
        open_room(&store, name);
    }
    let one_more = |now| ask(|done| store.open_room("d", true, now, done));
    assert!(matches!(one_more(at(1)), Err(StoreError::Unavailable(_))));
    ask(|done| store.delete_room("b", done)).unwrap();
    one_more(at(1)).unwrap();
    // What nobody has used for long is forgotten, unless it holds something.
    let a = open_room(&store, "a").id;
    append(&store, batch(0, 0, a, 1..=1)).unwrap();
    ask(|done| store.join_participant("c", "ann", done)).unwrap();
    let later = Timestamp::from_micros(NOON + 3_600_000_000);
    ask(|done| store.open_room("e", true, later, done)).unwrap();
    assert_eq!(ask(|done| store.room("d", done)), Err(StoreError::NoSuchRoom));
    for name in ["a", "c", "e"] {
        ask(|done| store.room(name, done)).unwrap();
    }
}

#[test]
fn a_damaged_room_is_out_of_use_and_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (store, threads) = open(dir.path());
    let (bad, good) = (open_room(&store, "bad").id, open_room(&store, "good").id);
    append(&store, batch(0, 0, bad, 1..=100)).unwrap();
    append(&store, batch(0, 0, good, 1..=100)).unwrap();
    drop(threads);
    let conn = Connection::open(dir.path().join("foghorn.db")).unwrap();
    conn.execute("DELETE FROM messages WHERE room = ?1 AND seq BETWEEN 2 AND 99", [bad.0]).unwrap();
    drop(conn);
    // With an age, the search for what is too old meets the damage, whatever anybody reads.
    let retention = Retention { age_max: Some(Duration::from_secs(1 << 30)), ..Retention::default() };
    let options = Options { retention, ..Options::default() };
    let (store, _threads) = Store::open(directory(dir.path()), options).unwrap();
    let damaged = |error: Option<StoreError>| matches!(error, Some(StoreError::RoomDamaged { room, .. }) if room == bad);
    wait_for(|| {
        let refused = append_refusing(&store, batch(0, 0, bad, 101..=101)).unwrap();
        (refused == [bad]).then_some(())
    });
    assert!(damaged(ask(|done| store.read(bad, everything(), done)).err()));
    assert!(damaged(ask(|done| store.open_room("bad", false, at(0), done)).err()));
    assert_eq!(store.health(), Health::Healthy);
    let mut both = batch(0, 0, good, 101..=101);
    push(&mut both, bad, &message(102));
    push(&mut both, good, &message(102));
    assert_eq!(append_refusing(&store, both), Ok(vec![bad]));
    assert_eq!(open_room(&store, "good").head, 102);
    assert_eq!(store.health(), Health::Healthy);
    // It can be deleted, and then the name is free again.
    ask(|done| store.delete_room("bad", done)).unwrap();
    assert_eq!(open_room(&store, "bad").head, 0);
}

#[test]
fn rooms_that_go_together_are_stored_together_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    for location in [directory(dir.path()), Location::Memory] {
        let (store, _threads) = Store::open(location, Options::default()).unwrap();
        let [one, two, three, alone] =
            ["one", "two", "three", "alone"].map(|name| open_room(&store, name).id);
        let mut batch = batch(0, 0, one, 1..=1);
        push(&mut batch, two, &message(1));
        // It does not follow.
        push(&mut batch, three, &message(7));
        push(&mut batch, alone, &message(1));
        batch.together = vec![vec![one, two], vec![two, three]];
        assert_eq!(append_refusing(&store, batch), Ok(vec![three]), "the others are refused for its sake");
        let heads = ["one", "two", "three", "alone"].map(|name| open_room(&store, name).head);
        assert_eq!(heads, [0, 0, 0, 1]);
        let mut batch = self::batch(0, 0, one, 1..=1);
        push(&mut batch, two, &message(1));
        batch.together = vec![vec![one, two]];
        assert_eq!(append_refusing(&store, batch), Ok(vec![]));
        assert_eq!(["one", "two"].map(|name| open_room(&store, name).head), [1, 1]);
    }
}

#[test]
fn an_import_that_was_not_finished_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, threads) = open(dir.path());
    open_room(&store, "there");
    ask(|done| store.join_participant("there", "ann", done)).unwrap();
    let import = |store: &Store, room: &str, after, seqs: std::ops::RangeInclusive<u64>, is_last| {
        let import = Import {
            room: room.into(),
            about: None,
            id_epoch: None,
            after,
            messages: seqs.map(message).collect(),
            is_last,
        };
        ask(|done| store.import(import, at(0), done)).unwrap()
    };
    import(&store, "there", None, 5..=10, false);
    import(&store, "new", None, 1..=10, false);
    import(&store, "new", Some(10), 11..=20, false);
    import(&store, "whole", None, 1..=10, false);
    import(&store, "whole", Some(10), 11..=11, true);
    import(&store, "undone", None, 1..=10, false);
    ask(|done| store.take_back_import("undone", done)).unwrap();
    assert_eq!(ask(|done| store.room("undone", done)), Err(StoreError::NoSuchRoom));
    drop(threads);
    let (store, _threads) = open(dir.path());
    assert_eq!(ask(|done| store.room("new", done)), Err(StoreError::NoSuchRoom));
    assert_eq!(open_room(&store, "whole").head, 11);
    let there = open_room(&store, "there");
    assert_eq!((there.tail, there.head), (1, 0));
    assert_eq!(ask(|done| store.room("there", done)).unwrap().participants, ["ann".into()]);
    import(&store, "there", None, 5..=10, true);
}

#[test]
fn a_stalled_reader_of_another_program_cannot_make_the_log_grow_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { log_bytes_max: 2 << 20, ..Options::default() };
    let (store, _threads) = Store::open(directory(dir.path()), options).unwrap();
    let room = open_room(&store, "lobby").id;
    append(&store, batch(0, 0, room, 1..=10)).unwrap();
    let outside = Connection::open(dir.path().join("foghorn.db")).unwrap();
    let reading = outside.unchecked_transaction().unwrap();
    let _: u64 = reading.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    let (mut seq, mut term) = (10, 0);
    let refused = loop {
        let mut batch = RecordBatch { term, ..RecordBatch::default() };
        push(&mut batch, room, &Stored { content: "x".repeat(50_000).into(), ..message(seq + 1) });
        match append(&store, batch) {
            Ok(()) => seq += 1,
            Err(error) => break error,
        }
        assert!(seq < 200, "nobody stops the log");
    };
    assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("another program")), "{refused}");
    let log = fs::metadata(dir.path().join("foghorn.db-wal")).unwrap().len();
    assert!(log < 4 << 20, "{log} bytes");
    assert!(store.log_limit_hits() > 0);
    // A snapshot would hold the log up, too.
    let id = ask(|done| store.begin_backup(done)).unwrap();
    let given_up = wait_for(|| ask(|done| store.read_backup(id, 0, done)).err());
    assert!(matches!(&given_up, BackupError::Failed(why) if why.contains("log_bytes")), "{given_up}");
    drop(reading);
    wait_for(|| {
        term += 1;
        let mut batch = RecordBatch { term, ..RecordBatch::default() };
        push(&mut batch, room, &message(seq + 1));
        append(&store, batch).is_ok().then_some(())
    });
}

/// A JOIN or LEAVE of this stay.
fn notice(room: RoomId, seq: u64, kind: Kind, stay: u64) -> RecordBatch {
    let mut batch = RecordBatch::default();
    let presence = Some(StoredPresence { username: format!("user {stay}").into(), online: seq });
    push(&mut batch, room, &Stored { kind, presence, ..message(seq) });
    if let Some(presence) = &mut batch.records[0].presence {
        presence.stay = Some(StayId(stay));
    }
    batch
}

#[test]
fn a_stay_lasts_from_its_join_to_its_leave_whatever_becomes_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let stays = |opened: &Opened| opened.open_stays.iter().map(|stay| stay.id.0).collect::<Vec<_>>();
    let (store, threads) = open(dir.path());
    let (room, other) = (open_room(&store, "room").id, open_room(&store, "other").id);
    for (seq, stay) in [(1, u64::MAX), (2, 7), (3, 5)] {
        append(&store, notice(room, seq, Kind::Join, stay)).unwrap();
    }
    append(&store, notice(other, 1, Kind::Join, 7)).unwrap();
    append(&store, notice(room, 4, Kind::Leave, 7)).unwrap();
    // What is refused begins and ends nothing.
    for refused in [notice(room, 9, Kind::Join, 8), notice(room, 9, Kind::Leave, 5)] {
        let answer = ask(|done| store.append(refused, done)).unwrap();
        assert_eq!(answer.refused, [room]);
    }
    assert_eq!(stays(&open_room(&store, "room")), [u64::MAX, 5], "in the order of their JOINs");
    drop((store, threads));

    let (store, _threads) = open(dir.path());
    let opened = open_room(&store, "room");
    let username = "user 5".into();
    assert_eq!(opened.open_stays[1], OpenStay { id: StayId(5), username });
    assert_eq!(opened.recent[3].presence, Some(StoredPresence { username: "user 7".into(), online: 4 }));
    append(&store, notice(room, 5, Kind::Leave, 5)).unwrap();
    assert_eq!(stays(&open_room(&store, "room")), [u64::MAX]);
    assert_eq!(stays(&open_room(&store, "other")), [7]);
    ask(|done| store.delete_room("room", done)).unwrap();
    assert!(stays(&open_room(&store, "room")).is_empty());
}
