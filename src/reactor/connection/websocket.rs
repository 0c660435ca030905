//! A session from its 101 to its end: frames in, callbacks out, heartbeats and deadlines.

use std::num::NonZeroU8;
use std::sync::Arc;

use crate::handshake::{Accepted, DeflateAgreement};
use crate::http::Head;
use crate::metrics::Limit;
use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::connection::inflation::{Inflating, Leftover};
use crate::reactor::connection::rate_limit::{ControlFrames, Meter, RATIONED_READ_BYTES, Ration};
use crate::reactor::connection::table::Key;
use crate::reactor::connection::unfinished::UnderWay;
use crate::reactor::reports::incidents::{self, End};
use crate::reactor::service::{Admission, Disconnect, Service, State};
use crate::reactor::session::context::{Closing, Context, LaneNumber, Side};
use crate::reactor::session::rooms::Memberships;
use crate::reactor::session::timers::Alarms;
use crate::reactor::state::Turn;
use crate::rooms::Command;
use crate::transport::{Outbound, is_progress};
use crate::ws::deflate::History;
use crate::ws::{CloseCode, Connection, Decoder, Incoming, Input, Phase, ProtocolError, Role, encode};

/// The payload of the server's own pings.
const PING_PAYLOAD: &[u8] = b"ping";

/// The reading side of one WebSocket session.
#[derive(Debug)]
pub(crate) struct WebSocket {
    connection: Connection,
    pub(crate) side: Side,
    /// When the next ping goes out, if pings do.
    ping_at: Tick,
    under_way: UnderWay,
    controls: ControlFrames,
    /// `None` if the session may send as it likes.
    meter: Option<Box<Meter>>,
    /// The user and the room that its request named, for the line of its end.
    names: Box<str>,
}

/// What the opening handshake has settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    endpoint: u16,
    subprotocol: Option<NonZeroU8>,
    deflate: Option<DeflateAgreement>,
}

impl Agreed {
    pub(crate) fn new(endpoint: u16, accepted: &Accepted<'_>, turn: &Turn) -> Agreed {
        let number = accepted.subprotocol.and_then(|agreed| {
            let names = turn.subprotocols.get(usize::from(endpoint))?;
            let place = names.iter().position(|name| name == agreed)?;
            NonZeroU8::new(u8::try_from(place + 1).ok()?)
        });
        Agreed { endpoint, subprotocol: number, deflate: accepted.deflate }
    }
}

/// What else is needed to let a session act.
pub(crate) struct Reach<'a, S> {
    pub(crate) key: Key,
    pub(crate) outbound: &'a Arc<Outbound>,
    pub(crate) turn: &'a mut Turn,
    pub(crate) service: &'a mut S,
}

impl<S: Service> Reach<'_, S> {
    fn context<'c>(&'c mut self, side: &'c mut Side) -> (&'c mut S, Context<'c>) {
        (self.service, Context { key: self.key, outbound: self.outbound, side, turn: self.turn })
    }
}

impl WebSocket {
    /// A session that begins now; its 101 has been sent.
    pub(crate) fn open<S: Service>(
        agreed: Agreed,
        message_bytes_max: usize,
        ration: Ration,
        head: &Head<'_>,
        admission: Admission,
        reach: &mut Reach<'_, S>,
    ) -> WebSocket {
        let Agreed { endpoint, subprotocol, deflate } = agreed;
        let mut side = Side {
            endpoint,
            subprotocol,
            deflate: deflate.map(|deflate| deflate.server_window),
            ended: false,
            alarms: Alarms::None,
            state: None,
            memberships: Memberships::None,
            posts_to: None,
            handle: None,
            inflates: deflate.is_some(),
            rare: None,
        };
        if let Some(deflate) = deflate.filter(|deflate| deflate.server_takeover) {
            side.rare().history = Some(Box::new(History::new(deflate.server_window)));
        }
        let now = reach.turn.now;
        // Connections that were opened together must not be pinged together for ever.
        let first_ping =
            reach.turn.limits.ping_interval.map_or(0, |interval| reach.turn.spread(reach.key, interval));
        let mut websocket = WebSocket {
            connection: Connection::new(decoder(message_bytes_max, deflate)),
            side,
            ping_at: now.saturating_add(first_ping),
            under_way: UnderWay::default(),
            controls: ControlFrames::new(now),
            meter: Meter::new(ration, now),
            names: incidents::keep_names(head),
        };
        let (service, mut cx) = reach.context(&mut websocket.side);
        service.open(&mut cx, head, admission);
        websocket.settle(reach);
        websocket
    }

    /// Where to read into instead of a buffer of the caller's, if anywhere: see [`Connection::space`].
    #[inline]
    pub(crate) fn space(&mut self, max: usize) -> Option<&mut [u8]> {
        // What is rationed is counted on its way through the caller's buffer.
        if self.meter.is_some() { None } else { self.connection.space(max) }
    }

    /// So many bytes have been read into [`space`](Self::space); they are received next, with none besides.
    pub(crate) fn fill(&mut self, count: usize) {
        self.connection.fill(count);
    }

    /// Takes what was read. Everything the session says in answer leaves in one write.
    pub(crate) fn receive<S: Service>(&mut self, bytes: &mut [u8], reach: &mut Reach<'_, S>) {
        let mut spares = std::mem::take(&mut reach.turn.spares);
        let (mut leftover, fresh) = (self.under_way.take_leftover(), bytes.len());
        let goes_on = leftover.is_some();
        let bytes = match &mut leftover {
            Some(leftover) => self.go_on(leftover, bytes, reach.turn.now),
            None => bytes,
        };
        let granted = reach.turn.inflating.grant(self.meter.is_some());
        let mut input = Input::with_spares(&mut *bytes, &mut spares).inflating_at_most(granted);
        if let Some(meter) = &mut self.meter
            && !meter.take_bytes(fresh, reach.turn.now)
        {
            flood(&mut self.side, Limit::Bytes, reach);
        }
        while let Some(incoming) = self.connection.poll(&mut input) {
            match incoming {
                Incoming::Message(message) => {
                    if let Some(meter) = &mut self.meter
                        && !meter.take_message(reach.turn.now)
                    {
                        flood(&mut self.side, Limit::Messages, reach);
                    }
                    if !self.side.is_closing() {
                        let (service, mut cx) = reach.context(&mut self.side);
                        service.message(&mut cx, message);
                        if let Some(guard) = self.side.guard_mut()
                            && let Some(bytes) = guard.message_bytes_max.take()
                        {
                            self.connection.set_message_bytes_max(bytes);
                        }
                    }
                }
                Incoming::Ping(payload) => {
                    if control_frame(&mut self.controls, &mut self.side, reach) {
                        pong(payload, reach);
                    }
                }
                Incoming::Pong(_) => {
                    control_frame(&mut self.controls, &mut self.side, reach);
                }
                Incoming::Close { close, answer } => {
                    let code = close.code;
                    self.finish(code, Disconnect::PeerClosed(code), answer, reach);
                }
                Incoming::Failed { error, answer } => {
                    if error == ProtocolError::MessageTooBig {
                        reach.turn.metrics.hit(Limit::MessageBytes);
                    }
                    self.finish(Some(error.close_code()), Disconnect::Protocol(error), answer, reach);
                }
            }
            self.note_whole(reach.turn.now);
        }
        let (unread, surplus) = (input.len(), input.surplus_bytes());
        reach.turn.inflating.spend(input.inflated_bytes());
        let rest = &bytes[bytes.len() - unread..];
        let begin = || Leftover::new(rest, &reach.turn.waiting, reach.turn.now);
        let begun = (unread > 0 && !goes_on).then(begin);
        if let Some(mut leftover) = leftover.filter(|_| unread > 0).or(begun) {
            leftover.keep(unread, reach.turn.now);
            self.under_way.put_leftover(leftover);
        }
        reach.turn.spares = spares;
        self.charge_inflated(surplus, reach);
        self.note_unfinished(reach.turn);
        if self.meter.is_some() {
            self.slow_down(reach.turn);
        }
        self.settle(reach);
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
    fn charge_inflated<S: Service>(&mut self, surplus: usize, reach: &mut Reach<'_, S>) {
        if let Some(meter) = &mut self.meter
            && surplus > 0
            && !meter.take_bytes(surplus, reach.turn.now)
        {
            flood(&mut self.side, Limit::Bytes, reach);
        }
    }

    /// Bytes to read from the session at a time, if fewer than from others.
    pub(crate) fn read_bytes_max(&self, inflating: &Inflating) -> usize {
        let crowded = if self.side.inflates { inflating.read_bytes_max() } else { usize::MAX };
        if self.meter.is_some() { RATIONED_READ_BYTES.min(crowded) } else { crowded }
    }

    /// Whether the session has sent so much that it is not read now. The closing handshake is waited for all the same.
    pub(crate) fn is_slowed(&self, now: Tick) -> bool {
        self.slowed_until() > now && !self.is_closing()
    }

    fn slowed_until(&self) -> Tick {
        self.meter.as_ref().map_or(0, |meter| meter.slowed_until())
    }

    /// Both sides have said their last, or the peer cannot be talked to any more.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.phase() == Phase::Closed
    }

    /// Whether nothing is under way that has a deadline of its own: no closing handshake, no unfinished message, no
    /// timer, no ration. A peer that takes no data is found by looking after the session, not by its own events.
    pub(crate) fn is_at_ease(&self) -> bool {
        self.connection.phase() == Phase::Open
            && self.under_way.unfinished().is_none()
            && self.under_way.leftover().is_none()
            && self.side.alarms.next().is_none()
            && self.meter.is_none()
            && self.side.guard().is_none_or(|guard| guard.is_at_ease())
    }

    /// Whether a Close frame has been sent.
    pub(crate) fn is_closing(&self) -> bool {
        self.connection.phase() != Phase::Open
    }

    /// Whether a shard that this session publishes to is too far behind to read on.
    pub(crate) fn is_held(&self, turn: &Turn) -> bool {
        let joined = self.side.memberships.as_slice().iter().map(|membership| membership.lane);
        joined
            .chain(self.side.posts_to.map(LaneNumber::get))
            .any(|lane| turn.lanes[usize::from(lane)].is_congested())
    }

    /// Begins the closing handshake for a reason of the server's own.
    pub(crate) fn close<S: Service>(
        &mut self,
        code: CloseCode,
        reason: &str,
        because: Disconnect,
        reach: &mut Reach<'_, S>,
    ) {
        let (_, mut cx) = reach.context(&mut self.side);
        cx.close_because(code, reason, because);
        self.settle(reach);
    }

    /// A thread of the application has sent the Close frame, with this code and reason.
    pub(crate) fn closed_elsewhere<S: Service>(
        &mut self,
        code: CloseCode,
        reason: &str,
        reach: &mut Reach<'_, S>,
    ) {
        self.connection.close_sent();
        self.report(Disconnect::Closed(code), code, reason, reach);
        self.end(Disconnect::Closed(code), reach);
    }

    /// A thread of the application has something for the session.
    pub(crate) fn event<S: Service>(&mut self, event: State, reach: &mut Reach<'_, S>) {
        if !self.side.ended {
            let (service, mut cx) = reach.context(&mut self.side);
            service.event(&mut cx, event);
            self.settle(reach);
        }
    }

    /// Tells the service, leaves the rooms; once.
    pub(crate) fn end<S: Service>(&mut self, because: Disconnect, reach: &mut Reach<'_, S>) {
        if self.side.ended {
            return;
        }
        let mut because = because;
        if let Some(code) = reach.outbound.closed_elsewhere()
            && because != Disconnect::Closed(code)
        {
            // The client has heard of that, and the reactor has not until now.
            because = Disconnect::Closed(code);
            self.report(because, code, "closed by the application", reach);
        }
        self.side.ended = true;
        let (service, mut cx) = reach.context(&mut self.side);
        service.close(&mut cx, because);
        for membership in std::mem::take(&mut self.side.memberships).as_slice() {
            reach.turn.lanes[usize::from(membership.lane)].push(Command::Leave(membership.member));
        }
        self.side.handle = None;
        self.side.alarms = Alarms::None;
        self.side.state = None;
        if let Some(rare) = &mut self.side.rare {
            rare.held = None;
        }
        self.under_way.end_message();
        // Also if they are not limited any more: what was counted is taken off again.
        reach.turn.users.leave(reach.key);
    }

    /// The rooms refused this session's last bytes and can go on now.
    pub(crate) fn resume(&self, turn: &mut Turn) {
        for membership in self.side.memberships.as_slice() {
            turn.lanes[usize::from(membership.lane)].push(Command::Resume(membership.member));
        }
    }

    /// Does what is due by now. The session's deadlines, ping and timers are all looked after here.
    ///
    /// `alive_at` is when the peer gave a sign of life last.
    pub(crate) fn check<S: Service>(&mut self, alive_at: Tick, reach: &mut Reach<'_, S>) {
        if self.is_closing() {
            return;
        }
        let now = reach.turn.now;
        while !self.side.is_closing()
            && let Some(timer) = self.side.alarms.take_due(now)
        {
            let (service, mut cx) = reach.context(&mut self.side);
            service.timer(&mut cx, timer);
        }
        if self.side.guard_mut().is_some_and(|guard| guard.is_over(reach.turn)) {
            let (service, mut cx) = reach.context(&mut self.side);
            service.overdue(&mut cx);
            return self.settle(reach);
        }
        let limits = reach.turn.limits.clone();
        if let Some(timeout) = limits.idle_timeout
            && now >= alive_at.max(self.slowed_until()).saturating_add(ticks(timeout))
        {
            reach.turn.metrics.hit(Limit::IdleTimeout);
            return self.close(CloseCode::GOING_AWAY, "idle timeout", Disconnect::Idle, reach);
        }
        if self.unfinished_until(reach.turn).is_some_and(|until| now >= until) {
            reach.turn.metrics.hit(Limit::MessageTimeout);
            let because = Disconnect::UnfinishedMessage;
            return self.close(CloseCode::POLICY, "message not finished in time", because, reach);
        }
        if self.is_stalled(reach) {
            reach.turn.metrics.hit(Limit::WriteTimeout);
            // There is no way to get a Close frame to a peer that takes nothing.
            return self.close(CloseCode::POLICY, "takes no data", Disconnect::Stalled, reach);
        }
        if let Some(interval) = limits.ping_interval
            && now >= self.ping_at
        {
            self.ping_at = now.saturating_add(ticks(interval));
            encode::ping(&mut reach.turn.replies, PING_PAYLOAD);
        }
        self.settle(reach);
    }

    /// When [`WebSocket::check`] has to be called next.
    pub(crate) fn next_check(&self, alive_at: Tick, turn: &Turn) -> Option<Tick> {
        if self.is_closing() {
            return None;
        }
        let limits = &turn.limits;
        let slowed_until = self.slowed_until();
        let slowed = (slowed_until > turn.now).then_some(slowed_until);
        let idle =
            limits.idle_timeout.map(|timeout| alive_at.max(slowed_until).saturating_add(ticks(timeout)));
        let ping = limits.ping_interval.map(|_| self.ping_at);
        let unfinished = self.unfinished_until(turn);
        let stalled =
            self.under_way.stalled().map(|stalled| stalled.1.saturating_add(ticks(limits.write_timeout)));
        let guard = self.side.guard().and_then(|guard| guard.deadline());
        // No event tells that a peer has stopped taking: it is looked at also where nothing else is due.
        let look = Some(next_look(turn));
        let all = [idle, ping, unfinished, stalled, slowed, self.side.alarms.next(), guard, look];
        all.into_iter().flatten().min()
    }

    /// The limits have changed: what was planned by the old ones is due no later than the new ones say.
    pub(crate) fn tighten(&mut self, key: Key, turn: &Turn) {
        let Some(interval) = turn.limits.ping_interval else { return };
        // Pings that were off before have no time at all; those of many sessions must not all come now.
        if self.ping_at <= turn.now || self.ping_at > turn.now.saturating_add(ticks(interval)) {
            self.ping_at = turn.now.saturating_add(turn.spread(key, interval));
        }
    }

    /// Sends what the callbacks gathered, and the Close frame if they asked for one.
    fn settle<S: Service>(&mut self, reach: &mut Reach<'_, S>) {
        let Some(closing) = self.side.rare.as_mut().and_then(|rare| rare.closing.take()) else {
            return reach.turn.send_replies(reach.outbound);
        };
        let Closing { code, reason, because } = closing;
        encode::close(&mut reach.turn.replies, Some(code), &reason);
        let is_first = reach.outbound.close(&reach.turn.replies);
        reach.turn.forget_replies();
        self.connection.close_sent();
        // A connection that has failed takes no Close frame either.
        if is_first || reach.outbound.closed_elsewhere().is_none() {
            self.report(because, code, &reason, reach);
        }
        self.end(because, reach);
    }

    /// Tells the operator of a session that ends badly.
    fn report<S: Service>(
        &self,
        because: Disconnect,
        code: CloseCode,
        reason: &str,
        reach: &mut Reach<'_, S>,
    ) {
        if !self.side.ended {
            let end = End { key: reach.key, because, code, reason, names: &self.names, side: &self.side };
            let address = reach.outbound.stream().peer_addr().ok();
            incidents::report_end(&end, address, reach.turn, reach.service);
        }
    }

    /// The user, the room and the endpoint of the session, as the log names them; nothing once it has ended.
    pub(crate) fn named<'s, S: Service>(
        &'s self,
        service: &S,
    ) -> Option<(Option<&'s str>, Option<&'s str>, u16)> {
        let (user, room) = incidents::names_of(&self.side, &self.names, service);
        (!self.side.ended).then_some((user, room, self.side.endpoint))
    }

    /// The last frame of the session: the answer to the peer's Close, or the verdict on what it sent.
    fn finish<S: Service>(
        &mut self,
        code: Option<CloseCode>,
        because: Disconnect,
        answer: bool,
        reach: &mut Reach<'_, S>,
    ) {
        if answer && !self.side.is_closing() {
            encode::close(&mut reach.turn.replies, code, "");
            reach.outbound.close(&reach.turn.replies);
            reach.turn.forget_replies();
            if let (Disconnect::Protocol(error), Some(code)) = (because, code) {
                self.report(because, code, &error.to_string(), reach);
            }
            self.end(because, reach);
        }
    }

    /// Reads no more of a session that is in debt. For that time its message under way is not expected to be finished.
    fn slow_down(&mut self, turn: &Turn) {
        let Some((time, limit)) = self.meter.as_mut().and_then(|meter| meter.slow_down(turn.now)) else {
            return;
        };
        self.under_way.postpone(time);
        if !turn.limits.close_on_flood {
            turn.metrics.hit(limit);
        }
    }

    /// Notes whether the session is not read because the server is behind, or the client does not take what it has been
    /// sent, which has a deadline of its own. That time does not count against the message under way.
    #[inline]
    pub(crate) fn note_held_back(&mut self, is_held_back: bool, now: Tick) {
        self.under_way.note_held_back(is_held_back, now);
    }

    /// When the message under way has to be finished.
    fn unfinished_until(&self, turn: &Turn) -> Option<Tick> {
        Some(self.under_way.unread_since()?.saturating_add(ticks(turn.limits.message_timeout)))
    }

    /// Starts the clock anew where a message has ended. Who sends without a break may never let a read end between two of
    /// them, and yet finishes every one.
    #[inline]
    fn note_whole(&mut self, now: Tick) {
        if !self.connection.is_mid_message() {
            self.under_way.begin_anew(now);
        }
    }

    fn note_unfinished(&mut self, turn: &Turn) {
        if !self.connection.is_mid_message() {
            return self.under_way.end_message();
        }
        self.under_way.message(turn).held.set(self.connection.held_bytes());
    }

    /// Bytes that are held of what the client has sent: of a message under way, not inflated yet, or by the handler.
    pub(crate) fn held_bytes(&self) -> usize {
        self.under_way.held_bytes() + self.side.held_bytes()
    }

    fn is_stalled<S>(&mut self, reach: &Reach<'_, S>) -> bool {
        let now = reach.turn.now;
        let stalled = match (reach.outbound.stalled_at(), self.under_way.stalled()) {
            (None, _) => None,
            (Some(progress), Some(stalled)) if !is_progress(stalled.0, progress) => Some(stalled),
            (Some(progress), _) => Some((progress, now)),
        };
        self.under_way.note_stalled(stalled);
        stalled.is_some_and(|stalled| now >= stalled.1.saturating_add(ticks(reach.turn.limits.write_timeout)))
    }
}

/// When to look again whether a peer takes what is sent to it: a backlog is seen after half of `limits.write_timeout`
/// at the latest, and has the whole of it from then on.
pub(crate) fn next_look(turn: &Turn) -> Tick {
    turn.now.saturating_add(ticks(turn.limits.write_timeout / 2))
}

fn decoder(message_bytes_max: usize, deflate: Option<DeflateAgreement>) -> Decoder {
    let decoder = Decoder::new(Role::Server, message_bytes_max);
    match deflate {
        Some(deflate) => decoder.with_deflate(deflate.client_takeover.then_some(deflate.client_window)),
        None => decoder,
    }
}

/// Deals with a session that sends more than its ration, in the way that is configured: one that is to be slowed down
/// is so when all that was read has been dealt with.
#[cold]
fn flood<S: Service>(side: &mut Side, limit: Limit, reach: &mut Reach<'_, S>) {
    if reach.turn.limits.close_on_flood && !side.ended && !side.is_closing() {
        reach.turn.metrics.hit(limit);
        let reason = if limit == Limit::Bytes { "too many bytes" } else { "too many messages" };
        let (_, mut cx) = reach.context(side);
        cx.close_because(CloseCode::POLICY, reason, Disconnect::Flood(limit));
    }
}

/// Counts a control frame. False if the session is closing, also for too many of them.
fn control_frame<S: Service>(
    controls: &mut ControlFrames,
    side: &mut Side,
    reach: &mut Reach<'_, S>,
) -> bool {
    let limits = &reach.turn.limits;
    let within = limits.control_frames.is_none_or(|max| controls.take(max, limits.burst, reach.turn.now));
    if !within && !side.ended && !side.is_closing() {
        let limit = Limit::ControlFrames;
        reach.turn.metrics.hit(limit);
        let (_, mut cx) = reach.context(side);
        cx.close_because(CloseCode::POLICY, "too many control frames", Disconnect::Flood(limit));
    }
    within && !side.is_closing()
}

/// Answers a ping together with whatever else this event brings; if the socket takes nothing, only the newest pong is
/// kept.
fn pong<S>(payload: &[u8], reach: &mut Reach<'_, S>) {
    if reach.outbound.stalled_at().is_none() {
        return encode::pong(&mut reach.turn.replies, payload);
    }
    let mut frame = Vec::with_capacity(payload.len() + encode::HEADER_BYTES_MAX);
    encode::pong(&mut frame, payload);
    reach.outbound.pong(&frame);
}
