//! The shard is told what time it is: for each batch of commands, each answer of the store, and now and then at the end of
//! a pump. It reads no clock itself.

use super::state::Shard;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::Moment;

impl<P: Peer> Shard<P> {
    /// Messages published so far.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// What was published since there were `before` messages was read in a turn that began at `read_at`, which is asked for now
    /// and then.
    #[inline]
    pub fn note_taken(&mut self, before: u64, read_at: impl FnOnce() -> Moment) {
        self.stopwatch.taken(self.messages - before, read_at);
    }

    /// Whether [`Shard::note_sent`] is to be told when the pump that has just ended did so.
    #[inline]
    pub fn wants_send_time(&mut self) -> bool {
        self.stopwatch.wants_time()
    }

    /// The last pump has ended at this time.
    pub fn note_sent(&mut self, now: Moment) {
        self.stopwatch.time(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::rooms::api::effect::StoreAnswer;
    use crate::rooms::shard::tests::kit::Kit;
    use crate::rooms::steps::MessageSteps;

    #[test]
    fn each_step_is_timed_from_the_end_of_the_one_before() {
        let mut kit = Kit::new();
        let members: Vec<_> = (0..20).map(|number| kit.join("r", &format!("u{number}"))).collect();
        kit.open();
        kit.commit();
        kit.shard.wants_send_time();
        let joined = kit.time().steady;
        kit.shard.note_sent(joined);
        let before = kit.shard.stats();
        let (read_at, published) = (kit.time().steady, kit.shard.messages());
        kit.now += 200_000;
        kit.say(members[0].0, "one", None);
        kit.now += 10;
        kit.say(members[1].0, "two", None);
        kit.shard.note_taken(published, || read_at);
        kit.now += 5_000;
        kit.commit();
        assert!(kit.shard.wants_send_time());
        let sent = kit.time().steady.later_by(Duration::from_micros(700));
        kit.shard.note_sent(sent);
        let after = kit.shard.stats();
        let grown = |of: fn(&MessageSteps) -> (u64, u64)| {
            let (before, after) = (of(&before.steps), of(&after.steps));
            (after.0 - before.0, after.1 - before.1)
        };
        assert_eq!(grown(|steps| (steps.read_to_shard.count(), steps.read_to_shard.sum())), (2, 2 * 200_010));
        let commits = grown(|steps| (steps.shard_to_commit.count(), steps.shard_to_commit.sum()));
        assert_eq!(commits, (2, 5_010 + 5_000));
        let sends = grown(|steps| (steps.commit_to_send.count(), steps.commit_to_send.sum()));
        assert_eq!(sends, (40, 40 * 700));
        assert_eq!(after.deliveries - before.deliveries, 40);
    }

    #[test]
    fn what_the_store_refuses_is_no_commit() {
        let mut kit = Kit::new();
        let (ann, _ear) = kit.join("r", "ann");
        kit.open();
        kit.commit();
        let before = kit.shard.stats().steps.shard_to_commit.count();
        kit.say(ann, "one", None);
        kit.say(ann, "two", None);
        kit.batches.clear();
        kit.answer(StoreAnswer::Refused);
        kit.shard.check();
        assert_eq!(kit.shard.stats().steps.shard_to_commit.count(), before);
    }
}
