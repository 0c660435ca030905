//! The store in memory: as the other one, within its limits.

use super::*;

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
fn both_stores_answer_the_same() {
    assert_same(&Place::directory(), &Place::Memory);
}

/// Whether two stores answer many questions alike.
pub(super) fn assert_same(one: &Place, other: &Place) {
    for (one, other) in answers(one).iter().zip(&answers(other)) {
        assert_eq!(one, other);
    }
}

fn answers(place: &Place) -> Vec<String> {
    let options = Options { window: Window { messages: 7, bytes: 1 << 20 }, ..Options::default() };
    let (store, _threads) = place.open(options);
    let room = open_room(&store, "lobby").id;
    append(&store, batch(0, 0, room, 1..=40)).unwrap();
    let settings = RoomSettings { messages_max: Some(30), ..RoomSettings::default() };
    ask(|done| store.configure_room("lobby", settings, done)).unwrap();
    wait_for_tail(&store, room, 11);
    let mut answers = Vec::new();
    for from in
        [ReadFrom::Seq(0), ReadFrom::Seq(20), ReadFrom::Seq(99), ReadFrom::Time(at(25)), ReadFrom::Last(3)]
    {
        for (before, newest_first) in [(None, false), (None, true), (Some(33), false), (Some(12), true)] {
            for bytes_max in [0, 100, 1 << 20] {
                let page = PageRequest { from, messages_max: 5, bytes_max, newest_first, before, now: at(0) };
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
    answers
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
