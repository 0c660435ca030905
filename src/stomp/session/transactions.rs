//! What waits for COMMIT.

use std::collections::HashMap;

use super::acknowledgement::Acknowledgement;
use super::limits::SessionLimits;
use super::sending::Sending;
use crate::stomp::fault::Fault;

/// Bytes that an acknowledgement costs, about.
// As `ENTRY_BYTES`: an entry and its name, rounded up.
const ACK_BYTES: usize = 128;

/// Something that takes place at COMMIT.
#[derive(Clone, Debug)]
pub(super) enum Deferred {
    Send(Sending<'static>),
    Ack(Acknowledgement),
}

impl Deferred {
    fn cost(&self) -> usize {
        match self {
            Deferred::Send(sending) => sending.cost(),
            Deferred::Ack(_) => ACK_BYTES,
        }
    }
}

/// The transactions of a session.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: HashMap<Box<str>, Vec<Deferred>>,
    /// Invariant: the sum of the costs and of the names.
    bytes: usize,
}

impl Transactions {
    pub(super) fn begin(&mut self, name: &str, limits: &SessionLimits) -> Result<(), Fault> {
        if self.open.contains_key(name) {
            return Err(Fault::RepeatedTransaction);
        }
        if self.open.len() >= limits.transactions_max {
            return Err(Fault::TooManyTransactions);
        }
        if self.bytes + name.len() > limits.transaction_bytes_max {
            return Err(Fault::LongTransactions);
        }
        self.bytes += name.len();
        self.open.insert(name.into(), Vec::new());
        Ok(())
    }

    pub(super) fn defer(
        &mut self,
        name: &str,
        deferred: Deferred,
        limits: &SessionLimits,
    ) -> Result<(), Fault> {
        let transaction = self.open.get_mut(name).ok_or(Fault::NoTransaction)?;
        if self.bytes + deferred.cost() > limits.transaction_bytes_max {
            return Err(Fault::LongTransactions);
        }
        self.bytes += deferred.cost();
        transaction.push(deferred);
        Ok(())
    }

    /// Ends a transaction; what it held is the caller's.
    pub(super) fn end(&mut self, name: &str) -> Result<Vec<Deferred>, Fault> {
        let transaction = self.open.remove(name).ok_or(Fault::NoTransaction)?;
        self.bytes -= name.len() + transaction.iter().map(Deferred::cost).sum::<usize>();
        debug_assert!(!self.open.is_empty() || self.bytes == 0, "nothing is left, so nothing is counted");
        Ok(transaction)
    }

    /// Bytes of all that waits, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }
}
