//! The examples do what they say: each is served in this process and talked to as a client would.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

/// An example, whose `main` nobody calls here.
macro_rules! example {
    ($name:ident, $file:literal) => {
        #[path = $file]
        #[expect(dead_code, reason = "`main` is for `cargo run --example`")]
        mod $name;
    };
}

example!(chat, "../../examples/chat.rs");
example!(clock, "../../examples/clock.rs");
example!(duplex, "../../examples/duplex.rs");
example!(echo, "../../examples/echo.rs");
example!(game, "../../examples/game.rs");
example!(json, "../../examples/json.rs");
example!(sink, "../../examples/sink.rs");
example!(subprotocol, "../../examples/subprotocol.rs");

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use foghorn::server::{Disconnect, store_options};
use foghorn::store::{Location, Store};
use foghorn::testing::{Connection, ConnectionError, Opening, Server};
use foghorn::ws::CloseCode;
use serde_json::Value;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_echo_sends_everything_back() {
    let server = Server::start(echo::routes()).unwrap();
    let mut client = Connection::open(server.address(), "/echo").unwrap();
    client.send_text("κόσμε").unwrap();
    client.send_binary(&[0, 255]).unwrap();
    assert_eq!((client.text().unwrap(), client.binary().unwrap()), ("κόσμε".into(), vec![0, 255]));
    assert_eq!(client.close(Some(CloseCode::NORMAL)).unwrap(), Some(CloseCode::NORMAL));
}

#[test]
fn the_sink_accounts_for_each_session_when_it_ends() {
    let (reports, ended) = sync_channel(1);
    let server = Server::start(sink::routes(reports)).unwrap();
    let mut client = Connection::open(server.address(), "/sink").unwrap();
    client.send_text("three").unwrap();
    client.send_binary(&[0; 100_000]).unwrap();
    client.close(Some(CloseCode::NORMAL)).unwrap();
    let expected =
        (sink::Tally { messages: 2, bytes: 100_005 }, Disconnect::PeerClosed(Some(CloseCode::NORMAL)));
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), expected);
}

#[test]
fn the_clock_goes_on_by_itself_and_does_not_listen() {
    let server = Server::start(clock::routes(Duration::from_millis(20))).unwrap();
    let mut client = Connection::open(server.address(), "/clock").unwrap();
    for _ in 0..3 {
        let time = client.text().unwrap();
        assert!(time.len() == 8 && time.split(':').all(|part| part.parse::<u8>().unwrap() < 60), "{time}");
    }
    client.send_text("what?").unwrap();
    let mut told = client.closed();
    while let Err(ConnectionError::Unexpected(_)) = told {
        told = client.closed();
    }
    assert_eq!(told.unwrap(), Some(CloseCode::UNSUPPORTED));
}

#[test]
fn prices_come_while_orders_go() {
    let feed = Arc::new(duplex::Feed::default());
    let server = Server::start(duplex::routes(&feed)).unwrap();
    let (running, stop) = sync_channel(0);
    let feeding = thread::spawn(move || feed.run(Duration::from_millis(5), &stop));
    let mut client = Connection::open(server.address(), "/desk").unwrap();
    let (mut prices, mut orders) = (Vec::<u32>::new(), Vec::new());
    while prices.len() < 10 || orders.len() < 10 {
        client.send_text("one").unwrap();
        let text = client.text().unwrap();
        match text.strip_prefix("price ") {
            Some(price) => prices.push(price.parse().unwrap()),
            None => orders.push(text),
        }
    }
    assert!(prices.is_sorted_by(|earlier, later| earlier < later), "{prices:?}");
    let expected: Vec<_> = (1..=orders.len()).map(|number| format!("order {number}: one")).collect();
    assert_eq!(orders, expected);
    drop(running);
    feeding.join().unwrap();
}

#[test]
fn tasks_are_kept_for_a_session_and_mistakes_are_answered() {
    let server = Server::start(json::routes()).unwrap();
    let mut client = Connection::open(server.address(), "/tasks").unwrap();
    let mut ask = |request: &str| {
        client.send_text(request).unwrap();
        client.text().unwrap()
    };
    assert_eq!(ask(r#"{"do":"add","task":"write"}"#), r#"{"added":0}"#);
    assert_eq!(ask(r#"{"do":"add","task":"test"}"#), r#"{"added":1}"#);
    assert_eq!(ask(r#"{"do":"done","number":0}"#), r#"{"done":"write"}"#);
    assert_eq!(ask(r#"{"do":"done","number":0}"#), r#"{"error":"there is no task 0"}"#);
    assert_eq!(ask(r#"{"do":"list"}"#), r#"{"tasks":["test"]}"#);
    assert!(ask("{").starts_with(r#"{"error":""#) && ask(r#"{"do":"rest"}"#).starts_with(r#"{"error":""#));
    let mut other = Connection::open(server.address(), "/tasks").unwrap();
    other.send_text(r#"{"do":"list"}"#).unwrap();
    assert_eq!(other.text().unwrap(), r#"{"tasks":[]}"#);
}

#[test]
fn both_versions_of_the_counter_count_together_and_one_is_required() {
    let server = Server::start(subprotocol::routes()).unwrap();
    let open = |offers: &[&str]| {
        let opening = offers.iter().fold(Opening::new("/count"), |opening, name| opening.subprotocol(name));
        Connection::open_with(server.address(), &opening)
    };
    let (mut first, mut second) =
        (open(&["count.v1"]).unwrap(), open(&["other", "count.v2", "count.v1"]).unwrap());
    assert_eq!((first.subprotocol(), second.subprotocol()), (Some("count.v1"), Some("count.v2")));
    first.send_text("40").unwrap();
    assert_eq!(first.text().unwrap(), "40");
    second.send_binary(&2u64.to_be_bytes()).unwrap();
    assert_eq!(second.binary().unwrap(), 42u64.to_be_bytes());
    first.send_binary(&2u64.to_be_bytes()).unwrap();
    assert_eq!(first.closed().unwrap(), Some(CloseCode::UNSUPPORTED));
    second.send_binary(&[2]).unwrap();
    assert_eq!(second.closed().unwrap(), Some(CloseCode::POLICY));
    for offers in [&[][..], &["other"]] {
        assert!(matches!(open(offers), Err(ConnectionError::Refused(_))), "{offers:?}");
    }
}

/// The status and the body of the answer to a request.
fn ask(server: &Server, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let len = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn the_canteen_knows_its_users_keeps_what_they_say_and_answers_the_staff() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let mut threads = None;
        let server = Server::with(|builder| {
            let options = store_options(builder.configuration());
            let (store, started) =
                Store::open(Location::Directory(directory.path().into()), options).unwrap();
            threads = Some(started);
            builder.router(chat::routes()).store(store)
        });
        // What is bound last is dropped first: the server, which hands its last messages to the store.
        (threads, server.unwrap())
    };
    let next = |client: &mut Connection| {
        let message: Value = serde_json::from_str(&client.text().unwrap()).unwrap();
        (message["sender"].as_str().unwrap().to_owned(), message["content"].as_str().unwrap().to_owned())
    };
    let pair = |sender: &str, content: &str| (sender.to_owned(), content.to_owned());

    let (threads, server) = open();
    assert!(matches!(
        Connection::open(server.address(), "/canteen?badge=x"),
        Err(ConnectionError::Refused(_))
    ));
    let mut ann = Connection::open(server.address(), "/canteen?badge=7f3a").unwrap();
    assert_eq!(next(&mut ann), pair("SYSTEM", "ann joined"));
    ann.send_text("soup?").unwrap();
    assert_eq!(next(&mut ann), pair("ann", "soup?"));
    assert_eq!(ask(&server, "POST", "/staff/announce?badge=c02e", "lunch is ready"), (201, "3".into()));
    assert_eq!(next(&mut ann), pair("canteen", "lunch is ready"));
    assert_eq!(ask(&server, "GET", "/staff/who?badge=c02e", ""), (200, "ann".into()));
    assert_eq!(ask(&server, "GET", "/staff/who", "").0, 401);
    assert_eq!(ask(&server, "GET", "/staff/else?badge=c02e", "").0, 404);
    assert!(ask(&server, "GET", "/", "").1.contains("<title>Canteen</title>"));
    server.stop().unwrap();
    drop(threads);

    let (_threads, server) = open();
    let (status, said) = ask(&server, "GET", "/staff/said?badge=7f3a", "");
    let said: Vec<Value> = serde_json::from_str(&said).unwrap();
    let said: Vec<_> = said.iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!((status, &said[..3]), (200, &["ann joined", "soup?", "lunch is ready"][..]));
    let mut ben = Connection::open(server.address(), "/canteen?badge=c02e").unwrap();
    assert_eq!(next(&mut ben), pair("SYSTEM", "ann joined"));
}

/// The tick and the players of a state: id, place.
fn state(bytes: &[u8]) -> (u32, Vec<(u32, i32, i32)>) {
    let numbers: Vec<_> = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
    let player = |chunk: &[u32; 3]| (chunk[0], chunk[1].cast_signed(), chunk[2].cast_signed());
    (numbers[0], numbers[1..].as_chunks::<3>().0.iter().map(player).collect())
}

#[test]
fn players_of_one_match_see_each_other_move_and_nobody_elses_match() {
    let game = Arc::new(game::Game::default());
    let server = Server::start(game::routes(&game)).unwrap();
    let ((running, stop), rooms) = (sync_channel(0), server.rooms().clone());
    let ticking = thread::spawn(move || game.run(&rooms, &stop));
    let open = |query: &str| Connection::open(server.address(), &format!("/game{query}")).unwrap();
    let (mut first, mut second, mut other) = (open("?match=a"), open("?match=a"), open("?match=b"));
    first.send_binary(&[3, 255]).unwrap();
    // Two players, one of them on the move; every state is newer than the one before.
    let mut last = 0;
    loop {
        let (tick, players) = state(&second.binary().unwrap());
        assert!(tick > last, "{tick} after {last}");
        last = tick;
        if let [(0, right, down), (1, 0, 0)] = players[..]
            && right > 30
        {
            assert_eq!(right, -3 * down);
            break;
        }
    }
    assert_eq!(state(&other.binary().unwrap()).1, [(0, 0, 0)]);
    // Whoever leaves is no longer there.
    first.close(None).unwrap();
    while state(&second.binary().unwrap()).1.len() > 1 {}
    second.send_text("faster").unwrap();
    let end = loop {
        if let Err(error) = second.binary() {
            break error;
        }
    };
    assert!(matches!(end, ConnectionError::Closed(Some(CloseCode::POLICY), _)), "{end}");
    assert_eq!(open("").closed().unwrap(), Some(CloseCode::POLICY));
    drop(running);
    ticking.join().unwrap();
}
