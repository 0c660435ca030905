//! A server whose rooms are in MongoDB. The tests need one, so `cargo test` leaves them out; `tests/mongo/run` runs them.
//!
//! | file | subject |
//! |---|---|
//! | `database` | a database of the test's own, and a server of it that can be paused and killed |
//! | `layout` | what another program has written there, and what it reads |
//! | `commands` | rooms out of a directory into a database, and back |
//! | `away` | the database does not answer; a second server; what is wrong at the start |
//! | `under_load` | kill -9 of server and database, and joins, while everybody talks |

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod commands;
mod database;
mod layout;
mod under_load;
