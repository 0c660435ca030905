//! SUBSCRIBE, SEND, ACK, and the receipts of all frames.

use super::*;

#[test]
fn subscriptions_have_an_id_a_mode_and_a_start() {
    let mut world = World::connected("1.2");
    world.say("SUBSCRIBE\nid:1\ndestination:/sub/a\nsince-seq:5\nepoch:00000000000000ff\nhistory:3\n\n\0");
    world.say("SUBSCRIBE\nid:2\ndestination:/queue/b\nack:client-individual\n\n\0");
    assert_eq!(
        world.asked(),
        [
            "subscribe 1 /sub/a Auto After { seq: 5, epoch: Some(255) }",
            "subscribe 2 /queue/b ClientIndividual Live"
        ]
    );
    world.say("UNSUBSCRIBE\nid:1\n\n\0SUBSCRIBE\nid:1\ndestination:/topic/a\nhistory:3\n\n\0");
    assert_eq!(world.asked(), ["unsubscribe 1", "subscribe 1 /topic/a Auto Last(3)"]);
    world.say("SUBSCRIBE\nid:2\ndestination:/topic/c\n\n\0");
    world.expect_fault("repeated subscription id", 1002);
    let mut world = World::connected("1.0");
    world.say("SUBSCRIBE\ndestination:/queue/a\n\n\0SUBSCRIBE\ndestination:/queue/b\n\n\0");
    world.say("UNSUBSCRIBE\ndestination:/queue/a\n\n\0UNSUBSCRIBE\nid:/queue/b\n\n\0");
    assert_eq!(world.asked()[2..], ["unsubscribe /queue/a", "unsubscribe /queue/b"]);
    for id in 0..3 {
        world.say(&format!("SUBSCRIBE\nid:{id}\ndestination:/queue/a\n\n\0"));
    }
    world.expect_fault("too many subscriptions", 1008);
}

#[test]
fn what_the_server_sets_does_not_travel() {
    let mut world = World::connected("1.2");
    let spoofed: String = RESERVED_SAMPLES.iter().map(|name| format!("{name}:forged\n")).collect();
    world.say(&format!(
        "SEND\ndestination:/queue/a\nid:me\nmandatory:true\n{spoofed}own:1\nown:2\ncontent-type:x/y\n\nhi\0"
    ));
    let expected = "alice says hi to /queue/a own=1 content-type=x/y as me or not at all";
    assert_eq!(world.asked(), [expected]);
}

const RESERVED_SAMPLES: [&str; 9] =
    ["seq", "sender", "type", "timestamp", "message-id", "subscription", "epoch", "ack", "redelivered"];

#[test]
fn a_receipt_comes_with_the_effect() {
    let mut world = World::connected("1.2");
    world.say("SEND\ndestination:/queue/a\nreceipt:1\n\nhi\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:1\ndelivered:1\n\n\0");
    world.say(
        "SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:2\n\n\0SEND\ndestination:/pub/a\nreceipt:3\n\nhi\0",
    );
    world.say("SEND\ndestination:/pub/a\n\nquiet\0UNSUBSCRIBE\nid:1\nreceipt:4\n\n\0BEGIN\ntransaction:t\nreceipt:5\n\n\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:5\n\n\0", "the rooms have not answered");
    world.done(Effect::Entered { epoch: 255, seq: 7 });
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:2\nepoch:00000000000000ff\nseq:7\n\n\0");
    world.done(Effect::Delivered(3));
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:3\ndelivered:3\n\n\0");
    world.done(Effect::Delivered(3));
    world.done(Effect::Done);
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:4\n\n\0");
}

#[test]
fn disconnect_waits_for_everything_before_it() {
    let mut world = World::connected("1.2");
    world.say("SEND\ndestination:/topic/a\n\none\0SEND\ndestination:/topic/a\nreceipt:1\n\ntwo\0");
    world.say("DISCONNECT\nreceipt:bye\n\n\0SEND\ndestination:/topic/a\n\nlate\0");
    assert_eq!((world.asked().len(), world.broker.closed), (2, None));
    world.done(Effect::Delivered(0));
    assert!(world.broker.sent.is_empty());
    world.done(Effect::Delivered(0));
    let expected = ["RECEIPT\nreceipt-id:1\ndelivered:0\n\n\0", "RECEIPT\nreceipt-id:bye\n\n\0"];
    assert_eq!(world.broker.sent, expected);
    assert_eq!(world.broker.closed, Some(CloseCode::NORMAL));
    let mut world = World::connected("1.0");
    world.say("DISCONNECT\n\n\0");
    assert_eq!((world.broker.sent.len(), world.broker.closed), (0, Some(CloseCode::NORMAL)));
}

#[test]
fn what_a_room_refuses_ends_the_session_with_the_receipt_that_was_asked_for() {
    let mut world = World::connected("1.2");
    world.say("SEND\ndestination:/topic/a\nreceipt:1\n\none\0");
    let operation = world.broker.later.remove(0);
    world.session.refused(operation, Fault::NoSubscriber, &mut world.broker);
    assert!(world.broker.sent[0].contains("\nreceipt-id:1\n"));
    world.expect_fault("no subscriber", 1013);
}

#[test]
fn a_message_is_acknowledged_as_its_version_says() {
    let id = MessageId { seed: 1, number: 9 };
    let cases = [
        ("1.2", format!("ACK\nid:1.{id}\n\n\0")),
        ("1.1", format!("ACK\nsubscription:s\nmessage-id:{id}\n\n\0")),
        ("1.0", format!("ACK\nmessage-id:{id}\n\n\0")),
        ("1.0", format!("ACK\nsubscription:s\nmessage-id:{id}\n\n\0")),
    ];
    for (version, wire) in cases {
        let mut world = World::connected(version);
        world.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0");
        world.say(&wire);
        world.say(&wire.replacen("ACK", "NACK", 1));
        assert_eq!(world.asked()[1..], ["ack s 9 true", "ack s 9 false"], "{version}");
        world.say(&wire.replace("-9", "-100"));
        world.expect_fault("no such message", 1002);
    }
    let mut world = World::connected("1.1");
    world.say(&format!("ACK\nmessage-id:{id}\n\n\0"));
    world.expect_fault("missing header", 1002);
}

#[test]
fn only_subscriptions_that_acknowledge_take_acknowledgements() {
    let uuid = "019c13ec-9e7b-7000-8000-000000000000";
    let cases = [
        ("/topic/a", "auto", uuid, false),
        ("/topic/a", "client", uuid, true),
        ("/topic/a", "client", "gap-00000000000000ff-1-2", true),
        ("/topic/a", "client", "anything", false),
        ("/topic/a", "client", "0000000000000001-1", false),
        ("/queue/a", "auto", "0000000000000001-1", false),
        ("/queue/a", "client", uuid, false),
        ("/user/queue/a", "client-individual", "0000000000000001-1", true),
    ];
    for (destination, mode, id, fine) in cases {
        let mut world = World::connected("1.2");
        world.say(&format!(
            "SUBSCRIBE\nid:s\ndestination:{destination}\nack:{mode}\n\n\0ACK\nid:1.{id}\n\n\0"
        ));
        assert_eq!(world.broker.closed.is_none(), fine, "{destination} {mode} {id}");
        assert_eq!(world.asked().len(), 1, "no queue is asked");
    }
}

#[test]
fn a_send_to_the_server_needs_a_token_that_was_accepted() {
    let mut world = World::connected("1.2");
    world.broker.has_renewed = true;
    world.say("SEND\ndestination:/app/auth\nreceipt:7\n\n\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:7\n\n\0");
    world.say("SEND\ndestination:/app/auth\nAuthorization:Bearer x\n\n\0");
    world.expect_fault("not authenticated", 4401);
}
