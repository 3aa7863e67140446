//! Counters of a system: what became of its messages, and what its workers did.
//!
//! Promise: counting costs a plain add on a worker and one exchange outside. Whoever reads at any time finds
//! `sent >= handled + returned + dead_lettered` and `spawned >= ended`, and equality once nothing is in flight.
//!
//! How: each worker writes its own counters, on lines of its own; other threads share a few sharded ones. Duties of
//! those who count:
//!
//! 1. `sent` is added before the message's push is tried, by the thread that pushes.
//! 2. Its fate is added once: `handled` or `dead_lettered` after the take, by the taker; `returned` by the thread whose
//!    push was refused. A message that no push was tried for has both added by the same thread, `sent` first.
//! 3. `spawned` is added before anyone else can reach the cell, `ended` at the end of its life.
//!
//! **Why in flight is never negative.** [`Metrics::snapshot`] loads every fate first, with Acquire, and every `sent`
//! last. Take a message m whose fate F is in what was loaded. Every add is a release, and a counter's later values
//! carry the earlier ones with them (one writer, or exchanges), so F happens before the loads that follow it. m's
//! `sent` S happens before F: by duties 1 and 2 it is before it on the same thread, or before the push that released m
//! to the take that acquired it. So S happens before the loads of `sent`, and they include it. Hence no fate without
//! its `sent`, whatever else moves meanwhile; a `sent` without its fate is in flight. The same holds for `spawned` and
//! `ended`. Counters wrap and only differences are used, which are right while fewer than 2^64 are in flight.
//!
//! **Dead letters.** One is counted in `sent` and `handled` like any message, and besides in `letters` after `handled`, by
//! the thread that handles it; or else, when it is lost, in `letters_lost` alone. The snapshot loads both before `handled`
//! and `sent`, so by the same argument neither is less than what it takes off it. What is on its way shows as in flight.
//!
//! Gives up: a snapshot is no instant. Its counts are of slightly different times, and what is counted in batches shows
//! when the batch ends.

mod counter;
mod snapshot;

use crate::sync::{Arc, MODEL};
use crossbeam_utils::CachePadded;

pub(crate) use counter::{Counter, Sharded, Shared};
pub use snapshot::{Counters, WorkerCounters};

/// Shards for the threads outside: more than are likely to send at the same moment. A model has no use for them.
const SHARDS: usize = if MODEL { 1 } else { 16 };

/// Written by one worker, read by anyone. The first line of 64 bytes has what a message costs and what others look at.
#[derive(Debug, Default)]
pub(crate) struct WorkerMetrics {
    /// Messages whose push it tried.
    pub(crate) sent: Counter,
    /// Messages handled.
    pub(crate) handled: Counter,
    /// Messages given back to the sender in an error.
    pub(crate) returned: Counter,
    /// Messages dead-lettered.
    pub(crate) dead_lettered: Counter,
    /// Actors made.
    pub(crate) spawned: Counter,
    /// Actors whose life has ended.
    pub(crate) ended: Counter,
    /// Times an actor was run.
    pub(crate) activations: Counter,
    /// Victims looked at.
    pub(crate) steals_tried: Counter,
    /// Victims of whom something was got.
    pub(crate) steals_won: Counter,
    /// Actors got from victims.
    pub(crate) stolen: Counter,
    /// Actors handed back after a theft that did not pay.
    pub(crate) handed_back: Counter,
    /// Times its queue was found short after a turn; for thieves.
    pub(crate) drained: Counter,
    /// Times it went to sleep.
    pub(crate) parks: Counter,
    /// Rounds of spinning before that.
    pub(crate) spins: Counter,
    /// Workers it woke.
    pub(crate) wakes: Counter,
    /// Actors taken from the injector.
    pub(crate) injector_takes: Counter,
    /// Actors run from its slot.
    pub(crate) slot_takes: Counter,
    /// Timers it fired.
    pub(crate) timers_fired: Counter,
    /// Replies that came after their asker had gone.
    pub(crate) late_replies: Counter,
    /// Actors made anew.
    pub(crate) restarts: Counter,
    /// Messages tried again.
    pub(crate) retries: Counter,
    /// Messages given up after that.
    pub(crate) poisoned: Counter,
    /// Dead letters handled.
    pub(crate) letters: Counter,
    /// Dead letters that were lost in turn: their fate.
    pub(crate) letters_lost: Counter,
}

/// Written by the threads outside that share a shard.
#[derive(Debug, Default)]
pub(crate) struct OutsideMetrics {
    /// As in [`WorkerMetrics`], and so on.
    pub(crate) sent: Shared,
    pub(crate) handled: Shared,
    pub(crate) returned: Shared,
    pub(crate) dead_lettered: Shared,
    pub(crate) spawned: Shared,
    pub(crate) ended: Shared,
    pub(crate) late_replies: Shared,
    pub(crate) restarts: Shared,
    pub(crate) retries: Shared,
    pub(crate) poisoned: Shared,
    pub(crate) letters: Shared,
    pub(crate) letters_lost: Shared,
}

/// All counters of a system.
#[derive(Debug)]
pub(crate) struct Metrics {
    workers: Box<[Arc<CachePadded<WorkerMetrics>>]>,
    outside: Sharded<OutsideMetrics, SHARDS>,
}

impl Metrics {
    /// Counters at zero.
    pub(crate) fn new(workers: usize) -> Self {
        Metrics {
            workers: (0..workers).map(|_| Arc::default()).collect(),
            outside: Sharded::new(OutsideMetrics::default),
        }
    }

    /// A worker's counters, for that worker to write.
    #[inline]
    pub(crate) fn worker(&self, index: usize) -> &Arc<CachePadded<WorkerMetrics>> {
        &self.workers[index]
    }

    /// The counters for a thread that is none of the workers.
    #[inline]
    pub(crate) fn outside(&self) -> &OutsideMetrics {
        self.outside.here()
    }

    /// Reads everything, in the order that the module's argument asks for.
    pub(crate) fn snapshot(&self) -> Counters {
        snapshot::read(self.workers.iter().map(|worker| &***worker), self.outside.iter())
    }
}
