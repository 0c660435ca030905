//! Responses that do not end: they follow a room.

use std::net::SocketAddr;
use std::sync::Arc;

use super::respond::encode;
use super::stall::{Stall, next_look};
use crate::auth::TokenError;
use crate::http::ResponseFraming;
use crate::limit_hits::Limit;
use crate::reactor::api::join::{JoinRequest, Membership};
use crate::reactor::api::stream_response::StreamResponse;
use crate::reactor::clock::ending::Ending;
use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::env::Env;
use crate::reactor::incidents::{Incident, Kind};
use crate::reactor::key::Key;
use crate::reactor::state::LoopState;
use crate::rooms::Command;
use crate::transport::Outbound;

/// What keeps watch over such a response.
#[derive(Debug)]
pub(crate) struct Streaming {
    membership: Membership,
    /// Of whom, what and which request the log tells.
    user: Box<str>,
    room: Box<str>,
    path: Box<str>,
    /// How often a sign of life is sent, which one, and when the next is due.
    beat: Option<(Tick, &'static [u8], Tick)>,
    until: Option<Ending>,
    stall: Option<Stall>,
}

impl Streaming {
    /// Sends the head of the response and joins the room. `None` if the head is all: to a `HEAD` request, or if it cannot be
    /// written; the connection ends then.
    pub(super) fn open<S>(
        follow: StreamResponse,
        path: Box<str>,
        reply: ResponseFraming,
        env: &mut Env<'_, S>,
    ) -> Option<Streaming> {
        let date = env.shared.date().to_owned();
        if reply.head_only || follow.head.encode_open(&mut env.shared.replies, &date).is_err() {
            let _ends_anyway = encode(&follow.head.close(), reply, env);
            return None;
        }
        env.shared.counters.count_response(follow.head.status());
        env.shared.send_replies(env.outbound);
        Some(Streaming::begin(follow, path, env.key, env.outbound, env.shared))
    }

    /// Joins the room; the head of the response has been sent.
    fn begin(
        follow: StreamResponse,
        path: Box<str>,
        key: Key,
        outbound: &Arc<Outbound>,
        shared: &mut LoopState,
    ) -> Streaming {
        shared.counters.streams += 1;
        let StreamResponse { room, user, encoding, start, welcome, beat, until, .. } = follow;
        let request = JoinRequest::chat(&room, &user)
            .start(start)
            .welcome(welcome)
            .silent()
            .reading()
            .encoding(encoding);
        let membership = shared.enter(key, outbound, request, None);
        let beat = beat.map(|(interval, bytes)| {
            (ticks(interval), bytes, shared.now.saturating_add(shared.spread(key, interval)))
        });
        let until = until.map(|until| Ending::by_clock(until, shared.now));
        Streaming { membership, user, room, path, beat, until, stall: None }
    }

    /// Leaves the room, once: the member's key may name another member from now on.
    pub(crate) fn end(self, shared: &mut LoopState) {
        shared.counters.streams_ended += 1;
        shared.shards[usize::from(self.membership.shard)].push(Command::Leave(self.membership.member));
    }

    /// The socket refused bytes of the room and takes some now.
    pub(crate) fn resume(&self, shared: &mut LoopState) {
        shared.shards[usize::from(self.membership.shard)].push(Command::Resume(self.membership.member));
    }

    /// Does what is due by now. False if the response has to end.
    pub(crate) fn check(&mut self, outbound: &Outbound, shared: &mut LoopState) -> bool {
        let address = || outbound.stream().peer_addr().ok();
        if self.until.as_mut().is_some_and(|ending| ending.has_come(shared.now)) {
            self.report(TokenError::Expired.message(), None, address(), shared);
            return false;
        }
        self.stall = Stall::watch(self.stall, outbound, shared.now);
        if self.stall.is_some_and(|stall| shared.now >= stall.until(shared.limits.write_timeout)) {
            shared.limit_hits.hit(Limit::WriteTimeout);
            let limit = Some(Limit::WriteTimeout.full_key());
            self.report("takes no data of its event stream", limit, address(), shared);
            return false;
        }
        if let Some((interval, bytes, at)) = &mut self.beat
            && *at <= shared.now
        {
            *at = shared.now.saturating_add(*interval);
            // A client with bytes to take has a sign of life, too.
            if self.stall.is_none() {
                shared.counters.sent_bytes += bytes.len() as u64;
                let _ends_soon = outbound.send_unbounded(bytes);
            }
        }
        true
    }

    /// Tells the operator of a stream that ends badly.
    pub(crate) fn report(
        &self,
        reason: &str,
        limit: Option<&'static str>,
        address: Option<SocketAddr>,
        shared: &mut LoopState,
    ) {
        shared.report(Kind::StreamEnded, limit, address, || Incident {
            user: Some(&*self.user).filter(|user| !user.is_empty()).map(Into::into),
            room: Some((*self.room).into()),
            path: Some(&*self.path),
            reason: reason.into(),
            ..Incident::default()
        });
    }

    /// When [`Streaming::check`] has to be called next.
    pub(crate) fn next_check(&self, shared: &LoopState) -> Option<Tick> {
        let beat = self.beat.map(|(_, _, at)| at);
        let until = self.until.map(|ending| ending.at);
        let stalled = self.stall.map(|stall| stall.until(shared.limits.write_timeout));
        // Also a stream without beats, whose peer has stopped taking: no event tells of that.
        let look = Some(next_look(shared));
        [beat, until, stalled, look].into_iter().flatten().min()
    }
}
