//! Commands in the states that a room and its member can be in, where neither is as usual.
//!
//! `steps` is what they have in common, `together` posts several messages at once.

mod steps;
mod together;

use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use super::kit::{Ear, Kit};
use crate::limit_hits::{Limit, LimitHits};
use crate::rooms::api::command::{Command, Join};
use crate::rooms::api::effect::{SessionEffect, StoreAnswer, StoreRequest};
use crate::rooms::api::request::RoomRequest;
use crate::rooms::api::settings::Durability;
use crate::rooms::api::store::{Opened, Page, SEQ_MAX};
use crate::rooms::ids::{Arena, MemberKey, RoomId, SessionKey};
use crate::rooms::limits::bounds::Bounds;
use crate::rooms::log::encoding::{Encoding, Entry};
use crate::rooms::message::notice::Notice;
use crate::rooms::reasons::{PostError, RejectReason};
use crate::rooms::reply::Reply;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Format, Start, Variant};
use steps::{one, stored, told, with_ann};

#[test]
fn a_kick_ends_the_polls_that_wait_for_the_room_and_no_others() {
    for is_absent in [false, true] {
        let mut kit = Kit::new();
        let (eves, bobs) = (kit.poll("r", "eve"), kit.poll("r", "bob"));
        if is_absent {
            kit.not_there();
        }
        assert_eq!(kit.kick("r", "eve"), 0, "no session was closed");
        assert_eq!(
            eves.try_recv().map(|told| told.map(drop)),
            Ok(Err(RejectReason::Kicked)),
            "absent: {is_absent}"
        );
        assert_eq!(bobs.try_recv().map(drop), Err(TryRecvError::Empty));
        kit.shard.check();
    }
}

#[test]
fn a_reader_that_publishes_where_no_room_is_makes_one() {
    let mut kit = Kit::new();
    let ear = kit.read(1, "r", Format::Chat);
    kit.not_there();
    kit.say(MemberKey(1), "first", None);
    let asked = kit.asked();
    assert_eq!(asked.len(), 1, "the store is asked");
    assert!(asked[0].1, "to create it");
    kit.answer(StoreAnswer::Opened { room: asked[0].0, opened: Ok(Box::new(Kit::empty())) });
    kit.commit();
    assert_eq!(told(&ear), [one("MESSAGE", "first", 1)]);
    // One that comes between the question and the answer of the store is no worse off.
    let ear = kit.read(2, "s", Format::Chat);
    kit.say(MemberKey(2), "second", None);
    kit.not_there();
    let asked = kit.asked();
    assert!(asked[0].1);
    let opened = Opened { id: RoomId(2), ..Kit::empty() };
    kit.answer(StoreAnswer::Opened { room: asked[0].0, opened: Ok(Box::new(opened)) });
    kit.commit();
    assert_eq!(told(&ear), [one("MESSAGE", "second", 1)]);
}

#[test]
fn a_reader_that_may_make_no_room_is_told_that_it_published_nothing() {
    let mut kit = Kit::new();
    let ear = kit.read(1, "r", Format::Chat);
    kit.not_there();
    kit.shard.limits.bounds.creations.set(1, Duration::ZERO);
    while kit.shard.limits.bounds.creations.take(kit.now) {}
    kit.say(MemberKey(1), "lost", None);
    kit.not_there();
    assert_eq!(told(&ear), [one("ERROR", "unavailable", 0)]);
    kit.shard.check();
}

#[test]
fn who_reads_a_relay_that_nobody_is_in_is_in_a_relay() {
    let mut kit = Kit::new();
    let reader = kit.read(7, "a", Format::Relay);
    assert!(kit.asked().is_empty(), "the store has nothing to do with relays");
    let chat = kit.join("a", "ann");
    kit.open();
    kit.commit();
    kit.say(MemberKey(7), r#"{"relayed":1}"#, None);
    assert_eq!(reader.take(), [serde_json::json!({ "relayed": 1 })]);
    assert_eq!(told(&chat.1), [one("JOIN", "ann joined", 1)]);
    kit.shard.check();
}

#[test]
fn too_many_openings_refuse_who_comes_and_not_who_waits() {
    let mut kit = Kit::new();
    let waiting = kit.read(1, "r", Format::Chat);
    let polled = kit.poll("r", "bob");
    kit.not_there();
    kit.shard.limits.bounds.set_openings(0, usize::MAX);
    kit.read(2, "r", Format::Chat);
    assert_eq!(kit.closed(), [(2, RejectReason::TooManyOpenings)]);
    assert_eq!(polled.try_recv().map(drop), Err(TryRecvError::Empty));
    kit.shard.check();
    kit.shard.limits.bounds.set_openings(9, usize::MAX);
    kit.post("ann", "result", "1");
    let asked = kit.asked();
    kit.answer(StoreAnswer::Opened { room: asked[0].0, opened: Ok(Box::new(Kit::empty())) });
    kit.commit();
    assert_eq!(told(&waiting), [one("MESSAGE", "result", 1)]);
    assert!(polled.try_recv().is_ok());
}

#[test]
fn what_runs_into_a_limit_of_rooms_is_counted_at_every_door() {
    let limit_hits = LimitHits::default();
    let mut kit = Kit::new();
    kit.shard.limits.bounds = Arc::new(Bounds::new(1).counted_by(limit_hits.clone()));
    kit.shard.limits.bounds.set(1, 1);
    kit.join("r", "ann");
    kit.open();
    kit.join("r", "bob");
    kit.join("s", "cid");
    let refused = kit.poll("t", "dan");
    assert_eq!(refused.try_recv().map(|told| told.map(drop)), Ok(Err(RejectReason::TooManyRooms)));
    assert_eq!((limit_hits.hits(Limit::MembersPerRoom), limit_hits.hits(Limit::Rooms)), (1, 2));
}

#[test]
fn who_was_thrown_out_is_thrown_out_once() {
    let (mut kit, _, _) = with_ann();
    assert_eq!((kit.kick("r", "ann"), kit.kick("r", "ann")), (1, 0));
    let close = RoomRequest::Close {
        room: "r".into(),
        id: Some(RoomId(1)),
        reply: Reply::new(|closed| assert_eq!(closed, 0)),
    };
    kit.apply(Command::Request(Box::new(close)), &Arena::default());
    assert_eq!(kit.closed(), [(1, RejectReason::Kicked)]);
}

#[test]
fn what_is_due_is_due_although_the_clock_on_the_wall_is_set() {
    for (before, after) in [(0, 3600), (7200, 0)] {
        let mut kit = Kit::new();
        kit.ahead = before;
        let (ann, ear) = kit.join("r", "ann");
        kit.open();
        kit.commit();
        kit.say(ann, "a", Some("1"));
        kit.commit();
        (kit.ahead, kit.now) = (after, kit.now + 110_000_000);
        kit.say(ann, "a", Some("1"));
        let types: Vec<String> = told(&ear).into_iter().map(|told| told.0).collect();
        assert_eq!(
            types,
            ["JOIN", "MESSAGE", "ACK"],
            "an id is remembered for its time, and set by {after} s"
        );
        kit.now += 20_000_000;
        kit.say(ann, "a", Some("1"));
        kit.commit();
        let types: Vec<String> = told(&ear).into_iter().map(|told| told.0).collect();
        assert_eq!(types, ["MESSAGE"], "and for no longer");
        kit.apply(Command::Leave(ann), &Arena::default());
        kit.commit();
        (kit.ahead, kit.now) = (before, kit.now + 40_000_000);
        kit.shard.tick(kit.time());
        assert_eq!(kit.shard.stats().rooms, 0, "nobody is in the room any more");
    }
}

#[test]
fn ids_of_members_without_a_name_are_their_own() {
    let mut kit = Kit::new();
    let (one_of_them, first) = kit.join("r", "");
    kit.open();
    let (another, second) = kit.join("r", "");
    kit.commit();
    kit.say(one_of_them, "a", Some("1"));
    kit.say(another, "b", Some("1"));
    kit.commit();
    let messages = |ear: &Ear| told(ear).into_iter().filter(|told| told.0 == "MESSAGE").count();
    assert_eq!((messages(&first), messages(&second)), (2, 2));
}

/// An encoding that writes nothing but panics.
#[derive(Debug)]
struct Broken;

impl Encoding for Broken {
    fn family(&self) -> u32 {
        7
    }

    fn encode(&self, _: &Entry<'_>, _: &mut Vec<u8>) {
        panic!("on purpose");
    }

    fn notice(&self, _: &Notice<'_>, _: &mut Vec<u8>) {}
}

#[test]
fn a_member_that_cannot_be_written_to_reads_the_store_once() {
    let (mut kit, ..) = with_ann();
    for number in 0..300 {
        kit.say(MemberKey(1), &number.to_string(), None);
        kit.commit();
    }
    let mut join = Join {
        member: MemberKey(9),
        session: SessionKey(9),
        session_id: 9,
        room: "r".into(),
        format: Format::Chat,
        user: "x".into(),
        peer: Ear::default(),
        start: Start::After { seq: 0, epoch: None },
        welcome: false,
        variant: Variant::Encoded,
        announced: false,
        creates: true,
        encoding: None,
        reply: None,
    };
    join.encoding = Some(Arc::new(Broken));
    kit.apply(Command::Join(Box::new(join)), &Arena::default());
    let Some(StoreRequest::Read { reader, .. }) = kit.requests.pop() else { panic!("a page is asked for") };
    let (messages, gone_at) = ((1..=50).map(stored).collect(), Timestamp::default());
    let page = Page { messages, tail: 1, gone_at, head: 301, epoch: 9, start: 0 };
    kit.answer(StoreAnswer::Page { reader, page: Some(page) });
    assert_eq!(kit.effects, [SessionEffect::Close(SessionKey(9), RejectReason::HandlerFailed)]);
}

#[test]
fn a_room_that_the_store_has_otherwise_goes_on_there_under_a_new_epoch() {
    let (mut kit, ann, ear) = with_ann();
    let (bob, _) = kit.join("r", "bob");
    kit.commit();
    ear.take();
    kit.say(ann, "one", Some("1"));
    // The operator has put the database back.
    kit.refuse_alone();
    assert_eq!(told(&ear), [one("ERROR", "unavailable", 0)]);
    let posted = kit.post("eve", "two", "2");
    assert_eq!(posted.try_recv(), Ok(Err(PostError::Unavailable)), "no number is given out meanwhile");
    kit.apply(Command::Leave(bob), &Arena::default());
    assert!(kit.batches.is_empty());
    let polled = kit.poll("r", "cid");
    assert!(polled.try_recv().expect("an answer").is_ok(), "it can be read");
    kit.epoch_was_reset(|opened| (opened.head, opened.tail) = (1, 2));
    assert_eq!(told(&ear), [one("GAP", "", 1)], "of the whole log");
    kit.commit();
    assert_eq!(told(&ear), [one("LEAVE", "bob left", 2)]);
    kit.say(ann, "one", Some("1"));
    kit.commit();
    assert_eq!(told(&ear), [one("MESSAGE", "one", 3)]);
    assert_eq!(kit.shard.stats().resets, 1);
    kit.shard.check();
}

#[test]
fn a_log_that_cannot_begin_anew_is_tried_again_by_itself_and_not_often() {
    let (mut kit, ann, ear) = with_ann();
    kit.say(ann, "one", None);
    kit.refuse_alone();
    let (bob, _) = kit.join("r", "bob");
    for _ in 0..3 {
        let room = kit.resets()[0];
        kit.answer(StoreAnswer::Opened { room, opened: Err(RejectReason::Unavailable) });
        kit.say(ann, "again", None);
        assert!(kit.resets().is_empty(), "after a pause");
        for _ in 0..20 {
            kit.now += 1_000_000;
            let now = kit.time();
            kit.shard.tick(now);
            kit.turn();
        }
    }
    kit.epoch_was_reset(|opened| (opened.head, opened.tail) = (7, 8));
    kit.commit();
    assert!(told(&ear).ends_with(&[one("GAP", "", 7), one("JOIN", "bob joined", 8)]));
    kit.apply(Command::Leave(ann), &Arena::default());
    kit.apply(Command::Leave(bob), &Arena::default());
    kit.commit();
    kit.now += 40_000_000;
    let now = kit.time();
    kit.shard.tick(now);
    assert_eq!(kit.shard.stats().rooms, 0);
}

#[test]
fn a_log_that_cannot_begin_anew_is_tried_again_although_nothing_is_said() {
    let (mut kit, ann, ear) = with_ann();
    kit.say(ann, "one", None);
    kit.refuse_alone();
    for _ in 0..3 {
        let room = kit.resets()[0];
        kit.answer(StoreAnswer::Opened { room, opened: Err(RejectReason::Unavailable) });
        assert!(kit.shard.wants_tick());
        kit.now += 1_000_000;
        kit.shard.tick(kit.time());
        kit.turn();
    }
    kit.epoch_was_reset(|opened| (opened.head, opened.tail) = (7, 8));
    assert!(told(&ear).ends_with(&[one("GAP", "", 7)]));
}

#[test]
fn a_store_that_refuses_a_whole_batch_has_nothing_against_its_rooms() {
    let (mut kit, ann, _) = with_ann();
    kit.say(ann, "one", None);
    kit.batches.clear();
    kit.answer(StoreAnswer::Refused);
    assert!(kit.resets().is_empty());
}

#[test]
fn a_store_that_has_less_than_it_acknowledged_is_met_by_reading_as_well() {
    let (mut kit, ann, ear) = with_ann();
    for number in 0..300 {
        kit.say(ann, &number.to_string(), None);
        kit.commit();
    }
    ear.take();
    let (_, reader) = kit.join_from(Start::After { seq: 0, epoch: None }, MemberKey(5), "r", "bob");
    kit.commit();
    let index =
        kit.requests.iter().position(|request| matches!(request, StoreRequest::Read { .. })).expect("a page");
    let StoreRequest::Read { reader: asked, .. } = kit.requests.remove(index) else { unreachable!() };
    let (messages, gone_at) = ((1..=5).map(stored).collect(), Timestamp::default());
    let page = Page { messages, tail: 1, gone_at, head: 5, epoch: 9, start: 0 };
    kit.answer(StoreAnswer::Page { reader: asked, page: Some(page) });
    kit.epoch_was_reset(|opened| (opened.head, opened.tail) = (5, 6));
    assert!(told(&reader).ends_with(&[one("GAP", "", 5)]));
    assert!(told(&ear).ends_with(&[one("GAP", "", 5)]));
    kit.shard.check();
}

#[test]
fn a_damaged_room_that_is_open_closes_its_doors_and_loses_nobody_in_it() {
    let (mut kit, ann, ear) = with_ann();
    let polled = kit.poll("r", "cid");
    assert!(polled.try_recv().is_ok());
    kit.say(ann, "under way", None);
    kit.answer(StoreAnswer::Damaged(RoomId(1)));
    kit.refuse_alone();
    kit.say(ann, "later", Some("7"));
    assert_eq!(told(&ear), [one("ERROR", "unavailable", 0), one("ERROR", "unavailable", 0)]);
    assert_eq!(kit.post("eve", "posted", "1").try_recv(), Ok(Err(PostError::Unavailable)));
    assert_eq!(
        kit.poll("r", "bob").try_recv().map(|told| told.map(drop)),
        Ok(Err(RejectReason::Unavailable))
    );
    kit.join("r", "dan");
    assert_eq!(kit.closed(), [(2, RejectReason::Unavailable)]);
    assert!(kit.batches.is_empty() && kit.resets().is_empty(), "the store is left alone");
    // Other rooms are as ever.
    let (eve, other) = kit.join("s", "eve");
    kit.open_as(|opened| opened.id = RoomId(2));
    kit.say(eve, "welcome", None);
    kit.commit();
    assert_eq!(told(&other).len(), 2);
    // It is forgotten like any other, and then the store says how it is.
    kit.apply(Command::Leave(ann), &Arena::default());
    kit.now += 40_000_000;
    let now = kit.time();
    kit.shard.tick(now);
    assert_eq!(kit.shard.stats().rooms, 1);
    kit.shard.check();
}

#[test]
fn a_poll_that_waits_hears_of_the_damage() {
    let mut kit = Kit::new();
    let waiting = kit.poll("r", "cid");
    kit.open();
    assert_eq!(waiting.try_recv().map(drop), Err(TryRecvError::Empty));
    kit.answer(StoreAnswer::Damaged(RoomId(1)));
    assert_eq!(waiting.try_recv().map(|told| told.map(drop)), Ok(Err(RejectReason::Unavailable)));
    // Met while the room is on its way.
    kit.answer(StoreAnswer::Damaged(RoomId(2)));
    kit.join("s", "ann");
    kit.open_as(|opened| opened.id = RoomId(2));
    assert_eq!(kit.closed(), [(1, RejectReason::Unavailable)]);
    kit.shard.check();
}

#[test]
fn a_room_that_has_used_up_its_numbers_refuses_alone_and_asks_the_store_nothing() {
    for durability in [Durability::Commit, Durability::Async] {
        let mut kit = Kit::of(Some(durability));
        let (ann, ear) = kit.join("r", "ann");
        kit.open_as(|opened| {
            (opened.head, opened.tail) = (SEQ_MAX - 1, SEQ_MAX);
            opened.durability = durability;
        });
        kit.commit();
        assert_eq!(told(&ear), [one("JOIN", "ann joined", SEQ_MAX)]);
        kit.say(ann, "one too many", None);
        kit.join("r", "bob");
        assert_eq!(kit.post("eve", "posted", "1").try_recv(), Ok(Err(PostError::Unavailable)));
        assert!(kit.batches.is_empty() && kit.resets().is_empty());
        assert_eq!(told(&ear), [one("ERROR", "unavailable", 0)]);
        kit.apply(Command::Leave(ann), &Arena::default());
        kit.apply(Command::Leave(MemberKey(2)), &Arena::default());
        kit.now += 40_000_000;
        let now = kit.time();
        kit.shard.tick(now);
        assert!(!kit.shard.wants_tick(), "nothing waits for a number that will not come");
        kit.shard.check();
    }
}

#[test]
fn who_was_thrown_out_is_told_nothing_of_a_new_epoch() {
    let (mut kit, ann, _) = with_ann();
    let (_, bob) = kit.join("r", "bob");
    kit.commit();
    kit.kick("r", "bob");
    bob.take();
    kit.say(ann, "one", None);
    kit.refuse_alone();
    kit.epoch_was_reset(|opened| (opened.head, opened.tail) = (1, 2));
    assert_eq!(told(&bob), [], "it is being closed");
    kit.shard.check();
}
