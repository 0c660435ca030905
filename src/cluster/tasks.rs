//! What the readers have to do.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::asker::Asker;
use crate::system::threads::Condvar;

/// Something to be asked.
pub(super) type Task = Box<dyn FnOnce(&mut Asker) + Send>;

#[derive(Default)]
struct TaskQueue {
    waiting: VecDeque<Task>,
    has_ended: bool,
}

/// What waits for the readers. What comes from outside is admitted before; what the engine asks itself is one task for
/// each room at most.
#[derive(Default)]
pub(super) struct Tasks {
    queue: Mutex<TaskQueue>,
    changed: Condvar,
}

impl Tasks {
    /// Has a reader do it; after the end it is dropped, which answers it.
    pub(super) fn push(&self, task: impl FnOnce(&mut Asker) + Send + 'static) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.has_ended {
            queue.waiting.push_back(Box::new(task));
            drop(queue);
            self.changed.notify_one();
        }
    }

    /// Waits for the next; `None` after the end.
    pub(super) fn next(&self) -> Option<Task> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(task) = queue.waiting.pop_front() {
                return Some(task);
            }
            if queue.has_ended {
                return None;
            }
            queue = self.changed.wait(&self.queue, queue);
        }
    }

    /// Nothing more is taken, and what waits is dropped: nobody is there any more whom it could serve.
    pub(super) fn end(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.has_ended = true;
        let waiting = std::mem::take(&mut queue.waiting);
        // Dropping one answers it.
        drop(queue);
        drop(waiting);
        self.changed.notify_all();
    }
}
