//! What an application answers.

use std::any::Any;

use super::rooms::Rooms;
use crate::auth::AuthMessage;
use crate::config::Config;
use crate::http::{Head, Response};
use crate::reactor::{Context, Disconnect, PeerInfo, Timer, UserState};
use crate::ws::Message;

/// The application's side of an endpoint. One handler serves all sessions of its endpoint; what belongs to one session
/// is its [`State`](Handler::State).
///
/// All callbacks come from the reactor's thread, one at a time, and must not block: a slow one delays every connection.
/// A callback that panics costs its own session (closed with 1011) and no other.
///
/// ```
/// use foghorn::http::Head;
/// use foghorn::server::{Context, Handler};
/// use foghorn::ws::Message;
///
/// /// Tells each session how many messages it has sent.
/// struct Count;
///
/// impl Handler for Count {
///     type State = u64;
///
///     fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) -> u64 {
///         0
///     }
///
///     fn message(&self, cx: &mut Context<'_>, count: &mut u64, _message: Message<'_>) {
///         *count += 1;
///         cx.send_text(&count.to_string());
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// What the handler keeps of one session, from [`open`](Handler::open) to [`close`](Handler::close); `()` takes no
    /// memory.
    type State: Send + 'static;

    /// The server has been put together; `rooms` reaches its rooms from now on. Called once, before any session.
    fn attach(&self, rooms: &Rooms) {
        let _ = rooms;
    }

    /// Decides about a correct opening handshake before it is accepted. An error is sent instead of the 101, and the
    /// connection is closed. Where tokens are asked for, it is also called for clients that have not sent one yet: it must
    /// not tell them anything.
    ///
    /// # Errors
    /// The response that refuses.
    fn handshake(&self, head: &Head<'_>, peer_info: &PeerInfo) -> Result<(), Response> {
        let _ = (head, peer_info);
        Ok(())
    }

    /// The token that a message carries, where tokens are asked for; called before `message`, also for sessions that were
    /// not opened yet. As a rule it is the message `{"type":"AUTH","token":"…"}`.
    fn credentials(&self, message: &Message<'_>) -> Option<Credentials> {
        match message {
            Message::Text(text) => AuthMessage::parse(text).map(|auth| Credentials::alone(auth.token())),
            Message::Binary(_) => None,
        }
    }

    /// Whether a message was meant to be a token, so that it must not reach other clients, where tokens are in use. By
    /// default each JSON object whose `type` is `AUTH`, with any other fields. Such a message, if [`credentials`](Handler::credentials)
    /// finds no token in it, is shown to [`withheld`](Handler::withheld) instead of `message`.
    fn withholds(&self, message: &Message<'_>) -> bool {
        match message {
            Message::Text(text) => AuthMessage::is_meant_by(text.as_bytes()),
            Message::Binary(bytes) => AuthMessage::is_meant_by(bytes),
        }
    }

    /// A message was [withheld](Handler::withholds). Its sender can be told.
    fn withheld(&self, cx: &mut Context<'_>, message: Message<'_>) {
        let _ = (cx, message);
    }

    /// A session is about to be closed with 4401, for this reason: its message carried no good token. Something can still
    /// be said to it. Called for sessions that were not opened, too.
    fn refused(&self, cx: &mut Context<'_>, reason: &str) {
        let _ = (cx, reason);
    }

    /// A session begins. `head` is the request that it began with.
    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) -> Self::State;

    /// A message came: complete, unmasked, text checked to be UTF-8. It is borrowed from the read buffer.
    fn message(&self, cx: &mut Context<'_>, state: &mut Self::State, message: Message<'_>);

    /// A timer set with [`Context::set_timer`] went off.
    fn timer(&self, cx: &mut Context<'_>, state: &mut Self::State, timer: Timer) {
        let _ = (cx, state, timer);
    }

    /// What another thread has [posted](crate::server::Session::post_event) has arrived.
    fn event(&self, cx: &mut Context<'_>, state: &mut Self::State, event: Box<dyn Any + Send>) {
        let _ = (cx, state, event);
    }

    /// The server's configuration was read anew ([`ServerHandle::reload`](super::ServerHandle::reload)). Called between
    /// the callbacks of sessions, once for the endpoint.
    fn reconfigure(&self, config: &Config) {
        let _ = config;
    }

    /// Whom and what the log names when this session ends badly, as far as neither its request nor its token says so.
    fn names<'s>(&self, state: &'s Self::State) -> Names<'s> {
        let _ = state;
        Names::default()
    }

    /// The session ended, in whatever way; called exactly once for each session whose `open` has returned. Nothing can be
    /// sent any more.
    fn close(&self, cx: &mut Context<'_>, state: Self::State, reason: Disconnect) {
        let _ = (cx, state, reason);
    }
}

/// A token that came in a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) token: Box<str>,
    pub(super) is_all: bool,
}

impl Credentials {
    /// The token is all that the message says.
    #[must_use]
    pub fn alone(token: &str) -> Credentials {
        Credentials { token: token.into(), is_all: true }
    }

    /// The message says more than the token: the handler is to be shown it, too, if the token is good.
    #[must_use]
    pub fn within(token: &str) -> Credentials {
        Credentials { token: token.into(), is_all: false }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Whom and what a line of the log names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names<'s> {
    /// The user.
    pub user: Option<&'s str>,
    /// The room.
    pub room: Option<&'s str>,
}

/// A handler whose state is of a type that only it knows.
pub(super) trait AnyHandler: Send + Sync {
    fn attach(&self, rooms: &Rooms);
    fn handshake(&self, head: &Head<'_>, peer_info: &PeerInfo) -> Result<(), Response>;
    fn credentials(&self, message: &Message<'_>) -> Option<Credentials>;
    fn withholds(&self, message: &Message<'_>) -> bool;
    fn withheld(&self, cx: &mut Context<'_>, message: Message<'_>);
    fn refused(&self, cx: &mut Context<'_>, reason: &str);
    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) -> UserState;
    fn message(&self, cx: &mut Context<'_>, state: &mut UserState, message: Message<'_>);
    fn timer(&self, cx: &mut Context<'_>, state: &mut UserState, timer: Timer);
    fn event(&self, cx: &mut Context<'_>, state: &mut UserState, event: UserState);
    fn close(&self, cx: &mut Context<'_>, state: UserState, reason: Disconnect);
    fn reconfigure(&self, config: &Config);
    fn names<'s>(&self, state: &'s UserState) -> Names<'s>;
}

impl<H: Handler> AnyHandler for H {
    fn attach(&self, rooms: &Rooms) {
        Handler::attach(self, rooms);
    }

    fn handshake(&self, head: &Head<'_>, peer_info: &PeerInfo) -> Result<(), Response> {
        Handler::handshake(self, head, peer_info)
    }

    fn credentials(&self, message: &Message<'_>) -> Option<Credentials> {
        Handler::credentials(self, message)
    }

    fn withholds(&self, message: &Message<'_>) -> bool {
        Handler::withholds(self, message)
    }

    fn withheld(&self, cx: &mut Context<'_>, message: Message<'_>) {
        Handler::withheld(self, cx, message);
    }

    fn refused(&self, cx: &mut Context<'_>, reason: &str) {
        Handler::refused(self, cx, reason);
    }

    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) -> UserState {
        Box::new(Handler::open(self, cx, head))
    }

    fn message(&self, cx: &mut Context<'_>, state: &mut UserState, message: Message<'_>) {
        if let Some(state) = state.downcast_mut() {
            Handler::message(self, cx, state, message);
        }
    }

    fn timer(&self, cx: &mut Context<'_>, state: &mut UserState, timer: Timer) {
        if let Some(state) = state.downcast_mut() {
            Handler::timer(self, cx, state, timer);
        }
    }

    fn event(&self, cx: &mut Context<'_>, state: &mut UserState, event: UserState) {
        if let Some(state) = state.downcast_mut() {
            Handler::event(self, cx, state, event);
        }
    }

    fn reconfigure(&self, config: &Config) {
        Handler::reconfigure(self, config);
    }

    fn names<'s>(&self, state: &'s UserState) -> Names<'s> {
        state.downcast_ref().map(|state| Handler::names(self, state)).unwrap_or_default()
    }

    fn close(&self, cx: &mut Context<'_>, state: UserState, reason: Disconnect) {
        if let Ok(state) = state.downcast() {
            Handler::close(self, cx, *state, reason);
        }
    }
}
