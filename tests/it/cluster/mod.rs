//! Several nodes on one Redis or Valkey. The tests need its server, so `cargo test` leaves them out; `tests/cluster/run`
//! runs them, with each server that it finds.
//!
//! | file | subject |
//! |---|---|
//! | `engine` | a Redis of the test's own, which can be paused, killed, emptied and put back |
//! | `member` | nodes, and members of their rooms |
//! | `together` | what holds while all is well: one order, one presence, one REST interface |
//! | `away` | Redis does not answer, or has forgotten something; a node dies |
//! | `late` | nodes that are there before Redis is |
//! | `metrics` | what a node counts of its cluster |
//! | `load` | clients that talk without a pause, and a check of all that they were shown |
//! | `refusals` | Redis answers, and does not do what it is asked to |
//! | `rolling` | nodes are replaced one after the other |
//! | `switch` | one address of Redis behind which servers change |
//! | `failover` | a replica takes the place of its master |
//! | `clocks` | clocks that are an hour apart, and jump |
//! | `foreign` | others write where only nodes should, or remove what they need |
//! | `chaos` | all of it at random, under load; what every client was shown is compared at the end |

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a run that failed says what has happened to it")]

mod away;
mod chaos;
mod clocks;
mod engine;
mod failover;
mod foreign;
mod late;
mod load;
mod member;
mod metrics;
mod refusals;
mod rolling;
mod switch;
mod together;
