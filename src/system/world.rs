//! The world of a simulation: the time, the seed, and all sockets of one thread.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::kernel::{Connection, Listening};

/// What the clock on the wall shows when a world begins: some day in 2026.
const WALL_AT_START: Duration = Duration::from_secs(1_780_000_000);

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Whatever would come from outside, on one thread.
#[derive(Debug)]
pub(crate) struct World {
    start: Instant,
    elapsed: Cell<Duration>,
    /// What the clock on the wall is ahead of what it should show.
    ahead: Cell<i64>,
    random: Cell<u64>,
    listening: RefCell<Vec<Arc<Listening>>>,
    waker: RefCell<Arc<AtomicBool>>,
}

/// The world that this thread is in, if it is in one.
#[inline]
pub(crate) fn current() -> Option<Rc<World>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Leaves the world when dropped.
#[derive(Debug)]
pub(crate) struct Stay(());

impl Drop for Stay {
    fn drop(&mut self) {
        CURRENT.with(|current| current.borrow_mut().take());
    }
}

impl World {
    /// Has this thread enter a new world.
    #[expect(clippy::disallowed_methods, reason = "only what has passed since is ever seen")]
    pub(crate) fn enter(seed: u64) -> (Rc<World>, Stay) {
        let world = Rc::new(World {
            start: Instant::now(),
            elapsed: Cell::default(),
            ahead: Cell::default(),
            random: Cell::new(seed),
            listening: RefCell::default(),
            waker: RefCell::default(),
        });
        CURRENT.with(|current| *current.borrow_mut() = Some(world.clone()));
        (world, Stay(()))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed.get()
    }

    pub(super) fn elapsed_at(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.elapsed.set(self.elapsed.get() + time);
    }

    /// Moves the clock on the wall by this number of microseconds.
    pub(crate) fn set_wall(&self, micros: i64) {
        self.ahead.set(self.ahead.get() + micros);
    }

    pub(super) fn instant(&self) -> Instant {
        self.start + self.elapsed.get()
    }

    pub(super) fn since_epoch(&self) -> Duration {
        let shown = WALL_AT_START + self.elapsed.get();
        let ahead = Duration::from_micros(self.ahead.get().unsigned_abs());
        if self.ahead.get() < 0 { shown.saturating_sub(ahead) } else { shown + ahead }
    }

    /// SplitMix64.
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn new_waker(&self) -> Arc<AtomicBool> {
        let woken = Arc::new(AtomicBool::new(false));
        self.waker.replace(woken.clone());
        woken
    }

    /// Whether the newest loop has been woken.
    pub(crate) fn waker(&self) -> Arc<AtomicBool> {
        self.waker.borrow().clone()
    }

    /// A socket that listens at this address.
    pub(crate) fn listen(&self, address: SocketAddr) -> Arc<Listening> {
        let listening = Arc::new(Listening::new(address));
        self.listening.borrow_mut().push(listening.clone());
        listening
    }

    /// The socket that began to listen last.
    pub(crate) fn newest_listener(&self) -> Option<Arc<Listening>> {
        self.listening.borrow().last().cloned()
    }
}

/// A connection from `peer` that waits to be accepted, if somebody listens.
pub(crate) fn connect(listening: &Listening, peer: SocketAddr, room: usize) -> Option<Arc<Connection>> {
    let connection = Arc::new(Connection::new(peer, room));
    listening.push(connection.clone()).then_some(connection)
}
