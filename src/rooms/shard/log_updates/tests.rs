use crate::rooms::api::command::Command;
use crate::rooms::api::effect::{LogUpdate, SessionEffect, StoreAnswer, StoreRequest};
use crate::rooms::api::store::{Numbering, Opened, Placed, Record, RecordBatch, Stored, StoredPresence};
use crate::rooms::ids::{Arena, MemberKey, RoomId};
use crate::rooms::message::kind::Kind;
use crate::rooms::reasons::{PostError, RejectReason};
use crate::rooms::shard::tests::kit::{Ear, Kit};
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::Start;

const ROOM: RoomId = RoomId(1);

/// An open room of a store that numbers, where ann's JOIN has come back as number 1.
fn with_ann() -> (Kit, MemberKey, Ear) {
    let mut kit = Kit::new();
    let (ann, ear) = kit.join("r", "ann");
    kit.open_as(|opened| opened.numbering = Numbering::Store { users: 0 });
    let batch = taken(&mut kit);
    assert_eq!(batch.records.len(), 1);
    kit.answer(log(vec![presence(1, Kind::Join, "ann", 1)]));
    place(&mut kit, vec![Placed::At(1)]);
    assert_eq!(types(&ear), ["JOIN"]);
    (kit, ann, ear)
}

fn taken(kit: &mut Kit) -> RecordBatch {
    kit.batches.remove(0)
}

fn place(kit: &mut Kit, placed: Vec<Placed>) {
    kit.answer(StoreAnswer::Committed { refused: Vec::new(), placed });
}

fn log(messages: Vec<Stored>) -> StoreAnswer {
    StoreAnswer::Log { room: ROOM, update: LogUpdate::Messages(messages) }
}

fn message(seq: u64, sender: &str, content: &str) -> Stored {
    let at = Timestamp::from_micros(2_000_000 + seq);
    let (sender, content) = (sender.into(), content.into());
    Stored { seq, at, kind: Kind::Message, sender, content, client_id: None, presence: None }
}

fn presence(seq: u64, kind: Kind, user: &str, online: u64) -> Stored {
    let presence = Some(StoredPresence { username: user.into(), online });
    Stored { kind, presence, ..message(seq, "SYSTEM", user) }
}

fn types(ear: &Ear) -> Vec<String> {
    ear.take().iter().map(|value| value["type"].as_str().expect("a type").to_owned()).collect()
}

fn seqs(ear: &Ear) -> Vec<u64> {
    ear.take().iter().map(|value| value["seq"].as_u64().expect("a number")).collect()
}

fn contents(batch: &RecordBatch) -> Vec<&str> {
    batch.records.iter().map(|record: &Record| record.content.of(&batch.text)).collect()
}

#[test]
fn what_is_said_is_shown_when_it_comes_back_among_what_others_said() {
    let (mut kit, ann, ear) = with_ann();
    kit.say(ann, "mine", None);
    let batch = taken(&mut kit);
    assert_eq!((contents(&batch), batch.records[0].seq), (vec!["mine"], 0));
    assert!(ear.take().is_empty(), "nothing is shown before it has a number");
    kit.answer(log(vec![message(2, "eve", "theirs"), message(3, "ann", "mine")]));
    place(&mut kit, vec![Placed::At(3)]);
    assert_eq!(seqs(&ear), [2, 3]);
    kit.shard.check();
}

#[test]
fn who_has_seen_more_at_another_node_is_shown_nothing_twice() {
    let (mut kit, ..) = with_ann();
    let epoch = Some(Kit::empty().epoch);
    let (_, ear) = kit.join_from(Start::After { seq: 3, epoch }, MemberKey(8), "r", "bob");
    let (_, liar) = kit.join_from(Start::After { seq: 1_000_000, epoch }, MemberKey(9), "r", "eve");
    assert!(ear.take().is_empty());
    assert_eq!(types(&liar), ["GAP"]);
    kit.answer(log(vec![message(2, "eve", "seen"), message(3, "eve", "seen")]));
    assert!(ear.take().is_empty());
    kit.answer(log(vec![message(4, "eve", "news")]));
    assert_eq!(seqs(&ear), [4]);
    kit.shard.check();
}

#[test]
fn a_post_is_answered_when_its_message_is_shown() {
    let (mut kit, ..) = with_ann();
    let (first, second) = (kit.post("bob", "one", "k"), kit.post("bob", "two", "l"));
    taken(&mut kit);
    // Number 2 is another node's, and has not come yet.
    kit.answer(StoreAnswer::Committed { refused: Vec::new(), placed: vec![Placed::At(3)] });
    assert!(first.try_recv().is_err());
    kit.answer(log(vec![message(2, "eve", "theirs"), message(3, "bob", "one")]));
    let posted = first.try_recv().expect("an answer").expect("it is published");
    let json: serde_json::Value = serde_json::from_slice(&posted.json.expect("its JSON")).expect("JSON");
    assert_eq!((posted.seq, &json["content"]), (3, &"one".into()));
    taken(&mut kit);
    kit.answer(StoreAnswer::Refused);
    assert_eq!(second.try_recv().expect("an answer"), Err(PostError::Unavailable));
    kit.shard.check();
}

#[test]
fn a_repeat_is_acknowledged_with_the_place_of_the_first() {
    let (mut kit, ann, ear) = with_ann();
    kit.say(ann, "again", Some("k"));
    kit.say(ann, "other", Some("k"));
    let same = Placed::Repeat { seq: 2, at: Timestamp::from_micros(2_000_002), is_same: true };
    let other = Placed::Repeat { seq: 2, at: Timestamp::from_micros(2_000_002), is_same: false };
    for placed in [same, other] {
        taken(&mut kit);
        place(&mut kit, vec![placed]);
    }
    assert!(ear.take().is_empty(), "the first has not been shown yet");
    kit.answer(log(vec![message(2, "ann", "again")]));
    let told = ear.take();
    let kinds: Vec<_> = told.iter().map(|value| value["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds, ["ACK", "ERROR", "MESSAGE"]);
    assert_eq!((&told[0]["seq"], &told[1]["code"]), (&2.into(), &"id_reused".into()));
}

#[test]
fn what_is_not_known_to_be_stored_is_told_to_its_publisher() {
    let (mut kit, ann, ear) = with_ann();
    kit.say(ann, "lost", Some("k"));
    taken(&mut kit);
    place(&mut kit, vec![Placed::Unavailable]);
    let told = ear.take();
    assert_eq!((&told[0]["code"], &told[0]["clientId"]), (&"unavailable".into(), &"k".into()));
    // It may be shown all the same.
    kit.answer(log(vec![message(2, "ann", "lost")]));
    assert_eq!(seqs(&ear), [2]);
}

#[test]
fn a_notice_that_is_not_stored_is_said_again_unless_its_stay_has_ended() {
    let (mut kit, ..) = with_ann();
    let (bob, _) = kit.join("r", "bob");
    kit.join("r", "carol");
    for _ in 0..2 {
        taken(&mut kit);
    }
    kit.apply(Command::Leave(bob), &Arena::default());
    let leave = taken(&mut kit);
    assert_eq!(leave.records[0].kind, Kind::Leave);
    // JOIN of bob, JOIN of carol, LEAVE of bob.
    place(&mut kit, vec![Placed::NotStored]);
    place(&mut kit, vec![Placed::NotStored]);
    place(&mut kit, vec![Placed::Nothing]);
    kit.now += 20_000_000;
    let now = kit.time();
    kit.shard.tick(now);
    kit.turn();
    let again = taken(&mut kit);
    let who: Vec<_> = again
        .records
        .iter()
        .map(|record| record.presence.expect("a notice").username.of(&again.text))
        .collect();
    assert_eq!(who, ["carol"]);
    place(&mut kit, vec![Placed::At(2)]);
    kit.shard.check();
}

#[test]
fn a_log_that_has_lost_something_goes_on_under_another_epoch() {
    let (mut kit, ann, ear) = with_ann();
    let posted = kit.post("bob", "lost", "k");
    taken(&mut kit);
    place(&mut kit, vec![Placed::At(9)]);
    let recent = vec![message(1, "eve", "kept")];
    let numbering = Numbering::Store { users: 5 };
    let opened = Opened { epoch: 77, head: 1, recent, numbering, ..Kit::empty() };
    kit.answer(StoreAnswer::Log { room: ROOM, update: LogUpdate::Epoch(Box::new(opened)) });
    assert_eq!(posted.try_recv().expect("an answer"), Err(PostError::Unavailable));
    assert_eq!(types(&ear), ["GAP"]);
    kit.say(ann, "on", None);
    taken(&mut kit);
    kit.answer(log(vec![message(2, "ann", "on")]));
    place(&mut kit, vec![Placed::At(2)]);
    assert_eq!(seqs(&ear), [2]);
    kit.shard.check();
}

#[test]
fn a_room_that_was_deleted_elsewhere_is_closed() {
    let (mut kit, ann, _) = with_ann();
    kit.answer(StoreAnswer::Log { room: ROOM, update: LogUpdate::Deleted });
    let closed =
        |effect: &SessionEffect| matches!(effect, SessionEffect::Close(_, RejectReason::RoomDeleted));
    assert!(kit.effects.iter().any(closed));
    kit.apply(Command::Leave(ann), &Arena::default());
    assert!(kit.requests.contains(&StoreRequest::Unfollow(ROOM)), "nothing more is to be heard of it");
    kit.shard.check();
}

#[test]
fn what_was_said_in_a_room_that_was_deleted_meanwhile_is_answered() {
    let (mut kit, ann, _) = with_ann();
    let (shown, placed, said) =
        (kit.post("bob", "1", "a"), kit.post("bob", "2", "b"), kit.post("bob", "3", "c"));
    let repeated = kit.post("bob", "4", "d");
    kit.batches.clear();
    kit.answer(log(vec![message(2, "bob", "1")]));
    place(&mut kit, vec![Placed::At(2)]);
    // Number 3 is another node's, and does not come any more.
    place(&mut kit, vec![Placed::At(4)]);
    assert!(placed.try_recv().is_err());
    kit.answer(StoreAnswer::Log { room: ROOM, update: LogUpdate::Deleted });
    assert_eq!(placed.try_recv().expect("an answer"), Err(PostError::NoSuchRoom));
    place(&mut kit, vec![Placed::Nothing]);
    place(&mut kit, vec![Placed::Repeat { seq: 9, at: Timestamp::from_micros(2_000_009), is_same: true }]);
    assert_eq!(shown.try_recv().expect("an answer").map(|posted| posted.seq), Ok(2));
    for answer in [said, repeated] {
        assert_eq!(answer.try_recv().expect("an answer"), Err(PostError::NoSuchRoom));
    }
    kit.apply(Command::Leave(ann), &Arena::default());
    assert!(kit.requests.contains(&StoreRequest::Unfollow(ROOM)), "nothing holds it any more");
    kit.shard.check();
}

#[test]
fn nothing_is_heard_of_a_room_that_is_not_wanted_any_more() {
    let mut kit = Kit::new();
    let (ann, _) = kit.join("r", "ann");
    let StoreRequest::Open { room, .. } = kit.requests.remove(0) else { panic!("a room to open") };
    kit.apply(Command::Leave(ann), &Arena::default());
    let numbering = Numbering::Store { users: 0 };
    let opened = Box::new(Opened { numbering, ..Kit::empty() });
    kit.answer(StoreAnswer::Opened { room, opened: Ok(opened) });
    while !kit.batches.is_empty() {
        let records = taken(&mut kit).records.len();
        place(&mut kit, vec![Placed::Nothing; records]);
    }
    kit.now += 60_000_000;
    let now = kit.time();
    kit.shard.tick(now);
    kit.turn();
    assert_eq!(kit.requests, [StoreRequest::Unfollow(ROOM)]);
    kit.shard.check();
}
