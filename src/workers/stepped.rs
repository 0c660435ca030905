//! In a simulation: a worker that does one round when it is told to, on the thread of the one who tells it.

use std::time::Duration;

use crossbeam_channel::TryRecvError;

use super::report::Report;
use super::store_client::WAIT;
use super::worker::{Input, Worker};
use crate::system::steady;

/// A worker in the hands of a simulation.
pub(crate) trait SteppedWorker: Send {
    /// Whether something has come, or time is up.
    fn is_ready(&self) -> bool;

    /// When time is up, by [`steady`].
    fn wakes_at(&self) -> Option<Duration>;

    /// The reactor has let go of it.
    fn abandon(&mut self);

    /// Whether it has come to its end.
    fn has_ended(&self) -> bool;

    /// One round. Of what may come first, `choose` takes one, out of this number.
    fn round(&mut self, choose: &mut dyn FnMut(usize) -> usize);

    /// What the shard should be like inside.
    fn check(&self);
}

pub(super) struct Stepped<R> {
    worker: Worker<R>,
    behind: bool,
    /// When it began to wait.
    waits_since: Duration,
    /// The reactor has let go of it.
    is_abandoned: bool,
    life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Working,
    /// The reactor is gone.
    Finishing,
    Ended,
}

impl<R: Report> Stepped<R> {
    pub(super) fn new(worker: Worker<R>) -> Stepped<R> {
        Stepped { worker, behind: false, waits_since: steady(), is_abandoned: false, life: Life::Working }
    }

    fn finish_on(&mut self) {
        let goes_on = self.worker.runner.finish_on(|client| client.answers().try_recv().ok());
        self.life = if goes_on { Life::Finishing } else { Life::Ended };
    }

    /// Whether nothing but answers of the store is looked at.
    fn awaits_store(&self) -> bool {
        let runner = &self.worker.runner;
        runner.store_client.is_some() && (runner.store_is_full || runner.shard.is_behind())
    }

    fn has_answers(&self) -> bool {
        self.worker.runner.store_client.as_ref().is_some_and(|client| !client.answers().is_empty())
    }

    fn answer(&self) -> Option<Input> {
        let client = self.worker.runner.store_client.as_ref()?;
        client.answers().try_recv().ok().map(Input::StoreAnswer)
    }

    fn batch(&self) -> Option<Input> {
        match self.worker.incoming.try_recv() {
            Ok(batch) => Some(Input::Batch(batch)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Input::End),
        }
    }
}

impl<R: Report> SteppedWorker for Stepped<R> {
    fn is_ready(&self) -> bool {
        let has_input = || !self.awaits_store() && (self.is_abandoned || !self.worker.incoming.is_empty());
        let is_late = || self.wakes_at().is_some_and(|at| at <= steady());
        self.life != Life::Ended && (self.behind || self.has_answers() || has_input() || is_late())
    }

    fn abandon(&mut self) {
        self.is_abandoned = true;
    }

    fn has_ended(&self) -> bool {
        self.life == Life::Ended
    }

    fn wakes_at(&self) -> Option<Duration> {
        let wait = match self.life {
            Life::Ended => return None,
            Life::Working if !self.awaits_store() => self.worker.runner.tick_within(),
            Life::Working | Life::Finishing => Some(WAIT),
        };
        wait.map(|wait| self.waits_since + wait)
    }

    fn round(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        self.waits_since = steady();
        if self.life != Life::Working {
            return self.finish_on();
        }
        if !self.behind {
            let first = if self.awaits_store() {
                self.answer()
            } else if choose(2) == 0 {
                self.batch().or_else(|| self.answer())
            } else {
                self.answer().or_else(|| self.batch())
            };
            if self.worker.take(first.unwrap_or(Input::Nothing)) {
                self.worker.runner.begin_finish();
                return self.finish_on();
            }
        }
        self.behind = self.worker.round();
    }

    fn check(&self) {
        #[cfg(debug_assertions)]
        self.worker.runner.shard.check();
    }
}
