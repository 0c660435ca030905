//! Clocks that are an hour apart, and jump: those of nodes and that of Redis (`libfaketime`).

use std::path::Path;
use std::time::Duration;

use super::engine::Engine;
use super::load::{Addresses, check, under_load};
use super::member::Member;
use crate::support::eventually;
use crate::support::process::Process;

/// What moves the clocks of a program, as a variable of its environment: Debian's `libfaketime`.
fn library() -> String {
    let found = ["x86_64", "aarch64"]
        .map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1"));
    let found = found.into_iter().find(|path| Path::new(path).exists());
    found.expect("libfaketime: tests/cluster/run installs it")
}

/// A clock that can be put forward and back; what measures how long something takes goes on as it did.
struct Clock(tempfile::NamedTempFile);

impl Clock {
    fn set(offset: &str) -> Clock {
        let clock = Clock(tempfile::NamedTempFile::new().unwrap());
        clock.put(offset);
        clock
    }

    fn put(&self, offset: &str) {
        // In one step: a clock that is read meanwhile has the old offset or the new one.
        let next = self.0.path().with_extension("next");
        std::fs::write(&next, format!("{offset}\n")).unwrap();
        std::fs::rename(next, self.0.path()).unwrap();
    }

    fn environment(&self) -> Vec<(String, String)> {
        let file = self.0.path().to_str().unwrap().to_owned();
        let library = library();
        [
            ("LD_PRELOAD", &*library),
            ("FAKETIME_TIMESTAMP_FILE", &*file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DONT_RESET", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// Whether the clock of the server can be moved: Debian's Redis asks for the time before the library is there, through its
/// own allocator, and does not start with it. Beside that one the nodes' clocks are apart all the same.
fn is_movable() -> bool {
    std::env::var("FOGHORN_REDIS_SERVER").is_ok_and(|server| server.contains("valkey"))
}

fn engine(clock: &Clock) -> Engine {
    let mut engine = Engine::durable();
    if !is_movable() {
        return engine;
    }
    engine.kill();
    let variables = clock.environment().into_iter().map(|(name, value)| format!("{name}={value}"));
    let through: Vec<String> = std::iter::once("env".to_owned()).chain(variables).collect();
    engine.launch(&through.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    eventually("a Redis that answers", || engine.try_command(&["PING"]).is_ok());
    engine
}

fn node(engine: &Engine, clock: &Clock) -> Process {
    let config = tempfile::NamedTempFile::new().unwrap();
    // Ids are remembered by the clock of Redis, which is put forward by an hour.
    let text = "[cluster]\nlease = \"3s\"\nretention = 10000000\n[chat]\ndedup_window = \"24h\"\n";
    std::fs::write(config.path(), text).unwrap();
    let arguments = ["--cluster", &engine.url(), "--config", config.path().to_str().unwrap()];
    Process::serve_in(&arguments, clock.environment())
}

/// Seconds since 1970, of a time that Redis tells.
fn time_of(engine: &Engine) -> i64 {
    let redis::Value::Array(parts) = engine.command(&["TIME"]) else { panic!("no time") };
    redis::from_redis_value(parts[0].clone()).unwrap()
}

#[test]
#[ignore = "needs redis-server and libfaketime: tests/cluster/run has them"]
fn clocks_that_are_an_hour_apart_and_jump_do_no_harm() {
    let clocks = ["+0", "+3600s", "-3600s"].map(Clock::set);
    let redis_clock = Clock::set("+1800s");
    let engine = engine(&redis_clock);
    let (before, real) = (time_of(&engine), time_of(&Engine::start()));
    let ahead = if is_movable() { 1_800 } else { 0 };
    assert!(
        (ahead - 100..ahead + 100).contains(&(before - real)),
        "the clock of Redis is not moved: {before} {real}"
    );
    let nodes = clocks.each_ref().map(|clock| node(&engine, clock));
    let addresses = Addresses::default();
    addresses.set(&nodes);
    let mut watcher = Member::join(&nodes[0], "watched", "ann");
    let _others = [1, 2].map(|at: usize| Member::join(&nodes[at], "watched", ["", "bob", "eve"][at]));
    let clients = under_load(&addresses, 3, || {
        for (clock, offset) in [
            (Some(0), "+7200s"),
            (Some(1), "-7200s"),
            (None, "+5400s"),
            (Some(2), "+86400s"),
            (None, "-3600s"),
            (Some(0), "+0"),
        ] {
            std::thread::park_timeout(Duration::from_millis(1_500));
            clock.map_or(&redis_clock, |at| &clocks[at]).put(offset);
            println!(
                "the clock of {} is at {offset}",
                clock.map_or("Redis".into(), |at| format!("node {at}"))
            );
        }
        // Twice a lease after the last jump.
        std::thread::park_timeout(Duration::from_secs(6));
    });
    check(&clients, &nodes.iter().collect::<Vec<_>>(), true);
    // A lease is kept by the clock of Redis alone; where that jumped ahead, who was taken for dead has come again.
    eventually("all three are there", || {
        nodes[0].ask("GET", "/api/chat/rooms/watched/online", None).1["count"] == 3
    });
    watcher.say("last", None);
    watcher.until_content("last");
}
