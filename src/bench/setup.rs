//! The stage in which connections are opened, timed and weighed.

use std::time::Duration;

use super::clock::Nanos;
use super::connections::{Connections, Traffic};
use super::error::BenchError;
use super::plan::Plan;
use super::process;
use super::progress::Progress;
use super::report::{Memory, Setting};
use super::target::Target;

/// The stage in which connections are opened, timed and weighed.
pub(super) struct Setup {
    plan: Plan,
    url: String,
    memory_before: Option<u64>,
    began: Nanos,
    took: Duration,
}

impl Setup {
    pub(super) fn begin(plan: &Plan, target: &Target, connections: &Connections) -> Setup {
        Setup {
            plan: plan.clone(),
            url: target.url(),
            memory_before: plan.server.and_then(process::resident_bytes),
            began: connections.clock.now(),
            took: Duration::ZERO,
        }
    }

    /// Opens `of` connections. `place` says for each its room and its number in it; `query` is added to the path.
    pub(super) fn open<T: Traffic>(
        &mut self,
        connections: &mut Connections,
        of: usize,
        place: impl Fn(usize) -> (usize, usize),
        query: &str,
        traffic: &mut T,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), BenchError> {
        let path = |target: &Target, connection| {
            let (room, member) = place(connection);
            target.path(room, member) + query
        };
        connections.open(of, path, traffic, |opened| progress(Progress::Connecting { opened, of }))?;
        self.took = Duration::from_nanos(connections.clock.now() - self.began);
        Ok(())
    }

    /// Everything is open; the load may begin.
    pub(super) fn finish(self, connections: &Connections) -> Setting {
        let connections = connections.len() as u64;
        let open = self.plan.server.and_then(process::resident_bytes);
        let memory = self.memory_before.zip(open);
        let memory = memory.map(|(before, open)| Memory { before, open, after: open, connections });
        Setting { plan: self.plan, url: self.url, connections, connecting: self.took, memory }
    }
}
