//! The store with a database: feature `store`.
//!
//! | file | subject |
//! |---|---|
//! | `handle` | the way to its threads |
//! | `schema` | tables, migrations, connections |
//! | `stepped` | in a simulation: the writer and a reader, as they are told to |
//! | `threads`, `jobs` | starting and ending the threads; what passes between them |
//! | `writer`, `log_writer`, `room_heads` | rounds and their transactions; messages of a batch; what is due next in every room |
//! | `rows`, `page` | rows as messages; reading parts of a log |
//! | `registry`, `bans` | rooms and participants; who must not come back where |
//! | `retention`, `checkpoint` | what is done beside |
//! | `backup`, `restore` | copies of a database in use, and how one becomes a data directory |
//! | `epoch`, `mark`, `checksum`, `wal` | noticing what was lost, damaged, or put back from a copy |
//! | `files` | names of the files in a data directory |
//! | `locks`, `anchor`, `probe` | being alone with the files, and noticing that they are gone, or well again |
//! | `error` | what SQLite says, as errors of the store |

mod anchor;
mod backup;
mod bans;
mod checkpoint;
mod checksum;
mod epoch;
mod error;
mod files;
mod handle;
mod jobs;
mod locks;
mod log_writer;
mod mark;
mod page;
mod probe;
mod registry;
mod restore;
mod retention;
mod room_heads;
mod rows;
mod schema;
#[cfg(feature = "simulation")]
pub(super) mod stepped;
mod threads;
mod wal;
mod writer;

pub use self::restore::{RestoreError, check_backup, restore};
pub(super) use self::threads::start;
