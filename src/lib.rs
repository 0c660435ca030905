//! Foghorn: a WebSocket room server on raw sockets.
//!
//! **A room is a log; a member is a cursor.** A room numbers its messages and keeps the newest of them as ready-made
//! frames, back to back in one buffer. A member is a position in that log and a socket. Broadcast, history, recovery
//! and slow readers are all the same thing: a cursor that moves towards the head.
//!
//! # One message, from socket to sockets
//!
//! 1. The kernel reports a readable socket; `reactor` reads into its one large buffer (`Reactor::read`).
//! 2. [`ws::Connection`] finds the frame, unmasks it where it lies, checks its UTF-8 and lends it out.
//! 3. [`server`] calls the endpoint's [`Handler`](server::Handler); the chat's ([`chat`]) parses the JSON and says
//!    [`Context::publish_text`](server::Context::publish_text).
//! 4. The content travels in this turn's batch over a bounded channel to the shard that owns the room (`workers`).
//! 5. [`rooms::Shard`] numbers it, stamps it, encodes it **once** into the room's log, and puts a record into the batch
//!    for the store.
//! 6. [`store`] commits the batches of all shards together, and answers.
//! 7. The shard lets the message be seen and pumps the room: for each member one `send` of the bytes between its cursor
//!    and the head, through [`Peer`](rooms::Peer), which is the write half of its connection (`transport`).
//! 8. A socket that is full keeps the rest of one frame; the member's cursor stays behind until the reactor hears that
//!    the socket is writable, and sends a [`Resume`](rooms::Command::Resume).
//!
//! # The layers
//!
//! Imports point downwards only; `tests/layering.rs` sees to it.
//!
//! | floor | modules | |
//! |---|---|---|
//! | 8 | `main` | arguments to exit status |
//! | 7 | [`cli`], [`mod@bench`] | the only place for environment, standard output, exit |
//! | 6 | [`chat`], [`feed`], [`signaling`], [`stomp`], [`demo`], [`web`] | applications: ordinary users of [`server`] |
//! | 5 | [`server`] | the public API; wires everything below |
//! | 4 | `reactor`, `workers` | shells: one mio thread; channels around the shards |
//! | 3 | `transport`, [`store`] | shells: sockets, TLS, and their write half; the embedded database |
//! | 2 | [`rooms`], [`handshake`], [`auth`] | pure: logs, cursors, shards; RFC 6455 §4; tokens and what they allow |
//! | 1 | [`ws`], [`http`], [`proxy`], [`config`], [`metrics`], [`rate`] | pure: RFC 6455 frames and their compression, RFC 9112 messages, what proxies say; leaves |
//!
//! The floors 1 and 2 are sans-I/O: no socket, no thread, no clock. They take bytes, commands and `now`, and return
//! events and effects; so they are fuzzed, simulated under virtual time, and measured without a kernel.
//!
//! # Deliberately absent
//!
//! An async runtime on the hot path; a lock shared by all connections; a queue without a limit; a copy of a broadcast
//! per receiver; a second protocol for history; sticky sessions.

pub mod auth;
#[doc(hidden)]
pub mod bench;
pub mod chat;
#[doc(hidden)]
pub mod cli;
pub mod config;
pub mod demo;
#[cfg(test)]
pub(crate) mod every_split;
pub mod feed;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod handshake;
pub mod http;
pub mod metrics;
#[doc(hidden)]
pub mod proxy;
#[doc(hidden)]
pub mod rate;
mod reactor;
#[doc(hidden)]
pub mod rooms;
pub mod server;
pub mod signaling;
pub mod stomp;
pub mod store;
pub mod testing;
mod transport;
pub mod web;
mod workers;
pub mod ws;
