//! The sentinel: one idle worker that looks after the busy ones.
//!
//! Promise: while some worker runs actors and another is idle, somebody awake searches, or the sentinel looks around about
//! once a millisecond: for actors queued behind a handler that does not return, for batches that have used up their
//! time, for timers. When all workers sleep nobody ticks.
//!
//! How: a role, held in one word. A worker that goes to sleep takes it if it is free or only resting; it parks for a tick
//! at a time while others are awake, and rests (until the next timer, or for good) when nobody is. A worker that wakes up
//! sees to it that the role ticks: if it does not, it wakes another sleeper, which takes it on its way back to sleep.
//!
//! Nothing else depends on its tick (rule R2): a message is never found by a timeout.

use crate::sync::MODEL;
use crate::sync::atomic::{AtomicUsize, Ordering, fence};
use std::time::Duration;

/// How long the sentinel parks while others are awake.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Ticks for which it goes on when all have fallen asleep, so that a system that is asked a thousand times a second does not
/// pay for a second wake-up each time. Sixteen milliseconds of a tick each: 16 wake-ups per burst of work.
pub(crate) const LINGER: u32 = if MODEL { 0 } else { 16 };

/// Nobody has the role.
const NONE: usize = usize::MAX;
/// The holder ticks.
const TICKING: usize = 1;

#[derive(Debug)]
pub(crate) struct Sentinel(AtomicUsize);

impl Sentinel {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(NONE))
    }

    /// Whether somebody ticks.
    #[inline(always)]
    pub(crate) fn ticks(&self) -> bool {
        // Ordering: Relaxed: where it decides about a wake-up, a fence stands before it.
        let role = self.0.load(Ordering::Relaxed);
        role != NONE && role & TICKING != 0
    }

    /// The holder, or a number that is nobody's.
    pub(crate) fn holder(&self) -> usize {
        // Ordering: Relaxed: a preference only.
        self.0.load(Ordering::Relaxed) >> 1
    }

    /// Takes the role to tick, unless somebody else ticks.
    pub(crate) fn take(&self, index: usize) -> bool {
        let mine = index << 1 | TICKING;
        // Ordering: Relaxed: the role guards no data.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if seen == mine {
                return true;
            }
            if seen != NONE && seen & TICKING != 0 {
                return false;
            }
            // Ordering: Relaxed, as above.
            match self.0.compare_exchange(seen, mine, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// The holder goes from ticking to resting. It must look afterwards whether somebody has woken up meanwhile, and take
    /// the role again if so.
    pub(crate) fn rest(&self, index: usize) {
        // Ordering: Relaxed, for the fence below; a failure means that somebody else has the role.
        let _ = self.0.compare_exchange(index << 1 | TICKING, index << 1, Ordering::Relaxed, Ordering::Relaxed);
        fence(Ordering::SeqCst); // Ordering: pairs with the fence in `is_missing`.
    }

    /// Whether this worker still has the role.
    pub(crate) fn is(&self, index: usize) -> bool {
        // Ordering: Relaxed: the role guards no data.
        let role = self.0.load(Ordering::Relaxed);
        role != NONE && role >> 1 == index
    }

    /// Gives the role up, if this worker has it.
    pub(crate) fn leave(&self, index: usize) {
        // Ordering: Relaxed: the role guards no data.
        let role = self.0.load(Ordering::Relaxed);
        if role != NONE && role >> 1 == index {
            // Ordering: Relaxed; a failure means that somebody has taken it over.
            let _ = self.0.compare_exchange(role, NONE, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// For a worker that has just woken up: whether nobody ticks.
    pub(crate) fn is_missing(&self) -> bool {
        fence(Ordering::SeqCst); // Ordering: pairs with the fence in `rest`: we see it rest, or it sees us awake.
        !self.ticks()
    }
}
