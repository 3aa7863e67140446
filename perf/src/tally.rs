//! How a workload says, from outside, that it is over, and what it did.
//!
//! A [`Tally`] waits for a known number of arrivals; each brings a count of messages and a sum of what was in them.
//! The last one wakes the outside thread, which blocks on a condition variable meanwhile, so that it takes no core
//! from the workers. Arrivals beyond the number awaited (a message handled twice) are not lost: they show in
//! [`Tally::check`].
//!
//! An arrival costs three locked operations on one line: actors arrive once, after thousands of messages, or in
//! groups.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Messages handled, and the wrapping sum of the numbers in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) count: u64,
    pub(crate) sum: u64,
}

/// A latch for a known number of arrivals that adds up what they bring.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Arrivals still awaited; below zero (wrapped) once there were too many.
    awaited: AtomicU64,
    count: AtomicU64,
    sum: AtomicU64,
    done: Mutex<bool>,
    wake: Condvar,
}

impl Tally {
    pub(crate) fn new(arrivals: u64) -> Self {
        Self {
            awaited: AtomicU64::new(arrivals),
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            done: Mutex::new(arrivals == 0),
            wake: Condvar::new(),
        }
    }

    /// Adds one arrival.
    #[cold]
    pub(crate) fn arrive(&self, count: u64, sum: u64) {
        // Ordering: Relaxed; the decrement below publishes both to whoever sees the latch open.
        self.count.fetch_add(count, Ordering::Relaxed);
        // Ordering: Relaxed, as above.
        self.sum.fetch_add(sum, Ordering::Relaxed);
        // Ordering: Release gives this arrival's totals to the last one, Acquire lets the last one take them all; it
        // hands them to the waiter through the mutex.
        if self.awaited.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.wake.notify_all();
        }
    }

    /// Blocks until all have arrived.
    pub(crate) fn wait(&self, limit: Duration) -> Result<(), String> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, _) =
            self.wake.wait_timeout_while(done, limit, |done| !*done).unwrap_or_else(PoisonError::into_inner);
        if *done {
            return Ok(());
        }
        // Ordering: Relaxed; a figure for a message.
        let missing = self.awaited.load(Ordering::Relaxed);
        Err(format!("not over after {limit:?}: {missing} completions are missing"))
    }

    /// Holds what arrived against what had to; a difference is a failed run.
    pub(crate) fn check(&self, what: &str, want: Totals) -> Result<(), String> {
        // Ordering: Acquire pairs with the decrements in `arrive`, also of arrivals that came too late or too often.
        let awaited = self.awaited.load(Ordering::Acquire);
        let got = Totals {
            // Ordering: Relaxed; the load above made them visible.
            count: self.count.load(Ordering::Relaxed),
            // Ordering: Relaxed, as above.
            sum: self.sum.load(Ordering::Relaxed),
        };
        if awaited != 0 {
            let extra = awaited.wrapping_neg();
            return Err(format!("{what}: {extra} completions too many"));
        }
        if got != want {
            return Err(format!("{what}: {got:?} where {want:?} was due"));
        }
        Ok(())
    }
}

/// What most workloads need: everyone is set up, the work is done, everyone has reported.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) ready: Tally,
    pub(crate) done: Tally,
    pub(crate) report: Tally,
}

impl Gate {
    pub(crate) fn new(ready: u64, done: u64, report: u64) -> Arc<Self> {
        Arc::new(Self { ready: Tally::new(ready), done: Tally::new(done), report: Tally::new(report) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn opens_with_the_last_arrival_and_adds_up() {
        let tally = Tally::new(4);
        std::thread::scope(|scope| {
            for i in 0..4 {
                let tally = &tally;
                scope.spawn(move || tally.arrive(10, i));
            }
            tally.wait(LIMIT).unwrap();
        });
        tally.check("four", Totals { count: 40, sum: 6 }).unwrap();
    }

    #[test]
    fn a_wrong_sum_count_or_number_of_arrivals_is_an_error() {
        let tally = Tally::new(1);
        assert!(tally.wait(Duration::ZERO).unwrap_err().contains("1 completions are missing"));
        tally.arrive(5, 7);
        assert!(tally.check("x", Totals { count: 5, sum: 8 }).is_err());
        assert!(tally.check("x", Totals { count: 4, sum: 7 }).is_err());
        assert!(tally.check("x", Totals { count: 5, sum: 7 }).is_ok());
        tally.arrive(0, 0);
        let error = tally.check("x", Totals { count: 5, sum: 7 }).unwrap_err();
        assert!(error.contains("1 completions too many"), "{error}");
    }
}
