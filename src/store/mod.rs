//! The store: rooms and their messages in one SQLite database, in MongoDB (`mongo`, which has threads of its own), or the newest of
//! them in memory.
//!
//! [`Store`] is a handle; all calls return at once, and the answer comes by a callback on one of the store's threads.
//! Where nothing is to be kept, one thread keeps the ends of the logs in memory (`memory`). With a database of SQLite's:
//!
//! | thread | does |
//! |---|---|
//! | `store` | everything that writes: one transaction for whatever waits, then the answers; deletes old messages when idle |
//! | `reader-0`, `reader-1` | pages of history, rooms that are opened, what REST asks for |
//! | `checkpoint` | moves the write-ahead log into the database |
//! | `backup` | copies of the database for clients |
//!
//! What holds:
//! - A message that [`Store::append`] has answered for is there after `kill -9`; in a batch that demands
//!   [`Durability::Fsync`], after the loss of power.
//! - A room's numbers have no hole and its times only grow: what does not follow the last message is refused.
//! - After a failure nothing is stored that was built on what was lost, see [`RecordBatch::term`].
//! - After an fsync failed, nothing is stored until the process is restarted ([`Health::Failed`]): what the disk did not
//!   confirm once it will not confirm truly the second time.
//! - An epoch changes if messages may have been lost, see `epoch`, also by putting back a copy, see `mark`.
//!
//! | file | subject |
//! |---|---|
//! | `handle` | the handle by which programs reach a store |
//! | `options` | where it is, how much it keeps, how much may wait for it |
//! | `backend`, `memory`, `sqlite`, `mongo` | what every store does; the store without a database; those with one (features `store` and `mongodb`) |
//! | `late` | a store that is not there yet |
//! | `values`, `backup` | what goes in and out; copies, as their clients see them |
//! | `threads`, `answer`, `admission` | starting and ending; how requests are answered, and how many may wait |
//! | `quarantine` | rooms that are damaged, which harm no others |
//! | `terms` | which batches of a shard must be refused, since they were built on one that was not stored |
//! | `health`, `commits`, `cluster`, `error` | how a store is, how long its commits take, what a node of a cluster counts, and what can go wrong |
//! | `fates`, `simulated` | in a simulation: what can become of a store's work; a store that does its next step when it is told to |
//! | `entropy` | random numbers and the time |

mod admission;
mod answer;
mod backend;
mod backup;
mod cluster;
mod commits;
mod entropy;
mod error;
#[cfg(feature = "simulation")]
mod fates;
mod handle;
mod health;
#[cfg(test)]
mod held;
#[cfg(any(all(feature = "cli", feature = "redis"), test))]
mod late;
mod memory;
#[cfg(feature = "mongodb")]
mod mongo;
mod options;
#[cfg(any(feature = "mongodb", feature = "store"))]
mod quarantine;
#[cfg(feature = "simulation")]
pub(crate) mod simulated;
#[cfg(feature = "store")]
mod sqlite;
mod terms;
#[cfg(test)]
#[cfg(feature = "store")]
mod tests;
mod threads;
mod values;

pub(crate) use self::admission::{AdmissionLimit, Permit};
pub use self::answer::Done;
pub(crate) use self::answer::{Answer, Purpose};
pub(crate) use self::backend::{Backend, DamageListener, Follower, NodeListener};
pub use self::backup::{BackupError, BackupId, BackupPart};
pub use self::cluster::{ClusterEvent, ClusterStats};
pub use self::commits::CommitStats;
pub use self::error::{Busy, Health, OpenError, StoreError};
pub use self::handle::Store;
pub(crate) use self::health::{Monitor, Watch};
#[cfg(test)]
pub(crate) use self::held::HeldAnswers;
#[cfg(all(feature = "cli", feature = "redis"))]
pub(crate) use self::late::LateStore;
pub use self::options::{Location, MemoryLimits, MongoDb, Options};
#[cfg(feature = "store")]
pub use self::sqlite::{RestoreError, check_backup, restore};
pub use self::threads::StoreThreads;
pub(crate) use self::values::{BanChange, Presence};
pub use self::values::{Import, NewRoom, RoomInfo, RoomQuery};
#[cfg(feature = "redis")]
pub(crate) use self::values::{LIST_BYTES_MAX, PARTICIPANTS_MAX, made_up_id};
#[doc(inline)]
pub use crate::rooms::log::Window;
#[cfg(doc)]
use crate::rooms::store_api::RecordBatch;
#[doc(inline)]
pub use crate::rooms::store_api::{
    Durability, Page, PageRequest, ReadFrom, Retention, RoomId, RoomSettings, SEQ_MAX, Stored, StoredPresence,
};
