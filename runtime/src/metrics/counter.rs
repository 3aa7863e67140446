//! Counters: for one writer, for several, and spread over shards.
//!
//! Promise: each add is a release and each read an acquire, so a reader who sees a count sees what came before it.
//! Counters wrap: only their differences mean something.
//!
//! How: one writer needs no exchange, a load and a store do. Several writers exchange; shards keep them on different
//! cache lines, chosen by thread.
//!
//! Gives up: [`Counter`] cannot stop a second writer, whose adds would get lost.

use crossbeam_utils::CachePadded;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Counts for one writer at a time; anyone reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Starts at `start`, for tests of wrapping.
    #[cfg(test)]
    pub(crate) fn starting_at(start: u64) -> Self {
        Counter(AtomicU64::new(start))
    }

    /// Adds `count`. The writer only.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        // Ordering: Relaxed, the writer reads its own store.
        let before = self.0.load(Ordering::Relaxed);
        // Ordering: Release pairs with `read`: what the writer did before is seen with the count. Nothing breaks the
        // chain to earlier adds, they are the same thread's.
        self.0.store(before.wrapping_add(count), Ordering::Release);
    }

    /// The count.
    #[inline]
    pub(crate) fn read(&self) -> u64 {
        // Ordering: Acquire pairs with `add`. Stale means fewer.
        self.0.load(Ordering::Acquire)
    }
}

/// Counts for several writers.
#[derive(Debug, Default)]
pub(crate) struct Shared(AtomicU64);

impl Shared {
    /// Starts at `start`, for tests of wrapping.
    #[cfg(test)]
    pub(crate) fn starting_at(start: u64) -> Self {
        Shared(AtomicU64::new(start))
    }

    /// Adds `count`, wrapping.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        // Ordering: Release pairs with `read`; exchanges carry the releases of earlier ones on.
        self.0.fetch_add(count, Ordering::Release);
    }

    /// The count.
    #[inline]
    pub(crate) fn read(&self) -> u64 {
        // Ordering: Acquire pairs with `add`. Stale means fewer.
        self.0.load(Ordering::Acquire)
    }
}

/// `N` of something, each on cache lines of its own; a thread always meets the same one.
#[derive(Debug)]
pub(crate) struct Sharded<T, const N: usize>([CachePadded<T>; N]);

impl<T, const N: usize> Sharded<T, N> {
    /// Makes `N`.
    pub(crate) fn new(mut make: impl FnMut() -> T) -> Self {
        Sharded(std::array::from_fn(|_| CachePadded::new(make())))
    }

    /// The calling thread's.
    #[inline]
    pub(crate) fn here(&self) -> &T {
        &self.0[home() % N]
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.0.iter().map(|shard| &**shard)
    }
}

/// The calling thread's number: threads that come one after another have different ones.
#[cfg(not(any(loom, shuttle)))]
#[inline]
fn home() -> usize {
    use crate::sync::atomic::AtomicUsize;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    crate::sync::thread_local! {
        // Ordering: Relaxed, only the number matters.
        static HOME: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // A thread that ends may count in its last destructors.
    HOME.try_with(|home| *home).unwrap_or(0)
}

/// A model has no statics that live on between its executions.
#[cfg(any(loom, shuttle))]
fn home() -> usize {
    0
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::{Arc, thread};

    #[test]
    fn counters_wrap() {
        let counter = Counter::starting_at(u64::MAX - 1);
        counter.add(5);
        assert_eq!(counter.read(), 3);
        let shared = Shared::starting_at(u64::MAX);
        shared.add(1);
        assert_eq!(shared.read(), 0);
    }

    #[test]
    fn shards_lose_nothing() {
        const THREADS: u64 = 8;
        const EACH: u64 = 10_000;
        let start = u64::MAX - 3;
        let sharded = Arc::new(Sharded::<Shared, 3>::new(|| Shared::starting_at(start)));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let sharded = sharded.clone();
                let count = move || (0..EACH).for_each(|_| sharded.here().add(1));
                thread::Builder::new().spawn(count).unwrap()
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let sum: u64 = sharded.iter().fold(0, |sum, shard| sum.wrapping_add(shard.read().wrapping_sub(start)));
        assert_eq!(sum, THREADS * EACH);
    }

    #[test]
    fn a_thread_stays_with_its_shard() {
        let sharded = Sharded::<Shared, 7>::new(Shared::default);
        (0..100).for_each(|_| sharded.here().add(1));
        let counts: Vec<u64> = sharded.iter().map(Shared::read).filter(|&count| count > 0).collect();
        assert_eq!(counts, [100]);
    }
}
