//! Foghorn: a WebSocket room server on raw sockets.

pub mod config;
pub mod handshake;
pub mod http;
pub mod ws;
