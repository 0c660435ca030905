//! Sessions that ended badly.

use std::net::SocketAddr;

use tracing::Level;

use super::names::kept_names;
use crate::limit_hits::Limit;
use crate::reactor::api::disconnect::Disconnect;
use crate::reactor::incidents::{Incident, Kind, cut, logged_address};
use crate::reactor::key::Key;
use crate::reactor::service::Service;
use crate::reactor::session::state::SessionState;
use crate::reactor::state::LoopState;
use crate::ws::{CloseCode, ProtocolError};

/// How a session ended, for the log.
pub(crate) struct End<'e> {
    pub(crate) key: Key,
    pub(crate) because: Disconnect,
    pub(crate) code: CloseCode,
    pub(crate) reason: &'e str,
    /// What it kept of its request.
    pub(crate) names: &'e str,
    pub(crate) state: &'e SessionState,
}

/// Tells the operator of the end of a session, if it was a bad one.
pub(crate) fn report_end<S: Service>(
    end: &End<'_>,
    address: Option<SocketAddr>,
    shared: &mut LoopState,
    service: &S,
) {
    let blamed = shared.blamed.take_if(|(key, _)| *key == end.key).map(|(_, limit)| limit.full_key());
    let Some(limit) = verdict_on(end.because) else { return };
    let path = shared.paths.get(usize::from(end.state.endpoint)).cloned();
    shared.report(Kind::Ended(end.code.get()), limit.or(blamed), address, || {
        let (user, room) = names_of(end.state, end.names, service);
        Incident {
            user: user.map(Into::into),
            room: room.map(Into::into),
            path: path.as_deref(),
            reason: end.reason.into(),
            ..Incident::default()
        }
    });
}

/// A session that vanished without a Close frame is nobody's fault as a rule: who looks for such a one asks for `debug`.
pub(crate) fn report_lost<S: Service>(
    state: &SessionState,
    kept: &str,
    address: Option<SocketAddr>,
    shared: &LoopState,
    service: &S,
) {
    if !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let (user, room) = names_of(state, kept, service);
    let (user, room) = (user.map(cut), room.map(cut));
    let path = shared.paths.get(usize::from(state.endpoint)).map(|path| &**path);
    let address = address.map(logged_address);
    tracing::debug!(address, user, room, path, "session lost without a Close frame");
}

/// The user and the room of a session: first what its token proves, then what its handler knows, then what its request says.
pub(crate) fn names_of<'n, S: Service>(
    state: &'n SessionState,
    kept: &'n str,
    service: &S,
) -> (Option<&'n str>, Option<&'n str>) {
    let identity = state.terms().and_then(|terms| terms.identity()).map(|identity| identity.user());
    let (kept_user, kept_room) = kept_names(kept);
    let said = state.user_state.as_ref().map(|kept| service.names(state.endpoint, kept));
    let (user, room) = said.unwrap_or_default();
    (identity.or(user).or(kept_user), room.or(kept_room))
}

/// Whether a session that ended like this ended badly, and by which limit if by one.
pub(crate) fn verdict_on(because: Disconnect) -> Option<Option<&'static str>> {
    let limit = match because {
        Disconnect::PeerClosed(_) | Disconnect::PeerGone | Disconnect::Shutdown => return None,
        Disconnect::Closed(code) if is_orderly(code) => return None,
        // By an application whose client has more to take than one may have waiting.
        Disconnect::Closed(CloseCode::TOO_SLOW) => Some("limits.reply_bytes"),
        Disconnect::Closed(_) | Disconnect::HandlerFailed => None,
        Disconnect::Protocol(ProtocolError::MessageTooBig) => Some(Limit::MessageBytes.full_key()),
        Disconnect::Protocol(_) => None,
        Disconnect::Idle => Some(Limit::IdleTimeout.full_key()),
        Disconnect::UnfinishedMessage => Some(Limit::MessageTimeout.full_key()),
        Disconnect::Stalled => Some(Limit::WriteTimeout.full_key()),
        Disconnect::OverLimit(limit) => Some(limit.full_key()),
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

#[cfg(test)]
mod tests {
    use super::*;

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
