//! Rooms are created, listed, joined, deleted, imported.

use super::*;

on_every_store!(rooms_are_created_listed_in_pages_and_found);

fn rooms_are_created_listed_in_pages_and_found(place: &Place) {
    let (store, _threads) = place.open(Options::default());
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
    assert_eq!(created[3].participants, [Box::<str>::from("odd")]);
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

on_every_store!(a_room_opened_on_first_use_is_known_by_its_id);

fn a_room_opened_on_first_use_is_known_by_its_id(place: &Place) {
    let (store, _threads) = place.open(Options::default());
    open_room(&store, "lobby");
    let room = ask(|done| store.room("lobby", done)).unwrap();
    assert_eq!((&*room.id, &*room.name, room.created_by, room.created_at), ("lobby", "lobby", None, at(0)));
}

on_every_store!(participants_are_a_set_in_the_order_of_joining);

fn participants_are_a_set_in_the_order_of_joining(place: &Place) {
    let (store, _threads) = place.open(Options::default());
    open_room(&store, "lobby");
    for user in ["bob", "alice", "bob"] {
        ask(|done| store.join_participant("lobby", user, done)).unwrap();
    }
    let room = ask(|done| store.join_participant("lobby", "carol", done)).unwrap();
    assert_eq!(room.participants, ["bob", "alice", "carol"].map(Box::<str>::from));
    for _ in 0..2 {
        let room = ask(|done| store.leave_participant("lobby", "bob", done)).unwrap();
        assert_eq!(room.participants, ["alice", "carol"].map(Box::<str>::from));
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

on_every_store!(an_import_keeps_numbers_and_times_and_refuses_a_room_with_messages);

fn an_import_keeps_numbers_and_times_and_refuses_a_room_with_messages(place: &Place) {
    let (store, _threads) = place.open(Options::default());
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

on_disk!(an_import_that_was_not_finished_is_taken_back);

fn an_import_that_was_not_finished_is_taken_back(place: &Place) {
    let (store, threads) = place.open(Options::default());
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
    let (store, _threads) = place.open(Options::default());
    assert_eq!(ask(|done| store.room("new", done)), Err(StoreError::NoSuchRoom));
    assert_eq!(open_room(&store, "whole").head, 11);
    let there = open_room(&store, "there");
    assert_eq!((there.tail, there.head), (1, 0));
    assert_eq!(ask(|done| store.room("there", done)).unwrap().participants, [Box::<str>::from("ann")]);
    import(&store, "there", None, 5..=10, true);
}
