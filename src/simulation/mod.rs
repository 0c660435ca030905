//! A node in the hands of a simulation, for `tests/sim`: the reactor, the shards and the store as they are in the product,
//! each doing its next step when it is told to, one after the other, at a time that stands still meanwhile.
//!
//! Not a part of the public API.
//!
//! | file | subject |
//! |---|---|
//! | this one | the world, and the client's end of a connection |
//! | `node` | a server, step by step |
//! | `cluster` | nodes of a cluster: their threads, and what lies between them and the engine |

mod cluster;
mod node;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use self::cluster::{Joining, Peer, Reach, Thread};
pub use self::node::{Choose, Node};
pub use crate::store::simulated::{Disk, Ended, Fate, Kept};
use crate::system::kernel::Connection;
pub use crate::system::kernel::Received;
use crate::system::world;

/// Whatever comes from outside, for this thread: a time, chance that follows from a seed, a network. Ends when dropped.
#[derive(Debug)]
pub struct World {
    world: Arc<world::World>,
    _stay: world::Stay,
}

impl World {
    /// Has this thread enter a new world.
    #[must_use]
    pub fn enter(seed: u64) -> World {
        let (world, stay) = world::World::enter(seed);
        World { world, _stay: stay }
    }

    /// The time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world.elapsed()
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.world.pass(time);
    }

    /// Moves the clock on the wall by this number of microseconds, forwards or back.
    pub fn set_wall(&self, micros: i64) {
        self.world.set_wall(micros);
    }
}

/// The client's end of a connection; nothing happens to it when it is dropped.
#[derive(Clone, Debug)]
pub struct Line(Arc<Connection>);

impl Line {
    /// Sends as much as there is room for, and says how much.
    #[must_use]
    pub fn send(&self, bytes: &[u8]) -> usize {
        self.0.send(bytes)
    }

    /// Reads `max` bytes at most.
    #[must_use]
    pub fn receive(&self, max: usize) -> Received {
        self.0.receive(max)
    }

    /// Says that nothing more will come, and reads on.
    pub fn finish(&self) {
        self.0.finish();
    }

    /// Closes the socket: what was sent arrives, what still comes is not read.
    pub fn close(&self) {
        self.0.close();
    }

    /// Cuts the connection: what has not arrived is lost.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// Whether the server has let go of it.
    #[must_use]
    pub fn is_closed_by_server(&self) -> bool {
        self.0.is_closed_by_server()
    }

    /// Whether something is on its way to the server.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.0.is_under_way()
    }

    /// `max` bytes of what was sent arrive; what is sent after the last of them, too.
    pub fn deliver(&self, max: usize) {
        self.0.deliver(max);
    }

    /// The server's next write finds memory for this number of bytes only.
    pub fn be_short(&self, bytes: usize) {
        self.0.be_short(bytes);
    }

    /// Whether the server waits for memory that is there again, without having been told.
    #[must_use]
    pub fn wants_room(&self) -> bool {
        self.0.wants_room()
    }

    /// Tells the server that there is memory again.
    pub fn tell_of_room(&self) {
        self.0.tell_of_room();
    }

    /// Has an event come for no reason.
    pub fn be_spurious(&self) {
        self.0.be_spurious();
    }
}

fn peer(number: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], number))
}
