//! How long a thread has been in one handler, for those who look from outside.
//!
//! Promise: whoever looks is told of each handler since when it has been seen at least. How: counters of turns and messages, which
//! are there anyway: as long as both stand still and an actor is held, it is the same handler. Gives up: the time before
//! somebody has looked.

use super::Threads;
use crate::kernel::local::{Held, Holder};
use crate::metrics::Metrics;
use crate::sync::Mutex;
use crate::time::Tick;

/// What was seen of one thread that runs actors, by whoever looked last.
#[derive(Debug)]
pub(super) struct Seen(Mutex<((u64, u64), Tick)>);

/// A handler, or another piece of a turn, that a thread is in.
pub(crate) struct Stint<'a> {
    /// Names the thread among those that there are.
    pub(crate) thread: usize,
    /// The worker that it is.
    pub(crate) worker: Option<usize>,
    pub(crate) held: Held,
    pub(crate) holder: &'a Holder,
    /// Turns and messages so far.
    pub(crate) progress: (u64, u64),
    /// When it was first seen.
    pub(crate) since: Tick,
}

/// What is seen of a thread that is in no handler. No counts of one: those begin at nothing, and an actor is held before its
/// first turn is counted.
const RESTS: ((u64, u64), Tick) = ((u64::MAX, u64::MAX), Tick::NEVER);

impl Seen {
    pub(super) fn new() -> Self {
        Self(Mutex::new(RESTS))
    }

    /// Since when the thread has been seen where it is.
    fn since(&self, progress: (u64, u64), now: Tick) -> Tick {
        let seen = &mut *self.0.lock();
        if seen.0 != progress {
            *seen = (progress, now);
        }
        seen.1
    }

    /// It is in no handler.
    fn rests(&self) {
        *self.0.lock() = RESTS;
    }
}

impl Threads {
    /// Looks at all threads that run actors, for handlers that they are in.
    pub(crate) fn glimpse(&self, metrics: &Metrics, now: Tick, mut f: impl FnMut(Stint<'_>)) {
        let mut look = |thread, worker, holder: &Holder, seen: &Seen, progress| match holder.get() {
            None => seen.rests(),
            Some(held) => f(Stint { thread, worker, held, holder, progress, since: seen.since(progress, now) }),
        };
        for (worker, remote) in self.remotes.iter().enumerate() {
            let counts = metrics.worker(worker);
            let progress = (counts.activations.read(), counts.handled.read());
            look(worker, Some(worker), &remote.holder, &remote.seen, progress);
        }
        for own in self.owns() {
            // What is seen of it lies there for as long as the thread is.
            let thread = std::ptr::from_ref(&*own).addr();
            look(thread, None, &own.holder, &own.seen, own.progress());
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_stint_begins_when_it_is_first_seen() {
        let seen = Seen::new();
        // Held, and its first turn is not counted yet.
        assert_eq!(seen.since((0, 0), Tick(7)), Tick(7));
        assert_eq!(seen.since((0, 0), Tick(8)), Tick(7));
        assert_eq!(seen.since((1, 0), Tick(9)), Tick(9));
        seen.rests();
        assert_eq!(seen.since((1, 0), Tick(10)), Tick(10));
    }
}
