//! One node under simulation: the product's code in one thread, at a time of its own; one seed decides everything.
//!
//! `FOGHORN_SIM_SEED=N` runs one seed and tells what happened; `FOGHORN_SIM_SEEDS=N` and `FOGHORN_SIM_FROM=N` run so many
//! from there on; `FOGHORN_SIM_SECONDS=N` runs fresh ones for so long.

mod client;
mod model;
mod plan;
mod random;
mod run;
mod story;
mod wire;

use std::time::{Duration, Instant};

use self::plan::Plan;
use self::run::{Outcome, run};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Prints what went wrong with a seed.
fn tell(plan: &Plan, outcome: &Outcome) {
    println!("{plan:#?}");
    let told = run(plan, true);
    for line in &told.story {
        println!("{line}");
    }
    println!("seed {}: {}", plan.seed, outcome.wrong.as_deref().unwrap_or("nothing is wrong"));
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let plan = Plan::of(seed);
        let (one, other) = (run(&plan, false), run(&plan, false));
        assert_eq!((one.steps, one.shown, one.trace), (other.steps, other.shown, other.trace), "seed {seed}");
    }
}

#[test]
fn whatever_happens_what_is_promised_is_kept() {
    if let Some(seed) = number("FOGHORN_SIM_SEED") {
        let plan = Plan::of(seed);
        return tell(&plan, &run(&plan, false));
    }
    let from = number("FOGHORN_SIM_FROM").unwrap_or(0);
    let count = number("FOGHORN_SIM_SEEDS").unwrap_or(100);
    let time = number("FOGHORN_SIM_SECONDS").map(Duration::from_secs);
    #[expect(clippy::disallowed_methods, reason = "how long the test itself takes")]
    let begin = Instant::now();
    let (mut steps, mut shown, mut seeds) = (0, 0, 0);
    let mut failed = Vec::new();
    for seed in from.. {
        if time.map_or(seeds >= count, |time| begin.elapsed() >= time) {
            break;
        }
        let outcome = run(&Plan::of(seed), false);
        (steps, shown, seeds) = (steps + outcome.steps, shown + outcome.shown, seeds + 1);
        if let Some(wrong) = outcome.wrong {
            println!("seed {seed}: {wrong}");
            failed.push(seed);
            if failed.len() >= 10 {
                break;
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{seeds} seeds from {from}: {steps} steps, {shown} messages shown, {seconds:.1} s");
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}
