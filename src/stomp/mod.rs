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
//! | `fault`, `error_frame` | why a session ends with ERROR, and that frame |
//! | `encoding` | a room's messages as frames |
//! | `queues`, `users` | queues that all users share, and queues of one user's sessions |
//! | `queue_error` | why a queue refuses |
//! | `message` | what is in these |
//! | `shared_queues`, `subscriptions` | the queues of this server, and what one session is subscribed to |
//! | `consumer` | the way from a queue to a socket |
//! | `adapter` | does what a session asks for |
//! | `pending_ops` | what a session has asked the rooms for and is not done yet |
//! | `timers`, `liveness` | the timers of a session, and whether its client is alive |
//! | `token` | a token in a frame |
//! | `settings` | limits and times, as the configuration has them now |
//!
//! `codec`, `session`, `queues` and `users` are pure: no socket, no clock, no thread.

mod adapter;
pub(crate) mod codec;
mod consumer;
pub(crate) mod destination;
mod encoding;
mod error_frame;
pub(crate) mod fault;
mod liveness;
pub(crate) mod message;
mod pending_ops;
pub(crate) mod queue_error;
pub(crate) mod queues;
pub(crate) mod session;
mod settings;
mod shared_queues;
mod subscriptions;
mod timers;
mod token;
pub(crate) mod users;

use std::any::Any;

use self::adapter::BrokerAdapter;
use self::codec::{Decoder, Version};
use self::consumer::Blocked;
use self::error_frame::error_frame;
use self::fault::Fault;
use self::liveness::Liveness;
use self::pending_ops::{Completion, PendingOps};
use self::session::{HandshakeInfo, Heartbeat, StompSession};
use self::settings::{Settings, queue_limits};
use self::shared_queues::SharedQueues;
use self::subscriptions::Subscriptions;
use self::timers::{CHECK_LIVENESS, CONNECT, HEARTBEAT, RESUME, RESUME_AFTER, UNFINISHED};
use self::token::token_in;
use crate::auth::Identity;
use crate::config::Config;
use crate::http::{Head, query as pairs};
use crate::server::{Context, Credentials, Disconnect, Endpoint, Handler, Names, Router, Timer};
use crate::system::random;
use crate::ws::Message;

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
    session: StompSession,
    subscriptions: Subscriptions,
    pending: PendingOps,
    heartbeat: Heartbeat,
    liveness: Liveness,
    /// Whether the timer of an unfinished frame runs.
    is_unfinished: bool,
    /// The message that is being read begins with a token, which was accepted.
    has_renewed: bool,
}

impl Stomp {
    fn new(config: &Config) -> Stomp {
        let settings = Settings::default();
        settings.set(config);
        Stomp { settings, shared: SharedQueues::new(queue_limits(config), random()) }
    }

    /// Has the session do something, and what it wants done.
    fn with(
        &self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        action: impl FnOnce(&mut StompSession, &mut Decoder, &mut BrokerAdapter<'_, '_>),
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
            session: StompSession::new(self.settings.session(), handshake),
            subscriptions: Subscriptions::default(),
            pending: PendingOps::default(),
            heartbeat: Heartbeat::default(),
            liveness: Liveness::default(),
            is_unfinished: false,
            has_renewed: false,
        }
    }

    fn message(&self, cx: &mut Context<'_>, connection: &mut Connection, message: Message<'_>) {
        connection.liveness.note_input();
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
                // A client that is held back has its heart-beats read late; that it takes what waits for it shows that
                // it lives.
                let takes =
                    connection.heartbeat.check_interval().is_some_and(|since| cx.silent_for() < since);
                if !connection.liveness.check(takes) {
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
