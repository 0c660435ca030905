//! Topics: chat rooms by other means.

use super::client::{Reply, Stomp};
use crate::support::{Chat, TestServer};
use serde_json::json;

#[test]
fn chat_members_and_subscribers_of_one_room_see_each_other() {
    let server = TestServer::start();
    let mut chat = Chat::join(&server, "r", "alice");
    let mut stomp = Stomp::connect(&server, "bob");
    let receipt = stomp.subscribe("s:1", "/topic/r", "");
    assert_eq!((receipt.get("seq"), receipt.get("epoch").len()), ("1", 16));
    chat.say_once("own:1", "grüße\nan \\ alle");
    let json = chat.expect("MESSAGE");
    let message = stomp.expect("MESSAGE");
    for (header, value) in [
        ("subscription", json!("s:1")),
        ("destination", json!("/topic/r")),
        ("message-id", json["id"].clone()),
        ("sender", json!("alice")),
        ("type", json!("MESSAGE")),
        ("timestamp", json["timestamp"].clone()),
        ("client-id", json!("own:1")),
        ("content-type", json!("text/plain;charset=utf-8")),
        ("seq", json!("2")),
        ("epoch", json!(receipt.get("epoch"))),
    ] {
        assert_eq!(message.get(header), value, "{header}");
    }
    assert_eq!((message.text(), message.header("ack")), ("grüße\nan \\ alle", None));
    // And the other way round; nobody was told of bob.
    stomp.publish("/pub/r", "{\"not\":\"parsed\"}");
    let seen = chat.expect("MESSAGE");
    assert_eq!((&seen["content"], &seen["sender"]), (&json!("{\"not\":\"parsed\"}"), &json!("bob")));
    assert_eq!(stomp.hear(1), ["{\"not\":\"parsed\"}"]);
    drop(chat);
    let leave = stomp.expect("MESSAGE");
    assert_eq!((leave.get("type"), leave.get("sender"), leave.text()), ("LEAVE", "SYSTEM", "alice left"));
}

#[test]
fn the_lines_of_a_message_follow_each_other_as_they_are_documented() {
    let server = TestServer::start();
    for (version, ack, colon) in [("1.0", "", ":"), ("1.1", "", "\\c"), ("1.2", "ack:1.", "\\c")] {
        let mut stomp = Stomp::speaking(&server, version);
        stomp.say("SUBSCRIBE\nid:1\ndestination:/sub/plain\nack:client\nreceipt:done\n\n\0");
        stomp.expect("RECEIPT");
        stomp.publish("/topic/plain", "hi");
        let frame = stomp.raw.frame();
        let text = String::from_utf8(frame.payload).unwrap();
        let names: Vec<_> = text
            .lines()
            .take_while(|line| !line.is_empty())
            .map(|line| line.split(':').next().unwrap())
            .collect();
        let mut expected =
            vec!["MESSAGE", "subscription", "destination", "message-id", "seq", "epoch", "sender"];
        expected.extend(["type", "timestamp", "content-type", "content-length"]);
        if !ack.is_empty() {
            expected.insert(3, "ack");
            let id = text.split("message-id:").nth(1).unwrap().lines().next().unwrap();
            assert!(text.contains(&format!("\nack:1.{id}\n")), "{text}");
        }
        assert_eq!(names, expected, "{version}");
        let time = text.split("timestamp:").nth(1).unwrap().lines().next().unwrap();
        assert_eq!(time.len(), 23 + 2 * (1 + colon.len()), "{time}");
        assert!(text.ends_with("\ncontent-length:2\n\nhi\0"), "{text}");
    }
}

#[test]
fn two_subscriptions_get_a_message_each_and_one_that_ended_gets_none() {
    let server = TestServer::start();
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.subscribe("1", "/topic/r", "");
    stomp.subscribe("2", "/sub/r", "");
    stomp.publish("/topic/r", "both");
    let (one, two) = (stomp.expect("MESSAGE"), stomp.expect("MESSAGE"));
    let mut ids = [one.get("subscription"), two.get("subscription")];
    ids.sort_unstable();
    assert_eq!((ids, one.get("message-id")), (["1", "2"], two.get("message-id")));
    stomp.settle("UNSUBSCRIBE\nid:1\nreceipt:done\n\n\0");
    stomp.publish("/topic/r", "one");
    assert_eq!(stomp.expect("MESSAGE").get("subscription"), "2");
    stomp.settle("UNSUBSCRIBE\nid:2\nreceipt:done\n\n\0");
    stomp.publish("/topic/r", "none");
    stomp.sync();
}

#[test]
fn a_subscription_recovers_what_was_missed() {
    let server = TestServer::stored(|_| ());
    let mut writer = Stomp::connect(&server, "writer");
    let epoch = writer.subscribe("1", "/topic/r", "").get("epoch").to_owned();
    for n in 1..=5 {
        writer.publish("/topic/r", &n.to_string());
    }
    let messages: Vec<Reply> = (0..5).map(|_| writer.expect("MESSAGE")).collect();
    let since = messages[1].get("timestamp").replace(':', "\\c");
    let cases = [
        (format!("since-seq:2\nepoch:{epoch}\n"), vec!["3", "4", "5"]),
        ("since-seq:3\n".to_owned(), vec!["4", "5"]),
        (format!("since:{since}\n"), vec!["3", "4", "5"]),
        ("history:1\n".to_owned(), vec!["5"]),
        (String::new(), vec![]),
    ];
    for (start, expected) in cases {
        let mut reader = Stomp::connect(&server, "reader");
        reader.say(&format!("SUBSCRIBE\nid:1\ndestination:/topic/r\n{start}\n\0"));
        assert_eq!(reader.hear(expected.len()), expected, "{start}");
        reader.sync();
    }
    let mut stranger = Stomp::connect(&server, "stranger");
    stranger
        .say("SUBSCRIBE\nid:1\ndestination:/topic/r\nack:client\nsince-seq:2\nepoch:00000000000000ff\n\n\0");
    let gap = stranger.expect("MESSAGE");
    let told = ["type", "from", "to", "epoch", "subscription"].map(|name| gap.get(name).to_owned());
    assert_eq!(told, ["GAP", "1", "5", &epoch, "1"], "nothing of a log of another epoch is known");
    assert_eq!((gap.text(), gap.get("ack")), ("", format!("1.{}", gap.get("message-id")).as_str()));
    stranger.settle(&format!("ACK\nid:{}\nreceipt:done\n\n\0", gap.get("ack")));
}

#[test]
fn a_receipt_tells_how_many_a_message_goes_to() {
    let server = TestServer::start();
    let mut stomp = Stomp::connect(&server, "alice");
    let send = "SEND\ndestination:/topic/r\nreceipt:done\n\nhi\0";
    assert_eq!(stomp.settle(send).get("delivered"), "0");
    let mut chat = Chat::join(&server, "r", "bob");
    let mut other = Stomp::connect(&server, "carol");
    other.subscribe("1", "/topic/r", "");
    assert_eq!(stomp.settle(send).get("delivered"), "2");
    assert_eq!((chat.hear(1), other.hear(1)), (vec!["hi".to_owned()], vec!["hi".to_owned()]));
}

#[test]
fn a_mandatory_message_wants_somebody() {
    let server = TestServer::start();
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.say("SEND\ndestination:/topic/r\nmandatory:true\nreceipt:7\n\nhi\0");
    assert_eq!(stomp.expect_error("no subscriber", 1013).get("receipt-id"), "7");
    let mut chat = Chat::join(&server, "r", "bob");
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.settle("SEND\ndestination:/topic/r\nmandatory:true\nreceipt:done\n\nhi\0");
    assert_eq!(chat.hear(1), ["hi"]);
}

#[test]
fn a_message_sent_again_is_published_once() {
    let server = TestServer::start();
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.subscribe("1", "/topic/r", "");
    let send = "SEND\ndestination:/topic/r\nid:a:1\n\nonce\0";
    stomp.say(send);
    assert_eq!(stomp.expect("MESSAGE").get("client-id"), "a:1");
    stomp.say(send);
    stomp.publish("/topic/r", "next");
    assert_eq!(stomp.hear(1), ["next"]);
    stomp.say(&format!("SEND\ndestination:/topic/r\nid:{}\n\nlong\0", "x".repeat(65)));
    stomp.expect_error("malformed header", 1002);
}

#[test]
fn a_transaction_is_published_at_its_commit() {
    let server = TestServer::start();
    let mut stomp = Stomp::connect(&server, "alice");
    let mut other = Stomp::connect(&server, "bob");
    other.subscribe("1", "/topic/r", "");
    let send = |body: &str, name: &str| format!("SEND\ndestination:/topic/r\ntransaction:{name}\n\n{body}\0");
    stomp.say("BEGIN\ntransaction:a\n\n\0BEGIN\ntransaction:b\n\n\0");
    stomp.say(&(send("1", "a") + &send("never", "b") + &send("2", "a")));
    stomp.say("ABORT\ntransaction:b\n\n\0");
    stomp.publish("/topic/r", "0");
    stomp.settle("COMMIT\ntransaction:a\nreceipt:done\n\n\0");
    assert_eq!(other.hear(3), ["0", "1", "2"]);
    // What is not committed is gone with its session.
    stomp.say(
        &("BEGIN\ntransaction:c\n\n\0".to_owned() + &send("never", "c") + "DISCONNECT\nreceipt:done\n\n\0"),
    );
    stomp.expect("RECEIPT");
    Stomp::connect(&server, "carol").publish("/topic/r", "3");
    assert_eq!(other.hear(1), ["3"]);
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.say(&send("never", "a"));
    stomp.expect_error("no such transaction", 1002);
}

#[test]
fn a_commit_over_rooms_of_several_threads_is_done_whole_or_not_at_all() {
    let server = TestServer::stored(|config| config.workers = Some(4));
    let rooms: Vec<String> = (0..12).map(|number| format!("/topic/r{number}")).collect();
    let mut witness = Stomp::connect(&server, "witness");
    for (number, room) in rooms.iter().enumerate() {
        witness.subscribe(&number.to_string(), room, "history:9\n");
    }
    let transaction = |parts: &[(&str, &str)], receipt: &str| {
        let part = |(destination, header): &(&str, &str)| {
            format!("SEND\ndestination:{destination}\ntransaction:t\n{header}\nwhole\0")
        };
        let parts: String = parts.iter().map(part).collect();
        format!("BEGIN\ntransaction:t\n\n\0{parts}COMMIT\ntransaction:t\nreceipt:{receipt}\n\n\0")
    };
    let mut parts: Vec<(&str, &str)> = rooms.iter().map(|room| (room.as_str(), "mandatory:true\n")).collect();
    parts.push(("/topic/nobody", "mandatory:true\n"));
    let mut producer = Stomp::connect(&server, "producer");
    producer.say(&transaction(&parts, "7"));
    assert_eq!(producer.expect_error("no subscriber", 1013).get("receipt-id"), "7");
    parts.pop();
    let mut producer = Stomp::connect(&server, "producer");
    producer.settle(&transaction(&parts, "done"));
    assert_eq!(witness.hear(rooms.len()), vec!["whole"; rooms.len()], "once in each room");
    witness.sync();
}

#[test]
fn a_room_that_is_not_open_to_everybody_has_to_be_there() {
    let server = TestServer::stored(|config| config.chat.open_rooms = false);
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.say("SUBSCRIBE\nid:1\ndestination:/topic/r\nreceipt:1\n\n\0");
    assert_eq!(stomp.expect_error("no such room", 1008).get("receipt-id"), "1");
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.publish("/topic/r", "hi");
    stomp.expect_error("no such room", 1008);
}

#[test]
fn a_thousand_messages_reach_everybody_in_one_order() {
    let server = TestServer::start();
    let mut readers: Vec<_> = ["1.0", "1.1", "1.2"].map(|version| Stomp::speaking(&server, version)).into();
    for reader in &mut readers {
        reader.subscribe("1", "/topic/r", "");
    }
    let mut writer = Stomp::connect(&server, "writer");
    let sends: Vec<_> = (0..1000).map(|n| format!("SEND\ndestination:/topic/r\n\n{n}\0")).collect();
    for part in sends.chunks(100) {
        writer.say(&part.concat());
    }
    let expected: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
    for reader in &mut readers {
        assert_eq!(reader.hear(1000), expected);
    }
}

#[test]
fn a_publisher_that_is_faster_than_its_room_is_slowed_down_and_loses_nothing() {
    const COUNT: usize = 30_000;
    let server = TestServer::stored(|config| config.history.memory_messages = 2 * COUNT);
    let mut reader = Stomp::connect(&server, "reader");
    reader.subscribe("1", "/topic/r", "");
    let mut writer = Stomp::connect(&server, "writer");
    let sends: Vec<_> = (0..COUNT).map(|n| format!("SEND\ndestination:/topic/r\n\n{n}\0")).collect();
    for part in sends.chunks(1500) {
        writer.say(&part.concat());
    }
    writer.say("DISCONNECT\nreceipt:done\n\n\0");
    assert_eq!(writer.expect("RECEIPT").get("receipt-id"), "done");
    writer.expect_close(1000);
    for n in 0..COUNT {
        assert_eq!(reader.expect("MESSAGE").text(), n.to_string());
    }
}

#[test]
fn a_message_sent_again_while_the_first_is_on_its_way_is_published_once() {
    let server = TestServer::stored(|_| ());
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.subscribe("1", "/topic/r", "");
    let send =
        |id: u32, receipt: &str| format!("SEND\ndestination:/topic/r\nid:{id}\nreceipt:{receipt}\n\n{id}\0");
    let twice: String = (0..50).map(|id| send(id, "first") + &send(id, "again")).collect();
    stomp.say(&twice);
    let replies: Vec<Reply> = (0..150).map(|_| stomp.next()).collect();
    let bodies: Vec<_> = replies.iter().filter(|reply| reply.command == "MESSAGE").map(Reply::text).collect();
    assert_eq!(bodies, (0..50).map(|id| id.to_string()).collect::<Vec<_>>());
    assert!(
        replies.iter().filter(|reply| reply.command == "RECEIPT").all(|reply| reply.get("delivered") == "1")
    );
}

/// Members come and go within one session, and pages of the store are on their way to them.
#[test]
fn a_subscription_gets_its_own_room_and_every_message_once_however_fast_it_follows_another() {
    let server = TestServer::stored(|config| config.rooms.window_messages = 4);
    let mut chats = ["a", "b"].map(|room| Chat::join(&server, room, "alice"));
    for (chat, room) in chats.iter_mut().zip(["a", "b"]) {
        (0..600).for_each(|number| chat.say(&format!("{room}{number}")));
        chat.hear(600);
    }
    let subscribe = |id: usize, room: &str| {
        format!("SUBSCRIBE\nid:{id}\ndestination:/topic/{room}\nsince-seq:0\nreceipt:r{id}\n\n\0")
    };
    for first in ["a", "b"] {
        for round in 0..20 {
            let mut stomp = Stomp::connect(&server, "bob");
            let wire = [subscribe(1, first), "UNSUBSCRIBE\nid:1\n\n\0".to_owned(), subscribe(2, "b")];
            let wire =
                wire.map(|text| crate::support::frame::masked(crate::support::frame::TEXT, text.as_bytes()));
            // In one write, and with a moment between them.
            if round % 2 == 0 {
                stomp.raw.send(&wire.concat());
            } else {
                stomp.raw.send(&wire[0]);
                stomp.raw.send(&wire[1..].concat());
            }
            let mut next = 1;
            while next <= 601 {
                let reply = stomp.next();
                if reply.command == "MESSAGE" && reply.get("subscription") == "2" {
                    assert_eq!(
                        (reply.get("destination"), reply.get("type") != "GAP"),
                        ("/topic/b", true),
                        "{reply:?}"
                    );
                    assert_eq!(reply.get("seq"), next.to_string());
                    assert!(next == 1 || reply.text() == format!("b{}", next - 2), "{reply:?}");
                    next += 1;
                }
            }
        }
        let mut newcomer = Stomp::connect(&server, "carol");
        newcomer.say(&subscribe(1, "b"));
        // The receipt comes from another thread than the room's messages.
        let message = std::iter::from_fn(|| Some(newcomer.next())).find(|reply| reply.command == "MESSAGE");
        assert_eq!(message.expect("no end").get("seq"), "1", "nobody has raised the oldest message");
    }
}
