//! The deadlines of a session: its timers, heartbeat, idleness, unfinished message, stalled peer, closing handshake.

use super::course::Course;
use super::stall::{Stall, next_look};
use super::websocket::WebSocket;
use crate::limit_hits::Limit;
use crate::reactor::api::disconnect::Disconnect;
use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::env::Env;
use crate::reactor::key::Key;
use crate::reactor::service::Service;
use crate::reactor::state::LoopState;
use crate::ws::{CloseCode, Phase, encode};

/// The payload of the server's own pings.
const PING_PAYLOAD: &[u8] = b"ping";

impl WebSocket {
    /// Does what is due by now. The session's deadlines, ping and timers are all looked after here.
    ///
    /// `alive_at` is when the peer gave a sign of life last.
    pub(crate) fn check<S: Service>(&mut self, alive_at: Tick, env: &mut Env<'_, S>) {
        if self.is_closing() {
            return;
        }
        let now = env.shared.now;
        while self.state.is_open()
            && let Some(timer) = self.state.timers.take_due(now)
        {
            let (service, mut cx) = env.context(&mut self.state);
            service.timer(&mut cx, timer);
        }
        if self.state.terms_mut().is_some_and(|terms| terms.is_over(env.shared.now)) {
            let (service, mut cx) = env.context(&mut self.state);
            service.overdue(&mut cx);
            return self.flush_callbacks(env);
        }
        let limits = env.shared.limits.clone();
        if let Some(timeout) = limits.idle_timeout
            && now >= alive_at.max(self.slowed_until()).saturating_add(ticks(timeout))
        {
            env.shared.limit_hits.hit(Limit::IdleTimeout);
            return self.close(CloseCode::GOING_AWAY, "idle timeout", Disconnect::Idle, env);
        }
        if self.unfinished_until(env.shared).is_some_and(|until| now >= until) {
            env.shared.limit_hits.hit(Limit::MessageTimeout);
            let because = Disconnect::UnfinishedMessage;
            return self.close(CloseCode::POLICY, "message not finished in time", because, env);
        }
        if self.is_stalled(env) {
            env.shared.limit_hits.hit(Limit::WriteTimeout);
            // There is no way to get a Close frame to a peer that takes nothing.
            return self.close(CloseCode::POLICY, "takes no data", Disconnect::Stalled, env);
        }
        if let (Some(interval), Course::Open { ping_at }) = (limits.ping_interval, &mut self.course)
            && now >= *ping_at
        {
            *ping_at = now.saturating_add(ticks(interval));
            encode::ping(&mut env.shared.replies, PING_PAYLOAD);
        }
        self.flush_callbacks(env);
    }

    /// When [`WebSocket::check`] has to be called next.
    pub(crate) fn next_check(&self, alive_at: Tick, shared: &LoopState) -> Option<Tick> {
        if self.is_closing() {
            return None;
        }
        let limits = &shared.limits;
        let slowed_until = self.slowed_until();
        let slowed = (slowed_until > shared.now).then_some(slowed_until);
        let idle =
            limits.idle_timeout.map(|timeout| alive_at.max(slowed_until).saturating_add(ticks(timeout)));
        let Course::Open { ping_at } = self.course else { return None };
        let ping = limits.ping_interval.map(|_| ping_at);
        let unfinished = self.unfinished_until(shared);
        let stalled = self.under_way.stall().map(|stall| stall.until(limits.write_timeout));
        let terms = self.state.terms().and_then(|terms| terms.deadline());
        // No event tells that a peer has stopped taking: it is looked at also where nothing else is due.
        let look = Some(next_look(shared));
        let all = [idle, ping, unfinished, stalled, slowed, self.state.timers.next(), terms, look];
        all.into_iter().flatten().min()
    }

    /// The limits have changed: what was planned by the old ones is due no later than the new ones say.
    pub(crate) fn tighten(&mut self, key: Key, shared: &LoopState) {
        match &mut self.course {
            Course::Open { ping_at } => {
                let Some(interval) = shared.limits.ping_interval else { return };
                // Pings that were off before have no time at all; those of many sessions must not all come now.
                if *ping_at <= shared.now || *ping_at > shared.now.saturating_add(ticks(interval)) {
                    *ping_at = shared.now.saturating_add(shared.spread(key, interval));
                }
            }
            Course::Closing { until } => {
                *until = (*until).min(shared.now.saturating_add(ticks(shared.limits.close_timeout)));
            }
        }
    }

    /// Begins to wait for the peer's Close frame, if one was sent in this event. To be called after each event.
    pub(crate) fn begin_closing(&mut self, shared: &LoopState) -> bool {
        debug_assert_eq!(
            self.state.is_open(),
            !self.is_closing(),
            "the session and its frames disagree about the end"
        );
        if !self.is_closing() || matches!(self.course, Course::Closing { .. }) {
            return false;
        }
        let until = shared.now.saturating_add(ticks(shared.limits.close_timeout));
        self.course = Course::Closing { until };
        true
    }

    /// Until when the peer's Close frame is waited for, if it is.
    pub(crate) fn closing_until(&self) -> Option<Tick> {
        match self.course {
            Course::Open { .. } => None,
            Course::Closing { until } => Some(until),
        }
    }

    /// The peer makes progress with what it has to take before the Close frame.
    pub(crate) fn put_off_closing(&mut self, at_least: Tick) {
        if let Course::Closing { until } = &mut self.course {
            *until = (*until).max(at_least);
        }
    }

    /// Whether nothing is under way that has a deadline of its own: no closing handshake, no unfinished message, no
    /// timer, no rate limit. A peer that takes no data is found by looking after the session, not by its own events.
    pub(crate) fn is_at_ease(&self) -> bool {
        self.protocol.phase() == Phase::Open
            && self.under_way.unfinished().is_none()
            && self.under_way.leftover().is_none()
            && self.state.timers.next().is_none()
            && self.limiter.is_none()
            && self.state.terms().is_none_or(|terms| terms.is_at_ease())
    }

    /// Whether the session has sent so much that it is not read now. The closing handshake is waited for all the same.
    pub(crate) fn is_slowed(&self, now: Tick) -> bool {
        self.slowed_until() > now && !self.is_closing()
    }

    fn slowed_until(&self) -> Tick {
        self.limiter.as_ref().map_or(0, |limiter| limiter.slowed_until())
    }

    /// Reads no more of a session that is in debt. For that time its message under way is not expected to be finished.
    pub(super) fn slow_down(&mut self, shared: &LoopState) {
        let Some((time, limit)) = self.limiter.as_mut().and_then(|limiter| limiter.slow_down(shared.now))
        else {
            return;
        };
        self.under_way.postpone(time);
        if !shared.limits.close_over_limit {
            shared.limit_hits.hit(limit);
        }
    }

    /// When the message under way has to be finished.
    fn unfinished_until(&self, shared: &LoopState) -> Option<Tick> {
        Some(self.under_way.unread_since()?.saturating_add(ticks(shared.limits.message_timeout)))
    }

    fn is_stalled<S>(&mut self, env: &Env<'_, S>) -> bool {
        let now = env.shared.now;
        let stall = Stall::watch(self.under_way.stall(), env.outbound, now);
        self.under_way.note_stall(stall);
        stall.is_some_and(|stall| now >= stall.until(env.shared.limits.write_timeout))
    }
}
