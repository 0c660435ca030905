//! Sessions that are in no room are looked for, part by part: the shards know the others.

use crate::reactor::connection::states::ConnectionState;
use crate::reactor::found::{FoundSession, FoundSessions};
use crate::reactor::incidents::cut;
use crate::reactor::key::Key;
use crate::reactor::parts::Reactor;
use crate::reactor::service::Service;
use crate::rooms::{SessionKey, is_meant};

/// Places of the table that one part looks at: tens of microseconds in which every session waits, and one part at most in a turn.
const LOOKED_AT_MAX: usize = 256;

impl<S: Service> Reactor<S> {
    /// The sessions in no room that are meant by this text, in the places from this one on.
    pub(super) fn find_sessions(&self, text: &str, from: usize) -> FoundSessions {
        let Some(keys) = self.connections.keys_from(from, LOOKED_AT_MAX) else {
            return FoundSessions::default();
        };
        let sessions = keys.into_iter().filter_map(|key| self.describe(key, text)).collect();
        FoundSessions { sessions, next: Some(from + LOOKED_AT_MAX) }
    }

    /// The session of this connection, if it is in no room and is meant.
    fn describe(&self, key: Key, text: &str) -> Option<FoundSession> {
        let connection = self.connections.get(key)?;
        let ConnectionState::WebSocket(websocket) = &connection.state else { return None };
        if !websocket.state.memberships.as_slice().is_empty() {
            return None;
        }
        let (user, room, endpoint) = websocket.named(&self.service)?;
        let session_id = self.shared.session_id(key);
        let address = || connection.outbound.stream().peer_addr().ok();
        is_meant(text, user.unwrap_or_default(), session_id, address).then(|| FoundSession {
            session: SessionKey(key.to_bits()),
            session_id,
            address: address(),
            user: user.map(|user| cut(user).into()),
            room: room.map(|room| cut(room).into()),
            path: self.shared.paths.get(usize::from(endpoint)).cloned(),
        })
    }
}
