//! The injector of `sync::deque` on `sync`'s atomics, for loom.
//!
//! **Promise.** As [`super::model`]: nothing that the real one may not do too.
//!
//! **How.** A push claims an index of `tail` and then fills its slot; a taker claims from `head` and waits for the
//! slots to be filled.
//!
//! **Gives up.** The real one's list of blocks: slots are used once, and `CAP` pushes are all it can take, then it
//! panics. That batches end with their block is kept.

use std::marker::PhantomData;
use std::ptr;

use super::model::{Worker, revive};
use super::{Steal, Word};
use crate::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::sync::atomic::{AtomicPtr, AtomicUsize, fence};
use crate::sync::hint;

/// Entries an injector can take in its life.
const CAP: usize = if cfg!(loom) { 16 } else { 1 << 16 };

/// Entries in a block of the real one.
const BLOCK: usize = 63;

/// The queue that anyone may push to: see `sync::deque`.
pub struct Injector<T: Word> {
    head: AtomicUsize,
    tail: AtomicUsize,
    slots: Box<[AtomicPtr<()>]>,
    entries: PhantomData<fn() -> T>,
}

impl<T: Word> Default for Injector<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Word> Injector<T> {
    pub fn new() -> Self {
        Injector {
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            slots: (0..CAP).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
            entries: PhantomData,
        }
    }

    pub fn push(&self, entry: T) {
        // Ordering: Acquire as the real one. Stale fails the exchange.
        let mut tail = self.tail.load(Acquire);
        loop {
            assert!(tail < CAP, "the injector model takes {CAP} pushes");
            // Ordering: SeqCst and Acquire as the real one.
            match self.tail.compare_exchange_weak(tail, tail + 1, SeqCst, Acquire) {
                Ok(_) => break,
                Err(now) => tail = now,
            }
        }
        // Ordering: Release pairs with the Acquire load in `wait`.
        self.slots[tail].store(entry.into_word().as_ptr(), Release);
    }

    pub fn steal(&self) -> Steal<T> {
        self.take(|_, _| 1, |_| {})
    }

    pub fn steal_batch_with_limit_and_pop(&self, dest: &Worker<T>, limit: usize) -> Steal<T> {
        assert!(limit > 0);
        let advance = |head: usize, tail: usize| {
            let rest = BLOCK - head % BLOCK;
            let take = if head / BLOCK == tail / BLOCK { (tail - head).div_ceil(2) } else { rest };
            take.min(limit)
        };
        self.take(advance, |words| {
            dest.append(words.iter().map(wait));
        })
    }

    /// Claims as many as `advance` says, gives all but the first to `keep`.
    fn take(&self, advance: impl Fn(usize, usize) -> usize, keep: impl Fn(&[AtomicPtr<()>])) -> Steal<T> {
        // Ordering: Acquire as the real one. Stale fails the exchange.
        let head = self.head.load(Acquire);
        // Ordering: the fence orders the loads of `head` and `tail`, and pairs with fences of
        // pushers' callers: see the engine's handshake.
        fence(SeqCst);
        // Ordering: Relaxed after the fence. Stale means fewer entries, down to none; never less
        // than `head`, which was released by someone who had seen the tail past it.
        let tail = self.tail.load(Relaxed);
        if tail == head {
            return Steal::Empty;
        }
        let past = head + advance(head, tail);
        // Ordering: SeqCst and Acquire as the real one.
        if self.head.compare_exchange_weak(head, past, SeqCst, Acquire).is_err() {
            return Steal::Retry;
        }
        let first = wait(&self.slots[head]);
        keep(&self.slots[head + 1..past]);
        Steal::Success(revive(first))
    }

    pub fn len(&self) -> usize {
        loop {
            // Ordering: SeqCst as the real one; equal tails bracket the head.
            let tail = self.tail.load(SeqCst);
            let head = self.head.load(SeqCst);
            if self.tail.load(SeqCst) == tail {
                return tail.saturating_sub(head);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        // Ordering: SeqCst as the real one.
        let head = self.head.load(SeqCst);
        let tail = self.tail.load(SeqCst);
        head == tail
    }
}

/// What a claimed slot holds, as soon as its pusher has filled it.
fn wait(slot: &AtomicPtr<()>) -> *mut () {
    loop {
        // Ordering: Acquire pairs with the Release store in `push`.
        let word = slot.load(Acquire);
        if !word.is_null() {
            return word;
        }
        hint::spin_loop();
    }
}

impl<T: Word> Drop for Injector<T> {
    fn drop(&mut self) {
        // Ordering: Relaxed, we have it alone.
        let (head, tail) = (self.head.load(Relaxed), self.tail.load(Relaxed));
        for slot in &self.slots[head..tail] {
            drop(revive::<T>(slot.load(Relaxed)));
        }
    }
}
