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
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{MODEL, acquire_all};
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

/// References that a worker draws at a time.
const BUNDLE: usize = if MODEL { 2 } else { 1024 };

/// The counted box: what is known of it without the value's type comes first.
#[repr(C)]
struct HubBox<T> {
    head: Head,
    value: T,
}

struct Head {
    count: AtomicUsize,
    of: &'static Of,
}

/// What the value's type is.
struct Of {
    value: unsafe fn(NonNull<Head>) -> *const dyn Schedule,
    free: unsafe fn(NonNull<Head>),
}

/// A counted reference to a system of known type.
pub(crate) struct Hub<T: Schedule>(NonNull<HubBox<T>>);

/// A counted reference to a system, as a cell keeps it: one word.
pub(crate) struct HubRef(NonNull<Head>);

// SAFETY: shared ownership of a value that is `Send` and `Sync` (`Schedule`).
unsafe impl<T: Schedule> Send for Hub<T> {}
// SAFETY: as above.
unsafe impl<T: Schedule> Sync for Hub<T> {}
// SAFETY: as above.
unsafe impl Send for HubRef {}
// SAFETY: as above.
unsafe impl Sync for HubRef {}

unsafe fn value_of<T: Schedule>(head: NonNull<Head>) -> *const dyn Schedule {
    // SAFETY: stored in the `Of` of `T`: the head is that of a `HubBox<T>`, which is there (H1).
    &raw const unsafe { head.cast::<HubBox<T>>().as_ref() }.value
}

unsafe fn free<T>(head: NonNull<Head>) {
    // SAFETY: stored in the `Of` of `T`; made by `Box` in `new`; the caller brought the count to zero.
    drop(unsafe { Box::from_raw(head.cast::<HubBox<T>>().as_ptr()) });
}

impl<T: Schedule> Hub<T> {
    const OF: &'static Of = &Of { value: value_of::<T>, free: free::<T> };

    pub(crate) fn new(value: T) -> Self {
        let boxed = Box::new(HubBox { head: Head { count: AtomicUsize::new(1), of: Self::OF }, value });
        Self(NonNull::from(Box::leak(boxed)))
    }

    /// A reference for one cell.
    pub(crate) fn erase(&self) -> HubRef {
        add(self.counter(), 1);
        HubRef(self.0.cast())
    }

    /// Where the system lies: to tell systems apart.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    fn counter(&self) -> &AtomicUsize {
        // SAFETY: H1.
        &unsafe { self.0.as_ref() }.head.count
    }
}

impl<T: Schedule> Clone for Hub<T> {
    fn clone(&self) -> Self {
        add(self.counter(), 1);
        Self(self.0)
    }
}

impl<T: Schedule> Deref for Hub<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: H1.
        &unsafe { self.0.as_ref() }.value
    }
}

impl<T: Schedule> Drop for Hub<T> {
    fn drop(&mut self) {
        drop(HubRef(self.0.cast()));
    }
}

impl<T: Schedule + fmt::Debug> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl HubRef {
    /// Where the system lies: to tell systems apart.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Gives a cell's reference back: to the calling worker's stock, or for good.
    pub(crate) fn recycle(self) {
        let system: *const dyn Schedule = &*self;
        // SAFETY: H1: until the call is over the reference is either in its hands or in a stock, which is counted, too.
        let back = unsafe { &*system }.recycle(self);
        drop(back);
    }
}

impl HubRef {
    /// A reference of a type that is known, if it is that.
    pub(crate) fn typed<T: Schedule>(&self) -> Option<Hub<T>> {
        self.as_any().is::<T>().then(|| Hub(self.clone().into_head().cast()))
    }

    fn into_head(self) -> NonNull<Head> {
        std::mem::ManuallyDrop::new(self).0
    }

    #[inline(always)]
    fn head(&self) -> &Head {
        // SAFETY: H1.
        unsafe { self.0.as_ref() }
    }
}

impl Deref for HubRef {
    type Target = dyn Schedule;

    #[inline]
    fn deref(&self) -> &(dyn Schedule + 'static) {
        // SAFETY: our own head, which is there (H1).
        let value = unsafe { (self.head().of.value)(self.0) };
        // SAFETY: H1.
        unsafe { &*value }
    }
}

impl Clone for HubRef {
    fn clone(&self) -> Self {
        add(&self.head().count, 1);
        Self(self.0)
    }
}

impl Drop for HubRef {
    fn drop(&mut self) {
        let of = self.head().of;
        if subtract(&self.head().count, 1) {
            // SAFETY: H1: that was the last reference.
            unsafe { (of.free)(self.0) };
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
        HubRef(self.hub.0.cast())
    }

    /// Puts one back. It must be one of this bundle's system; one of another is dropped.
    pub(crate) fn put(&self, reference: HubRef) {
        if reference.address() != self.hub.address() {
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
