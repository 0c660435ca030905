//! The store in MongoDB: feature `mongodb`.
//!
//! Rooms are in `chat_rooms`, messages in `chat_messages`, as programs have them that map these two; what this one keeps
//! besides is in collections `foghorn_…`. There are no transactions: the order in which documents are written says what a
//! crash has left, and it is put right when the room is opened.
//!
//! | thread | does |
//! |---|---|
//! | `store` | inserts messages: everything that waits together, then the answers |
//! | `reader-0` … | pages of history, and what REST asks for and changes |
//! | `opener-0` … | rooms are opened: put in order, and numbered, if another program has written to them |
//! | `tidier` | builds the indexes, notes where the logs stand, deletes old messages |
//! | `lease` | keeps the lease, asks whether a database that went away is back |
//! | `mongodb` | two of the driver's own, which move bytes |
//!
//! | file | subject |
//! |---|---|
//! | `handle` | the way to its threads |
//! | `threads` | starting and ending |
//! | `place`, `link` | where the database is; questions, each with an end |
//! | `lease` | one server at a time writes to a database |
//! | `schema` | indexes, the note of the last run |
//! | `documents` | messages and rooms as documents |
//! | `logs`, `heads` | what is kept of a log beside its messages; where those in use stand |
//! | `shared` | what the threads have in common |
//! | `writer`, `append`, `insert` | rounds; batches held against the heads; documents inserted in order |
//! | `stays` | whose LEAVE is to come |
//! | `opening`, `numbering` | rooms put in order and opened; numbers for what others have inserted |
//! | `page` | reading parts of a log |
//! | `registry`, `listing`, `bans` | rooms and participants; lists of rooms; who must not come back where |
//! | `import` | messages from elsewhere, with their numbers |
//! | `retention`, `burying` | what is kept no longer; what is left of deleted rooms |

mod append;
mod bans;
mod burying;
mod documents;
mod handle;
mod heads;
mod import;
mod insert;
mod lease;
mod link;
mod listing;
mod logs;
mod numbering;
mod opening;
mod page;
mod place;
mod registry;
mod retention;
mod schema;
mod shared;
mod stays;
mod threads;
mod writer;

pub(super) use self::threads::start;
