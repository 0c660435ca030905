//! What a handler can do during a callback: the session seen from the reactor's own thread.

use std::fmt::Display;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU16};
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Identity;
use crate::http::Head;
use crate::metrics::Limit;
use crate::reactor::api::attributes::Attributes;
use crate::reactor::clock::wheel::{TICK_MILLIS, Tick, ticks};
use crate::reactor::connection::table::Key;
use crate::reactor::service::{Disconnect, State};
use crate::reactor::session::auth::{Guard, Hold, Standing};
use crate::reactor::session::handle::{Handshake, Session};
use crate::reactor::session::rooms::Memberships;
use crate::reactor::session::timers::{Alarms, Timer};
use crate::reactor::state::Turn;
use crate::transport::{Outbound, Share};
use crate::ws::deflate::{Deflate, History, WindowBits};
use crate::ws::{CloseCode, OpCode, encode};

/// From this size on a message goes to the socket from where it lies: by then copying it costs more than the system
/// call that gathering would save (echo of 16 KiB: 1 µs of 12; of 256 KiB: a quarter).
const DIRECT_BYTES_MIN: usize = 8 * 1024;

/// A Close frame that is to be sent when the callback returns.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) code: CloseCode,
    pub(crate) reason: String,
    pub(crate) because: Disconnect,
}

/// The part of a session that a callback may change.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) endpoint: u16,
    /// Which of the endpoint's subprotocols was agreed on, counted from 1.
    pub(crate) subprotocol: Option<NonZeroU8>,
    /// The client takes compressed messages, and remembers so far back.
    pub(crate) deflate: Option<WindowBits>,
    /// The session has ended: the service was told, the rooms were left.
    pub(crate) ended: bool,
    pub(crate) alarms: Alarms,
    /// What the handler keeps of the session.
    pub(crate) state: Option<State>,
    pub(crate) memberships: Memberships,
    /// The shard that it last posted to without being in a room there.
    pub(crate) posts_to: Option<LaneNumber>,
    pub(crate) handle: Option<Session>,
    /// The client may send compressed messages.
    pub(crate) inflates: bool,
    pub(crate) rare: Option<Box<Rare>>,
}

// Every session has one.
const _: () = assert!(size_of::<Side>() <= 72);

/// What few sessions have: the others pay for one pointer.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// What the client remembers, where messages refer back to earlier ones. Such messages come from callbacks alone: only
    /// there is their order on the wire the order of their compression.
    pub(crate) history: Option<Box<History>>,
    pub(crate) closing: Option<Closing>,
    /// Only where somebody has to say, or has said, who they are.
    pub(crate) guard: Option<Guard>,
    /// What the handler says that its state takes up.
    pub(crate) held: Option<Share>,
}

impl Side {
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn guard(&self) -> Option<&Guard> {
        self.rare.as_ref()?.guard.as_ref()
    }

    pub(crate) fn guard_mut(&mut self) -> Option<&mut Guard> {
        self.rare.as_mut()?.guard.as_mut()
    }

    /// Whether a callback has asked for the session to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.closing.is_some())
    }

    /// Whether messages refer back to earlier ones.
    fn has_history(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.history.is_some())
    }

    /// Bytes that the handler says that its state takes up.
    pub(crate) fn held_bytes(&self) -> usize {
        self.rare.as_ref().and_then(|rare| rare.held.as_ref()).map_or(0, Share::bytes)
    }
}

/// The number of a shard's lane, which takes two bytes also where there may be none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneNumber(NonZeroU16);

impl LaneNumber {
    pub(crate) fn new(number: u16) -> Option<LaneNumber> {
        NonZeroU16::new(number.checked_add(1)?).map(LaneNumber)
    }

    pub(crate) fn get(self) -> u16 {
        self.0.get() - 1
    }
}

/// A session during a callback of its [`Handler`](crate::server::Handler), on the reactor's thread.
///
/// What is sent here is gathered and leaves in one write when the event that caused the callback has been dealt with.
/// Callbacks must not block; to go on elsewhere, clone [`Context::session`] into another thread.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) key: Key,
    pub(crate) outbound: &'a Arc<Outbound>,
    pub(crate) side: &'a mut Side,
    pub(crate) turn: &'a mut Turn,
}

impl Context<'_> {
    /// The number that the router gave to the endpoint of this session.
    #[must_use]
    pub fn endpoint(&self) -> u16 {
        self.side.endpoint
    }

    /// Counts that the client has run into a limit of the endpoint's own, which the line of its end names, should that
    /// follow.
    pub(crate) fn hit(&mut self, limit: Limit) {
        self.turn.metrics.hit(limit);
        self.blame(limit);
    }

    /// As [`Context::hit`], for what was counted before.
    pub(crate) fn blame(&mut self, limit: Limit) {
        self.turn.blamed = Some((self.key, limit));
    }

    /// Says how many bytes of memory the handler's state of this session takes up because of what its client has sent: they
    /// count for `limits.memory`, and the session may be closed for them with 1013. 0 is where a session begins.
    pub fn hold_bytes(&mut self, bytes: usize) {
        if self.side.held_bytes() != bytes {
            let held = self.side.rare().held.get_or_insert_with(|| self.turn.waiting.share());
            held.set(bytes);
        }
    }

    /// The session's public id: 128 random bits.
    #[must_use]
    pub fn id(&self) -> u128 {
        self.turn.session_id(self.key)
    }

    /// The subprotocol that was agreed on; `None` if the client offered none of the endpoint's.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        let names = self.turn.subprotocols.get(usize::from(self.side.endpoint))?;
        let number = usize::from(self.side.subprotocol?.get());
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
        let (key, id, mailbox) = (self.key, self.turn.session_id(self.key), &self.turn.mailbox);
        let outbound = self.outbound;
        let deflate = self.deflate().filter(|_| !self.side.has_history());
        self.side.handle.get_or_insert_with(|| {
            Session::new(key, id, outbound.clone(), mailbox.clone(), deflate, handshake)
        })
    }

    /// Who the user is, if that was proved.
    #[must_use]
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        match &self.side.guard()?.standing {
            Standing::Known(identity) => Some(identity),
            Standing::Awaited(_) | Standing::Refused => None,
        }
    }

    /// Attaches values to the session.
    pub(crate) fn attach(&mut self, attributes: Attributes) {
        if !attributes.is_empty() {
            self.session().attributes().extend(attributes);
        }
    }

    /// How far the session has come, if it has a guard.
    pub(crate) fn standing(&self) -> Option<&Standing> {
        self.side.guard().map(|guard| &guard.standing)
    }

    /// Nobody knows whose session this is: it ends `after` this long unless it is [admitted](Context::admit).
    pub(crate) fn hold(&mut self, head: &Head<'_>, attributes: Attributes, after: Duration) {
        let hold = Hold { request: head.to_bytes(), attributes };
        let mut guard = Guard::new(Standing::Awaited(Box::new(hold)));
        guard.end_after(after, self.turn);
        self.side.rare().guard = Some(guard);
    }

    /// Closes the session with 4401. If the application has not heard of it, it never will.
    pub(crate) fn refuse(&mut self, reason: &str) {
        if !matches!(self.standing(), Some(Standing::Known(_))) {
            self.shut_out();
        }
        self.close(CloseCode::UNAUTHENTICATED, reason);
    }

    /// The application never hears of this session, which is being closed.
    pub(crate) fn shut_out(&mut self) {
        self.side.rare().guard = Some(Guard::new(Standing::Refused));
    }

    /// What the session has kept while it waited, if it does. It waits no longer.
    pub(crate) fn release(&mut self) -> Option<Box<Hold>> {
        let guard = &mut self.side.rare.as_mut()?.guard;
        guard.take_if(|guard| matches!(guard.standing, Standing::Awaited(_)))?.into_hold()
    }

    /// The session is this user's from now on, and takes messages of up to so many bytes.
    pub(crate) fn admit(&mut self, identity: Arc<Identity>, message_bytes_max: usize) {
        let expiry = identity.expiry();
        let mut guard = Guard::new(Standing::Known(identity));
        guard.end_at(expiry, self.turn);
        guard.message_bytes_max = Some(message_bytes_max);
        self.side.rare().guard = Some(guard);
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
        if let Some(deflate) = self.deflate() {
            let history = self.side.rare.as_mut().and_then(|rare| rare.history.as_deref_mut());
            return deflate.frame(&mut self.turn.replies, opcode, payload, history);
        }
        if payload.len() < DIRECT_BYTES_MIN {
            return encode::frame(&mut self.turn.replies, opcode, payload);
        }
        self.turn.send_replies(self.outbound);
        let (header, header_len) = encode::header(opcode, payload.len());
        let _peer_is_gone = self.outbound.send_parts(&header[..header_len], payload);
    }

    /// Sends now what was gathered so far: before anything that another way leads to the same socket.
    pub fn flush(&mut self) {
        self.turn.send_replies(self.outbound);
    }

    /// How messages to this session are compressed, if they are.
    fn deflate(&self) -> Option<Deflate> {
        self.side.deflate.map(|window| Deflate { window, ..self.turn.limits.deflate })
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
        self.turn.replies.len() + self.outbound.untaken()
    }

    /// As [`Context::close`] with another cause than the handler's wish.
    pub(crate) fn close_because(&mut self, code: CloseCode, reason: &str, because: Disconnect) {
        if self.is_open() {
            self.side.rare().closing = Some(Closing { code, reason: reason.into(), because });
        }
    }

    /// Whether the session can still be sent to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.side.ended && !self.side.is_closing()
    }

    /// Calls [`Handler::timer`](crate::server::Handler::timer) once, `after` this long (to 20 ms). A timer that is set
    /// again moves.
    pub fn set_timer(&mut self, timer: Timer, after: Duration) {
        // The wheel hears of it when the callback returns, in place of what it knew before: a timer that is set again with
        // each message must not leave an entry each time.
        self.side.alarms.set(timer, self.turn.now.saturating_add(ticks(after)));
    }

    /// How long the client has given no sign of life: no byte came from it, and it took nothing of what waited for it. Zero
    /// in the callbacks about what it sent.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        Duration::from_millis(self.turn.now.saturating_sub(self.turn.alive_at) * TICK_MILLIS)
    }

    /// Whether the client has sent, or cannot send, what the server does not read at the moment: nothing that is missing is
    /// late. For the callbacks of timers.
    pub(crate) fn is_held_back(&self) -> bool {
        self.turn.is_held_back
    }

    /// A timer that was set does not go off.
    pub fn cancel_timer(&mut self, timer: Timer) {
        self.side.alarms.cancel(timer);
    }

    /// What the handler keeps of the session, to be put back after the callback.
    pub(crate) fn take_state(&mut self) -> Option<State> {
        self.side.state.take()
    }

    pub(crate) fn keep_state(&mut self, state: Option<State>) {
        self.side.state = state;
    }

    /// How long to wait for the first time of what comes again every `interval`: between half of it and all of it,
    /// another time for each session, so that sessions that began together do not all have their turn together.
    #[must_use]
    pub fn spread(&self, interval: Duration) -> Duration {
        Duration::from_millis(self.turn.spread(self.key, interval) * TICK_MILLIS)
    }
}

impl Turn {
    /// 128 bits that nobody outside can guess: a keyed hash of a number that is never used twice. Nothing has to be
    /// stored for it.
    pub(crate) fn session_id(&self, key: Key) -> u128 {
        let [high, low] = [&self.hashers[0], &self.hashers[1]].map(|hasher| u128::from(hasher.hash_one(key)));
        high << 64 | low
    }

    /// Between half of `interval` and all of it, for each connection another part.
    pub(crate) fn spread(&self, key: Key, interval: Duration) -> Tick {
        let interval = ticks(interval);
        let early = self.session_id(key) % u128::from(interval / 2 + 1);
        interval - Tick::try_from(early).unwrap_or(0)
    }

    /// The shard that owns a room. Keyed, so that nobody can aim at one shard.
    pub(crate) fn lane_of(&self, room: &str) -> u16 {
        let lanes = self.lanes.len() as u64;
        u16::try_from(self.hashers[0].hash_one(room) % lanes).unwrap_or(0)
    }
}
