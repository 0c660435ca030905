//! Authentication on real sockets: where tokens come from, what they allow, how long they last; keys; interceptors.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod handshake;
mod interceptor;
mod keys;
mod origins;
mod rest;
mod session;
