//! A room goes on with the log that the store has, under another epoch.

use super::limits::RoomLimits;
use super::member::MemberState;
use super::outcome::Outcome;
use super::parallel::FanoutPool;
use super::state::Room;
use super::store_link::StoreLink;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::Opened;
use crate::rooms::clock::Now;
use crate::rooms::message::notice::Notice;

impl<P: Peer> Room<P> {
    /// Ends the log as it was shown and goes on with the one that is stored.
    pub(in crate::rooms) fn reset_epoch(
        &mut self,
        opened: &Opened,
        now: Now,
        limits: &RoomLimits,
        fanout_pool: &dyn FanoutPool<P>,
        out: &mut Outcome,
    ) {
        debug_assert!(
            self.unstored.is_empty() && self.repeats.is_empty(),
            "what waits for the store was taken back"
        );
        // The members that can take the rest of the old log get it now, the others are told what they do not get.
        self.pump_all(limits, fanout_pool, out);
        let room = &*self.name;
        // Members that were thrown out are told nothing any more.
        for member in self.members.iter_mut().filter(|member| member.state != MemberState::Gone) {
            let (mut gaps, lags) = (Vec::new(), member.cursor < self.positions.visible());
            if lags {
                let (epoch, from, to, at) =
                    (self.epoch, member.cursor + 1, self.positions.visible(), member.sent_at);
                self.encoded.write(member.key, &Notice::Gap { room, epoch, from, to, at }, &mut gaps);
            }
            let ((from, to), at) = (Notice::whole_log(opened.head), member.sent_at);
            let gap = Notice::Gap { room, epoch: opened.epoch, from, to, at };
            self.encoded.write(member.key, &gap, &mut gaps);
            member.peer.reply(&gaps, 1 + u64::from(lags));
            member.cursor = opened.head;
            // Nothing is missing any more. A page that is on its way comes from before this, and is dropped.
            if member.state == MemberState::Reading {
                member.state = MemberState::Ready;
            }
        }
        self.restore_log(opened);
        self.end_polls_at_reset();
        if self.waits_for_store() {
            // Others have written to the log: only what stands there was published.
            self.dedup = None;
            self.restore_ids(&opened.recent_ids, now);
        } else {
            self.forget_ids_after(opened.head);
        }
        self.link = StoreLink::Linked;
    }
}
