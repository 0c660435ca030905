//! Whoever brings no token, two, one where it does not count, or none in time. What is wrong with tokens themselves is in
//! `tokens`.

use std::io::Write;

use foghorn::config::{Config, Secret};
use foghorn::http::Head;
use foghorn::server::{Context, Endpoint, Handler, JoinRequest};
use foghorn::ws::Message;
use serde_json::json;

use super::arena::{Attack, MARK, attack, connections, hear};
use super::tokens::{everywhere, guarded, refused, request, session};
use crate::support::frame::{BINARY, PONG, TEXT, masked, masked_close};
use crate::support::raw::{upgrade, upgrade_lines};
use crate::support::secure::tcp;
use crate::support::tokens::{SECRET, auth_message, bearer, token, token_of};
use crate::support::{ConfiguredProcess, PATIENCE, Raw, TestServer, eventually, now};

const SEVERAL: &str = "tokens from more than one source";
const COOKIE: &str = "the cookie counts only with an allowed origin";
const NOT_FIRST: &str = "close:4401 (the first message must be a token)";

/// The doors of HTTP: what needs a token, and no more than that.
const DOORS: [&str; 3] = ["/api/chat/rooms", "/sse/rooms/r", "/poll/rooms/r?wait=0"];

fn cookie(token: &str) -> String {
    format!("Cookie: foghorn_token={token}\r\n")
}

fn subprotocol(token: &str) -> String {
    format!("Sec-WebSocket-Protocol: foghorn.jwt, {token}\r\n")
}

/// A token of alice's for these rooms.
fn token_for(rooms: &[&str]) -> String {
    token_of(&json!({ "sub": "alice", "rooms": rooms }))
}

#[test]
fn no_door_opens_without_a_token() {
    let mut arena = guarded("");
    let mut attacks = Vec::new();
    for path in [
        "/sse/rooms/r",
        "/sse/rooms/",
        "/sse/rooms/a/b",
        "/sse/rooms/r?sinceSeq=x",
        "/poll/rooms/r",
        "/poll/rooms/r?wait=x",
        "/poll/rooms/%ff",
        "/api/chat/rooms",
        "/api/chat/rooms/r/messages?limit=0",
        "/api/stats",
        "/api/auth",
        "/api/%61uth/x",
        "/api/nothing",
    ] {
        for method in ["GET", "POST", "DELETE", "PATCH"] {
            let line = format!("{method} {path}");
            let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
            attacks.push(request(&line, &line, length, "401 (no token)"));
        }
    }
    // An upgrade is no way around, nor is a position that a browser would bring back, nor a name.
    let brought = "Last-Event-ID: 0000000000000001:1\r\n";
    attacks.push(request("a position", "GET /sse/rooms/r?username=alice", brought, "401 (no token)"));
    for path in ["/sse/rooms/r", "/poll/rooms/r", "/api/stats"] {
        attacks.push(attack(path, upgrade(path), "404"));
    }
    arena.fight(&attacks);
    arena.survives();
}

#[test]
fn a_token_for_one_room_opens_no_other() {
    let mut arena = guarded("");
    let mine = bearer(&token_for(&["r"]));
    let mut attacks = Vec::new();
    for path in
        ["/sse/rooms/s", "/poll/rooms/s", "/poll/rooms/%73", "/sse/rooms/r%20", "/poll/rooms/R?wait=x"]
    {
        attacks.push(request(path, &format!("GET {path}"), &mine, "403"));
    }
    for path in ["/api/chat/rooms/s", "/api/chat/rooms/s/messages", "/api/chat/rooms/r/online", "/api/stats"]
    {
        attacks.push(request(path, &format!("GET {path}"), &mine, "403"));
    }
    for path in ["/sse/rooms/r?username=bob", "/poll/rooms/r?username=root"] {
        attacks.push(request(path, &format!("GET {path}"), &mine, "403"));
    }
    let other = "close:4401 (the token is another user's)";
    attacks.extend([
        session("another room", "/ws/chat?roomId=s", &mine, "close:1008"),
        session("another raw room", "/ws/raw?roomId=s", &mine, "close:1008"),
        session("another name", "/ws/chat?roomId=r&username=bob", &mine, other),
        session("no room at all", "/ws/chat?roomId=", &mine, "close:1008"),
    ]);
    attacks.push(request("its own", "GET /poll/rooms/r?wait=0", &mine, "200"));
    arena.fight(&attacks);
    arena.survives();
}

#[test]
fn two_tokens_are_as_good_as_none_even_if_they_are_the_same() {
    let mut arena = guarded("");
    let token = token("alice");
    let origin = "Origin: http://h\r\n";
    let sources = [bearer(&token), subprotocol(&token)];
    let mut attacks = Vec::new();
    for (number, one) in sources.iter().enumerate() {
        for other in &sources[number..] {
            let pair = format!("{one}{other}");
            attacks.extend(everywhere(&pair, &pair, SEVERAL));
        }
        let path = format!("/ws/chat?roomId=r&token={token}");
        attacks.push(session("query and another", &path, one, &format!("close:4401 ({SEVERAL})")));
        for door in DOORS {
            let line = format!("GET {}", [door, "token="].join(if door.contains('?') { "&" } else { "?" }));
            attacks.push(request(&line, &format!("{line}{token}"), one, &format!("401 ({SEVERAL})")));
        }
    }
    let twice = format!("/ws/chat?roomId=r&token={token}&token={token}");
    attacks.push(session("query twice", &twice, "", &format!("close:4401 ({SEVERAL})")));
    let cookies = cookie(&token) + &cookie(&token) + origin;
    attacks.extend(everywhere("two cookies", &cookies, SEVERAL));
    let empty = format!("{}{}", bearer(""), cookie(&token) + origin);
    attacks.extend(everywhere(
        "an empty one and a cookie",
        &empty,
        "the token is missing where one was announced",
    ));
    arena.fight(&attacks);
    arena.survives();
}

#[test]
fn a_cookie_counts_only_for_the_pages_that_may_use_it() {
    let mut arena = guarded("");
    let cookie = cookie(&token("alice"));
    let mut attacks = Vec::new();
    for page in ["cross-site", "same-site", "same-origin, cross-site"] {
        let fields = format!("{cookie}Sec-Fetch-Site: {page}\r\n");
        attacks.extend(everywhere(page, &fields, COOKIE));
    }
    for origin in
        ["http://evil", "http://h.evil", "http://h:81", "https://h", "null", "http://h, http://evil"]
    {
        let fields = format!("{cookie}Origin: {origin}\r\nSec-Fetch-Site: same-origin\r\n");
        // A page that may not connect at all hears that first.
        attacks.push(attack(origin, format!("{}{fields}\r\n", upgrade_lines("/ws/chat?roomId=r")), "403"));
        for door in DOORS {
            attacks.push(request(origin, &format!("GET {door}"), &fields, &format!("401 ({COOKIE})")));
        }
    }
    let own = format!("{cookie}Origin: http://h\r\n");
    attacks.push(session("the server's own page", "/ws/echo", &own, "close:1000"));
    arena.fight(&attacks);
    arena.survives();
    // Where every page may connect, every page would use the cookie.
    let mut arena = guarded("[origins]\nallowed = \"*\"\n");
    arena.fight(&everywhere("any page", &format!("{cookie}Origin: http://evil\r\n"), COOKIE));
    arena.survives();
}

/// All that the server says on a connection, without the time.
fn answer(server: &ConfiguredProcess, bytes: &[u8]) -> String {
    let mut stream = tcp(server.address());
    stream.write_all(bytes).expect("the server takes it");
    let (said, _) = hear(&mut stream);
    let said = said.escape_ascii().to_string();
    let lines = said.split(r"\r\n").filter(|line| !line.to_lowercase().starts_with("date:"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_tells_a_stranger_whether_a_room_exists() {
    let mut arena =
        guarded("timeout = \"200ms\"\n[chat]\nopen_rooms = false\n[limits]\nclose_timeout = \"200ms\"\n");
    let body = r#"{"name":"there"}"#;
    let mut raw = Raw::connect_to(arena.server.address());
    let fields =
        format!("{}Content-Type: application/json\r\nContent-Length: {}", bearer(&token("bob")), body.len());
    raw.send(format!("POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}").as_bytes());
    let reply = raw.reply();
    let there = reply.header("location").and_then(|path| path.rsplit('/').next()).expect("a room").to_owned();
    drop(raw);
    // As long, or the lengths of answers that repeat it would differ anyway.
    let nowhere = "0".repeat(there.len());
    let mine = bearer(&token_for(&["mine"]));
    for fields in ["", &bearer("x.y.z"), &mine] {
        for path in [
            "GET /api/chat/rooms/ROOM",
            "GET /api/chat/rooms/ROOM/messages",
            "GET /api/chat/rooms/ROOM/online",
            "DELETE /api/chat/rooms/ROOM",
            "POST /api/chat/rooms/ROOM/join",
            "POST /api/chat/rooms/ROOM/kick?username=u",
            "GET /sse/rooms/ROOM",
            "HEAD /sse/rooms/ROOM",
            "GET /sse/rooms/ROOM?history=9",
            "GET /poll/rooms/ROOM",
            "GET /poll/rooms/ROOM?sinceSeq=x",
        ] {
            let [there, nowhere] = [&there, &nowhere].map(|room| {
                let line = path.replace("ROOM", room);
                let head =
                    format!("{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n");
                answer(&arena.server, format!("{head}{fields}\r\n").as_bytes())
            });
            assert_eq!(there, nowhere, "{path} {fields}");
            assert!(
                there.starts_with(if fields == mine { "HTTP/1.1 403" } else { "HTTP/1.1 401" }),
                "{path}: {there}"
            );
        }
        for path in ["/ws/chat?roomId=ROOM&hello=1", "/ws/chat?roomId=ROOM&since=x", "/ws/raw?roomId=ROOM"] {
            let [there, nowhere] = [&there, &nowhere].map(|room| {
                let head = format!("{}{fields}\r\n", upgrade_lines(&path.replace("ROOM", room)));
                answer(&arena.server, head.as_bytes())
            });
            assert_eq!(there, nowhere, "{path} {fields}");
        }
        arena.witness();
    }
    arena.survives();
}

#[test]
fn those_without_a_token_have_a_small_budget_and_a_deadline_that_nothing_moves() {
    let mut arena =
        guarded("timeout = \"3s\"\npending_connections = 4\n[limits]\nclose_timeout = \"200ms\"\n");
    let start = now();
    let mut waiting: Vec<Raw> =
        (0..4).map(|_| Raw::open_at(arena.server.address(), "/ws/chat?roomId=r")).collect();
    arena.fight(&[
        attack("one too many", upgrade("/ws/echo"), "503"),
        session("who brings a token along", "/ws/echo", &bearer(&token("alice")), "close:1000"),
    ]);
    assert!(start.elapsed().as_secs() < 3, "too slow to see the budget: {:?}", start.elapsed());
    // Neither pings nor half a token put it off.
    waiting[0].send(&masked(TEXT & 0x7f, br#"{"type":"AUTH","token":""#));
    waiting[1].stream().set_read_timeout(Some(std::time::Duration::from_millis(50))).expect("a socket");
    while waiting[1].stream().peek(&mut [0; 3]).unwrap_or(0) < 3 {
        waiting[0].send_anyway(&masked(0x00, b"x"));
        waiting[1].send_anyway(&masked(PONG, b""));
        assert!(start.elapsed() < PATIENCE, "they may wait for ever");
    }
    assert!(start.elapsed().as_millis() >= 2900, "too early: {:?}", start.elapsed());
    for raw in &mut waiting {
        raw.stream().set_read_timeout(Some(PATIENCE)).expect("a socket");
        assert_eq!(raw.frame().close_code(), Some(4401));
    }
    drop(waiting);
    eventually("there is room again", || connections(&arena.server) == 2);
    arena.fight(&[attack(
        "whoever comes now",
        [upgrade("/ws/echo"), masked_close(1000, "")].concat(),
        "101 close:1000",
    )]);
    arena.survives();
}

/// First messages that are no token.
fn first_messages() -> Vec<Attack> {
    let token = token("alice");
    let mut attacks = Vec::new();
    let mut first = |name: &str, bytes: &[u8], verdict: &str| {
        let bytes = [&upgrade("/ws/chat?roomId=r"), bytes, &masked_close(1000, "")].concat();
        attacks.push(attack(name, bytes, &format!("101 {verdict}")));
    };
    for text in [
        "",
        MARK,
        "HEARTBEAT",
        "null",
        r#"{"content":"hello"}"#,
        r#"{"type":"AUTH"}"#,
        r#"{"type":"AUTH","token":7}"#,
        r#"{"type":"AUTH","token":["a.b.c"]}"#,
        &format!(r#"{{"type":"auth","token":"{token}"}}"#),
        &format!(r#"{{"type":"AUTH","token":"{token}","token":"{token}"}}"#),
        &format!(r#"{{"type":"AUTH","token":"{token}","content":"x"}}"#),
        &format!(r#"["AUTH","{token}"]"#),
        &format!(r#"{{"type":"AUTH","token":{}"#, "[".repeat(8_000)),
        &token,
    ] {
        first(text, &masked(TEXT, text.as_bytes()), NOT_FIRST);
    }
    first("binary", &masked(BINARY, token.as_bytes()), NOT_FIRST);
    first("nothing but a Close frame", b"", "close:1000");
    for token in ["", "..", MARK] {
        first(token, &auth_message(token), "close:4401 (the token is not a JSON Web Token)");
    }
    first("not UTF-8", &masked(TEXT, b"\xff"), "close:1007");
    first("no mask", b"\x81\x01x", "close:1002");
    first("reserved opcode", b"\x83\x80", "close:1002");
    first("one byte too many, declared", &masked(TEXT, &[b' '; 16 * 1024 + 1])[..8], "close:1009");
    let pieces = [masked(TEXT & 0x7f, &[b' '; 16 * 1024]), masked(0x00, b" ")].concat();
    first("one byte too many, in pieces", &pieces, "close:1009");
    attacks
}

#[test]
fn a_first_message_that_is_no_token_ends_the_session_and_is_heard_by_nobody() {
    let mut arena = guarded("");
    let member = format!("/ws/chat?roomId=r&token={}", token("bob"));
    let mut member = Raw::open_at(arena.server.address(), &member);
    assert_eq!(member.frame().first, TEXT);
    arena.fight(&first_messages());
    // They would have been told of in the member's room before what it says itself.
    member.send(&masked(TEXT, br#"{"content":"alone"}"#));
    let heard = String::from_utf8(member.frame().payload).expect("text");
    assert!(heard.contains("alone") && heard.contains("\"seq\":2"), "{heard}");
    drop(member);
    arena.survives();
}

/// Joins rooms as it is told, "ROOM USER", and stays whatever comes of it.
struct Joiner;

impl Handler for Joiner {
    type State = ();

    fn open(&self, _: &mut Context<'_>, _: &Head<'_>) {}

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        let Message::Text(text) = message else { return };
        let (room, user) = text.split_once(' ').unwrap_or_default();
        let joined = cx.join(JoinRequest::chat(room, user));
        cx.send_text(&joined.map_or_else(|error| error.to_string(), |_| "joined".to_owned()));
    }
}

#[test]
fn whoever_may_not_be_a_user_or_enter_a_room_takes_no_place_of_that_user() {
    let change = |config: &mut Config| {
        config.auth.jwt_secret = Some(Secret::new(SECRET));
        config.limits.sessions_per_user = 1;
    };
    let server = TestServer::with_routes(change, |router| router.endpoint("/join", Endpoint::new(Joiner)));
    let open = |token: &str| Raw::open(&server, &format!("/join?token={token}"));
    let join = |raw: &mut Raw, request: &str| {
        raw.send(&masked(TEXT, request.as_bytes()));
        loop {
            let text = String::from_utf8(raw.frame().payload).expect("text");
            // What is said in the room is no answer.
            if !text.starts_with('{') {
                return text;
            }
        }
    };
    let (mut mallory, mut limited) = (open(&token("mallory")), open(&token_for(&["r"])));
    for user in ["bob", "alice"] {
        assert_eq!(join(&mut mallory, &format!("r {user}")), "the token is another user's");
    }
    assert_eq!(join(&mut limited, "s alice"), "the token does not allow this room");
    // All of them are still there.
    let (mut bob, mut alice) = (open(&token("bob")), open(&token("alice")));
    assert_eq!(join(&mut bob, "r bob"), "joined");
    assert_eq!(join(&mut alice, "s alice"), "joined");
    assert_eq!(join(&mut limited, "r alice"), "the user has too many sessions");
}

#[test]
fn no_part_of_a_token_is_in_the_log_however_much_that_has() {
    let config = format!(
        "[auth]\njwt_secret = {SECRET:?}\ntimeout = \"200ms\"\n[limits]\nclose_timeout = \"200ms\"\n"
    );
    let server = ConfiguredProcess::with_log(&config, "trace");
    let mut secrets = vec![SECRET.to_owned()];
    let good = [token("alice"), token_for(&["r", MARK])];
    for token in refused().into_iter().map(|(token, _)| token).chain(good) {
        let mut attacks = everywhere("header", &bearer(&token), "");
        attacks.extend(everywhere("cookie", &format!("{}Origin: http://evil\r\n", cookie(&token)), ""));
        attacks.push(session("subprotocol", "/ws/chat?roomId=r", &subprotocol(&token), ""));
        attacks.push(session("query", &format!("/ws/chat?roomId=r&token={token}"), "", ""));
        attacks.push(request("query", &format!("GET /sse/rooms/s?token={token}&token=x"), "", ""));
        attacks.push(attack("nowhere", format!("GET /nowhere?token={token} HTTP/1.1\r\n\r\n"), ""));
        let message =
            [&upgrade("/ws/chat?roomId=r"), &*auth_message(&token), &masked_close(1000, "")].concat();
        attacks.push(attack("message", message, ""));
        for attack in attacks {
            let mut raw = Raw::connect_to(server.address());
            raw.send_anyway(&attack.bytes);
            // A stream of events that is let in goes on; the others end.
            raw.finish();
            raw.expect_gone();
        }
        // Headers of tokens are the same for all, and say nothing.
        secrets.extend(token.split('.').skip(1).filter(|part| part.len() > 20).map(str::to_owned));
    }
    eventually("the log tells of refusals", || server.logged().matches("token refused").count() > 100);
    let log = server.log();
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} in {log}");
    }
    assert!(!log.contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn ids_of_sessions_are_128_random_bits() {
    let arena = guarded("");
    let path = format!("/ws/chat?roomId=r&hello=1&token={}", token("alice"));
    let ids: Vec<u128> = (0..256)
        .map(|_| {
            let welcome: serde_json::Value =
                serde_json::from_slice(&Raw::open_at(arena.server.address(), &path).frame().payload)
                    .expect("JSON");
            let id = welcome["sessionId"].as_str().expect("an id").to_owned();
            assert_eq!(id.len(), 32, "{id}");
            u128::from_str_radix(&id, 16).expect("hexadecimal")
        })
        .collect();
    for bit in 0..128 {
        // Eight standard deviations around the half.
        let set = ids.iter().filter(|&id| id >> bit & 1 == 1).count();
        assert!((64..=192).contains(&set), "bit {bit} is set in {set} of 256");
        // Nor does a bit follow from that of the session before.
        let kept = ids.windows(2).filter(|pair| (pair[0] ^ pair[1]) >> bit & 1 == 0).count();
        assert!((64..=192).contains(&kept), "bit {bit} stays in {kept} of 255");
    }
}
