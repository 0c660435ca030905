//! A store that has committed and is late to say so: it knows of messages that nobody has been shown.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::config::{Config, Durability};
use crate::server::{Router, store_options};
use crate::store::{HeldAnswers, Location, Store, StoreThreads};
use crate::testing::{Connection, Server};
use crate::{chat, feed};

/// A server whose store answers appends when the test says so.
struct World {
    server: Server,
    answers: HeldAnswers,
    _threads: StoreThreads,
}

impl World {
    fn new(durability: Durability) -> World {
        let mut config = Config::default();
        config.history.durability = durability;
        config.shutdown.grace = Duration::from_secs(2);
        config.limits.close_timeout = Duration::from_millis(500);
        let (store, threads) = Store::open(Location::Memory, store_options(&config)).unwrap();
        let answers = store.held_answers();
        let router = chat::rest::routes(chat::routes(Router::new(), &config), &config, &store);
        let router = feed::routes(router, &config);
        let server = Server::with(|builder| builder.config(config).store(store).router(router)).unwrap();
        World { server, answers, _threads: threads }
    }

    fn get(&self, path: &str) -> (String, Vec<Value>) {
        request(self.server.address(), "GET", path, "")
    }

    fn post(&self, content: &str) {
        let body = format!(r#"{{"sender":"ann","content":"{content}"}}"#);
        let (head, _) = request(self.server.address(), "POST", "/api/chat/rooms/r/messages", &body);
        assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    }

    /// Has a message stored of which the room does not know yet.
    fn store_unseen(&self, member: &mut Connection, content: &str) -> Box<dyn FnOnce() + Send> {
        self.answers.hold();
        member.send_text(&format!(r#"{{"content":"{content}"}}"#)).unwrap();
        self.answers.take()
    }

    fn join(&self, query: &str) -> Connection {
        Connection::open(self.server.address(), &format!("/ws/chat?roomId=r&{query}")).unwrap()
    }
}

/// The head, and the body if it is an array.
fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> (String, Vec<Value>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{kind}");
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

fn position(head: &str) -> (&str, &str) {
    let value = head.lines().find_map(|line| line.strip_prefix("Foghorn-Position: ")).expect(head);
    value.split_once(':').unwrap()
}

fn seqs(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["seq"].as_u64().unwrap()).collect()
}

fn next(connection: &mut Connection) -> Value {
    serde_json::from_str(&connection.text().unwrap()).unwrap()
}

#[test]
fn a_page_and_its_position_end_where_the_room_has_shown_its_log() {
    let world = World::new(Durability::Commit);
    let mut ann = world.join("username=ann");
    assert_eq!(next(&mut ann)["type"], "JOIN");
    world.post("seen");
    assert_eq!(next(&mut ann)["seq"], 2);
    let answer = world.store_unseen(&mut ann, "unseen");
    for (query, expected, end) in [
        ("", vec![2, 1], "2"),
        ("?after=0", vec![1, 2], "2"),
        ("?after=0&limit=1", vec![1], "1"),
        ("?after=2", vec![], "2"),
        ("?after=3", vec![], "2"),
        ("?before=9", vec![2, 1], "2"),
        ("?before=2", vec![1], "1"),
        ("?limit=2", vec![2, 1], "2"),
        ("?since=2020-01-01T00:00:00Z", vec![1, 2], "2"),
    ] {
        let (head, messages) = world.get(&format!("/api/chat/rooms/r/messages{query}"));
        assert_eq!((seqs(&messages), position(&head).1), (expected, end), "{query:?}");
    }
    let (head, _) = world.get("/api/chat/rooms/r/messages");
    let (epoch, seq) = position(&head);
    let (polled, messages) = world.get("/poll/rooms/r?sinceSeq=0&wait=0");
    assert_eq!((seqs(&messages), position(&polled)), (vec![1, 2], (epoch, seq)));
    let mut bob = world.join(&format!("username=bob&hello=1&sinceSeq={seq}&epoch={epoch}"));
    let welcome = next(&mut bob);
    assert_eq!((&welcome["type"], &welcome["seq"]), (&"WELCOME".into(), &2.into()));
    answer();
    let unseen = next(&mut bob);
    assert_eq!((&unseen["type"], &unseen["seq"]), (&"MESSAGE".into(), &3.into()), "no GAP, and no other");
    world.answers.release();
    assert_eq!((&next(&mut bob)["type"], &next(&mut ann)["seq"]), (&"JOIN".into(), &3.into()));
}

#[test]
fn who_goes_on_in_a_room_that_is_not_stored_any_more_gets_the_rest_of_it() {
    let world = World::new(Durability::Off);
    let mut ann = world.join("username=ann");
    assert_eq!(next(&mut ann)["type"], "JOIN");
    let (head, messages) = world.get("/api/chat/rooms/r/messages");
    let (epoch, seq) = position(&head);
    assert_eq!((messages, seq), (vec![], "0"));
    let mut bob = world.join(&format!("username=bob&sinceSeq={seq}&epoch={epoch}"));
    assert_eq!((&next(&mut bob)["seq"], &next(&mut bob)["seq"]), (&1.into(), &2.into()));
}

#[test]
fn reading_opens_no_room() {
    let world = World::new(Durability::Commit);
    assert!(world.get("/api/chat/rooms/r/messages").0.starts_with("HTTP/1.1 404"));
    let body = r#"{"name":"n","createdBy":"ann"}"#;
    let (head, _) = request(world.server.address(), "POST", "/api/chat/rooms", body);
    let location = head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap();
    let (head, _) = world.get(&format!("{location}/messages"));
    assert_eq!(position(&head).1, "0");
    let (reply, stats) = std::sync::mpsc::sync_channel(1);
    world.server.rooms().stats(move |stats| drop(reply.send(stats))).unwrap();
    let stats = stats.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(stats.iter().all(|shard| (shard.rooms, shard.openings) == (0, 0)), "{stats:?}");
}
