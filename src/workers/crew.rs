//! All workers together: whoever has nothing to do helps the one whose room is huge.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::rooms::{Crew, Job};
use crate::transport::Outbound;

/// Jobs that wait for a pair of hands, at most; what does not find room is done by its owner.
const JOBS_MAX: usize = 64;

/// A job of another worker, and where it goes when it is done.
#[derive(Debug)]
pub(super) struct Task {
    job: Job<Arc<Outbound>>,
    done: Sender<Job<Arc<Outbound>>>,
}

impl Task {
    pub(super) fn carry_out(mut self) {
        self.job.carry_out();
        let _owner_is_gone = self.done.send(self.job);
    }
}

/// One worker's view of the others: a queue that all of them put their jobs into and take them from.
#[derive(Clone, Debug)]
pub(super) struct Workforce {
    hands: usize,
    offered: Sender<Task>,
    taken: Receiver<Task>,
}

impl Workforce {
    pub(super) fn new(hands: usize) -> Workforce {
        let (offered, taken) = crossbeam_channel::bounded(JOBS_MAX);
        Workforce { hands, offered, taken }
    }

    /// Where jobs wait.
    pub(super) fn tasks(&self) -> &Receiver<Task> {
        &self.taken
    }
}

impl Crew<Arc<Outbound>> for Workforce {
    fn hands(&self) -> usize {
        self.hands
    }

    /// Offers all jobs but one to the others, does that one, then whatever nobody has taken yet. So nothing waits for
    /// a worker that is busy, and the wait at the end is for jobs that are being done at this moment.
    fn carry_out(&self, mut jobs: Vec<Job<Arc<Outbound>>>) -> Vec<Job<Arc<Outbound>>> {
        let (done, finished) = crossbeam_channel::bounded(jobs.len());
        let wanted = jobs.len();
        let own = jobs.pop();
        for job in jobs {
            let task = Task { job, done: done.clone() };
            if let Err(refused) = self.offered.try_send(task) {
                refused.into_inner().carry_out();
            }
        }
        drop(done);
        let mut back = Vec::with_capacity(wanted);
        if let Some(mut job) = own {
            job.carry_out();
            back.push(job);
        }
        while back.len() < wanted {
            if let Ok(task) = self.taken.try_recv() {
                // Perhaps another owner's: he would do the same for us.
                task.carry_out();
            } else if let Ok(job) = finished.recv() {
                back.push(job);
            } else {
                // A worker has panicked with our members in its hands. There is no going on without them.
                std::panic::resume_unwind(Box::new("a worker has died"));
            }
        }
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_come_back_with_and_without_others_to_help() {
        let workforce = Workforce::new(2);
        assert!(workforce.carry_out(Vec::new()).is_empty());
        let jobs = |count| (0..count).map(|_| Job::default()).collect::<Vec<_>>();
        assert_eq!(workforce.carry_out(jobs(JOBS_MAX + 9)).len(), JOBS_MAX + 9);
        let helper = workforce.clone();
        let thread = std::thread::spawn(move || helper.tasks().recv().map(Task::carry_out).is_ok());
        assert_eq!(workforce.carry_out(jobs(3)).len(), 3);
        while !thread.is_finished() {
            assert_eq!(workforce.carry_out(jobs(3)).len(), 3);
        }
        assert!(thread.join().expect("the helper ends"));
    }
}
