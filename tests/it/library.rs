//! What a program gets from the library beside the endpoints of its sessions: rooms reached from its own threads, what a
//! session knows of itself, configuration that is checked.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use foghorn::chat;
use foghorn::config::Config;
use foghorn::http::{Head, query};
use foghorn::server::{
    Builder, Context, Endpoint, Handler, History, HistoryRequest, JoinRequest, Online, Position, Post,
    PostError, RejectReason, Relayed, Rooms, Router, Session, Start, Timestamp, store_options,
};
use foghorn::store::{Location, Store, StoreThreads};
use foghorn::testing::{Connection, Event, Server};
use foghorn::ws::{CloseCode, Message};
use tempfile::TempDir;

use crate::support::eventually;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Has something asked, and waits for the answer.
fn answer<T: Send + 'static>(ask: impl FnOnce(SyncSender<T>)) -> T {
    let (reply, answer) = sync_channel(1);
    ask(reply);
    answer.recv_timeout(PATIENCE).unwrap()
}

fn post(rooms: &Rooms, room: &str, content: &str) -> Result<u64, PostError> {
    let post = Post::new(room, "poster", content).create();
    answer(|reply| {
        rooms.post(post, move |posted| reply.send(posted.map(|posted| posted.seq)).unwrap()).unwrap()
    })
}

fn history(rooms: &Rooms, request: HistoryRequest<'_>) -> Result<History, RejectReason> {
    answer(|reply| rooms.history(request, move |history| reply.send(history).unwrap()).unwrap())
}

fn online(rooms: &Rooms, room: &str) -> Online {
    answer(|reply| rooms.online(room, move |online| reply.send(online).unwrap()).unwrap())
}

fn contents(history: &History) -> Vec<String> {
    history.messages().iter().map(|message| message.content.to_string()).collect()
}

/// A server whose rooms keep four messages in memory, and more in a store, if it has one.
struct Kept {
    server: Server,
    _threads: Option<StoreThreads>,
}

impl Kept {
    fn start(in_store: bool, router: Router) -> Kept {
        let mut threads = None;
        let server = Server::with(|builder| {
            let builder = builder.configure(|config| config.rooms.window_messages = 4).router(router);
            if !in_store {
                return builder;
            }
            let (store, started) =
                Store::open(Location::Memory, store_options(builder.configuration())).unwrap();
            threads = Some(started);
            builder.store(store)
        });
        Kept { server: server.unwrap(), _threads: threads }
    }

    fn rooms(&self) -> &Rooms {
        self.server.rooms()
    }
}

/// Joins the room that the query names, as the user that it names, and says so.
struct Member;

impl Handler for Member {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) {
        let value = |name| query::get(head.query(), name).unwrap().unwrap();
        cx.join(JoinRequest::chat(&value("room"), &value("user"))).unwrap();
    }

    fn message(&self, _cx: &mut Context<'_>, _: &mut (), _message: Message<'_>) {}
}

fn members() -> Router {
    Router::new().endpoint("/member", Endpoint::new(Member))
}

#[test]
fn a_log_is_read_from_memory_and_from_the_store_alike() {
    let kept = Kept::start(true, Router::new());
    let rooms = kept.rooms();
    for number in 1..=10 {
        assert_eq!(post(rooms, "r", &number.to_string()), Ok(number));
    }
    let read = |start, limit| history(rooms, HistoryRequest::new("r", start).limit(limit)).unwrap();
    let after = |seq| Start::After { seq, epoch: None };
    let cases = [
        (after(0), 100, "1 2 3 4 5 6 7 8 9 10", 10),
        (after(0), 3, "1 2 3", 3),
        (after(3), 3, "4 5 6", 6),
        (after(7), 100, "8 9 10", 10),
        (after(10), 100, "", 10),
        (Start::Last(2), 100, "9 10", 10),
        (Start::Last(8), 100, "3 4 5 6 7 8 9 10", 10),
        (Start::Since(Timestamp::from_micros(0)), 2, "1 2", 2),
        (Start::Live, 100, "", 10),
    ];
    for (start, limit, expected, seq) in cases {
        let history = read(start, limit);
        assert_eq!(contents(&history).join(" "), expected, "{start:?}, {limit}");
        assert_eq!((history.position.seq, history.gap), (seq, None), "{start:?}, {limit}");
    }
    let epoch = read(Start::Live, 1).position.epoch;
    let other = read(Start::After { seq: 3, epoch: Some(epoch ^ 1) }, 100);
    assert_eq!((other.gap, contents(&other).len()), (Some((1, 10)), 0));
}

#[test]
fn what_has_left_the_memory_of_a_room_without_a_store_is_a_gap() {
    let kept = Kept::start(false, Router::new());
    let rooms = kept.rooms();
    (1..=10).for_each(|number| assert_eq!(post(rooms, "r", &number.to_string()), Ok(number)));
    // Messages leave when the room is pumped, which may be after the answer to who published.
    eventually("the messages beyond the window leave", || {
        let request = HistoryRequest::new("r", Start::After { seq: 2, epoch: None });
        let history = history(rooms, request).unwrap();
        contents(&history).join(" ") == "7 8 9 10"
            && (history.gap, history.position.seq) == (Some((3, 6)), 10)
    });
}

#[test]
fn a_reader_waits_for_what_is_still_to_come() {
    let kept = Kept::start(true, Router::new());
    let rooms = kept.rooms();
    post(rooms, "r", "old").unwrap();
    let tomorrow = Timestamp::from_micros(u64::MAX / 2);
    for (start, seq) in [(Start::Live, 1), (Start::Since(tomorrow), 2)] {
        let ((wait, waits), (reply, answer)) = (sync_channel(4), sync_channel(1));
        let request =
            HistoryRequest::new("r", start).wait(PATIENCE, move |at: Position| wait.send(at.seq).unwrap());
        rooms.history(request, move |history| reply.send(history.unwrap()).unwrap()).unwrap();
        assert_eq!(waits.recv_timeout(PATIENCE), Ok(seq));
        post(rooms, "r", "new").unwrap();
        assert_eq!(contents(&answer.recv_timeout(PATIENCE).unwrap()), ["new"]);
    }
}

#[test]
fn who_is_there_can_be_seen_and_thrown_out_from_any_thread() {
    let kept = Kept::start(false, members());
    let handle = kept.server.handle().clone();
    let mut client = Connection::open(kept.server.address(), "/member?room=r&user=ann").unwrap();
    assert!(client.text().unwrap().contains("ann joined"));
    let local = client.stream().local_addr().unwrap();
    let ban = Some(PATIENCE);
    let kicked = std::thread::spawn(move || {
        let online = online(handle.rooms(), "r");
        assert_eq!((&*online.users[0], online.sessions[0].address), ("ann", Some(local)));
        answer(|reply| handle.rooms().kick("r", "ann", ban, move |count| reply.send(count).unwrap()).unwrap())
    });
    assert_eq!(kicked.join().unwrap(), Ok(1));
    assert_eq!(client.closed().unwrap(), Some(CloseCode::KICKED));
    let again = HistoryRequest::new("r", Start::Last(1)).user("ann");
    assert_eq!(history(kept.rooms(), again).unwrap_err(), RejectReason::Banned);

    let mut other = Connection::open(kept.server.address(), "/member?room=r&user=ben").unwrap();
    assert!(other.text().unwrap().contains("ben joined"));
    let closed = answer(|reply| kept.rooms().close("r", move |count| reply.send(count).unwrap()).unwrap());
    assert_eq!((closed, other.closed().unwrap()), (1, Some(CloseCode::NORMAL)));
    assert_eq!(online(kept.rooms(), "r"), Online::default());
}

/// Joins both kinds of relays.
struct Relays;

impl Handler for Relays {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
        cx.join(JoinRequest::relay("r")).unwrap();
        cx.join(JoinRequest::latest("r").start(Start::After { seq: 0, epoch: None })).unwrap();
        cx.send_text("joining");
    }

    fn message(&self, _cx: &mut Context<'_>, _: &mut (), _message: Message<'_>) {}
}

#[test]
fn a_thread_of_the_program_publishes_to_relays_that_somebody_is_in() {
    let kept = Kept::start(false, Router::new().endpoint("/relays", Endpoint::new(Relays)));
    let relay = |message| {
        answer(|reply| kept.rooms().relay(message, move |count| reply.send(count).unwrap()).unwrap())
    };
    assert_eq!(relay(Relayed::new("r", Message::Text("nobody hears"))), 0);
    let mut client = Connection::open(kept.server.address(), "/relays").unwrap();
    assert_eq!(client.text().unwrap(), "joining");
    while relay(Relayed::new("r", Message::Binary(&[1]))) == 0 {}
    assert_eq!(client.binary().unwrap(), [1]);
    assert_eq!(relay(Relayed::latest("r", b"key", Message::Text("value"))), 1);
    assert_eq!(client.text().unwrap(), "value");
    // Whoever comes later gets the value as it is, once.
    assert_eq!(relay(Relayed::latest("r", b"key", Message::Text("newer"))), 1);
    let mut late = Connection::open(kept.server.address(), "/relays").unwrap();
    assert_eq!((late.text().unwrap(), late.text().unwrap()), ("joining".into(), "newer".into()));
}

/// Tells what its session knows of itself; fails if it is told to.
struct Mirror;

impl Handler for Mirror {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
        let (peer, secure) = (cx.peer().unwrap(), cx.is_secure());
        let session = cx.session();
        let handshake = session.handshake().unwrap();
        assert_eq!((session.peer(), handshake.peer()), (Some(peer), peer));
        let text = format!("{peer} {secure} {} {}", handshake.path(), handshake.query());
        cx.send_text(&text);
    }

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        match message {
            Message::Text("fail") => cx.fail("the disk is on fire"),
            Message::Text("panic") => panic!("a handler panics"),
            Message::Text(text) => cx.send_text(text),
            Message::Binary(_) => {}
        }
    }
}

#[test]
fn a_session_knows_where_it_comes_from_and_what_it_asked_for() {
    let server = Server::start(Router::new().endpoint("/mirror", Endpoint::new(Mirror))).unwrap();
    for (target, expected) in
        [("/mirror?a=b?c", "/mirror a=b?c"), ("/mirror", "/mirror "), ("/mirror?", "/mirror ")]
    {
        let mut client = Connection::open(server.address(), target).unwrap();
        let local = client.stream().local_addr().unwrap();
        assert_eq!(client.text().unwrap(), format!("{local} false {expected}"));
    }
}

#[test]
fn a_handler_that_fails_or_panics_costs_its_own_session_and_no_other() {
    let server = Server::start(Router::new().endpoint("/mirror", Endpoint::new(Mirror))).unwrap();
    let open = || {
        let mut client = Connection::open(server.address(), "/mirror").unwrap();
        client.text().unwrap();
        client
    };
    let mut witness = open();
    for word in ["fail", "panic"] {
        let mut client = open();
        client.send_text(word).unwrap();
        // The client learns that it failed, and not why.
        let reason = "handler failed".to_owned();
        assert_eq!(client.event().unwrap(), Event::Closed(Some(CloseCode::INTERNAL), reason), "{word}");
        witness.send_text("still there").unwrap();
        assert_eq!(witness.text().unwrap(), "still there");
    }
}

/// Hands its sessions out.
struct Lender(SyncSender<Session>);

impl Handler for Lender {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
        self.0.send(cx.session().clone()).unwrap();
    }

    fn message(&self, cx: &mut Context<'_>, _: &mut (), _message: Message<'_>) {
        let before = cx.waiting_bytes();
        cx.send_text("counts");
        assert_eq!(cx.waiting_bytes(), before + b"\x81\x06counts".len());
    }
}

#[test]
fn a_session_tells_how_much_waits_for_a_peer_that_does_not_read() {
    let (lend, lent): (_, Receiver<Session>) = sync_channel(1);
    let server = Server::start(Router::new().endpoint("/lend", Endpoint::new(Lender(lend)))).unwrap();
    let mut client = Connection::open(server.address(), "/lend").unwrap();
    let session = lent.recv_timeout(PATIENCE).unwrap();
    let (payload, mut sent) = (vec![7; 64 * 1024], 0);
    assert_eq!(session.waiting_bytes(), 0);
    while session.waiting_bytes() == 0 {
        session.send_binary(&payload).unwrap();
        sent += 1;
    }
    for _ in 0..sent {
        assert_eq!(client.binary().unwrap(), payload);
    }
    // The last of it has arrived, so the server has written it; that it knows is a matter of its next turn.
    client.send_text("?").unwrap();
    assert_eq!(client.text().unwrap(), "counts");
    assert_eq!(session.waiting_bytes(), 0);
}

#[test]
fn a_configuration_out_of_its_range_is_refused_before_anything_is_opened() {
    let start =
        |change: fn(Builder) -> Builder| Server::with(change).map(drop).map_err(|error| error.to_string());
    let problem = start(|builder| builder.configure(|config| config.deflate.level = 12)).unwrap_err();
    assert!(problem.starts_with("cannot start: configuration: deflate.level: "), "{problem}");
    assert_eq!(start(|builder| builder.configure(|config| config.deflate.level = 9)), Ok(()));

    let server = Server::start(Router::new()).unwrap();
    let mut config = foghorn::config::Config::default();
    config.limits.message_bytes = 1;
    let problem = server.handle().reload(&config).unwrap_err().to_string();
    assert!(problem.starts_with("configuration: limits.message_bytes: "), "{problem}");
}

#[test]
fn a_store_that_does_not_answer_does_not_hold_a_server_that_stops() {
    let directory = TempDir::new().unwrap();
    let (threads, release) = {
        let location = Location::Directory(directory.path().to_owned());
        let (store, threads) = Store::open(location, store_options(&Config::default())).unwrap();
        let kept = store.clone();
        let server = Server::with(|builder| {
            let builder = builder.configure(|config| config.shutdown.grace = Duration::from_millis(500));
            builder.router(chat::routes(Router::new(), &Config::default())).store(kept)
        })
        .unwrap();
        let mut member = Connection::open(server.address(), "/ws/chat?roomId=r&username=ann").unwrap();
        assert!(member.text().unwrap().contains("ann joined"));
        server.rooms().bans().add("r", "bob", Duration::from_secs(3600)).unwrap();
        // From now on the thread of the store stands still, until it is released.
        let (release, released) = sync_channel::<()>(0);
        let (standing, stands) = sync_channel(1);
        let stand = Box::new(move |_| {
            standing.send(()).unwrap();
            let _released_or_gone = released.recv();
        });
        store.delete_room("no such room", stand).unwrap();
        stands.recv_timeout(PATIENCE).unwrap();
        member.send_text(r#"{"content":"never stored"}"#).unwrap();
        server.handle().shutdown();
        assert_eq!(member.closed().unwrap(), Some(CloseCode::GOING_AWAY));
        server.wait().unwrap();
        (threads, release)
    };
    assert!(!threads.finish_within(Duration::from_millis(1)));
    drop(release);
}
