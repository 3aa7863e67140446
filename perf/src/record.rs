//! What a run leaves behind, as it stands in the JSON.
//!
//! [`SCHEMA`] goes up whenever a field changes its meaning or goes away; added fields do not raise it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of everything below.
pub(crate) const SCHEMA: u32 = 1;

/// One timed stretch of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The row it belongs to; most runs have one, of their bench's name.
    pub(crate) name: String,
    /// Messages delivered, or actors made.
    pub(crate) operations: u64,
    /// From the go signal to the last completion, seen from outside.
    pub(crate) wall_ns: u64,
    /// Processor time of the whole process meanwhile, spinning included.
    pub(crate) cpu_ns: u64,
    /// Allocations meanwhile; only in a counting pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) allocations: Option<u64>,
    /// What the runtime's own counters moved by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) counters: BTreeMap<String, u64>,
}

impl Sample {
    pub(crate) fn wall_per_operation(&self) -> f64 {
        self.wall_ns as f64 / self.operations as f64
    }

    pub(crate) fn cpu_per_operation(&self) -> f64 {
        self.cpu_ns as f64 / self.operations as f64
    }
}

/// One run: a fresh process, one bench, one runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) bench: String,
    pub(crate) runtime: String,
    pub(crate) workers: usize,
    /// The factor on the bench's own counts.
    pub(crate) scale: f64,
    /// The turn it ran in; 0 for those outside the turns.
    pub(crate) round: u32,
    /// The hop of a cache line measured just before its round.
    pub(crate) hop_ns: Option<f64>,
    /// Why the run does not count, if it does not.
    pub(crate) invalid: Option<String>,
    /// The untimed pass that counts allocations.
    pub(crate) counting: bool,
    /// The warm-up, where it did all the work that counts: the same on memory nobody had touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cold: Vec<Sample>,
    pub(crate) samples: Vec<Sample>,
    /// Figures that are no time per operation: delays, bytes, shares.
    pub(crate) values: BTreeMap<String, f64>,
    /// The most memory the process had resident.
    pub(crate) peak_kib: Option<u64>,
}

impl Run {
    /// Whether the run counts.
    pub(crate) fn valid(&self) -> bool {
        self.invalid.is_none()
    }
}

/// A runtime of the build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) mode: String,
}

/// What the figures were taken on. No names of hosts or people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: Option<String>,
    pub(crate) os: String,
    /// CPUs this process may run on.
    pub(crate) allowed_cpus: usize,
    /// CPUs' worth of time it may use.
    pub(crate) usable_cpus: usize,
    pub(crate) load: Option<f64>,
    /// Share of the CPUs busy before the first run.
    pub(crate) busy: Option<f64>,
    pub(crate) exchange_ns: f64,
    pub(crate) hop_ns: Option<f64>,
    pub(crate) park_ns: Option<f64>,
}

/// A whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) version: String,
    pub(crate) toolchain: String,
    pub(crate) profile: String,
    pub(crate) commit: Option<String>,
    /// A hash of the lock file the binary was built with.
    pub(crate) lock: String,
    pub(crate) allocator: String,
    pub(crate) machine: Machine,
    pub(crate) runtimes: Vec<Peer>,
    pub(crate) benches: Vec<String>,
    pub(crate) workers: Vec<usize>,
    /// Rounds discarded before the first that counts.
    pub(crate) warmup: u32,
    pub(crate) warnings: Vec<String>,
    pub(crate) runs: Vec<Run>,
}

/// Made-up records for tests.
#[cfg(test)]
pub(crate) mod made_up {
    use super::*;

    /// A run of a hundred hops.
    pub(crate) fn run(runtime: &str, workers: usize, wall_ns: u64) -> Run {
        let counters = [("steals won", 3), ("worker 00: messages", 75), ("worker 01: messages", 25)];
        Run {
            bench: "ring".to_owned(),
            runtime: runtime.to_owned(),
            workers,
            scale: 1.0,
            round: 1,
            hop_ns: None,
            invalid: None,
            counting: false,
            cold: Vec::new(),
            samples: vec![Sample {
                name: "ring".to_owned(),
                operations: 100,
                wall_ns,
                cpu_ns: 2 * wall_ns,
                allocations: None,
                counters: counters.map(|(name, moved)| (name.to_owned(), moved)).into(),
            }],
            values: BTreeMap::new(),
            peak_kib: Some(4096),
        }
    }

    /// A report of rings, ours and tokio's, with one worker and with two.
    pub(crate) fn report(runs: Vec<Run>) -> Report {
        let peer = |name: &str| Peer { name: name.to_owned(), version: "1.0.0".to_owned(), mode: "plain".to_owned() };
        Report {
            schema: SCHEMA,
            version: String::new(),
            toolchain: String::new(),
            profile: String::new(),
            commit: None,
            lock: String::new(),
            allocator: String::new(),
            machine: Machine::default(),
            runtimes: vec![peer("ours"), peer("tokio")],
            benches: vec!["ring".to_owned()],
            workers: vec![1, 2],
            warmup: 0,
            warnings: Vec::new(),
            runs,
        }
    }
}
