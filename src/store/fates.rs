//! In a simulation: what can become of a store's work, and of its process.

use super::error::StoreError;

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is committed.
    Stored,
    /// Nothing is stored, for now: the disk is full, or away.
    Unavailable,
    /// The disk did not confirm: nothing is stored until a restart.
    Failed,
}

impl Fate {
    pub(super) fn fault(self) -> Option<StoreError> {
        match self {
            Fate::Stored => None,
            Fate::Unavailable => Some(StoreError::Unavailable("the disk is full".into())),
            Fate::Failed => Some(StoreError::Failed("the disk did not confirm".into())),
        }
    }
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In good order.
    Well,
    /// By `kill -9`.
    Killed,
    /// With the machine.
    WithoutPower,
}
