//! What the benches share: the allocator, systems to measure on, and how a run is timed.
//!
//! A bench answers "did this path change?", in nanoseconds per operation on this machine. It says nothing about whole
//! programs, tails or other runtimes: that is what `perf` is for.

use std::time::{Duration, Instant};

use cuelight::{Ask, ReplyTo, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A system with so many workers and the defaults otherwise.
///
/// # Panics
/// If it cannot be had: there is nothing to measure then.
pub fn system(workers: usize) -> System {
    System::builder().workers(workers).build().expect("a system to measure")
}

/// Times from the request to its answer, seen from outside.
///
/// # Panics
/// If there is no answer: the figure would be wrong.
pub fn timed<R: Send + 'static>(request: impl FnOnce() -> Ask<R>) -> Duration {
    let begun = Instant::now();
    request().wait().expect("the end of the run");
    begun.elapsed()
}

/// Answers whoever waits, once.
pub fn done<R: Send + 'static>(asker: &mut Option<ReplyTo<R>>, answer: R) {
    if let Some(asker) = asker.take() {
        asker.send(answer);
    }
}

/// Stops what a bench has started, so that it does not run beside the next one.
///
/// # Panics
/// If something holds on.
pub fn end(system: &System) {
    system.shutdown(Duration::from_secs(60)).expect("a quiet end");
}

/// Divides `whole` into `parts` that differ by one at most.
pub fn shares(whole: u64, parts: u64) -> impl Iterator<Item = u64> {
    (0..parts).map(move |part| whole / parts + u64::from(part < whole % parts))
}
