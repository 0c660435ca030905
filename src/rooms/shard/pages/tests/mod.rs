//! Members, polls and what the store reads for them, one event after the other, under virtual time.
//!
//! `world` is what they have in common.

mod world;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::rooms::api::command::Command;
use crate::rooms::api::effect::StoreAnswer;
use crate::rooms::api::poll::PollResult;
use crate::rooms::api::settings::{Durability, Retention};
use crate::rooms::api::store::{Opened, Page, ReadFrom};
use crate::rooms::ids::{Arena, MemberKey, RoomId, RoomKey};
use crate::rooms::log::encoding::{Encoding, Entry};
use crate::rooms::message::notice::Notice;
use crate::rooms::reasons::RejectReason;
use crate::rooms::shard::state::RoomSlot;
use crate::rooms::values::{Fault, Format, Position, Start};
use world::{Ear, HOUR, World, after, at, numbers, opened, page, told};

#[test]
fn a_page_of_one_room_never_comes_as_another_rooms() {
    let mut world = World::new([("a", opened("a", 300)), ("b", opened("b", 500))]);
    let in_a = world.join(1, "a", after(0));
    let (old, _) = world.read();
    world.leave(1);
    // The same key, the same session, another room, and the same position.
    let in_b = world.join(1, "b", after(0));
    let (new, request) = world.read();
    assert_eq!((world.room_read, request.from), (Some(RoomId(98)), ReadFrom::Seq(0)));
    world.answer(old, page("a", 0, 256, 200));
    assert_eq!((in_a.frames(), in_b.frames()), (vec![], vec![]));
    world.answer(new, page("b", 0, 2, 1));
    assert_eq!(in_b.frames()[1]["content"], "b2");
    let newcomer = world.join(2, "b", after(0));
    let (reader, _) = world.read();
    assert_eq!(newcomer.heard(), [], "nobody has told it of a gap");
    world.answer(reader, page("b", 2, 3, 1));
}

#[test]
fn a_member_that_leaves_and_comes_back_at_once_gets_every_message_once() {
    let mut world = World::new([("b", opened("b", 6))]);
    world.join(1, "b", after(0));
    let (old, _) = world.read();
    world.leave(1);
    let ear = world.join(1, "b", after(1));
    let (new, _) = world.read();
    assert!(world.reads.is_empty(), "one page at a time for each member");
    world.answer(old, page("b", 0, 3, 1));
    assert_eq!(ear.heard(), []);
    world.answer(new, page("b", 1, 3, 1));
    assert_eq!(ear.heard(), (2..=6).map(|seq| (seq, seq)).collect::<Vec<_>>());
}

#[test]
fn a_page_that_does_not_fit_is_asked_for_again_and_is_no_gap() {
    let mut world = World::new([("b", opened("b", 6))]);
    let ear = world.join(1, "b", after(0));
    for misfit in [page("b", 2, 4, 1), page("b", 0, 0, 1)] {
        let (reader, _) = world.read();
        world.answer(reader, misfit);
    }
    let (reader, request) = world.read();
    assert_eq!((ear.heard(), request.from), (vec![], ReadFrom::Seq(0)));
    world.answer(reader, page("b", 0, 3, 1));
    assert_eq!(ear.heard(), (1..=6).map(|seq| (seq, seq)).collect::<Vec<_>>());
    // A store that never has what it should have is no reason to ask for ever.
    let ear = world.join(2, "b", after(0));
    for _ in 0..4 {
        let (reader, _) = world.read();
        world.answer(reader, page("b", 0, 0, 1));
    }
    assert_eq!(
        (ear.heard(), &world.closed[..], world.reads.len()),
        (vec![], &[RejectReason::Unavailable][..], 0)
    );
}

/// An `async` room whose last messages the store has refused: it keeps 101 to 105, and #106 to #110 were shown.
fn break_link() -> (World, Ear) {
    let opened = Opened { durability: Durability::Async, ..opened("b", 105) };
    let mut world = World::new([("b", opened)]);
    let ear = world.join(1, "b", Start::Live);
    for number in 106..=115 {
        world.publish(1, &number.to_string());
        world.store(number == 0);
    }
    assert_eq!(ear.heard().len(), 10);
    (world, ear)
}

#[test]
fn a_poll_between_the_store_and_the_window_is_told_what_is_lost_and_goes_on() {
    let (mut world, _ear) = break_link();
    for (start, first) in [(after(107), 108), (Start::Since(at(105)), 106)] {
        let poll = world.poll("b", start, HOUR);
        let result = poll.lock().unwrap().take().expect("an answer").expect("result");
        let PollResult::Stored(backlog) = result else { unreachable!("{result:?}") };
        let request = backlog.request(100, 1 << 20);
        let start = if let ReadFrom::Seq(seq) = request.from { seq } else { 105 };
        let history = backlog.history("b", &Page { start, ..page("b", 105, 105, 1) }).expect("result");
        assert_eq!((history.gap, history.position.seq), (Some((first, 112)), 112));
        let poll = world.poll("b", after(112), HOUR);
        assert_eq!(told(&poll).0, [(113, 113), (114, 114), (115, 115)]);
    }
}

#[test]
fn a_new_epoch_is_told_to_members_that_read_and_to_polls() {
    let (mut world, live) = break_link();
    let reading = world.join(2, "b", after(0));
    let (old, _) = world.read();
    let poll = world.poll("b", after(115), HOUR);
    assert!(poll.lock().unwrap().is_none());
    // The first attempt was refused, too.
    world.run_until_quiet();
    let room = old.of.room;
    let renewed = Opened { epoch: 8, durability: Durability::Async, ..opened("b", 105) };
    world.shard.answer(StoreAnswer::Opened { room, opened: Ok(Box::new(renewed)) }, world.now);
    world.run_until_quiet();
    let (gap, position) = told(&poll);
    assert_eq!((gap, position), (vec![(1, 105)], Position { epoch: 8, seq: 105 }));
    let last = reading.frames().pop().expect("a gap");
    assert_eq!((numbers(&last), &last["epoch"]), ((1, 105), &json!("0000000000000008")));
    assert_eq!(live.heard(), [(1, 105)]);
    world.answer(old, page("b", 0, 100, 1));
    world.publish(1, "new");
    world.store(true);
    assert_eq!((live.heard(), reading.heard()), (vec![(106, 106)], vec![(106, 106)]));
    let poll = world.poll("b", Start::After { seq: 115, epoch: Some(7) }, HOUR);
    assert_eq!(told(&poll).0, [(1, 106)]);
}

#[test]
fn a_member_is_told_of_a_new_epoch_although_it_missed_nothing() {
    let mut world = World::new([("b", Opened { durability: Durability::Async, ..opened("b", 0) })]);
    let ear = world.join(1, "b", Start::Live);
    world.publish(1, "one");
    world.store(false);
    world.run_until_quiet();
    let (room, _) = room_of(&mut world);
    let renewed = Opened { epoch: 8, durability: Durability::Async, ..opened("b", 0) };
    world.shard.answer(StoreAnswer::Opened { room, opened: Ok(Box::new(renewed)) }, world.now);
    assert_eq!(ear.heard(), [(1, 1), (0, 0)], "nothing stands in the new log");
    let stranger = world.join(2, "b", Start::After { seq: 5, epoch: Some(1) });
    assert_eq!(stranger.heard(), [(0, 0)]);
    let first = world.join(3, "b", Start::After { seq: 0, epoch: Some(0) });
    assert_eq!(first.heard(), [], "before the first entry of any epoch");
}

/// The key of the one room.
fn room_of(world: &mut World) -> (RoomKey, usize) {
    let (index, entry) = world.shard.rooms.iter().next().expect("a room");
    let RoomSlot::Open(room) = entry else { unreachable!("it is open") };
    (room.key, index)
}

#[test]
fn what_is_past_its_age_comes_to_nobody_from_memory_either() {
    let retention = Retention { age_max: Some(Duration::from_secs(60)), ..Retention::default() };
    let mut world = World::new([("b", Opened { retention, ..opened("b", 0) })]);
    let (slow, quick) = (world.join(1, "b", Start::Live), world.join(2, "b", Start::Live));
    slow.set_full(true);
    for number in 1..=3 {
        world.publish(2, &number.to_string());
        world.store(true);
        world.now = at(world.now.wall.micros() / 1_000_000 + 30).into();
    }
    assert_eq!(quick.heard(), [(1, 1), (2, 2), (3, 3)]);
    // #1 is 90 s old, #2 exactly 60: that is not too old yet.
    assert_eq!(world.join(3, "b", after(0)).heard(), [(1, 1)]);
    let earlier = world.join(4, "b", Start::Since(at(1)));
    assert_eq!(earlier.heard(), [(1, 1)], "a time before what is gone");
    assert_eq!(world.join(5, "b", Start::Since(at(1_000))).heard(), [], "that was the time of what is gone");
    let poll = world.poll("b", after(0), HOUR);
    assert_eq!(told(&poll).0, [(1, 1), (2, 2), (3, 3)]);
    // The wall clock goes back, the room's does not.
    let then = world.now;
    world.now.wall = at(1_000);
    assert_eq!(world.join(6, "b", after(0)).heard(), [(1, 1)]);
    world.now = at(then.wall.micros() / 1_000_000 + 31).into();
    slow.set_full(false);
    world.apply(Command::Resume(MemberKey(1)), &Arena::default());
    world.run_until_quiet();
    assert_eq!(slow.heard(), [(1, 3)], "it lagged until all was too old");
    let poll = world.poll("b", Start::Last(10), Duration::ZERO);
    assert_eq!(told(&poll), (vec![], Position { epoch: 7, seq: 3 }));
}

#[test]
fn what_is_past_its_count_or_bytes_comes_to_nobody_from_memory_either() {
    let two = [
        Retention { messages_max: Some(2), ..Retention::default() },
        // Each message has one byte of its sender and one of its content.
        Retention { bytes_max: Some(5), ..Retention::default() },
    ];
    for retention in two {
        let mut world = World::new([("b", Opened { retention, ..opened("b", 0) })]);
        let (slow, quick) = (world.join(1, "b", Start::Live), world.join(2, "b", Start::Live));
        slow.set_full(true);
        // All at once: a reader that keeps up gets them all.
        (1..=5).for_each(|number| world.publish(2, &number.to_string()));
        world.store(true);
        assert_eq!(quick.heard(), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], "{retention:?}");
        assert_eq!(world.join(3, "b", after(0)).heard(), [(1, 3)]);
        assert_eq!(told(&world.poll("b", after(1), HOUR)).0, [(2, 3), (4, 4), (5, 5)]);
        slow.set_full(false);
        world.apply(Command::Resume(MemberKey(1)), &Arena::default());
        world.run_until_quiet();
        assert_eq!(slow.heard(), [(1, 3), (4, 4), (5, 5)]);
    }
}

#[test]
fn a_time_before_what_the_store_keeps_is_answered_with_a_gap_first() {
    let mut world = World::new([("b", Opened { tail: 3, gone_at: at(2), ..opened("b", 9) })]);
    let (early, late) = (world.join(1, "b", Start::Since(at(1))), world.join(2, "b", Start::Since(at(2))));
    for _ in 0..2 {
        let (reader, _) = world.read();
        world.answer(reader, page("b", 2, 6, 3));
    }
    let kept: Vec<_> = (3..=9).map(|seq| (seq, seq)).collect();
    assert_eq!(early.heard(), [&[(1, 2)][..], &kept].concat());
    assert_eq!(late.heard(), kept);
}

#[test]
fn what_a_member_is_told_between_messages_has_the_time_of_the_newest_that_it_was_sent() {
    let mut world = World::new([("b", opened("b", 6))]);
    let text = |seq| json!(format!("1970-01-01T00:{:02}:{:02}.000000Z", seq / 60, seq % 60));
    let fault = || Box::new(Fault { code: "bad_message", content: "no".into(), client_id: None });
    let ear = world.join(1, "b", after(4));
    ear.set_full(true);
    world.apply(Command::Tell(MemberKey(1), fault()), &Arena::default());
    assert_eq!(ear.frames()[0]["timestamp"], text(4), "nothing was sent yet: where it began");
    ear.set_full(false);
    world.run_until_quiet();
    world.apply(Command::Tell(MemberKey(1), fault()), &Arena::default());
    assert_eq!(ear.frames()[2]["timestamp"], text(6));
    ear.set_full(true);
    for number in 7..=20 {
        world.publish(1, &number.to_string());
        world.store(true);
    }
    world.apply(Command::Tell(MemberKey(1), fault()), &Arena::default());
    assert_eq!(ear.frames()[0]["timestamp"], text(6), "it lags");
    ear.set_full(false);
    world.apply(Command::Resume(MemberKey(1)), &Arena::default());
    let (reader, _) = world.read();
    world.apply(Command::Tell(MemberKey(1), fault()), &Arena::default());
    assert_eq!(ear.frames()[0]["timestamp"], text(6), "it waits for a page");
    world.answer(reader, page("b", 6, 8, 1));
    world.read();
    world.apply(Command::Tell(MemberKey(1), fault()), &Arena::default());
    assert_eq!(ear.frames()[2]["timestamp"], text(8), "it goes through pages");
}

#[test]
fn polls_that_wait_are_counted_exactly_and_seldom_searched() {
    let mut world = World::new([("b", opened("b", 6))]);
    let askers: Vec<_> = (0..16_384).map(|_| Arc::new(())).collect();
    let waiting: Vec<_> = askers.iter().map(|waiter| world.poll_for("b", after(6), HOUR, waiter)).collect();
    assert!(waiting.iter().all(|result| result.lock().unwrap().is_none()));
    let refused = |world: &mut World| {
        let (waiter, result) = {
            let waiter = Arc::new(());
            let result = world.poll_for("b", after(6), HOUR, &waiter);
            (waiter, result)
        };
        drop(waiter);
        let answer = result.lock().unwrap().take();
        matches!(answer, Some(Err(RejectReason::Unavailable)))
    };
    assert!(refused(&mut world));
    drop(askers);
    assert!(refused(&mut world), "they were looked for just now");
    world.now = at(world.now.wall.micros() / 1_000_000 + 1).into();
    assert!(!refused(&mut world));
    world.join(1, "b", Start::Live);
    world.publish(1, "result");
    world.store(true);
    world.run_until_quiet();
    assert_eq!(world.shard.polls.count(), 0, "all are answered");
}

/// JSON, and yet an encoding: a conflated relay tells nobody else of a gap.
#[derive(Debug)]
struct Same;

impl Encoding for Same {
    fn family(&self) -> u32 {
        1
    }

    fn encode(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(entry.frame);
    }

    fn notice(&self, notice: &Notice<'_>, out: &mut Vec<u8>) {
        notice.encode(out);
    }
}

#[test]
fn a_gap_in_a_conflated_room_is_told_once_however_little_the_peer_takes() {
    let mut world = World::new([]);
    let ear = world.enter(1, "l", Start::Live, Format::Conflated, Some(Arc::new(Same)));
    ear.set_full(true);
    for seq in 1..=10 {
        world.publish(1, &json!({ "seq": seq }).to_string());
        world.run_until_quiet();
    }
    for expected in [vec![(1, 7)], vec![]] {
        world.apply(Command::Resume(MemberKey(1)), &Arena::default());
        assert_eq!(ear.heard(), expected);
    }
    ear.set_full(false);
    world.apply(Command::Resume(MemberKey(1)), &Arena::default());
    assert_eq!(ear.heard(), [(8, 8), (9, 9), (10, 10)]);
}
