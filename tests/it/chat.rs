//! Chat rooms on real sockets: one order for all, nobody is forgotten, nobody is disturbed.

use std::collections::HashMap;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::support::chat::{content, seq};
use crate::support::frame::{self, BINARY, CLOSE, Frame, PING, TEXT, masked};
use crate::support::{Chat, Client, Coverage, PATIENCE, Raw, TestServer, eventually};
use foghorn::config::{Config, OnLag};
use foghorn::server::{Context, Endpoint, Handler, SendError, Session};
use foghorn::ws::{CloseCode, Message};
use serde_json::{Value, json};

/// Without a store and with one.
fn both() -> [TestServer; 2] {
    [TestServer::start(), TestServer::stored(|_| ())]
}

#[test]
fn a_room_above_its_size_announces_nobody_and_counts_everybody() {
    let server = TestServer::with(|config| config.chat.notices_max_members = 2);
    let mut first = Chat::join(&server, "crowd", "u1");
    let second = Chat::join(&server, "crowd", "u2");
    let mut third = Chat::enter(&server, "crowd", "u3", "&hello=1");
    assert_eq!(third.expect("WELCOME")["online"], 3);
    // Who was announced leaves with a notice, who was not without one; below the size all is as ever.
    drop(second);
    third.expect("LEAVE");
    drop(third);
    // Nobody is announced until the third is gone.
    let mut probes = 0;
    eventually("one is left", || {
        probes += 1;
        let mut probe = Chat::enter(&server, "crowd", &format!("p{probes}"), "&hello=1");
        probe.expect("WELCOME")["online"] == 2
    });
    let expected = ["u2 joined", "u2 left", &format!("p{probes} joined")];
    assert_eq!([(); 3].map(|()| content(&first.next())), expected);
}

#[test]
fn everyone_in_the_room_gets_every_message_once_and_in_one_order() {
    for server in both() {
        let mut members: Vec<_> =
            (0..5).map(|number| Chat::join(&server, "r", &format!("u{number}"))).collect();
        for (number, member) in members.iter_mut().enumerate() {
            for later in number + 1..5 {
                assert_eq!(content(&member.expect("JOIN")), format!("u{later} joined"));
            }
        }
        for round in 0..20 {
            for (number, member) in members.iter_mut().enumerate() {
                member.say(&format!("{number} {round}"));
            }
        }
        let heard: Vec<Vec<Value>> =
            members.iter_mut().map(|member| (0..100).map(|_| member.expect("MESSAGE")).collect()).collect();
        let first = &heard[0];
        assert!(heard.iter().all(|other| other == first), "all see the same, the senders included");
        assert!(first.iter().map(seq).eq(6..106));
        assert!(first.is_sorted_by(|a, b| a["timestamp"].as_str() < b["timestamp"].as_str()));
        for number in 0..5 {
            let own = first.iter().filter(|message| message["sender"] == format!("u{number}"));
            let expected = (0..20).map(|round| format!("{number} {round}"));
            assert!(own.map(content).eq(expected), "one publisher's messages keep their order");
        }
    }
}

#[test]
fn a_message_has_the_fields_of_the_contract_and_those_of_a_forger_are_ignored() {
    for server in both() {
        let mut chat = Chat::enter(&server, "a%2Fb+c", "J%C3%B6rg%22", "");
        let join = chat.expect("JOIN");
        assert_eq!(join["sender"], "SYSTEM");
        assert_eq!(join["content"], "J\u{f6}rg\" joined");
        let forged = json!({"content": "\u{1f32b} \"\\\n", "sender": "root", "roomId": "x", "type": "SYSTEM",
            "seq": 99, "id": "client's", "timestamp": "never"});
        chat.client.send_text(&forged.to_string());
        let message = chat.expect("MESSAGE");
        let fields: Vec<_> = message.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut expected = ["id", "roomId", "sender", "content", "type", "timestamp", "seq", "clientId"];
        expected.sort_unstable();
        assert_eq!(fields, expected);
        assert_eq!(message["roomId"], "a/b c");
        assert_eq!(message["sender"], "J\u{f6}rg\"");
        assert_eq!(message["content"], forged["content"]);
        assert_eq!((seq(&join), seq(&message)), (1, 2));
        assert_eq!(message["clientId"], "client's");
        assert_ne!(message["id"], join["id"]);
        assert_eq!(message["timestamp"].as_str().map(str::len), Some("2026-01-31T12:00:00.123456Z".len()));
    }
}

#[test]
fn a_leave_is_told_once_however_the_session_ended() {
    for server in both() {
        let mut witness = Chat::join(&server, "r", "witness");
        let endings: [fn(Raw); 4] = [
            |mut raw| {
                raw.send(&frame::masked_close(1000, ""));
                raw.expect_close(1000);
            },
            drop,
            Raw::reset,
            |mut raw| {
                raw.send(b"\x83\x80");
                raw.expect_close(1002);
            },
        ];
        for end in endings {
            let mut raw = Raw::open(&server, "/ws/chat?roomId=r&username=guest");
            assert_eq!(raw.frame().first, TEXT);
            assert_eq!(content(&witness.expect("JOIN")), "guest joined");
            end(raw);
            assert_eq!(content(&witness.expect("LEAVE")), "guest left");
        }
        witness.say("nothing more");
        assert_eq!(witness.hear(1), ["nothing more"]);
    }
}

#[test]
fn a_user_with_two_sessions_joins_and_leaves_twice() {
    let server = TestServer::start();
    let mut witness = Chat::join(&server, "r", "witness");
    let first = Chat::join(&server, "r", "guest");
    let mut second = Chat::enter(&server, "r", "guest", "&hello=1");
    assert_eq!(second.expect("WELCOME")["online"], 2, "users are counted, not sessions");
    drop(first);
    drop(second);
    let kinds: Vec<_> = (0..4).map(|_| witness.next()["type"].clone()).collect();
    assert_eq!(kinds, ["JOIN", "JOIN", "LEAVE", "LEAVE"]);
}

#[test]
fn what_is_not_a_message_is_told_to_its_sender_alone() {
    for server in both() {
        let (mut sender, mut other) = (Chat::join(&server, "r", "a"), Chat::join(&server, "r", "b"));
        sender.expect("JOIN");
        for text in ["", "hello", "{}", "[]", "{\"content\":1}", "{\"content\":\"a\",\"id\":7}", "heartbeat"]
        {
            sender.client.send_text(text);
            let error = sender.expect("ERROR");
            assert_eq!(error["code"], "bad_message", "{text}");
            assert!(error["content"].is_string());
        }
        sender.client.send_text("HEARTBEAT");
        sender.say("after all that");
        assert_eq!(sender.hear(1), ["after all that"]);
        assert_eq!(other.hear(1), ["after all that"]);
    }
}

#[test]
fn binary_is_not_spoken_here() {
    let server = TestServer::start();
    let mut chat = Chat::join(&server, "r", "u");
    chat.client.send(tungstenite::Message::binary(vec![1, 2, 3]));
    chat.client.expect_close(1003);
}

#[test]
fn a_query_that_makes_no_sense_is_upgraded_and_closed_with_1008() {
    let long_room = format!("?roomId={}&username=u", "r".repeat(129));
    let long_user = format!("?roomId=r&username={}", "u".repeat(65));
    let queries = [
        "",
        "?roomId=r",
        "?username=u",
        "?roomId=&username=u",
        "?roomId=r&username=",
        "?roomId=r&username=%00",
        "?roomId=r%0a&username=u",
        "?roomId=%ff&username=u",
        "?roomId=r&username=u&history=-1",
        "?roomId=r&username=u&history=x",
        "?roomId=r&username=u&since=yesterday",
        "?roomId=r&username=u&sinceSeq=99999999999999999999",
        "?roomId=r&username=u&sinceSeq=1&epoch=x",
        &long_room,
        &long_user,
    ];
    let server = TestServer::start();
    for query in queries {
        let mut raw = Raw::open(&server, &format!("/ws/chat{query}"));
        let frame = raw.frame();
        assert_eq!(frame.close_code(), Some(1008), "{query}");
        assert!(frame.payload.len() > 2, "a reason is given: {query}");
    }
    let longest = format!("?roomId={}&username={}", "r".repeat(128), "u".repeat(64));
    assert_eq!(Raw::open(&server, &format!("/ws/chat{longest}")).frame().first, TEXT);
}

#[test]
fn a_repeated_id_is_published_once() {
    for server in both() {
        let (mut a, mut b) = (Chat::join(&server, "r", "a"), Chat::join(&server, "r", "b"));
        a.expect("JOIN");
        a.say_once("1", "first");
        assert_eq!(a.hear(1), ["first"]);
        a.say_once("1", "first");
        assert_eq!(a.expect("ACK")["clientId"], "1");
        assert_eq!(b.hear(1), ["first"]);
        b.say_once("1", "by another");
        assert_eq!(b.hear(1), ["by another"]);
        let mut elsewhere = Chat::join(&server, "other", "a");
        elsewhere.say_once("1", "another room");
        assert_eq!(elsewhere.hear(1), ["another room"]);
    }
}

#[test]
fn text_heartbeats_come_by_the_clock() {
    let server = TestServer::with(|config| config.heartbeat.text_interval = Duration::from_millis(50));
    let mut chat = Chat::join(&server, "r", "u");
    for _ in 0..3 {
        assert_eq!(chat.client.text(), "HEARTBEAT");
    }
    let server = TestServer::with(|config| config.heartbeat.text_interval = Duration::ZERO);
    let mut chat = Chat::join(&server, "r", "u");
    chat.say("alone");
    assert_eq!(chat.hear(1), ["alone"]);
}

/// A room with the messages `1..=10` (JOIN is number 1), and its epoch.
fn ten(server: &TestServer) -> (Chat, String, Vec<Value>) {
    let mut chat = Chat::enter(server, "r", "u", "&hello=1");
    let welcome = chat.expect("WELCOME");
    assert_eq!(
        (&welcome["roomId"], &welcome["username"], &welcome["seq"]),
        (&json!("r"), &json!("u"), &json!(0))
    );
    assert_eq!(welcome["sessionId"].as_str().map(str::len), Some(32));
    let epoch = welcome["epoch"].as_str().expect("an epoch").to_owned();
    let mut messages = vec![chat.expect("JOIN")];
    for number in 2..=10 {
        chat.say(&number.to_string());
        messages.push(chat.expect("MESSAGE"));
    }
    (chat, epoch, messages)
}

/// The numbers of the messages that a newcomer gets up to its own JOIN.
fn numbers(server: &TestServer, user: &str, query: &str) -> Vec<u64> {
    let mut chat = Chat::enter(server, "r", user, query);
    let mut numbers = Vec::new();
    loop {
        let message = chat.next();
        numbers.push(seq(&message));
        if message["content"] == format!("{user} joined") {
            return numbers;
        }
        assert_ne!(message["type"], "GAP", "{message}");
    }
}

#[test]
fn a_newcomer_begins_where_it_asks_to() {
    for server in both() {
        let (mut witness, epoch, messages) = ten(&server);
        let mut head = 10;
        let mut expect = |query: &str, first: u64| {
            head += 1;
            let user = format!("late{head}");
            let expected: Vec<_> = (first.min(head)..=head).collect();
            assert_eq!(numbers(&server, &user, query), expected, "{query}");
            head += 1;
            assert_eq!(content(&witness.expect("JOIN")), format!("{user} joined"));
            assert_eq!(content(&witness.expect("LEAVE")), format!("{user} left"));
        };
        let time = |number: usize| messages[number - 1]["timestamp"].as_str().expect("a time").to_owned();
        expect("", u64::MAX);
        expect("&sinceSeq=0", 1);
        expect("&sinceSeq=7", 8);
        expect(&format!("&sinceSeq=7&epoch={epoch}"), 8);
        expect(&format!("&since={}", time(10)), 11);
        expect(&format!("&since={}", time(4)), 5);
        expect(&format!("&since={}", time(4).trim_end_matches('Z')), 5);
        expect("&since=2020-01-01T00:00:00Z", 1);
        expect("&since=2099-01-01T00:00:00%2B01:00", u64::MAX);
        expect("&history=0", u64::MAX);
        expect("&history=99999", 1);
        // The number wins over the time, and that over the count.
        expect(&format!("&sinceSeq=9&since={}&history=99999", time(2)), 10);
        expect(&format!("&since={}&history=99999", time(9)), 10);
    }
}

#[test]
fn the_last_messages_come_oldest_first() {
    for server in both() {
        let _open = ten(&server);
        assert_eq!(numbers(&server, "late", "&history=3"), [8, 9, 10, 11]);
    }
}

#[test]
fn a_position_of_another_log_is_answered_with_a_gap() {
    for server in both() {
        let (mut witness, epoch, messages) = ten(&server);
        let (mut head, mut newest) = (10, messages[9].clone());
        for query in ["&sinceSeq=5&epoch=0123456789abcdef", "&sinceSeq=999"] {
            let mut chat = Chat::enter(&server, "r", "late", query);
            let mut gap = chat.next();
            // The time of the message after which the member goes on.
            let at = gap.as_object_mut().and_then(|gap| gap.remove("timestamp")).expect("a time");
            assert_eq!(at, newest["timestamp"], "{query}");
            assert_eq!(gap, json!({"type":"GAP","roomId":"r","from":1,"to":head,"epoch":epoch}), "{query}");
            assert_eq!(seq(&chat.expect("JOIN")), head + 1);
            witness.expect("JOIN");
            drop(chat);
            newest = witness.expect("LEAVE");
            head = seq(&newest);
        }
    }
}

fn small_window(config: &mut Config) {
    config.rooms.window_messages = 4;
    config.rooms.window_bytes = 4096;
}

#[test]
fn what_has_left_the_window_is_a_gap_without_a_store_and_none_with_one() {
    let server = TestServer::with(small_window);
    let (_open, epoch, messages) = ten(&server);
    let mut chat = Chat::enter(&server, "r", "late", "&sinceSeq=2");
    let mut gap = chat.next();
    let at = gap.as_object_mut().and_then(|gap| gap.remove("timestamp")).expect("a time");
    assert!(at.as_str() <= messages[1]["timestamp"].as_str(), "{at}");
    assert_eq!(gap, json!({"type":"GAP","roomId":"r","from":3,"to":6,"epoch":epoch}));
    assert_eq!((0..5).map(|_| seq(&chat.next())).collect::<Vec<_>>(), [7, 8, 9, 10, 11]);

    let server = TestServer::stored(small_window);
    let (_open, _, _) = ten(&server);
    assert_eq!(numbers(&server, "late", "&sinceSeq=2"), (3..=11).collect::<Vec<_>>());
}

#[test]
fn a_member_that_comes_back_gets_what_it_missed_while_others_publish() {
    for server in [TestServer::start(), TestServer::stored(small_window)] {
        let mut member = Chat::enter(&server, "r", "member", "&hello=1");
        let epoch = member.expect("WELCOME")["epoch"].as_str().expect("an epoch").to_owned();
        let mut coverage = Coverage::from(1);
        coverage.take(&member.expect("JOIN"));
        let mut publisher = Chat::join(&server, "r", "publisher");
        for round in 0..20 {
            for number in 0..5 {
                publisher.say(&format!("{round} {number}"));
            }
            let last = format!("{round} 4");
            let back = format!("&sinceSeq={}&epoch={epoch}", coverage.next - 1);
            member = Chat::enter(&server, "r", "member", &back);
            loop {
                let message = member.next();
                coverage.take(&message);
                if message["content"] == last {
                    break;
                }
            }
            while content(&publisher.next()) != last {}
        }
        assert_eq!(coverage.gaps, 0);
    }
}

/// A member that has joined and does not read, its receive buffer small.
fn sleeper(server: &TestServer, path: &str) -> Raw {
    let mut raw = Raw::open_with_small_buffer(server, path);
    // Its JOIN: then it is a member.
    assert_eq!(raw.frame().first, TEXT);
    raw
}

/// Has a sleeper lag far behind a room; returns the sleeper, a publisher that may go on, and what others noticed.
fn lagging(server: &TestServer) -> (Raw, Chat) {
    let sleeper = sleeper(server, "/ws/chat?roomId=r&username=sleeper");
    let mut awake = Chat::join(server, "r", "awake");
    let large = "x".repeat(50_000);
    let mut coverage = Coverage::from(3);
    // Four times what the kernel keeps for one connection at most.
    for _ in 0..400 {
        awake.say(&large);
        coverage.take(&awake.expect("MESSAGE"));
    }
    assert_eq!((coverage.received, coverage.gaps), (400, 0));
    (sleeper, awake)
}

fn json_of(frame: &Frame) -> Value {
    assert_eq!(frame.first, TEXT, "{frame:?}");
    serde_json::from_slice(&frame.payload).expect("JSON")
}

#[test]
fn a_member_that_lagged_is_told_what_it_lost_and_goes_on() {
    let server = TestServer::with(|config| {
        small_window(config);
        config.rooms.on_lag = OnLag::Gap;
    });
    let (mut sleeper, mut awake) = lagging(&server);
    awake.say("wake up");
    let mut coverage = Coverage::from(2);
    let mut said = false;
    loop {
        let value = json_of(&sleeper.frame());
        coverage.take(&value);
        if coverage.gaps == 1 && !said {
            awake.say("at last");
            said = true;
        }
        if value["content"] == "at last" {
            break;
        }
    }
    assert_eq!(coverage.gaps, 1);
    assert!(coverage.received < 300, "{coverage:?}");
}

#[test]
fn a_member_that_lagged_gets_everything_where_there_is_a_store() {
    let server = TestServer::stored(|config| {
        small_window(config);
        // More than what the member lags.
        (config.history.memory_room_bytes, config.history.memory_bytes) = (64 << 20, 64 << 20);
    });
    let (mut sleeper, mut awake) = lagging(&server);
    awake.say("at last");
    let mut coverage = Coverage::from(2);
    loop {
        let value = json_of(&sleeper.frame());
        coverage.take(&value);
        if value["content"] == "at last" {
            break;
        }
    }
    assert_eq!(coverage.gaps, 0);
    assert_eq!(coverage.received, 402);
}

#[test]
fn a_member_that_lagged_is_closed_where_that_is_wanted() {
    let server = TestServer::with(|config| {
        small_window(config);
        config.rooms.on_lag = OnLag::Close;
    });
    let (mut sleeper, mut awake) = lagging(&server);
    let mut coverage = Coverage::from(2);
    let close = loop {
        let frame = sleeper.frame();
        if frame.first == CLOSE {
            break frame;
        }
        coverage.take(&json_of(&frame));
    };
    assert_eq!(close.close_code(), Some(4008));
    assert_eq!(content(&awake.expect("LEAVE")), "sleeper left");
}

#[test]
fn rooms_on_all_shards_keep_to_themselves() {
    let server = TestServer::with(|config| config.workers = Some(4));
    let mut rooms: Vec<Vec<Chat>> = (0..24)
        .map(|room| {
            let name = format!("room{room}");
            let mut members: Vec<_> =
                (0..3).map(|user| Chat::join(&server, &name, &format!("u{user}"))).collect();
            for (number, member) in members.iter_mut().enumerate() {
                (number + 1..3).for_each(|_| drop(member.expect("JOIN")));
            }
            members
        })
        .collect();
    for round in 0..10 {
        for (room, members) in rooms.iter_mut().enumerate() {
            members[round % 3].say(&format!("{room} {round}"));
        }
    }
    for (room, members) in rooms.iter_mut().enumerate() {
        let mut heard = members.iter_mut().map(|member| member.hear(10));
        let first = heard.next().expect("three members");
        assert!(heard.all(|other| other == first));
        let mut sorted = first.clone();
        sorted.sort();
        assert!(sorted.iter().eq(&(0..10).map(|round| format!("{room} {round}")).collect::<Vec<_>>()));
    }
}

#[test]
fn many_publishers_at_once_are_put_into_one_order() {
    const PUBLISHERS: usize = 8;
    const MESSAGES: usize = 200;
    let wide = |config: &mut Config| {
        config.rooms.window_messages = 100_000;
        config.rooms.window_bytes = 100 << 20;
    };
    for server in [TestServer::with(wide), TestServer::stored(small_window)] {
        let mut witness = Chat::join(&server, "r", "witness");
        let publishers: Vec<_> =
            (0..PUBLISHERS).map(|number| Chat::join(&server, "r", &format!("p{number}"))).collect();
        let threads: Vec<_> = publishers
            .into_iter()
            .map(|mut chat| {
                std::thread::spawn(move || {
                    for message in 0..MESSAGES {
                        chat.say(&message.to_string());
                    }
                    let mut heard = Vec::new();
                    while heard.len() < PUBLISHERS * MESSAGES {
                        let value = chat.next();
                        if value["type"] == "MESSAGE" {
                            heard.push((seq(&value), value["sender"].to_string(), content(&value)));
                        }
                    }
                    heard
                })
            })
            .collect();
        let mut coverage = Coverage::from(2);
        let mut next: HashMap<String, usize> = HashMap::new();
        while coverage.received < (PUBLISHERS + PUBLISHERS * MESSAGES) as u64 {
            let value = witness.next();
            coverage.take(&value);
            if value["type"] == "MESSAGE" {
                let next = next.entry(value["sender"].to_string()).or_default();
                assert_eq!(content(&value), next.to_string());
                *next += 1;
            }
        }
        for thread in threads {
            let heard = thread.join().expect("a publisher");
            assert!(heard.is_sorted_by(|a, b| a.0 < b.0));
        }
    }
}

#[test]
fn a_flooding_publisher_is_slowed_down_and_loses_nothing() {
    const MESSAGES: u64 = 30_000;
    let wide = |config: &mut Config| {
        config.rooms.window_messages = 100_000;
        config.rooms.window_bytes = 64 << 20;
    };
    // A witness that is slower than the flood reads from the store, which keeps all of it.
    let narrow = |config: &mut Config| {
        config.rooms.window_messages = 64;
        config.history.memory_messages = 2 * usize::try_from(MESSAGES).expect("a count");
    };
    for server in [TestServer::with(wide), TestServer::stored(narrow)] {
        let mut witness = Chat::join(&server, "r", "witness");
        let flood = Raw::open(&server, "/ws/chat?roomId=r&username=flood");
        let mut writer = flood.stream().try_clone().expect("a second handle");
        let sending = std::thread::spawn(move || {
            for batch in 0..MESSAGES / 100 {
                let frames: Vec<u8> = (batch * 100..(batch + 1) * 100)
                    .flat_map(|number| masked(TEXT, format!("{{\"content\":\"{number}\"}}").as_bytes()))
                    .collect();
                std::io::Write::write_all(&mut writer, &frames).expect("the server reads on");
            }
        });
        let mut coverage = Coverage::from(2);
        coverage.take(&witness.expect("JOIN"));
        for number in 0..MESSAGES {
            let message = witness.expect("MESSAGE");
            coverage.take(&message);
            assert_eq!(content(&message), number.to_string());
        }
        sending.join().expect("the flood ends");
        drop(flood);
    }
}

#[test]
fn a_shutdown_delivers_what_was_published_and_says_goodbye() {
    for server in both() {
        let mut members: Vec<_> = (0..4).map(|n| Chat::join(&server, "r", &format!("u{n}"))).collect();
        let mut first = Raw::open(&server, "/ws/chat?roomId=r&username=publisher");
        assert_eq!(first.frame().first, TEXT);
        for (number, member) in members.iter_mut().enumerate() {
            (number..4).for_each(|_| drop(member.expect("JOIN")));
        }
        let publishing = std::thread::spawn(move || {
            for number in 0.. {
                let frame = masked(TEXT, format!("{{\"content\":\"{number}\"}}").as_bytes());
                if std::io::Write::write_all(&mut first.stream(), &frame).is_err() {
                    break;
                }
                // Its own messages come back. Only a few are under way at a time, or the members, who are not read
                // from yet, would be cut off for what they cannot take.
                if number >= 16 && first.frame().first == CLOSE {
                    return;
                }
            }
        });
        members[0].hear(50);
        server.begin_shutdown();
        let mut heard: Vec<Vec<String>> = Vec::new();
        for mut member in members {
            let (texts, code) = member.client.read_to_close();
            assert_eq!(code, Some(1001));
            let messages = texts.iter().map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
            heard.push(
                messages.filter(|value| value["type"] == "MESSAGE").map(|value| content(&value)).collect(),
            );
        }
        publishing.join().expect("the publisher");
        server.join();
        heard[0].splice(0..0, (0..50).map(|number| number.to_string()));
        for other in &heard {
            assert_eq!(other.len(), heard[0].len(), "everybody got everything");
            assert!(other.iter().enumerate().all(|(number, content)| *content == number.to_string()));
        }
    }
}

/// Hands its sessions out.
struct Handed(std::sync::mpsc::SyncSender<Session>);

impl Handler for Handed {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _: &foghorn::http::Head<'_>) {
        self.0.send(cx.session().clone()).expect("the test takes it");
    }

    fn message(&self, _: &mut Context<'_>, _: &mut (), _: Message<'_>) {}
}

#[test]
fn a_session_can_be_used_from_another_thread_and_outlives_its_connection_harmlessly() {
    let (hand, handed) = sync_channel(10);
    let server = TestServer::with_routes(
        |_| (),
        |router| router.endpoint("/handed", Endpoint::new(Handed(hand)).subprotocols(["test"])),
    );
    let mut raw = Raw::open(&server, "/handed?a=b");
    let session = handed.recv_timeout(PATIENCE).expect("a session");
    let handshake = session.handshake().expect("it is remembered");
    assert_eq!((handshake.target(), handshake.header("HOST")), ("/handed?a=b", Some("h")));
    assert!(handshake.peer().ip().is_loopback());
    session.set_attribute(7u32);
    session.set_attribute("text".to_owned());
    assert_eq!(session.attribute::<u32>().as_deref(), Some(&7));
    let other = session.clone();
    let sending = std::thread::spawn(move || {
        for number in 0..1000 {
            other.send_text(&number.to_string()).expect("it is open");
        }
        other.send_binary(b"done").expect("it is open");
        other.ping(&[b'x'; 200]).expect("it is open");
        assert!(other.is_open());
        other.close(CloseCode::KICKED, "out");
        assert!(!other.is_open());
        other.close(CloseCode::NORMAL, "too late");
        assert_eq!(other.send_text("too late"), Err(SendError::Closed));
    });
    for number in 0..1000 {
        assert_eq!(raw.frame(), Frame::text(&number.to_string()));
    }
    assert_eq!(raw.frame(), Frame::new(BINARY, *b"done"));
    assert_eq!(raw.frame(), Frame::new(PING, [b'x'; 125]));
    raw.expect_close(4001);
    sending.join().expect("the other thread");
    assert_eq!(session.send_text("nobody hears"), Err(SendError::Closed));
}

#[test]
fn a_session_that_is_closed_elsewhere_and_gets_no_answer_is_dropped() {
    let (hand, handed) = sync_channel(10);
    let server =
        TestServer::with_routes(|_| (), |router| router.endpoint("/handed", Endpoint::new(Handed(hand))));
    let mut raw = Raw::open(&server, "/handed");
    let session = handed.recv_timeout(PATIENCE).expect("a session");
    session.close(CloseCode::NORMAL, "");
    assert_eq!(raw.frame().close_code(), Some(1000));
    raw.expect_gone();
}

#[test]
fn a_session_that_nobody_reads_is_full_in_the_end_and_a_reader_gets_all_that_was_taken() {
    let (hand, handed) = sync_channel(10);
    let server =
        TestServer::with_routes(|_| (), |router| router.endpoint("/handed", Endpoint::new(Handed(hand))));
    let mut raw = Raw::open_with_small_buffer(&server, "/handed");
    let session = handed.recv_timeout(PATIENCE).expect("a session");
    let payload = [b'x'; 60_000];
    let mut taken = 0;
    while session.send_binary(&payload).is_ok() {
        taken += 1;
        assert!(taken < 1000, "the queue has no limit");
    }
    assert_eq!(session.send_binary(&payload), Err(SendError::Full));
    for _ in 0..taken {
        assert_eq!(raw.frame().payload.len(), payload.len());
    }
    eventually("there is room again", || session.send_text("again").is_ok());
    assert_eq!(raw.frame(), Frame::text("again"));
}

#[test]
fn a_full_room_says_try_again_later() {
    for stored in [false, true] {
        let limit = |config: &mut Config| config.limits.members_per_room = 2;
        let server = if stored { TestServer::stored(limit) } else { TestServer::with(limit) };
        let (mut first, second) = (Chat::join(&server, "r", "a"), Chat::join(&server, "r", "b"));
        Chat::enter(&server, "r", "c", "&hello=1").client.expect_close(1013);
        drop(second);
        assert_eq!([first.next(), first.next()].map(|value| value["type"].clone()), ["JOIN", "LEAVE"]);
        drop(Chat::join(&server, "r", "d"));
        assert_eq!(content(&first.expect("JOIN")), "d joined");
    }
}

#[test]
fn one_room_too_many_says_try_again_later_and_an_empty_one_makes_way() {
    let server = TestServer::with(|config| {
        config.workers = Some(1);
        config.limits.rooms = 1;
    });
    let only = Chat::join(&server, "r", "a");
    Chat::enter(&server, "other", "a", "").client.expect_close(1013);
    drop(only);
    eventually("the empty room makes way", || {
        let mut chat = Chat::enter(&server, "other", "a", "");
        matches!(chat.client.next(), Ok(message) if message.is_text())
    });
}

#[test]
fn rooms_that_nobody_created_can_be_refused() {
    let server = TestServer::stored(|config| config.chat.open_rooms = false);
    Chat::enter(&server, "r", "u", "").client.expect_close(1008);
}

#[test]
fn the_relay_hands_on_text_and_binary_as_they_came() {
    let server = TestServer::start();
    let mut sender = Client::connect(&server, "/ws/raw?roomId=r");
    let mut other = Client::connect(&server, "/ws/raw?roomId=r");
    let mut chat = Chat::join(&server, "r", "u");
    // There is no notice of a join: whoever hears itself is in.
    for client in [&mut sender, &mut other] {
        client.send_text("in");
        while client.text() != "in" {}
    }
    sender.send_text("not {json}");
    sender.send(tungstenite::Message::binary(vec![0, 255]));
    let mut texts = vec![other.message()];
    while texts.last() != Some(&tungstenite::Message::binary(vec![0, 255])) {
        texts.push(other.message());
    }
    let text = &texts[texts.len() - 2];
    assert_eq!(text.to_text().ok(), Some("not {json}"));
    chat.say("a room of its own");
    assert_eq!(chat.hear(1), ["a room of its own"]);
    Client::connect(&server, "/ws/raw").expect_close(1008);
}

/// As the seed's client does: it keeps the time of whatever frame came last, and comes back with it.
#[test]
fn a_client_that_keeps_the_time_of_any_frame_comes_back_without_loss() {
    for on_lag in ["store", "memory"] {
        let server = if on_lag == "store" { TestServer::stored(small_window) } else { TestServer::start() };
        let mut publisher = Chat::join(&server, "r", "publisher");
        let mut last = String::from("1970-01-01T00:00:00.000000Z");
        let (mut newest, mut seen) = (last.clone(), std::collections::BTreeSet::new());
        for round in 0..40 {
            let mut member = Chat::enter(&server, "r", "member", &format!("&hello=1&since={last}"));
            (0..5).for_each(|number| publisher.say(&format!("{round}/{number}")));
            if round % 2 == 0 {
                member.client.send_text("not a message");
            }
            for _ in 0..(round * 7) % 12 + 1 {
                let frame = member.next();
                let at = frame["timestamp"].as_str().unwrap_or_else(|| panic!("no time: {frame}")).to_owned();
                if frame["seq"].is_u64() && frame["type"] != "WELCOME" {
                    seen.insert(seq(&frame));
                    newest = newest.max(at.clone());
                } else {
                    assert!(at <= newest, "later than what was sent: {frame}");
                }
                last = at;
            }
        }
        let mut member = Chat::enter(&server, "r", "member", &format!("&since={last}"));
        publisher.say("the end");
        loop {
            let frame = member.next();
            seen.insert(seq(&frame));
            if frame["content"] == "the end" {
                break;
            }
        }
        let head = *seen.last().expect("the end");
        let missing: Vec<_> = (1..=head).filter(|seq| !seen.contains(seq)).collect();
        assert!(missing.is_empty(), "lost: {missing:?} of {head}");
    }
}
