//! What wakes the loop up.

#[cfg(not(feature = "simulation"))]
pub(crate) use mio::Waker;

#[cfg(feature = "simulation")]
pub(crate) use simulated::Waker;

#[cfg(feature = "simulation")]
mod simulated {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use mio::{Registry, Token};

    use crate::system::world;

    #[derive(Debug)]
    pub(crate) enum Waker {
        Real(mio::Waker),
        Simulated(Arc<AtomicBool>),
    }

    impl Waker {
        /// As [`mio::Waker::new`].
        pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Waker> {
            match world::current() {
                Some(world) => Ok(Waker::Simulated(world.new_waker())),
                None => mio::Waker::new(registry, token).map(Waker::Real),
            }
        }

        /// As [`mio::Waker::wake`].
        pub(crate) fn wake(&self) -> io::Result<()> {
            match self {
                Waker::Real(waker) => waker.wake(),
                Waker::Simulated(woken) => {
                    woken.store(true, Ordering::Relaxed);
                    Ok(())
                }
            }
        }
    }
}
