//! Transactions, whole or not at all.

use super::*;

#[test]
fn a_transaction_takes_place_at_its_commit() {
    let mut world = World::connected("1.2");
    world.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:u\n\n\0");
    world.say("SEND\ndestination:/topic/a\ntransaction:t\nreceipt:1\n\none\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:1\n\n\0", "it is a part of the transaction now");
    world.say(
        "SEND\ndestination:/queue/b\ntransaction:t\n\ntwo\0ACK\nid:1.0000000000000001-9\ntransaction:t\n\n\0",
    );
    world.say("SEND\ndestination:/queue/c\ntransaction:u\n\nnever\0");
    assert_eq!(world.asked().len(), 1, "nothing is done before");
    world.say("ABORT\ntransaction:u\n\n\0COMMIT\ntransaction:t\nreceipt:2\n\n\0");
    assert_eq!(
        world.asked(),
        ["alice says one to /topic/a"],
        "a room may refuse its part, and then there is no other"
    );
    assert!(world.broker.sent.is_empty());
    world.done(Effect::Delivered(3));
    assert_eq!(world.asked(), ["alice says two to /queue/b", "ack s 9 true"]);
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:2\n\n\0");
    world.say("BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\nreceipt:3\n\n\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:3\n\n\0");
}

#[test]
fn a_transaction_that_cannot_be_done_whole_is_not_begun() {
    for (parts, message, code) in [
        (
            "SEND\ndestination:/topic/a\ntransaction:t\n\none\0SEND\ndestination:/queue/full\ntransaction:t\n\n\0",
            "queue is full",
            1013,
        ),
        (
            "SEND\ndestination:/queue/b\ntransaction:t\n\none\0ACK\nid:1.0000000000000001-100\ntransaction:t\n\n\0",
            "no such message",
            1002,
        ),
    ] {
        let mut world = World::connected("1.2");
        world.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0BEGIN\ntransaction:t\n\n\0");
        world.asked();
        world.say(&format!("{parts}COMMIT\ntransaction:t\nreceipt:7\n\n\0"));
        assert!(world.asked().is_empty(), "{parts}");
        assert!(world.broker.sent[0].contains("\nreceipt-id:7\n"), "{:?}", world.broker.sent);
        world.expect_fault(message, code);
    }
}

#[test]
fn rooms_of_several_threads_are_asked_before_any_takes_its_part() {
    let begin = |receipt: &str| {
        let mut world = World::connected("1.2");
        world.say("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/a\ntransaction:t\n\none\0");
        world.say("SEND\ndestination:/topic/far\nmandatory:true\ntransaction:t\n\ntwo\0");
        world.say(&format!("COMMIT\ntransaction:t\n{receipt}\n\0"));
        assert_eq!(world.asked(), ["alice asks 2 times"]);
        world
    };
    let mut world = begin("receipt:7\n");
    world.done(Effect::Delivered(1));
    assert!(world.asked().is_empty());
    world.done(Effect::Delivered(1));
    // A receiver was there when it was asked: it goes to the room, whoever is in it now.
    assert_eq!(world.asked(), ["alice says one to /topic/a", "alice says two to /topic/far"]);
    world.done(Effect::Delivered(1));
    assert!(world.broker.sent.is_empty());
    world.done(Effect::Delivered(1));
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:7\n\n\0");
    let mut world = begin("");
    let operation = world.broker.later.remove(0);
    world.session.refused(operation, Fault::NoSubscriber, &mut world.broker);
    world.done(Effect::Delivered(1));
    assert!(world.asked().is_empty());
    world.expect_fault("no subscriber", 1013);
    // Rooms of one thread need not be asked.
    let mut world = World::connected("1.2");
    world.say("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/a\ntransaction:t\n\none\0");
    world
        .say("SEND\ndestination:/topic/b\nmandatory:true\ntransaction:t\n\ntwo\0COMMIT\ntransaction:t\n\n\0");
    assert_eq!(world.asked(), ["alice says one to /topic/a", "alice says two to /topic/b or not at all"]);
}

#[test]
fn transactions_are_bounded() {
    let begin = |name: &str| format!("BEGIN\ntransaction:{name}\n\n\0");
    let mut world = World::connected("1.2");
    world.say(&(begin("a") + &begin("a")));
    world.expect_fault("repeated transaction", 1002);
    let mut world = World::connected("1.2");
    world.say(&(begin("a") + &begin("b") + &begin("c")));
    world.expect_fault("too many transactions", 1008);
    let mut world = World::connected("1.2");
    let send =
        |name: &str| format!("SEND\ndestination:/queue/a\ntransaction:{name}\n\n{}\0", "x".repeat(400));
    world.say(&(begin("a") + &begin("b") + &send("a") + "ABORT\ntransaction:a\n\n\0" + &send("b")));
    assert_eq!(world.broker.closed, None, "what was given up costs nothing");
    world.say(&send("b"));
    world.expect_fault("transactions are too long", 1008);
    let mut world = World::connected("1.2");
    world.say(&(begin("a") + "SEND\ndestination:/topic/forbidden\ntransaction:a\n\n\0"));
    world.expect_fault("not allowed", 1008);
    let mut world = World::connected("1.2");
    world.say(&(begin("a") + "ACK\nid:1.0000000000000001-9\ntransaction:a\n\n\0"));
    world.expect_fault("no such message", 1002);
}
