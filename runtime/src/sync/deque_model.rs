//! `sync::deque` on `sync`'s atomics, for loom and shuttle.
//!
//! **Promise.** The surface of `sync::deque`, and whatever it does the real one may do too: the same steps on the same
//! two indices with the same orderings, `Retry` wherever the real one loses a race. Entries sit in relaxed atomic slots
//! where the real one has volatile ones, so the model makes nothing visible that the indices do not. The differential
//! tests in `deque_tests` hold it to crossbeam-deque 0.8.
//!
//! **How.** A ring. `back` is the owner's alone; `front` goes up by whoever takes: the owner adds one and puts it back
//! if that was one too many, a thief does a compare-exchange. So a `front` past `back` means empty. Indices start near
//! the end of `usize` and wrap.
//!
//! **Gives up.** Growth, and with it the `Retry` of a thief who met a buffer being replaced: a full ring panics.
//! Epochs: the fence that pinning implies stands here by itself.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::{Steal, Stored, Word};
use crate::sync::Arc;
use crate::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::sync::atomic::{AtomicPtr, AtomicUsize, fence};

/// Entries a deque can hold; a power of two, so that indices may wrap.
const CAP: usize = if cfg!(loom) {
    8
} else if cfg!(shuttle) {
    64
} else {
    4096
};

/// The first index, close enough to the end that every model wraps.
const START: usize = usize::MAX - 2;

/// What lies between two indices; `front` past `back` is nothing.
fn distance(front: usize, back: usize) -> usize {
    let len = back.wrapping_sub(front);
    if len > CAP { 0 } else { len }
}

struct Ring<T: Word> {
    front: AtomicUsize,
    back: AtomicUsize,
    slots: Box<[AtomicPtr<()>]>,
    entries: PhantomData<fn() -> T>,
}

impl<T: Word> Ring<T> {
    // Ordering: Relaxed, as the real slots are plain memory. A value read before `front` was won
    // may be anything; winning `front`, and the acquired `back`, make it the right one.
    fn read(&self, index: usize) -> *mut () {
        self.slots[index % CAP].load(Relaxed)
    }

    fn write(&self, index: usize, word: *mut ()) {
        // Ordering: Relaxed, published by `publish`; the slot's last reader was acquired by way of
        // `front` in `room`.
        self.slots[index % CAP].store(word, Relaxed);
    }

    /// The owner makes everything before `back` visible.
    fn publish(&self, back: usize) {
        // Ordering: the fence and the store pair with the Acquire load of `back` in `steal`.
        fence(Release);
        self.back.store(back, Relaxed);
    }

    /// The owner's `back`, after seeing that `more` entries fit.
    fn room(&self, more: usize) -> usize {
        // Ordering: Relaxed, the owner reads its own store.
        let back = self.back.load(Relaxed);
        // Ordering: Acquire pairs with a thief's exchange of `front`: its reads come before our
        // writes to the same slots. Stale means too small: less room than there is.
        let front = self.front.load(Acquire);
        assert!(distance(front, back) + more <= CAP, "the deque model holds {CAP} entries");
        back
    }

    fn len_for_thief(&self) -> usize {
        // Ordering: as the real one: `front` first, and the fence keeps `back` from being older.
        let front = self.front.load(Acquire);
        fence(SeqCst);
        let back = self.back.load(Acquire);
        distance(front, back)
    }
}

impl<T: Word> Drop for Ring<T> {
    fn drop(&mut self) {
        // Ordering: Relaxed, the last handle is gone and nobody else is here.
        let back = self.back.load(Relaxed);
        let mut front = self.front.load(Relaxed);
        while front != back {
            drop(revive::<T>(self.read(front)));
            front = front.wrapping_add(1);
        }
    }
}

/// The entry behind a word that has been won.
pub(super) fn revive<T: Word>(word: *mut ()) -> T {
    let word = NonNull::new(word).expect("a slot between the indices has been written");
    T::from_word(Stored::new(word))
}

/// A worker's own queue: see `sync::deque`.
pub struct Worker<T: Word> {
    ring: Arc<Ring<T>>,
    not_sync: PhantomData<Cell<()>>,
}

impl<T: Word> Worker<T> {
    pub fn new_fifo() -> Self {
        let ring = Ring {
            front: AtomicUsize::new(START),
            back: AtomicUsize::new(START),
            slots: (0..CAP).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
            entries: PhantomData,
        };
        Worker { ring: Arc::new(ring), not_sync: PhantomData }
    }

    pub fn stealer(&self) -> Stealer<T> {
        Stealer { ring: self.ring.clone() }
    }

    pub fn push(&self, entry: T) {
        let back = self.ring.room(1);
        self.ring.write(back, entry.into_word().as_ptr());
        self.ring.publish(back.wrapping_add(1));
    }

    pub fn pop(&self) -> Option<T> {
        // Ordering: Relaxed, our own store, and a `front` that is too small is found out below.
        let back = self.ring.back.load(Relaxed);
        if distance(self.ring.front.load(Relaxed), back) == 0 {
            return None;
        }
        // Ordering: SeqCst as the real one; what matters is that it is one exchange with the
        // thieves' on the same word.
        let front = self.ring.front.fetch_add(1, SeqCst);
        if distance(front, back) == 0 {
            // Ordering: Relaxed: thieves see `front` past `back` or at it, empty both ways.
            self.ring.front.store(front, Relaxed);
            return None;
        }
        Some(revive(self.ring.read(front)))
    }

    pub fn len(&self) -> usize {
        // Ordering: as the real one. Stale means entries counted that thieves have.
        let back = self.ring.back.load(Relaxed);
        let front = self.ring.front.load(SeqCst);
        distance(front, back)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A thief's handle: see `sync::deque`.
pub struct Stealer<T: Word> {
    ring: Arc<Ring<T>>,
}

impl<T: Word> Stealer<T> {
    pub fn steal(&self) -> Steal<T> {
        self.take(|_| 0, |_| {})
    }

    pub fn steal_batch_with_limit_and_pop(&self, dest: &Worker<T>, limit: usize) -> Steal<T> {
        assert!(limit > 0);
        if Arc::ptr_eq(&self.ring, &dest.ring) {
            return dest.pop().map_or(Steal::Empty, Steal::Success);
        }
        let batch = Cell::new((0, 0));
        let taken = self.take(
            |len| {
                let more = ((len - 1) / 2).min(limit - 1);
                batch.set((dest.ring.room(more), 0));
                more
            },
            |word| {
                // Written past `dest`'s back: invisible, and overwritten if the race is lost.
                let (back, written) = batch.get();
                dest.ring.write(back.wrapping_add(written), word);
                batch.set((back, written + 1));
            },
        );
        if taken.is_success() {
            let (back, written) = batch.get();
            dest.ring.publish(back.wrapping_add(written));
        }
        taken
    }

    /// Reads the front and as many more as `extra` says of the length, then claims them all.
    fn take(&self, extra: impl Fn(usize) -> usize, keep: impl Fn(*mut ())) -> Steal<T> {
        // Ordering: Acquire as the real one. Stale fails the exchange below.
        let front = self.ring.front.load(Acquire);
        // Ordering: the fence of epoch pinning, with the owner's: a `front` this old goes with a
        // `back` no older.
        fence(SeqCst);
        // Ordering: Acquire pairs with `publish`.
        let back = self.ring.back.load(Acquire);
        let len = distance(front, back);
        if len == 0 {
            return Steal::Empty;
        }
        let extra = extra(len);
        let first = self.ring.read(front);
        (1..=extra).for_each(|i| keep(self.ring.read(front.wrapping_add(i))));
        let past = front.wrapping_add(extra + 1);
        // Ordering: SeqCst as the real one: releases our reads to `room`. Relaxed on failure:
        // nothing that was read is used.
        match self.ring.front.compare_exchange(front, past, SeqCst, Relaxed) {
            Ok(_) => Steal::Success(revive(first)),
            Err(_) => Steal::Retry,
        }
    }

    pub fn len(&self) -> usize {
        self.ring.len_for_thief()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Word> Clone for Stealer<T> {
    fn clone(&self) -> Self {
        Stealer { ring: self.ring.clone() }
    }
}
