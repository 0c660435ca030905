//! Random numbers, and the keys of hashes.

use std::hash::BuildHasher;

#[cfg(not(feature = "simulation"))]
pub(crate) use std::hash::RandomState;

#[cfg(feature = "simulation")]
pub(crate) use simulated::RandomState;

/// Sixty-four random bits.
pub(crate) fn random() -> u64 {
    RandomState::default().hash_one(0)
}

#[cfg(feature = "simulation")]
mod simulated {
    use std::hash::{BuildHasher, DefaultHasher, Hasher};

    use crate::system::world;

    /// Keys of a hash: nobody's to know, or a part of what follows from the seed.
    #[derive(Clone, Debug)]
    pub(crate) enum RandomState {
        Real(std::hash::RandomState),
        Simulated(u64),
    }

    impl Default for RandomState {
        fn default() -> RandomState {
            world::current().map_or_else(
                || RandomState::Real(std::hash::RandomState::new()),
                |world| RandomState::Simulated(world.random()),
            )
        }
    }

    impl BuildHasher for RandomState {
        type Hasher = DefaultHasher;

        fn build_hasher(&self) -> DefaultHasher {
            match self {
                RandomState::Real(keys) => keys.build_hasher(),
                RandomState::Simulated(key) => {
                    let mut hasher = DefaultHasher::new();
                    hasher.write_u64(*key);
                    hasher
                }
            }
        }
    }
}
