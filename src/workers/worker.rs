//! The thread of one shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select};

use super::batch::Batch;
use super::fanout_pool::Task;
use super::report::Report;
use super::shard_runner::{ShardRunner, now};
use super::store_client::StoreClient;
use crate::rooms::StoreAnswer;

/// Maximum number of batches applied before the fan-out.
// What arrives together leaves in one write for each member; eight turns of the reactor delay the first by little.
const BATCHES_PER_PUMP: usize = 8;

/// How long a worker waits when nothing is due.
// `select!` wants a time; an idle worker that wakes once an hour costs nothing.
const IDLE_WAIT: Duration = Duration::from_secs(3600);

/// A shard with a thread and a queue of its own.
pub(super) struct Worker<R> {
    pub(super) runner: ShardRunner,
    /// What other workers would like help with.
    pub(super) tasks: Receiver<Task>,
    pub(super) incoming: Receiver<Batch>,
    pub(super) used: Sender<Batch>,
    pub(super) full: Arc<AtomicBool>,
    pub(super) report: R,
}

/// Where the next thing to do comes from.
pub(super) enum Input {
    Batch(Batch),
    Task(Task),
    StoreAnswer(StoreAnswer),
    /// Nowhere: it is time to offer the store again what it had no room for, or for what is due by itself.
    Nothing,
    /// The reactor is gone.
    End,
}

impl<R: Report> Worker<R> {
    /// Applies what arrives and pumps the rooms it touched, until the reactor is gone and everything is stored.
    pub(super) fn run(mut self) {
        let mut behind = false;
        loop {
            if !behind {
                let input = self.wait();
                if self.take(input) {
                    return self.runner.finish();
                }
            }
            behind = self.round();
        }
    }

    /// Does what one input wants; true at the end.
    pub(super) fn take(&mut self, input: Input) -> bool {
        match input {
            Input::Batch(batch) => self.apply(batch),
            Input::Task(task) => task.run(),
            Input::StoreAnswer(answer) => self.runner.shard.answer(answer, now()),
            Input::Nothing => {}
            Input::End => return true,
        }
        false
    }

    /// Takes what else has come and pumps; true if members are left that could take more.
    pub(super) fn round(&mut self) -> bool {
        self.runner.take_answers();
        self.runner.tick();
        for _ in 0..BATCHES_PER_PUMP {
            if self.runner.shard.is_behind() {
                break;
            }
            let Ok(batch) = self.incoming.try_recv() else { break };
            self.apply(batch);
        }
        let behind = self.runner.pump();
        self.runner.pass_on(|effect| self.report.effect(effect));
        behind
    }

    /// Waits for the next input. While too much waits for the store, nothing but its answers is looked at.
    fn wait(&self) -> Input {
        let never = crossbeam_channel::never();
        let store_client = self.runner.store_client.as_ref();
        if let Some(store_client) =
            store_client.filter(|_| self.runner.store_is_full || self.runner.shard.is_behind())
        {
            // The reactor has ended, and the time for what it has left, too.
            if self.runner.deadline.has_passed() {
                return Input::End;
            }
            return store_client.wait().map_or(Input::Nothing, Input::StoreAnswer);
        }
        select! {
            recv(self.incoming) -> batch => batch.map_or(Input::End, Input::Batch),
            recv(store_client.map_or(&never, StoreClient::answers)) -> answer => answer.map_or(Input::End, Input::StoreAnswer),
            recv(self.tasks) -> task => task.map_or(Input::End, Input::Task),
            // With nothing due the wait may as well end once in a while.
            default(self.runner.tick_within().unwrap_or(IDLE_WAIT)) => Input::Nothing,
        }
    }

    fn apply(&mut self, mut batch: Batch) {
        // Sequentially consistent, as where it is set: either the reactor sees the room in the queue that was just
        // made, or this sees its flag and wakes it.
        if self.full.swap(false, Ordering::SeqCst) {
            self.report.wake();
        }
        self.runner.apply(&mut batch);
        let _enough_spares = self.used.try_send(batch);
    }
}
