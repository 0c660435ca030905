//! Methods, media types, origins, caches, connections.

use foghorn::config::Config;
use foghorn::http::Origins;
use serde_json::json;

use super::client::TestServer;

const ROOMS: &str = "/api/chat/rooms";
const JSON: (&str, &str) = ("Content-Type", "application/json");
const ROOM: &[u8] = br#"{"name":"r","createdBy":"a"}"#;

fn list(config: &mut Config) {
    config.origins.allowed = Origins::parse(&["https://chat.example"]).unwrap();
}

#[test]
fn a_wrong_method_is_answered_with_the_right_ones() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let cases = [
        ("DELETE", ROOMS, "GET, HEAD, POST, OPTIONS"),
        ("PATCH", ROOMS, "GET, HEAD, POST, OPTIONS"),
        ("POST", "/api/chat/rooms/r", "GET, HEAD, DELETE, OPTIONS"),
        ("GET", "/api/chat/rooms/r/join", "POST, OPTIONS"),
        ("PUT", "/healthz", "GET, HEAD, OPTIONS"),
        ("BREW", "/api/stats", "GET, HEAD, OPTIONS"),
    ];
    for (method, path, allow) in cases {
        let reply = connection.ask(method, path).expect(405);
        assert_eq!(reply.header("Allow"), Some(allow));
        reply.problem();
    }
    for path in ["/api/", "/api/nothing", "/healthz/", "/readyzz", "/api/chat/rooms/", "/api/chat/rooms/r/x"]
    {
        connection.ask("GET", path).expect(404).problem();
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = TestServer::start();
    let room = server.new_room();
    server.say(&room, "hi");
    let mut connection = server.connect();
    for path in [ROOMS.to_owned(), format!("{ROOMS}/{room}"), format!("{ROOMS}/{room}/messages")] {
        let (get, head) =
            (connection.ask("GET", &path).expect(200), connection.ask("HEAD", &path).expect(200));
        for name in ["Content-Length", "Content-Type", "ETag", "Foghorn-Position"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
    connection.ask("HEAD", "/api/chat/rooms/nowhere").expect(404);
}

#[test]
fn requests_in_one_segment_are_answered_in_their_order() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let post = format!(
        "POST {ROOMS} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        ROOM.len(),
        String::from_utf8_lossy(ROOM)
    );
    let list = format!("GET {ROOMS} HTTP/1.1\r\nHost: h\r\n\r\n");
    let chunked = format!(
        "POST {ROOMS} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{}\r\n0\r\n\r\n",
        ROOM.len(),
        String::from_utf8_lossy(ROOM)
    );
    connection.send([&*list, &*post, &*list, &*chunked, &*list].concat().as_bytes());
    for rooms in [0, 1, 2] {
        assert_eq!(connection.reply(false).expect(200).json().as_array().unwrap().len(), rooms);
        if rooms < 2 {
            connection.reply(false).expect(201);
        }
    }
}

#[test]
fn only_json_that_says_so_is_taken() {
    let server = TestServer::start();
    let mut connection = server.connect();
    for headers in
        [&[][..], &[("Content-Type", "text/plain")], &[("Content-Type", "application/x-www-form-urlencoded")]]
    {
        connection.ask_with("POST", ROOMS, headers, ROOM).expect(415).problem();
    }
    let charset = [("Content-Type", "application/json; charset=utf-8")];
    connection.ask_with("POST", ROOMS, &charset, ROOM).expect(201);
    for body in
        [&b""[..], b"{", b"[]", b"nul", b"{\"name\":\"a\",\"name\":\"b\",\"createdBy\":\"c\"}", b"\xff"]
    {
        connection.ask_with("POST", ROOMS, &[JSON], body).expect(400).problem();
    }
}

#[test]
fn a_body_beyond_the_limit_is_too_large() {
    let server = TestServer::with(|config| config.limits.body_bytes = 2048);
    server.connect().ask_with("POST", ROOMS, &[JSON], &[b' '; 2049]).expect(413).problem();
}

#[test]
fn an_unchanged_resource_is_not_sent_again() {
    let server = TestServer::start();
    let room = server.new_room();
    server.say(&room, "one");
    let mut connection = server.connect();
    for path in [ROOMS.to_owned(), format!("{ROOMS}/{room}"), format!("{ROOMS}/{room}/messages")] {
        let first = connection.ask("GET", &path).expect(200);
        assert_eq!(first.header("Cache-Control"), Some("private, no-cache"));
        let tag = first.header("ETag").unwrap();
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = connection.ask_with("GET", &path, &[("If-None-Match", &known)], b"").expect(304);
            assert_eq!((again.header("ETag"), again.header("Content-Length")), (Some(tag), None), "{known}");
            assert_eq!(again.header("Foghorn-Position"), first.header("Foghorn-Position"));
        }
        connection.ask_with("GET", &path, &[("If-None-Match", "\"x\"")], b"").expect(200);
    }
    let path = format!("{ROOMS}/{room}/messages");
    let tag = connection.ask("GET", &path).header("ETag").unwrap().to_owned();
    server.say(&room, "two");
    connection.ask_with("GET", &path, &[("If-None-Match", &tag)], b"").expect(200);
}

#[test]
fn a_strange_page_changes_nothing_and_is_not_shown_the_answers() {
    for configure in [|_: &mut Config| (), list] {
        let server = TestServer::with(configure);
        let room = server.new_room();
        let mut connection = server.connect();
        for origin in ["https://evil.example", "null", "https://chat.example.evil"] {
            let headers = [("Origin", origin), JSON];
            connection.ask_with("POST", ROOMS, &headers, ROOM).expect(403).problem();
            connection.ask_with("DELETE", &format!("{ROOMS}/{room}"), &headers, b"").expect(403).problem();
            connection
                .ask_with("POST", &format!("{ROOMS}/{room}/join?username=e"), &headers, b"")
                .expect(403);
            let preflight = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
            connection.ask_with("OPTIONS", ROOMS, &preflight, b"").expect(403);
            let read = connection.ask_with("GET", ROOMS, &headers, b"").expect(200);
            assert_eq!(
                (read.header("Access-Control-Allow-Origin"), read.header("Vary")),
                (None, Some("Origin"))
            );
        }
        assert_eq!(server.get(ROOMS).expect(200).json().as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_body_that_would_have_to_be_decoded_is_refused() {
    let server = TestServer::start();
    let mut connection = server.connect();
    for coding in ["gzip", "identity, br", "GZIP", "x"] {
        let headers = [JSON, ("Content-Encoding", coding)];
        let refused = connection.ask_with("POST", ROOMS, &headers, ROOM).expect(415);
        assert_eq!(refused.header("Accept-Encoding"), Some("identity"), "{coding}");
    }
    connection.ask_with("POST", ROOMS, &[JSON, ("Content-Encoding", "Identity")], ROOM).expect(201);
    connection.ask_with("GET", ROOMS, &[("Content-Encoding", "gzip")], b"").expect(200);
}

#[test]
fn an_allowed_page_is_told_so() {
    let server = TestServer::with(list);
    let mut connection = server.connect();
    let origin = ("Origin", "https://chat.example");
    let preflight = [origin, ("Access-Control-Request-Method", "DELETE")];
    let reply = connection.ask_with("OPTIONS", "/api/chat/rooms/r", &preflight, b"").expect(204);
    let expected = [
        ("Access-Control-Allow-Origin", Some("https://chat.example")),
        ("Access-Control-Allow-Credentials", Some("true")),
        ("Access-Control-Allow-Methods", Some("GET, HEAD, DELETE, OPTIONS")),
        ("Access-Control-Max-Age", Some("600")),
        ("Vary", Some("Origin")),
    ];
    for (name, value) in expected {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert!(reply.header("Access-Control-Allow-Headers").unwrap().contains("Idempotency-Key"));
    let created = connection.ask_with("POST", ROOMS, &[origin, JSON], ROOM).expect(201);
    assert_eq!(created.header("Access-Control-Allow-Origin"), Some("https://chat.example"));
    assert!(created.header("Access-Control-Expose-Headers").unwrap().contains("Foghorn-Position"));
    let missing = connection.ask_with("GET", "/api/nothing", &[origin], b"").expect(404);
    assert_eq!(missing.header("Access-Control-Allow-Origin"), Some("https://chat.example"));
}

#[test]
fn the_servers_own_pages_may_do_everything() {
    let server = TestServer::start();
    let own = format!("http://{}", server.address());
    server.connect().ask_with("POST", ROOMS, &[("Origin", &own), JSON], ROOM).expect(201);
}

#[test]
fn where_everybody_is_let_in_nobody_brings_cookies() {
    let server = TestServer::with(|config| config.origins.allowed = Origins::Any);
    let created = server.connect().ask_with("POST", ROOMS, &[("Origin", "null"), JSON], ROOM).expect(201);
    assert_eq!(created.header("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(created.header("Access-Control-Allow-Credentials"), None);
}

#[test]
fn options_tells_the_methods_to_anybody() {
    let server = TestServer::start();
    let reply = server.connect().ask("OPTIONS", ROOMS).expect(204);
    assert_eq!(reply.header("Allow"), Some("GET, HEAD, POST, OPTIONS"));
    server.connect().ask("OPTIONS", "/api/nothing").expect(404);
}

#[test]
fn nothing_that_is_sent_comes_back_as_markup() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let script = "%3Cscript%3E";
    for path in
        [format!("{ROOMS}/{script}"), format!("{ROOMS}?limit={script}"), format!("{ROOMS}?after={script}")]
    {
        let reply = connection.ask("GET", &path);
        assert!(!String::from_utf8_lossy(&reply.body).contains("script"), "{path}");
        assert_eq!(reply.header("X-Content-Type-Options"), Some("nosniff"));
    }
    let room = connection.post(ROOMS, &json!({ "name": "<script>", "createdBy": "a" })).expect(201);
    assert_eq!(room.header("Content-Type"), Some("application/json"));
}
