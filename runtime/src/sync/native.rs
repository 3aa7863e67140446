//! The real thing: `std`, with the two shapes in which loom differs (`UnsafeCell`, poisoning).

pub(super) use std::sync::MutexGuard;
pub use std::sync::{Arc, Once, atomic};
pub use std::thread_local;

/// Threads.
pub mod thread {
    #[cfg(test)]
    pub use std::thread::yield_now;
    pub use std::thread::{Builder, JoinHandle, current, panicking, scope};
}

/// Spinning.
pub mod hint {
    pub use std::hint::spin_loop;
}

/// Memory.
pub(crate) mod alloc {
    pub(crate) use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
}

/// Cells whose accesses loom can see.
pub mod cell {
    /// `std`'s `UnsafeCell` behind loom's interface: access by closure, so that a model sees where it begins and ends.
    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// Wraps a value.
        pub const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Hands a pointer for reading to `f`.
        #[inline(always)]
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Hands a pointer for writing to `f`.
        #[inline(always)]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

/// A mutex without poisoning: no user code ever runs under a lock of this library, so a poisoned one would only repeat
/// a failure that was already reported.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Takes the lock.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
        self.0.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for a notification, `timeout` at most; may return without either.
    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, timeout: std::time::Duration) -> MutexGuard<'a, T> {
        self.0.wait_timeout(guard, timeout).unwrap_or_else(std::sync::PoisonError::into_inner).0
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
