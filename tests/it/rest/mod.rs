//! The REST interface: a server in this process, a client that speaks HTTP by hand, members with `tungstenite`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod http;
mod malformed;
mod members;
mod messages;
mod rooms;
mod status;
