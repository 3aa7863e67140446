//! When an actor that has failed is made anew: the rule, the wait, the limit.
//!
//! Safe code above the kernel, which does the rest: `kernel/restart.rs` suspends and makes anew, `kernel/supervise.rs` asks the
//! parent.

mod backoff;
mod limit;
mod restart;

pub use restart::Restart;
