//! An answer reaches the request it was made for and no other, however late it comes.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use foghorn::config::Config;
use foghorn::http::{Response, Status};
use foghorn::limit_hits::Limit;
use foghorn::server::{Answer, Api, Fallback, Request, Responder};

use crate::support::{Chat, PATIENCE, Raw, TestServer, eventually};

/// Hands out the responder of each request. Where the query says `soon`, the request is answered otherwise at once.
struct Held(Mutex<SyncSender<Responder>>);

impl Api for Held {
    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer {
        self.0.lock().expect("nobody has panicked").send(responder).expect("the test is there");
        let otherwise = || Response::new(Status::OK).body("text/plain", &b"otherwise"[..]);
        match request.head.query() {
            "soon" => Answer::PendingUntil(Duration::from_millis(1), Fallback::new(otherwise)),
            _ => Answer::Pending,
        }
    }
}

fn server() -> (TestServer, Receiver<Responder>) {
    server_patient_for(Duration::from_secs(2))
}

fn server_patient_for(timeout: Duration) -> (TestServer, Receiver<Responder>) {
    let (held, responders) = sync_channel(8);
    let held = Held(Mutex::new(held));
    let limits = move |config: &mut Config| config.limits.message_timeout = timeout;
    (TestServer::with_routes(limits, |router| router.api("/held/", held)), responders)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

fn text(text: &'static str) -> Response {
    Response::new(Status::OK).body("text/plain", text.as_bytes())
}

#[test]
fn a_late_answer_reaches_no_later_request_and_is_counted() {
    let (server, responders) = server();
    for pipelined in [false, true] {
        let before = server.handle().rooms().limit_hits().hits(Limit::LateAnswers);
        let mut raw = Raw::connect(&server);
        let next = || responders.recv_timeout(PATIENCE).expect("a request");
        raw.send(&get("/held/?soon"));
        if pipelined {
            raw.send(&get("/held/"));
        }
        let late = next();
        assert_eq!(raw.reply().body, b"otherwise");
        if !pipelined {
            raw.send(&get("/held/"));
        }
        let timely = next();
        late.respond(text("late"));
        eventually("the late answer is dropped", || {
            server.handle().rooms().limit_hits().hits(Limit::LateAnswers) > before
        });
        timely.respond(text("timely"));
        assert_eq!(raw.reply().body, b"timely");
        // The connection is good for more.
        raw.send(&get("/held/?soon"));
        drop(next());
        assert_eq!(raw.reply().body, b"otherwise");
    }
}

#[test]
fn an_answer_for_a_connection_that_is_gone_is_counted() {
    let (server, responders) = server_patient_for(Duration::from_secs(3600));
    let mut raw = Raw::connect(&server);
    raw.send(&get("/held/"));
    let responder = responders.recv_timeout(PATIENCE).expect("a request");
    raw.reset();
    // Long before the time for an answer is over.
    eventually("the connection is forgotten", || server.handle().rooms().connections() == 0);
    responder.respond(text("late"));
    eventually("it is counted", || server.handle().rooms().limit_hits().hits(Limit::LateAnswers) == 1);
}

/// Keeps the reactor's thread for as long as the test wants.
struct Blocking {
    entered: Mutex<SyncSender<()>>,
    leave: Mutex<Receiver<()>>,
}

impl Api for Blocking {
    fn call(&self, _: &Request<'_>, _: Responder) -> Answer {
        self.entered.lock().expect("nobody has panicked").send(()).expect("the test is there");
        let _in_time = self.leave.lock().expect("nobody has panicked").recv_timeout(PATIENCE);
        Answer::Now(text("free"))
    }
}

#[test]
fn a_client_that_resets_its_connection_at_once_is_not_waited_for() {
    let ((enter, entered), (leave, left)) = (sync_channel(1), sync_channel(1));
    let (held, responders) = sync_channel(8);
    let limits = |config: &mut Config| config.limits.message_timeout = Duration::from_secs(3600);
    let server = TestServer::with_routes(limits, |router| {
        let blocking = Blocking { entered: Mutex::new(enter), leave: Mutex::new(left) };
        router.api("/held/", Held(Mutex::new(held))).api("/blocking/", blocking)
    });
    let (mut blocker, mut raw) = (Raw::connect(&server), Raw::connect(&server));
    raw.send(&get("/nowhere"));
    assert_eq!(raw.reply().status, 404);
    let request = get("/held/");
    raw.send(&request[..9]);
    blocker.send(&get("/blocking/"));
    entered.recv_timeout(PATIENCE).expect("the reactor is kept");
    // It hears of both together, and of the end but once.
    raw.send(&request[9..]);
    raw.reset();
    leave.send(()).expect("the reactor waits");
    assert_eq!(blocker.reply().body, b"free");
    let _kept = responders.recv_timeout(PATIENCE).expect("the request was read");
    eventually("the connection is forgotten", || server.handle().rooms().connections() == 1);
}

/// Connections whose poll of a room has timed out, and which are kept.
fn timed_out(server: &TestServer, room: &str, count: usize) -> Vec<Raw> {
    let mut connections: Vec<_> = (0..count).map(|_| Raw::connect(server)).collect();
    for raw in &mut connections {
        raw.send(&get(&format!("/poll/rooms/{room}?wait=1")));
    }
    for raw in &mut connections {
        assert_eq!(raw.reply().body, b"[]");
    }
    connections
}

#[test]
fn a_poll_that_timed_out_answers_no_other_request_of_its_connection() {
    let server = TestServer::stored(|_| ());
    let mut private = Chat::join(&server, "private", "alice");
    let mut public = Chat::join(&server, "public", "alice");
    let mut connections = timed_out(&server, "private", 10);
    for raw in &mut connections {
        raw.send(&get("/poll/rooms/public?wait=20"));
    }
    private.say("secret");
    private.hear(1);
    public.say("news");
    public.hear(1);
    for mut raw in connections {
        let body = String::from_utf8(raw.reply().body).expect("UTF-8");
        assert!(body.contains("news") && !body.contains("secret"), "{body}");
    }

    let mut connections = timed_out(&server, "private", 10);
    for raw in &mut connections {
        raw.send(b"DELETE /api/chat/rooms/nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    }
    private.say("secret");
    private.hear(1);
    for mut raw in connections {
        let reply = raw.reply();
        assert_eq!(reply.status, 404, "{}", reply.body.escape_ascii());
    }

    let mut connections = timed_out(&server, "private", 10);
    for raw in &mut connections {
        raw.send(&get("/sse/rooms/public?sinceSeq=1"));
    }
    private.say("secret");
    private.hear(1);
    for mut raw in connections {
        assert_eq!(raw.reply().header("content-type"), Some("text/event-stream"));
        let first = (0..2).map(|_| raw.paragraph().expect("an event")).last().expect("two");
        assert!(first.contains("news") && !first.contains("secret"), "{first}");
    }
}

#[test]
fn a_pipelined_poll_is_answered_by_its_own_room() {
    let server = TestServer::stored(|_| ());
    let (mut one, mut other) = (Chat::join(&server, "one", "alice"), Chat::join(&server, "other", "alice"));
    let mut raw = Raw::connect(&server);
    let requests = ["/poll/rooms/one?wait=1", "/poll/rooms/other?wait=20", "/healthz"];
    raw.send(&requests.map(get).concat());
    assert_eq!(raw.reply().body, b"[]");
    one.say("first");
    one.hear(1);
    other.say("second");
    other.hear(1);
    let body = String::from_utf8(raw.reply().body).expect("UTF-8");
    assert!(body.contains("second") && !body.contains("first"), "{body}");
    assert_eq!(raw.reply().status, 200);
}
