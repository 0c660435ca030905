//! The world of a simulation: the time, the seed, and all sockets of one thread.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::fibers::Fibers;
use super::kernel::{Connection, Listening};
use super::network::Network;

/// What the clock on the wall shows when a world begins: some day in 2026.
const WALL_AT_START: Duration = Duration::from_secs(1_780_000_000);

thread_local! {
    static CURRENT: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// Whatever would come from outside, on one thread, and on those that it starts, of which one runs at a time.
#[derive(Debug)]
pub(crate) struct World {
    start: Instant,
    /// Nanoseconds.
    elapsed: AtomicU64,
    /// What the clock on the wall is ahead of what it should show, in microseconds.
    ahead: AtomicI64,
    random: AtomicU64,
    listening: Mutex<Vec<Arc<Listening>>>,
    waker: Mutex<Arc<AtomicBool>>,
    pub(crate) fibers: Fibers,
    pub(crate) network: Network,
}

/// The world that this thread is in, if it is in one.
#[inline]
pub(crate) fn current() -> Option<Arc<World>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Leaves the world when dropped.
#[derive(Debug)]
pub(crate) struct Stay(());

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(world) = current() {
            world.fibers.end_all();
        }
        CURRENT.with(|current| current.borrow_mut().take());
    }
}

impl World {
    /// Has this thread enter a new world.
    #[expect(clippy::disallowed_methods, reason = "only what has passed since is ever seen")]
    pub(crate) fn enter(seed: u64) -> (Arc<World>, Stay) {
        let world = Arc::new(World {
            start: Instant::now(),
            elapsed: AtomicU64::default(),
            ahead: AtomicI64::default(),
            random: AtomicU64::new(seed),
            listening: Mutex::default(),
            waker: Mutex::default(),
            fibers: Fibers::default(),
            network: Network::default(),
        });
        world.enter_too();
        (world, Stay(()))
    }

    /// Has this thread enter a world in which another one is.
    pub(crate) fn enter_too(self: &Arc<World>) {
        CURRENT.with(|current| *current.borrow_mut() = Some(self.clone()));
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed.load(Ordering::Relaxed))
    }

    pub(super) fn elapsed_at(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.elapsed.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Moves the clock on the wall by this number of microseconds.
    pub(crate) fn set_wall(&self, micros: i64) {
        self.ahead.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn instant(&self) -> Instant {
        self.start + self.elapsed()
    }

    pub(super) fn since_epoch(&self) -> Duration {
        let (shown, ahead) = (WALL_AT_START + self.elapsed(), self.ahead.load(Ordering::Relaxed));
        let distance = Duration::from_micros(ahead.unsigned_abs());
        if ahead < 0 { shown.saturating_sub(distance) } else { shown + distance }
    }

    /// SplitMix64.
    pub(crate) fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn new_waker(&self) -> Arc<AtomicBool> {
        let woken = Arc::new(AtomicBool::new(false));
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = woken.clone();
        woken
    }

    /// Whether the newest loop has been woken.
    pub(crate) fn waker(&self) -> Arc<AtomicBool> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A socket that listens at this address.
    pub(crate) fn listen(&self, address: SocketAddr) -> Arc<Listening> {
        let listening = Arc::new(Listening::new(address));
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).push(listening.clone());
        listening
    }

    /// The socket that began to listen last.
    pub(crate) fn newest_listener(&self) -> Option<Arc<Listening>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }
}

/// A connection from `peer` that waits to be accepted, if somebody listens.
pub(crate) fn connect(listening: &Listening, peer: SocketAddr, room: usize) -> Option<Arc<Connection>> {
    let connection = Arc::new(Connection::new(peer, room));
    listening.push(connection.clone()).then_some(connection)
}
