//! A harness for models of the shipped code.
//!
//! Promise: a model that passed under loom has run more than a handful of executions, over the runtime's own atomics
//! (`tests/canary.rs`), and the same model also runs on real threads in plain `cargo test`.
//!
//! How: [`model`] hands the closure to loom under `cfg(loom)`, counts how often it is called, prints the count and
//! refuses a small one. Without the cfg it calls the closure on real threads, again and again.
//!
//! Gives up: the search is bounded by preemptions, so a bug that needs more of them is not found; and the plain runs
//! prove nothing, they keep the models compiling and honest.

pub mod canary;
#[cfg(not(shuttle))]
pub mod kernel;
#[cfg(not(loom))]
pub mod schedules;

#[cfg(loom)]
pub use loom::{sync::Arc, thread};
#[cfg(shuttle)]
pub use shuttle::{sync::Arc, thread};
#[cfg(not(any(loom, shuttle)))]
pub use std::{sync::Arc, thread};

/// Executions that every model must exceed, unless it says why not.
pub const USUAL_MINIMUM: usize = 100;

/// How often a model runs on real threads without loom.
#[cfg(not(any(loom, shuttle)))]
const PLAIN_RUNS: usize = 200;

/// Explores the interleavings of `f` with at most `max_preemptions` preemptions, and prints how many there were.
///
/// Take three preemptions with two threads, two with three. Whatever `f` shares between its threads is made inside
/// it: state from outside would leak from one execution into the next.
///
/// # Panics
/// If any execution does, or if there were at most [`USUAL_MINIMUM`].
#[cfg(not(shuttle))]
pub fn model<F>(name: &str, max_preemptions: usize, f: F)
where
    F: Fn() + Send + Sync + 'static,
{
    run(name, max_preemptions, USUAL_MINIMUM, "a model this small checks next to nothing", f);
}

/// As [`model`], for a model too small for the usual minimum, with the reason why it is worth having.
///
/// # Panics
/// If any execution does, if there were at most `minimum`, or if no reason is given.
#[cfg(not(shuttle))]
pub fn model_above<F>(name: &str, max_preemptions: usize, minimum: usize, reason: &str, f: F)
where
    F: Fn() + Send + Sync + 'static,
{
    assert!(!reason.is_empty(), "{name}: say why {minimum} executions are enough");
    run(name, max_preemptions, minimum, reason, f);
}

#[cfg(loom)]
fn run<F>(name: &str, max_preemptions: usize, minimum: usize, reason: &str, f: F)
where
    F: Fn() + Send + Sync + 'static,
{
    use std::sync::atomic::{AtomicUsize, Ordering};

    // loom reports no count. This one is made outside the closure and is not loom's, so that it survives executions.
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(max_preemptions);
    builder.check(move || {
        // Ordering: Relaxed. loom runs one execution after the other on the thread that reads the count below.
        count.fetch_add(1, Ordering::Relaxed);
        f();
    });
    // Ordering: Relaxed, as above.
    let executions = executions.load(Ordering::Relaxed);
    println!("{name}: {executions} executions, preemptions <= {max_preemptions}");
    assert!(executions > minimum, "{name}: {executions} executions, expected more than {minimum} ({reason})");
}

#[cfg(not(any(loom, shuttle)))]
fn run<F>(name: &str, _: usize, _: usize, _: &str, f: F)
where
    F: Fn() + Send + Sync + 'static,
{
    for _ in 0..PLAIN_RUNS {
        f();
    }
    println!("{name}: {PLAIN_RUNS} runs on real threads");
}
