//! What the process takes from outside: time, chance, sockets, being woken up, and what it takes of the machine.
//!
//! In the product each of these is the system's own type or call, under another name: nothing stands between. With the
//! feature `simulation` a thread can enter a world in which time stands until it is told to go on, chance comes from a
//! seed, and sockets lead to a kernel that is a part of the program; every other thread goes on as ever.
//!
//! | file | subject |
//! |---|---|
//! | `clock` | what time it is |
//! | `chance` | random numbers, and the keys of hashes |
//! | `socket` | a connected socket |
//! | `usage` | how much memory the process takes, and its threads of the processor |
//! | `waker` | what wakes the loop up |
//! | `readiness` | what is reported of a socket |
//! | `threads` | threads that wait for each other |
//! | `stream` | a connection to another server, by a thread that waits for it |
//! | `fibers` | in a simulation: threads of which one runs at a time |
//! | `network` | in a simulation: connections to a server of the simulation |
//! | `kernel` | in a simulation: the sockets and what happens between their ends |
//! | `world` | in a simulation: the time, the seed, and all sockets of one thread |

mod chance;
mod clock;
#[cfg(feature = "simulation")]
pub(crate) mod fibers;
#[cfg(feature = "simulation")]
pub(crate) mod kernel;
#[cfg(feature = "simulation")]
pub(crate) mod network;
mod readiness;
mod socket;
#[cfg(feature = "redis")]
mod stream;
pub(crate) mod threads;
mod usage;
mod waker;
#[cfg(feature = "simulation")]
pub(crate) mod world;

pub(crate) use chance::{RandomState, random};
#[cfg(feature = "cli")]
pub(crate) use clock::monotonic_micros;
pub(crate) use clock::{instant, since_epoch, steady, steady_at};
pub(crate) use readiness::Readiness;
pub(crate) use socket::{Socket, real};
#[cfg(feature = "redis")]
pub(crate) use stream::{TcpStream, has_come, receive, wait_any, write_now};
pub(crate) use usage::{resident_bytes, thread_time};
pub(crate) use waker::Waker;
