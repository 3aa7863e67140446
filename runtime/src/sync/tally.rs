//! Numbers for people.
//!
//! Promise: whoever reads it sees a value that it had. How: an atomic of `std`'s, in models, too: it orders nothing, so a model
//! has nothing to find in it, and would try every reader against every count.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Counts, by one writer at a time.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one. The writer only.
    #[inline(always)]
    pub(crate) fn count(&self) {
        // Ordering: Relaxed, both: read by people only.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        // Ordering: Relaxed: as above.
        self.0.load(Ordering::Relaxed)
    }
}

/// A sum that anybody adds to, and takes from.
#[derive(Debug)]
pub(crate) struct Balance(AtomicI64);

impl Balance {
    pub(crate) const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    pub(crate) fn add(&self, change: i64) {
        // Ordering: Relaxed: read by people only.
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> i64 {
        // Ordering: Relaxed: as above.
        self.0.load(Ordering::Relaxed)
    }
}
