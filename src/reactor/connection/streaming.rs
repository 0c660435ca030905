//! Responses that do not end: they follow a room.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::TokenError;
use crate::http::Response;
use crate::metrics::Limit;
use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::connection::deadlines::Ending;
use crate::reactor::connection::table::Key;
use crate::reactor::connection::websocket::next_look;
use crate::reactor::reports::incidents::{Incident, Kind};
use crate::reactor::session::rooms::{JoinRequest, Membership};
use crate::reactor::state::Turn;
use crate::rooms::{Command, Encoding, Start};
use crate::transport::{Outbound, is_progress};

/// A response whose body goes on, with the messages of a chat room as an [`Encoding`] writes them, until either side ends
/// the connection.
pub struct Follow {
    pub(crate) head: Response,
    room: Box<str>,
    user: Box<str>,
    encoding: Arc<dyn Encoding>,
    start: Start,
    hello: bool,
    beat: Option<(Duration, &'static [u8])>,
    until: Option<Duration>,
}

impl Follow {
    /// Follows `room`, from the next message on. The status and the fields of `head` come first; its body is not sent.
    #[must_use]
    pub fn new(head: Response, room: &str, encoding: Arc<dyn Encoding>) -> Follow {
        let (room, user, start) = (room.into(), "".into(), Start::Live);
        Follow { head, room, user, encoding, start, hello: false, beat: None, until: None }
    }

    /// Begins elsewhere in the room's log.
    #[must_use]
    pub fn start(mut self, start: Start) -> Follow {
        self.start = start;
        self
    }

    /// Whether to begin with a WELCOME.
    #[must_use]
    pub fn hello(mut self, hello: bool) -> Follow {
        self.hello = hello;
        self
    }

    /// Whose it is, for whoever throws that user out of the room.
    #[must_use]
    pub fn user(mut self, user: &str) -> Follow {
        self.user = user.into();
        self
    }

    /// Sends these bytes every `interval`, so that proxies and the client see that the connection lives.
    #[must_use]
    pub fn beat(mut self, interval: Duration, bytes: &'static [u8]) -> Follow {
        self.beat = (!interval.is_zero()).then_some((interval, bytes));
        self
    }

    /// Ends at this time since 1970, if any.
    #[must_use]
    pub fn until(mut self, time: Option<Duration>) -> Follow {
        self.until = time;
        self
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("room", &self.room).finish_non_exhaustive()
    }
}

/// What keeps watch over such a response.
#[derive(Debug)]
pub(crate) struct Following {
    membership: Membership,
    /// Of whom, what and which request the log tells.
    user: Box<str>,
    room: Box<str>,
    path: Box<str>,
    /// How often a sign of life is sent, which one, and when the next is due.
    beat: Option<(Tick, &'static [u8], Tick)>,
    until: Option<Ending>,
    /// The write half's progress counter, and when it was first seen at about that value with bytes waiting.
    stalled: Option<(u32, Tick)>,
}

impl Following {
    /// Joins the room; the head of the response has been sent.
    pub(crate) fn begin(
        follow: Follow,
        path: Box<str>,
        key: Key,
        outbound: &Arc<Outbound>,
        turn: &mut Turn,
    ) -> Following {
        let Follow { room, user, encoding, start, hello, beat, until, .. } = follow;
        let request =
            JoinRequest::chat(&room, &user).start(start).hello(hello).silent().reading().encoding(encoding);
        let membership = turn.enter(key, outbound, request, None);
        let beat = beat.map(|(interval, bytes)| {
            (ticks(interval), bytes, turn.now.saturating_add(turn.spread(key, interval)))
        });
        let until = until.map(|until| Ending::by_clock(until, turn));
        Following { membership, user, room, path, beat, until, stalled: None }
    }

    /// Leaves the room, once: the member's key is somebody else's from now on.
    pub(crate) fn end(self, turn: &mut Turn) {
        turn.lanes[usize::from(self.membership.lane)].push(Command::Leave(self.membership.member));
    }

    /// The socket refused bytes of the room and takes some now.
    pub(crate) fn resume(&self, turn: &mut Turn) {
        turn.lanes[usize::from(self.membership.lane)].push(Command::Resume(self.membership.member));
    }

    /// Does what is due by now. False if the response has to end.
    pub(crate) fn check(&mut self, outbound: &Outbound, turn: &mut Turn) -> bool {
        let address = || outbound.stream().peer_addr().ok();
        if self.until.as_mut().is_some_and(|ending| ending.has_come(turn)) {
            self.report(TokenError::Expired.message(), None, address(), turn);
            return false;
        }
        self.stalled = match (outbound.stalled_at(), self.stalled) {
            (None, _) => None,
            (Some(progress), Some(stalled)) if !is_progress(stalled.0, progress) => Some(stalled),
            (Some(progress), _) => Some((progress, turn.now)),
        };
        if self.stalled.is_some_and(|(_, since)| turn.now >= Following::stalled_until(since, turn)) {
            turn.metrics.hit(Limit::WriteTimeout);
            let limit = Some(Limit::WriteTimeout.full_key());
            self.report("takes no data of its event stream", limit, address(), turn);
            return false;
        }
        if let Some((interval, bytes, at)) = &mut self.beat
            && *at <= turn.now
        {
            *at = turn.now.saturating_add(*interval);
            // Whoever has bytes to take has a sign of life, too.
            if self.stalled.is_none() {
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
        turn: &mut Turn,
    ) {
        turn.report(Kind::StreamEnded, address, || Incident {
            user: Some(&*self.user).filter(|user| !user.is_empty()).map(Into::into),
            room: Some((*self.room).into()),
            path: Some(&*self.path),
            reason: reason.into(),
            limit,
            ..Incident::default()
        });
    }

    /// When [`Following::check`] has to be called next.
    pub(crate) fn next_check(&self, turn: &Turn) -> Option<Tick> {
        let beat = self.beat.map(|(_, _, at)| at);
        let until = self.until.map(|ending| ending.at);
        let stalled = self.stalled.map(|(_, since)| Following::stalled_until(since, turn));
        // Also a stream without beats, whose peer has stopped taking: no event tells of that.
        let look = Some(next_look(turn));
        [beat, until, stalled, look].into_iter().flatten().min()
    }

    fn stalled_until(since: Tick, turn: &Turn) -> Tick {
        since.saturating_add(ticks(turn.limits.write_timeout))
    }
}
