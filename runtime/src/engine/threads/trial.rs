//! Whether a theft was worth it.
//!
//! Promise: actors whose talk is cheaper than its way to another core end up on one worker, whatever the thief took.
//!
//! How: hill climbing on handled messages, as .NET's thread pool finds its number of threads (Hellerstein 2009). A queue
//! can stand and yet not be worth sharing: two hundred actors that all talk to each other keep one worker busy with 19 ns
//! a message; on two workers every other message crosses, and they take 42. So a theft of such actors is a trial: if
//! after 300 microseconds all workers together do not handle 15 % more than before, or as much more as half of what the
//! victim did, the thief hands back what it has, and takes no such actors for a while, twice as long each time. What the
//! victim has not taken by then is on trial again. What is stuck behind a handler is taken without trial, and so are
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
#[derive(Debug, Clone, Copy, PartialEq)]
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

    /// Whether this, of all workers, is worth one more, after `before`. More than the victim had can hardly be gained, so the
    /// eighth among eight is asked for half of that.
    fn pays(self, before: Self, victim: Self) -> bool {
        let gain = (0.15 * before.per_second()).min(0.5 * victim.per_second());
        self.per_second() >= before.per_second() + gain
    }
}

/// A theft that has yet to show its worth.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Running {
    theft: Theft,
    begun: Tick,
    /// How long it takes.
    lasts: Duration,
    /// What all workers had handled when it began.
    handled: u64,
}

/// From whom, and what was handled before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Theft {
    pub(super) victim: usize,
    pub(super) by_victim: Rate,
    pub(super) by_all: Rate,
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
    pub(super) fn begin(&self, theft: Theft, begun: Tick, handled: u64) {
        if self.running.get().is_none() {
            self.running.set(Some(Running { theft, begun, lasts: TRIAL, handled }));
        }
    }

    /// The victim did not take all that was handed back: the rest is judged again when the thief is no longer calm.
    fn begin_again(&self, theft: Theft, begun: Tick, handled: u64) {
        let lasts = self.calm_until.get().since(begun).max(TRIAL);
        self.running.set(Some(Running { theft, begun, lasts, handled }));
    }

    /// The thief has had nothing for a while: no trial.
    pub(super) fn forget(&self) {
        self.running.set(None);
    }

    /// Ends the trial that is running, if it is time, by what all workers have `handled`. The theft that is to go
    /// back.
    fn judge(&self, now: Tick, handled: impl FnOnce() -> u64) -> Option<Theft> {
        let Running { theft, begun, lasts, handled: before } = self.running.get()?;
        let time = now.since(begun);
        if time < lasts {
            return None;
        }
        self.running.set(None);
        if (Rate { handled: handled().wrapping_sub(before), time }).pays(theft.by_all, theft.by_victim) {
            self.next_calm.set(CALM);
            return None;
        }
        let calm = self.next_calm.get();
        self.calm_until.set(now.after(calm));
        self.next_calm.set((calm * 2).min(LONGEST_CALM));
        Some(theft)
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
        if let Some(theft) = self.trials.judge(now, || self.handled_by_all()) {
            self.hand_back(theft);
        }
    }

    /// Offers all actors that wait here to the victim, which steals them. Whatever it does not take stays for now.
    #[cold]
    fn hand_back(&self, theft: Theft) {
        if let Some(runnable) = self.remote.slot.take() {
            self.deque.push(runnable);
        }
        let before = self.deque.len();
        let offer = &self.threads().remotes[theft.victim].offer;
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
        let left = self.deque.len();
        self.metrics().handed_back.add(before.saturating_sub(left) as u64);
        if left > 0 {
            self.trials.begin_again(theft, self.core().clock.now(), self.handled_by_all());
        }
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

    /// From the only one who is busy, whose messages take 100 ns.
    fn theft(victim: usize) -> Theft {
        let before = Rate { handled: 10_000, time: MS };
        Theft { victim, by_victim: before, by_all: before }
    }

    #[test]
    fn what_gains_stays() {
        let trials = Trials::new();
        trials.begin(theft(3), at(0), 100);
        assert_eq!(trials.judge(at(299), || unreachable!()), None, "too early");
        // 10 a microsecond before, and 11.5 now.
        assert_eq!(trials.judge(at(300), || 100 + 3450), None);
        assert!(!trials.is_calm(at(300)));
        assert_eq!(trials.judge(at(900), || unreachable!()), None, "judged once");
    }

    #[test]
    fn what_does_not_goes_back_and_calm_grows() {
        let trials = Trials::new();
        let (mut now, mut calm) = (0, 500);
        for _ in 0..10 {
            trials.begin(theft(3), at(now), 0);
            trials.begin(theft(4), at(now + 100), 7);
            now += 300;
            assert_eq!(trials.judge(at(now), || 3449), Some(theft(3)), "of the first theft");
            assert!(trials.is_calm(at(now + calm - 1)) && !trials.is_calm(at(now + calm)));
            now += calm;
            calm = (2 * calm).min(32_000);
        }
        trials.begin(theft(3), at(now), 0);
        assert_eq!(trials.judge(at(now + 300), || 6000), None);
        trials.begin(theft(3), at(now + 400), 0);
        assert_eq!(trials.judge(at(now + 700), || 3000), Some(theft(3)));
        assert!(!trials.is_calm(at(now + 700 + 500)), "a success forgets the failures");
    }

    #[test]
    fn one_more_among_many_is_judged_by_one() {
        for workers in [1, 2, 7, 8, 63] {
            let by_all = Rate { handled: workers * 10_000, time: MS };
            let judged = |by_all_now: u64| {
                let trials = Trials::new();
                trials.begin(Theft { by_all, ..theft(0) }, at(0), 0);
                trials.judge(at(1000), || by_all_now)
            };
            assert_eq!(judged((workers + 1) * 10_000), None, "after {workers}, all that can be gained");
            let enough = (workers * 1_500).min(5_000);
            assert_eq!(judged(workers * 10_000 + enough + 1), None, "after {workers}, enough");
            assert!(judged(workers * 10_000 + enough - 1).is_some(), "after {workers}, not quite enough");
        }
    }

    #[test]
    fn what_is_not_taken_back_is_judged_again() {
        let trials = Trials::new();
        trials.begin(theft(3), at(0), 0);
        assert_eq!(trials.judge(at(300), || 3000), Some(theft(3)));
        trials.begin_again(theft(3), at(320), 3200);
        assert_eq!(trials.judge(at(799), || unreachable!()), None, "not while it is calm");
        assert_eq!(trials.judge(at(800), || 3200 + 4800), Some(theft(3)));
        trials.begin_again(theft(3), at(820), 8200);
        trials.forget();
        assert_eq!(trials.judge(at(9000), || unreachable!()), None, "nothing was left");
    }

    #[test]
    fn dear_messages_are_not_tried() {
        let rate = |nanos: u64| Rate { handled: 1000, time: Duration::from_nanos(1000 * nanos) };
        assert!(rate(20).is_cheap() && rate(63).is_cheap());
        assert!(!rate(65).is_cheap() && !rate(100_000).is_cheap());
        assert!(!Rate { handled: 0, time: MS }.is_cheap());
    }
}
