//! Everything the memory model sees: atomics, cells, threads, parking, the deque.
//!
//! The rest of the crate reaches `std`'s concurrency only through this module, so that one switch puts the shipped code
//! on a model: `cfg(loom)` on loom's model of memory, `cfg(shuttle)` under shuttle's scheduler. The switch is that alone,
//! never with `test`: a crate whose shim also asks for `test` is built on real atomics when an outside test links it, and
//! its models check nothing.

#[cfg(all(loom, shuttle))]
compile_error!("`loom` and `shuttle` are two switches: set one");

/// Whether this is a model: small sizes, so that a short run meets what is full, and what is empty.
pub(crate) const MODEL: bool = cfg!(any(loom, shuttle));

#[cfg(not(any(loom, shuttle)))]
mod native;
#[cfg(not(any(loom, shuttle)))]
pub use native::{Arc, Once, atomic, hint};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use native::{LocalKey, alloc, now, thread_local};

#[cfg(not(any(loom, shuttle, cuelight_tsan)))]
mod locks;
#[cfg(not(any(loom, shuttle, cuelight_tsan)))]
pub use locks::{Condvar, Mutex};
#[cfg(not(any(loom, shuttle, cuelight_tsan)))]
pub use native::thread;

#[cfg(cuelight_tsan)]
mod visible;
#[cfg(cuelight_tsan)]
pub use visible::{Condvar, Mutex, thread};

#[cfg(loom)]
mod model;
#[cfg(loom)]
pub use model::{Arc, Condvar, Mutex, atomic, cell, hint, thread};
#[cfg(loom)]
pub(crate) use model::{LocalKey, alloc, fresh_number, now, thread_local};

#[cfg(shuttle)]
mod woven;
#[cfg(shuttle)]
pub use woven::{Arc, Condvar, Mutex, atomic, hint, thread, time};
#[cfg(shuttle)]
pub(crate) use woven::{LocalKey, alloc, now, thread_local};

#[cfg(not(loom))]
pub mod cell;

pub(crate) mod barrier;
#[cfg_attr(not(feature = "dev-hooks"), allow(dead_code, reason = "models and tests use all of it"))]
pub mod deque;
pub(crate) mod gate;
mod injector;
pub(crate) mod park;
mod tally;

pub(crate) use tally::{Balance, Tally};

/// The end of a count of references, by whoever has brought it there with a Release: pairs with everybody's Release.
macro_rules! acquire_all {
    ($count:expr) => {
        // Ordering: Acquire pairs with the Releases that brought the count down. ThreadSanitizer sees no fences: it gets a load.
        if cfg!(cuelight_tsan) {
            $count.load($crate::sync::atomic::Ordering::Acquire);
        } else {
            $crate::sync::atomic::fence($crate::sync::atomic::Ordering::Acquire);
        }
    };
}
pub(crate) use acquire_all;

/// Shared immutable text. `std`'s in models too: its counting is not what they are about.
pub(crate) type Text = std::sync::Arc<str>;

/// A function of the user's, shared. `std`'s counting in models too, as above.
pub(crate) type Function<T> = std::sync::Arc<dyn Fn(T) + Send + Sync>;

/// Shares a function.
pub(crate) fn function<T>(f: impl Fn(T) + Send + Sync + 'static) -> Function<T> {
    std::sync::Arc::new(f)
}

/// How many threads run at the same time, as far as the operating system tells; 1 if it does not.
pub(crate) fn available_parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
