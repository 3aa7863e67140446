//! The timers that all workers of a system share.
//!
//! Promise: a value that was inserted comes out once, by `cancel`, by `poll` or by `clear`. A poll with nothing due is
//! one relaxed load. Values are handed out, never run or dropped under the lock.
//!
//! How: a wheel under a mutex, and its next deadline in an atomic that only the holder of the lock writes.
//!
//! **Falling asleep.** The sleeper S announces that it sleeps, issues a `SeqCst` fence and reads `next_deadline`; the
//! inserter I stores the next deadline (in `insert`), issues a `SeqCst` fence and looks for sleepers. S's fence first:
//! I sees a sleeper and wakes it. I's fence first: S reads the new deadline, or an earlier one. So whoever gets
//! `earliest` from `insert` owes the fence and the look, exactly as after a push from outside.
//!
//! Gives up: parallel inserts. The lock is held for tens of nanoseconds, and while due timers are collected.

use super::Tick;
use super::wheel::{Key, Wheel};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Driver<T> {
    wheel: Mutex<Wheel<T>>,
    /// Written under the lock, read by anyone. `NEVER` is none.
    next: AtomicU64,
}

/// What [`Driver::insert`] leaves to its caller.
#[must_use = "a sleeper may have to recompute its time"]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inserted {
    /// Names the timer.
    pub(crate) key: Key,
    /// It is the first of all: sleepers that count on a later one must be told.
    pub(crate) earliest: bool,
}

impl<T> Driver<T> {
    /// No timers.
    pub(crate) fn new() -> Self {
        Driver { wheel: Mutex::new(Wheel::new()), next: AtomicU64::new(Tick::NEVER.0) }
    }

    /// Keeps `value` until `deadline`. At [`Tick::NEVER`] only `cancel` and `clear` give it back.
    pub(crate) fn insert(&self, deadline: Tick, value: T) -> Inserted {
        let mut wheel = self.wheel.lock();
        // Ordering: Relaxed, the lock orders the writers.
        let before = self.next.load(Ordering::Relaxed);
        let key = wheel.insert(deadline.0, value);
        let earliest = self.note(&wheel) < Tick(before);
        Inserted { key, earliest }
    }

    /// Takes a timer back; `None` if it has come out.
    pub(crate) fn cancel(&self, key: Key) -> Option<T> {
        let mut wheel = self.wheel.lock();
        let value = wheel.cancel(key);
        if value.is_some() {
            self.note(&wheel);
        }
        value
    }

    /// Takes several back: those of them that have not come out.
    pub(crate) fn cancel_some<const N: usize>(&self, keys: &[Option<Key>; N]) -> [Option<T>; N] {
        let mut wheel = self.wheel.lock();
        let values = keys.map(|key| wheel.cancel(key?));
        self.note(&wheel);
        values
    }

    /// Appends what is due at `now` to `due`, in order, and says how many.
    #[inline]
    pub(crate) fn poll(&self, now: Tick, due: &mut Vec<T>) -> usize {
        // Ordering: Relaxed. Too late a value is put right by the inserter's wake or the next poll, too early a one
        // costs a lock.
        if self.next.load(Ordering::Relaxed) > now.0 {
            return 0;
        }
        self.collect(now, due)
    }

    #[cold]
    fn collect(&self, now: Tick, due: &mut Vec<T>) -> usize {
        let before = due.len();
        let mut wheel = self.wheel.lock();
        wheel.advance(now.0, due);
        self.note(&wheel);
        due.len() - before
    }

    /// When to poll next, at the latest; [`Tick::NEVER`] without timers.
    pub(crate) fn next_deadline(&self) -> Tick {
        // Ordering: Relaxed; who sleeps on it has a fence before it, see the module.
        Tick(self.next.load(Ordering::Relaxed))
    }

    /// How many timers there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.wheel.lock().len()
    }

    /// Takes all timers out, in the order of insertion, for the caller to drop.
    #[must_use = "dropping the values is the caller's"]
    pub(crate) fn clear(&self) -> Vec<T> {
        let mut wheel = self.wheel.lock();
        let left = wheel.clear();
        self.note(&wheel);
        left
    }

    fn note(&self, wheel: &Wheel<T>) -> Tick {
        let next = wheel.next_deadline().map_or(Tick::NEVER, Tick);
        // Ordering: Relaxed; what must be seen by a sleeper is fenced by the inserter, see the module.
        self.next.store(next.0, Ordering::Relaxed);
        next
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sync::atomic::AtomicUsize;
    use crate::sync::{Arc, thread};

    const MS: u64 = 1_000_000;

    fn poll<T>(driver: &Driver<T>, now: u64) -> Vec<T> {
        let mut due = Vec::new();
        let count = driver.poll(Tick(now), &mut due);
        assert_eq!(count, due.len());
        due
    }

    #[test]
    fn the_earliest_is_told() {
        let driver = Driver::new();
        assert_eq!(driver.next_deadline(), Tick::NEVER);
        let late = driver.insert(Tick(40 * MS), 'l');
        assert!(late.earliest);
        assert!(!driver.insert(Tick(50 * MS), 'm').earliest);
        let early = driver.insert(Tick(30 * MS), 'e');
        assert!(early.earliest);
        assert!(!driver.insert(Tick(30 * MS), 'f').earliest, "no earlier than what is known");
        assert_eq!(driver.next_deadline(), Tick(30 * MS));
        assert_eq!(driver.cancel(early.key), Some('e'));
        assert_eq!(driver.cancel(early.key), None);
        assert_eq!(poll(&driver, 30 * MS - 1), []);
        assert_eq!(poll(&driver, 30 * MS), ['f']);
        assert_eq!(driver.next_deadline(), Tick(40 * MS));
        assert_eq!(driver.cancel(late.key), Some('l'));
        assert_eq!(driver.next_deadline(), Tick(50 * MS));
        assert_eq!(driver.len(), 1);
        assert_eq!(driver.clear(), ['m']);
        assert_eq!((driver.len(), driver.next_deadline()), (0, Tick::NEVER));
    }

    #[test]
    fn never_is_no_deadline() {
        let driver = Driver::new();
        let inserted = driver.insert(Tick(0).after(Duration::MAX), 'n');
        assert_eq!(poll(&driver, Tick::NEVER.0 - 1), []);
        assert_eq!(poll(&driver, Tick::NEVER.0), []);
        assert_eq!(driver.next_deadline(), Tick::NEVER);
        assert!(driver.insert(Tick(5), 'p').earliest);
        assert_eq!(poll(&driver, Tick::NEVER.0), ['p']);
        assert_eq!(driver.cancel(inserted.key), Some('n'));
    }

    #[test]
    fn each_value_comes_out_once_on_threads() {
        const THREADS: usize = 4;
        const EACH: usize = 5_000;
        let driver = Arc::new(Driver::new());
        let now = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (driver, now) = (driver.clone(), now.clone());
                let work = move || {
                    let mut out = Vec::new();
                    for i in 0..EACH {
                        // Ordering: Relaxed, only the number matters.
                        let at = now.fetch_add(MS as usize / 50, Ordering::Relaxed) as u64;
                        let inserted = driver.insert(Tick(at + (i as u64 % 9) * MS), thread * EACH + i);
                        if i % 3 == 0 {
                            out.extend(driver.cancel(inserted.key));
                        }
                        driver.poll(Tick(at), &mut out);
                    }
                    out
                };
                thread::Builder::new().spawn(work).unwrap()
            })
            .collect();
        let mut all: Vec<usize> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        all.extend(driver.clear());
        all.sort_unstable();
        assert_eq!(all, (0..THREADS * EACH).collect::<Vec<_>>());
    }
}
