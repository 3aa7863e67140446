//! A parker of our own.
//!
//! Promise: an `unpark` that comes before, during or after the beginning of a `park` ends that park; none is lost.
//!
//! How: a word of three states in front of a mutex and a condition variable. `std`'s thread token is left alone: other
//! code on the same thread may eat it (reqwest#1131).
//!
//! Gives up: a few nanoseconds against a bare futex, which would need a dependency or `unsafe`; a wake-up of a parked
//! thread costs a thousand times that.

use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Condvar, Mutex};
use std::time::Duration;

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// One thread parks here; any thread unparks it.
#[derive(Debug)]
pub(crate) struct Parker {
    /// Everybody: see the constants.
    state: AtomicU32,
    lock: Mutex<()>,
    condvar: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), lock: Mutex::new(()), condvar: Condvar::new() }
    }

    /// Takes a notification that has already come. Only the owner.
    pub(crate) fn try_take(&self) -> bool {
        // Ordering: Acquire pairs with the Release in `unpark`: what was written before it is seen after.
        self.state.compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Waits until notified, or for `timeout`. Only the owner. Returns whether a notification was taken.
    pub(crate) fn park(&self, timeout: Option<Duration>) -> bool {
        if self.try_take() {
            return true;
        }
        let mut guard = self.lock.lock();
        // Ordering: Acquire on failure pairs with `unpark`'s Release; on success nothing is learnt.
        if self.state.compare_exchange(EMPTY, PARKED, Ordering::Relaxed, Ordering::Acquire).is_err() {
            // Ordering: Acquire, as above: the notification may have come from yet another thread since.
            self.state.swap(EMPTY, Ordering::Acquire);
            return true;
        }
        match timeout {
            None => loop {
                guard = self.condvar.wait(guard);
                if self.try_take() {
                    return true;
                }
            },
            Some(timeout) => {
                guard = self.condvar.wait_timeout(guard, timeout);
                drop(guard);
                // Ordering: Acquire pairs with `unpark`; an early return of the wait is the caller's to repeat.
                self.state.swap(EMPTY, Ordering::Acquire) == NOTIFIED
            }
        }
    }

    /// Notifies the owner.
    pub(crate) fn unpark(&self) {
        // Ordering: Release publishes what the caller did to `park`'s Acquire; Acquire keeps a chain of unparkers whole.
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == PARKED {
            // The owner holds the lock from its step to PARKED until it waits: passing through the lock puts the
            // notification after the beginning of the wait.
            drop(self.lock.lock());
            self.condvar.notify_one();
        }
    }
}

/// A thread's parker, for those that wait on threads which are not ours.
struct ThreadParker(Parker);

impl std::task::Wake for ThreadParker {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

super::thread_local! {
    static THREAD_PARKER: std::sync::Arc<ThreadParker> = std::sync::Arc::new(ThreadParker(Parker::new()));
}

/// Lends the calling thread's parker, and a waker that unparks it. A late wake-up of an earlier wait may end a park early:
/// callers look again. A thread that is ending gets a new parker each time.
pub(crate) fn with_thread_parker<R>(f: impl FnOnce(&Parker, &std::task::Waker) -> R) -> R {
    let parker = THREAD_PARKER
        .try_with(std::sync::Arc::clone)
        .unwrap_or_else(|_| std::sync::Arc::new(ThreadParker(Parker::new())));
    let waker = std::task::Waker::from(parker.clone());
    f(&parker.0, &waker)
}
