//! STOMP 1.0, 1.1 and 1.2 over WebSockets.
//!
//! An ordinary user of [`server`](crate::server): the endpoint `/ws/stomp`. A room is a topic, its log written as MESSAGE
//! frames; queues are kept here.
//!
//! | file | subject |
//! |---|---|
//! | `codec` | frames from bytes and to bytes |
//! | `session` | the protocol of one session |
//! | `destination` | what a destination leads to |
//! | `fault` | why a session is told ERROR |
//! | `encoding` | a room's messages as frames |
//! | `queues`, `users` | queues of everybody, and of one user's sessions |
//! | `message` | what is in these |
//! | `broker` | what a session asks for, done |
//! | `pending` | what it has asked the rooms for, on its way |
//! | `consumer` | the way from a queue to a socket |
//!
//! `codec`, `session`, `queues` and `users` are pure: no socket, no clock, no thread.

mod adapter;
pub(crate) mod codec;
mod consumer;
pub(crate) mod destination;
mod encoding;
pub(crate) mod fault;
pub(crate) mod message;
mod pending_ops;
pub(crate) mod queues;
pub(crate) mod session;
mod settings;
pub(crate) mod users;

use std::any::Any;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use memchr::memmem;

use self::adapter::{BrokerAdapter, SharedQueues, Subscriptions};
use self::codec::{Command, Decoder, FrameLimits, Version};
use self::consumer::Blocked;
use self::destination::AUTH_DESTINATION;
use self::fault::Fault;
use self::pending_ops::{Completion, PendingOps};
use self::session::{HandshakeInfo, Heartbeat, Session, error_frame};
use self::settings::{Settings, queue_limits};
use crate::auth::Identity;
use crate::config::Config;
use crate::http::{Head, query as pairs};
use crate::server::{Context, Credentials, Disconnect, Endpoint, Handler, Names, Router, Timer};
use crate::ws::Message;

/// Headers of a frame at most.
const HEADERS_MAX: usize = 64;
/// Bytes of a line of a frame at most.
const LINE_BYTES_MAX: usize = 4096;

/// A sign of life is due.
const HEARTBEAT: Timer = Timer(0);
/// It is time to look whether the client has said anything.
const CHECK_LIVENESS: Timer = Timer(1);
/// A frame is not finished.
const UNFINISHED: Timer = Timer(2);
/// CONNECT has not come.
const CONNECT: Timer = Timer(3);
/// Queues whose messages did not fit may try again.
const RESUME: Timer = Timer(4);

/// How long a queue waits for a session that takes no more.
const RESUME_AFTER: Duration = Duration::from_millis(50);

/// A client is looked after so often within the time that it promised to say something in.
const LOOKS: u32 = 2;
/// It has said nothing on so many looks when it is given up: for twice as long as it promised, and half as long at most
/// besides.
const SILENT_LOOKS_MAX: u32 = 2 * LOOKS;

/// Adds `/ws/stomp`.
#[must_use]
pub fn routes(router: Router, config: &Config) -> Router {
    let endpoint = Endpoint::new(Stomp::new(config))
        .remember_handshake(false)
        .subprotocols(Version::ALL.map(Version::subprotocol));
    router.endpoint("/ws/stomp", endpoint)
}

/// The sessions of `/ws/stomp`.
struct Stomp {
    settings: Settings,
    shared: SharedQueues,
}

/// What is kept of one session.
#[derive(Debug)]
struct Connection {
    decoder: Decoder,
    session: Session,
    subscriptions: Subscriptions,
    pending: PendingOps,
    heartbeat: Heartbeat,
    /// Something has come since the last look.
    is_heard: bool,
    /// Looks on which nothing had come.
    silent_looks: u32,
    /// Whether the timer of an unfinished frame runs.
    is_unfinished: bool,
    /// The message that is being read begins with a token, which was accepted.
    has_renewed: bool,
}

impl Stomp {
    fn new(config: &Config) -> Stomp {
        let settings = Settings::default();
        settings.set(config);
        Stomp {
            settings,
            shared: SharedQueues::new(queue_limits(config), RandomState::new().hash_one("stomp")),
        }
    }

    /// Has the session do something, and what it wants done.
    fn with(
        &self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        action: impl FnOnce(&mut Session, &mut Decoder, &mut BrokerAdapter<'_, '_>),
    ) {
        let Connection { decoder, session, subscriptions, pending, heartbeat, has_renewed, .. } = connection;
        session.set_limits(self.settings.session());
        action(
            session,
            decoder,
            &mut BrokerAdapter { shared: &self.shared, cx, subscriptions, pending, heartbeat, has_renewed },
        );
    }

    fn fail(&self, cx: &mut Context<'_>, connection: &mut Connection, fault: Fault) {
        self.with(cx, connection, |session, _, broker| session.fail(fault, None, broker));
    }
}

impl Handler for Stomp {
    type State = Connection;

    fn credentials(&self, message: &Message<'_>) -> Option<Credentials> {
        token_in(bytes_of(message), self.settings.frames()).map(|token| Credentials::within(&token))
    }

    /// Tokens come in frames of STOMP, and a message may be any part of a frame.
    fn withholds(&self, _message: &Message<'_>) -> bool {
        false
    }

    fn refused(&self, cx: &mut Context<'_>, reason: &str) {
        let error = error_frame("not authenticated", reason, None, None, false);
        cx.send_text(&String::from_utf8_lossy(&error));
    }

    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) -> Connection {
        let given = pairs::get(head.query(), "username").ok().flatten();
        let handshake = HandshakeInfo {
            id: cx.id(),
            subprotocol: cx.subprotocol().and_then(version_of),
            proved: cx.identity().map(|identity| Identity::user(identity).into()),
            given: given.map(Into::into),
        };
        cx.set_timer(CONNECT, self.settings.connect_timeout.time());
        Connection {
            decoder: Decoder::new(self.settings.frames()),
            session: Session::new(self.settings.session(), handshake),
            subscriptions: Subscriptions::default(),
            pending: PendingOps::default(),
            heartbeat: Heartbeat::default(),
            is_heard: false,
            silent_looks: 0,
            is_unfinished: false,
            has_renewed: false,
        }
    }

    fn message(&self, cx: &mut Context<'_>, connection: &mut Connection, message: Message<'_>) {
        connection.is_heard = true;
        let mut input = bytes_of(&message);
        // A bad one has ended the session before.
        connection.has_renewed =
            !connection.session.awaits_connect() && token_in(input, self.settings.frames()).is_some();
        let mut frames = 0;
        self.with(cx, connection, |session, decoder, broker| {
            while !session.is_over() {
                match decoder.poll(&mut input) {
                    Ok(Some(frame)) => session.receive(&frame, broker),
                    Ok(None) => break,
                    Err(error) => session.fail(error.into(), decoder.receipt(), broker),
                }
                frames += 1;
                if let Some(version) = session.version() {
                    decoder.speak(version);
                }
            }
        });
        let is_unfinished = !connection.decoder.is_idle();
        if is_unfinished && (frames > 0 || !connection.is_unfinished) {
            cx.set_timer(UNFINISHED, self.settings.frame_timeout.time());
        } else if !is_unfinished && connection.is_unfinished {
            cx.cancel_timer(UNFINISHED);
        }
        connection.is_unfinished = is_unfinished;
        cx.hold_bytes(connection.held_bytes());
    }

    fn timer(&self, cx: &mut Context<'_>, connection: &mut Connection, timer: Timer) {
        match timer {
            HEARTBEAT => {
                cx.send_text("\n");
                connection
                    .heartbeat
                    .send_interval()
                    .into_iter()
                    .for_each(|interval| cx.set_timer(HEARTBEAT, interval));
            }
            CHECK_LIVENESS => {
                // A client that is held back has its heart-beats read late; that it takes what waits for it shows that it lives.
                let has_shown_life =
                    connection.heartbeat.check_interval().is_some_and(|look| cx.silent_for() < look);
                let is_heard = std::mem::take(&mut connection.is_heard) || has_shown_life;
                connection.silent_looks = if is_heard { 0 } else { connection.silent_looks + 1 };
                if connection.silent_looks >= SILENT_LOOKS_MAX {
                    return self.fail(cx, connection, Fault::Silent);
                }
                connection
                    .heartbeat
                    .check_interval()
                    .into_iter()
                    .for_each(|interval| cx.set_timer(CHECK_LIVENESS, interval));
            }
            // Its rest may be there, and was not read.
            UNFINISHED if cx.is_held_back() => cx.set_timer(UNFINISHED, self.settings.frame_timeout.time()),
            UNFINISHED => self.fail(cx, connection, Fault::Unfinished),
            CONNECT if connection.session.awaits_connect() => {
                self.fail(cx, connection, Fault::NotConnectedInTime);
            }
            RESUME => {
                for Blocked { queue, key } in std::mem::take(&mut connection.subscriptions.blocked) {
                    self.shared.queues().resume(&queue, key);
                }
            }
            Timer(_) => {}
        }
    }

    fn event(&self, cx: &mut Context<'_>, connection: &mut Connection, event: Box<dyn Any + Send>) {
        let event = match event.downcast() {
            Ok(completion) => return self.complete(cx, connection, *completion),
            Err(event) => event,
        };
        if let Ok(blocked) = event.downcast::<Blocked>() {
            connection.subscriptions.blocked.push(*blocked);
            cx.set_timer(RESUME, RESUME_AFTER);
        }
    }

    fn reconfigure(&self, config: &Config) {
        self.settings.set(config);
        self.shared.queues().set_limits(queue_limits(config));
    }

    fn names<'s>(&self, connection: &'s Connection) -> Names<'s> {
        let (user, room) = connection.session.names();
        Names { user, room }
    }

    fn close(&self, cx: &mut Context<'_>, connection: Connection, _reason: Disconnect) {
        let mut subscriptions = connection.subscriptions;
        subscriptions.leave_queues(cx.id(), &self.shared);
    }
}

impl Stomp {
    /// Something that a room was asked for has come back.
    fn complete(&self, cx: &mut Context<'_>, connection: &mut Connection, completion: Completion) {
        if !matches!(completion, Completion::AllDone) {
            connection.pending.arrived();
        }
        self.with(cx, connection, |session, _, broker| {
            match completion {
                Completion::Done(operation, effect) => session.done(operation, effect, broker),
                Completion::Refused(operation, fault) => session.refused(operation, fault, broker),
                Completion::AllDone => {}
            }
            if broker.pending.is_quiet() {
                session.drained(broker);
            }
        });
        cx.hold_bytes(connection.held_bytes());
    }
}

impl Connection {
    /// Bytes that are kept of what the client has sent, about.
    fn held_bytes(&self) -> usize {
        self.decoder.held_bytes() + self.session.held_bytes()
    }
}

fn bytes_of<'m>(message: &Message<'m>) -> &'m [u8] {
    match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(bytes) => bytes,
    }
}

fn version_of(subprotocol: &str) -> Option<Version> {
    Version::ALL.into_iter().find(|version| version.subprotocol() == subprotocol)
}

/// Bytes of a frame's head at most in which its destination is looked for.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The token in a CONNECT, or a SEND to the server itself, that comes whole and at the beginning of its message. One that
/// has two is as good as one with a bad one.
fn token_in(payload: &[u8], limits: FrameLimits) -> Option<String> {
    let line_ends = payload.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let mut rest = &payload[line_ends..];
    let begins = |command: Command| rest.starts_with(command.name().as_bytes());
    // Every SEND of a session with a token passes here.
    let may_renew = || {
        let head = &rest[..rest.len().min(HEAD_BYTES_MAX)];
        begins(Command::Send) && memmem::find(head, AUTH_DESTINATION.as_bytes()).is_some()
    };
    if !begins(Command::Connect) && !begins(Command::Stomp) && !may_renew() {
        return None;
    }
    let mut decoder = Decoder::new(limits);
    let frame = decoder.poll(&mut rest).ok()??;
    let is_connect = matches!(frame.command(), Command::Connect | Command::Stomp);
    let is_for_us = || frame.header("destination").as_deref() == Some(AUTH_DESTINATION);
    let is_renewal = frame.command() == Command::Send && is_for_us();
    if !is_connect && !is_renewal {
        return None;
    }
    let bearer = ["Authorization", "authorization"].into_iter().find_map(|name| frame.header(name));
    let bearer = bearer.map(|value| bearer_of(&value).unwrap_or_default().to_owned());
    let others = ["passcode", "token"].map(|name| frame.header(name).map(std::borrow::Cow::into_owned));
    let mut given = [bearer].into_iter().chain(others).flatten().filter(|token| !token.is_empty());
    let token = given.next()?;
    Some(if given.next().is_none() { token } else { String::new() })
}

/// What follows `Bearer`, in any case (RFC 9110 §11.1).
fn bearer_of(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}
