//! A shard at work: its commands applied, its answers taken, its effects passed on; on any thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::batch::Batch;
use super::deadline::Deadline;
use super::store_client::StoreClient;
use crate::rooms::{Arena, Command, Moment, Now, SessionEffect, Shard, StoreAnswer, StoreRequest, Timestamp};
use crate::system::{since_epoch, steady, steady_at};
use crate::transport::Outbound;

/// Members sent to between two looks for commands and answers.
// Four blocks: few milliseconds of writes, for which a command waits at most.
const PUMP_MEMBERS: usize = 1024;
/// A batch whose buffer grew beyond this is not used again.
// One large message must not keep its memory in each of the spare batches.
const SPARE_BYTES_MAX: usize = 256 * 1024;

/// How often a shard is asked what is due.
// Rooms linger for half a minute and notices pause for a second at least: a second more is nothing.
const TICK: Duration = Duration::from_secs(1);

/// One shard with its way to the store.
#[derive(Debug)]
pub(super) struct ShardRunner {
    pub(super) shard: Shard<Arc<Outbound>>,
    pub(super) store_client: Option<StoreClient>,
    /// Whether the store had no room for the last batch or request, which is to be offered again.
    pub(super) store_is_full: bool,
    /// Requests that the store had no room for, in order. The shard sees to it that there are few.
    unsent: VecDeque<StoreRequest>,
    /// Until when the end may be waited for.
    pub(super) deadline: Deadline,
}

impl ShardRunner {
    pub(super) fn new(
        shard: Shard<Arc<Outbound>>,
        store_client: Option<StoreClient>,
        deadline: Deadline,
    ) -> ShardRunner {
        ShardRunner { shard, store_client, store_is_full: false, unsent: VecDeque::new(), deadline }
    }

    /// Applies a batch and leaves it empty.
    pub(super) fn apply(&mut self, batch: &mut Batch) {
        // Most turns of a shard that the reactor runs bring none: two clocks are not read for nothing.
        if !batch.commands.is_empty() {
            let (now, before) = (now(), self.shard.messages());
            for command in batch.commands.drain(..) {
                self.shard.apply(command, &batch.arena, now);
            }
            if let Some(read_at) = batch.read_at.take() {
                self.shard.note_taken(before, || Moment::after_start(steady_at(read_at)));
            }
        }
        batch.arena.clear(SPARE_BYTES_MAX);
    }

    /// Pumps the rooms with something new; true if members are left that could take more.
    pub(super) fn pump(&mut self) -> bool {
        let is_behind = self.shard.pump(PUMP_MEMBERS);
        if self.shard.wants_send_time() {
            self.shard.note_sent(Moment::after_start(steady()));
        }
        is_behind
    }

    /// Does what is due although nothing happens.
    pub(super) fn tick(&mut self) {
        if self.shard.wants_tick() {
            self.shard.tick(now());
        }
    }

    /// How long may pass before [`ShardRunner::tick`] is called again.
    pub(super) fn tick_within(&self) -> Option<Duration> {
        self.shard.wants_tick().then_some(TICK)
    }

    /// Takes what the store has answered so far.
    pub(super) fn take_answers(&mut self) {
        let Some(store_client) = &self.store_client else { return };
        while let Ok(answer) = store_client.answers().try_recv() {
            self.shard.answer(answer, now());
        }
    }

    /// Hands on what the shard wants stored and read; what it wants done to connections goes to `effect`.
    pub(super) fn pass_on(&mut self, mut effect: impl FnMut(SessionEffect)) {
        self.store_is_full = false;
        while let Some(store_client) = self.store_client.as_ref().filter(|_| !self.store_is_full)
            && let Some(batch) = self.shard.take_batch()
        {
            if let Err(batch) = store_client.append(batch) {
                self.shard.put_back(*batch);
                self.store_is_full = true;
            }
        }
        self.shard.take_session_effects().for_each(&mut effect);
        // Asked first: a round without any, as most are, spends a hundred instructions less.
        if self.shard.has_store_requests() {
            self.unsent.extend(self.shard.take_store_requests());
        }
        if !self.unsent.is_empty() {
            self.send_requests();
        }
    }

    /// Hands requests over until the store has no room for one. That one waits: each gets the answer of the store.
    fn send_requests(&mut self) {
        // A shard without a store makes no requests.
        let Some(store_client) = &self.store_client else { return self.unsent.clear() };
        while let Some(request) = self.unsent.front() {
            let is_sent = match request {
                StoreRequest::Open { room, name, create } => {
                    store_client.open(*room, name, *create, now().wall)
                }
                StoreRequest::ResetEpoch { room, name, id } => {
                    store_client.renew(*room, name, *id, now().wall)
                }
                StoreRequest::Read { reader, room, request } => store_client.read(*reader, *room, *request),
                StoreRequest::Unfollow(room) => {
                    store_client.unfollow(*room);
                    true
                }
            };
            if !is_sent {
                self.store_is_full = true;
                return;
            }
            self.unsent.pop_front();
        }
    }

    /// Stores everything that was published, as long as there is time for it. No session is left that an effect could
    /// concern.
    pub(super) fn finish(&mut self) {
        self.begin_finish();
        while self.finish_on(StoreClient::wait) {}
    }

    pub(super) fn begin_finish(&mut self) {
        self.shard.apply(Command::Barrier, &Arena::default(), now());
    }

    /// One round of the end, in which the store's answer is waited for like this; false when all is done, or it is too
    /// late.
    pub(super) fn finish_on(&mut self, wait: impl FnOnce(&StoreClient) -> Option<StoreAnswer>) -> bool {
        if !self.shard.pump(usize::MAX) && self.shard.unstored() == 0 {
            return false;
        }
        self.pass_on(drop);
        if self.shard.unstored() > 0
            && let Some(answer) = self.store_client.as_ref().and_then(wait)
        {
            self.shard.answer(answer, now());
        }
        // A store that does not answer must not hold the process.
        let is_late = self.deadline.has_passed();
        if is_late {
            let unstored = self.shard.unstored();
            tracing::error!(
                unstored,
                limit = "shutdown.grace",
                "shutdown: the store did not commit in time, the rest is lost unless it does so later"
            );
        }
        !is_late
    }
}

pub(super) fn now() -> Now {
    Now { wall: Timestamp::from_unix(since_epoch()), steady: Moment::after_start(steady()) }
}
