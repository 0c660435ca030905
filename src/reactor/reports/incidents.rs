//! What the operator should hear of: requests that were refused, and connections that ended badly.
//!
//! Each leaves one line at `info`, but of one kind and from one address only one in a time, and of all together only so
//! many: a flood of refusals must not become a flood of lines. What is left out is counted in the next line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use tracing::Level;

use crate::http::{Head, Response, Status, query};
use crate::metrics::Limit;
use crate::reactor::clock::wheel::Tick;
use crate::reactor::connection::table::Key;
use crate::reactor::listen::quotas::network;
use crate::reactor::service::{Arrival, Disconnect, Service};
use crate::reactor::session::auth::Standing;
use crate::reactor::session::context::Side;
use crate::reactor::state::Turn;
use crate::ws::{CloseCode, ProtocolError};

/// One line of a kind and an address in this time: 10 s in ticks of 20 ms.
const LINE_EVERY: Tick = 500;
/// Kinds and addresses that are remembered for that time. It bounds the memory, and the lines of all: a hundred a second.
const REMEMBERED_MAX: usize = 1024;
/// Stands between the kept names; no name has it.
const BETWEEN: &str = "\0";
/// Bytes of a path, a name or a reason in a line.
const TEXT_BYTES_MAX: usize = 256;

/// What happened, as far as lines of the same kind are limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A request was answered with this status.
    Refused(u16),
    /// A session ended with this code.
    Ended(u16),
    /// A response that follows a room ended.
    StreamEnded,
    /// A connection ended before its first request.
    NotOpened,
}

impl Kind {
    const fn message(self) -> &'static str {
        match self {
            Kind::Refused(_) => "request refused",
            Kind::Ended(_) => "session ended",
            Kind::StreamEnded => "event stream ended",
            Kind::NotOpened => "connection ended",
        }
    }
}

/// Which lines may be written.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    remembered: HashMap<(Kind, IpAddr), Remembered>,
    /// Lines that were left out and whose kind and address are not remembered any more, or never were.
    unlisted: u64,
}

#[derive(Debug)]
struct Remembered {
    until: Tick,
    left_out: u64,
}

impl Incidents {
    /// Whether there may be a line now; if so, how many were left out before.
    pub(crate) fn admit(&mut self, kind: Kind, address: Option<IpAddr>, now: Tick) -> Option<u64> {
        // Peers without an address are all the same one.
        let address = address.map_or(IpAddr::from([0; 4]), network);
        if let Some(remembered) = self.remembered.get_mut(&(kind, address)) {
            if now < remembered.until {
                remembered.left_out += 1;
                return None;
            }
            remembered.until = now.saturating_add(LINE_EVERY);
            return Some(std::mem::take(&mut remembered.left_out) + std::mem::take(&mut self.unlisted));
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            self.forget(now);
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            self.unlisted += 1;
            return None;
        }
        let until = now.saturating_add(LINE_EVERY);
        self.remembered.insert((kind, address), Remembered { until, left_out: 0 });
        Some(std::mem::take(&mut self.unlisted))
    }

    /// Forgets what is over; its count is told in the next line of any kind.
    fn forget(&mut self, now: Tick) {
        let unlisted = &mut self.unlisted;
        self.remembered.retain(|_, remembered| {
            let stays = now < remembered.until;
            *unlisted += if stays { 0 } else { remembered.left_out };
            stays
        });
    }
}

/// A line. What is not known is left out of it.
#[derive(Debug, Default)]
pub(crate) struct Incident<'i> {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) user: Option<Cow<'i, str>>,
    pub(crate) room: Option<Cow<'i, str>>,
    pub(crate) path: Option<&'i str>,
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<u16>,
    pub(crate) reason: Cow<'i, str>,
    pub(crate) limit: Option<&'static str>,
    /// Of the page that was not let in.
    pub(crate) origin: Option<&'i str>,
    pub(crate) hint: Option<&'static str>,
}

impl Turn {
    /// Has a line written, if there may be one of this kind and address now.
    #[cold]
    pub(crate) fn report<'i>(
        &mut self,
        kind: Kind,
        address: Option<SocketAddr>,
        incident: impl FnOnce() -> Incident<'i>,
    ) {
        if tracing::enabled!(Level::INFO)
            && let Some(left_out) = self.incidents.admit(kind, address.map(|address| address.ip()), self.now)
        {
            Incident { address, ..incident() }.log(kind.message(), left_out);
        }
    }
}

impl Incident<'_> {
    pub(crate) fn log(&self, message: &'static str, left_out: u64) {
        let address = self.address.map(|address| address.to_string());
        let (address, path) = (address.as_deref(), self.path.map(cut));
        let (user, room) = (self.user.as_deref().map(cut), self.room.as_deref().map(cut));
        let (status, code, reason) = (self.status, self.code, cut(&self.reason));
        let origin = self.origin.map(cut);
        let left_out = (left_out > 0).then_some(left_out);
        tracing::info!(
            address,
            user,
            room,
            path,
            status,
            code,
            reason,
            limit = self.limit,
            origin,
            hint = self.hint,
            left_out,
            "{message}"
        );
    }
}

/// Who asked, for the log.
pub(crate) struct Requester<'r> {
    pub(crate) address: SocketAddr,
    pub(crate) user: Option<&'r str>,
}

impl Requester<'_> {
    pub(crate) fn of(arrival: &Arrival) -> Self {
        Requester { address: arrival.peer, user: None }
    }
}

/// Tells the operator of a refusal.
pub(crate) fn report(
    response: &Response,
    head: Option<&Head<'_>>,
    hint: Option<&'static str>,
    requester: &Requester<'_>,
    turn: &mut Turn,
) {
    let status = response.status();
    turn.report(Kind::Refused(status.code()), Some(requester.address), || {
        let (user, room) = head.map_or((None, None), |head| names(head.path(), head.query()));
        Incident {
            user: requester.user.map(Into::into).or(user),
            room,
            path: head.map(Head::path),
            status: Some(status.code()),
            reason: reason_of(response),
            limit: response.limit(),
            origin: head
                .filter(|_| hint.is_some() && status == Status::FORBIDDEN)
                .and_then(|head| head.header("origin")),
            hint,
            ..Incident::default()
        }
    });
}

/// The same, of a request for this path that was answered later.
pub(crate) fn report_late(response: &Response, path: &str, requester: &Requester<'_>, turn: &mut Turn) {
    let status = response.status().code();
    turn.report(Kind::Refused(status), Some(requester.address), || Incident {
        user: requester.user.map(Into::into),
        room: names(path, "").1,
        path: Some(path),
        status: Some(status),
        reason: reason_of(response),
        limit: response.limit(),
        ..Incident::default()
    });
}

/// How a session ended, for the log.
pub(crate) struct End<'e> {
    pub(crate) key: Key,
    pub(crate) because: Disconnect,
    pub(crate) code: CloseCode,
    pub(crate) reason: &'e str,
    /// What it kept of its request.
    pub(crate) names: &'e str,
    pub(crate) side: &'e Side,
}

/// Tells the operator of the end of a session, if it was a bad one.
pub(crate) fn report_end<S: Service>(
    end: &End<'_>,
    address: Option<SocketAddr>,
    turn: &mut Turn,
    service: &S,
) {
    let blamed = turn.blamed.take_if(|(key, _)| *key == end.key).map(|(_, limit)| limit.full_key());
    let Some(limit) = verdict_on(end.because) else { return };
    let path = turn.paths.get(usize::from(end.side.endpoint)).cloned();
    let code = end.code.get();
    turn.report(Kind::Ended(code), address, || {
        let (user, room) = names_of(end.side, end.names, service);
        Incident {
            user: user.map(Into::into),
            room: room.map(Into::into),
            path: path.as_deref(),
            code: Some(code),
            reason: end.reason.into(),
            limit: limit.or(blamed),
            ..Incident::default()
        }
    });
}

/// The user and the room of a session: who has proved to be somebody is that, then counts what it has said, then what its
/// request says.
pub(crate) fn names_of<'n, S: Service>(
    side: &'n Side,
    kept: &'n str,
    service: &S,
) -> (Option<&'n str>, Option<&'n str>) {
    let identity = side.guard().and_then(|guard| match &guard.standing {
        Standing::Known(identity) => Some(identity.user()),
        Standing::Awaited(_) | Standing::Refused => None,
    });
    let (kept_user, kept_room) = kept_names(kept);
    let said = side.state.as_ref().map(|state| service.names(side.endpoint, state));
    let (user, room) = said.unwrap_or_default();
    (identity.or(user).or(kept_user), room.or(kept_room))
}

/// What a session keeps of its request for the line of its end: the user and the room, in one text, since every session
/// has it. Empty, and without memory of its own, if it names neither.
pub(crate) fn keep_names(head: &Head<'_>) -> Box<str> {
    match names(head.path(), head.query()) {
        (None, None) => Box::default(),
        (user, room) => {
            let (user, room) = (user.unwrap_or_default(), room.unwrap_or_default());
            [&cut(&user).replace(BETWEEN, " "), BETWEEN, cut(&room)].concat().into()
        }
    }
}

/// The user and the room that were kept.
pub(crate) fn kept_names(kept: &str) -> (Option<&str>, Option<&str>) {
    let (user, room) = kept.split_once(BETWEEN).unwrap_or_default();
    (Some(user).filter(|user| !user.is_empty()), Some(room).filter(|room| !room.is_empty()))
}

/// The user and the room that a request names.
pub(crate) fn names<'i>(path: &'i str, text: &'i str) -> (Option<Cow<'i, str>>, Option<Cow<'i, str>>) {
    let named = |name| query::get(text, name).ok().flatten().filter(|value| !value.is_empty());
    // `/api/chat/rooms/R/messages`, `/sse/rooms/R`, `/poll/rooms/R`.
    let mut segments = path.split('/').skip_while(|segment| *segment != "rooms").skip(1);
    let in_path = segments.next().and_then(|segment| query::decode_path_segment(segment).ok());
    let room = named("roomId").or(in_path.filter(|room| !room.is_empty()));
    (named("username"), room)
}

/// Whether the operator should hear of a response with this status.
pub(crate) fn is_refusal(status: Status) -> bool {
    matches!(status.code(), 400 | 401 | 403 | 408 | 413 | 414 | 429 | 431 | 501 | 503 | 505)
}

/// What a response says about the reason for it.
pub(crate) fn reason_of(response: &Response) -> Cow<'_, str> {
    #[derive(serde::Deserialize)]
    struct Problem<'p> {
        #[serde(borrow, default)]
        detail: Cow<'p, str>,
    }
    let body = response.body_bytes();
    let detail = serde_json::from_slice(body).map(|Problem { detail }| detail);
    let text = detail.unwrap_or_else(|_| String::from_utf8_lossy(body));
    if text.is_empty() { Cow::Borrowed(response.status().reason()) } else { text }
}

/// What to do about a refused request, where that is known.
pub(crate) fn hint_for(response: &Response, head: Option<&Head<'_>>) -> Option<&'static str> {
    let (status, head) = (response.status(), head?);
    if !matches!(status.code(), 400 | 403 | 426) {
        return None;
    }
    let wants_websocket =
        head.header("sec-websocket-key").is_some() || head.header("sec-websocket-version").is_some();
    let has_upgrade = head.header("upgrade").is_some();
    match status.code() {
        400 | 426 if wants_websocket && !has_upgrade => Some(
            "a proxy in between drops Upgrade and Connection; in nginx: proxy_http_version 1.1; proxy_set_header Upgrade \
             $http_upgrade; proxy_set_header Connection upgrade",
        ),
        403 if head.header("origin").is_some() && reason_of(response).contains("origin") => Some(
            "if this page may connect, name its origin in origins.allowed, or behind a proxy that speaks HTTPS let it set \
             X-Forwarded-Proto and name the proxy in proxy.trusted",
        ),
        _ => None,
    }
}

/// Whether a session that ended like this ended badly, and by which limit if by one.
pub(crate) fn verdict_on(because: Disconnect) -> Option<Option<&'static str>> {
    let limit = match because {
        Disconnect::PeerClosed(_) | Disconnect::PeerGone | Disconnect::Shutdown => return None,
        Disconnect::Closed(code) if is_orderly(code) => return None,
        Disconnect::Closed(_) | Disconnect::HandlerFailed => None,
        Disconnect::Protocol(ProtocolError::MessageTooBig) => Some(Limit::MessageBytes.full_key()),
        Disconnect::Protocol(_) => None,
        Disconnect::Idle => Some(Limit::IdleTimeout.full_key()),
        Disconnect::UnfinishedMessage => Some(Limit::MessageTimeout.full_key()),
        Disconnect::Stalled => Some(Limit::WriteTimeout.full_key()),
        Disconnect::Flood(limit) => Some(limit.full_key()),
        Disconnect::Memory => Some(Limit::Memory.full_key()),
        Disconnect::TooSlow => Some("rooms.window_messages"),
    };
    Some(limit)
}

/// Whether a session that is closed with this code has done nothing wrong and met no obstacle.
fn is_orderly(code: CloseCode) -> bool {
    // Service Restart (IANA); the server uses it, but it has no name here.
    const RESTART: u16 = 1012;
    code == CloseCode::NORMAL || code == CloseCode::GOING_AWAY || code.get() == RESTART
}

/// At most so many bytes of it.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn of_one_kind_and_address_there_is_one_line_in_a_time_with_the_count_of_the_rest() {
        let mut incidents = Incidents::default();
        let kind = Kind::Refused(403);
        assert_eq!(incidents.admit(kind, ip(1), 1), Some(0));
        for now in 2..100 {
            assert_eq!(incidents.admit(kind, ip(1), now), None);
        }
        assert_eq!(incidents.admit(kind, ip(2), 100), Some(0));
        assert_eq!(incidents.admit(Kind::Ended(1002), ip(1), 100), Some(0));
        assert_eq!(incidents.admit(kind, ip(1), 1 + LINE_EVERY), Some(98));
        assert_eq!(incidents.admit(kind, ip(1), 2 + 2 * LINE_EVERY), Some(0));
    }

    #[test]
    fn many_addresses_cost_bounded_memory_and_lines_and_none_is_lost_from_the_count() {
        let mut incidents = Incidents::default();
        let (mut lines, mut left_out) = (0, 0);
        let mut one = |now, number: u32| {
            let address = Some(IpAddr::from((number | 1 << 24).to_be_bytes()));
            for _ in 0..2 {
                if let Some(count) = incidents.admit(Kind::Refused(401), address, now) {
                    lines += 1;
                    left_out += count;
                }
            }
            assert!(incidents.remembered.len() <= REMEMBERED_MAX);
        };
        (0..10_000).for_each(|number| one(1, number));
        one(1 + LINE_EVERY, 20_000);
        assert_eq!(lines, REMEMBERED_MAX as u64 + 1);
        assert_eq!(left_out, 2 * 10_000 - REMEMBERED_MAX as u64);
    }

    #[test]
    fn names_stand_in_the_query_or_in_the_path() {
        let named = |path, query| {
            let (user, room) = names(path, query);
            (user.unwrap_or_default().into_owned(), room.unwrap_or_default().into_owned())
        };
        let both = |user: &str, room: &str| (user.to_owned(), room.to_owned());
        assert_eq!(named("/ws/chat", "token=t&roomId=a%20b&username=j%C3%B6rg"), both("jörg", "a b"));
        assert_eq!(named("/api/chat/rooms/a%2Fb/messages", "x"), both("", "a/b"));
        assert_eq!(named("/api/chat/rooms", ""), both("", ""));
        assert_eq!(named("/ws/chat", "roomId=%ff&username="), both("", ""));
    }

    #[test]
    fn what_a_session_keeps_gives_back_both_names() {
        let both = |user: &str, room: &str| [user, BETWEEN, room].concat();
        for (user, room) in [("ann", "lobby"), ("ann", ""), ("", "lobby")] {
            let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
            assert_eq!(kept_names(&both(user, room)), (some(user), some(room)));
        }
        assert_eq!(kept_names(""), (None, None));
    }

    #[test]
    fn a_session_that_vanished_or_was_closed_in_good_order_leaves_no_line() {
        for because in [
            Disconnect::PeerGone,
            Disconnect::PeerClosed(None),
            Disconnect::Shutdown,
            Disconnect::Closed(CloseCode::NORMAL),
            Disconnect::Closed(CloseCode::GOING_AWAY),
        ] {
            assert_eq!(verdict_on(because), None, "{because}");
        }
        assert_eq!(verdict_on(Disconnect::Closed(CloseCode::POLICY)), Some(None));
        let limited = verdict_on(Disconnect::Protocol(ProtocolError::MessageTooBig));
        assert_eq!(limited, Some(Some("limits.message_bytes")));
    }
}
