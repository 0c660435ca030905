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

use std::fmt::Debug;
use std::process::Command;
use std::str::FromStr;
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

/// Sends a process of the test's own a signal, such as `STOP`.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", "kill -\"$1\" \"$0\"", &pid.to_string(), name]).status();
    assert!(sent.expect("a shell").success());
}

/// What a variable of the environment says, if it is set.
pub(crate) fn variable<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |value| value.parse().expect("a value that can be read"))
}

/// The next number of SplitMix64.
pub(crate) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[expect(clippy::disallowed_methods, reason = "a test's deadlines are real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
