//! The real thing: `std`.

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

/// The machine's time.
#[inline]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}
