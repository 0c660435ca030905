//! HTTP and the opening handshake on real sockets: the table of the contract's second section, row by row.

use std::time::Duration;

use crate::support::frame::{self, Frame};
use crate::support::raw::{upgrade, upgrade_lines};
use crate::support::{Chat, Raw, TestServer};
use foghorn::handshake::Origins;
use foghorn::http::{Response, Status};
use foghorn::server::{Context, Endpoint, Handler, Router};
use foghorn::ws::Message;

struct Echo;

impl Handler for Echo {
    type State = ();

    fn open(&self, _: &mut Context<'_>, _: &foghorn::http::Head<'_>) {}

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        if let Message::Text(text) = message {
            cx.send_text(text);
        }
    }
}

struct Panics;

#[expect(clippy::panic, reason = "that is what this handler is for")]
impl Handler for Panics {
    type State = ();

    fn open(&self, _: &mut Context<'_>, _: &foghorn::http::Head<'_>) {}

    fn handshake(&self, _: &foghorn::http::Head<'_>, _: &foghorn::server::PeerInfo) -> Result<(), Response> {
        panic!("on purpose")
    }

    fn message(&self, _: &mut Context<'_>, _: &mut (), _: Message<'_>) {}
}

struct Refuses;

impl Handler for Refuses {
    type State = ();

    fn open(&self, _: &mut Context<'_>, _: &foghorn::http::Head<'_>) {}

    fn handshake(&self, _: &foghorn::http::Head<'_>, _: &foghorn::server::PeerInfo) -> Result<(), Response> {
        Err(Response::text(Status::FORBIDDEN, "not today"))
    }

    fn message(&self, _: &mut Context<'_>, _: &mut (), _: Message<'_>) {}
}

fn routes(router: Router) -> Router {
    let listed = Origins::parse(&["https://a.example", "http://b.example:8080"]).expect("origins");
    router
        .endpoint("/speaks", Endpoint::new(Echo).subprotocols(["v2.test", "v1.test"]))
        .endpoint("/requires", Endpoint::new(Echo).subprotocols(["v2.test"]).require_subprotocol())
        .endpoint("/listed", Endpoint::new(Echo).origins(listed))
        .endpoint("/any", Endpoint::new(Echo).origins(Origins::Any))
        .endpoint("/panics", Endpoint::new(Panics))
        .endpoint("/refuses", Endpoint::new(Refuses))
        .page("/page", Response::text(Status::OK, "a page"))
}

fn server() -> TestServer {
    TestServer::with_routes(|_| (), routes)
}

/// What becomes of the connection after the response.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    /// Another request is answered.
    Kept,
    /// The server ends it.
    Closed,
    /// It speaks WebSocket.
    Frames,
}

fn check(server: &TestServer, request: &[u8], status: u16, headers: &[(&str, &str)], after: After) {
    let name = request.escape_ascii().to_string();
    let mut raw = Raw::connect(server);
    raw.send(request);
    let reply = raw.reply();
    assert_eq!(reply.status, status, "{name}");
    for (header, value) in headers {
        assert_eq!(reply.header(header), Some(*value), "{header} of {name}");
    }
    match after {
        After::Kept => {
            assert_ne!(reply.header("connection"), Some("close"), "{name}");
            raw.send(b"GET /page HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(raw.reply().body, b"a page", "{name}");
        }
        After::Closed => {
            assert_eq!(reply.header("connection").map(|value| value.contains("close")), Some(true), "{name}");
            // A request that follows must not be answered: nobody knows whether it is one.
            raw.send_anyway(b"GET /page HTTP/1.1\r\nHost: h\r\n\r\n");
            raw.expect_end();
        }
        After::Frames => {
            raw.send(&frame::masked(frame::TEXT, b"hello"));
            assert_eq!(raw.frame(), Frame::text("hello"), "{name}");
        }
    }
}

const WS: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn request(line: &str, fields: &[&str]) -> Vec<u8> {
    format!("{line}\r\nHost: h\r\n{}\r\n", fields.concat()).into_bytes()
}

#[test]
fn a_correct_upgrade_is_answered_with_the_proof_that_its_key_was_read() {
    let server = server();
    let proof = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let answer = [proof, ("Upgrade", "websocket"), ("Connection", "Upgrade")];
    let cases = [
        request("GET /echo HTTP/1.1", &[WS, VERSION, KEY]),
        request(
            "GET /echo HTTP/1.1",
            &["uPGRADE: WebSocket\r\nCONNECTION: keep-alive, UPGRADE\r\n", VERSION, KEY],
        ),
        request("GET /echo?a=b HTTP/1.1", &[WS, VERSION, KEY, "Sec-WebSocket-Extensions: foo, bar; baz\r\n"]),
        request(
            "GET /echo HTTP/1.1",
            &[WS, VERSION, KEY, "Sec-WebSocket-Extensions: permessage-deflate; x=y\r\n"],
        ),
        request("GET /echo HTTP/1.1", &[WS, VERSION, KEY, "Content-Length: 0\r\n"]),
        request("GET http://h/echo HTTP/1.1", &[WS, VERSION, KEY]),
        request("GET http://h:80/echo HTTP/1.1", &[WS, VERSION, KEY]),
    ];
    for case in &cases {
        check(&server, case, 101, &answer, After::Frames);
    }
    let printed =
        request("GET /echo HTTP/1.1", &[WS, VERSION, "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==\r\n"]);
    check(&server, &printed, 101, &[], After::Frames);
}

#[test]
fn a_wrong_upgrade_is_refused_and_the_connection_closed() {
    let server = server();
    let get = "GET /echo HTTP/1.1";
    let nothing: &[(&str, &str)] = &[];
    let allow: &[(&str, &str)] = &[("Allow", "GET")];
    let version: &[(&str, &str)] = &[("Sec-WebSocket-Version", "13")];
    let cases = [
        (request(get, &[WS, KEY]), 426, version),
        (request(get, &[WS, KEY, "Sec-WebSocket-Version: 8\r\n"]), 426, version),
        (request(get, &[WS, KEY, VERSION, VERSION]), 426, version),
        (request(get, &[WS, VERSION]), 400, nothing),
        (request(get, &[WS, VERSION, KEY, KEY]), 400, nothing),
        (request(get, &[WS, VERSION, "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"]), 400, nothing),
        (request(get, &[WS, VERSION, "Sec-WebSocket-Key: ????\r\n"]), 400, nothing),
        (request(get, &[WS, VERSION, "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC\r\n"]), 400, nothing),
        (request(get, &[WS, VERSION, KEY, "Content-Length: 5\r\n"]), 400, nothing),
        (request(get, &[WS, VERSION, KEY, "Transfer-Encoding: chunked\r\n"]), 400, nothing),
        (request("GET /echo HTTP/1.0", &[WS, VERSION, KEY]), 400, nothing),
        (request(get, &[WS, VERSION, KEY, "Host: h\r\n"]), 400, nothing),
        (format!("{get}\r\n{WS}{VERSION}{KEY}\r\n").into_bytes(), 400, nothing),
        (request("POST /echo HTTP/1.1", &[WS, VERSION, KEY]), 405, allow),
        (request(get, &["Upgrade: websocketx\r\nConnection: Upgrade\r\n", VERSION, KEY]), 426, nothing),
        (request(get, &["Upgrade: h2c\r\nConnection: Upgrade\r\n", VERSION, KEY]), 426, nothing),
        (request(get, &["Upgrade: websocket\r\n", VERSION, KEY]), 426, nothing),
        (request("GET /nowhere HTTP/1.1", &[WS, VERSION, KEY]), 404, nothing),
        (request("GET /page HTTP/1.1", &[WS, VERSION, KEY]), 200, nothing),
        (request("GET /%65cho HTTP/1.1", &[WS, VERSION, KEY]), 404, nothing),
        (request("GET /echo/ HTTP/1.1", &[WS, VERSION, KEY]), 404, nothing),
        (request("GET /./echo HTTP/1.1", &[WS, VERSION, KEY]), 404, nothing),
        (request("GET /refuses HTTP/1.1", &[WS, VERSION, KEY]), 403, nothing),
        (request("GET /panics HTTP/1.1", &[WS, VERSION, KEY]), 500, nothing),
    ];
    for (request, status, headers) in &cases {
        check(&server, request, *status, headers, After::Closed);
    }
}

#[test]
fn a_websocket_path_asked_for_a_page_names_what_it_speaks() {
    let server = server();
    for path in ["/echo", "/ws/chat?roomId=r&username=u"] {
        let request = request(&format!("GET {path} HTTP/1.1"), &[]);
        check(&server, &request, 426, &[("Upgrade", "websocket")], After::Closed);
    }
}

#[test]
fn the_first_offered_subprotocol_that_is_spoken_is_chosen() {
    let server = server();
    let cases = [
        ("/speaks", "v1.test, v2.test", 101, Some("v1.test")),
        ("/speaks", "x, v2.test", 101, Some("v2.test")),
        ("/speaks", "V1.TEST", 101, None),
        ("/speaks", "x", 101, None),
        ("/echo", "v1.test", 101, None),
        ("/requires", "v2.test", 101, Some("v2.test")),
        ("/requires", "v1.test", 400, None),
    ];
    for (path, offered, status, chosen) in cases {
        let mut raw = Raw::connect(&server);
        raw.send(format!("{}Sec-WebSocket-Protocol: {offered}\r\n\r\n", upgrade_lines(path)).as_bytes());
        let reply = raw.reply();
        assert_eq!(
            (reply.status, reply.header("sec-websocket-protocol")),
            (status, chosen),
            "{path} {offered}"
        );
    }
    check(&server, &upgrade("/requires"), 400, &[], After::Closed);
    check(&server, &upgrade("/speaks"), 101, &[], After::Frames);
}

#[test]
fn a_browser_is_let_in_from_allowed_origins_only() {
    let server = server();
    let cases = [
        ("/echo", "http://h", 101),
        ("/echo", "http://H:80", 101),
        ("/echo", "https://h", 403),
        ("/echo", "http://h:8080", 403),
        ("/echo", "http://h.evil", 403),
        ("/echo", "http://evil/http://h", 403),
        ("/echo", "null", 403),
        ("/listed", "https://a.example", 101),
        ("/listed", "https://a.example:443", 101),
        ("/listed", "http://b.example:8080", 101),
        ("/listed", "http://a.example", 403),
        ("/listed", "http://b.example", 403),
        ("/listed", "https://a.example.evil", 403),
        ("/any", "https://evil", 101),
    ];
    for (path, origin, status) in cases {
        let request = format!("{}Origin: {origin}\r\n\r\n", upgrade_lines(path));
        let after = if status == 101 { After::Frames } else { After::Closed };
        check(&server, request.as_bytes(), status, &[], after);
    }
    check(&server, &upgrade("/listed"), 101, &[], After::Frames);
}

#[test]
fn heads_over_the_limits_are_refused_before_they_end() {
    let server = server();
    let field = |bytes: usize| format!("X: {}\r\n", "a".repeat(bytes));
    let many = "X: a\r\n".repeat(100);
    let target = |bytes: usize| format!("GET /{} HTTP/1.1", "a".repeat(bytes));
    let page = "GET /page HTTP/1.1";
    check(&server, &request(page, &[&field(15_000)]), 200, &[], After::Kept);
    check(&server, &request(page, &[&field(17_000)]), 431, &[], After::Closed);
    check(&server, &request(page, &[&many[6..]]), 200, &[], After::Kept);
    check(&server, &request(page, &[&many]), 431, &[], After::Closed);
    check(&server, &request(&target(8_000), &[]), 404, &[], After::Kept);
    check(&server, &request(&target(9_000), &[]), 414, &[], After::Closed);
}

#[test]
fn an_endless_head_costs_its_limit_and_gets_its_answer() {
    let server = server();
    let mut raw = Raw::connect(&server);
    raw.send(b"GET /page HTTP/1.1\r\nHost: h\r\nX: ");
    for _ in 0..320 {
        raw.send_anyway(&[b'a'; 65_536]);
    }
    assert_eq!(raw.reply().status, 431);
}

#[test]
fn ambiguous_heads_are_refused() {
    let server = server();
    let get = "GET /page HTTP/1.1\r\nHost: h\r\n";
    let post = "POST /page HTTP/1.1\r\nHost: h\r\n";
    let cases = [
        format!("{post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
        format!("{post}Content-Length: 3\r\nContent-Length: 3\r\n\r\n"),
        format!("{post}Content-Length: 3\r\nContent-Length: 4\r\n\r\n"),
        format!("{post}Content-Length: +3\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked, chunked\r\n\r\n"),
        format!("{get}X: a\nY: b\r\n\r\n"),
        format!("{get}X: a\rY: b\r\n\r\n"),
        format!("{get}X : a\r\n\r\n"),
        format!("{get}X: a\r\n b\r\n\r\n"),
        format!("{get}X: a\0b\r\n\r\n"),
        format!("{get}no colon\r\n\r\n"),
        "GET  /page HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "GET /page HTTP/1.1\r\n\r\n".to_owned(),
        "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c".to_owned(),
    ];
    for case in &cases {
        check(&server, case.as_bytes(), 400, &[], After::Closed);
    }
    check(&server, b"GET /page HTTP/2.0\r\nHost: h\r\n\r\n", 505, &[], After::Closed);
}

#[test]
fn a_refusal_names_the_fault_and_no_other() {
    let server = server();
    let echo = "GET /echo HTTP/1.1";
    let cases = [
        (request("GET /\u{e4} HTTP/1.1", &[]), 400, "request target has a byte that must be percent-encoded"),
        (request("GET /a#b HTTP/1.1", &[]), 400, "request target has a fragment"),
        (request("GET page HTTP/1.1", &[]), 400, "request target is not an absolute path"),
        (
            request("GET http://other/page HTTP/1.1", &[]),
            400,
            "request target names another host than Host does",
        ),
        (request("CONNECT h:80 HTTP/1.1", &[]), 400, "CONNECT is not supported"),
        (b"GET /page HTTP/1.1\r\n\r\n".to_vec(), 400, "Host is missing"),
        (request("GET /page HTTP/1.1", &["Host: h\r\n"]), 400, "Host is repeated"),
        (b"GET /page HTTP/1.1\r\nHost: a/b\r\n\r\n".to_vec(), 400, "Host is not a host and a port"),
        (
            request("GET /page HTTP/1.1", &["X : a\r\n"]),
            400,
            "white space before the colon of a header field",
        ),
        (request("GET /page HTTP/1.1", &[" x\r\n"]), 400, "header field line begins with white space"),
        (request("GET /page HTTP/1.1", &["Content-Length: x\r\n"]), 400, "Content-Length is not a number"),
        (
            request("POST /page HTTP/1.0", &["Transfer-Encoding: chunked\r\n"]),
            400,
            "Transfer-Encoding in HTTP/1.0",
        ),
        (request("GET /page HTTP/3.0", &[]), 505, "HTTP version is neither 1.0 nor 1.1"),
        (request(echo, &[]), 426, "this path speaks WebSocket only"),
        (
            request("OPTIONS /echo HTTP/1.1", &[]),
            405,
            "this path speaks WebSocket only, which begins with GET",
        ),
        (request("POST /echo HTTP/1.1", &[WS, VERSION, KEY]), 405, "method of an upgrade is not GET"),
        (
            request(echo, &["Connection: keep-alive\r\n", VERSION, KEY]),
            426,
            "Upgrade: websocket or Connection: Upgrade is missing: a proxy may have dropped it",
        ),
        (request(echo, &[WS, KEY]), 426, "Sec-WebSocket-Version is missing"),
        (request(echo, &[WS, VERSION, VERSION, KEY]), 426, "Sec-WebSocket-Version is repeated"),
        (
            request(echo, &[WS, VERSION, KEY, "Origin: http://h\r\nOrigin: http://h\r\n"]),
            403,
            "Origin is repeated",
        ),
    ];
    for (request, status, text) in &cases {
        let mut raw = Raw::connect(&server);
        raw.send(request);
        let reply = raw.reply();
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        // The text is the whole body, or the whole detail of a problem.
        let said = body == *text || body.contains(&format!("\"detail\":\"{text}\""));
        assert!(reply.status == *status && said, "{}: {} {body}", request.escape_ascii(), reply.status);
        raw.expect_end();
    }
    // The answer to a HEAD has no text.
    let mut raw = Raw::connect(&server);
    raw.send(&request("HEAD /echo HTTP/1.1", &[]));
    let reply = raw.reply_to_head();
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
}

#[test]
fn what_speaks_another_protocol_is_told_so_with_its_first_line() {
    let server = server();
    let cases: &[(&[u8], u16)] = &[
        (b"SSH-2.0-OpenSSH_9.6\r\n", 400),
        (b"SSH-2.0-x\n", 400),
        (b"\x16\x03\x01", 400),
        (b"PRI * HTTP/2.0\r\n", 505),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n", 400),
        (b"EHLO mail.example\r\n", 400),
        (b"GET /page\r\n", 400),
        (b"\x80\x2e\x01", 400),
    ];
    for &(bytes, status) in cases {
        check(&server, bytes, status, &[], After::Closed);
    }
}

#[test]
fn bytes_that_are_no_text_in_a_field_are_opaque() {
    let server = server();
    for fields in
        [&b"Cookie: n=\xc8\xab\xff"[..], b"User-Agent: caf\xe9", b"X-\x21: \xff\xfe", b"Accept: \x80"]
    {
        let lines = [WS, VERSION, KEY].concat();
        let upgrade = [b"GET /echo HTTP/1.1\r\nHost: h\r\n", lines.as_bytes(), fields, b"\r\n\r\n"].concat();
        check(&server, &upgrade, 101, &[], After::Frames);
        let get = [b"GET /page HTTP/1.1\r\nHost: h\r\n", fields, b"\r\n\r\n"].concat();
        check(&server, &get, 200, &[], After::Kept);
    }
    // What is read must be text, and is not taken for absent.
    for (field, status) in [
        (&b"Origin: http://h\xff"[..], 403),
        (b"Transfer-Encoding: \xff", 400),
        (b"Content-Length: \xff", 400),
        (b"Sec-WebSocket-Key: \xff", 400),
    ] {
        let lines = [WS, VERSION, KEY].concat();
        let upgrade = [b"GET /echo HTTP/1.1\r\nHost: h\r\n", lines.as_bytes(), field, b"\r\n\r\n"].concat();
        check(&server, &upgrade, status, &[], After::Closed);
    }
}

#[test]
fn a_load_balancer_may_ask_with_options() {
    let server = server();
    for (bytes, after) in [
        (&b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"[..], After::Kept),
        (b"OPTIONS * HTTP/1.0\r\n\r\n", After::Closed),
        (b"OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n", After::Kept),
        (b"OPTIONS /page HTTP/1.0\r\n\r\n", After::Closed),
        (b"OPTIONS /page HTTP/1.1\r\nHost: h\r\n\r\n", After::Kept),
    ] {
        check(&server, bytes, 204, &[], after);
    }
    check(&server, &request("OPTIONS /nowhere HTTP/1.1", &[]), 404, &[], After::Kept);
    check(&server, &request("GET * HTTP/1.1", &[]), 400, &[], After::Closed);
}

#[test]
fn pages_are_served_over_a_connection_that_stays() {
    let server = server();
    let cases = [
        ("GET /page HTTP/1.1", "", 200, After::Kept),
        ("GET /nowhere HTTP/1.1", "", 404, After::Kept),
        ("GET /page HTTP/1.1", "Connection: close\r\n", 200, After::Closed),
        ("GET /page HTTP/1.0", "", 200, After::Closed),
        ("GET /page HTTP/1.0", "Connection: keep-alive\r\n", 200, After::Kept),
        ("POST /page HTTP/1.1", "", 405, After::Kept),
        ("POST /page HTTP/1.1", "Content-Length: 0\r\n", 405, After::Kept),
        ("DELETE /page HTTP/1.1", "", 405, After::Kept),
    ];
    for (line, fields, status, after) in cases {
        check(&server, &request(line, &[fields]), status, &[], after);
    }
}

#[test]
fn a_body_that_nobody_asked_for_is_read_and_dropped() {
    let server = server();
    let cases: [&[u8]; 3] = [
        b"POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /page HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n",
        b"POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 34\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n",
    ];
    for case in cases {
        check(&server, case, 405, &[("Allow", "GET, HEAD, OPTIONS")], After::Kept);
    }
    let too_large = b"POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\nhello";
    check(&server, too_large, 413, &[], After::Closed);
    for line in ["x", "1;", "1;=a", "1;a=", "1;a b", "1;a=\"b", "1;;a"] {
        let bad = format!("POST /page HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{line}\r\n");
        check(&server, bad.as_bytes(), 400, &[], After::Closed);
    }
}

#[test]
fn a_client_that_waits_for_100_continue_gets_the_final_answer_instead() {
    let server = server();
    let mut raw = Raw::connect(&server);
    raw.send(b"POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(raw.reply().status, 405);
    raw.expect_end();
}

#[test]
fn a_head_request_gets_the_head_alone() {
    let server = server();
    let mut raw = Raw::connect(&server);
    raw.send(b"HEAD /page HTTP/1.1\r\nHost: h\r\n\r\nGET /page HTTP/1.1\r\nHost: h\r\n\r\n");
    let reply = raw.reply_to_head();
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("6")));
    assert_eq!(raw.reply().body, b"a page");
    let mut raw = Raw::connect(&server);
    raw.send(&request("HEAD /echo HTTP/1.1", &[WS, VERSION, KEY]));
    assert_eq!(raw.reply_to_head().status, 405);
    raw.expect_end();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = server();
    let mut raw = Raw::connect(&server);
    let mut requests = Vec::new();
    for number in 0..500 {
        let path = if number % 3 == 0 { "/nowhere" } else { "/page" };
        requests.extend_from_slice(&request(&format!("GET {path} HTTP/1.1"), &[]));
    }
    raw.send(&requests);
    for number in 0..500 {
        assert_eq!(raw.reply().status, if number % 3 == 0 { 404 } else { 200 });
    }
}

#[test]
fn a_client_that_pipelines_and_does_not_read_is_not_read_either() {
    let server = TestServer::with_routes(
        |_| (),
        |router| router.page("/large", Response::text(Status::OK, "x".repeat(64 * 1024))),
    );
    let mut raw = Raw::connect(&server);
    let requests = request("GET /large HTTP/1.1", &[]).repeat(1000);
    let mut writer = raw.stream().try_clone().expect("a second handle");
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &requests));
    for _ in 0..1000 {
        assert_eq!(raw.reply().body.len(), 64 * 1024);
    }
    sending.join().expect("the writer ends").expect("everything is taken in the end");
}

#[test]
fn an_upgrade_may_follow_pages_and_be_followed_by_frames_in_one_segment() {
    let server = server();
    let mut bytes = request("GET /page HTTP/1.1", &[]);
    bytes.extend_from_slice(&upgrade("/echo"));
    bytes.extend_from_slice(&frame::masked(frame::TEXT, b"first"));
    bytes.extend_from_slice(&frame::masked(frame::TEXT, b"second"));
    for bytewise in [false, true] {
        let mut raw = Raw::connect(&server);
        if bytewise {
            raw.send_bytewise(&bytes);
        } else {
            raw.send(&bytes);
        }
        assert_eq!(raw.reply().body, b"a page");
        assert_eq!(raw.reply().status, 101);
        assert_eq!(raw.frame(), Frame::text("first"));
        assert_eq!(raw.frame(), Frame::text("second"));
        // From the 101 on the socket never speaks HTTP again: `G` has a reserved bit set.
        raw.send(b"GET /page HTTP/1.1\r\nHost: h\r\n\r\n");
        raw.expect_close(1002);
    }
}

#[test]
fn a_client_may_end_its_side_with_the_request() {
    let server = server();
    let mut raw = Raw::connect(&server);
    raw.send(&request("GET /page HTTP/1.1", &[]).repeat(3));
    raw.finish();
    for _ in 0..3 {
        assert_eq!(raw.reply().body, b"a page");
    }
    raw.expect_end();
}

#[test]
fn a_head_that_does_not_come_in_time_gets_408() {
    let server = TestServer::with_routes(
        |config| config.limits.handshake_timeout = Duration::from_millis(100),
        routes,
    );
    for begun in [&b""[..], b"G", b"GET /page HTTP/1.1\r\nHost: h\r\n"] {
        let mut raw = Raw::connect(&server);
        raw.send(begun);
        assert_eq!(raw.reply().status, 408, "{}", begun.escape_ascii());
        raw.expect_end();
    }
}

#[test]
fn a_byte_now_and_then_does_not_buy_a_head_more_time() {
    let server = TestServer::with_routes(
        |config| config.limits.handshake_timeout = Duration::from_millis(200),
        routes,
    );
    let mut raw = Raw::connect(&server);
    raw.send(b"GET /page HTTP/1.1\r\nHost: h\r\nX: ");
    raw.stream().set_read_timeout(Some(Duration::from_millis(20))).expect("a read timeout");
    crate::support::eventually("the end of a head that drips", || {
        raw.send_anyway(b"a");
        let mut byte = [0; 1];
        raw.stream().peek(&mut byte).is_ok()
    });
    raw.stream().set_read_timeout(Some(crate::support::PATIENCE)).expect("a read timeout");
    assert_eq!(raw.reply().status, 408);
}

#[test]
fn a_connection_that_was_served_may_stay_idle_for_longer_than_a_handshake() {
    let server = TestServer::with_routes(
        |config| {
            config.limits.handshake_timeout = Duration::from_millis(100);
            config.heartbeat.ping_interval = Duration::from_millis(200);
            config.heartbeat.idle_timeout = Duration::from_millis(400);
        },
        routes,
    );
    let mut raw = Raw::connect(&server);
    raw.send(&request("GET /page HTTP/1.1", &[]));
    assert_eq!(raw.reply().status, 200);
    // Not a word at its end: there is no request that it could answer.
    raw.expect_end();
}

#[test]
fn one_connection_too_many_is_turned_away_and_told_when_to_come_back() {
    let server = TestServer::with_routes(|config| config.limits.connections = 2, routes);
    let (first, mut second) = (Chat::join(&server, "r", "a"), Raw::open(&server, "/echo"));
    let mut third = Raw::connect(&server);
    let reply = third.reply();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    third.expect_end();
    drop((third, first));
    second.send(&frame::masked(frame::TEXT, b"still here"));
    assert_eq!(second.frame(), Frame::text("still here"));
    crate::support::eventually("a free place", || {
        let mut raw = Raw::connect(&server);
        raw.send_anyway(&upgrade("/echo"));
        raw.reply().status == 101
    });
}

#[test]
fn one_address_has_its_own_limit() {
    let server = TestServer::with_routes(|config| config.limits.connections_per_ip = 1, routes);
    let first = Raw::open(&server, "/echo");
    assert_eq!(Raw::connect(&server).reply().status, 503);
    drop(first);
    crate::support::eventually("a free place", || {
        let mut raw = Raw::connect(&server);
        raw.send_anyway(&upgrade("/echo"));
        raw.reply().status == 101
    });
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let server = TestServer::with_routes(|config| config.limits.connections = 8, routes);
    for number in 0..200 {
        let mut raw = Raw::connect(&server);
        raw.send_anyway(&upgrade("/echo"));
        let status = raw.reply().status;
        assert!(status == 101 || status == 503, "{status}");
        if number % 2 == 0 {
            raw.reset();
        }
    }
    crate::support::eventually("all places are free again", || {
        let raws: Vec<_> = (0..8).map(|_| Raw::connect(&server)).collect();
        let mut statuses = raws.into_iter().map(|mut raw| {
            raw.send_anyway(&upgrade("/echo"));
            raw.reply().status
        });
        statuses.all(|status| status == 101)
    });
}
