//! What other threads want of the reactor: it is done also where much is wanted, and nobody waits for it for long.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use foghorn::http::Head;
use foghorn::limit_hits::Limit;
use foghorn::server::{Context, Disconnect, Endpoint, Handler, Post, PostError, Router, Session};
use foghorn::ws::{CloseCode, Message};

use super::millis;
use crate::support::frame::{CLOSE, TEXT, masked};
use crate::support::{Chat, PATIENCE, Raw, TestServer, eventually};

/// What the handler of a test tells it.
#[derive(Debug)]
enum Told {
    Opened(Session),
    /// The first event, at which the reactor waits.
    Event,
    /// A message, and how many events had come by then.
    Message(usize),
    Closed(Disconnect),
}

/// Tells the test of everything. At the first event it waits for the test.
struct Telling {
    tell: Mutex<SyncSender<Told>>,
    go_on: Mutex<Receiver<()>>,
    events: Mutex<usize>,
}

impl Telling {
    fn tell(&self, told: Told) {
        self.tell.lock().expect("nobody has panicked").send(told).expect("the test is there");
    }
}

impl Handler for Telling {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _: &Head<'_>) {
        self.tell(Told::Opened(cx.session().clone()));
    }

    fn message(&self, _: &mut Context<'_>, _: &mut (), _: Message<'_>) {
        self.tell(Told::Message(*self.events.lock().expect("nobody has panicked")));
    }

    fn event(&self, _: &mut Context<'_>, _: &mut (), _: Box<dyn std::any::Any + Send>) {
        let mut events = self.events.lock().expect("nobody has panicked");
        *events += 1;
        if *events == 1 {
            self.tell(Told::Event);
            let _in_time = self.go_on.lock().expect("nobody has panicked").recv_timeout(PATIENCE);
        }
    }

    fn close(&self, _: &mut Context<'_>, (): (), reason: Disconnect) {
        self.tell(Told::Closed(reason));
    }
}

/// A server with such a handler, and the ends of its channels that are the test's.
struct World {
    server: TestServer,
    told: Receiver<Told>,
    go_on: SyncSender<()>,
}

impl World {
    fn start() -> World {
        let ((tell, told), (go_on, waits)) = (sync_channel(16), sync_channel(1));
        let telling = Telling { tell: Mutex::new(tell), go_on: Mutex::new(waits), events: Mutex::new(0) };
        let routes = |router: Router| router.endpoint("/telling", Endpoint::new(telling));
        let server = TestServer::with_routes(|config| config.limits.close_timeout = millis(300), routes);
        World { server, told, go_on }
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(PATIENCE).expect("the handler tells something")
    }

    #[expect(clippy::panic, reason = "a helper fails the test that calls it")]
    fn open(&self) -> (Raw, Session) {
        let raw = Raw::open(&self.server, "/telling");
        let Told::Opened(session) = self.next() else { panic!("it is not opened") };
        (raw, session)
    }

    /// Has the reactor wait at an event of this session.
    fn keep_reactor(&self, session: &Session) {
        session.post_event(()).expect("room for an event");
        assert!(matches!(self.next(), Told::Event));
    }

    fn hits(&self, limit: Limit) -> u64 {
        self.server.handle().rooms().limit_hits().hits(limit)
    }
}

#[test]
fn a_session_that_another_thread_closes_is_told_its_code() {
    let world = World::start();
    for code in [1000, 1008, 4001, 4999] {
        let (mut raw, session) = world.open();
        session.close(CloseCode::new(code).expect("a code"), "enough");
        raw.expect_close(code);
        let Told::Closed(Disconnect::Closed(told)) = world.next() else { panic!("it is not told") };
        assert_eq!(told.get(), code);
        // Once.
        session.close(CloseCode::NORMAL, "more");
        raw.send(&masked(CLOSE, &code.to_be_bytes()));
        raw.expect_end();
    }
    assert!(world.told.try_recv().is_err());
}

#[test]
fn a_session_that_is_closed_while_the_inbox_is_full_has_its_deadline() {
    let world = World::start();
    let (mut raw, session) = world.open();
    world.keep_reactor(&session);
    while world.server.handle().rooms().online("r", |_| ()).is_ok() {}
    assert_eq!(world.hits(Limit::ShardQueue), 1, "who asks too much is told, and counted");
    session.close(CloseCode::NORMAL, "");
    world.go_on.send(()).expect("the reactor waits");
    assert_eq!(raw.frame().close_code(), Some(1000));
    assert!(matches!(world.next(), Told::Closed(Disconnect::Closed(CloseCode::NORMAL))));
    // No answer comes from the client.
    eventually("it is given up", || world.hits(Limit::CloseTimeout) == 1);
    raw.expect_end();
}

#[test]
fn a_full_inbox_does_not_keep_the_sockets_waiting() {
    let world = World::start();
    let ((_raw, session), (mut other, _)) = (world.open(), world.open());
    world.keep_reactor(&session);
    // Nearly as many as there is room for, and the reactor has just begun with them.
    (0..4_000).for_each(|_| session.post_event(()).expect("room for an event"));
    other.send(&masked(TEXT, b"hello"));
    world.go_on.send(()).expect("the reactor waits");
    let Told::Message(events) = world.next() else { panic!("no message") };
    assert!(events <= 1_024, "{events} events came first");
}

#[test]
fn who_publishes_to_a_shard_that_is_too_far_behind_is_told_and_counted() {
    let server = TestServer::stored(|config| config.workers = Some(1));
    let rooms = server.handle().rooms();
    let mut member = Chat::join(&server, "r", "alice");
    let mut stomp = Raw::open(&server, "/ws/stomp");
    stomp.send(&masked(TEXT, b"CONNECT\naccept-version:1.2\nhost:h\n\n\0"));
    assert!(stomp.frame().payload.starts_with(b"CONNECTED"));
    // The shard waits for the test.
    let ((kept, keeps), (go_on, waits)) = (sync_channel(1), sync_channel::<()>(1));
    let keep = move |_| {
        kept.send(()).expect("the test is there");
        let _in_time = waits.recv_timeout(PATIENCE);
    };
    rooms.online("r", keep).expect("room for a question");
    keeps.recv_timeout(PATIENCE).expect("the shard is kept");
    let (reply, replies) = sync_channel(4_096);
    let content = "x".repeat(60_000);
    let mut refused = None;
    let hits = || rooms.limit_hits().hits(Limit::ShardQueue);
    eventually("it is too far behind", || {
        let reply = reply.clone();
        let _busy = rooms.post(Post::new("r", "bob", &content), move |posted| drop(reply.send(posted)));
        refused = replies.try_recv().ok();
        refused.is_some()
    });
    assert_eq!((refused, hits() > 0), (Some(Err(PostError::Unavailable)), true));
    let before = hits();
    let mut post = Raw::connect(&server);
    let body = r#"{"sender":"bob","content":"hello"}"#;
    let fields = "Host: h\r\nContent-Type: application/json";
    let head =
        format!("POST /api/chat/rooms/r/messages HTTP/1.1\r\n{fields}\r\nContent-Length: {}", body.len());
    post.send(format!("{head}\r\n\r\n{body}").as_bytes());
    let reply = post.reply();
    let problem = String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!(reply.status, 503, "{problem}");
    assert!(
        reply.header("retry-after").is_some() && problem.contains(r#""code":"unavailable""#),
        "{problem}"
    );
    stomp.send(&masked(TEXT, b"SEND\ndestination:/topic/r\n\nhello\0"));
    let error = stomp.frame();
    assert!(error.payload.starts_with(b"ERROR\nmessage:busy"), "{}", error.payload.escape_ascii());
    assert!(hits() >= before + 2, "both are counted");
    go_on.send(()).expect("the shard waits");
    drop(stomp);
    // What was taken is published, and everything goes on.
    member.say("hello");
    while member.expect("MESSAGE")["sender"] != "alice" {}
}
