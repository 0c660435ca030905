//! What a handler can do during a callback: the session seen from the reactor's own thread.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::handle::Session;
use super::state::SessionState;
use super::terms::{SessionEnd, Terms};
use crate::auth::Identity;
use crate::http::Head;
use crate::limit_hits::Limit;
use crate::reactor::api::attributes::Attributes;
use crate::reactor::api::background::Background;
use crate::reactor::api::disconnect::Disconnect;
use crate::reactor::api::handshake::Handshake;
use crate::reactor::api::timer::Timer;
use crate::reactor::api::user_state::UserState;
use crate::reactor::clock::wheel::{TICK_MILLIS, ticks};
use crate::reactor::key::Key;
use crate::reactor::state::LoopState;
use crate::transport::Outbound;
use crate::ws::deflate::Deflate;
use crate::ws::{CloseCode, OpCode, encode};

/// From this size on a message goes to the socket from where it lies: by then copying it costs more than the system
/// call that gathering would save (echo of 16 KiB: 1 µs of 12; of 256 KiB: a quarter).
const DIRECT_BYTES_MIN: usize = 8 * 1024;

/// A session during a callback of its [`Handler`](crate::server::Handler), on the reactor's thread.
///
/// What is sent here is gathered and leaves in one write when the event that caused the callback has been dealt with.
/// Callbacks must not block; to go on elsewhere, clone [`Context::session`] into another thread.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) key: Key,
    pub(crate) outbound: &'a Arc<Outbound>,
    pub(crate) state: &'a mut SessionState,
    pub(crate) shared: &'a mut LoopState,
}

impl Context<'_> {
    /// The number that the router gave to the endpoint of this session.
    #[must_use]
    pub fn endpoint(&self) -> u16 {
        self.state.endpoint
    }

    /// Counts that the client has run into a limit of the endpoint's own, which the line of its end names, should that
    /// follow.
    pub(crate) fn hit(&mut self, limit: Limit) {
        self.shared.limit_hits.hit(limit);
        self.blame(limit);
    }

    /// As [`Context::hit`], for what was counted before.
    pub(crate) fn blame(&mut self, limit: Limit) {
        self.shared.blamed = Some((self.key, limit));
    }

    /// Says how many bytes of memory the handler's state of this session takes up because of what its client has sent: they
    /// count for `limits.memory`, and the session may be closed for them with 1013. 0 is where a session begins.
    pub fn hold_bytes(&mut self, bytes: usize) {
        if self.state.held_bytes() != bytes {
            let held = self.state.rare().held.get_or_insert_with(|| self.shared.waiting.charge());
            held.set(bytes);
        }
    }

    /// The session's public id: 128 random bits.
    #[must_use]
    pub fn id(&self) -> u128 {
        self.shared.session_id(self.key)
    }

    /// The subprotocol that was agreed on; `None` if the client offered none of the endpoint's.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        let names = self.shared.subprotocols.get(usize::from(self.state.endpoint))?;
        let number = usize::from(self.state.subprotocol?.get());
        names.get(number - 1).map(String::as_str)
    }

    /// The client's address: the one that a trusted proxy has told, if there is one in between. `None` if the connection
    /// is gone already.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.outbound.stream().peer_addr().ok()
    }

    /// Whether the connection is encrypted where the client reaches it.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.outbound.stream().is_secure()
    }

    /// The session as a handle for other threads.
    pub fn session(&mut self) -> &Session {
        self.handle(None)
    }

    /// As [`Context::session`], and the session remembers the request that it began with.
    pub fn session_of(&mut self, head: &Head<'_>) -> &Session {
        let handshake = self.outbound.stream().peer_addr().ok().map(|peer| Handshake::new(head, peer));
        self.handle(handshake)
    }

    fn handle(&mut self, handshake: Option<Handshake>) -> &Session {
        let (key, id, inbox) = (self.key, self.shared.session_id(self.key), &self.shared.inbox);
        let outbound = self.outbound;
        let deflate = self.deflate().filter(|_| !self.state.has_history());
        self.state
            .handle
            .get_or_insert_with(|| Session::new(key, id, outbound.clone(), inbox.clone(), deflate, handshake))
    }

    /// Who the user is, if that was proved.
    #[must_use]
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.state.terms()?.identity()
    }

    /// Attaches values to the session.
    pub(crate) fn attach(&mut self, attributes: Attributes) {
        if !attributes.is_empty() {
            self.session().attributes().extend(attributes);
        }
    }

    /// From now on the session is of this user, if it is said, ends at `end` ([`Service::overdue`] is called then), and takes
    /// messages of up to `message_bytes_max` bytes, if that changes. Replaces the terms set before.
    ///
    /// [`Service::overdue`]: crate::reactor::service::Service::overdue
    pub(crate) fn set_terms(
        &mut self,
        identity: Option<Arc<Identity>>,
        end: SessionEnd,
        message_bytes_max: Option<usize>,
    ) {
        self.state.rare().terms = Some(Terms::new(identity, end, message_bytes_max, self.shared.now));
    }

    /// Sends a text message. Dropped if the session is closing.
    pub fn send_text(&mut self, text: &str) {
        self.send(OpCode::Text, text.as_bytes());
    }

    /// Sends a binary message. Dropped if the session is closing.
    pub fn send_binary(&mut self, payload: &[u8]) {
        self.send(OpCode::Binary, payload);
    }

    /// Sends a ping; payload beyond 125 bytes is cut off (RFC 6455 §5.5).
    pub fn ping(&mut self, payload: &[u8]) {
        self.send(OpCode::Ping, &payload[..payload.len().min(125)]);
    }

    fn send(&mut self, opcode: OpCode, payload: &[u8]) {
        if !self.is_open() {
            return;
        }
        // Pings are no messages.
        self.shared.counters.sent_messages += u64::from(opcode != OpCode::Ping);
        if let Some(deflate) = self.deflate() {
            let history = self.state.rare.as_mut().and_then(|rare| rare.history.as_deref_mut());
            return deflate.frame(&mut self.shared.replies, opcode, payload, history);
        }
        if payload.len() < DIRECT_BYTES_MIN {
            return encode::frame(&mut self.shared.replies, opcode, payload);
        }
        self.shared.send_replies(self.outbound);
        let (header, header_len) = encode::header(opcode, payload.len());
        self.shared.counters.sent_bytes += (header_len + payload.len()) as u64;
        let _peer_is_gone = self.outbound.send_parts(&header[..header_len], payload);
    }

    /// Sends now what was gathered so far: before anything that another way leads to the same socket.
    pub fn flush(&mut self) {
        self.shared.send_replies(self.outbound);
    }

    /// How messages to this session are compressed, if they are.
    fn deflate(&self) -> Option<Deflate> {
        self.state.deflate.map(|window| Deflate { window, ..self.shared.limits.deflate })
    }

    /// Begins the closing handshake after everything sent so far. `reason` is cut to 123 bytes. Nothing can be sent
    /// afterwards, and [`Handler::close`](crate::server::Handler::close) follows when this callback has returned.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.close_because(code, reason, Disconnect::Closed(code));
    }

    /// Closes the session with 1011 because its handler cannot go on, as if it had panicked; the log has the reason, the
    /// client has not.
    pub fn fail(&mut self, error: impl Display) {
        let error = error.to_string();
        tracing::warn!(session = %format_args!("{:032x}", self.id()), ?error, "handler failed");
        self.close_because(CloseCode::INTERNAL, "handler failed", Disconnect::HandlerFailed);
    }

    /// Bytes that were sent to the session and wait because its peer does not keep up, those of this callback included.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.shared.replies.len() + self.outbound.backlog_bytes()
    }

    /// As [`Context::close`] with another cause than the handler's wish.
    pub(crate) fn close_because(&mut self, code: CloseCode, reason: &str, because: Disconnect) {
        self.state.request_close(code, reason, because);
    }

    /// Whether the session can still be sent to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Calls [`Handler::timer`](crate::server::Handler::timer) once, `after` this long (to 20 ms). A timer that is set
    /// again moves.
    pub fn set_timer(&mut self, timer: Timer, after: Duration) {
        // The wheel hears of it when the callback returns, in place of what it knew before: a timer that is set again with
        // each message must not leave an entry each time.
        self.state.timers.set(timer, self.shared.now.saturating_add(ticks(after)));
    }

    /// How long the client has given no sign of life: no byte came from it, and it took nothing of what waited for it. Zero
    /// in the callbacks about what it sent.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        Duration::from_millis(self.shared.now.saturating_sub(self.shared.alive_at) * TICK_MILLIS)
    }

    /// Whether the client has sent, or cannot send, what the server does not read at the moment: nothing that is missing is
    /// late. For the callbacks of timers.
    pub(crate) fn is_held_back(&self) -> bool {
        self.shared.is_held_back
    }

    /// A timer that was set does not go off.
    pub fn cancel_timer(&mut self, timer: Timer) {
        self.state.timers.cancel(timer);
    }

    /// What the handler keeps of the session, to be put back after the callback.
    pub(crate) fn take_user_state(&mut self) -> Option<UserState> {
        self.state.user_state.take()
    }

    pub(crate) fn keep_user_state(&mut self, state: Option<UserState>) {
        self.state.user_state = state;
    }

    /// How long to wait for the first time of what comes again every `interval`: between half of it and all of it,
    /// another time for each session, so that sessions that began together do not all have their turn together.
    #[must_use]
    pub fn spread(&self, interval: Duration) -> Duration {
        Duration::from_millis(self.shared.spread(self.key, interval) * TICK_MILLIS)
    }

    /// Has `work` [advanced](Background::advance) in each turn from now on, for as long as it says.
    pub(crate) fn go_on_in_background(&mut self, work: Arc<dyn Background>) {
        let known = &mut self.shared.background;
        if !known.iter().any(|other| Arc::ptr_eq(other, &work)) {
            known.push(work);
        }
    }
}
