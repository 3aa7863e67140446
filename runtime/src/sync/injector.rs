//! The queue for actors that became runnable outside of the workers.
//!
//! Promise: first in, first out, and each entry is taken once. No call of the allocator while at most 1024 actors wait: the
//! ring keeps its room; more than that goes back when the ring runs empty. Whether it is empty is one load.
//!
//! How: a ring under a lock, and its length beside it. The lock is held for a copy of one word, or of a batch of 32.
//! crossbeam-deque's `Injector` allocates a block for every 63 pushes, for ever: an ask from outside would not be free of
//! allocations.
//!
//! Gives up: lock-freedom of a push from outside, which may have to wake a sleeper under a lock anyway.

use super::Mutex;
use super::atomic::{AtomicUsize, Ordering};
use super::deque::{Steal, Word, Worker};
use std::collections::VecDeque;

/// Room that an empty queue keeps.
const KEPT: usize = 1024;

/// A queue that anyone pushes to, and workers take from: first in, first out.
pub struct Injector<T: Word> {
    ring: Mutex<VecDeque<T>>,
    /// Written under the lock.
    length: AtomicUsize,
}

impl<T: Word> Default for Injector<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Word> Injector<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self { ring: Mutex::new(VecDeque::new()), length: AtomicUsize::new(0) }
    }

    /// Adds an entry at the back.
    pub fn push(&self, entry: T) {
        let mut ring = self.ring.lock();
        ring.push_back(entry);
        // Ordering: Relaxed: who must not miss it fences between this and its own look, see `Idle`; who has seen it takes
        // the lock.
        self.length.store(ring.len(), Ordering::Relaxed);
    }

    /// Takes the front entry, and moves up to `limit - 1` of those behind it, half of what is there at most, into `dest`.
    ///
    /// # Panics
    /// If `limit` is zero.
    pub fn steal_batch_with_limit_and_pop(&self, dest: &Worker<T>, limit: usize) -> Steal<T> {
        assert!(limit > 0, "a batch of nothing");
        let mut ring = self.ring.lock();
        let Some(first) = ring.pop_front() else { return Steal::Empty };
        let more = (ring.len() / 2).min(limit - 1);
        ring.drain(..more).for_each(|entry| dest.push(entry));
        // Ordering: Relaxed, as in `push`.
        self.length.store(ring.len(), Ordering::Relaxed);
        // What a burst has left behind goes back, outside of the lock.
        let excess = (ring.is_empty() && ring.capacity() > KEPT).then(|| std::mem::take(&mut *ring));
        drop(ring);
        drop(excess);
        Steal::Success(first)
    }

    /// How many entries there are, at a moment that has passed.
    pub fn len(&self) -> usize {
        // Ordering: Relaxed, as in `push`.
        self.length.load(Ordering::Relaxed)
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
