//! Threads that wait for each other: for something to come through a channel, for a lock, for a while.

#[cfg(not(feature = "simulation"))]
pub(crate) use real::*;
#[cfg(feature = "simulation")]
pub(crate) use simulated::*;

#[cfg(not(feature = "simulation"))]
mod real {
    #[cfg(feature = "redis")]
    use std::sync::{Mutex, MutexGuard, PoisonError};
    #[cfg(feature = "redis")]
    pub(crate) use std::thread::{Builder, JoinHandle, park_timeout};
    use std::time::Duration;

    use crossbeam_channel::{Receiver, RecvTimeoutError, SendError, Sender};

    /// As [`Receiver::recv_timeout`].
    pub(crate) fn recv_timeout<T>(receiver: &Receiver<T>, timeout: Duration) -> Result<T, RecvTimeoutError> {
        receiver.recv_timeout(timeout)
    }

    /// As [`Sender::send`].
    #[inline]
    pub(crate) fn send<T>(sender: &Sender<T>, value: T) -> Result<(), SendError<T>> {
        sender.send(value)
    }

    /// A lock that may be held by somebody who waits for something.
    #[cfg(feature = "redis")]
    pub(crate) fn lock_long<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`std::sync::Condvar`].
    #[cfg(feature = "redis")]
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(std::sync::Condvar);

    #[cfg(feature = "redis")]
    impl Condvar {
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        /// Waits; `guard` is of `mutex`.
        pub(crate) fn wait<'m, T>(
            &self,
            _mutex: &'m Mutex<T>,
            guard: MutexGuard<'m, T>,
        ) -> MutexGuard<'m, T> {
            self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
        }

        /// As [`Condvar::wait`], for so long at most.
        pub(crate) fn wait_timeout<'m, T>(
            &self,
            _mutex: &'m Mutex<T>,
            guard: MutexGuard<'m, T>,
            timeout: Duration,
        ) -> MutexGuard<'m, T> {
            self.0.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

#[cfg(feature = "simulation")]
mod simulated {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
    use std::time::Duration;

    use crossbeam_channel::{Receiver, RecvTimeoutError, SendError, Sender, TryRecvError, TrySendError};

    use crate::system::fibers::{self, Fiber, wait};
    use crate::system::world;

    /// How long a lock is left alone before it is tried again.
    const LOCK_PAUSE: Duration = Duration::from_micros(20);

    /// As [`std::thread::Builder`].
    #[derive(Debug, Default)]
    pub(crate) struct Builder(String);

    impl Builder {
        pub(crate) fn new() -> Builder {
            Builder::default()
        }

        pub(crate) fn name(self, name: String) -> Builder {
            Builder(name)
        }

        pub(crate) fn spawn(self, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
            match (world::current(), fibers::current()) {
                (Some(world), Some(fiber)) => {
                    let there = world.clone();
                    let enter = move || there.enter_too();
                    world.fibers.spawn(fiber.group(), self.0, enter, run).map(JoinHandle::Simulated)
                }
                _ => std::thread::Builder::new().name(self.0).spawn(run).map(JoinHandle::Real),
            }
        }
    }

    /// As [`std::thread::JoinHandle`].
    #[derive(Debug)]
    pub(crate) enum JoinHandle<T> {
        Real(std::thread::JoinHandle<T>),
        Simulated(Arc<Fiber>),
    }

    impl JoinHandle<()> {
        pub(crate) fn thread(&self) -> &JoinHandle<()> {
            self
        }

        pub(crate) fn unpark(&self) {
            match self {
                JoinHandle::Real(thread) => thread.thread().unpark(),
                JoinHandle::Simulated(fiber) => fiber.token.store(true, Ordering::Relaxed),
            }
        }

        pub(crate) fn is_finished(&self) -> bool {
            match self {
                JoinHandle::Real(thread) => thread.is_finished(),
                JoinHandle::Simulated(fiber) => fiber.has_ended(),
            }
        }

        pub(crate) fn join(self) -> std::thread::Result<()> {
            match self {
                JoinHandle::Real(thread) => thread.join(),
                JoinHandle::Simulated(fiber) => {
                    while !fiber.has_ended() {
                        let joined = fiber.clone();
                        if !wait(None, Box::new(move || joined.has_ended())) {
                            break;
                        }
                    }
                    Ok(())
                }
            }
        }
    }

    /// As [`std::thread::park_timeout`].
    pub(crate) fn park_timeout(timeout: Duration) {
        let (Some(world), Some(fiber)) = (world::current(), fibers::current()) else {
            return std::thread::park_timeout(timeout);
        };
        let until = world.elapsed() + timeout;
        let parked = fiber.clone();
        let _goes_on = wait(Some(until), Box::new(move || parked.token.load(Ordering::Relaxed)));
        fiber.token.store(false, Ordering::Relaxed);
    }

    /// As [`Receiver::recv_timeout`].
    pub(crate) fn recv_timeout<T: Send + 'static>(
        receiver: &Receiver<T>,
        timeout: Duration,
    ) -> Result<T, RecvTimeoutError> {
        // A server of one thread waits for real: another thread answers it.
        let Some(world) = world::current().filter(|_| fibers::may_wait()) else {
            return receiver.recv_timeout(timeout);
        };
        let until = world.elapsed() + timeout;
        loop {
            match receiver.try_recv() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) if world.elapsed() >= until => {
                    return Err(RecvTimeoutError::Timeout);
                }
                Err(TryRecvError::Empty) => {}
            }
            let here = receiver.clone();
            if !wait(Some(until), Box::new(move || !here.is_empty())) {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }

    /// As [`Sender::send`].
    pub(crate) fn send<T: Send + 'static>(sender: &Sender<T>, value: T) -> Result<(), SendError<T>> {
        let (Some(world), Some(_)) = (world::current(), fibers::current()) else { return sender.send(value) };
        let mut value = value;
        loop {
            match sender.try_send(value) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(value)) => return Err(SendError(value)),
                Err(TrySendError::Full(back)) => value = back,
            }
            let there = sender.clone();
            let until = world.elapsed() + Duration::from_millis(1);
            if !wait(Some(until), Box::new(move || !there.is_full())) {
                return Err(SendError(value));
            }
        }
    }

    /// A lock that may be held by somebody who waits for something.
    pub(crate) fn lock_long<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        let (Some(world), Some(_)) = (world::current(), fibers::current()) else {
            return mutex.lock().unwrap_or_else(PoisonError::into_inner);
        };
        loop {
            match mutex.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(guard)) => return guard.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
            let until = world.elapsed() + LOCK_PAUSE;
            assert!(wait(Some(until), Box::new(|| false)), "a lock is held by a thread that was killed");
        }
    }

    /// As [`std::sync::Condvar`].
    #[derive(Debug, Default)]
    pub(crate) struct Condvar {
        real: std::sync::Condvar,
        notified: Arc<AtomicU64>,
    }

    impl Condvar {
        pub(crate) fn notify_one(&self) {
            self.notify_all();
        }

        pub(crate) fn notify_all(&self) {
            self.notified.fetch_add(1, Ordering::Relaxed);
            self.real.notify_all();
        }

        /// Waits; `guard` is of `mutex`.
        pub(crate) fn wait<'m, T>(&self, mutex: &'m Mutex<T>, guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
            if fibers::current().is_none() {
                return self.real.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.wait_until(mutex, guard, None)
        }

        /// As [`Condvar::wait`], for so long at most.
        pub(crate) fn wait_timeout<'m, T>(
            &self,
            mutex: &'m Mutex<T>,
            guard: MutexGuard<'m, T>,
            timeout: Duration,
        ) -> MutexGuard<'m, T> {
            let (Some(world), Some(_)) = (world::current(), fibers::current()) else {
                return self.real.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0;
            };
            self.wait_until(mutex, guard, Some(world.elapsed() + timeout))
        }

        fn wait_until<'m, T>(
            &self,
            mutex: &'m Mutex<T>,
            guard: MutexGuard<'m, T>,
            until: Option<Duration>,
        ) -> MutexGuard<'m, T> {
            let (notified, seen) = (self.notified.clone(), self.notified.load(Ordering::Relaxed));
            drop(guard);
            let _goes_on = wait(until, Box::new(move || notified.load(Ordering::Relaxed) != seen));
            mutex.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
