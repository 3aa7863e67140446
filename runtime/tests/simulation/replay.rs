//! Same seed, same run; another seed, another one.

use crate::town::populate;
use cuelight::{Counters, Simulation, System};
use std::collections::BTreeSet;
use std::time::Duration;

struct Run {
    signature: u64,
    heard: u64,
    counters: Counters,
    now: Duration,
}

fn run(sim: &Simulation) -> Run {
    let heard = populate(sim, 20, 60);
    sim.run_for(Duration::from_secs(1)).unwrap();
    sim.shutdown(Duration::ZERO).unwrap();
    Run { signature: sim.signature(), heard: heard.get(), counters: sim.counters(), now: sim.now() }
}

/// What these seeds give, in debug and release, on any machine. A change of the engine's choices may change it.
#[test]
fn signatures_are_the_same_in_any_build() {
    let signatures: Vec<String> =
        [0, 1, u64::MAX].map(|seed| format!("{:016x}", run(&System::simulation(seed)).signature)).to_vec();
    assert_eq!(signatures, ["dd8392cd290ba7cc", "f5ff77331df0a560", "b4e0e904ea76a6fc"]);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let first = run(&System::simulation(seed));
        // Other addresses: memory that stays taken, and other simulations on the thread.
        let ballast: Vec<Vec<u8>> = (0..100).map(|n| vec![1; 100 + n * seed as usize]).collect();
        let other = System::simulation(seed + 1000);
        populate(&other, 5, 50);
        other.run_until_idle().unwrap();
        let again = run(&System::simulation(seed));
        drop(ballast);
        assert_eq!(first.signature, again.signature);
        assert_eq!((first.heard, first.counters, first.now), (again.heard, again.counters, again.now));
    }
}

#[test]
fn other_seeds_give_other_runs() {
    let runs: Vec<Run> = (0..200).map(|seed| run(&System::simulation(seed))).collect();
    let signatures: BTreeSet<u64> = runs.iter().map(|run| run.signature).collect();
    assert_eq!(signatures.len(), 200);
    for run in &runs {
        assert_eq!((run.counters.in_flight(), run.counters.live_actors), (0, 0));
        assert!(run.heard > 20, "{}", run.counters);
    }
    // Not only the order: what becomes of messages, too.
    let fates: BTreeSet<u64> = runs.iter().map(|run| run.counters.dead_lettered).collect();
    assert!(fates.len() > 10, "{fates:?}");
}

#[test]
fn the_line_says_how_to_repeat_it() {
    let sim = System::simulation(17);
    let signature = format!("{:016x}", sim.signature());
    assert_eq!(format!("{sim}"), format!("simulation with seed 17: 0 messages in 0ns, signature {signature}"));
    assert_eq!(format!("{sim:?}"), format!("Simulation(\"simulation\", seed 17, signature {signature})"));
}
