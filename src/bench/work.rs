//! What a workload does while it is measured.

use super::clock::Nanos;
use super::connections::{Connections, Traffic};
use super::error::BenchError;
use super::meter::Meter;

/// Traffic that makes itself.
pub(super) trait Work: Traffic {
    /// Does what is to be done now; returns when there will be more to do, if that is known.
    fn pump(&mut self, connections: &mut Connections) -> Result<Option<Nanos>, BenchError>;

    /// Messages that have not reached everybody.
    fn outstanding(&self) -> u64;

    /// Lets what is under way come to its end, and begins nothing new.
    fn finish(&mut self, _connections: &mut Connections) -> Result<(), BenchError> {
        Ok(())
    }

    /// Whether the server is too far behind to go on.
    fn is_hopeless(&self) -> bool {
        false
    }

    /// Deliveries up to now that the server made besides those which are measured.
    fn unmetered(&self) -> u64 {
        0
    }

    /// Where it is counted.
    fn meter(&mut self) -> &mut Meter;
}
