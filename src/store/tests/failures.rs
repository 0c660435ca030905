//! Disks that are full or fail, files that are damaged or in use, threads that end.

use super::*;

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
fn a_panic_of_the_thread_that_writes_is_a_failure_that_everybody_hears_of() {
    let (store, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
    store.room("lobby", Box::new(|_| panic!("a callback of this test panics"))).unwrap();
    wait_for(|| matches!(store.health(), Health::Failed(_)).then_some(()));
    for _ in 0..3 {
        assert_eq!(append(&store, batch(0, 0, RoomId(1), 1..=1)), Err(StoreError::Stopped));
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
