//! What becomes of messages when Redis, or the way to it, fails.

use std::time::Duration;

use super::kit::{Node, PATIENCE, Redis, ask, eventually, options, said, say_until_stored};
use super::proxy::Proxy;
use crate::rooms::store_api::{Placed, ReadFrom, RoomSettings};
use crate::store::Health;
use crate::system::instant;

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_message_whose_answer_is_lost_is_stored_once() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let (node, other) = (Node::with(options(proxy.url())), Node::start(&redis));
    let (room, seen) = (node.follow("lobby"), other.follow("lobby"));
    assert_eq!(node.say(&room, "first"), Placed::At(1));
    for round in 0..5 {
        let (lost, next) = (format!("lost {round}"), format!("next {round}"));
        proxy.lose_answer_to(&lost);
        // It is asked for again under its number, within the time that a publisher waits.
        assert_eq!(node.say(&room, &lost), Placed::At(2 * round + 2));
        assert!(proxy.has_lost());
        assert_eq!(node.say(&room, &next), Placed::At(2 * round + 3));
    }
    seen.wait_for(11);
    room.wait_for(11);
    assert_eq!(seen.view().messages, room.view().messages);
    assert_eq!(node.read(room.id, ReadFrom::Seq(0)).unwrap().head, 11);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_node_that_is_cut_off_says_so_in_time_and_catches_up() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let (node, other) = (Node::with(options(proxy.url())), Node::start(&redis));
    let (room, seen) = (node.follow("lobby"), other.follow("lobby"));
    assert_eq!(node.say(&room, "first"), Placed::At(1));
    proxy.cut();
    let began = instant();
    // It went into the connection just before that broke, as far as the node knows.
    assert!(matches!(node.say(&room, "in doubt"), Placed::Unavailable | Placed::NotStored));
    assert_eq!(node.say(&room, "never sent"), Placed::NotStored);
    assert!(began.elapsed() < PATIENCE);
    assert!(matches!(node.store.health(), Health::Unavailable(_)));
    assert!(node.try_follow("another", true).is_err());
    for count in 0..500 {
        assert!(matches!(other.say(&seen, &format!("{count}")), Placed::At(_)));
    }
    proxy.mend();
    eventually("a node that is well again", || node.store.health() == Health::Healthy);
    let last = say_until_stored(&node, &room, "again");
    [&room, &seen].into_iter().for_each(|room| room.wait_for(last));
    assert_eq!(seen.view().messages, room.view().messages);
    assert!((502..=503).contains(&last));
    assert!(!seen.view().contents().contains(&"never sent"));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_node_that_hears_nothing_any_more_finds_out() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let (node, other) = (Node::with(options(proxy.url())), Node::start(&redis));
    let (room, seen) = (node.follow("lobby"), other.follow("lobby"));
    assert_eq!(other.say(&seen, "first"), Placed::At(1));
    room.wait_for(1);
    proxy.mute_listeners();
    for seq in 2..=5 {
        assert_eq!(other.say(&seen, "unheard"), Placed::At(seq));
    }
    // What it says itself has its place behind what it has not heard.
    assert_eq!(node.say(&room, "own"), Placed::At(6));
    room.wait_for(6);
    seen.wait_for(6);
    assert_eq!(room.view().messages, seen.view().messages);
    // It listens again: each of these is announced once the one before was heard.
    for seq in 7..=9 {
        assert_eq!(other.say(&seen, "heard"), Placed::At(seq));
        room.wait_for(seq);
    }
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_that_stands_still_keeps_nobody_waiting_and_loses_nothing() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    assert_eq!(nodes[0].say(&rooms[0], "first"), Placed::At(1));
    redis.signal("STOP");
    for node in [0, 1] {
        assert!(matches!(nodes[node].say(&rooms[node], "in doubt"), Placed::Unavailable | Placed::NotStored));
    }
    redis.signal("CONT");
    let last = say_until_stored(&nodes[0], &rooms[0], "last");
    rooms.iter().for_each(|room| room.wait_for(last));
    eventually("the same on both nodes", || {
        let head = rooms[0].view().head();
        rooms[1].view().head() == head && nodes[0].read(rooms[0].id, ReadFrom::Last(1)).unwrap().head == head
    });
    assert_eq!(rooms[0].view().messages, rooms[1].view().messages);
    let view = rooms[0].view();
    assert!(view.contents().iter().filter(|said| **said == "in doubt").count() <= 2);
    assert_eq!(view.contents().iter().filter(|said| **said == "last").count(), 1);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn all_that_is_forgotten_is_told_by_a_new_epoch() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    for seq in 1..=3 {
        assert_eq!(nodes[0].say(&rooms[0], &format!("{seq}")), Placed::At(seq));
    }
    rooms[1].wait_for(3);
    redis.command(&["FLUSHALL"]);
    assert_eq!(nodes[0].say(&rooms[0], "after"), Placed::At(1));
    assert_eq!(rooms[0].view().contents(), ["after"]);
    eventually("a new epoch on the other node", || rooms[1].view().contents() == ["after"]);
    let epochs = rooms[0].view().epochs.clone();
    assert_eq!(epochs.len(), 2);
    assert_eq!(rooms[1].view().epochs, epochs);
    assert_eq!(nodes[1].say(&rooms[1], "more"), Placed::At(2));
    rooms[0].wait_for(2);
    assert_eq!(rooms[0].view().messages, rooms[1].view().messages);
    let late = Node::start(&redis).follow("lobby");
    assert_eq!(late.view().epochs, epochs[1..]);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_that_comes_back_with_less_begins_a_new_epoch() {
    let mut redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    assert_eq!(nodes[0].say(&rooms[0], "kept"), Placed::At(1));
    redis.command(&["SAVE"]);
    for seq in 2..=4 {
        assert_eq!(nodes[1].say(&rooms[1], &format!("lost {seq}")), Placed::At(seq));
    }
    rooms[0].wait_for(4);
    redis.kill();
    redis.run();
    let seq = say_until_stored(&nodes[1], &rooms[1], "after");
    assert_eq!(seq, 2);
    for room in &rooms {
        eventually("what was kept and what came after", || room.view().contents() == ["kept", "after"]);
        assert_eq!(room.view().epochs.len(), 2);
    }
    assert_eq!(rooms[0].view().epochs, rooms[1].view().epochs);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_room_that_nobody_says_anything_in_hears_that_something_was_lost() {
    let mut redis = Redis::start();
    let node = Node::start(&redis);
    let (quiet, busy) = (node.follow("quiet"), node.follow("busy"));
    redis.command(&["SAVE"]);
    assert_eq!(node.say(&quiet, "lost"), Placed::At(1));
    assert_eq!(node.say(&busy, "lost"), Placed::At(1));
    redis.kill();
    redis.run();
    eventually("a new epoch without a word", || {
        quiet.view().epochs.len() == 2 && busy.view().epochs.len() == 2
    });
    assert!(quiet.view().contents().is_empty());
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_room_that_was_deleted_and_made_anew_is_another_one() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    assert_eq!(nodes[0].append(said(rooms[0].id, "old", Some("x"))), [Placed::At(1)]);
    rooms[1].wait_for(1);
    let deleted = ask(|done| nodes[0].store.delete_room("lobby", done)).unwrap();
    // If the announcement was quicker, the room is gone here by then, and has no name any more.
    assert!(deleted == rooms[0].id || rooms[0].view().is_deleted);
    for room in &rooms {
        eventually("that it is deleted", || room.view().is_deleted);
    }
    assert_eq!(nodes[1].say(&rooms[1], "late"), Placed::Nothing);
    assert!(nodes[1].try_follow("lobby", false).is_err());
    let anew = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    assert!(anew[0].id != rooms[0].id && anew[1].id != rooms[1].id);
    assert_eq!(nodes[0].say(&rooms[0], "late"), Placed::Nothing);
    assert_eq!(nodes[0].append(said(anew[0].id, "new", Some("x"))), [Placed::At(1)]);
    anew[1].wait_for(1);
    assert_eq!(anew[1].view().contents(), ["new"]);
    assert_eq!(rooms[0].view().contents(), ["old"]);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_room_keeps_what_it_is_to_keep() {
    let redis = Redis::start();
    let mut few = options(redis.url());
    few.store.retention.messages_max = Some(3);
    few.store.retention.age_max = Some(Duration::from_secs(3_600));
    let node = Node::with(few);
    let room = node.follow("lobby");
    for seq in 1..=10 {
        assert_eq!(node.say(&room, &format!("{seq}")), Placed::At(seq));
    }
    let gone_at = room.view().messages[6].at;
    let page = node.read(room.id, ReadFrom::Seq(0)).unwrap();
    assert_eq!((page.tail, page.start, page.gone_at, page.messages.len()), (8, 7, gone_at, 3));
    let mut old = options(redis.url());
    old.store.retention.age_max = Some(Duration::from_millis(1));
    let node = Node::with(old);
    let again = node.follow("lobby");
    eventually("that all is too old", || node.read(again.id, ReadFrom::Seq(0)).unwrap().messages.is_empty());
    let page = node.read(again.id, ReadFrom::Seq(0)).unwrap();
    assert_eq!((page.tail, page.head), (11, 10));
    assert_eq!(node.say(&again, "11"), Placed::At(11));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_room_keeps_no_more_bytes_than_it_is_to_keep() {
    let redis = Redis::start();
    let node = Node::start(&redis);
    let room = node.follow("lobby");
    for seq in 1..=5 {
        assert_eq!(node.say(&room, "1234567"), Placed::At(seq));
    }
    let bytes_max = |bytes| {
        let settings = RoomSettings { bytes_max: Some(bytes), ..RoomSettings::default() };
        ask(|done| node.store.configure_room("lobby", settings, done)).unwrap();
    };
    let tail = || node.read(room.id, ReadFrom::Seq(0)).unwrap().tail;
    // "ann" is a part of each.
    bytes_max(35);
    assert_eq!(tail(), 3);
    assert_eq!(node.say(&room, "1234567"), Placed::At(6));
    assert_eq!(tail(), 4);
    assert_eq!(node.say(&room, "12345678901234567"), Placed::At(7));
    assert_eq!(tail(), 6);
    assert_eq!(node.say(&room, &"x".repeat(100)), Placed::At(8));
    assert_eq!(tail(), 8, "the newest is kept, of any size");
    bytes_max(0);
    for seq in 9..=12 {
        assert_eq!(node.say(&room, &"x".repeat(100)), Placed::At(seq));
    }
    assert_eq!(tail(), 8);
    bytes_max(210);
    assert_eq!(tail(), 11);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn what_is_missing_in_a_stream_is_a_gap() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    for seq in 1..=70 {
        assert_eq!(nodes[0].say(&rooms[0], &format!("{seq}")), Placed::At(seq));
    }
    let stream = crate::cluster::partition::Partition::of("lobby").stream("lobby");
    let read = |from| {
        let page = nodes[0].read(rooms[0].id, from).unwrap();
        (page.tail, page.start, page.messages.first().map(|first| first.seq), page.messages.len())
    };
    assert_eq!(read(ReadFrom::Seq(0)), (1, 0, Some(1), 70));
    redis.command(&["XDEL", &stream, "1-0"]);
    assert_eq!(read(ReadFrom::Seq(0)), (2, 1, Some(2), 69));
    redis.command(&["XDEL", &stream, "40-0"]);
    assert_eq!(Node::start(&redis).follow("lobby").view().from, 40);
    assert_eq!(read(ReadFrom::Seq(1)), (41, 40, Some(41), 30));
    assert_eq!(read(ReadFrom::Last(5)), (41, 65, Some(66), 5));
    redis.command(&["DEL", &stream]);
    assert_eq!(nodes[1].say(&rooms[1], "71"), Placed::At(71));
    assert_eq!(read(ReadFrom::Seq(50)), (71, 70, Some(71), 1));
    rooms[0].wait_for(71);
    assert_eq!(rooms[0].view().epochs.len(), 1, "who was there has missed nothing");
    assert_eq!(rooms[0].view().contents().len(), 71);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn foreign_words_do_no_harm() {
    let redis = Redis::start();
    let node = Node::start(&redis);
    let (room, other) = (node.follow("lobby"), node.follow("other"));
    assert_eq!(node.say(&room, "first"), Placed::At(1));
    let partition = crate::cluster::partition::Partition::of("lobby");
    let channel = partition.channel("lobby");
    for payload in ["", "D", "x", "1\n", "1,1\n11", "99999999999999999999\n", "D0000000000000000"] {
        redis.command(&["SPUBLISH", &channel, payload]);
    }
    assert_eq!(node.say(&room, "second"), Placed::At(2));
    assert_eq!(room.view().contents(), ["first", "second"]);
    redis.command(&["XADD", &partition.stream("lobby"), "*", "foreign", "entry"]);
    assert_eq!(node.say(&room, "third"), Placed::NotStored);
    redis.command(&["DEL", &partition.room("lobby")]);
    redis.command(&["SET", &partition.room("lobby"), "foreign"]);
    assert_eq!(node.say(&room, "third"), Placed::NotStored);
    assert!(node.read(room.id, ReadFrom::Seq(0)).is_err());
    assert_eq!(node.say(&other, "the others go on"), Placed::At(1));
}
