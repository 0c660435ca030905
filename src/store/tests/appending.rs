//! Batches are stored together, in order, or refused.

use super::*;

on_every_store!(batches_of_many_shards_are_stored_together);

fn batches_of_many_shards_are_stored_together(place: &Place) {
    let (store, _threads) = place.open(Options::default());
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

on_every_store!(a_room_whose_messages_do_not_follow_is_refused_alone);

fn a_room_whose_messages_do_not_follow_is_refused_alone(place: &Place) {
    let (store, _threads) = place.open(Options::default());
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

on_every_store!(time_in_a_room_never_stands_still_or_goes_back);

fn time_in_a_room_never_stands_still_or_goes_back(place: &Place) {
    let (store, _threads) = place.open(Options::default());
    let room = open_room(&store, "a").id;
    let mut late = RecordBatch::default();
    push(&mut late, room, &message(1));
    push(&mut late, room, &Stored { at: at(1), ..message(2) });
    assert_eq!(append_refusing(&store, late), Ok(vec![room]));
    assert_eq!(read(&store, room, everything()).head, 0);
}

on_every_store!(messages_behind_a_hole_and_rooms_that_never_were_are_refused_alone);

fn messages_behind_a_hole_and_rooms_that_never_were_are_refused_alone(place: &Place) {
    let (store, _threads) = place.open(Options::default());
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

on_every_store!(a_room_at_the_highest_number_refuses_alone);

fn a_room_at_the_highest_number_refuses_alone(place: &Place) {
    let (store, _threads) = place.open(Options::default());
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

on_every_store!(rooms_that_go_together_are_stored_together_or_not_at_all);

fn rooms_that_go_together_are_stored_together_or_not_at_all(place: &Place) {
    let (store, _threads) = place.open(Options::default());
    let [one, two, three, alone] = ["one", "two", "three", "alone"].map(|name| open_room(&store, name).id);
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

on_every_store!(a_room_opened_right_after_an_append_shows_it);

fn a_room_opened_right_after_an_append_shows_it(place: &Place) {
    let (store, _threads) = place.open(Options::default());
    let room = open_room(&store, "lobby").id;
    for seq in 1..=200 {
        store.append(batch(0, 0, room, seq..=seq), Box::new(|_| ())).unwrap();
        assert_eq!(open_room(&store, "lobby").head, seq);
    }
}
