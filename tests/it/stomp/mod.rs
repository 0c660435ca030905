//! STOMP on a real server, by a client that writes and reads every byte by hand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod authentication;
mod client;
mod connecting;
mod hostile;
mod openings;
mod queues;
mod rooms;
