//! The beginning of a turn: sessions inflate on whose input waited for that.

use crate::limit_hits::Limit;
use crate::reactor::connection::states::Queue;
use crate::reactor::key::Key;
use crate::reactor::parts::Reactor;
use crate::reactor::service::Service;

impl<S: Service> Reactor<S> {
    /// Begins the turn: the sessions that wait longest inflate on, as far as the budget goes.
    pub(crate) fn inflate(&mut self) {
        self.shared.inflating.begin_turn(self.shared.limits.inflated_bytes);
        for _ in 0..self.shared.inflating.waiting() {
            let Some(key) = self.shared.inflating.pop() else { break };
            let Some(connection) = self.connections.get_mut(key) else { continue };
            connection.queue = Queue::None;
            self.shared.limit_hits.hit(Limit::InflatedBytes);
            // Its shard may be behind by now; when the shard has caught up, the session comes back here.
            if self.is_held_back(key) {
                continue;
            }
            if let Some(connection) = self.connections.get_mut(key) {
                connection.alive_at = self.shared.now;
                self.receive(key, 0);
                self.read_on(key);
                self.shed();
            }
        }
    }

    /// The kernel has reported what it has while the session waited, and will not do so again.
    fn read_on(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.unread
            && !connection.has_leftover()
        {
            connection.make_ready(key, &mut self.shared);
        }
    }
}
