//! Under a clock of its own, with a store that refuses when the test says so.

use serde_json::{Value, json};

use crate::rooms::api::command::Command;
use crate::rooms::api::effect::{StoreAnswer, StoreRequest};
use crate::rooms::api::request::RoomRequest;
use crate::rooms::api::settings::Durability;
use crate::rooms::api::store::{OpenStay, Opened};
use crate::rooms::ids::{Arena, MemberKey, RoomId, StayId};
use crate::rooms::reply::Reply;
use crate::rooms::shard::tests::kit::{Ear, Kit};

/// Type, user, number of users and number of each entry.
fn told(ear: &Ear) -> Vec<(String, String, u64, u64)> {
    let text = |value: &Value, name| value[name].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value, name| value[name].as_u64().unwrap_or_default();
    let entry = |value: &Value| {
        (text(value, "type"), text(value, "username"), number(value, "online"), number(value, "seq"))
    };
    ear.take().iter().map(entry).collect()
}

fn entry(kind: &str, user: &str, online: u64, seq: u64) -> (String, String, u64, u64) {
    (kind.into(), user.into(), online, seq)
}

/// A room `r` with ann, whose JOIN is stored.
fn with_ann() -> (Kit, MemberKey, Ear) {
    let mut kit = Kit::new();
    let (ann, ear) = kit.join("r", "ann");
    kit.open();
    kit.commit();
    assert_eq!(told(&ear), [entry("JOIN", "ann", 1, 1)]);
    (kit, ann, ear)
}

impl Kit {
    /// The store refuses everything that is under way.
    fn refuse(&mut self) {
        for _ in 0..self.batches.len() {
            self.batches.remove(0);
            self.answer(StoreAnswer::Refused);
        }
    }

    fn tick_after(&mut self, seconds: u64) {
        self.now += seconds * 1_000_000;
        let now = self.time();
        self.shard.tick(now);
        self.turn();
        self.shard.check();
    }
}

#[test]
fn a_refusal_delays_a_join_and_its_leave_and_loses_neither() {
    let (mut kit, _, ann) = with_ann();
    let (bob, ear) = kit.join("r", "bob");
    kit.refuse();
    assert!(kit.batches.is_empty() && told(&ann).is_empty() && kit.shard.wants_tick());
    kit.tick_after(1);
    kit.refuse();
    kit.tick_after(1);
    assert!(kit.batches.is_empty(), "the pause grows");
    kit.tick_after(1);
    kit.commit();
    assert_eq!(told(&ann), [entry("JOIN", "bob", 2, 2)]);
    assert_eq!(told(&ear), [entry("JOIN", "bob", 2, 2)], "its own, once");
    kit.apply(Command::Leave(bob), &Arena::default());
    kit.refuse();
    kit.tick_after(4);
    kit.commit();
    assert_eq!(told(&ann), [entry("LEAVE", "bob", 1, 3)]);
    kit.tick_after(100);
    assert!(kit.batches.is_empty() && told(&ann).is_empty());
}

#[test]
fn a_stay_that_nobody_saw_leaves_no_trace() {
    let (mut kit, _, ann) = with_ann();
    // It leaves while its JOIN is under way, and while it waits.
    for is_early in [true, false] {
        let (bob, _) = kit.join("r", "bob");
        if is_early {
            kit.apply(Command::Leave(bob), &Arena::default());
        }
        kit.refuse();
        kit.apply(Command::Leave(bob), &Arena::default());
        kit.tick_after(100);
        assert!(kit.batches.is_empty() && told(&ann).is_empty());
    }
    // Of a stay whose JOIN is stored, the LEAVE alone waits.
    let (bob, _) = kit.join("r", "bob");
    kit.apply(Command::Leave(bob), &Arena::default());
    kit.batches.remove(0);
    kit.answer(StoreAnswer::Committed { refused: Vec::new(), placed: Vec::new() });
    kit.refuse();
    kit.tick_after(1);
    kit.commit();
    assert_eq!(told(&ann), [entry("JOIN", "bob", 2, 2), entry("LEAVE", "bob", 1, 3)]);
}

#[test]
fn what_happens_during_a_refusal_comes_after_it_in_order() {
    let (mut kit, ann, _) = with_ann();
    let (_, ear) = kit.join("r", "bob");
    kit.commit();
    told(&ear);
    kit.apply(Command::Leave(ann), &Arena::default());
    kit.refuse();
    kit.join("r", "cid");
    let (dan, _) = kit.join("r", "dan");
    assert!(kit.batches.is_empty(), "they wait behind the one that was refused");
    kit.apply(Command::Leave(dan), &Arena::default());
    let (ann, _) = kit.join("r", "ann");
    // A message is taken, so the store is well, and the notices follow at once.
    kit.say(ann, "hello", None);
    kit.commit();
    let expected = [
        entry("MESSAGE", "", 0, 3),
        entry("LEAVE", "ann", 1, 4),
        entry("JOIN", "cid", 2, 5),
        entry("JOIN", "ann", 3, 6),
    ];
    assert_eq!(told(&ear), expected);
}

#[test]
fn a_room_is_not_forgotten_before_its_notices_are_stored() {
    let (mut kit, ann, _) = with_ann();
    kit.apply(Command::Leave(ann), &Arena::default());
    for _ in 0..20 {
        kit.refuse();
        kit.tick_after(40);
        assert_eq!(kit.shard.stats().rooms, 1);
    }
    kit.commit();
    kit.tick_after(40);
    assert_eq!(kit.shard.stats().rooms, 0);
    assert!(!kit.shard.wants_tick());
}

#[test]
fn a_deleted_room_announces_nobody_any_more() {
    let (mut kit, ann, ear) = with_ann();
    kit.join("r", "bob");
    kit.refuse();
    let close = RoomRequest::Close { room: "r".into(), id: Some(RoomId(1)), reply: Reply::new(|_| ()) };
    kit.apply(Command::Request(Box::new(close)), &Arena::default());
    kit.apply(Command::Leave(ann), &Arena::default());
    kit.tick_after(100);
    assert!(kit.batches.is_empty() && told(&ear).is_empty());
}

#[test]
fn sessions_of_another_process_leave_before_anybody_comes() {
    let stays = |opened: &mut Opened| {
        (opened.head, opened.tail) = (2, 3);
        let stay = |(id, username): (u64, &str)| OpenStay { id: StayId(id), username: username.into() };
        opened.open_stays = [(8, "old"), (9, "ann"), (10, "old")].map(stay).into();
    };
    let mut kit = Kit::new();
    let (_, ear) = kit.join("r", "ann");
    kit.open_as(stays);
    kit.commit();
    let left = [
        entry("LEAVE", "old", 2, 3),
        entry("LEAVE", "ann", 1, 4),
        entry("LEAVE", "old", 0, 5),
        entry("JOIN", "ann", 1, 6),
    ];
    // Live from the JOIN's opening on, it sees what was not yet shown then.
    assert_eq!(told(&ear), left);
    // Where nothing is stored they would leave again at each opening.
    let mut kit = Kit::new();
    let (_, ear) = kit.join("r", "ann");
    kit.open_as(|opened| {
        stays(opened);
        opened.durability = Durability::Off;
    });
    assert_eq!(told(&ear), [entry("JOIN", "ann", 1, 3)]);
}

#[test]
fn who_left_while_an_async_room_was_cut_off_leaves_again_in_the_log_that_goes_on() {
    let mut kit = Kit::of(Some(Durability::Async));
    let (_, ear) = kit.join("r", "ann");
    kit.open_as(|opened| opened.durability = Durability::Async);
    let (bob, _) = kit.join("r", "bob");
    let stays: Vec<StayId> = kit
        .batches
        .iter()
        .flat_map(|batch| &batch.records)
        .filter_map(|record| record.presence?.stay)
        .collect();
    kit.commit();
    kit.apply(Command::Leave(bob), &Arena::default());
    assert_eq!(told(&ear).len(), 3);
    kit.refuse();
    let Some(StoreRequest::ResetEpoch { room, .. }) = kit.requests.pop() else {
        panic!("the room is cut off")
    };
    let mut opened = Kit::empty();
    (opened.head, opened.tail, opened.epoch) = (2, 3, 10);
    opened.durability = Durability::Async;
    let stay = |(id, username): (&StayId, &str)| OpenStay { id: *id, username: username.into() };
    opened.open_stays = stays.iter().zip(["ann", "bob"]).map(stay).collect();
    assert_eq!(opened.open_stays.len(), 2);
    kit.answer(StoreAnswer::Opened { room, opened: Ok(Box::new(opened)) });
    let heard = ear.take();
    assert_eq!(heard[0]["type"], "GAP");
    assert_eq!((&heard[1]["type"], &heard[1]["username"]), (&json!("LEAVE"), &json!("bob")));
    assert_eq!((heard.len(), &heard[1]["seq"]), (2, &json!(3)));
}
