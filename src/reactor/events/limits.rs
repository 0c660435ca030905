//! New limits: every connection is looked at once, to hold them.

use crate::reactor::connection::deadlines::{after_event, tighten};
use crate::reactor::parts::Reactor;
use crate::reactor::service::Service;

/// Connections whose deadlines are looked at anew in one turn. Each costs less than a read, so that
/// messages do not wait for it.
const REVIEWED_PER_TURN: usize = 4096;

impl<S: Service> Reactor<S> {
    /// Looks at the deadlines of some connections anew, after the limits have changed: what was planned by the old ones
    /// must not hold longer than the new ones say, however quiet the connection.
    pub(crate) fn review(&mut self) {
        let Some(from) = self.review_from else { return };
        let keys = self.connections.keys_from(from, REVIEWED_PER_TURN);
        self.review_from = keys.is_some().then_some(from + REVIEWED_PER_TURN);
        for key in keys.unwrap_or_default() {
            if let Some(connection) = self.connections.get_mut(key) {
                tighten(key, connection, &mut self.shared);
                after_event(key, connection, &mut self.shared);
            }
        }
    }
}
