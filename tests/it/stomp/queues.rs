//! Queues, and the queues of a user.

use foghorn::config::Config;
use foghorn::limit_hits::Limit;

use super::client::Stomp;
use crate::support::TestServer;

fn send(stomp: &mut Stomp, bodies: impl IntoIterator<Item = u32>) {
    for body in bodies {
        stomp.publish("/queue/q", &body.to_string());
    }
    stomp.sync();
}

fn consumer(server: &TestServer, mode: &str) -> Stomp {
    let mut stomp = Stomp::connect(server, "consumer");
    stomp.subscribe("s", "/queue/q", &format!("ack:{mode}\n"));
    stomp
}

#[test]
fn two_consumers_share_the_messages() {
    let server = TestServer::start();
    let (mut one, mut two) = (consumer(&server, "auto"), consumer(&server, "auto"));
    send(&mut Stomp::connect(&server, "alice"), 0..6);
    assert_eq!(one.hear(3), ["0", "2", "4"]);
    assert_eq!(two.hear(3), ["1", "3", "5"]);
    one.sync();
    two.sync();
}

#[test]
fn messages_wait_for_a_consumer_and_carry_their_headers() {
    let server = TestServer::start();
    let mut alice = Stomp::connect(&server, "alice");
    alice.say_bytes(
        b"SEND\ndestination:/queue/q\ncontent-type:image/x\nreply-to:/queue/a\\cb\nseq:9\nsender:forged\n\
          message-id:forged\nredelivered:true\nsubscription:forged\ncontent-length:4\n\n\xff\0\n\xfe\0",
    );
    alice.sync();
    let mut consumer = Stomp::connect(&server, "consumer");
    consumer.say("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    let message = consumer.expect("MESSAGE");
    assert_eq!(message.body, b"\xff\0\n\xfe");
    let names: Vec<_> = message.headers.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["subscription", "destination", "message-id", "sender", "content-type", "reply-to", "content-length"];
    assert_eq!(names, expected);
    assert_eq!((message.get("sender"), message.get("reply-to")), ("alice", "/queue/a:b"));
}

#[test]
fn a_lost_consumer_gives_its_messages_to_the_next_in_order() {
    let server = TestServer::start();
    let mut one = consumer(&server, "client-individual");
    send(&mut Stomp::connect(&server, "alice"), 0..5);
    let messages: Vec<_> = (0..5).map(|_| one.expect("MESSAGE")).collect();
    assert!(messages.iter().all(|message| message.header("redelivered").is_none()));
    one.settle(&format!("ACK\nid:{}\nreceipt:done\n\n\0", messages[2].get("ack")));
    one.raw.reset();
    let mut two = Stomp::connect(&server, "consumer");
    two.say("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client\n\n\0");
    for (expected, first) in [("0", 0), ("1", 1), ("3", 3), ("4", 4)] {
        let message = two.expect("MESSAGE");
        assert_eq!((message.text(), message.get("redelivered")), (expected, "true"));
        assert_eq!(message.get("message-id"), messages[first].get("message-id"));
    }
}

#[test]
fn what_is_refused_goes_to_another() {
    let server = TestServer::start();
    let (mut one, mut two) = (consumer(&server, "client-individual"), consumer(&server, "client-individual"));
    send(&mut Stomp::connect(&server, "alice"), 0..1);
    let message = one.expect("MESSAGE");
    one.settle(&format!("NACK\nid:{}\nreceipt:done\n\n\0", message.get("ack")));
    let again = two.expect("MESSAGE");
    assert_eq!((again.text(), again.get("redelivered")), ("0", "true"));
    two.settle(&format!("ACK\nid:{}\nreceipt:done\n\n\0", again.get("ack")));
    two.say(&format!("ACK\nid:{}\n\n\0", again.get("ack")));
    two.expect_error("no such message", 1002);
    one.sync();
}

#[test]
fn in_client_mode_an_acknowledgement_covers_what_came_before() {
    let server = TestServer::start();
    let mut stomp = Stomp::speaking(&server, "1.1");
    stomp.subscribe("s", "/queue/q", "ack:client\n");
    send(&mut Stomp::connect(&server, "alice"), 0..4);
    let ids: Vec<_> = (0..4).map(|_| stomp.expect("MESSAGE").get("message-id").to_owned()).collect();
    stomp.settle(&format!("ACK\nsubscription:s\nmessage-id:{}\nreceipt:done\n\n\0", ids[2]));
    stomp.say("UNSUBSCRIBE\nid:s\n\n\0");
    let mut other = Stomp::speaking(&server, "1.0");
    stomp.sync();
    other.say("SUBSCRIBE\ndestination:/queue/q\nack:client\n\n\0");
    let message = other.expect("MESSAGE");
    assert_eq!((message.text(), message.get("subscription")), ("3", "/queue/q"));
    other.settle(&format!("ACK\nmessage-id:{}\nreceipt:done\n\n\0", message.get("message-id")));
    other.say("UNSUBSCRIBE\ndestination:/queue/q\nreceipt:done\n\n\0");
    other.expect("RECEIPT");
    stomp.settle("SUBSCRIBE\nid:s\ndestination:/queue/q\nreceipt:done\n\n\0");
}

#[test]
fn a_consumer_that_acknowledges_nothing_is_sent_so_many_and_no_more() {
    let server = TestServer::with(|config| config.stomp.unacknowledged = 2);
    let mut one = consumer(&server, "client");
    send(&mut Stomp::connect(&server, "alice"), 0..5);
    assert_eq!(one.hear(1), ["0"]);
    let second = one.expect("MESSAGE");
    one.sync();
    one.say(&format!("ACK\nid:{}\n\n\0", second.get("ack")));
    assert_eq!(one.hear(2), ["2", "3"]);
    one.sync();
}

#[test]
fn a_queue_is_full_at_its_length_and_at_its_bytes() {
    let server = TestServer::with(|config| config.stomp.queue_length = 2);
    let mut alice = Stomp::connect(&server, "alice");
    send(&mut alice, 0..2);
    alice.say("SEND\ndestination:/queue/q\nreceipt:7\n\nmore\0");
    assert_eq!(alice.expect_error("queue is full", 1013).get("receipt-id"), "7");
    let mut reader = Stomp::connect(&server, "consumer");
    reader.say("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    assert_eq!(reader.hear(2), ["0", "1"], "those that were taken are there");
    let server = TestServer::with(|config| config.stomp.queue_bytes = 1024);
    let mut alice = Stomp::connect(&server, "alice");
    alice.publish("/queue/q", &"x".repeat(1024));
    alice.expect_error("queue is full", 1013);
    let server = TestServer::with(|config| config.stomp.memory = 1024);
    let mut alice = Stomp::connect(&server, "alice");
    alice.publish("/queue/q", &"x".repeat(600));
    alice.publish("/queue/p", &"x".repeat(600));
    alice.expect_error("queues are full", 1013);
    let server = TestServer::with(|config| config.stomp.queues = 1);
    let mut alice = Stomp::connect(&server, "alice");
    alice.subscribe("1", "/queue/q", "");
    alice.settle("UNSUBSCRIBE\nid:1\nreceipt:done\n\n\0");
    alice.subscribe("1", "/queue/p", "");
    alice.publish("/queue/q", "");
    alice.expect_error("too many queues", 1013);
}

#[test]
fn limits_are_counted_and_change_while_the_server_runs() {
    let mut config = Config::default();
    config.stomp.queue_length = 2;
    config.stomp.subscriptions = 1;
    let server = TestServer::with(|server| server.stomp = config.stomp.clone());
    let hits = |limit| server.handle().rooms().limit_hits().hits(limit);
    let mut old = Stomp::connect(&server, "old");
    let mut alice = Stomp::connect(&server, "alice");
    send(&mut alice, 0..2);
    alice.say("SEND\ndestination:/queue/q\nreceipt:7\n\nmore\0");
    alice.expect_error("queue is full", 1013);
    assert_eq!((hits(Limit::StompQueueLength), hits(Limit::StompQueueBytes)), (1, 0));
    config.stomp.queue_length = 4;
    config.stomp.subscriptions = 2;
    server.handle().reload(&config).expect("it can be changed");
    // Also for those who are there; what the reactor was told before is known when they connect.
    let mut alice = Stomp::connect(&server, "alice");
    send(&mut alice, 2..4);
    alice.say("SEND\ndestination:/queue/q\nreceipt:7\n\nmore\0");
    alice.expect_error("queue is full", 1013);
    old.subscribe("1", "/queue/p", "");
    old.subscribe("2", "/queue/p", "");
    old.say("SUBSCRIBE\nid:3\ndestination:/queue/p\n\n\0");
    old.expect_error("too many subscriptions", 1008);
    assert_eq!((hits(Limit::StompQueueLength), hits(Limit::StompSubscriptions)), (2, 1));
}

#[test]
fn a_receipt_tells_whether_somebody_was_there() {
    let server = TestServer::start();
    let mut alice = Stomp::connect(&server, "alice");
    let send = "SEND\ndestination:/queue/q\nreceipt:done\n\nhi\0";
    assert_eq!(alice.settle(send).get("delivered"), "0");
    let mut one = Stomp::connect(&server, "consumer");
    one.say("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    assert_eq!(one.hear(1), ["hi"]);
    assert_eq!(alice.settle(send).get("delivered"), "1");
    alice.say("SEND\ndestination:/queue/none\nmandatory:true\n\nhi\0");
    alice.expect_error("no subscriber", 1013);
    one.hear(1);
    one.settle("SUBSCRIBE\nid:t\ndestination:/queue/none\nreceipt:done\n\n\0");
    one.sync();
}

#[test]
fn a_transaction_acknowledges_at_its_commit() {
    let server = TestServer::start();
    let mut one = consumer(&server, "client-individual");
    send(&mut Stomp::connect(&server, "alice"), 0..2);
    let acks: Vec<_> = (0..2).map(|_| one.expect("MESSAGE").get("ack").to_owned()).collect();
    one.say("BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:u\n\n\0");
    one.say(&format!("ACK\nid:{}\ntransaction:t\n\n\0ACK\nid:{}\ntransaction:u\n\n\0", acks[0], acks[1]));
    one.settle("COMMIT\ntransaction:t\nreceipt:done\n\n\0");
    one.raw.reset();
    let mut two = Stomp::connect(&server, "consumer");
    two.say("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    assert_eq!(two.hear(1), ["1"], "the other transaction ended with its session");
    two.sync();
}

#[test]
fn more_waits_in_a_queue_than_fits_into_a_socket() {
    let server = TestServer::with(|config| config.limits.reply_bytes = 64 * 1024);
    let mut alice = Stomp::connect(&server, "alice");
    let body = "x".repeat(30_000);
    for n in 0..400 {
        alice.publish("/queue/q", &format!("{n} {body}"));
    }
    alice.sync();
    let mut slow = Stomp::connect(&server, "consumer");
    slow.say("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:auto\n\n\0");
    for n in 0..400 {
        let message = slow.expect("MESSAGE");
        assert_eq!(message.text().split(' ').next(), Some(n.to_string().as_str()));
        assert_eq!(message.header("redelivered"), None);
    }
    slow.sync();
}

#[test]
fn a_users_queue_reaches_all_of_the_users_sessions_and_nobody_elses() {
    let server = TestServer::start();
    let mut sessions = [Stomp::connect(&server, "alice"), Stomp::connect(&server, "alice")];
    let mut bob = Stomp::connect(&server, "bob");
    let mut nobody = [Stomp::speaking(&server, "1.2"), Stomp::speaking(&server, "1.2")];
    for session in sessions.iter_mut().chain([&mut bob]).chain(&mut nobody) {
        session.subscribe("1", "/user/queue/x", "");
    }
    let mut alice = Stomp::connect(&server, "alice");
    let send = "SEND\ndestination:/user/queue/x\nown:1\nreceipt:done\n\nmine\0";
    assert_eq!(alice.settle(send).get("delivered"), "2");
    for session in &mut sessions {
        let message = session.expect("MESSAGE");
        let told = ["destination", "subscription", "sender", "own"].map(|name| message.get(name));
        assert_eq!((told, message.text()), (["/user/queue/x", "1", "alice", "1"], "mine"));
    }
    nobody[0].publish("/user/queue/x", "only here");
    assert_eq!(nobody[0].hear(1), ["only here"]);
    nobody[1].sync();
    bob.settle("UNSUBSCRIBE\nid:1\nreceipt:done\n\n\0");
    bob.say("SEND\ndestination:/user/queue/x\nmandatory:true\n\n\0");
    bob.expect_error("no subscriber", 1013);
}

/// Unacknowledged messages of a session that is lost are for others, not for its own other subscription.
#[test]
fn what_a_lost_session_has_not_acknowledged_is_for_others() {
    for orderly in [false, true] {
        let server = TestServer::start();
        let mut lost = Stomp::connect(&server, "lost");
        for id in ["a", "b", "c"] {
            lost.subscribe(id, "/queue/q", if id == "b" { "" } else { "ack:client-individual\n" });
        }
        let mut producer = Stomp::connect(&server, "producer");
        send(&mut producer, 0..60);
        producer.sync();
        lost.hear(60);
        // One in three went to the subscription that acknowledges at once.
        let mut other = consumer(&server, "client");
        if orderly {
            lost.say("DISCONNECT\n\n\0");
            lost.expect_close(1000);
        } else {
            lost.raw.reset();
        }
        assert_eq!(other.hear(40).len(), 40, "orderly: {orderly}");
    }
}

#[test]
fn a_commit_that_fails_leaves_nothing() {
    let server = TestServer::with(|config| config.stomp.queue_length = 3);
    let transaction = |parts: &[(&str, &str)]| {
        let part = |(destination, header): &(&str, &str)| {
            format!("SEND\ndestination:{destination}\ntransaction:t\n{header}\nhalf\0")
        };
        let parts: String = parts.iter().map(part).collect();
        format!("BEGIN\ntransaction:t\n\n\0{parts}COMMIT\ntransaction:t\nreceipt:7\n\n\0")
    };
    let (mandatory, plain) = ("mandatory:true\n", "");
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("/queue/q", plain), ("/queue/nobody", mandatory)], "no subscriber"),
        (&[("/topic/r", plain), ("/queue/nobody", mandatory)], "no subscriber"),
        (&[("/queue/q", plain), ("/topic/nobody", mandatory)], "no subscriber"),
        (&[("/topic/r", plain), ("/topic/nobody", mandatory)], "no subscriber"),
        (&[("/queue/q", plain), ("/user/queue/nobody", mandatory)], "no subscriber"),
        (
            &[
                ("/topic/r", plain),
                ("/queue/q", plain),
                ("/queue/q", plain),
                ("/queue/q", plain),
                ("/queue/q", plain),
            ],
            "queue is full",
        ),
    ];
    for (parts, message) in cases {
        let mut producer = Stomp::connect(&server, "producer");
        producer.say(&transaction(parts));
        assert_eq!(producer.expect_error(message, 1013).get("receipt-id"), "7", "{parts:?}");
    }
    let mut witness = Stomp::connect(&server, "witness");
    witness.subscribe("q", "/queue/q", "");
    witness.subscribe("r", "/topic/r", "history:9\n");
    let mut producer = Stomp::connect(&server, "producer");
    producer.settle(
        &transaction(&[("/topic/r", mandatory), ("/queue/q", mandatory)])
            .replace("receipt:7", "receipt:done"),
    );
    assert_eq!(witness.hear(2), ["half", "half"], "once in the room and once in the queue");
    witness.sync();
}

#[test]
fn sessions_without_a_name_are_users_of_their_own() {
    let server = TestServer::with(|config| config.limits.sessions_per_user = 1);
    let mut sessions: Vec<_> = (0..3).map(|_| Stomp::speaking(&server, "1.2")).collect();
    for stomp in &mut sessions {
        stomp.subscribe("1", "/topic/r", "");
        stomp.subscribe("2", "/user/queue/own", "");
    }
    sessions[0].publish("/user/queue/own", "to myself");
    assert_eq!(sessions[0].hear(1), ["to myself"]);
    sessions[1].sync();
    for number in [1, 2] {
        let send = format!("SEND\ndestination:/topic/r\nid:same\n\nfrom {number}\0");
        sessions[number].say(&send);
        for stomp in &mut sessions {
            assert_eq!(stomp.hear(1), [format!("from {number}")]);
        }
    }
}
