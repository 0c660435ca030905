//! Tokens over HTTP: who is turned away, and what they allow.

use serde_json::{Value, json};

use super::client::*;
use crate::support::TestServer;

const REALM: &str = "Bearer realm=\"foghorn\"";

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// Creates a room in bob's name; says its id.
fn new_room(server: &TestServer) -> String {
    let reply = ask(server, "POST", "/api/chat/rooms", &bearer(&token("bob")), Some(&json!({ "name": "n" })));
    assert_eq!(reply.status, 201);
    json_of(&reply.body)["id"].as_str().unwrap().to_owned()
}

#[test]
fn without_a_token_every_path_of_the_interface_says_the_same() {
    let server = server();
    let room = new_room(&server);
    let paths = [
        "/api/chat/rooms".to_owned(),
        format!("/api/chat/rooms/{room}"),
        format!("/api/chat/rooms/{room}/messages"),
        "/api/chat/rooms/nowhere".to_owned(),
        "/api/chat/rooms/nowhere/online".to_owned(),
        "/api/stats".to_owned(),
        "/api/nothing".to_owned(),
        "/api/auth".to_owned(),
        "/api/auth/login".to_owned(),
        "/api/%61uth/login".to_owned(),
    ];
    for path in paths {
        for method in ["GET", "HEAD", "POST", "DELETE", "PATCH"] {
            let reply = if method == "HEAD" {
                let mut raw = crate::support::Raw::connect(&server);
                raw.send(format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
                raw.reply_to_head()
            } else {
                ask(&server, method, &path, "", None)
            };
            assert_eq!(
                (reply.status, reply.header("WWW-Authenticate")),
                (401, Some(REALM)),
                "{method} {path}"
            );
            if method != "HEAD" {
                assert_eq!(json_of(&reply.body)["detail"], "a token is needed");
            }
        }
    }
}

#[test]
fn what_is_open_stays_open() {
    let server = server();
    for (path, status) in [("/healthz", 200), ("/readyz", 200)] {
        assert_eq!(ask(&server, "GET", path, "", None).status, status, "{path}");
        assert_eq!(ask(&server, "GET", path, &bearer("bad"), None).status, status, "{path}");
    }
    // A browser asks without a token whether it may ask with one.
    let preflight = "Origin: http://h\r\nAccess-Control-Request-Method: POST\r\n";
    let reply = ask(&server, "OPTIONS", "/api/chat/rooms", preflight, None);
    assert_eq!((reply.status, reply.header("Access-Control-Allow-Origin")), (204, Some("http://h")));
    assert!(reply.header("Access-Control-Allow-Headers").unwrap().contains("Authorization"));
}

#[test]
fn a_bad_token_is_told_what_is_wrong_with_it() {
    let server = server();
    let token = token("alice");
    let expired = token_of(&json!({ "sub": "alice", "exp": 1 }));
    let cases = [
        ("/api/stats".to_owned(), bearer(&expired), "invalid_token", "the token has expired"),
        ("/api/stats".to_owned(), bearer("a.b.c"), "invalid_token", "the token is not a JSON Web Token"),
        (
            "/api/stats".to_owned(),
            bearer(""),
            "invalid_request",
            "the token is missing where one was announced",
        ),
        (
            format!("/api/stats?token={token}"),
            bearer(&token),
            "invalid_request",
            "tokens from more than one source",
        ),
        (
            "/api/stats".to_owned(),
            format!("Cookie: foghorn_token={token}\r\nSec-Fetch-Site: same-site\r\n"),
            "invalid_token",
            "the cookie counts only with an allowed origin",
        ),
    ];
    for (path, fields, code, description) in cases {
        let reply = ask(&server, "GET", &path, &fields, None);
        let challenge = format!("{REALM}, error=\"{code}\", error_description=\"{description}\"");
        assert_eq!((reply.status, reply.header("WWW-Authenticate")), (401, Some(&*challenge)), "{fields}");
        let text = String::from_utf8(reply.body).unwrap();
        assert!(text.contains(description) && !text.contains(&token), "{text}");
    }
}

#[test]
fn a_token_is_taken_from_each_of_its_places() {
    let server = server();
    let token = token("alice");
    let cookie = format!("Cookie: foghorn_token={token}\r\n");
    let cases = [
        ("/api/chat/rooms".to_owned(), bearer(&token)),
        ("/api/chat/rooms".to_owned(), format!("{cookie}Origin: http://h\r\n")),
        ("/api/chat/rooms".to_owned(), format!("{cookie}Sec-Fetch-Site: same-origin\r\n")),
        (format!("/api/chat/rooms?token={token}"), String::new()),
    ];
    for (path, fields) in cases {
        assert_eq!(ask(&server, "GET", &path, &fields, None).status, 200, "{path} {fields}");
    }
}

#[test]
fn a_refused_body_is_not_waited_for_twice() {
    let server = server();
    let mut raw = crate::support::Raw::connect(&server);
    let body = r#"{"name":"n","createdBy":"bob"}"#;
    let head = format!(
        "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    raw.send(format!("{head}\r\n{body}{head}{}\r\n{body}", bearer(&token("bob"))).as_bytes());
    assert_eq!(raw.reply().status, 401);
    assert_eq!(raw.reply().status, 201);
    // Whoever asks before sending is told before sending.
    raw.send(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes());
    assert_eq!(raw.reply().status, 401);
    raw.expect_end();
}

#[test]
fn what_concerns_others_is_for_administrators() {
    let server = server();
    let room = new_room(&server);
    let base = format!("/api/chat/rooms/{room}");
    let message = json!({ "sender": "anybody", "content": "c" });
    let cases = [
        ("GET", format!("{base}/online"), None, 200),
        ("POST", format!("{base}/messages"), Some(&message), 201),
        ("POST", format!("{base}/kick?username=x"), None, 200),
        ("GET", "/api/stats".to_owned(), None, 200),
        ("DELETE", base.clone(), None, 204),
    ];
    for (method, path, body, status) in cases {
        let reply = ask(&server, method, &path, &bearer(&token("alice")), body);
        assert_eq!(reply.status, 403, "{method} {path}");
        let challenge = reply.header("WWW-Authenticate").unwrap();
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
        assert_eq!(
            ask(&server, method, &path, &bearer(&admin_token()), body).status,
            status,
            "{method} {path}"
        );
    }
}

#[test]
fn a_room_that_is_not_the_tokens_is_the_same_whether_it_exists_or_not() {
    let server = server();
    let (room, other) = (new_room(&server), new_room(&server));
    let limited = bearer(&token_of(&json!({ "sub": "alice", "rooms": [room] })));
    for path in ["", "/messages", "/messages?limit=0", "/join"] {
        let method = if path == "/join" { "POST" } else { "GET" };
        let [there, nowhere] = [&*other, "nowhere"].map(|room| {
            let reply = ask(&server, method, &format!("/api/chat/rooms/{room}{path}"), &limited, None);
            (reply.status, reply.body)
        });
        assert_eq!(there, nowhere, "{path}");
        assert_eq!(there.0, 403, "{path}");
    }
    assert_eq!(ask(&server, "GET", &format!("/api/chat/rooms/{room}"), &limited, None).status, 200);
    // An escape names the same room to whoever checks and to whoever looks it up.
    let escaped = format!("/api/chat/rooms/%{:02x}{}", other.as_bytes()[0], &other[1..]);
    assert_eq!(ask(&server, "GET", &escaped, &limited, None).status, 403);
    let seen = json_of(&ask(&server, "GET", "/api/chat/rooms", &limited, None).body);
    let seen: Vec<_> = seen.as_array().unwrap().iter().map(|room| room["id"].clone()).collect();
    assert_eq!(seen, [json!(room)]);
    let reply = ask(&server, "POST", "/api/chat/rooms", &limited, Some(&json!({ "name": "new" })));
    assert_eq!(reply.status, 403);
}

#[test]
fn a_page_of_rooms_is_full_wherever_the_rooms_of_the_token_are() {
    let server = server();
    let rooms: Vec<String> = (0..120).map(|_| new_room(&server)).collect();
    let listed = |token_rooms: &[&String], query: &str| -> Vec<String> {
        let fields = bearer(&token_of(&json!({ "sub": "alice", "rooms": token_rooms })));
        let reply = ask(&server, "GET", &format!("/api/chat/rooms{query}"), &fields, None);
        let list = json_of(&reply.body);
        list.as_array().unwrap().iter().map(|room| room["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&[&rooms[115]], ""), rooms[115..116]);
    let several = [&rooms[118], &rooms[3], &"nowhere".to_owned(), &rooms[116], &rooms[3], &rooms[117]];
    assert_eq!(listed(&several, "?limit=2"), [rooms[3].clone(), rooms[116].clone()]);
    let rest = format!("?limit=2&after={}", rooms[116]);
    assert_eq!(listed(&several, &rest), rooms[117..119]);
    assert_eq!(
        listed(&several, "?participant=bob&limit=3"),
        [&rooms[3], &rooms[116], &rooms[117]].map(Clone::clone)
    );
    assert_eq!(listed(&several, "?participant=carol"), [""; 0]);
    assert_eq!(listed(&[], ""), [""; 0]);
}

#[test]
fn a_name_is_the_tokens_unless_an_administrator_says_otherwise() {
    let server = server();
    let room = new_room(&server);
    let (alice, admin) = (bearer(&token("alice")), bearer(&admin_token()));
    let join = |fields: &str, query: &str| {
        let reply = ask(&server, "POST", &format!("/api/chat/rooms/{room}/join{query}"), fields, None);
        (reply.status, json_of(&reply.body)["participants"].clone())
    };
    assert_eq!(join(&alice, "?username=carol").0, 403);
    assert_eq!(join(&alice, ""), (200, json!(["bob", "alice"])));
    assert_eq!(join(&alice, "?username=alice"), (200, json!(["bob", "alice"])));
    assert_eq!(join(&admin, "?username=carol"), (200, json!(["bob", "alice", "carol"])));
    let leave = format!("/api/chat/rooms/{room}/leave?username=carol");
    assert_eq!(ask(&server, "POST", &leave, &alice, None).status, 403);
    let create = |fields: &str, body: Value| ask(&server, "POST", "/api/chat/rooms", fields, Some(&body));
    assert_eq!(create(&alice, json!({ "name": "n", "createdBy": "bob" })).status, 403);
    assert_eq!(json_of(&create(&alice, json!({ "name": "n" })).body)["createdBy"], "alice");
    assert_eq!(json_of(&create(&admin, json!({ "name": "n", "createdBy": "bob" })).body)["createdBy"], "bob");
    let reply = ask(
        &TestServer::whole(|_| (), |router| router),
        "POST",
        "/api/chat/rooms",
        "",
        Some(&json!({ "name": "n" })),
    );
    assert_eq!(reply.status, 422);
}

#[test]
fn an_upgrade_of_the_interface_is_no_way_around() {
    let server = server();
    let (_raw, reply) = handshake(&server, "/api/stats", "");
    assert_eq!(reply.status, 404);
    let (_raw, reply) = handshake(&server, "/api/chat/rooms/nowhere", "");
    assert_eq!(reply.status, 404);
}
