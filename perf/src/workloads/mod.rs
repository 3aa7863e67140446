//! The workloads, each written once for every runtime.
//!
//! | name | work at scale 1 | deliveries |
//! |---|---|---|
//! | pingpong | 2 actors, 1 message in flight, 1 000 000 round trips | 2 M |
//! | pairs | 1000 such pairs at once, 2000 round trips each | 4 M |
//! | fanin | 8 sources, each sends 1 000 000 in one handler, to one counter | 8 M |
//! | fanout | 1 source sends to 1000 sinks, 5000 rounds in one handler | 5 M |
//! | fanout_rounds | the same, one round per message to the source | 5 M |
//! | fanin_after_burst | fanin untimed, fanin, fanout, fanin, on one system | 8 + 5 + 8 M |
//! | ring | 1000 actors, 1 token, 2 000 000 hops | 2 M |
//! | ring_many | the same with 100 tokens, 4 000 000 hops in all | 4 M |
//! | pipeline | 1 000 000 numbers through 8 stages, sent in one handler | 8 M |
//! | big | 200 actors, each 20 000 ping and pong with random partners | 8 M |
//! | skynet | a tree of 1 000 000 leaves, ten children a node; sums go up, actors stop | 1.11 M actors |
//! | spawn | 200 000 actors made in one handler, then one message to each | 0.2 M actors |
//! | relief | a handler blocks; how long until what waits behind it runs elsewhere | 40 trials |
//! | idle | 1000 idle actors for 10 s | - |
//!
//! A scale multiplies the repeats, never the number of actors, skynet and spawn excepted; skynet takes the nearest
//! power of ten. Messages are at most 16 bytes: a number, or a reference, and which of the two. The go signal is one
//! message from outside to one actor, fanin's eight sources and the two bursts' excepted, which is started by another
//! actor if there is more than one to start: pairs, tokens and partners start together, wherever the runtime takes
//! them. Actors are made and introduced before it, except in skynet and spawn. Every run checks how many messages were
//! handled and the sum of what was in them.

mod big;
mod blocked;
mod fan;
mod idle;
mod pingpong;
mod pipeline;
mod ring;
mod skynet;
mod spawn;
mod starter;

use crate::{runtimes::Runtime, stage::Stage};
use starter::Starter;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bench {
    Pingpong,
    Pairs,
    Fanin,
    Fanout,
    FanoutRounds,
    FaninAfterBurst,
    Ring,
    RingMany,
    Pipeline,
    Big,
    Skynet,
    Spawn,
    Relief,
    Idle,
}

/// Name and scale under `quick`: long enough for our runtime to take some 50 ms, short enough for a peer ten times
/// slower to be run several times within the minute.
const TABLE: &[(Bench, &str, f64)] = &[
    (Bench::Pingpong, "pingpong", 2.0),
    (Bench::Pairs, "pairs", 1.25),
    (Bench::Fanin, "fanin", 0.5),
    (Bench::Fanout, "fanout", 0.5),
    (Bench::FanoutRounds, "fanout_rounds", 0.5),
    (Bench::FaninAfterBurst, "fanin_after_burst", 0.25),
    (Bench::Ring, "ring", 2.0),
    (Bench::RingMany, "ring_many", 1.25),
    (Bench::Pipeline, "pipeline", 0.6),
    (Bench::Big, "big", 0.35),
    (Bench::Skynet, "skynet", 0.1),
    (Bench::Spawn, "spawn", 1.0),
    (Bench::Relief, "relief", 0.5),
    (Bench::Idle, "idle", 0.1),
];

impl Bench {
    /// All, in the order of tables.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, f64) {
        let at = TABLE.iter().position(|row| row.0 == self);
        &TABLE[at.expect("each bench has its row")]
    }

    pub(crate) fn name(self) -> &'static str {
        self.row().1
    }

    pub(crate) fn quick_scale(self) -> f64 {
        self.row().2
    }

    /// How much of itself a bench runs first, in the same process, so that code, threads and caches are warm. Where
    /// the backlog grows with the counts that is all of it: memory touched for the first time costs more than the
    /// message in it, and is reported apart, as cold. Benches of memory start from a process that has used none.
    pub(crate) fn warmup(self) -> Option<f64> {
        match self {
            Self::Fanin | Self::Fanout | Self::FanoutRounds | Self::Pipeline | Self::Skynet => Some(1.0),
            Self::Pingpong | Self::Pairs | Self::Ring | Self::RingMany | Self::Big => Some(0.1),
            Self::FaninAfterBurst | Self::Spawn | Self::Relief | Self::Idle => None,
        }
    }

    /// Benches whose figure is no time per operation; they run once, not in every round.
    pub(crate) fn once(self) -> bool {
        matches!(self, Self::Relief | Self::Idle)
    }

    /// Workers below which there is nothing to measure.
    pub(crate) fn least_workers(self) -> usize {
        if self == Self::Relief { 2 } else { 1 }
    }
}

/// Runs one pass of a bench.
pub(crate) fn run<R: Runtime>(bench: Bench, stage: &mut Stage<'_, R>) -> Result<(), String> {
    match bench {
        Bench::Pingpong => pingpong::pingpong(stage),
        Bench::Pairs => pingpong::pairs(stage),
        Bench::Fanin => fan::fanin(stage, "fanin"),
        Bench::Fanout => fan::fanout(stage, "fanout"),
        Bench::FanoutRounds => fan::fanout_rounds(stage),
        Bench::FaninAfterBurst => fan::fanin_after_burst(stage),
        Bench::Ring => ring::ring(stage),
        Bench::RingMany => ring::ring_many(stage),
        Bench::Pipeline => pipeline::pipeline(stage),
        Bench::Big => big::big(stage),
        Bench::Skynet => skynet::skynet(stage),
        Bench::Spawn => spawn::spawn(stage),
        Bench::Relief => blocked::relief(stage),
        Bench::Idle => idle::idle(stage),
    }
}

/// The sum of `0..n`, wrapping.
fn triangle(n: u64) -> u64 {
    (u128::from(n) * u128::from(n.saturating_sub(1)) / 2) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{one::Job, runtimes};
    use std::time::Duration;

    /// Every bench, at a thousandth of its size, on every runtime of the build.
    fn every_bench(workers: usize) {
        for entry in runtimes::ALL {
            for bench in Bench::all().filter(|bench| bench.least_workers() <= workers) {
                let job = Job {
                    bench,
                    runtime: entry.name.to_owned(),
                    workers,
                    scale: 0.001,
                    limit: Duration::from_secs(60),
                    counting: false,
                };
                let run = job.run();
                assert!(run.valid(), "{run:?}");
                assert!(!run.samples.is_empty() || !run.values.is_empty(), "{run:?}");
            }
        }
    }

    #[test]
    fn every_bench_is_right_on_one_worker() {
        every_bench(1);
    }

    #[test]
    fn every_bench_is_right_on_two_workers() {
        every_bench(2);
    }

    #[test]
    fn every_bench_is_right_on_eight_workers() {
        every_bench(8);
    }

    #[test]
    fn names_are_found_again() {
        for bench in Bench::all() {
            assert_eq!(Bench::find(bench.name()), Some(bench));
        }
        assert_eq!(Bench::find("pong"), None);
    }

    #[test]
    fn triangles_are_sums() {
        for n in [0, 1, 2, 10, 1001] {
            assert_eq!(triangle(n), (0..n).sum::<u64>());
        }
    }
}
