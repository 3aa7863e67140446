//! The run queues: a FIFO deque for each worker, with its stealers, and an injector for everybody.
//!
//! **Promise.** Each entry pushed is taken exactly once, from the front, in the order of its push; pushing happens
//! before taking. Only a deque's owner pushes to it. `Steal::Retry` says that another thread was quicker (or that a
//! buffer grew), never that the queue is empty.
//!
//! **How.** crossbeam-deque, restricted to what the engine uses. Its deque is the one of Chase and Lev (2005) with the
//! orderings of Lê, Pop, Cohen and Zappa Nardelli (2013). Under `cfg(loom)` and `cfg(shuttle)` the same names stand for our model, because
//! crossbeam-deque is not built on their atomics; differential tests hold that model to the real thing. The injector is
//! our own, see `injector`.
//!
//! **Gives up.** `len` and `is_empty` are guesses as soon as another thread is at work. A stealer's answer may be
//! stale: who wants to sleep on it needs the engine's handshake. Entries are one word, so that the model can keep them
//! in atomics without `unsafe`.

use std::marker::PhantomData;
use std::ptr::NonNull;

pub use crossbeam_deque::Steal;

#[cfg(cuelight_tsan)]
pub use self::locked::{Stealer, Worker};
#[cfg(any(loom, shuttle))]
pub use self::model::{Stealer, Worker};
#[cfg(not(any(loom, shuttle, cuelight_tsan)))]
pub use self::real::{Stealer, Worker};
pub use super::injector::Injector;

#[cfg(any(cuelight_tsan, test))]
#[path = "deque_locked.rs"]
#[allow(missing_docs, unreachable_pub, reason = "stands in for the real one, which has both")]
mod locked;
#[cfg(any(loom, shuttle, test))]
#[path = "deque_model.rs"]
#[allow(missing_docs, unreachable_pub, reason = "stands in for the real one, which has both")]
mod model;
#[cfg(all(test, not(loom)))]
#[path = "deque_tests.rs"]
mod tests;

/// An entry of one word, which a queue may keep as a pointer and give back later.
///
/// Only the model calls these; the real queues move entries as they are.
#[cfg_attr(not(any(loom, shuttle, test)), allow(dead_code, reason = "the model's"))]
pub trait Word: Send + Sized {
    /// The entry as a pointer. Whatever it owns is owned by the pointer from here on.
    fn into_word(self) -> NonNull<()>;

    /// The entry again. Each result of `into_word` comes back at most once, see [`Stored`].
    fn from_word(word: Stored<Self>) -> Self;
}

/// A pointer that `T::into_word` gave out and that comes back for the first and only time.
///
/// Nothing outside this module can make one, so a `from_word` may rely on that.
pub struct Stored<T> {
    word: NonNull<()>,
    // A queue's entry is in transit, neither shared nor borrowed.
    entry: PhantomData<fn() -> T>,
}

#[cfg_attr(not(any(loom, shuttle, test)), allow(dead_code, reason = "the model's"))]
impl<T: Word> Stored<T> {
    /// For queues only. `word` is a result of `T::into_word` that has not come back yet.
    fn new(word: NonNull<()>) -> Self {
        Stored { word, entry: PhantomData }
    }

    /// The pointer, with the provenance it had when it went in.
    pub fn into_pointer(self) -> NonNull<()> {
        self.word
    }
}

#[cfg(all(not(any(loom, shuttle)), any(test, not(cuelight_tsan))))]
mod real {
    use super::{Steal, Word};

    /// A worker's own queue. `Send`, not `Sync`: its methods are the owner's.
    pub struct Worker<T: Word>(crossbeam_deque::Worker<T>);

    impl<T: Word> Worker<T> {
        /// An empty queue, first in, first out.
        pub fn new_fifo() -> Self {
            Worker(crossbeam_deque::Worker::new_fifo())
        }

        /// A handle for thieves.
        pub fn stealer(&self) -> Stealer<T> {
            Stealer(self.0.stealer())
        }

        /// Puts `entry` at the back. Allocates when the buffer is full.
        #[inline]
        pub fn push(&self, entry: T) {
            self.0.push(entry);
        }

        /// Takes the front entry.
        #[inline]
        pub fn pop(&self) -> Option<T> {
            self.0.pop()
        }

        /// How many entries there are, or were a moment ago.
        #[inline]
        pub fn len(&self) -> usize {
            self.0.len()
        }

        /// Whether there is none: certain for the owner, who alone pushes.
        #[inline]
        pub fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    /// A thief's handle to a worker's queue.
    pub struct Stealer<T: Word>(crossbeam_deque::Stealer<T>);

    impl<T: Word> Stealer<T> {
        /// Takes the front entry.
        pub fn steal(&self) -> Steal<T> {
            self.0.steal()
        }

        /// Takes the front entry, and moves up to half of the others, `limit - 1` at most, to
        /// `dest`, order kept. On the owner's own queue it pops.
        ///
        /// # Panics
        /// If `limit` is zero.
        pub fn steal_batch_with_limit_and_pop(&self, dest: &Worker<T>, limit: usize) -> Steal<T> {
            self.0.steal_batch_with_limit_and_pop(&dest.0, limit)
        }

        /// How many entries there were a moment ago.
        pub fn len(&self) -> usize {
            self.0.len()
        }

        /// Whether there was none a moment ago.
        pub fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    impl<T: Word> Clone for Stealer<T> {
        fn clone(&self) -> Self {
            Stealer(self.0.clone())
        }
    }
}
