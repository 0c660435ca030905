//! What the integration tests share: a server in this process or in its own, on a free port, a raw
//! client, and an independent one.
//!
//! Every wait has a deadline, [`PATIENCE`]; no test asserts that something happens quickly.

#![expect(clippy::panic, reason = "a helper fails the test that calls it")]

pub(crate) mod chat;
pub(crate) mod configured;
pub(crate) mod frame;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod secure;
pub(crate) mod server;
pub(crate) mod tokens;

use std::time::{Duration, Instant};

pub(crate) use chat::{Chat, Client, Coverage};
pub(crate) use configured::ConfiguredProcess;
pub(crate) use raw::{Raw, Reply};
pub(crate) use server::TestServer;

/// How long a test waits for something that must happen, before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a test's server pings or sends a HEARTBEAT, and after how long a silence it ends a session, unless the test says otherwise: never
/// while the test runs. A test's client reads what it asked for and may be slow; one that reads and writes in two threads
/// must not answer a ping in the middle of a message. (The first ones are spread over the whole interval: with a usual one
/// some come at once.)
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(11 * 3600);
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(12 * 3600);

/// The same for a server in a process of its own.
pub(crate) const QUIET: [(&str, &str); 3] = [
    ("FOGHORN_HEARTBEAT_PING_INTERVAL", "11h"),
    ("FOGHORN_HEARTBEAT_TEXT_INTERVAL", "11h"),
    ("FOGHORN_HEARTBEAT_IDLE_TIMEOUT", "12h"),
];

/// Asks again and again until the answer is yes; fails with `what` if it never is.
pub(crate) fn eventually(what: &str, mut answer: impl FnMut() -> bool) {
    let start = now();
    while !answer() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's deadlines are real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
