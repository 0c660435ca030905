//! A session from its 101 to its end: frames in, callbacks out, heartbeats and deadlines.

use std::sync::Arc;

use super::context::{Closing, Context, Memberships, Side};
use super::service::{Admission, Disconnect, Service};
use super::slots::Key;
use super::timers::{Tick, ticks};
use super::turn::Turn;
use crate::handshake::DeflateAgreement;
use crate::http::Head;
use crate::rooms::Command;
use crate::transport::Outbound;
use crate::ws::deflate::History;
use crate::ws::{CloseCode, Connection, Decoder, Incoming, Input, Phase, Role, encode};

/// The payload of the server's own pings.
const PING_PAYLOAD: &[u8] = b"ping";

/// The reading side of one WebSocket session.
#[derive(Debug)]
pub(super) struct WebSocket {
    connection: Connection,
    pub(super) side: Side,
    /// When the last ping went out.
    pinged: Tick,
    /// When the message that is under way began.
    unfinished_since: Option<Tick>,
    /// The write half's progress counter, and when it was first seen at that value with bytes waiting.
    stalled: Option<(u32, Tick)>,
}

/// What else is needed to let a session act.
pub(super) struct Reach<'a, S> {
    pub(super) key: Key,
    pub(super) outbound: &'a Arc<Outbound>,
    pub(super) turn: &'a mut Turn,
    pub(super) service: &'a mut S,
}

impl<S: Service> Reach<'_, S> {
    fn context<'c>(&'c mut self, side: &'c mut Side) -> (&'c mut S, Context<'c>) {
        (self.service, Context { key: self.key, outbound: self.outbound, side, turn: self.turn })
    }
}

impl WebSocket {
    /// A session that begins now; its 101 has been sent.
    pub(super) fn open<S: Service>(
        endpoint: u16,
        message_bytes_max: usize,
        deflate: Option<DeflateAgreement>,
        head: &Head<'_>,
        admission: Admission,
        reach: &mut Reach<'_, S>,
    ) -> WebSocket {
        let side = Side {
            endpoint,
            deflate: deflate.map(|deflate| deflate.server_window),
            history: deflate
                .filter(|deflate| deflate.server_takeover)
                .map(|deflate| Box::new(History::new(deflate.server_window))),
            ended: false,
            alarm: None,
            memberships: Memberships::None,
            handle: None,
            closing: None,
            guard: None,
        };
        // The first ping comes a little early, for each connection by another amount, so that connections that were
        // opened together do not ping together for ever.
        let interval = reach.turn.limits.ping_interval.map_or(0, ticks);
        let jitter =
            Tick::try_from(reach.turn.session_id(reach.key) % u128::from(interval / 2 + 1)).unwrap_or(0);
        let mut websocket = WebSocket {
            connection: Connection::new(decoder(message_bytes_max, deflate)),
            side,
            pinged: reach.turn.now.saturating_sub(jitter),
            unfinished_since: None,
            stalled: None,
        };
        let (service, mut cx) = reach.context(&mut websocket.side);
        service.open(&mut cx, head, admission);
        websocket.settle(reach);
        websocket
    }

    /// Where to read into instead of a buffer of the caller's, if anywhere: see [`Connection::space`].
    #[inline]
    pub(super) fn space(&mut self, max: usize) -> Option<&mut [u8]> {
        self.connection.space(max)
    }

    /// So many bytes have been read into [`space`](Self::space); they are received next, with none besides.
    pub(super) fn fill(&mut self, count: usize) {
        self.connection.fill(count);
    }

    /// Takes what was read. Everything the session says in answer leaves in one write.
    pub(super) fn receive<S: Service>(&mut self, bytes: &mut [u8], reach: &mut Reach<'_, S>) {
        let mut spares = std::mem::take(&mut reach.turn.spares);
        let mut input = Input::with_spares(bytes, &mut spares);
        while let Some(incoming) = self.connection.poll(&mut input) {
            match incoming {
                Incoming::Message(message) => {
                    if self.side.closing.is_none() {
                        let (service, mut cx) = reach.context(&mut self.side);
                        service.message(&mut cx, message);
                        if let Some(guard) = &mut self.side.guard
                            && let Some(bytes) = guard.message_bytes_max.take()
                        {
                            self.connection.set_message_bytes_max(bytes);
                        }
                    }
                }
                Incoming::Ping(payload) => pong(payload, reach),
                Incoming::Pong(_) => {}
                Incoming::Close { close, answer } => {
                    let code = close.code;
                    self.finish(code, Disconnect::PeerClosed(code), answer, reach);
                }
                Incoming::Failed { error, answer } => {
                    self.finish(Some(error.close_code()), Disconnect::Protocol(error), answer, reach);
                }
            }
        }
        reach.turn.spares = spares;
        self.note_unfinished(reach.turn);
        self.settle(reach);
    }

    /// Both sides have said their last, or the peer cannot be talked to any more.
    pub(super) fn is_over(&self) -> bool {
        self.connection.phase() == Phase::Closed
    }

    /// Whether nothing is under way that has a deadline of its own: no closing handshake, no unfinished message, no
    /// alarm. A peer that takes no data is found by looking after the session, not by its own events.
    pub(super) fn is_at_ease(&self) -> bool {
        self.connection.phase() == Phase::Open
            && self.unfinished_since.is_none()
            && self.side.alarm.is_none()
            && self.side.guard.as_ref().is_none_or(|guard| guard.is_at_ease())
    }

    /// Whether a Close frame has been sent.
    pub(super) fn is_closing(&self) -> bool {
        self.connection.phase() != Phase::Open
    }

    /// Whether a shard that this session publishes to is too far behind to read on.
    pub(super) fn is_held(&self, turn: &Turn) -> bool {
        let memberships = self.side.memberships.as_slice();
        memberships.iter().any(|membership| turn.lanes[usize::from(membership.lane)].is_congested())
    }

    /// Begins the closing handshake for a reason of the server's own.
    pub(super) fn close<S: Service>(
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

    /// A thread of the application has sent the Close frame.
    pub(super) fn closed_elsewhere<S: Service>(&mut self, reach: &mut Reach<'_, S>) {
        self.connection.close_sent();
        self.end(Disconnect::Closed(CloseCode::NORMAL), reach);
    }

    /// Tells the service, leaves the rooms; once.
    pub(super) fn end<S: Service>(&mut self, because: Disconnect, reach: &mut Reach<'_, S>) {
        if std::mem::replace(&mut self.side.ended, true) {
            return;
        }
        let (service, mut cx) = reach.context(&mut self.side);
        service.close(&mut cx, because);
        for membership in std::mem::take(&mut self.side.memberships).as_slice() {
            reach.turn.lanes[usize::from(membership.lane)].push(Command::Leave(membership.member));
        }
        self.side.handle = None;
        self.side.alarm = None;
    }

    /// The rooms refused this session's last bytes and can go on now.
    pub(super) fn resume(&self, turn: &mut Turn) {
        for membership in self.side.memberships.as_slice() {
            turn.lanes[usize::from(membership.lane)].push(Command::Resume(membership.member));
        }
    }

    /// Does what is due by now. The session's deadlines, ping and alarm are all looked after here.
    pub(super) fn check<S: Service>(&mut self, last_read: Tick, reach: &mut Reach<'_, S>) {
        if self.is_closing() {
            return;
        }
        let now = reach.turn.now;
        if self.side.alarm.is_some_and(|at| at <= now) {
            self.side.alarm = None;
            let (service, mut cx) = reach.context(&mut self.side);
            service.alarm(&mut cx);
        }
        if self.side.guard.as_mut().is_some_and(|guard| guard.is_over(reach.turn)) {
            let (service, mut cx) = reach.context(&mut self.side);
            service.overdue(&mut cx);
            return self.settle(reach);
        }
        let limits = reach.turn.limits.clone();
        if let Some(timeout) = limits.idle_timeout
            && now >= last_read.saturating_add(ticks(timeout))
        {
            return self.close(CloseCode::GOING_AWAY, "idle timeout", Disconnect::Idle, reach);
        }
        if self
            .unfinished_since
            .is_some_and(|since| now >= since.saturating_add(ticks(limits.message_timeout)))
        {
            let because = Disconnect::UnfinishedMessage;
            return self.close(CloseCode::POLICY, "message not finished in time", because, reach);
        }
        if self.is_stalled(reach) {
            // There is no way to get a Close frame to a peer that takes nothing.
            return self.close(CloseCode::POLICY, "takes no data", Disconnect::Stalled, reach);
        }
        if let Some(interval) = limits.ping_interval
            && now >= self.pinged.saturating_add(ticks(interval))
        {
            self.pinged = now;
            encode::ping(&mut reach.turn.replies, PING_PAYLOAD);
        }
        self.settle(reach);
    }

    /// When [`WebSocket::check`] has to be called next.
    pub(super) fn next_check(&self, last_read: Tick, turn: &Turn) -> Option<Tick> {
        if self.is_closing() {
            return None;
        }
        let limits = &turn.limits;
        let idle = limits.idle_timeout.map(|timeout| last_read.saturating_add(ticks(timeout)));
        let ping = limits.ping_interval.map(|interval| self.pinged.saturating_add(ticks(interval)));
        let unfinished =
            self.unfinished_since.map(|since| since.saturating_add(ticks(limits.message_timeout)));
        let stalled = self.stalled.map(|(_, since)| since.saturating_add(ticks(limits.write_timeout)));
        let guard = self.side.guard.as_ref().and_then(|guard| guard.deadline);
        [idle, ping, unfinished, stalled, self.side.alarm, guard].into_iter().flatten().min()
    }

    /// Sends what the callbacks gathered, and the Close frame if they asked for one.
    fn settle<S: Service>(&mut self, reach: &mut Reach<'_, S>) {
        let Some(closing) = self.side.closing.take() else {
            return reach.turn.send_replies(reach.outbound);
        };
        let Closing { code, reason, because } = *closing;
        encode::close(&mut reach.turn.replies, Some(code), &reason);
        reach.outbound.close(&reach.turn.replies);
        reach.turn.forget_replies();
        self.connection.close_sent();
        self.end(because, reach);
    }

    /// The last frame of the session: the answer to the peer's Close, or the verdict on what it sent.
    fn finish<S: Service>(
        &mut self,
        code: Option<CloseCode>,
        because: Disconnect,
        answer: bool,
        reach: &mut Reach<'_, S>,
    ) {
        if answer && self.side.closing.is_none() {
            encode::close(&mut reach.turn.replies, code, "");
            reach.outbound.close(&reach.turn.replies);
            reach.turn.forget_replies();
            self.end(because, reach);
        }
    }

    fn note_unfinished(&mut self, turn: &Turn) {
        if !self.connection.is_mid_message() {
            self.unfinished_since = None;
        } else if self.unfinished_since.is_none() {
            self.unfinished_since = Some(turn.now);
        }
    }

    fn is_stalled<S>(&mut self, reach: &Reach<'_, S>) -> bool {
        let now = reach.turn.now;
        self.stalled = match (reach.outbound.stalled_at(), self.stalled) {
            (None, _) => None,
            (Some(progress), Some((seen, since))) if seen == progress => Some((seen, since)),
            (Some(progress), _) => Some((progress, now)),
        };
        self.stalled
            .is_some_and(|(_, since)| now >= since.saturating_add(ticks(reach.turn.limits.write_timeout)))
    }
}

fn decoder(message_bytes_max: usize, deflate: Option<DeflateAgreement>) -> Decoder {
    let decoder = Decoder::new(Role::Server, message_bytes_max);
    match deflate {
        Some(deflate) => decoder.with_deflate(deflate.client_takeover.then_some(deflate.client_window)),
        None => decoder,
    }
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
