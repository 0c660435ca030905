//! A server, step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::Token;

use super::{Line, World, peer};
use crate::server::{Builder, RunError, Server, ServerHandle};
use crate::system::kernel::{Connection, Event, Listening};
use crate::system::world;

/// The token of what wakes the reactor up.
const WAKER: Token = Token(usize::MAX);

/// Chooses one of the numbers below the given one.
pub type Choose<'c> = &'c mut dyn FnMut(usize) -> usize;

/// A server in one thread, which does what it is told to, step by step.
#[derive(Debug)]
pub struct Node {
    server: Server,
    listening: Arc<Listening>,
    connections: Vec<Arc<Connection>>,
    woken: Arc<AtomicBool>,
    /// When the reactor's poll ends by itself.
    wakes_at: Option<Duration>,
    /// When what is left of the bans is noted.
    notes_at: Duration,
    is_over: bool,
    clients: u16,
}

impl Node {
    /// Starts a server in this world.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(world: &World, builder: Builder) -> Node {
        let server = builder.listen(peer(8080)).start().expect("a server starts");
        server.begin();
        let listening = world.world.newest_listener().expect("it listens");
        Node {
            server,
            listening,
            connections: Vec::new(),
            woken: world.world.waker(),
            wakes_at: Some(world.elapsed()),
            notes_at: world.elapsed(),
            is_over: false,
            clients: 0,
        }
    }

    /// Reaches the server as other threads do.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// A connection to it, each of whose directions has room for `room` bytes; nothing if it does not listen any more.
    #[must_use]
    pub fn connect(&mut self, room: usize) -> Option<Line> {
        self.clients = self.clients.wrapping_add(1);
        let connection = world::connect(&self.listening, peer(10_000 + self.clients % 50_000), room)?;
        self.connections.push(connection.clone());
        Some(Line(connection))
    }

    /// The connections on which something is under way that has not arrived, their client being there or not.
    pub fn under_way(&self) -> impl Iterator<Item = Line> + '_ {
        let is_busy = |line: &Line| line.is_under_way() || line.wants_room();
        self.connections.iter().cloned().map(Line).filter(is_busy)
    }

    /// From now on accepting ends in this error (`errno`), or in none.
    pub fn fail_to_accept(&self, errno: Option<i32>) {
        self.listening.fail(errno);
    }

    /// Whether there is an event, or the poll ends by itself.
    #[must_use]
    pub fn is_reactor_ready(&self, world: &World) -> bool {
        !self.is_over
            && (self.woken.load(Ordering::Relaxed)
                || self.wakes_at.is_some_and(|at| at <= world.elapsed())
                || self.listening.has_edge()
                || self.connections.iter().any(|connection| connection.has_edge()))
    }

    /// One turn of the reactor. Some of the events may come later.
    ///
    /// # Errors
    /// If the reactor cannot go on.
    pub fn turn(&mut self, world: &World, choose: Choose<'_>) -> Result<(), RunError> {
        let mut events = Vec::new();
        let takes_all = choose(2) == 0;
        let mut is_taken = || takes_all || choose(2) == 0;
        if self.listening.has_edge() && is_taken() {
            events.extend(self.listening.take_event());
        }
        for connection in self.connections.iter().filter(|connection| connection.has_edge()) {
            if is_taken() {
                events.extend(connection.take_event());
            }
        }
        if self.woken.swap(false, Ordering::Relaxed) {
            events.insert(choose(events.len() + 1), Event::woken(WAKER));
        }
        match self.server.turn(&events)? {
            Some(timeout) => self.wakes_at = timeout.map(|timeout| world.elapsed() + timeout),
            None => self.is_over = true,
        }
        if self.connections.len() > 64 {
            self.connections
                .retain(|connection| !connection.is_closed_by_server() || connection.is_under_way());
        }
        Ok(())
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&mut self) -> usize {
        self.server.workers().len()
    }

    /// Whether a worker has something to do.
    #[must_use]
    pub fn is_worker_ready(&mut self, number: usize) -> bool {
        self.server.workers().get(number).is_some_and(|worker| worker.is_ready())
    }

    /// One round of a worker.
    pub fn work(&mut self, number: usize, choose: Choose<'_>) {
        if let Some(worker) = self.server.workers().get_mut(number) {
            worker.round(choose);
        }
    }

    /// Whether it is time to note what is left of the bans.
    #[must_use]
    pub fn is_note_due(&self, world: &World) -> bool {
        self.notes_at <= world.elapsed()
    }

    /// Notes what is left of the bans.
    pub fn note_bans(&mut self, world: &World) {
        self.notes_at = world.elapsed() + self.server.note_bans();
    }

    /// When the first of them has something to do, if nothing else happens.
    #[must_use]
    pub fn next_deadline(&mut self) -> Option<Duration> {
        let workers: Vec<_> = self.server.workers().iter().filter_map(|worker| worker.wakes_at()).collect();
        let reactor = self.wakes_at.filter(|_| !self.is_over);
        workers.into_iter().chain(reactor).chain([self.notes_at]).min()
    }

    /// Looks at what must be true inside of each shard.
    pub fn check(&mut self) {
        self.server.workers().iter().for_each(|worker| worker.check());
    }

    /// Connections that are open, and the bytes that wait in memory for all of them.
    #[must_use]
    pub fn burden(&self) -> (usize, usize) {
        self.server.burden()
    }

    /// Whether the reactor has come to its end, after a shutdown.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The process ends here and now; what is left of it does nothing more.
    pub fn crash(&mut self) {
        self.is_over = true;
        self.server.crash();
    }

    /// After the end of the reactor: the workers come to theirs.
    pub fn abandon_workers(&mut self) {
        self.server.abandon_workers();
    }

    /// Whether all workers have come to their end.
    #[must_use]
    pub fn have_workers_ended(&mut self) -> bool {
        self.server.workers().iter().all(|worker| worker.has_ended())
    }
}
