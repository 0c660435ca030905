//! Foghorn: a WebSocket room server on raw sockets, and the library that it is made of.
//!
//! **A room is a log; a member is a cursor.** A room numbers its messages and keeps the newest of them as ready-made
//! frames, back to back in one buffer. A member is a position in that log and a socket. Broadcast, history, recovery
//! and slow readers are all the same thing: a cursor that moves towards the head.
//!
//! The command `foghorn serve` runs the whole of it. As a library it is this much:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use foghorn::http::Head;
//! use foghorn::server::{Context, Endpoint, Handler, JoinRequest, Router};
//! use foghorn::testing::{Connection, Server};
//! use foghorn::ws::Message;
//!
//! /// Whatever one member says, all are sent.
//! struct Hall;
//!
//! impl Handler for Hall {
//!     type State = ();
//!
//!     fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
//!         if let Err(error) = cx.join(JoinRequest::relay("hall")) {
//!             cx.close(error.close_code(), &error.to_string());
//!         }
//!     }
//!
//!     fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
//!         let Some(&hall) = cx.memberships().first() else { return };
//!         let published = match message {
//!             Message::Text(text) => cx.publish_text(hall, text, None),
//!             Message::Binary(bytes) => cx.publish_binary(hall, bytes),
//!         };
//!         if let Err(error) = published {
//!             cx.close(error.close_code(), &error.to_string());
//!         }
//!     }
//! }
//!
//! // Here inside a test; `Server::builder()` makes a server that is there for others.
//! let server = Server::start(Router::new().endpoint("/hall", Endpoint::new(Hall)))?;
//! let mut client = Connection::open(server.address(), "/hall")?;
//! client.send_text("is anybody here?")?;
//! assert_eq!(client.text()?, "is anybody here?");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! All are on by default. A server with handlers and relay rooms needs none of them: `default-features = false`. What a
//! program asks for that it was built without (a certificate, keys for tokens, a data directory) is an error at its start.
//!
//! | feature | |
//! |---|---|
//! | `store` | rooms in an embedded database (SQLite); without it, in memory |
//! | `tls` | TLS 1.2 and 1.3 |
//! | `auth` | tokens (JWT): keys, verifying, signing |
//! | `chat` | JSON chat, REST, server-sent events and long polls, signaling, the chat page |
//! | `stomp` | STOMP |
//! | `redis` | several nodes that act as one, over Redis or Valkey |
//! | `mongodb` | rooms in MongoDB; off by default |
//! | `metrics` | `/metrics`, for Prometheus |
//! | `signals` | `Builder::handle_signals` |
//! | `testing` | a server inside a test, and clients for it |
//! | `cli` | the command `foghorn` |
//! | `bench` | the load generator behind `foghorn bench` |
//!
//! # Where to go on
//!
//! | | |
//! |---|---|
//! | [`guide`] | a book in six chapters: [start](guide::start), [handler](guide::handler), [rooms](guide::rooms), [recovery](guide::recovery), [testing](guide::testing), [deployment](guide::deployment) |
//! | [`server`] | the API: servers, routers, handlers, sessions, rooms |
//! | [`testing`] | a server and clients for tests |
//! | [`config`], [`auth`], [`store`], [`cluster`] | what can be set; who users are; where rooms are kept, also by several nodes together |
//! | [`http`], [`ws`] | requests and responses; RFC 6455 without I/O, for clients and servers alike |
//! | [`chat`], [`feed`], [`signaling`], [`stomp`], [`demo`], [`web`], [`metrics`] | what `foghorn serve` serves, to be served by other programs, too |
//! | `examples/` | whole programs: `cargo run --example echo` |
//!
//! What follows is for those who read the sources.
//!
//! # One message, from socket to sockets
//!
//! 1. The kernel reports a readable socket; `reactor` reads into its one large buffer (`Reactor::read`).
//! 2. [`ws::Connection`] finds the frame, unmasks it where it lies, checks its UTF-8 and lends it out.
//! 3. [`server`] calls the endpoint's [`Handler`](server::Handler); the chat's ([`chat`]) parses the JSON and says
//!    [`Context::publish_text`](server::Context::publish_text).
//! 4. The content travels in this turn's batch over a bounded channel to the shard that owns the room (`workers`).
//! 5. A shard (`rooms`) numbers it, stamps it, encodes it **once** into the room's log, and puts a record into the batch
//!    for the store.
//! 6. [`store`] commits the batches of all shards together, and answers.
//! 7. The shard lets the message be seen and pumps the room: for each member one `send` of the bytes between its cursor
//!    and the head, through the trait `Peer`, which is the write half of its connection (`transport`).
//! 8. A socket that is full keeps the rest of one frame; the member's cursor stays behind until the reactor hears that
//!    the socket is writable, and sends a `Resume`.
//!
//! # The layers
//!
//! Imports point downwards only; `tests/layering` sees to it.
//!
//! | floor | modules | |
//! |---|---|---|
//! | 8 | `main` | arguments to exit status |
//! | 7 | `cli`, `bench` | the only place for environment, standard output, exit |
//! | 6 | [`chat`], [`feed`], [`signaling`], [`stomp`], [`demo`], [`web`], [`metrics`], [`admin`], [`testing`], [`guide`] | applications: ordinary users of [`server`] |
//! | 5 | [`server`] | the public API; wires everything below |
//! | 4 | `reactor`, `workers` | shells: one mio thread; channels around the shards |
//! | 3 | `transport`, [`store`] | shells: sockets, TLS, and their write half; the embedded database |
//! | 2 | `rooms`, `handshake`, [`auth`], `request` | pure: logs, cursors, shards; RFC 6455 §4; tokens and what they allow; what the requests of all applications have in common |
//! | 1 | [`ws`], [`http`], `proxy`, [`config`], [`limit_hits`], [`histogram`], `rate`, `calendar`, `system` | pure: RFC 6455 frames and their compression, RFC 9112 messages, what proxies say; leaves |
//!
//! The floors 1 and 2 are sans-I/O: no socket, no thread, no clock. They take bytes, commands and `now`, and return
//! events and effects; so they are fuzzed, simulated under virtual time, and measured without a kernel.
//!
//! # Deliberately absent
//!
//! An async runtime on the hot path; a lock shared by all connections; a queue without a limit; a copy of a broadcast
//! per receiver; a second protocol for history; sticky sessions.

#![cfg_attr(
    not(all(
        feature = "auth",
        feature = "bench",
        feature = "chat",
        feature = "cli",
        feature = "metrics",
        feature = "redis",
        feature = "signals",
        feature = "stomp",
        feature = "store",
        feature = "testing",
        feature = "tls",
    )),
    allow(dead_code, unreachable_code, unused_imports, reason = "some of it is there for features alone")
)]

#[cfg(feature = "admin")]
pub mod admin;
pub mod auth;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod calendar;
#[cfg(feature = "chat")]
pub mod chat;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "redis")]
pub mod cluster;
pub mod config;
#[cfg(any(test, feature = "fuzzing"))]
mod cut;
pub mod demo;
#[cfg(test)]
pub(crate) mod every_split;
#[cfg(feature = "chat")]
pub mod feed;
#[cfg(any(all(test, feature = "auth", feature = "stomp"), feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(all(
    feature = "chat",
    feature = "metrics",
    feature = "signals",
    feature = "store",
    feature = "testing"
))]
pub mod guide;
#[doc(hidden)]
pub mod handshake;
pub mod histogram;
pub mod http;
pub mod limit_hits;
#[cfg(feature = "metrics")]
pub mod metrics;
#[doc(hidden)]
pub mod proxy;
#[doc(hidden)]
pub mod rate;
mod reactor;
#[cfg(any(feature = "chat", feature = "stomp"))]
mod request;
#[doc(hidden)]
pub mod rooms;
pub mod server;
#[cfg(feature = "chat")]
pub mod signaling;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
#[cfg(feature = "stomp")]
pub mod stomp;
pub mod store;
mod system;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;
#[cfg(feature = "chat")]
pub mod web;
mod workers;
pub mod ws;

/// The code of the README, as a test.
#[cfg(all(doctest, feature = "signals"))]
#[doc = include_str!("../README.md")]
struct Readme;
