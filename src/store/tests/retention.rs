//! What is deleted when.

use super::*;

on_every_store!(retention_deletes_the_oldest_by_count_bytes_and_age);

fn retention_deletes_the_oldest_by_count_bytes_and_age(place: &Place) {
    let ages = Retention { age_max: Some(Duration::from_secs(3600)), ..Retention::default() };
    let cases = [
        (Retention { messages_max: Some(700), ..Retention::default() }, 1_301),
        (Retention { messages_max: Some(0), ..Retention::default() }, 2_001),
        (Retention { bytes_max: Some(1), ..Retention::default() }, 2_000),
        (ages, 2_001),
    ];
    for (retention, tail) in cases {
        let options = Options { retention, ..Options::default() };
        let place = place.another();
        let (store, _threads) = place.open(options);
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

on_every_store!(what_is_kept_no_longer_is_not_read_although_it_is_not_deleted_yet);

fn what_is_kept_no_longer_is_not_read_although_it_is_not_deleted_yet(place: &Place) {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let retention = Retention { age_max: Some(1_000 * YEAR), ..Retention::default() };
    let options = Options { retention, ..Options::default() };
    let (store, _threads) = place.open(options);
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

on_disk!(retention_of_a_room_goes_before_the_configuration_and_applies_after_a_restart);

fn retention_of_a_room_goes_before_the_configuration_and_applies_after_a_restart(place: &Place) {
    let (store, threads) = place.open(Options::default());
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
    let (store, _threads) = place.open(options);
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
