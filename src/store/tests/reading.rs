//! Rooms are opened, their pages read, their epochs changed.

use super::*;

on_disk!(what_was_stored_is_there_after_reopening);

fn what_was_stored_is_there_after_reopening(place: &Place) {
    let (store, threads) = place.open(Options::default());
    let room = open_room(&store, "lobby");
    assert_eq!((room.head, room.tail, room.recent.len()), (0, 1, 0));
    append(&store, batch(0, 0, room.id, 1..=500)).unwrap();
    drop(threads);
    let (store, _threads) = place.open(Options::default());
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
    Connection::open(&path).unwrap().execute_batch(include_str!("../sqlite/fixtures/schema_4.sql")).unwrap();
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

on_every_store!(an_opened_room_brings_its_newest_messages_and_ids_within_the_limits);

fn an_opened_room_brings_its_newest_messages_and_ids_within_the_limits(place: &Place) {
    let options = Options {
        window: Window { messages: 10, bytes: 1 << 20 },
        dedup_window: Duration::from_millis(20),
        ..Options::default()
    };
    let (store, _threads) = place.open(options);
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

on_every_store!(pages_end_by_count_and_bytes_and_begin_by_number_time_or_count);

fn pages_end_by_count_and_bytes_and_begin_by_number_time_or_count(place: &Place) {
    let (store, _threads) = place.open(Options::default());
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

on_disk!(a_log_goes_on_under_another_epoch_when_that_is_asked_for);

fn a_log_goes_on_under_another_epoch_when_that_is_asked_for(place: &Place) {
    let (store, threads) = place.open(Options::default());
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
    let (store, _threads) = place.open(Options::default());
    let again = open_room(&store, "lobby");
    assert_eq!((again.epoch, again.head), (renewed.epoch, 11));
    assert_eq!(open_room(&store, "other").epoch, other.epoch);
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

on_disk!(a_stay_lasts_from_its_join_to_its_leave_whatever_becomes_of_the_process);

fn a_stay_lasts_from_its_join_to_its_leave_whatever_becomes_of_the_process(place: &Place) {
    let stays = |opened: &Opened| opened.open_stays.iter().map(|stay| stay.id.0).collect::<Vec<_>>();
    let (store, threads) = place.open(Options::default());
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

    let (store, _threads) = place.open(Options::default());
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
