//! The real thing: `std`, with the shape in which loom differs (`UnsafeCell`).

pub use std::sync::{Arc, Once, atomic};
pub(crate) use std::thread::LocalKey;
pub use std::thread_local;

/// Threads.
#[cfg(not(cuelight_tsan))]
pub mod thread {
    #[cfg(test)]
    pub use std::thread::yield_now;
    pub use std::thread::{Builder, JoinHandle, current, panicking, scope};

    /// Whether a thread has ended.
    pub fn is_finished<T>(handle: &JoinHandle<T>) -> bool {
        handle.is_finished()
    }
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
