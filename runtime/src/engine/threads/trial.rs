//! Whether a theft was worth it.
//!
//! Promise: actors whose talk is cheaper than its way to another core end up on one worker, whatever the thief took.
//!
//! How: hill climbing on handled messages, as .NET's thread pool finds its number of threads (Hellerstein 2009). A queue
//! can stand and yet not be worth sharing: two hundred actors that all talk to each other keep one worker busy with 19 ns a
//! message; on two workers every other message crosses, and they take 42. So a theft of such actors is a trial: if after
//! 300 microseconds all workers together do not handle 15 % more than before, the thief hands back what it has, and takes
//! no such actors for a while, twice as long each time. What is stuck behind a handler is taken without trial, and so are
//! actors whose messages cost more than a crossing: those gain by the second core in any case.
//!
//! Gives up: up to 32 ms before a program spreads that has just begun to pay for it; and a program that has passed its trial
//! is not tried again.

use super::search::STOLEN;
use super::worker::Worker;
use crate::kernel::cell::Runnable;
use crate::sync::atomic::Ordering;
use crate::sync::deque::Steal;
use crate::sync::hint::spin_loop;
use crate::time::Tick;
use std::cell::Cell;
use std::time::Duration;

/// How long a trial takes.
const TRIAL: Duration = Duration::from_micros(300);
/// Dearer messages are taken without trial: a hop between two cores costs 35 to 260 ns.
const CHEAP: Duration = Duration::from_nanos(64);
/// How long a thief keeps quiet after its first failure.
const CALM: Duration = Duration::from_micros(500);
/// And at most: the trials of a program that never pays cost it about one in a hundred.
const LONGEST_CALM: Duration = Duration::from_millis(32);
/// How long a thief offers what it hands back: the other worker looks up every few microseconds, unless a handler holds it.
const OFFER: Duration = Duration::from_micros(20);

/// Messages handled in a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) handled: u64,
    pub(super) time: Duration,
}

impl Rate {
    fn per_second(self) -> f64 {
        self.handled as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// Whether messages cost so little that they must not cross for nothing.
    pub(super) fn is_cheap(self) -> bool {
        self.per_second() * CHEAP.as_secs_f64() > 1.0
    }

    /// Whether this is worth a second worker, after `before`.
    fn pays(self, before: Self) -> bool {
        self.per_second() >= 1.15 * before.per_second()
    }
}

/// A theft that has yet to show its worth.
#[derive(Debug, Clone, Copy)]
struct Running {
    victim: usize,
    begun: Tick,
    /// What all workers had handled by then.
    handled: u64,
    before: Rate,
}

/// One thief's trials.
#[derive(Debug)]
pub(super) struct Trials {
    running: Cell<Option<Running>>,
    calm_until: Cell<Tick>,
    next_calm: Cell<Duration>,
}

impl Trials {
    pub(super) fn new() -> Self {
        Self { running: Cell::new(None), calm_until: Cell::new(Tick(0)), next_calm: Cell::new(CALM) }
    }

    /// Whether nothing cheap is to be taken, unless it is stuck.
    pub(super) fn is_calm(&self, now: Tick) -> bool {
        now < self.calm_until.get()
    }

    /// Something was taken from a worker with cheap messages. A trial that is running goes on.
    pub(super) fn begin(&self, victim: usize, begun: Tick, handled: u64, before: Rate) {
        if self.running.get().is_none() {
            self.running.set(Some(Running { victim, begun, handled, before }));
        }
    }

    /// The thief has nothing left: no trial.
    pub(super) fn forget(&self) {
        self.running.set(None);
    }

    /// Ends the trial that is running, if it is time, by what all workers have `handled`. From whom the actors were that
    /// are to go back.
    fn judge(&self, now: Tick, handled: impl FnOnce() -> u64) -> Option<usize> {
        let running = self.running.get()?;
        let time = now.since(running.begun);
        if time < TRIAL {
            return None;
        }
        self.running.set(None);
        if (Rate { handled: handled().wrapping_sub(running.handled), time }).pays(running.before) {
            self.next_calm.set(CALM);
            return None;
        }
        let calm = self.next_calm.get();
        self.calm_until.set(now.after(calm));
        self.next_calm.set((calm * 2).min(LONGEST_CALM));
        Some(running.victim)
    }
}

impl Worker {
    /// What all workers have handled.
    pub(super) fn handled_by_all(&self) -> u64 {
        let core = self.core();
        let workers = 0..self.threads().remotes.len();
        workers.map(|index| core.metrics.worker(index).handled.read()).fold(0, u64::wrapping_add)
    }

    /// Looks whether the last theft was worth it, and hands back what is here if it was not.
    pub(super) fn judge_theft(&self, now: Tick) {
        if let Some(victim) = self.trials.judge(now, || self.handled_by_all()) {
            self.hand_back(victim);
        }
    }

    /// Offers all actors that wait here to another worker, which steals them. Whatever it does not take stays.
    #[cold]
    fn hand_back(&self, victim: usize) {
        if let Some(runnable) = self.remote.slot.take() {
            self.deque.push(runnable);
        }
        let before = self.deque.len();
        let offer = &self.threads().remotes[victim].offer;
        let begun = self.core().clock.now();
        while !self.deque.is_empty() && self.core().clock.now().since(begun) < OFFER {
            // Ordering: Relaxed: a hint where to steal; the deque orders what is stolen.
            offer.store(self.index + 1, Ordering::Relaxed);
            for _ in 0..16 {
                spin_loop();
            }
        }
        // Ordering: Relaxed, as above.
        offer.store(0, Ordering::Relaxed);
        self.metrics().handed_back.add(before.saturating_sub(self.deque.len()) as u64);
    }

    /// Takes what another worker hands back.
    pub(super) fn take_back(&self) -> Option<Runnable> {
        // Ordering: Relaxed: see `hand_back`.
        let thief = self.remote.offer.load(Ordering::Relaxed).checked_sub(1)?;
        // Ordering: Relaxed: as above. Who still has some offers again.
        self.remote.offer.store(0, Ordering::Relaxed);
        let stealer = &self.threads().remotes[thief].stealer;
        loop {
            match stealer.steal_batch_with_limit_and_pop(&self.deque, STOLEN) {
                Steal::Success(runnable) => return Some(runnable),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(micros: u64) -> Tick {
        Tick(1000 * micros)
    }

    #[test]
    fn what_gains_stays() {
        let trials = Trials::new();
        trials.begin(3, at(0), 100, Rate { handled: 10_000, time: MS });
        assert_eq!(trials.judge(at(299), || unreachable!()), None, "too early");
        // 10 a microsecond before, and 11.5 now.
        assert_eq!(trials.judge(at(300), || 100 + 3450), None);
        assert!(!trials.is_calm(at(300)));
        assert_eq!(trials.judge(at(900), || unreachable!()), None, "judged once");
    }

    #[test]
    fn what_does_not_goes_back_and_calm_grows() {
        let trials = Trials::new();
        let before = Rate { handled: 10_000, time: MS };
        let (mut now, mut calm) = (0, 500);
        for _ in 0..10 {
            trials.begin(3, at(now), 0, before);
            trials.begin(4, at(now + 100), 7, before);
            now += 300;
            assert_eq!(trials.judge(at(now), || 3449), Some(3), "of the first theft");
            assert!(trials.is_calm(at(now + calm - 1)) && !trials.is_calm(at(now + calm)));
            now += calm;
            calm = (2 * calm).min(32_000);
        }
        trials.begin(3, at(now), 0, before);
        assert_eq!(trials.judge(at(now + 300), || 6000), None);
        trials.begin(3, at(now + 400), 0, before);
        assert_eq!(trials.judge(at(now + 700), || 3000), Some(3));
        assert!(!trials.is_calm(at(now + 700 + 500)), "a success forgets the failures");
    }

    #[test]
    fn dear_messages_are_not_tried() {
        let rate = |nanos: u64| Rate { handled: 1000, time: Duration::from_nanos(1000 * nanos) };
        assert!(rate(20).is_cheap() && rate(63).is_cheap());
        assert!(!rate(65).is_cheap() && !rate(100_000).is_cheap());
        assert!(!Rate { handled: 0, time: MS }.is_cheap());
    }
}
