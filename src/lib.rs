//! Foghorn: a WebSocket room server on raw sockets.

pub mod config;
#[cfg(test)]
pub(crate) mod every_split;
pub mod handshake;
pub mod http;
pub mod ws;
