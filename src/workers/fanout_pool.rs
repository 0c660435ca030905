//! The fan-out pool: idle workers help the one whose room is huge.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::rooms::{FanoutJob, FanoutPool};
use crate::transport::Outbound;

/// Maximum number of jobs that wait for a worker; the owner runs what does not fit.
// A job is a block of members: 64 of them keep all workers busy until the owner offers more.
const JOBS_MAX: usize = 64;

/// A job of another worker, and where it goes when it is done.
#[derive(Debug)]
pub(super) struct Task {
    job: FanoutJob<Arc<Outbound>>,
    done: Sender<FanoutJob<Arc<Outbound>>>,
}

impl Task {
    pub(super) fn run(mut self) {
        self.job.run();
        let _owner_is_gone = self.done.send(self.job);
    }
}

/// One worker's view of the others: a queue that all of them put their jobs into and take them from.
#[derive(Clone, Debug)]
pub(super) struct WorkerPool {
    parallelism: usize,
    offered: Sender<Task>,
    taken: Receiver<Task>,
}

impl WorkerPool {
    pub(super) fn new(parallelism: usize) -> WorkerPool {
        let (offered, taken) = crossbeam_channel::bounded(JOBS_MAX);
        WorkerPool { parallelism, offered, taken }
    }

    /// Where jobs wait.
    pub(super) fn tasks(&self) -> &Receiver<Task> {
        &self.taken
    }
}

impl FanoutPool<Arc<Outbound>> for WorkerPool {
    fn parallelism(&self) -> usize {
        self.parallelism
    }

    /// Offers all jobs but one to the others, does that one, then those that no worker has taken yet. So nothing waits
    /// for a worker that is busy, and the wait at the end is for jobs that are being done at this moment.
    fn run(&self, mut jobs: Vec<FanoutJob<Arc<Outbound>>>) -> Vec<FanoutJob<Arc<Outbound>>> {
        let (done, finished) = crossbeam_channel::bounded(jobs.len());
        let wanted = jobs.len();
        let own = jobs.pop();
        for job in jobs {
            let task = Task { job, done: done.clone() };
            if let Err(refused) = self.offered.try_send(task) {
                refused.into_inner().run();
            }
        }
        drop(done);
        let mut back = Vec::with_capacity(wanted);
        if let Some(mut job) = own {
            job.run();
            back.push(job);
        }
        while back.len() < wanted {
            if let Ok(task) = self.taken.try_recv() {
                // Perhaps another owner's: he would do the same for us.
                task.run();
            } else if let Ok(job) = finished.recv() {
                back.push(job);
            } else {
                // A worker has panicked with our members. There is no going on without them.
                std::panic::resume_unwind(Box::new("a worker has died"));
            }
        }
        debug_assert_eq!(back.len(), wanted, "each job comes back once");
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_come_back_with_and_without_others_to_help() {
        let pool = WorkerPool::new(2);
        assert!(pool.run(Vec::new()).is_empty());
        let jobs = |count| (0..count).map(|_| FanoutJob::empty()).collect::<Vec<_>>();
        assert_eq!(pool.run(jobs(JOBS_MAX + 9)).len(), JOBS_MAX + 9);
        let helper = pool.clone();
        let thread = std::thread::spawn(move || helper.tasks().recv().map(Task::run).is_ok());
        assert_eq!(pool.run(jobs(3)).len(), 3);
        while !thread.is_finished() {
            assert_eq!(pool.run(jobs(3)).len(), 3);
        }
        assert!(thread.join().expect("the helper ends"));
    }
}
