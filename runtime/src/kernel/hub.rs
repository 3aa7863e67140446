//! Shared ownership of the system by its cells, in bundles.
//!
//! Promise: the system's memory lives as long as any cell's, and making or freeing a cell on a worker costs no atomic
//! operation on a shared line.
//!
//! How: one counter, of which a worker draws a bundle of references at a time and hands them out one by one.
//!
//! # Invariants
//! - **H1** `count` is the number of `Hub`s and `HubRef`s, and of the references that wait in bundles. The box is freed
//!   by whoever brings it to zero.

use super::schedule::Schedule;
use crate::sync::acquire_all;
use crate::sync::atomic::{AtomicUsize, Ordering};
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

/// References that a worker draws at a time.
const BUNDLE: usize = if cfg!(loom) { 2 } else { 1024 };

struct HubBox<T: ?Sized> {
    count: AtomicUsize,
    value: T,
}

/// A counted reference to a system of known type.
pub(crate) struct Hub<T>(NonNull<HubBox<T>>);

/// A counted reference to a system, as a cell keeps it.
pub(crate) struct HubRef(NonNull<HubBox<dyn Schedule>>);

// SAFETY: shared ownership of a value that is `Send` and `Sync`.
unsafe impl<T: Send + Sync> Send for Hub<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Hub<T> {}
// SAFETY: `Schedule` is `Send` and `Sync`.
unsafe impl Send for HubRef {}
// SAFETY: as above.
unsafe impl Sync for HubRef {}

impl<T: Schedule> Hub<T> {
    pub(crate) fn new(value: T) -> Self {
        let boxed = Box::new(HubBox { count: AtomicUsize::new(1), value });
        Self(NonNull::from(Box::leak(boxed)))
    }

    /// A reference for one cell.
    pub(crate) fn erase(&self) -> HubRef {
        add(self.counter(), 1);
        HubRef(self.0)
    }

    /// Where the system lies: to tell systems apart.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    fn counter(&self) -> &AtomicUsize {
        // SAFETY: H1.
        &unsafe { self.0.as_ref() }.count
    }
}

impl<T: Schedule> Clone for Hub<T> {
    fn clone(&self) -> Self {
        add(self.counter(), 1);
        Self(self.0)
    }
}

impl<T> Deref for Hub<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: H1.
        &unsafe { self.0.as_ref() }.value
    }
}

impl<T> Drop for Hub<T> {
    fn drop(&mut self) {
        // SAFETY: H1.
        let counter = &unsafe { self.0.as_ref() }.count;
        if subtract(counter, 1) {
            // SAFETY: H1: that was the last reference; made by `Box` in `new`.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl HubRef {
    /// Where the system lies: to tell systems apart.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        // Of the box, not of the value: that would have to ask the value's type for its place.
        self.0.as_ptr().cast::<()>().addr()
    }

    /// Gives a cell's reference back: to the calling worker's stock, or for good.
    pub(crate) fn recycle(self) {
        let system: *const dyn Schedule = &*self;
        // SAFETY: H1: until the call is over the reference is either in its hands or in a stock, which is counted, too.
        let back = unsafe { &*system }.recycle(self);
        drop(back);
    }
}

impl Deref for HubRef {
    type Target = dyn Schedule;

    #[inline(always)]
    fn deref(&self) -> &(dyn Schedule + 'static) {
        // SAFETY: H1.
        &unsafe { self.0.as_ref() }.value
    }
}

impl Clone for HubRef {
    fn clone(&self) -> Self {
        // SAFETY: H1.
        add(&unsafe { self.0.as_ref() }.count, 1);
        Self(self.0)
    }
}

impl Drop for HubRef {
    fn drop(&mut self) {
        // SAFETY: H1.
        let counter = &unsafe { self.0.as_ref() }.count;
        if subtract(counter, 1) {
            // SAFETY: H1: that was the last reference; made by `Box` in `Hub::new`.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

fn add(counter: &AtomicUsize, count: usize) {
    // Ordering: Relaxed: the caller has a reference, so the count cannot be at its end.
    counter.fetch_add(count, Ordering::Relaxed);
}

fn subtract(counter: &AtomicUsize, count: usize) -> bool {
    // Ordering: Release: our uses come before the last one's free.
    if counter.fetch_sub(count, Ordering::Release) != count {
        return false;
    }
    acquire_all!(counter);
    true
}

/// A worker's stock of references.
pub(crate) struct Bundle<T: Schedule> {
    hub: Hub<T>,
    stock: Cell<usize>,
}

impl<T: Schedule> Bundle<T> {
    pub(crate) fn new(hub: Hub<T>) -> Self {
        Self { hub, stock: Cell::new(0) }
    }

    pub(crate) fn hub(&self) -> &Hub<T> {
        &self.hub
    }

    /// Takes one reference out.
    pub(crate) fn take(&self) -> HubRef {
        if self.stock.get() == 0 {
            add(self.hub.counter(), BUNDLE);
            self.stock.set(BUNDLE);
        }
        self.stock.set(self.stock.get() - 1);
        HubRef(self.hub.0)
    }

    /// Puts one back. It must be one of this bundle's system; one of another is dropped.
    pub(crate) fn put(&self, reference: HubRef) {
        if reference.0.cast::<()>() != self.hub.0.cast::<()>() {
            return;
        }
        std::mem::forget(reference);
        self.stock.set(self.stock.get() + 1);
        if self.stock.get() >= 4 * BUNDLE {
            self.give_back(2 * BUNDLE);
        }
    }

    fn give_back(&self, count: usize) {
        self.stock.set(self.stock.get() - count);
        let last = subtract(self.hub.counter(), count);
        debug_assert!(!last, "H1: the bundle's own hub is counted, too");
    }
}

impl<T: Schedule> Drop for Bundle<T> {
    fn drop(&mut self) {
        self.give_back(self.stock.get());
    }
}
