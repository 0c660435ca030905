//! Connections that are not read for now, and when they are read on.

use crate::reactor::connection::pause::{hasten, hold_back};
use crate::reactor::connection::states::{InputEnd, Queue};
use crate::reactor::key::Key;
use crate::reactor::parts::Reactor;
use crate::reactor::service::Service;

impl<S: Service> Reactor<S> {
    /// Whether the connection must not be read now: it is [held back](hold_back), or is gone because of that.
    pub(crate) fn is_held_back(&mut self, key: Key) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return true };
        if !hold_back(key, connection, &mut self.shared) {
            return false;
        }
        // A client that has reset its connection takes no answer, however long it was to wait for one, and waits for no
        // rate: what the kernel still has of its input is lost (RFC 9293 §3.10.7.4). Where only the shard is behind, which
        // does not last, it is read to its end.
        if connection.input_end == InputEnd::Failed && connection.queue == Queue::None {
            self.remove(key);
        } else {
            hasten(key, connection, &mut self.shared);
        }
        true
    }

    /// Lets those read on whose shards have caught up.
    pub(crate) fn release_held(&mut self) {
        for key in std::mem::take(&mut self.shared.held) {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            connection.queue = Queue::None;
            if !self.is_held_back(key)
                && let Some(connection) = self.connections.get_mut(key)
            {
                connection.make_ready(key, &mut self.shared);
            }
        }
    }
}
