//! loom in place of `std`, in the shapes of `native` and `locks`.

pub use loom::sync::Arc;
pub(crate) use loom::thread::LocalKey;
pub use loom::thread_local;

/// Atomics, as loom models them: `SeqCst` accesses are only acquire and release, so protocols use fences.
pub mod atomic {
    pub use loom::sync::atomic::*;
}

/// Threads.
pub mod thread {
    pub use loom::thread::{Builder, JoinHandle, yield_now};
    pub use std::thread::panicking;

    /// Whether a thread has ended: loom does not tell.
    pub fn is_finished<T>(_: &JoinHandle<T>) -> bool {
        false
    }
}

/// Spinning.
pub mod hint {
    pub use loom::hint::spin_loop;
}

/// Memory, of which loom sees leaks and second frees.
pub(crate) mod alloc {
    pub(crate) use loom::alloc::{Layout, alloc, dealloc};
    pub(crate) use std::alloc::handle_alloc_error;
}

/// The machine's time: a model's clock stands still, and counts from here.
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A number that no other call returns, and not 0.
pub(crate) fn fresh_number() -> usize {
    static LAST: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    // Ordering: Relaxed: it only counts.
    LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
}

/// Cells whose accesses loom checks.
pub mod cell {
    pub use loom::cell::UnsafeCell;
}

pub use loom::sync::MutexGuard;

/// loom's mutex without poisoning.
#[derive(Debug)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Takes the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// loom's condition variable.
#[derive(Debug)]
pub struct Condvar(loom::sync::Condvar);

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl Condvar {
    /// Makes one.
    pub fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    /// Waits for a notification.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for a notification: a model has no time, so nothing but a notification ends the wait (rule R2).
    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, _: std::time::Duration) -> MutexGuard<'a, T> {
        self.wait(guard)
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
