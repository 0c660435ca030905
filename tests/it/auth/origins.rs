//! Which pages may connect, path by path, over WebSocket and over HTTP alike.

use foghorn::config::Config;
use foghorn::http::Origins;

use super::client::*;
use crate::support::TestServer;

fn only(origin: &str) -> Origins {
    Origins::parse(&[origin]).unwrap()
}

fn per_path(config: &mut Config) {
    config.origins.endpoints = vec![
        ("/ws/chat".to_owned(), only("https://chat.example")),
        ("/api/".to_owned(), only("https://api.example")),
        ("/echo".to_owned(), Origins::Any),
    ];
}

#[test]
fn each_path_lets_in_its_own_pages() {
    let server = TestServer::whole(per_path, |router| router);
    let cases = [
        ("/ws/chat?roomId=r&username=u", "https://chat.example", 101),
        ("/ws/chat?roomId=r&username=u", "https://chat.example:443", 101),
        ("/ws/chat?roomId=r&username=u", "http://h", 403),
        ("/ws/chat?roomId=r&username=u", "https://chat.example.evil", 403),
        ("/ws/chat?roomId=r&username=u", "https://a.chat.example", 403),
        ("/ws/chat?roomId=r&username=u", "http://chat.example", 403),
        ("/ws/chat?roomId=r&username=u", "null", 403),
        ("/ws/echo", "http://h", 101),
        ("/ws/echo", "https://chat.example", 403),
        ("/echo", "https://anything", 101),
        ("/echo", "null", 101),
    ];
    for (path, origin, status) in cases {
        let (_raw, reply) = handshake(&server, path, &format!("Origin: {origin}\r\n"));
        assert_eq!(reply.status, status, "{path} {origin}");
    }
    assert_eq!(handshake(&server, "/ws/chat?roomId=r&username=u", "").1.status, 101);
}

#[test]
fn pages_see_answers_where_they_are_let_in() {
    let server = TestServer::whole(per_path, |router| router);
    let path = "/api/chat/rooms";
    for (origin, allowed) in
        [("https://api.example", true), ("http://h", false), ("https://chat.example", false)]
    {
        let fields = format!("Origin: {origin}\r\n");
        let reply = ask(&server, "GET", path, &fields, None);
        assert_eq!(reply.header("Access-Control-Allow-Origin"), allowed.then_some(origin), "{origin}");
        let created =
            ask(&server, "POST", path, &fields, Some(&serde_json::json!({ "name": "n", "createdBy": "b" })));
        assert_eq!(created.status, if allowed { 201 } else { 403 }, "{origin}");
    }
    let reply = ask(&server, "GET", "/healthz", "Origin: http://h\r\n", None);
    assert_eq!(reply.header("Access-Control-Allow-Origin"), Some("http://h"));
}

#[test]
fn a_page_can_read_that_a_token_is_missing() {
    let server = server_with(per_path);
    let reply = ask(&server, "GET", "/api/stats", "Origin: https://api.example\r\n", None);
    assert_eq!(
        (reply.status, reply.header("Access-Control-Allow-Origin")),
        (401, Some("https://api.example"))
    );
    assert!(reply.header("Access-Control-Expose-Headers").unwrap().contains("WWW-Authenticate"));
    assert_eq!(
        ask(&server, "GET", "/api/stats", "Origin: http://h\r\n", None).header("Access-Control-Allow-Origin"),
        None
    );
}

#[test]
fn a_cookie_counts_with_the_origins_of_the_path() {
    let server = server_with(per_path);
    let cookie = format!("Cookie: foghorn_token={}\r\n", token("alice"));
    expect_welcome(&mut open(&server, CHAT, &format!("{cookie}Origin: https://chat.example\r\n")), "alice");
    let asked = |origin: &str| {
        ask(&server, "GET", "/api/chat/rooms", &format!("{cookie}Origin: {origin}\r\n"), None).status
    };
    assert_eq!((asked("https://api.example"), asked("https://chat.example")), (200, 401));
}
