//! Every limit is hit once, does what it says, and is counted. Deadlines are in `states`, lengths in `http` and `frames`.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use foghorn::config::{Config, OnFlood};
use foghorn::limit_hits::Limit;
use foghorn::server::{Context, Endpoint, Handler, JoinRequest, Router};
use foghorn::ws::Message;

use super::arena::{Arena, connections};
use crate::support::frame::{BINARY, Frame, PING, PONG, TEXT, masked};
use crate::support::{ConfiguredProcess, Raw, Reply, TestServer, eventually, now};

fn limited(line: &str) -> Arena {
    Arena::new(&format!("[limits]\n{line}\n"))
}

fn chat(server: &ConfiguredProcess, room: &str, user: &str) -> Raw {
    Raw::open_at(server.address(), &format!("/ws/chat?roomId={room}&username={user}"))
}

/// The next frame is a chat message of this type.
fn hear(raw: &mut Raw, kind: &str) {
    let frame = raw.frame();
    let text = String::from_utf8_lossy(&frame.payload).into_owned();
    assert!(text.contains(&format!("\"type\":\"{kind}\"")), "{text}");
}

fn create_room(server: &ConfiguredProcess) -> Reply {
    let body = r#"{"name":"r","createdBy":"u"}"#;
    let mut raw = Raw::connect_to(server.address());
    let head = "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nContent-Type: application/json";
    raw.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    raw.reply()
}

#[test]
fn one_connection_too_many_is_told_when_to_come_back() {
    let arena = limited("connections = 6");
    let held: Vec<Raw> = (0..5).map(|_| Raw::open_at(arena.server.address(), "/echo")).collect();
    let reply = Raw::connect_to(arena.server.address()).reply();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    drop(held);
    eventually("there is room again", || connections(&arena.server) == 2);
    assert_eq!(arena.server.hits("connections"), 1);
    arena.survives();
}

#[test]
fn one_address_has_a_limit_of_its_own_also_as_ipv4_in_ipv6() {
    let arena = Arena::new("[limits]\nconnections_per_ip = 4\n");
    let held: Vec<Raw> = (0..3).map(|_| Raw::open_at(arena.server.address(), "/echo")).collect();
    assert_eq!(Raw::connect_to(arena.server.address()).reply().status, 503);
    // Another address of the same machine is another client.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    other
        .bind(&"127.0.0.2:0".parse::<std::net::SocketAddr>().expect("an address").into())
        .expect("an address");
    other.connect(&arena.server.address().into()).expect("a connection");
    let mut other = Raw::over(TcpStream::from(other)).upgraded("/echo");
    other.send(&masked(TEXT, b"served"));
    assert_eq!(other.frame(), Frame::text("served"));
    drop((held, other));
    eventually("there is room again", || connections(&arena.server) == 2);
    assert_eq!(arena.server.hits("connections_per_ip"), 1);
    arena.survives();
}

#[test]
fn a_user_has_so_many_sessions_in_whatever_rooms() {
    let arena = limited("sessions_per_user = 2");
    let mut held: Vec<Raw> = ["r", "s"].iter().map(|room| chat(&arena.server, room, "alice")).collect();
    held.iter_mut().for_each(|raw| hear(raw, "JOIN"));
    chat(&arena.server, "t", "alice").expect_close(1013);
    hear(&mut chat(&arena.server, "t", "bob"), "JOIN");
    assert_eq!(arena.server.hits("sessions_per_user"), 1);
    held.pop();
    eventually("one may come when another has left", || {
        let mut raw = chat(&arena.server, "u", "alice");
        raw.frame().first == TEXT
    });
    drop(held);
    arena.survives();
}

#[test]
fn rooms_are_created_only_so_fast_and_those_that_are_there_are_open() {
    let arena = limited("room_creations_per_second = 3\nburst = \"1s\"");
    let mut seen = (0, 0);
    let mut first = chat(&arena.server, "r0", "u");
    hear(&mut first, "JOIN");
    let start = now();
    // They come all at once, however long the store takes over one.
    let come: Vec<Raw> = (1..40).map(|number| chat(&arena.server, &format!("r{number}"), "u")).collect();
    for mut raw in come {
        match raw.frame().close_code() {
            None => seen.0 += 1,
            Some(code) => {
                assert_eq!(code, 1013);
                seen.1 += 1;
            }
        }
    }
    assert!(seen.0 <= 3 + 3 * start.elapsed().as_secs() + 3 && seen.1 > 0, "{seen:?}");
    hear(&mut chat(&arena.server, "r0", "v"), "JOIN");
    let mut statuses: Vec<u16> = (0..20).map(|_| create_room(&arena.server).status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    assert!(
        statuses.contains(&429) && statuses.iter().all(|status| [201, 429].contains(status)),
        "{statuses:?}"
    );
    let reply = create_room(&arena.server);
    assert!(reply.status == 201 || reply.header("retry-after") == Some("1"), "{reply:?}");
    assert!(arena.server.hits("room_creations_per_second") > 1);
    drop(first);
    arena.survives();
}

#[test]
fn rooms_and_members_have_limits() {
    let arena = Arena::new("workers = 1\n[limits]\nrooms = 2\nmembers_per_room = 2\n");
    let mut held: Vec<Raw> = ["r", "s", "r"].iter().map(|room| chat(&arena.server, room, "u")).collect();
    held.iter_mut().for_each(|raw| hear(raw, "JOIN"));
    chat(&arena.server, "t", "u").expect_close(1013);
    chat(&arena.server, "r", "u").expect_close(1013);
    assert_eq!((arena.server.hits("rooms"), arena.server.hits("members_per_room")), (1, 1));
    drop(held);
    arena.survives();
}

/// Sends texts as fast as the server takes them, and reads the echoes; returns how long that took.
fn echo(server: &ConfiguredProcess, count: usize, payload: &[u8]) -> Duration {
    let mut raw = Raw::open_at(server.address(), "/echo");
    let mut sender = raw.stream().try_clone().expect("a second handle");
    let bytes = masked(BINARY, payload).repeat(count);
    let sending = std::thread::spawn(move || sender.write_all(&bytes));
    let start = now();
    for _ in 0..count {
        let frame = loop {
            let frame = raw.frame();
            if frame.first != PING {
                break frame;
            }
            raw.send_anyway(&masked(PONG, b"ping"));
        };
        assert_eq!((frame.first, frame.payload.len()), (BINARY, payload.len()));
    }
    sending.join().expect("it sends").expect("the server takes it");
    start.elapsed()
}

#[test]
fn a_session_that_sends_too_many_messages_is_slowed_down_and_loses_nothing() {
    // While it is slowed down, longer than idle_timeout, it is not taken for silent.
    let heartbeat = "[heartbeat]\nping_interval = \"100ms\"\nidle_timeout = \"400ms\"\n";
    let arena = Arena::new(&format!("{heartbeat}[limits]\nmessages_per_second = 200\nburst = \"1s\"\n"));
    let took = echo(&arena.server, 900, &[b'x'; 40]);
    assert!(took > Duration::from_secs(2), "{took:?} for 700 messages more than the burst");
    assert!(arena.server.hits("messages_per_second") > 0);
    drop(arena);
}

#[test]
fn a_session_that_sends_too_many_bytes_is_slowed_down_and_loses_nothing() {
    let arena = limited("bytes_per_second = \"100 KiB\"\nburst = \"1s\"");
    let took = echo(&arena.server, 40, &[b'x'; 10_000]);
    assert!(took > Duration::from_secs(2), "{took:?} for 400 kB");
    assert!(arena.server.hits("bytes_per_second") > 0);
    arena.survives();
}

/// Large frames may be read another way than small ones, and count all the same.
#[test]
fn a_large_frame_counts_as_many_bytes_as_many_small_ones() {
    let arena = limited("bytes_per_second = \"500 KiB\"\nburst = \"1s\"");
    let took = echo(&arena.server, 1, &vec![b'x'; 1_500_000]);
    assert!(took > Duration::from_secs(1), "{took:?} for 1.5 MB");
    assert!(arena.server.hits("bytes_per_second") > 0);
    arena.survives();
}

#[test]
fn a_session_that_sends_too_much_is_closed_where_that_is_configured() {
    for (limit, payload) in
        [("messages_per_second = 10", &b"x"[..]), ("bytes_per_second = \"1 KiB\"", &[b'x'; 50])]
    {
        let arena = limited(&format!("on_flood = \"close\"\nburst = \"1s\"\n{limit}"));
        let mut raw = Raw::open_at(arena.server.address(), "/ws/sink");
        raw.send(&masked(TEXT, payload).repeat(10));
        raw.send(&masked(PING, b"served"));
        assert_eq!(raw.frame(), Frame::new(PONG, *b"served"));
        raw.send_anyway(&masked(TEXT, payload).repeat(100));
        raw.expect_close(1008);
        let (key, _) = limit.split_once(' ').expect("a key");
        assert_eq!(arena.server.hits(key), 1, "{limit}");
        arena.survives();
    }
}

#[test]
fn pings_and_pongs_are_counted_together() {
    let arena = limited("control_frames_per_second = 20\nburst = \"1s\"");
    let mut raw = Raw::open_at(arena.server.address(), "/echo");
    let served = [masked(PONG, b"").repeat(10), masked(PING, b"x").repeat(10)].concat();
    raw.send(&served);
    (0..10).for_each(|_| assert_eq!(raw.frame(), Frame::new(PONG, *b"x")));
    raw.send(&[masked(PONG, b""), masked(TEXT, b"too late")].concat());
    raw.expect_close(1008);
    assert_eq!(arena.server.hits("control_frames_per_second"), 1);
    arena.survives();
}

#[test]
fn a_budget_of_memory_sheds_those_that_make_wait_the_most() {
    let arena = limited("memory = \"4 MiB\"\nreply_bytes = \"64 MiB\"\nclose_timeout = \"1s\"");
    let message = masked(BINARY, &[b'x'; 1 << 20]);
    let mut moderate = Raw::open_at(arena.server.address(), "/echo");
    moderate.send(&[&[0x02, 0xff, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0][..], &[b'm'; 1000]].concat());
    let raw = Raw::open_at(arena.server.address(), "/echo");
    let mut sender = raw.stream().try_clone().expect("a second handle");
    sender.set_write_timeout(Some(Duration::from_millis(100))).expect("a write timeout");
    eventually("the worst is shed", || {
        let _full_or_gone = sender.write_all(&message);
        arena.server.hits("memory") > 0
    });
    // It has 4008 behind what it did not read, unless that was still in flight.
    let mut raw = raw;
    let mut code = None;
    while let Some(frame) = next(&mut raw) {
        code = frame.close_code();
        assert!(frame.first == BINARY || code == Some(4008), "{:02x} {code:?}", frame.first);
    }
    println!("the last frame was {code:?}");
    moderate.send(&masked(PING, b"still there?")[..0]);
    assert_eq!(arena.server.hits("memory"), 1, "the other one waits for little");
    drop((raw, moderate));
    arena.survives();
}

/// The next frame, unless the connection has come to an end, in order or not.
fn next(raw: &mut Raw) -> Option<Frame> {
    raw.frame_or_reset()
}

#[test]
fn messages_that_nobody_finishes_are_shed_with_1013() {
    let arena = limited("memory = \"4 MiB\"");
    // Their bytes alone are more than the budget, however the buffers grow that they are kept in.
    let begun = [&[0x02, 0xff, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0][..], &[b'x'; 900_000]].concat();
    let mut held: Vec<Raw> = (0..6).map(|_| Raw::open_at(arena.server.address(), "/echo")).collect();
    held.iter_mut().for_each(|raw| raw.send_anyway(&begun));
    eventually("somebody is shed", || arena.server.hits("memory") > 0);
    let shed = held
        .iter_mut()
        .filter(|raw| raw.stream().set_nonblocking(true).is_ok() && raw.stream().peek(&mut [0]).is_ok());
    let shed: Vec<&mut Raw> = shed.collect();
    assert!((1..=5).contains(&shed.len()), "{} of 6", shed.len());
    for raw in shed {
        raw.stream().set_nonblocking(false).expect("a socket");
        raw.expect_close(1013);
    }
    drop(held);
    arena.survives();
}

#[test]
fn what_stomp_sessions_hold_counts_for_the_memory_of_all() {
    const CONNECT: &str = "CONNECT\naccept-version:1.2\nhost:h\n\n\0";
    let body = "x".repeat(60_000);
    let send = format!("SEND\ndestination:/queue/q\ntransaction:t\n\n{body}\0");
    // An open transaction; the beginning of a frame; names of subscriptions.
    let transaction: Vec<String> = ["BEGIN\ntransaction:t\n\n\0"]
        .into_iter()
        .chain(std::iter::repeat_n(&*send, 15))
        .map(str::to_owned)
        .collect();
    let begun = vec![format!("SEND\ndestination:/queue/q\n\n{body}")];
    let name =
        |number: usize| format!("SUBSCRIBE\nid:{number}{}\ndestination:/topic/r\n\n\0", "i".repeat(4000));
    let subscriptions: Vec<String> = (0..60).map(name).collect();
    for (what, frames, sessions) in
        [("transaction", transaction, 10), ("begun", begun, 100), ("names", subscriptions, 12)]
    {
        let mut arena = limited("memory = \"4 MiB\"");
        let mut held = Vec::new();
        for _ in 0..sessions {
            let mut raw = Raw::open_at(arena.server.address(), "/ws/stomp");
            raw.send(&masked(TEXT, CONNECT.as_bytes()));
            frames.iter().for_each(|frame| raw.send_anyway(&masked(TEXT, frame.as_bytes())));
            held.push(raw);
        }
        eventually(what, || arena.server.hits("memory") > 0);
        drop(held);
        // Of many small pieces the allocator keeps some.
        arena.forget_memory();
        arena.survives();
    }
}

/// The session joins rooms one after the other.
struct Joiner;

impl Handler for Joiner {
    type State = ();

    fn open(&self, _: &mut Context<'_>, _: &foghorn::http::Head<'_>) {}

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        let Message::Text(room) = message else { return };
        match cx.join(JoinRequest::relay(room)) {
            Ok(_) => cx.send_text("joined"),
            Err(error) => cx.send_text(&error.to_string()),
        }
    }
}

#[test]
fn a_session_is_in_so_many_rooms() {
    let routes = |router: Router| router.endpoint("/join", Endpoint::new(Joiner));
    let server = TestServer::with_routes(|config| config.limits.rooms_per_session = 3, routes);
    let mut raw = Raw::open(&server, "/join");
    for (room, answer) in
        [("a", "joined"), ("b", "joined"), ("c", "joined"), ("d", "the session is in too many rooms")]
    {
        raw.send(&masked(TEXT, room.as_bytes()));
        assert_eq!(raw.frame(), Frame::text(answer), "{room}");
    }
}

#[test]
fn an_endpoint_may_have_rates_of_its_own() {
    let rated = |endpoint: fn(Endpoint) -> Endpoint| endpoint(Endpoint::new(Joiner));
    let routes = |router: Router| {
        router
            .endpoint("/messages", rated(|endpoint| endpoint.messages_per_second(1)))
            .endpoint("/bytes", rated(|endpoint| endpoint.bytes_per_second(100)))
            .endpoint("/free", rated(|endpoint| endpoint.messages_per_second(0)))
    };
    let change = |config: &mut Config| {
        (config.limits.burst, config.limits.on_flood) = (Duration::from_secs(1), OnFlood::Close);
        config.limits.messages_per_second = 5;
    };
    let server = TestServer::with_routes(change, routes);
    for (path, is_closed) in [("/messages", true), ("/bytes", true), ("/free", false), ("/ws/sink", true)] {
        let mut raw = Raw::open(&server, path);
        raw.send(&[masked(BINARY, b"x").repeat(100), masked(PING, b"")].concat());
        let frame = raw.frame();
        assert_eq!(frame.close_code(), is_closed.then_some(1008), "{path}: {frame:?}");
    }
}

#[test]
fn limits_are_changed_under_a_running_server_and_a_bad_file_changes_nothing() {
    let config = |members: usize, rooms: usize, connections: usize, bytes: usize, body: &str| {
        format!(
            "[limits]\nmembers_per_room = {members}\nrooms = {rooms}\nconnections = {connections}\n\
            message_bytes = \"{bytes} B\"\nbody_bytes = \"{body}\"\nroom_creations_per_second = 1\nburst = \"1s\"\n"
        )
    };
    let server = ConfiguredProcess::start(&config(1, 1000, 1000, 125, "1 KiB"));
    let mut first = chat(&server, "full", "a");
    hear(&mut first, "JOIN");
    let is_full = || chat(&server, "full", "b").frame().close_code() == Some(1013);
    assert!(is_full());
    // A slow machine takes longer for one than the rate has it.
    assert!((0..100).any(|_| create_room(&server).status == 429));
    server.rewrite("[limits]\nmembers_per_room = \"none\"\n");
    server.signal("HUP");
    eventually("the log says why", || server.logged().contains("nothing was read anew"));
    assert!(is_full());

    server.rewrite(&config(2, 1000, 8, 1000, "1 MiB").replace("room_creations_per_second = 1", ""));
    server.signal("HUP");
    eventually("rooms may be created as fast as wanted", || {
        (0..20).all(|_| create_room(&server).status == 201)
    });
    let mut second = chat(&server, "full", "b");
    hear(&mut second, "JOIN");
    assert!(chat(&server, "full", "c").frame().close_code() == Some(1013), "two are enough");
    // A session keeps the lengths it began with; the next one has the new ones.
    second.send(&masked(TEXT, format!("{{\"content\":\"{}\"}}", "x".repeat(500)).as_bytes()));
    hear(&mut second, "MESSAGE");
    first.send(&masked(TEXT, &[b' '; 200]));
    hear(&mut first, "JOIN");
    hear(&mut first, "MESSAGE");
    assert_eq!(first.frame().close_code(), Some(1009));
    let mut held = Vec::new();
    eventually("there are too many connections", || {
        held.push(Raw::connect_to(server.address()));
        let mut last = Raw::connect_to(server.address());
        last.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
        last.reply().status == 503
    });
    assert!(held.len() < 8, "{}", held.len());
}

#[test]
fn the_page_of_limits_has_every_key() {
    let page = include_str!("../../../docs/limits.md");
    let text = Config::default().to_toml();
    let section = text.split("[limits]").nth(1).and_then(|rest| rest.split("\n[").next()).expect("a section");
    let keys = section.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    let counted = Limit::ALL.iter().map(|limit| limit.key());
    for key in keys.chain(counted) {
        assert!(page.contains(&format!("{key}`")), "{key}");
    }
}

#[test]
fn what_the_log_names_as_a_limit_is_a_key_or_has_no_dot() {
    let text = Config::default().to_toml();
    for whole in Limit::ALL.iter().map(|limit| limit.full_key()) {
        let Some((table, key)) = whole.split_once('.') else { continue };
        let section = text.split(&format!("[{table}]\n")).nth(1).and_then(|rest| rest.split("\n[").next());
        let has_key = |section: &str| {
            section.lines().any(|line| {
                line.trim_start_matches("# ").split_once(" = ").is_some_and(|(name, _)| name == key)
            })
        };
        assert!(section.is_some_and(has_key), "{whole}");
    }
}
