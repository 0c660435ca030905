//! A session from its 101 to its end: frames in, callbacks out, heartbeats and deadlines.

use std::num::NonZeroU8;

use super::course::Course;
use super::rate_limit::{ControlFrames, RateLimiter};
use super::unfinished::UnderWay;
use crate::handshake::{Accepted, DeflateAgreement};
use crate::http::Head;
use crate::limit_hits::Limit;
use crate::reactor::api::disconnect::Disconnect;
use crate::reactor::api::user_state::UserState;
use crate::reactor::clock::wheel::Tick;
use crate::reactor::env::Env;
use crate::reactor::inflation::{Inflating, Leftover};
use crate::reactor::limits::{LIMITED_READ_BYTES, RateLimits};
use crate::reactor::reports;
use crate::reactor::reports::names;
use crate::reactor::reports::session::End;
use crate::reactor::service::Service;
use crate::reactor::session::state::{CloseRequest, SessionState, ShardNumber};
use crate::reactor::session::timers::SessionTimers;
use crate::reactor::state::LoopState;
use crate::rooms::Command;
use crate::ws::deflate::History;
use crate::ws::{self, CloseCode, Decoder, Incoming, Input, Phase, ProtocolError, Role, encode};

/// The reading side of one WebSocket session.
#[derive(Debug)]
pub(crate) struct WebSocket {
    pub(super) protocol: ws::Connection,
    pub(crate) state: SessionState,
    pub(super) course: Course,
    pub(super) under_way: UnderWay,
    controls: ControlFrames,
    /// `None` if the session may send as it likes.
    pub(super) limiter: Option<Box<RateLimiter>>,
    /// The user and the room that its request named, for the line of its end.
    names: Box<str>,
}

/// What the opening handshake agreed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    endpoint: u16,
    subprotocol: Option<NonZeroU8>,
    deflate: Option<DeflateAgreement>,
}

impl Agreed {
    pub(crate) fn new(endpoint: u16, accepted: &Accepted<'_>, shared: &LoopState) -> Agreed {
        let number = accepted.subprotocol.and_then(|agreed| {
            let names = shared.subprotocols.get(usize::from(endpoint))?;
            let place = names.iter().position(|name| name == agreed)?;
            NonZeroU8::new(u8::try_from(place + 1).ok()?)
        });
        Agreed { endpoint, subprotocol: number, deflate: accepted.deflate }
    }
}

impl WebSocket {
    /// A session that begins now; its 101 has been sent.
    pub(crate) fn open<S: Service>(
        agreed: Agreed,
        message_bytes_max: usize,
        rate_limits: RateLimits,
        head: &Head<'_>,
        admission: S::Admission,
        env: &mut Env<'_, S>,
    ) -> WebSocket {
        env.shared.counters.sessions += 1;
        let Agreed { endpoint, subprotocol, deflate } = agreed;
        let window = deflate.map(|deflate| deflate.server_window);
        let mut state = SessionState::new(endpoint, subprotocol, window, deflate.is_some());
        if let Some(deflate) = deflate.filter(|deflate| deflate.server_takeover) {
            state.rare().history = Some(Box::new(History::new(deflate.server_window)));
        }
        let now = env.shared.now;
        // Connections that were opened together must not be pinged together for ever.
        let first_ping =
            env.shared.limits.ping_interval.map_or(0, |interval| env.shared.spread(env.key, interval));
        let mut websocket = WebSocket {
            protocol: ws::Connection::new(decoder(message_bytes_max, deflate)),
            state,
            course: Course::Open { ping_at: now.saturating_add(first_ping) },
            under_way: UnderWay::default(),
            controls: ControlFrames::new(now),
            limiter: RateLimiter::new(rate_limits, now),
            names: names::keep_names(head),
        };
        let (service, mut cx) = env.context(&mut websocket.state);
        service.open(&mut cx, head, admission);
        websocket.flush_callbacks(env);
        websocket
    }

    /// Where to read into instead of a buffer of the caller's, if anywhere: see [`ws::Connection::space`].
    #[inline]
    pub(crate) fn space(&mut self, max: usize) -> Option<&mut [u8]> {
        // Bytes of a session with rate limits are counted on their way through the caller's buffer.
        if self.limiter.is_some() { None } else { self.protocol.space(max) }
    }

    /// `count` bytes have been read into [`space`](Self::space); they are received next, with none besides.
    pub(crate) fn fill(&mut self, count: usize) {
        self.protocol.fill(count);
    }

    /// Takes what was read. Everything the session says in answer leaves in one write.
    pub(crate) fn receive<S: Service>(&mut self, bytes: &mut [u8], env: &mut Env<'_, S>) {
        let mut spares = std::mem::take(&mut env.shared.spares);
        let (mut leftover, fresh) = (self.under_way.take_leftover(), bytes.len());
        let goes_on = leftover.is_some();
        let bytes = match &mut leftover {
            Some(leftover) => self.go_on(leftover, bytes, env.shared.now),
            None => bytes,
        };
        let granted = env.shared.inflating.grant(self.limiter.is_some());
        let mut input = Input::with_spares(&mut *bytes, &mut spares).inflating_at_most(granted);
        if let Some(limiter) = &mut self.limiter
            && !limiter.take_bytes(fresh, env.shared.now)
        {
            over_limit(&mut self.state, Limit::Bytes, env);
        }
        while let Some(incoming) = self.protocol.poll(&mut input) {
            match incoming {
                Incoming::Message(message) => {
                    env.shared.counters.received_messages += 1;
                    if let Some(limiter) = &mut self.limiter
                        && !limiter.take_message(env.shared.now)
                    {
                        over_limit(&mut self.state, Limit::Messages, env);
                    }
                    if self.state.is_open() {
                        let (service, mut cx) = env.context(&mut self.state);
                        service.message(&mut cx, message);
                        if let Some(terms) = self.state.terms_mut()
                            && let Some(bytes) = terms.take_message_bytes_max()
                        {
                            self.protocol.set_message_bytes_max(bytes);
                        }
                    }
                }
                Incoming::Ping(payload) => {
                    if control_frame(&mut self.controls, &mut self.state, env) {
                        pong(payload, env);
                    }
                }
                Incoming::Pong(_) => {
                    control_frame(&mut self.controls, &mut self.state, env);
                }
                Incoming::Close { close, answer } => {
                    let code = close.code;
                    self.finish(code, Disconnect::PeerClosed(code), answer, env);
                }
                Incoming::Failed { error, answer } => {
                    if error == ProtocolError::MessageTooBig {
                        env.shared.limit_hits.hit(Limit::MessageBytes);
                    }
                    self.finish(Some(error.close_code()), Disconnect::Protocol(error), answer, env);
                }
            }
            self.note_whole(env.shared.now);
        }
        let (unread, surplus) = (input.len(), input.surplus_bytes());
        env.shared.inflating.spend(input.inflated_bytes());
        let rest = &bytes[bytes.len() - unread..];
        let begin = || Leftover::new(rest, &env.shared.waiting, env.shared.now);
        let begun = (unread > 0 && !goes_on).then(begin);
        if let Some(mut leftover) = leftover.filter(|_| unread > 0).or(begun) {
            leftover.keep(unread, env.shared.now);
            self.under_way.put_leftover(leftover);
        }
        env.shared.spares = spares;
        self.charge_inflated(surplus, env);
        self.note_unfinished(env.shared);
        if self.limiter.is_some() {
            self.slow_down(env.shared);
        }
        self.flush_callbacks(env);
    }

    /// What was left for later, with what has been read since behind it. The time it waited for its turn does not count
    /// against the message under way.
    fn go_on<'l>(&mut self, leftover: &'l mut Leftover, more: &[u8], now: Tick) -> &'l mut [u8] {
        self.under_way.postpone(now.saturating_sub(leftover.since));
        leftover.followed_by(more)
    }

    /// Whether bytes wait that were read and may not be inflated yet.
    pub(crate) fn has_leftover(&self) -> bool {
        self.under_way.leftover().is_some()
    }

    /// What came out by inflating counts like bytes that were read.
    fn charge_inflated<S: Service>(&mut self, surplus: usize, env: &mut Env<'_, S>) {
        if let Some(limiter) = &mut self.limiter
            && surplus > 0
            && !limiter.take_bytes(surplus, env.shared.now)
        {
            over_limit(&mut self.state, Limit::Bytes, env);
        }
    }

    /// Bytes to read from the session at a time, if fewer than from others.
    pub(crate) fn read_bytes_max(&self, inflating: &Inflating) -> usize {
        let crowded = if self.state.inflates { inflating.read_bytes_max() } else { usize::MAX };
        if self.limiter.is_some() { LIMITED_READ_BYTES.min(crowded) } else { crowded }
    }

    /// Both sides have said their last, or the peer cannot be talked to any more.
    pub(crate) fn is_over(&self) -> bool {
        self.protocol.phase() == Phase::Closed
    }

    /// Whether an idle session takes no memory for what it has under way.
    #[cfg(debug_assertions)]
    pub(crate) fn is_tidy(&self) -> bool {
        self.under_way.is_tidy()
    }

    /// Whether a Close frame has been sent.
    pub(crate) fn is_closing(&self) -> bool {
        self.protocol.phase() != Phase::Open
    }

    /// Whether a shard that this session publishes to is too far behind to read on.
    pub(crate) fn is_held(&self, shared: &LoopState) -> bool {
        let joined = self.state.memberships.as_slice().iter().map(|membership| membership.shard);
        joined
            .chain(self.state.posts_to.map(ShardNumber::get))
            .any(|shard| shared.shards[usize::from(shard)].is_congested())
    }

    /// Begins the closing handshake for a reason of the server's own.
    pub(crate) fn close<S: Service>(
        &mut self,
        code: CloseCode,
        reason: &str,
        because: Disconnect,
        env: &mut Env<'_, S>,
    ) {
        let (_, mut cx) = env.context(&mut self.state);
        cx.close_because(code, reason, because);
        self.flush_callbacks(env);
    }

    /// A thread of the application has sent the Close frame, with this code and reason.
    pub(crate) fn closed_elsewhere<S: Service>(
        &mut self,
        code: CloseCode,
        reason: &str,
        env: &mut Env<'_, S>,
    ) {
        self.protocol.close_sent();
        self.report(Disconnect::Closed(code), code, reason, env);
        self.end(Disconnect::Closed(code), Some(code), env);
    }

    /// A thread of the application has something for the session.
    pub(crate) fn event<S: Service>(&mut self, event: UserState, env: &mut Env<'_, S>) {
        if self.state.is_open() {
            let (service, mut cx) = env.context(&mut self.state);
            service.event(&mut cx, event);
            self.flush_callbacks(env);
        }
    }

    /// Tells the service, leaves the rooms; once. `code` is that of the Close frame, if there was one.
    pub(crate) fn end<S: Service>(
        &mut self,
        because: Disconnect,
        code: Option<CloseCode>,
        env: &mut Env<'_, S>,
    ) {
        if self.state.has_ended() {
            return;
        }
        let (mut because, mut code) = (because, code);
        if let Some(said) = env.outbound.closed_elsewhere()
            && because != Disconnect::Closed(said)
        {
            // The client has heard of that, and the reactor has not until now.
            (because, code) = (Disconnect::Closed(said), Some(said));
            self.report(because, said, "closed by the application", env);
        }
        if because == Disconnect::PeerGone {
            let address = env.address();
            reports::session::report_lost(&self.state, &self.names, address, env.shared, env.service);
        }
        let names = reports::session::names_of(&self.state, &self.names, env.service);
        let path = env.shared.paths.get(usize::from(self.state.endpoint)).cloned();
        let (id, address) = (env.shared.session_id(env.key), env.address());
        env.shared.ended.note(id, address, names, path, (because, code));
        self.state.end();
        env.shared.counters.count_close(because, code);
        let (service, mut cx) = env.context(&mut self.state);
        service.close(&mut cx, because);
        for membership in std::mem::take(&mut self.state.memberships).as_slice() {
            env.shared.shards[usize::from(membership.shard)].push(Command::Leave(membership.member));
        }
        self.state.handle = None;
        self.state.timers = SessionTimers::None;
        self.state.user_state = None;
        if let Some(rare) = &mut self.state.rare {
            rare.held = None;
        }
        self.under_way.end_message();
        // Also if they are not limited any more: what was counted is taken off again.
        env.shared.users.leave(env.key);
    }

    /// The rooms refused this session's last bytes and can go on now.
    pub(crate) fn resume(&self, shared: &mut LoopState) {
        for membership in self.state.memberships.as_slice() {
            shared.shards[usize::from(membership.shard)].push(Command::Resume(membership.member));
        }
    }

    /// Sends what the callbacks gathered, and the Close frame if they asked for one.
    pub(super) fn flush_callbacks<S: Service>(&mut self, env: &mut Env<'_, S>) {
        let Some(request) = self.state.take_close_request() else {
            return env.shared.send_replies(env.outbound);
        };
        let CloseRequest { code, reason, because } = request;
        encode::close(&mut env.shared.replies, Some(code), &reason);
        let is_first = env.outbound.close(&env.shared.replies);
        env.shared.counters.sent_bytes += env.shared.replies.len() as u64;
        env.shared.forget_replies();
        self.protocol.close_sent();
        // A connection that has failed takes no Close frame either.
        if is_first || env.outbound.closed_elsewhere().is_none() {
            self.report(because, code, &reason, env);
        }
        self.end(because, Some(code), env);
    }

    /// Tells the operator of a session that ends badly.
    fn report<S: Service>(&self, because: Disconnect, code: CloseCode, reason: &str, env: &mut Env<'_, S>) {
        if !self.state.has_ended() {
            let end = End { key: env.key, because, code, reason, names: &self.names, state: &self.state };
            let address = env.address();
            reports::session::report_end(&end, address, env.shared, env.service);
        }
    }

    /// The user, the room and the endpoint of the session, as the log names them; nothing once it has ended.
    pub(crate) fn named<'s, S: Service>(
        &'s self,
        service: &S,
    ) -> Option<(Option<&'s str>, Option<&'s str>, u16)> {
        let (user, room) = reports::session::names_of(&self.state, &self.names, service);
        (!self.state.has_ended()).then_some((user, room, self.state.endpoint))
    }

    /// The last frame of the session: the answer to the peer's Close, or the verdict on what it sent.
    fn finish<S: Service>(
        &mut self,
        code: Option<CloseCode>,
        because: Disconnect,
        answer: bool,
        env: &mut Env<'_, S>,
    ) {
        if answer && self.state.is_open() {
            encode::close(&mut env.shared.replies, code, "");
            env.outbound.close(&env.shared.replies);
            env.shared.counters.sent_bytes += env.shared.replies.len() as u64;
            env.shared.forget_replies();
            if let (Disconnect::Protocol(error), Some(code)) = (because, code) {
                self.report(because, code, &error.to_string(), env);
            }
            self.end(because, code, env);
        }
    }

    /// Notes whether the session is not read because the server is behind, or the client does not take what it has been
    /// sent, which has a deadline of its own. That time does not count against the message under way.
    #[inline]
    pub(crate) fn note_held_back(&mut self, is_held_back: bool, now: Tick) {
        self.under_way.note_held_back(is_held_back, now);
    }

    /// Starts the clock anew where a message has ended. Who sends without a break may never let a read end between two of
    /// them, and yet finishes every one.
    #[inline]
    fn note_whole(&mut self, now: Tick) {
        if !self.protocol.is_mid_message() {
            self.under_way.begin_anew(now);
        }
    }

    fn note_unfinished(&mut self, shared: &LoopState) {
        if !self.protocol.is_mid_message() {
            return self.under_way.end_message();
        }
        self.under_way.message(shared.now, &shared.waiting).held.set(self.protocol.held_bytes());
    }

    /// Bytes that are held of what the client has sent: of a message under way, not inflated yet, or by the handler.
    pub(crate) fn held_bytes(&self) -> usize {
        self.under_way.held_bytes() + self.state.held_bytes()
    }
}

fn decoder(message_bytes_max: usize, deflate: Option<DeflateAgreement>) -> Decoder {
    let decoder = Decoder::new(Role::Server, message_bytes_max);
    match deflate {
        Some(deflate) => decoder.with_deflate(deflate.client_takeover.then_some(deflate.client_window)),
        None => decoder,
    }
}

/// Closes a session that is over a rate limit, if that is configured. Otherwise it is slowed down when everything that was
/// read has been handled.
#[cold]
fn over_limit<S: Service>(state: &mut SessionState, limit: Limit, env: &mut Env<'_, S>) {
    if env.shared.limits.close_over_limit && state.is_open() {
        env.shared.limit_hits.hit(limit);
        let reason = if limit == Limit::Bytes { "too many bytes" } else { "too many messages" };
        let (_, mut cx) = env.context(state);
        cx.close_because(CloseCode::POLICY, reason, Disconnect::OverLimit(limit));
    }
}

/// Counts a control frame. False if the session is closing, also for too many of them.
fn control_frame<S: Service>(
    controls: &mut ControlFrames,
    state: &mut SessionState,
    env: &mut Env<'_, S>,
) -> bool {
    let limits = &env.shared.limits;
    let within = limits.control_frames.is_none_or(|max| controls.take(max, limits.burst, env.shared.now));
    if !within && state.is_open() {
        let limit = Limit::ControlFrames;
        env.shared.limit_hits.hit(limit);
        let (_, mut cx) = env.context(state);
        cx.close_because(CloseCode::POLICY, "too many control frames", Disconnect::OverLimit(limit));
    }
    within && state.is_open()
}

/// Answers a ping together with whatever else this event brings; if the socket takes nothing, only the newest pong is
/// kept.
fn pong<S>(payload: &[u8], env: &mut Env<'_, S>) {
    if env.outbound.stalled_at().is_none() {
        return encode::pong(&mut env.shared.replies, payload);
    }
    let mut frame = Vec::with_capacity(payload.len() + encode::HEADER_BYTES_MAX);
    encode::pong(&mut frame, payload);
    env.shared.counters.sent_bytes += frame.len() as u64;
    env.outbound.pong(&frame);
}
