//! Seeds of several nodes.
//!
//! `FOGHORN_SIM_CLUSTER_SEED`, `…_SEEDS`, `…_FROM`, `…_SECONDS`, `…_FIRST` as those of one node.

use std::collections::BTreeSet;
use std::time::Duration;

use super::plan::ClusterPlan;
use super::run;
use crate::plan::Trim;
use crate::{fresh, now, number};

/// Seeds that failed once, each with what was wrong then.
const REGRESSIONS: &[(u64, &str)] = &[];

#[test]
fn the_same_seed_of_several_nodes_is_the_same_run() {
    for seed in 0..10 {
        let plan = ClusterPlan::of(seed);
        let (one, other) = (run(&plan, false), run(&plan, true));
        assert_eq!((one.steps, one.shown, one.trace), (other.steps, other.shown, other.trace), "seed {seed}");
    }
}

#[test]
fn what_went_wrong_once_between_nodes_does_so_no_more() {
    for (seed, was) in REGRESSIONS {
        let outcome = run(&ClusterPlan::of(*seed), false);
        assert_eq!(outcome.wrong, None, "seed {seed}, which was once: {was}");
    }
}

#[test]
fn whatever_happens_between_nodes_what_is_promised_is_kept() {
    if let Some(seed) = number("FOGHORN_SIM_CLUSTER_SEED") {
        let outcome = run(&ClusterPlan::of(seed), true);
        println!("{}", ClusterPlan::of(seed));
        outcome.story.iter().for_each(|line| println!("{line}"));
        println!("seed {seed}: {}", outcome.wrong.as_deref().unwrap_or("nothing is wrong"));
        assert_eq!(outcome.wrong, None);
        return;
    }
    let time = number("FOGHORN_SIM_CLUSTER_SECONDS").map(Duration::from_secs);
    let from = number("FOGHORN_SIM_CLUSTER_FROM").unwrap_or_else(|| if time.is_some() { fresh() } else { 0 });
    let count = number("FOGHORN_SIM_CLUSTER_SEEDS").unwrap_or(20);
    let failures_max = if number("FOGHORN_SIM_CLUSTER_FIRST").is_some() { 1 } else { 5 };
    let begin = now();
    let (mut steps, mut shown, mut seeds, mut failed) = (0, 0, 0, Vec::new());
    for seed in from.. {
        let is_over = time.map_or(seeds >= count, |time| now() - begin >= time);
        if is_over || failed.len() >= failures_max {
            break;
        }
        let outcome = run(&ClusterPlan::of(seed), false);
        (steps, shown, seeds) = (steps + outcome.steps, shown + outcome.shown, seeds + 1);
        if let Some(wrong) = outcome.wrong {
            println!("seed {seed}: {wrong}");
            failed.push(seed);
        }
    }
    let seconds = (now() - begin).as_secs_f64();
    println!(
        "{seeds} seeds of several nodes from {from} on: {steps} steps, {shown} messages shown, {seconds:.1} s"
    );
    if let Some(seed) = failed.first().filter(|_| failures_max > 1) {
        tell(*seed);
    }
    assert!(failed.is_empty(), "seeds that fail: {failed:?} (FOGHORN_SIM_CLUSTER_SEED=N tells of one)");
}

/// Tells what goes wrong with a seed, with as few clients and kinds of faults as it takes.
fn tell(seed: u64) {
    let plan = ClusterPlan::of(seed);
    let (mut trim, mut without) = (Trim::default(), BTreeSet::new());
    for client in 0..plan.base.clients.len() {
        let mut more = trim.clone();
        more.clients.insert(client);
        if run(&plan.trimmed(&more, &without), false).wrong.is_some() {
            trim = more;
        }
    }
    for fault in &plan.faults {
        let mut more = without.clone();
        more.insert(*fault);
        if run(&plan.trimmed(&trim, &more), false).wrong.is_some() {
            without = more;
        }
    }
    let plan = plan.trimmed(&trim, &without);
    let outcome = run(&plan, true);
    println!("{plan}");
    outcome.story.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}, made smaller: {}", outcome.wrong.as_deref().unwrap_or("nothing is wrong"));
}
