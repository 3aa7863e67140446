//! What models and benches may reach. No part of the public surface; may change at any time.
//!
//! Thin: wrappers that are public around parts that are not. No step of a protocol is written here a second time.

pub mod engine;
pub mod kernel;
mod slot;

/// What the memory model sees: atomics, cells, threads, the deque.
pub mod sync {
    #[cfg(shuttle)]
    pub use crate::sync::time;
    pub use crate::sync::{Arc, Condvar, Mutex, atomic, cell, deque, hint, thread};
}
