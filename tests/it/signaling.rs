//! Signaling on real sockets: who hears of whom, who gets what, and what a peer can do wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::frame::{CLOSE, Frame, masked_close};
use crate::support::{Client, PATIENCE, Raw, TestServer};
use foghorn::auth::{HmacAlgorithm, Issuer};
use foghorn::config::{Config, Secret};
use foghorn::limit_hits::Limit;
use serde_json::{Value, json};
use socket2::SockRef;
use tungstenite::Message;

const SECRET: &str = "a secret of the tests, long enough for SHA-256";

/// A peer in a room, and its id as the others know it.
struct Peer {
    client: Client,
    id: String,
}

impl Peer {
    /// Comes into a room where nobody is. It learns its own id from another peer, who then leaves.
    fn alone(server: &TestServer, path: &str) -> Peer {
        let mut client = Client::connect(server, path);
        let mut other = Client::connect(server, path);
        let others = id_of(&object(&client.text()));
        client.send_text(r#"{"type":"who am I?"}"#);
        let id = id_of(&object(&other.text()));
        other.close();
        assert_eq!(object(&client.text()), json!({ "type": "close", "sender": others }));
        Peer { client, id }
    }

    /// Comes into a room where these are, who hear of it.
    fn join(server: &TestServer, path: &str, others: &mut [Peer]) -> Peer {
        let client = Client::connect(server, path);
        let mut id = String::new();
        for other in others {
            let news = other.next();
            id = id_of(&news);
            assert_eq!(news, json!({ "type": "new", "sender": id, "receiver": "all" }));
        }
        Peer { client, id }
    }

    fn say(&mut self, message: &Value) {
        self.client.send_text(&message.to_string());
    }

    fn next(&mut self) -> Value {
        object(&self.client.text())
    }

    /// The next thing that the peer hears.
    #[track_caller]
    fn hears(&mut self, expected: &Value) {
        assert_eq!(self.next(), *expected);
    }

    /// Goes without a word.
    fn reset(self) {
        SockRef::from(self.client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn object(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(value.is_object(), "{text}");
    value
}

fn id_of(message: &Value) -> String {
    let id = message["sender"].as_str().unwrap_or_else(|| panic!("no sender: {message}"));
    let well_formed = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(well_formed, "{id}");
    id.to_owned()
}

/// So many peers in a room of their own.
fn room(server: &TestServer, path: &str, count: usize) -> Vec<Peer> {
    let mut peers = vec![Peer::alone(server, path)];
    while peers.len() < count {
        let peer = Peer::join(server, path, &mut peers);
        peers.push(peer);
    }
    peers
}

/// As [`room`], to be named one by one.
fn peers<const COUNT: usize>(server: &TestServer, path: &str) -> [Peer; COUNT] {
    room(server, path, COUNT).try_into().unwrap_or_else(|_| panic!("{COUNT} peers"))
}

/// Nothing has come to these but what they have read: what is said now is next.
#[track_caller]
fn nothing_more(speaker: &mut Peer, listeners: &mut [&mut Peer]) {
    for listener in listeners {
        let message = json!({ "type": "mark", "sender": speaker.id, "receiver": listener.id });
        speaker.say(&message);
        listener.hears(&message);
    }
}

#[test]
fn the_others_hear_of_a_newcomer_and_the_newcomer_of_nobody() {
    let server = TestServer::start();
    let [mut ann, mut bob, mut cy] = peers(&server, "/room?roomId=r");
    let ids: BTreeSet<_> = [&ann.id, &bob.id, &cy.id].into_iter().collect();
    assert_eq!(ids.len(), 3);
    nothing_more(&mut ann, &mut [&mut bob, &mut cy]);
    nothing_more(&mut cy, &mut [&mut ann]);
}

#[test]
fn a_message_goes_to_its_receiver_alone() {
    let server = TestServer::start();
    let [mut ann, mut bob, mut cy] = peers(&server, "/room?roomId=r");
    let offer =
        json!({ "type": "offer", "sender": ann.id, "receiver": bob.id, "data": { "sdp": "v=0\r\n" } });
    ann.say(&offer);
    bob.hears(&offer);
    let to_itself = json!({ "type": "note", "sender": ann.id, "receiver": ann.id, "data": 1 });
    ann.say(&to_itself);
    ann.hears(&to_itself);
    nothing_more(&mut bob, &mut [&mut ann, &mut cy]);
    nothing_more(&mut cy, &mut [&mut bob]);
}

#[test]
fn a_message_to_all_or_to_nobody_goes_to_all_others() {
    let server = TestServer::start();
    let [mut ann, mut bob, mut cy] = peers(&server, "/room");
    for receiver in [r#","receiver":"all""#, r#","receiver":"""#, r#","receiver":null"#, ""] {
        let text = format!(r#"{{"type":"hello","sender":"{}","data":[1]{receiver}}}"#, bob.id);
        bob.client.send_text(&text);
        for peer in [&mut ann, &mut cy] {
            assert_eq!(peer.client.text(), text);
        }
    }
    nothing_more(&mut ann, &mut [&mut bob, &mut cy]);
}

#[test]
fn the_server_says_who_sent_it_and_leaves_every_other_byte_as_it_is() {
    let server = TestServer::start();
    let [mut ann, mut bob, cy] = peers(&server, "/room?roomId=r");
    let data = r#"{"b":1.0e+2,"a":[ -0 ,1e999,"\u00e9\ud800\/é"],"sender":"me","b":null, "__proto__" : {}}"#;
    let forms = [
        (
            format!(r#"{{"type":"x","sender":"{}","receiver":"{}","data":{data}}}"#, cy.id, bob.id),
            format!(r#"{{"type":"x","sender":"{}","receiver":"{}","data":{data}}}"#, ann.id, bob.id),
        ),
        (
            format!(" {{\"candidate\":{data},\t\"sender\":[\"server\"],\r\n\"type\":\"\"}}"),
            format!(" {{\"candidate\":{data},\t\"sender\":\"{}\",\r\n\"type\":\"\"}}", ann.id),
        ),
        (
            format!(r#"{{"data":{data},"type":"x"}}"#),
            format!(r#"{{"sender":"{}","data":{data},"type":"x"}}"#, ann.id),
        ),
    ];
    for (sent, expected) in forms {
        ann.client.send_text(&sent);
        assert_eq!(bob.client.text(), expected);
    }
}

#[test]
fn the_servers_own_types_are_relayed_as_the_word_of_the_peer() {
    let server = TestServer::start();
    let [mut ann, mut bob, cy] = peers(&server, "/room?roomId=r");
    for kind in ["new", "close", "error"] {
        ann.say(&json!({ "type": kind, "sender": cy.id, "receiver": bob.id, "content": "?" }));
        bob.hears(&json!({ "type": kind, "sender": ann.id, "receiver": bob.id, "content": "?" }));
    }
    // Whoever says that it closes is still there.
    nothing_more(&mut bob, &mut [&mut ann]);
}

#[test]
fn a_receiver_that_is_not_there_is_named_in_an_error() {
    let server = TestServer::start();
    let [mut ann, mut bob, cy] = peers(&server, "/room?roomId=r");
    let elsewhere = Peer::alone(&server, "/room?roomId=elsewhere");
    let gone = cy.id.clone();
    cy.client.close();
    for peer in [&mut ann, &mut bob] {
        peer.hears(&json!({ "type": "close", "sender": gone }));
    }
    let upper = format!("{}A", &bob.id[1..].to_uppercase());
    let zeros = "0".repeat(32);
    for receiver in ["x", "ALL", " all", "é\n\"", "\u{0}", &upper, &zeros, &gone, &elsewhere.id] {
        ann.say(&json!({ "type": "offer", "receiver": receiver }));
        ann.hears(&json!({ "type": "error", "receiver": receiver }));
    }
    ann.client.send_text(r#"{"type":"offer","receiver":"\ud800 \u0061"}"#);
    assert_eq!(ann.client.text(), r#"{"type":"error","receiver":"\ud800 \u0061"}"#);
    nothing_more(&mut ann, &mut [&mut bob]);
}

#[test]
fn what_is_no_message_is_answered_to_its_sender_who_stays() {
    let server = TestServer::start();
    let [mut ann, mut bob, mut cy] = peers(&server, "/room?roomId=r");
    let object = "expected a JSON object";
    let kind = "expected a string in \"type\"";
    let twice = "\"type\", \"sender\" or \"receiver\" is there twice";
    let receiver = "expected a session's id or \"all\" in \"receiver\"";
    let cases = [
        ("", object),
        ("HEARTBEAT", object),
        ("[]", object),
        (r#"["offer","a","all"]"#, object),
        (r#"{"type":"offer""#, object),
        (r#"{"type":"offer"} {}"#, object),
        (r#"{"type":"offer","data":undefined}"#, object),
        ("{}", kind),
        (r#"{"type":null,"receiver":"all"}"#, kind),
        (r#"{"type":{"a":1}}"#, kind),
        (r#"{"type":"a","type":"b"}"#, twice),
        (r#"{"type":"a","sender":"x","\u0073ender":"y"}"#, twice),
        (r#"{"type":"a","receiver":"x","receiver":"all"}"#, twice),
        (r#"{"type":"a","receiver":["all"]}"#, receiver),
        (r#"{"type":"AUTH","token":"secret"}"#, "a token is not for other peers"),
    ];
    for (text, content) in cases {
        ann.client.send_text(text);
        ann.hears(&json!({ "type": "error", "content": content }));
    }
    nothing_more(&mut ann, &mut [&mut bob, &mut cy]);
    nothing_more(&mut bob, &mut [&mut ann]);
}

#[test]
fn deep_and_large_messages_are_relayed_whole_or_refused() {
    let server = TestServer::start();
    let [mut ann, mut bob, _cy] = peers(&server, "/room?roomId=r");
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"sender":"{}","type":"t","data":{open}{close}}}"#, ann.id)
    };
    let (deepest, too_deep) = (nested(127), [nested(128), nested(30_000)]);
    ann.client.send_text(&deepest);
    assert_eq!(bob.client.text(), deepest);
    for text in &too_deep {
        ann.client.send_text(text);
        let content = "more than 128 levels of objects and arrays";
        ann.hears(&json!({ "type": "error", "content": content }));
    }
    // Nothing limits what is beside each other, but the message's length.
    let wide = format!(r#"{{"sender":"{}","type":"t","data":[{}0]}}"#, ann.id, "{},".repeat(20_000));
    let head = format!(r#"{{"sender":"{}","type":"t","data":""#, ann.id);
    let longest = format!("{head}{}\"}}", "é".repeat((65_536 - head.len() - 2) / 2));
    for text in [wide, longest] {
        ann.client.send_text(&text);
        assert_eq!(bob.client.text(), text);
    }
    ann.client.send_text(&format!("{head}{}\"}}", "x".repeat(65_536)));
    ann.client.expect_close(1009);
    bob.hears(&json!({ "type": "close", "sender": ann.id }));
}

#[test]
fn binary_ends_the_session() {
    let server = TestServer::start();
    let [mut ann, mut bob, mut cy] = peers(&server, "/room?roomId=r");
    bob.client.send(Message::binary(b"{\"type\":\"t\"}".to_vec()));
    bob.client.expect_close(1003);
    for peer in [&mut ann, &mut cy] {
        peer.hears(&json!({ "type": "close", "sender": bob.id }));
    }
    nothing_more(&mut ann, &mut [&mut cy]);
}

#[test]
fn rooms_never_meet() {
    let server = TestServer::start();
    let paths = ["/room", "/room?roomId=all", "/room?roomId=b%C3%BCro&username=u", "/room?roomId=B%C3%BCro"];
    let mut rooms = paths.map(|path| room(&server, path, 2));
    // The same rooms by other names of theirs.
    let same =
        ["/room?roomId=&x=1", "/room?roomId=%61ll", "/room?roomId=b%c3%bcro", "/room?x&roomId=B%C3%BCro"];
    for (room, path) in rooms.iter_mut().zip(same) {
        let peer = Peer::join(&server, path, room);
        room.push(peer);
    }
    for number in 0..rooms.len() {
        let (first, rest) = rooms[number].split_first_mut().unwrap();
        let message = json!({ "type": "hello", "sender": first.id, "receiver": "all", "data": number });
        first.say(&message);
        rest.iter_mut().for_each(|peer| peer.hears(&message));
        let stranger = rooms[(number + 1) % rooms.len()][0].id.clone();
        rooms[number][0].say(&json!({ "type": "hello", "receiver": stranger }));
        rooms[number][0].hears(&json!({ "type": "error", "receiver": stranger }));
    }
    for room in &mut rooms {
        let gone = room.remove(1);
        gone.client.close();
        for peer in &mut *room {
            peer.hears(&json!({ "type": "close", "sender": gone.id }));
        }
        let (first, rest) = room.split_first_mut().unwrap();
        nothing_more(first, &mut rest.iter_mut().collect::<Vec<_>>());
        nothing_more(&mut rest[0], &mut [first]);
    }
}

#[test]
fn a_room_needs_a_name_that_is_one() {
    let server = TestServer::start();
    for name in ["%0A", "a%00", "%ff", "%zz", &"r".repeat(129)] {
        Client::connect(&server, &format!("/room?roomId={name}")).expect_close(1008);
    }
    room(&server, &format!("/room?roomId={}", "r".repeat(128)), 2);
}

#[test]
fn two_hundred_peers_come_and_go_and_nobody_misses_or_doubles_one() {
    const PEERS: usize = 200;
    let server = TestServer::start();
    let mut coming = room(&server, "/room?roomId=crowd", PEERS).into_iter();
    let mut first = coming.next().unwrap();
    let (mut stay, mut gone) = (Vec::new(), BTreeSet::new());
    for (number, mut peer) in coming.enumerate() {
        if number % 2 == 0 {
            stay.push(peer);
            continue;
        }
        gone.insert(peer.id.clone());
        match number % 8 {
            1 => peer.client.close(),
            3 => peer.reset(),
            5 => peer.client.send(Message::binary(vec![])),
            _ => drop(peer),
        }
    }
    let heard = |peer: &mut Peer| -> BTreeSet<String> {
        let close = |peer: &mut Peer| {
            let message = peer.next();
            let id = id_of(&message);
            assert_eq!(message, json!({ "type": "close", "sender": id }));
            id
        };
        gone.iter().map(|_| close(peer)).collect()
    };
    assert_eq!(heard(&mut first), gone);
    for peer in &mut stay {
        assert_eq!(heard(peer), gone);
    }
    nothing_more(&mut first, &mut stay.iter_mut().collect::<Vec<_>>());
    // One more is news to those who are left, and to nobody twice.
    stay.push(first);
    Peer::join(&server, "/room?roomId=crowd", &mut stay);
}

#[test]
fn messages_to_more_peers_than_one_turn_serves_arrive_whole_and_in_order() {
    const MESSAGES: usize = 60;
    let server = TestServer::start();
    let mut peers = room(&server, "/room?roomId=many", 200);
    let (mut speaker, gone) = (peers.swap_remove(7), peers.swap_remove(3));
    let last = peers.len() - 1;
    for number in 0..MESSAGES {
        speaker.say(&json!({ "type": "all", "number": number }));
        speaker.say(&json!({ "type": "one", "number": number, "receiver": peers[last].id }));
    }
    let (gone_id, speaker_id) = (gone.id.clone(), speaker.id.clone());
    gone.reset();
    for (place, peer) in peers.iter_mut().enumerate() {
        let mut numbers = Vec::new();
        let mut has_gone = false;
        while numbers.len() < MESSAGES * (1 + usize::from(place == last)) || !has_gone {
            let heard = peer.next();
            if heard["type"] == "close" {
                assert_eq!(heard["sender"], gone_id);
                has_gone = true;
                continue;
            }
            assert_eq!(heard["sender"], speaker_id);
            numbers.push((heard["number"].as_u64().unwrap(), heard["type"] == "one"));
        }
        assert!(numbers.is_sorted(), "{place}: {numbers:?}");
    }
}

#[test]
fn the_size_of_a_room_is_counted_and_changes_while_the_server_runs() {
    let mut config = Config::default();
    config.signaling.peers_per_room = 1;
    let server = TestServer::with(|server| server.signaling = config.signaling.clone());
    let mut first = Client::connect(&server, "/room?roomId=r");
    Client::connect(&server, "/room?roomId=r").expect_close(1013);
    assert_eq!(server.handle().rooms().limit_hits().hits(Limit::PeersPerRoom), 1);
    config.signaling.peers_per_room = 2;
    server.handle().reload(&config).unwrap();
    let _second = Client::connect(&server, "/room?roomId=r");
    assert_eq!(object(&first.text())["type"], "new");
    Client::connect(&server, "/room?roomId=r").expect_close(1013);
    assert_eq!(server.handle().rooms().limit_hits().hits(Limit::PeersPerRoom), 2);
}

#[test]
fn a_full_room_is_closed_to_one_more_and_its_peers_hear_nothing_of_it() {
    let server = TestServer::with(|config| config.signaling.peers_per_room = 3);
    for path in ["/room", "/room?roomId=r"] {
        let [mut ann, mut bob, cy] = peers(&server, path);
        Client::connect(&server, path).expect_close(1013);
        nothing_more(&mut ann, &mut [&mut bob]);
        let gone = cy.id.clone();
        cy.client.close();
        let mut rest = [ann, bob];
        for peer in &mut rest {
            peer.hears(&json!({ "type": "close", "sender": gone }));
        }
        Peer::join(&server, path, &mut rest);
    }
}

/// A server whose clients may leave little unread, and take their time to say good-bye.
fn impatient() -> TestServer {
    TestServer::with(|config| {
        config.limits.reply_bytes = 256 * 1024;
        config.limits.close_timeout = PATIENCE;
    })
}

/// Comes into a room of one, and never reads; its id.
fn stalled(server: &TestServer, path: &str, witness: &mut Peer) -> (Raw, String) {
    let raw = Raw::open_with_small_buffer(server, path);
    (raw, id_of(&witness.next()))
}

/// What the peer gets when it reads at last: whole messages in their order, then that it was too slow.
fn expect_too_slow(mut raw: Raw, sent: &[String]) {
    let mut taken = 0;
    loop {
        let frame = raw.frame();
        if frame.first == CLOSE {
            assert_eq!(frame.close_code(), Some(4008));
            break;
        }
        assert!(frame == Frame::text(&sent[taken]), "message {taken}");
        taken += 1;
    }
    assert!(0 < taken && taken < sent.len(), "{taken} of {}", sent.len());
    raw.send_anyway(&masked_close(4008, ""));
    raw.expect_end();
}

#[test]
fn a_peer_that_does_not_read_is_closed_and_the_others_get_everything() {
    let server = impatient();
    let [mut ann, mut bob] = peers(&server, "/room?roomId=r");
    let (raw, slow) = stalled(&server, "/room?roomId=r", &mut ann);
    bob.hears(&json!({ "type": "new", "sender": slow, "receiver": "all" }));
    let (mut sent, mut closed) = (Vec::new(), false);
    while !closed {
        assert!(sent.len() < 2000, "never closed");
        let filling = "x".repeat(60_000);
        let text = format!(r#"{{"type":"t","sender":"{}","data":[{},"{filling}"]}}"#, ann.id, sent.len());
        ann.client.send_text(&text);
        sent.push(text);
        let mut got = bob.client.text();
        if got.starts_with(r#"{"type":"close""#) {
            assert_eq!(object(&got), json!({ "type": "close", "sender": slow }));
            closed = true;
            got = bob.client.text();
        }
        assert!(got == *sent.last().unwrap(), "message {}", sent.len());
    }
    ann.hears(&json!({ "type": "close", "sender": slow }));
    nothing_more(&mut ann, &mut [&mut bob]);
    expect_too_slow(raw, &sent);
}

#[test]
fn a_message_to_a_peer_that_does_not_read_is_answered_when_it_is_lost() {
    let server = impatient();
    let [mut ann, mut bob] = peers(&server, "/room?roomId=r");
    let (raw, slow) = stalled(&server, "/room?roomId=r", &mut ann);
    bob.hears(&json!({ "type": "new", "sender": slow, "receiver": "all" }));
    let mut sent = Vec::new();
    let mark = json!({ "type": "mark", "sender": ann.id, "receiver": bob.id });
    loop {
        assert!(sent.len() < 2000, "never closed");
        let filling = "x".repeat(60_000);
        let text =
            format!(r#"{{"sender":"{}","receiver":"{slow}","type":"{}{filling}"}}"#, ann.id, sent.len());
        ann.client.send_text(&text);
        sent.push(text);
        ann.say(&mark);
        let got = bob.next();
        if got != mark {
            assert_eq!(got, json!({ "type": "close", "sender": slow }));
            break;
        }
    }
    ann.hears(&json!({ "type": "error", "receiver": slow }));
    expect_too_slow(raw, &sent);
}

#[test]
fn a_server_that_stops_says_good_bye_to_everybody_and_nothing_else() {
    let server = TestServer::start();
    let peers = room(&server, "/room", 20);
    server.begin_shutdown();
    for mut peer in peers {
        peer.client.expect_close(1001);
    }
}

#[test]
fn messages_are_not_compressed_once_for_each_peer() {
    let server = TestServer::start();
    let (_, answer) = Raw::offering(&server, "/room", "permessage-deflate");
    assert_eq!(answer, None);
    let (_, answer) = Raw::offering(&server, "/ws/chat?roomId=r&username=u", "permessage-deflate");
    assert!(answer.is_some());
}

fn guarded(config: &mut Config) {
    config.auth.jwt_secret = Some(Secret::new(SECRET));
}

fn token(rooms: Option<&[String]>) -> String {
    let lifetime = Duration::from_secs(4_000_000_000);
    let issuer = Issuer::new(SECRET.as_bytes(), HmacAlgorithm::Hs256, None, None);
    issuer.issue("ann", rooms, false, Duration::ZERO, lifetime).unwrap()
}

#[test]
fn a_token_names_the_rooms_and_the_one_without_a_name_is_open_to_every_user() {
    let server = TestServer::with(guarded);
    let (limited, everywhere, nowhere) = (token(Some(&["a".to_owned()])), token(None), token(Some(&[])));
    for (room_query, token, allowed) in [
        ("roomId=a&", &limited, true),
        ("roomId=%61&", &limited, true),
        ("roomId=b&", &limited, false),
        ("roomId=A&", &limited, false),
        ("roomId=a&", &nowhere, false),
        ("roomId=b&", &everywhere, true),
        ("", &limited, true),
        ("roomId=&", &nowhere, true),
    ] {
        let path = format!("/room?{room_query}token={token}");
        if allowed {
            for peer in room(&server, &path, 2) {
                peer.client.close();
            }
        } else {
            Client::connect(&server, &path).expect_close(1008);
        }
    }
    Client::connect(&server, "/room?token=no.such.token").expect_close(4401);
}

#[test]
fn who_has_not_shown_a_token_hears_nothing_and_nobody_hears_of_it() {
    let server = TestServer::with(guarded);
    let (path, token) = ("/room?roomId=r", token(None));
    let by_query = format!("{path}&token={token}");
    let mut peers = room(&server, &by_query, 2);
    let mut waiting = Client::connect(&server, path);
    let mut never = Client::connect(&server, path);
    let (first, rest) = peers.split_first_mut().unwrap();
    first.say(&json!({ "type": "hello", "sender": first.id }));
    rest[0].hears(&json!({ "type": "hello", "sender": first.id }));
    never.send_text(r#"{"type":"hello"}"#);
    never.expect_close(4401);
    waiting.send_text(&json!({ "type": "AUTH", "token": token }).to_string());
    let mut late = Peer { client: waiting, id: String::new() };
    for peer in &mut peers {
        late.id = id_of(&peer.next());
    }
    nothing_more(&mut peers[0], &mut [&mut late]);
    // Another token renews the session and is nobody's business, well-formed or not.
    late.say(&json!({ "type": "AUTH", "token": token }));
    late.say(&json!({ "type": "AUTH", "token": token, "receiver": "all" }));
    late.hears(&json!({ "type": "error", "content": "a token is not for other peers" }));
    nothing_more(&mut late, &mut peers.iter_mut().collect::<Vec<_>>());
}
