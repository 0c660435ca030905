//! The guide: how to build on Foghorn, from the first endpoint to a machine that serves strangers.
//!
//! 1. [start]: a server in twenty lines, and what happens in it
//! 2. [handler]: sessions, their state, timers, other threads, what can go wrong
//! 3. [rooms]: broadcast, presence, publishing from outside, HTTP beside the WebSockets
//! 4. [recovery]: history, coming back without a gap, slow readers, what survives what
//! 5. [testing]: the same server inside a test
//! 6. [deployment]: limits, users, TLS, proxies, the end
//!
//! Every piece of code in it is compiled and run by `cargo test --doc`. Whole programs lie in `examples/`: `echo`, `sink`,
//! `clock`, `duplex`, `json`, `subprotocol`, `chat`, `game`.

pub mod deployment {
    #![doc = include_str!("guide/deployment.md")]
}

pub mod handler {
    #![doc = include_str!("guide/handler.md")]
}

pub mod recovery {
    #![doc = include_str!("guide/recovery.md")]
}

pub mod rooms {
    #![doc = include_str!("guide/rooms.md")]
}

pub mod start {
    #![doc = include_str!("guide/start.md")]
}

pub mod testing {
    #![doc = include_str!("guide/testing.md")]
}
