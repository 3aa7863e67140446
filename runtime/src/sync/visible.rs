//! Locks and threads as ThreadSanitizer can see them, in place of `locks` and `native`'s threads.
//!
//! Promise: what one holder of a lock did, the next one is seen to see. How: `std`'s lock, whose own atomics are not
//! instrumented, with an atomic of ours beside the data, acquired after locking and released before unlocking. Gives up:
//! time, and a record of each thread that nobody joins; only in builds with `cfg(cuelight_tsan)`.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A mutex without poisoning.
#[derive(Debug, Default)]
pub struct Mutex<T> {
    seen: AtomicBool,
    lock: std::sync::Mutex<T>,
}

/// The right to the data.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    seen: &'a AtomicBool,
    // Empty while a condition variable has it.
    guard: Option<std::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self { seen: AtomicBool::new(false), lock: std::sync::Mutex::new(value) }
    }

    /// Takes the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard::new(&self.seen, guard)
    }
}

impl<'a, T> MutexGuard<'a, T> {
    fn new(seen: &'a AtomicBool, guard: std::sync::MutexGuard<'a, T>) -> Self {
        // Ordering: Acquire pairs with `give`; the lock sees to it that the last one is read.
        seen.load(Ordering::Acquire);
        Self { seen, guard: Some(guard) }
    }

    fn give(mut self) -> (&'a AtomicBool, std::sync::MutexGuard<'a, T>) {
        // Ordering: Release pairs with `new`.
        self.seen.store(true, Ordering::Release);
        (self.seen, self.guard.take().expect("held"))
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.guard.is_some() {
            // Ordering: Release pairs with `new`; the lock is released after it, with the fields.
            self.seen.store(true, Ordering::Release);
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("held")
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar(std::sync::Condvar);

impl Condvar {
    /// Makes one.
    pub const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    /// Waits for a notification; may return without one.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let (seen, guard) = guard.give();
        MutexGuard::new(seen, self.0.wait(guard).unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for a notification, `timeout` at most; may return without either.
    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
        let (seen, guard) = guard.give();
        MutexGuard::new(seen, self.0.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0)
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

/// Threads.
pub mod thread {
    #[cfg(test)]
    pub use std::thread::yield_now;
    pub use std::thread::{current, panicking, scope};

    /// A thread to be.
    pub struct Builder(std::thread::Builder);

    impl Builder {
        /// Makes one.
        #[expect(clippy::new_without_default, reason = "std's has none")]
        pub fn new() -> Self {
            Self(std::thread::Builder::new())
        }

        /// Gives it a name.
        pub fn name(self, name: String) -> Self {
            Self(self.0.name(name))
        }

        /// Starts it.
        pub fn spawn<T: Send + 'static>(
            self,
            body: impl FnOnce() -> T + Send + 'static,
        ) -> std::io::Result<JoinHandle<T>> {
            Ok(JoinHandle(Some(self.0.spawn(body)?)))
        }
    }

    /// The right to join a thread.
    pub struct JoinHandle<T>(Option<std::thread::JoinHandle<T>>);

    /// Whether a thread has ended.
    pub fn is_finished<T>(handle: &JoinHandle<T>) -> bool {
        handle.0.as_ref().is_some_and(std::thread::JoinHandle::is_finished)
    }

    impl<T> JoinHandle<T> {
        /// Waits for its end.
        pub fn join(mut self) -> std::thread::Result<T> {
            self.0.take().expect("joined once").join()
        }
    }

    impl<T> Drop for JoinHandle<T> {
        fn drop(&mut self) {
            // The thread and its handles count each other, and the last one frees `std`'s record behind a fence, which
            // is not seen. So there is none, unless a join has ordered it.
            if let Some(handle) = &self.0 {
                std::mem::forget(handle.thread().clone());
            }
        }
    }
}
