//! Each command that finds a room by name, in each state of that room.
//!
//! `bench` is what they have in common.

mod bench;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crate::rooms::api::command::{Command, Join};
use crate::rooms::api::effect::{StoreAnswer, StoreRequest};
use crate::rooms::api::poll::PollResult;
use crate::rooms::api::request::RoomRequest;
use crate::rooms::ids::{MemberKey, RoomId, RoomKey, SessionKey};
use crate::rooms::message::notice::Notice;
use crate::rooms::reasons::{PostError, RejectReason};
use crate::rooms::reply::Reply;
use crate::rooms::shard::state::RoomSlot;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Format, Joined, Online, Position, Posted, Start, Variant};
use bench::{Bench, Client, ID, close, opened};

#[test]
fn a_deletion_that_meets_a_room_on_its_way_leaves_one_room_of_that_name() {
    // The store had looked before the deletion: its answer is about a room that is no more.
    let mut bench = Bench::new(true);
    let ann = bench.join(1, "r", "ann");
    let (room, _) = bench.request();
    assert_eq!(bench.delete("r", ID), 0);
    bench.answer(room, Ok(opened(ID, 5)));
    let (again, create) = bench.request();
    assert!(again == room && create);
    bench.answer(again, Ok(opened(RoomId(8), 0)));
    bench.join(2, "r", "bob");
    assert!(ann.has_heard("bob joined"));
    assert_eq!(bench.users("r"), ["ann", "bob"]);
    // A deletion of the former room, or of none, does not concern the new one.
    assert_eq!(bench.delete("r", ID), 0);
    assert_eq!(bench.effects(), []);
    assert_eq!(bench.kick("r", "ann"), 1);
    assert_eq!(bench.effects(), [close(1, RejectReason::Kicked)]);
    // Ann is being closed already.
    assert_eq!(bench.delete("r", RoomId(8)), 1);
    assert_eq!(bench.effects(), [close(2, RejectReason::RoomDeleted)]);
}

#[test]
fn a_deletion_that_was_overtaken_by_the_opening_changes_nothing_about_it() {
    let mut bench = Bench::new(true);
    bench.join(1, "r", "ann");
    let (room, _) = bench.request();
    bench.delete("r", ID);
    bench.answer(room, Ok(opened(RoomId(8), 0)));
    assert_eq!((bench.users("r"), bench.effects()), (vec!["ann".to_owned()], vec![]));
}

#[test]
fn a_room_that_was_created_and_deleted_before_it_came_is_created_anew() {
    let mut bench = Bench::new(true);
    bench.join(1, "r", "ann");
    let (room, create) = bench.request();
    assert!(create);
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    let (room, create) = bench.request();
    assert!(create);
    bench.answer(room, Ok(opened(ID, 0)));
    assert_eq!((bench.users("r"), bench.effects()), (vec!["ann".to_owned()], vec![]));
}

#[test]
fn members_that_meet_a_deletion_where_rooms_are_not_open_are_told_of_it() {
    let mut bench = Bench::new(false);
    bench.join(1, "r", "ann");
    let (room, create) = bench.request();
    assert!(!create);
    bench.delete("r", ID);
    bench.answer(room, Ok(opened(ID, 5)));
    let (room, _) = bench.request();
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    assert_eq!(bench.effects(), [close(1, RejectReason::RoomDeleted)]);
    bench.join(2, "r", "bob");
    let (room, _) = bench.request();
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    assert_eq!(bench.effects(), [close(2, RejectReason::NoSuchRoom)]);
}

#[test]
fn a_deleted_room_is_forgotten_with_its_last_member_and_takes_no_name_with_it() {
    let mut bench = Bench::new(true);
    bench.join(1, "r", "ann");
    let (room, _) = bench.request();
    bench.answer(room, Ok(opened(ID, 0)));
    bench.delete("r", ID);
    bench.requests();
    bench.effects();
    bench.join(2, "r", "bob");
    let (room, _) = bench.request();
    bench.answer(room, Ok(opened(RoomId(8), 0)));
    // Her session is being closed: what she says goes nowhere.
    bench.publish(1, "welcome");
    bench.apply(Command::Leave(MemberKey(1)));
    bench.now += 100_000_000;
    bench.shard.tick(Timestamp::from_micros(bench.now).into());
    assert_eq!(bench.users("r"), ["bob"]);
    assert_eq!(bench.shard.stats().messages, 2, "two JOINs");
}

#[test]
fn who_comes_second_may_create_what_the_first_may_not() {
    let mut bench = Bench::new(true);
    let posted = bench.post("r", false);
    let (room, create) = bench.request();
    assert!(!create);
    bench.join(1, "r", "ann");
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    let (room, create) = bench.request();
    assert!(create);
    bench.answer(room, Ok(opened(ID, 0)));
    assert_eq!((bench.users("r"), bench.effects()), (vec!["ann".to_owned()], vec![]));
    assert_eq!(posted.try_recv().unwrap().unwrap().seq, 1);
    // Alone it does not create it.
    let posted = bench.post("s", false);
    let (room, _) = bench.request();
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    assert_eq!(posted.try_recv().unwrap().unwrap_err(), PostError::NoSuchRoom);
}

#[test]
fn a_kick_reaches_those_that_wait_for_the_room() {
    let mut bench = Bench::new(true);
    bench.join(1, "r", "ann");
    bench.join(2, "r", "eve");
    bench.publish(2, "spam");
    bench.join(3, "r", "eve");
    let (room, _) = bench.request();
    assert_eq!(bench.kick("r", "eve"), 2);
    assert_eq!(bench.effects(), [close(2, RejectReason::Kicked), close(3, RejectReason::Kicked)]);
    // The keys are free again before the room comes.
    bench.apply(Command::Leave(MemberKey(2)));
    let bob = bench.join(2, "r", "bob");
    bench.answer(room, Ok(opened(ID, 0)));
    assert_eq!(bench.users("r"), ["ann", "bob"]);
    assert!(!bob.has_heard("spam") && bob.has_heard("bob joined"));
}

#[test]
fn a_member_that_was_banned_while_it_waited_leaves_no_seat_behind() {
    let mut bench = Bench::new(true);
    bench.join(1, "r", "eve");
    let (room, _) = bench.request();
    // By another door than the kick.
    let ban = Duration::from_secs(60);
    bench.shard.limits.bounds.bans.add("r", "eve", ban).unwrap();
    bench.answer(room, Ok(opened(ID, 0)));
    assert_eq!(bench.effects(), [close(1, RejectReason::Banned)]);
    bench.publish(1, "welcome");
    bench.apply(Command::Leave(MemberKey(1)));
    assert_eq!(bench.users("r"), [""; 0]);
}

#[test]
fn what_a_member_that_has_left_still_asks_comes_after_its_leaving() {
    let mut bench = Bench::new(true);
    bench.join(1, "r", "ann");
    bench.publish(1, "first");
    let (reply, answer) = sync_channel(1);
    bench.apply(Command::Leave(MemberKey(1)));
    bench.apply(Command::After(MemberKey(1), Reply::new(move |()| reply.send(()).unwrap_or_default())));
    assert!(answer.try_recv().is_err());
    let bob = bench.join(1, "r", "bob");
    let (room, _) = bench.request();
    bench.answer(room, Ok(opened(ID, 0)));
    assert!(answer.try_recv().is_ok());
    assert_eq!(bench.shard.stats().messages, 4, "JOIN, message, LEAVE, JOIN");
    assert!(bob.has_heard("bob joined") && !bob.has_heard("first"));
    assert_eq!(bench.users("r"), ["bob"]);
}

#[test]
fn who_is_there_is_told_once_the_room_has_come() {
    let mut bench = Bench::new(true);
    bench.join(1, "r", "ann");
    let online = bench.online("r");
    assert!(online.try_recv().is_err());
    let (room, _) = bench.request();
    bench.answer(room, Ok(opened(ID, 0)));
    assert_eq!(online.try_recv().unwrap().users.len(), 1);
    bench.join(2, "s", "bob");
    let online = bench.online("s");
    let (room, _) = bench.request();
    bench.answer(room, Err(RejectReason::Unavailable));
    assert_eq!(online.try_recv().unwrap(), Online::default());
    assert_eq!(bench.effects(), [close(2, RejectReason::Unavailable)]);
    bench.apply(Command::Leave(MemberKey(2)));
}

#[test]
fn reading_waits_at_a_room_that_is_not_there_and_makes_none() {
    let mut bench = Bench::new(true);
    let (_, at_once) = bench.poll("r", 0);
    let (room, create) = bench.request();
    assert!(!create);
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    let Ok(PollResult::Messages(history)) = at_once.try_recv().unwrap() else { panic!("no answer") };
    assert_eq!((&*history.json, &*history.position.to_string()), (&b"[]"[..], "0:0"));
    assert_eq!(bench.shard.rooms.len(), 0);

    let (position, later) = bench.poll("r", 60);
    let stream = bench.enter(1, "r", "ann", false);
    let (room, create) = bench.request();
    assert!(!create);
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    assert_eq!(position.try_recv().unwrap(), Position { epoch: 0, seq: 0 });
    assert!(stream.has_heard("WELCOME") && later.try_recv().is_err());
    assert_eq!((bench.shard.stats().rooms, bench.effects()), (0, vec![]));

    // The member that creates the room is heard by the members that wait, from the first message on.
    let posted = bench.post("r", true);
    let (room, create) = bench.request();
    assert!(create);
    bench.answer(room, Ok(opened(ID, 0)));
    assert_eq!(posted.try_recv().unwrap().unwrap().seq, 1);
    let Ok(PollResult::Messages(history)) = later.try_recv().unwrap() else { panic!("no answer") };
    assert_eq!((history.messages().len(), history.position.seq), (1, 1));
    assert!(stream.has_heard("posted"));
    assert_eq!(bench.bounds.opening_bytes(), 0);
}

#[test]
fn a_name_at_which_nobody_waits_any_more_is_forgotten() {
    let mut bench = Bench::new(true);
    let (_, answer) = bench.poll("r", 20);
    bench.enter(1, "r", "ann", false);
    let (room, _) = bench.request();
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    bench.now += 40_000_000;
    bench.shard.tick(Timestamp::from_micros(bench.now).into());
    assert_eq!(bench.shard.rooms.len(), 1);
    bench.apply(Command::Leave(MemberKey(1)));
    assert_eq!((bench.shard.rooms.len(), bench.shard.absent, bench.bounds.opening_bytes()), (0, 0, 0));
    assert!(answer.try_recv().is_err(), "its time was up");
}

#[test]
fn polls_that_nobody_waits_for_any_more_leave_nothing_behind() {
    for is_answered in [true, false] {
        let mut bench = Bench::new(true);
        let waiter = Arc::new(());
        let (_, kept) = bench.poll_for(Some(Arc::downgrade(&waiter)), "r", 60);
        let (mut room, _) = bench.request();
        for _ in 0..1000 {
            let waiter = Arc::new(());
            bench.poll_for(Some(Arc::downgrade(&waiter)), "r", 60);
            if is_answered {
                bench.answer(room, Err(RejectReason::NoSuchRoom));
                bench.poll_for(Some(std::sync::Weak::new()), "r", 0);
                (room, _) = bench.request();
            }
            drop(waiter);
            let Some((_, RoomSlot::Opening(opening))) = bench.shard.rooms.iter().next() else {
                unreachable!()
            };
            assert!(opening.held.len() <= 4, "{} wait", opening.held.len());
            let bytes: usize = opening.held.iter().map(|held| held.bytes).sum();
            assert_eq!((opening.charged, bench.bounds.opening_bytes()), (bytes, bytes));
        }
        assert!(bench.shard.polls.count() <= 4);
        bench.answer(room, Err(RejectReason::NoSuchRoom));
        bench.post("r", true);
        let (room, _) = bench.request();
        bench.answer(room, Ok(opened(ID, 0)));
        assert!(matches!(kept.try_recv(), Ok(Ok(PollResult::Messages(_)))));
        assert_eq!((bench.shard.polls.count(), bench.bounds.opening_bytes()), (0, 0));
    }
}

#[test]
fn polls_that_wait_are_not_refused_because_others_come() {
    let mut bench = Bench::new(true);
    let _elsewhere: Vec<_> = (0..16_380).map(|_| bench.shard.polls.enter()).collect();
    let answers: Vec<_> = (0..4).map(|_| bench.poll("r", 60).1).collect();
    let (room, _) = bench.request();
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    let (_, too_many) = bench.poll("r", 60);
    let (room, _) = bench.request();
    bench.answer(room, Err(RejectReason::NoSuchRoom));
    assert!(matches!(too_many.try_recv(), Ok(Err(RejectReason::Unavailable))));
    assert!(answers.iter().all(|answer| answer.try_recv().is_err()), "a poll that waited was refused");
    // They wait in the room as well, once it is there.
    bench.post("r", true);
    let (room, _) = bench.request();
    bench.answer(room, Ok(opened(ID, 0)));
    let is_told = |answer: &Receiver<_>| matches!(answer.try_recv(), Ok(Ok(PollResult::Messages(_))));
    assert!(answers.iter().all(is_told));
    assert_eq!(bench.shard.polls.count(), 16_380);
}

#[test]
fn openings_and_what_waits_for_them_are_bounded() {
    let mut bench = Bench::new(true);
    bench.bounds.set_openings(usize::MAX, 300_000);
    // As many requests at the store as its answers have room for, however many rooms.
    let answers: Vec<_> = (0..600).map(|number| bench.post(&format!("r{number}"), true)).collect();
    let mut requests = bench.requests();
    assert_eq!(requests.len(), crate::rooms::STORE_REQUESTS_MAX);
    let mut answered = 0;
    while let Some(StoreRequest::Open { room, .. }) = requests.pop() {
        answered += 1;
        bench.answer(room, Ok(opened(RoomId(answered), 0)));
        requests.extend(bench.requests());
    }
    let is_stored = |answer: &Receiver<Result<Posted, _>>| answer.try_recv().unwrap().is_ok();
    assert!(answers.iter().all(is_stored) && answered == 600 && bench.bounds.opening_bytes() == 0);

    // More than its bytes is refused, and told.
    let answers: Vec<_> = (0..2000).map(|_| bench.post("busy", true)).collect();
    assert!(bench.bounds.opening_bytes() <= 300_000);
    let refused = answers.iter().filter(|answer| answer.try_recv().is_ok()).count();
    assert!((1..2000).contains(&refused), "{refused}");
    let ann = bench.join(1, "other", "ann");
    bench.requests();
    assert_eq!(bench.effects().last(), Some(&close(1, RejectReason::TooManyOpenings)));
    bench.publish(1, "welcome");
    assert!(!ann.has_heard("welcome"));
    let room = RoomKey { index: bench.shard.names[0]["busy"], number: 601 };
    bench.answer(room, Ok(opened(RoomId(9999), 0)));
    let stored = answers.iter().filter(|answer| matches!(answer.try_recv(), Ok(Ok(_)))).count();
    assert_eq!((stored + refused, bench.bounds.opening_bytes()), (2000, 0));
}

#[test]
fn so_many_rooms_are_on_their_way_at_most() {
    let mut bench = Bench::new(true);
    bench.bounds.set_openings(2, usize::MAX);
    for member in 1..=3 {
        bench.join(member, &format!("r{member}"), "ann");
    }
    bench.requests();
    assert_eq!(bench.effects().last(), Some(&close(3, RejectReason::TooManyOpenings)));
    assert_eq!((bench.shard.stats().openings, bench.shard.rooms.len()), (2, 2));
}

#[test]
fn the_oldest_opening_is_known() {
    let mut bench = Bench::new(true);
    let age = |bench: &mut Bench| bench.ask(|reply| RoomRequest::Ping { reply }).try_recv().unwrap();
    assert_eq!(age(&mut bench), None);
    bench.join(1, "r", "ann");
    let (room, _) = bench.request();
    bench.now += 5_000_000;
    bench.join(2, "s", "bob");
    assert!(age(&mut bench).unwrap() >= Duration::from_secs(5));
    bench.answer(room, Ok(opened(ID, 0)));
    assert!(age(&mut bench).unwrap() < Duration::from_secs(1));
}

#[test]
fn rooms_that_nobody_is_in_are_forgotten_though_nobody_leaves_and_one_is_busy() {
    let mut bench = Bench::new(true);
    for number in 0..10 {
        bench.post(&format!("r{number}"), true);
        let (room, _) = bench.request();
        bench.answer(room, Ok(opened(RoomId(number), 0)));
        assert_eq!(bench.shard.take_batch().map(|batch| batch.records.len()), Some(1));
        let committed = StoreAnswer::Committed { refused: Vec::new(), placed: Vec::new() };
        bench.shard.answer(committed, Timestamp::from_micros(bench.now).into());
    }
    // The one in front is read from, and stays.
    let reader = bench.poll("r0", 3600);
    bench.now += 40_000_000;
    assert!(bench.shard.wants_tick());
    bench.shard.tick(Timestamp::from_micros(bench.now).into());
    assert_eq!((bench.shard.rooms.len(), bench.shard.names[0].contains_key("r0")), (1, true));
    // At the limit of rooms none without members stands in the way of a new one, however young.
    bench.bounds.set(usize::MAX, 3);
    for (member, room) in [(1, "a"), (2, "b"), (3, "c")] {
        bench.join(member, room, "ann");
        let room = match &*bench.requests() {
            [StoreRequest::Open { room, .. }] => *room,
            other => panic!("{other:?}"),
        };
        bench.answer(room, Ok(opened(RoomId(100 + i64::from(member)), 0)));
        bench.apply(Command::Leave(MemberKey(member)));
        while bench.shard.take_batch().is_some() {
            let committed = StoreAnswer::Committed { refused: Vec::new(), placed: Vec::new() };
            bench.shard.answer(committed, Timestamp::from_micros(bench.now).into());
        }
    }
    assert!(bench.shard.names[0].contains_key("r0"));
    drop(reader);
}

#[test]
fn a_reply_that_panics_costs_its_session_and_nobody_else() {
    let mut bench = Bench::new(true);
    bench.join(1, "r", "ann");
    let (room, _) = bench.request();
    bench.answer(room, Ok(opened(ID, 0)));
    let reply: Reply<Result<Joined, RejectReason>> = Reply::new(|_| panic!("as tests do"));
    bench.apply(Command::Join(Box::new(Join {
        member: MemberKey(2),
        session: SessionKey(2),
        session_id: 2,
        room: "r".into(),
        format: Format::Chat,
        user: "eve".into(),
        peer: Client::default(),
        start: Start::Live,
        welcome: false,
        variant: Variant::Plain,
        announced: true,
        creates: true,
        encoding: None,
        reply: Some(reply),
    })));
    assert_eq!(bench.effects(), [close(2, RejectReason::HandlerFailed)]);
    bench.apply(Command::Request(Box::new(RoomRequest::Ping {
        reply: Reply::new(|_| panic!("as tests do")),
    })));
    assert_eq!(bench.users("r"), ["ann", "eve"]);
}

/// Panics whenever it is asked to write what it was told not to.
#[derive(Debug)]
struct Panicking {
    messages: bool,
}

impl crate::rooms::Encoding for Panicking {
    fn family(&self) -> u32 {
        1
    }

    fn encode(&self, entry: &crate::rooms::Entry<'_>, out: &mut Vec<u8>) {
        assert!(!self.messages, "as tests do");
        out.extend_from_slice(entry.payload());
    }

    fn notice(&self, _notice: &Notice<'_>, _out: &mut Vec<u8>) {
        assert!(self.messages, "as tests do");
    }
}

#[test]
fn an_encoding_that_panics_costs_its_session_and_nobody_else() {
    let mut bench = Bench::new(true);
    let ann = bench.join(1, "r", "ann");
    let (room, _) = bench.request();
    bench.answer(room, Ok(opened(ID, 0)));
    for (member, messages, welcome) in [(2, true, false), (3, false, false), (4, false, true)] {
        bench.apply(Command::Join(Box::new(Join {
            member: MemberKey(member),
            session: SessionKey(member.into()),
            session_id: member.into(),
            room: "r".into(),
            format: Format::Chat,
            user: "eve".into(),
            peer: ann.clone(),
            start: Start::Live,
            welcome,
            variant: Variant::Encoded,
            announced: false,
            creates: true,
            encoding: Some(Arc::new(Panicking { messages })),
            reply: None,
        })));
    }
    // One cannot be greeted; another, of the same family as the third, cannot be sent a message.
    assert_eq!(bench.effects(), [close(4, RejectReason::HandlerFailed)]);
    bench.publish(1, "welcome");
    let failed = bench.effects();
    assert!(failed == [close(2, RejectReason::HandlerFailed)], "{failed:?}");
    assert!(ann.has_heard("welcome"));
    bench.publish(1, "again");
    assert_eq!(bench.effects(), []);
}

#[test]
fn a_member_that_left_before_its_room_was_refused_is_not_closed_for_that() {
    let mut bench = Bench::new(true);
    bench.join(1, "r", "ann");
    let (room, _) = bench.request();
    bench.apply(Command::Leave(MemberKey(1)));
    bench.answer(room, Err(RejectReason::Unavailable));
    assert_eq!((bench.effects(), bench.shard.rooms.len()), (vec![], 0));
}
