//! How much memory messages take, in the whole process.
//!
//! Promise: slabs are counted exactly, boxed payloads but for 64 KiB of each living thread; of a thread that has ended
//! nothing is left out. How: a slab is counted when it is made and when it ends, in one sum. What a thread boxes and unboxes it
//! adds up by itself first, and tells when it has come to more than 64 KiB either way, and at its end. So a message in
//! a slab pays nothing, and one in a box no atomic operation.
//!
//! Gives up: what a message owns elsewhere, as the content of a `Vec`, is not seen.

use crate::sync::Balance;
use std::cell::Cell;
use std::marker::PhantomData;

/// What all threads have told.
static TOLD: Balance = Balance::new();
/// Bytes that a thread keeps to itself.
const UNTOLD: i64 = 64 * 1024;

/// What a thread has not told yet.
struct Untold(Cell<i64>);

impl Drop for Untold {
    fn drop(&mut self) {
        TOLD.add(self.0.take());
    }
}

// `std`'s in models, too, as the sum is: nothing is ordered by it.
std::thread_local! {
    static UNTOLD_HERE: Untold = const { Untold(Cell::new(0)) };
}

/// The bytes that messages take now, about.
pub(crate) fn bytes() -> u64 {
    // More may have been told of the ends than of the beginnings.
    TOLD.read().try_into().unwrap_or(0)
}

/// A slab is made, or ends.
#[cold]
pub(super) fn slab(change: i64) {
    TOLD.add(change);
}

fn boxed(change: i64) {
    let kept = UNTOLD_HERE.try_with(|untold| {
        let sum = untold.0.get() + change;
        let much = sum.abs() > UNTOLD;
        untold.0.set(if much { 0 } else { sum });
        if much {
            TOLD.add(sum);
        }
    });
    if kept.is_err() {
        // The thread is ending, and has told what it had.
        TOLD.add(change);
    }
}

/// A payload in a box, counted while it is there.
pub(super) struct Boxed<T>(Box<T>, Share<T>);

/// What one box counts for.
struct Share<T>(PhantomData<fn() -> T>);

impl<T> Share<T> {
    const BYTES: i64 = size_of::<T>() as i64;
}

impl<T> Drop for Share<T> {
    fn drop(&mut self) {
        boxed(-Self::BYTES);
    }
}

impl<T> Boxed<T> {
    #[inline]
    pub(super) fn new(value: T) -> Self {
        let this = Self(Box::new(value), Share(PhantomData));
        boxed(Share::<T>::BYTES);
        this
    }

    #[inline]
    pub(super) fn open(self) -> T {
        *self.0
    }

    pub(super) fn get(&self) -> &T {
        &self.0
    }
}

const _: () = assert!(size_of::<Boxed<[u8; 4096]>>() == size_of::<usize>());
