//! Counts allocations, in a pass of its own.
//!
//! Every process of `perf` allocates through this wrapper around mimalloc. While counting is off it adds to each call
//! one relaxed load of a flag that never changes: too little to be told from mimalloc alone (a million boxes of 32
//! bytes, made and dropped, took 5 to 8 ns each with and without it). While it is on every allocation meets on one
//! shared counter, so such a pass is never timed. The number depends neither on the speed of the run nor on the
//! allocator.
//!
//! The only file of this crate with `unsafe`: nothing but a `GlobalAlloc` can see every allocation.
//!
//! Invariant A1: each call is handed on unchanged to one and the same `MiMalloc`, so whatever the caller promised of
//! a layout or a pointer holds for it.

use mimalloc::MiMalloc;
use std::{
    alloc::{GlobalAlloc, Layout},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

static COUNTING: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// mimalloc, counted on request.
pub(crate) struct Counted;

/// Counts from now on, for good.
pub(crate) fn count() {
    // Ordering: Relaxed; set before the runtime's threads are made.
    COUNTING.store(true, Ordering::Relaxed);
}

/// Allocations and reallocations so far, if they are counted.
pub(crate) fn counted() -> Option<u64> {
    // Ordering: Relaxed, twice; the run's completion orders what is read here.
    COUNTING.load(Ordering::Relaxed).then(|| CALLS.load(Ordering::Relaxed))
}

#[inline]
fn note() {
    // Ordering: Relaxed; a flag without data.
    if COUNTING.load(Ordering::Relaxed) {
        // Ordering: Relaxed; a counter.
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: A1; counting neither allocates nor unwinds.
#[expect(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: A1.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: A1.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: A1.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: A1.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }
}
