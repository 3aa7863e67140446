//! Where a workload runs: the runtime, the size of the run, and the clocks.

use crate::{
    allocs,
    record::Sample,
    runtimes::{Behaviour, Runtime},
    tally::Tally,
    usage,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Lent to a workload for one pass.
pub(crate) struct Stage<'r, R> {
    pub(crate) runtime: &'r R,
    scale: f64,
    limit: Duration,
    pub(crate) samples: Vec<Sample>,
    pub(crate) values: BTreeMap<String, f64>,
}

impl<'r, R: Runtime> Stage<'r, R> {
    /// `limit` bounds each wait; a pass that meets it has failed.
    pub(crate) fn new(runtime: &'r R, scale: f64, limit: Duration) -> Self {
        Self { runtime, scale, limit, samples: Vec::new(), values: BTreeMap::new() }
    }

    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// How long any wait may take.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// A repeat count of the full workload at this pass's scale, at least one.
    pub(crate) fn scaled(&self, full: u64) -> u64 {
        ((full as f64 * self.scale).round() as u64).max(1)
    }

    pub(crate) fn spawn<B: Behaviour<R>>(&self, behaviour: B) -> R::Ref<B> {
        // Small messages everywhere: it is the runtime that is measured, not the copying.
        const { assert!(size_of::<B::Message>() <= 16) };
        self.runtime.spawn(behaviour)
    }

    /// Waits for something untimed.
    pub(crate) fn wait(&self, tally: &Tally) -> Result<(), String> {
        tally.wait(self.limit)
    }

    /// Polls for something no actor announces. Not timed.
    pub(crate) fn until(&self, what: &str, mut met: impl FnMut() -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !met() {
            if start.elapsed() > self.limit {
                return Err(format!("{what}: not met after {:?}", self.limit));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Times `go` and what it sets off, up to the last arrival at `done`.
    pub(crate) fn time(&mut self, name: &str, operations: u64, done: &Tally, go: impl FnOnce()) -> Result<(), String> {
        let counters = self.runtime.counters();
        let allocated = allocs::counted();
        let cpu = usage::cpu_ns();
        let start = Instant::now();
        go();
        done.wait(self.limit)?;
        let wall = start.elapsed();
        let cpu_ns = usage::cpu_ns() - cpu;
        let allocations = allocs::counted().map(|now| now - allocated.unwrap_or(0));
        let mut moved = self.runtime.counters();
        for (name, value) in &mut moved {
            *value = value.saturating_sub(counters.get(name).copied().unwrap_or(0));
        }
        self.samples.push(Sample {
            name: name.to_owned(),
            operations,
            wall_ns: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX).max(1),
            cpu_ns,
            allocations,
            counters: moved,
        });
        Ok(())
    }

    /// Notes a figure that is no time per operation.
    pub(crate) fn value(&mut self, name: &str, value: f64) {
        self.values.insert(name.to_owned(), value);
    }
}
