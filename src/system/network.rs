//! In a simulation: connections to a server that is a part of the simulation.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What becomes of an attempt to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It succeeds.
    #[default]
    Open,
    /// Nobody listens.
    Refused,
    /// Nobody answers.
    Silent,
}

/// What is under way in a connection.
#[derive(Debug, Default)]
struct Wire {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    is_reset: bool,
    is_closed: bool,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// The process that made it.
    pub(crate) group: usize,
    wire: Mutex<Wire>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_readable(&self) -> bool {
        let wire = self.lock();
        !wire.to_client.is_empty() || wire.is_reset || wire.is_closed
    }

    // The client's end.

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.lock();
        if wire.is_reset || wire.is_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        wire.to_server.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Reads what is there; `WouldBlock` if there is nothing.
    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.lock();
        let count = wire.to_client.len().min(into.len());
        if count > 0 {
            into[..count].copy_from_slice(&wire.to_client[..count]);
            wire.to_client.drain(..count);
            return Ok(count);
        }
        match (wire.is_reset, wire.is_closed) {
            (true, _) => Err(io::ErrorKind::ConnectionReset.into()),
            (false, true) => Ok(0),
            (false, false) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
    pub(super) fn shut_down(&self) {
        self.lock().is_closed = true;
    }

    // The server's end.

    /// Takes what has come.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().to_server)
    }

    /// Whether something has come, or the client has gone.
    pub(crate) fn has_come(&self) -> bool {
        !self.lock().to_server.is_empty()
    }

    /// Sends something.
    pub(crate) fn give(&self, bytes: &[u8]) {
        let mut wire = self.lock();
        if !wire.is_closed && !wire.is_reset {
            wire.to_client.extend_from_slice(bytes);
        }
    }

    /// Cuts it: what has not been read is lost.
    pub(crate) fn reset(&self) {
        let mut wire = self.lock();
        wire.is_reset = true;
        wire.to_server.clear();
        wire.to_client.clear();
    }

    /// Whether one of the ends is gone.
    pub(crate) fn is_over(&self) -> bool {
        let wire = self.lock();
        wire.is_reset || wire.is_closed
    }
}

/// The connections that were made and that the server has not seen yet, and what becomes of others.
#[derive(Debug, Default)]
pub(crate) struct Network {
    new: Mutex<Vec<Arc<Pipe>>>,
    reach: Mutex<BTreeMap<usize, Reach>>,
}

impl Network {
    /// What becomes of attempts to connect of this process.
    pub(crate) fn set_reach(&self, group: usize, reach: Reach) {
        self.reach.lock().unwrap_or_else(PoisonError::into_inner).insert(group, reach);
    }

    pub(super) fn reach(&self, group: usize) -> Reach {
        let reach = self.reach.lock().unwrap_or_else(PoisonError::into_inner);
        reach.get(&group).copied().unwrap_or_default()
    }

    /// A connection that this process has made.
    pub(super) fn connect(&self, group: usize) -> Arc<Pipe> {
        let pipe = Arc::new(Pipe { group, wire: Mutex::default() });
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push(pipe.clone());
        pipe
    }

    /// The connections that have been made since this was asked last.
    pub(crate) fn take_new(&self) -> Vec<Arc<Pipe>> {
        std::mem::take(&mut self.new.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
