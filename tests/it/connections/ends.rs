//! What is left when the server shuts down: every request that was received is answered or refused.

use std::time::Duration;

use serde_json::json;

use crate::support::{Chat, Raw, TestServer};

fn post(number: usize) -> Vec<u8> {
    let body = json!({ "sender": "alice", "content": format!("{number}") }).to_string();
    let fields = "Host: h\r\nContent-Type: application/json";
    let len = body.len();
    format!("POST /api/chat/rooms/r/messages HTTP/1.1\r\n{fields}\r\nContent-Length: {len}\r\n\r\n{body}")
        .into_bytes()
}

#[test]
fn pipelined_requests_that_were_received_are_answered() {
    for kept_in_the_kernel in [false, true] {
        let server = TestServer::stored(|config| config.shutdown.grace = Duration::from_secs(60));
        let _member = Chat::join(&server, "r", "alice");
        let mut raw = Raw::connect(&server);
        let requests = (1..=200).map(post);
        if kept_in_the_kernel {
            requests.for_each(|request| raw.send(&request));
        } else {
            raw.send(&requests.collect::<Vec<_>>().concat());
        }
        server.begin_shutdown();
        for number in 1..=200 {
            assert_eq!(raw.reply().status, 201, "{number}");
        }
        raw.expect_end();
        server.join();
    }
}

#[test]
fn a_request_that_is_not_whole_at_the_end_is_refused() {
    let server = TestServer::stored(|_| ());
    let _member = Chat::join(&server, "r", "alice");
    let mut raw = Raw::connect(&server);
    raw.send(&post(0));
    let whole = post(1);
    raw.send(&whole[..whole.len() - 3]);
    assert_eq!(raw.reply().status, 201);
    // Behind a long poll that ends now.
    let mut polling = Raw::connect(&server);
    polling.send(b"GET /poll/rooms/r?wait=60 HTTP/1.1\r\nHost: h\r\n\r\n");
    polling.send(&whole);
    let mut asked = Raw::connect(&server);
    asked.send(b"GET /poll/rooms/r?wait=1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(asked.reply().status, 200);
    server.begin_shutdown();
    let reply = raw.reply();
    assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
    assert_eq!(polling.reply().status, 200);
    assert!([201, 503].contains(&polling.reply().status), "answered or refused");
    server.join();
}
