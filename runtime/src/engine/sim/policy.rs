//! How a simulation picks whom to run next.

use super::rng::{Rng, mix};
use super::transit::Pair;
use std::collections::HashMap;

/// How a simulation picks whom to run next, among the actors that have something to do.
///
/// # Examples
/// ```
/// use cuelight::{Policy, Simulation};
///
/// let sim = Simulation::builder().policy(Policy::Pct { depth: 3, picks: 1000 }).build()?;
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Each is as likely as any other.
    #[default]
    Random,
    /// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatti: *A Randomized Scheduler with
    /// Probabilistic Guarantees of Finding Bugs*, ASPLOS 2010): every actor has a priority, drawn when it is first seen, and the
    /// highest one runs; at `depth - 1` picks, drawn from the first `picks`, the one that would run becomes the lowest.
    ///
    /// With n actors a bug that needs `depth` things to happen in a certain order is found by a run with a probability of at
    /// least 1 / (n * picks^(depth - 1)); most bugs need two or three. Runs with few changes between actors are where it is better
    /// than [`Random`](Self::Random). Different from the paper: a pick counts only where there is more than one to choose from,
    /// and messages that faults hold up have a priority by pair.
    Pct {
        /// How many things must happen in a certain order: 1 or more.
        depth: u32,
        /// How many picks a run has, about.
        picks: u64,
    },
}

/// The priorities.
#[derive(Debug)]
pub(super) struct Pct {
    priorities: HashMap<u64, u64>,
    /// The picks at which the highest becomes the lowest, the last first.
    changes: Vec<u64>,
    picks: u64,
    /// Priorities from here down have not been given out.
    lowest: u64,
}

/// Drawn priorities are above those of whom a change has put down.
const DRAWN: u64 = 1 << 63;

impl Pct {
    pub(super) fn new(depth: u32, picks: u64, rng: &mut Rng) -> Self {
        let mut changes: Vec<u64> = (1..depth).map(|_| rng.below(picks)).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Self { priorities: HashMap::new(), changes, picks: 0, lowest: DRAWN - 1 }
    }

    /// The place of the one to run, among those with these names.
    pub(super) fn pick(&mut self, rng: &mut Rng, names: impl Iterator<Item = u64>) -> usize {
        let mut best = (0, 0, 0);
        for (place, name) in names.enumerate() {
            let priority = *self.priorities.entry(name).or_insert_with(|| rng.next() | DRAWN);
            if place == 0 || priority > best.1 {
                best = (place, priority, name);
            }
        }
        while self.changes.last().is_some_and(|&at| at <= self.picks) {
            self.changes.pop();
            self.priorities.insert(best.2, self.lowest);
            self.lowest -= 1;
        }
        self.picks += 1;
        best.0
    }
}

/// What priorities know messages by that faults hold up.
pub(super) fn name_of(pair: Pair) -> u64 {
    let from = pair.0.map_or(0, |from| from.0);
    mix(mix(from) ^ pair.1.0)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_highest_runs_until_a_change() {
        let mut rng = Rng::new(3);
        let mut pct = Pct::new(3, 100, &mut rng);
        assert_eq!(pct.changes.len(), 2);
        let mut changes = 0;
        let mut last = pct.pick(&mut rng, 0..5);
        for _ in 0..200 {
            let next = pct.pick(&mut rng, 0..5);
            changes += usize::from(next != last);
            last = next;
        }
        assert!(changes <= 2, "{changes}");
        assert_eq!(pct.pick(&mut rng, std::iter::once(7)), 0);
    }
}
