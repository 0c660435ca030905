//! In a simulation: threads of which one runs at a time, each until it waits for something, when it is told to.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Fiber>>> = const { RefCell::new(None) };
    static PUMP: RefCell<Option<Pump>> = const { RefCell::new(None) };
}

/// With this a thread ends whose process has been killed.
struct Killed;

type IsReady = Box<dyn Fn() -> bool + Send>;

enum Phase {
    /// It waits for that, or until then.
    Waits {
        until: Option<Duration>,
        is_ready: IsReady,
    },
    Runs,
    /// It has to end without doing anything more.
    Killed,
    Ended,
}

/// A thread of a simulation.
pub(crate) struct Fiber {
    name: String,
    /// The process that it belongs to.
    group: usize,
    phase: Mutex<Phase>,
    changed: Condvar,
    is_killed: AtomicBool,
    /// Whether somebody has unparked it.
    pub(super) token: AtomicBool,
    panic: Mutex<Option<String>>,
}

impl fmt::Debug for Fiber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber").field("name", &self.name).field("group", &self.group).finish_non_exhaustive()
    }
}

impl Fiber {
    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.lock() = phase;
        self.changed.notify_all();
    }

    /// Waits, as a real thread does, for what another one does to it.
    fn wait_while(&self, mut condition: impl FnMut(&Phase) -> bool) -> MutexGuard<'_, Phase> {
        let phase = self.changed.wait_while(self.lock(), |phase| condition(phase));
        phase.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn group(&self) -> usize {
        self.group
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.lock(), Phase::Ended)
    }

    /// Whether it has something to do now.
    pub(crate) fn is_ready(&self, now: Duration) -> bool {
        match &*self.lock() {
            Phase::Waits { until, is_ready } => until.is_some_and(|until| until <= now) || is_ready(),
            Phase::Runs | Phase::Killed | Phase::Ended => false,
        }
    }

    /// When it has something to do, if nothing else happens.
    pub(crate) fn wakes_at(&self) -> Option<Duration> {
        match &*self.lock() {
            Phase::Waits { until, .. } => *until,
            Phase::Runs | Phase::Killed | Phase::Ended => None,
        }
    }

    /// Has it go on, until it waits again or ends.
    pub(crate) fn run(&self) {
        self.set(Phase::Runs);
        drop(self.wait_while(|phase| matches!(phase, Phase::Runs)));
    }

    fn kill(&self) {
        if self.has_ended() {
            return;
        }
        self.set(Phase::Killed);
        drop(self.wait_while(|phase| !matches!(phase, Phase::Ended)));
    }
}

/// Whether this thread belongs to a simulation, which decides when it goes on.
pub(super) fn current() -> Option<Arc<Fiber>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Waits for something, or until then; false if the thread has to end instead. Threads that are no fibers have the others
/// go on meanwhile.
pub(super) fn wait(until: Option<Duration>, is_ready: IsReady) -> bool {
    let Some(fiber) = current() else {
        pump();
        return true;
    };
    if fiber.is_killed.load(Ordering::Relaxed) {
        if !std::thread::panicking() {
            resume_unwind(Box::new(Killed));
        }
        return false;
    }
    fiber.set(Phase::Waits { until, is_ready });
    let is_killed = matches!(*fiber.wait_while(|phase| matches!(phase, Phase::Waits { .. })), Phase::Killed);
    if is_killed {
        fiber.is_killed.store(true, Ordering::Relaxed);
        resume_unwind(Box::new(Killed));
    }
    true
}

/// What lets everything else go on, for a thread that is no fiber and waits.
pub(crate) type Pump = Box<dyn FnMut()>;

/// Has this thread, which is no fiber, do this when it waits.
pub(crate) fn set_pump(pump: Option<Pump>) {
    PUMP.set(pump);
}

/// Whether something goes on while this thread waits for it in virtual time.
pub(super) fn may_wait() -> bool {
    current().is_some() || PUMP.with_borrow(Option::is_some)
}

fn pump() {
    let mut pump = PUMP.take().expect("something that goes on meanwhile");
    pump();
    PUMP.set(Some(pump));
}

/// All threads of a world.
#[derive(Default)]
pub(crate) struct Fibers {
    all: Mutex<Vec<Arc<Fiber>>>,
}

impl fmt::Debug for Fibers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fibers")
    }
}

impl Fibers {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Fiber>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that have not ended, in the order in which they began.
    pub(crate) fn all(&self) -> Vec<Arc<Fiber>> {
        let mut all = self.lock();
        all.retain(|fiber| !fiber.has_ended());
        all.clone()
    }

    /// Starts a thread, which does nothing before it is told to but to `enter` its world.
    pub(crate) fn spawn(
        &self,
        group: usize,
        name: String,
        enter: impl FnOnce() + Send + 'static,
        run: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Arc<Fiber>> {
        let fiber = Arc::new(Fiber {
            name,
            group,
            phase: Mutex::new(Phase::Waits { until: None, is_ready: Box::new(|| true) }),
            changed: Condvar::new(),
            is_killed: AtomicBool::new(false),
            token: AtomicBool::new(false),
            panic: Mutex::default(),
        });
        let here = fiber.clone();
        std::thread::Builder::new().name("fiber".into()).spawn(move || {
            enter();
            CURRENT.set(Some(here.clone()));
            let is_killed =
                matches!(*here.wait_while(|phase| matches!(phase, Phase::Waits { .. })), Phase::Killed);
            if is_killed {
                here.is_killed.store(true, Ordering::Relaxed);
            }
            let ended = catch_unwind(AssertUnwindSafe(|| if is_killed { drop(run) } else { run() }));
            if let Err(panic) = ended
                && !panic.is::<Killed>()
            {
                *here.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(text_of(&*panic));
            }
            here.set(Phase::Ended);
        })?;
        self.lock().push(fiber.clone());
        Ok(fiber)
    }

    /// What a thread has panicked with, if one has.
    pub(crate) fn panic(&self) -> Option<String> {
        let panic_of =
            |fiber: &Arc<Fiber>| fiber.panic.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.lock().iter().find_map(panic_of)
    }

    /// The threads of a process end where they are.
    pub(crate) fn kill(&self, group: usize) {
        self.all().iter().filter(|fiber| fiber.group == group).for_each(|fiber| fiber.kill());
    }

    /// All end.
    pub(super) fn end_all(&self) {
        set_pump(None);
        self.all().iter().for_each(|fiber| fiber.kill());
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?").to_owned()
}
