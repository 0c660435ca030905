//! What leaves the window of a room, and what the room keeps no longer.

use std::sync::Arc;

use super::limits::RoomLimits;
use super::state::Room;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::settings::Retention;
use crate::rooms::timestamp::Timestamp;

impl<P: Peer> Room<P> {
    /// Lets the messages leave the window that are not needed in memory any more: what every member that was ready has
    /// been sent and, in a room that is stored, can be read from there.
    pub(in crate::rooms) fn evict(&mut self, limits: &RoomLimits) {
        let upto = if self.record_as().is_some() {
            self.positions.fanned_out().min(self.positions.stored())
        } else {
            self.positions.fanned_out()
        };
        let log = Arc::make_mut(&mut self.log);
        log.evict(limits.window, upto);
        log.evict_before(self.positions.oldest().min(upto + 1));
        self.follow_log();
        if self.stored_as.is_none() {
            self.positions.begin_at(self.log.tail());
            self.gone_at = self.log.time_of(self.positions.oldest() - 1).unwrap_or_default();
        }
    }

    /// The other forms of the log keep what the log keeps.
    pub(in crate::rooms) fn follow_log(&mut self) {
        self.deflated.follow(&self.log);
        self.encoded.follow(&self.log);
    }
}

impl<P> Room<P> {
    /// Notes what is kept no longer at this time. The room's clock never goes back.
    pub(in crate::rooms) fn expire(&mut self, now: Timestamp) {
        if self.retained.retention == Retention::default() {
            return;
        }
        let gone = self.retained.last_gone(&self.log, self.positions.visible(), now.max(self.last_at));
        if gone >= self.positions.oldest() {
            self.gone_at = self.log.time_of(gone).unwrap_or_default().max(self.gone_at);
            self.positions.begin_at(gone + 1);
        }
    }
}
