//! Foghorn: a WebSocket room server on raw sockets.

pub mod bench;
pub mod chat;
pub mod cli;
pub mod config;
pub mod demo;
#[cfg(test)]
pub(crate) mod every_split;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod handshake;
pub mod http;
mod reactor;
pub mod rooms;
pub mod server;
pub mod store;
mod transport;
pub mod web;
mod workers;
pub mod ws;
