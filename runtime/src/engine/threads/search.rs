//! What a worker without work does: look, spin, sleep.
//!
//! Promise: it takes from the injector at once; from another worker only what really waits there: a standing queue, or
//! what is stuck behind a handler that does not return.
//!
//! How: CoDel's insight (Nichols and Jacobson 2012) for work stealing. A burst that its worker will have handled within
//! microseconds is cheaper to handle there than to move: every later message would cross between cores. So a thief
//! watches a queue for 50 microseconds, and takes half of it only if it never had less than two actors in that time, or
//! if its worker handled no message in that time. The owner notes when its queue is short: a thief's samples, two
//! microseconds apart, would miss the moment between two bursts. Measured on two cores, against stealing at sight: fan-out in rounds
//! 23 to 36 ns a message instead of 137 to 144, pairs the same.
//!
//! What has cheap messages is taken on trial: see [`super::trial`].
//!
//! Gives up: 50 microseconds, once, before independent actors spread.

use super::sentinel::TICK;
use super::sleep::{Found, Seeker};
use super::trial::{Rate, Theft};
use super::worker::Worker;
use crate::kernel::cell::Runnable;
use crate::kernel::pool;
use crate::sync::MODEL;
use crate::sync::atomic::Ordering;
use crate::sync::deque::Steal;
use crate::sync::hint::spin_loop;
use crate::time::Tick;
use std::cell::Cell;
use std::time::Duration;

/// How long a queue must stand.
const STANDING: Duration = Duration::from_micros(50);
/// Queues shorter than this do not stand.
pub(super) const FEW: usize = 2;
/// Looks at the injector between two looks at the other workers: every look costs the other worker a cache miss, so they
/// come about 2 microseconds apart.
const LOOKS: u32 = if MODEL { 1 } else { 8 };
/// Spin hints between two looks at the injector: about a fifth of a microsecond.
const HINTS: u32 = if MODEL { 1 } else { 16 };
/// Between two looks at what is outside while there is other work, about, at most: when turns are slow, fewer go by.
const LATE: Duration = Duration::from_millis(1);
/// Looks this close to each other may be further apart: reading the clock costs 25 ns.
const SOON: Duration = Duration::from_micros(8);
/// Turns that go by in any case, so that what is here goes on, too.
const LEAST_TURNS: u64 = 4;
/// Turns between two looks at most (the number is tokio's and Go's).
const TURNS: u64 = 61;
/// Of so many looks one reads the clock, at least, while turns are so short that more fit into [`SOON`].
const MOST_LOOKS: u64 = 8;
/// Ticks for which a worker must have been at the same message before a busy one takes from it.
const STUCK_TICKS: u32 = 2;
/// How long a sleeping worker keeps memory that it does not need: the next burst may come soon, and an allocator that has
/// given pages back to the system must have each of them faulted in again. (fanout, one burst of 80 MB after another: 29 ns
/// a message instead of 50.)
const KEEP: Duration = Duration::from_secs(1);
/// Actors that are stolen at most at a time.
pub(super) const STOLEN: usize = 512;

/// When a worker that has work looked up from it.
#[derive(Debug)]
pub(super) struct Outlook {
    looked: Cell<Tick>,
    glanced: Cell<Tick>,
    /// The turns so far, at the last look.
    turn: Cell<u64>,
    /// The turns between two looks.
    turns: Cell<u64>,
    /// The looks for which the clock is read once, and how many of them there have been.
    looks: Cell<u64>,
    done: Cell<u64>,
    /// As the sentinel it has seen something.
    sent: Cell<bool>,
}

impl Outlook {
    pub(super) fn new() -> Self {
        let (looked, glanced) = (Cell::new(Tick(0)), Cell::new(Tick(0)));
        let (looks, done) = (Cell::new(1), Cell::new(0));
        Self { looked, glanced, turn: Cell::new(0), turns: Cell::new(0), looks, done, sent: Cell::new(false) }
    }

    /// Whether it is time to look up, after so many turns.
    #[inline(always)]
    pub(super) fn is_due(&self, turn: u64) -> bool {
        turn.wrapping_sub(self.turn.get()) >= self.turns.get()
    }

    /// A look begins. Returns whether it does without the clock.
    fn begin(&self, turn: u64) -> bool {
        self.turn.set(turn);
        self.done.set(self.done.get() + 1);
        self.done.get() < self.looks.get()
    }

    /// A look at the clock. Chooses how many turns go by before the next look, and how many looks before that at the clock.
    fn look(&self, now: Tick) {
        let spent = now.since(self.looked.replace(now));
        let (turns, looks) = (self.turns.get(), self.looks.get());
        let went = turns * self.done.replace(0);
        if spent > LATE {
            let fitting = u128::from(went) * LATE.as_nanos() / spent.as_nanos();
            self.turns.set(u64::try_from(fitting).unwrap_or(TURNS).clamp(LEAST_TURNS, TURNS));
            self.looks.set(1);
        } else if turns < TURNS && spent < LATE / 8 {
            self.turns.set((turns * 2).clamp(LEAST_TURNS, TURNS));
        } else if turns == TURNS && spent < SOON {
            self.looks.set((looks * 2).min(MOST_LOOKS));
        }
    }
}

/// What a thief has seen of one worker in a window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct View {
    /// How often it had found its queue short, at the beginning.
    drained: u64,
    /// What it had handled, at the beginning.
    handled: u64,
}

/// What the sentinel has seen of one worker at a tick.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Glance {
    turns: u64,
    handled: u64,
    /// For how many ticks the same turn has gone on.
    ticks: u32,
}

impl Worker {
    /// Looks for work until there is some; `None` when the system is over.
    #[cold]
    #[inline(never)]
    pub(super) fn search(&self) -> Option<Runnable> {
        let threads = self.threads();
        threads.remotes[self.index].holder.clear();
        threads.sleep.search(self.index, self)
    }

    /// What must not starve while there is other work: the timers, the injector, and what is stuck at another worker.
    #[cold]
    #[inline(never)]
    pub(super) fn look_outside(&self) -> Option<Runnable> {
        if let Some(runnable) = self.take_back() {
            return Some(runnable);
        }
        let timers = self.core().timers.next_deadline() != Tick::NEVER;
        if self.outlook.begin(self.metrics().activations.read()) && !timers {
            return self.injected();
        }
        let now = self.core().clock.now();
        self.outlook.look(now);
        self.fire_timers();
        self.judge_theft(now);
        self.injected().or_else(|| self.relieve(now))
    }

    /// When nobody is idle: does what the sentinel would do, and takes what waits behind a handler that does not return.
    fn relieve(&self, now: Tick) -> Option<Runnable> {
        let threads = self.threads();
        let counts = threads.sleep.peek();
        if counts.searching + counts.sleeping > 0 || now.since(self.outlook.glanced.get()) < TICK {
            return None;
        }
        self.outlook.glanced.set(now);
        let mut found = None;
        for &victim in &self.victims {
            let (before, now) = self.glance(victim);
            let stuck = now.ticks >= STUCK_TICKS && now.handled == before.handled;
            if found.is_none() && stuck && threads.remotes[victim].holds_up() {
                found = self.steal_from(victim, true);
                // What its handler has woken comes along: that may be what it waits for.
                let remote = &threads.remotes[victim];
                for runnable in [remote.slot.steal(), remote.lingers.steal()].into_iter().flatten() {
                    self.metrics().stolen.add(1);
                    self.deque.push(runnable);
                }
            }
        }
        found
    }

    /// Looks at another worker, ends its batch if it has used up its time, and says what has become of it since the last
    /// look.
    fn glance(&self, victim: usize) -> (Glance, Glance) {
        let threads = self.threads();
        let mut seen = self.seen.borrow_mut();
        seen.resize(threads.remotes.len(), Glance::default());
        let remote = &threads.remotes[victim];
        let metrics = self.core().metrics.worker(victim);
        let before = seen[victim];
        let mut now = Glance { turns: metrics.activations.read(), handled: metrics.handled.read(), ticks: 0 };
        if now.turns == before.turns && remote.holder.get().is_some() {
            now.ticks = before.ticks.saturating_add(1);
            if TICK.saturating_mul(now.ticks) >= self.core().config.budget.time {
                // Ordering: Relaxed: a hint.
                remote.over.store(true, Ordering::Relaxed);
            }
        }
        seen[victim] = now;
        (before, now)
    }

    fn spin(&self) -> Found<Runnable> {
        let threads = self.threads();
        let core = self.core();
        let begin = core.clock.now();
        // What the sentinel has seen need not be anything that waits.
        let sent = self.outlook.sent.take();
        let mut window = begin;
        self.open_window();
        let mut rounds = 0;
        loop {
            if threads.sleep.is_terminated() {
                return Found::Over;
            }
            if let Some(runnable) = self.injected() {
                return Found::Work(runnable);
            }
            rounds += 1;
            if rounds % LOOKS == 0 {
                self.metrics().spins.add(1);
                self.fire_timers();
                // Those whom a timer has woken were queued here.
                if let Some(runnable) = self.remote.slot.take().or_else(|| self.deque.pop()) {
                    return Found::Work(runnable);
                }
                let promising = sent || self.look_at_others();
                let now = core.clock.now();
                let full = now.since(window) >= STANDING;
                if full {
                    if let Some(runnable) = self.steal(now, now.since(window)) {
                        // Ordering: Relaxed: a hint.
                        threads.quiet.store(false, Ordering::Relaxed);
                        return Found::Work(runnable);
                    }
                    // What comes now has nothing to do with the last theft.
                    self.trials.forget();
                    window = now;
                    self.open_window();
                }
                // Without spinning, a window is only seen to its end if something in it looks promising.
                if (full || !promising) && now.since(begin) >= threads.spin {
                    return Found::Nothing;
                }
            }
            for _ in 0..HINTS {
                spin_loop();
            }
        }
    }

    fn open_window(&self) {
        self.handled_before.set(self.handled_by_all());
        let mut views = self.views.borrow_mut();
        views.clear();
        views.extend(self.victims.iter().map(|&victim| {
            let metrics = self.core().metrics.worker(victim);
            View { drained: metrics.drained.read(), handled: metrics.handled.read() }
        }));
    }

    /// Whether anything waits at another worker.
    fn look_at_others(&self) -> bool {
        self.victims.iter().any(|&victim| self.threads().remotes[victim].waiting() > 0)
    }

    /// Takes half of a queue that stood for the time of the window, or of what is stuck.
    fn steal(&self, now: Tick, time: Duration) -> Option<Runnable> {
        let views = self.views.borrow();
        for (&victim, view) in self.victims.iter().zip(views.iter()) {
            let remote = &self.threads().remotes[victim];
            let metrics = self.core().metrics.worker(victim);
            let handled = metrics.handled.read().wrapping_sub(view.handled);
            let stuck = handled == 0;
            let rate = Rate { handled, time };
            let stood = metrics.drained.read() == view.drained && !(rate.is_cheap() && self.trials.is_calm(now));
            let worth = if stuck { remote.holds_up() } else { stood && remote.waiting() >= FEW };
            if !worth {
                continue;
            }
            if let Some(runnable) = self.steal_from(victim, stuck) {
                if !stuck && rate.is_cheap() {
                    let all = self.handled_by_all();
                    let handled = all.wrapping_sub(self.handled_before.get());
                    let by_all = Rate { handled, time };
                    self.trials.begin(Theft { victim, by_victim: rate, by_all }, now, all);
                }
                return Some(runnable);
            }
        }
        None
    }

    /// Takes half of another worker's queue, or, if it is stuck, what its handler has woken.
    fn steal_from(&self, victim: usize, stuck: bool) -> Option<Runnable> {
        let remote = &self.threads().remotes[victim];
        self.metrics().steals_tried.add(1);
        let limit = (remote.stealer.len() / 2).clamp(1, STOLEN);
        let before = self.deque.len();
        // A thief that is beaten to it tries again: whoever beat it has made progress.
        let stolen = loop {
            match remote.stealer.steal_batch_with_limit_and_pop(&self.deque, limit) {
                Steal::Success(runnable) => break Some(runnable),
                Steal::Empty => break None,
                Steal::Retry => {}
            }
        };
        let stolen = match stolen {
            Some(runnable) => Some(runnable),
            None if stuck => remote.slot.steal().or_else(|| remote.lingers.steal()),
            None => None,
        };
        if stolen.is_some() {
            self.metrics().steals_won.add(1);
            // Others may have taken some of ours meanwhile: then it is a guess.
            self.metrics().stolen.add(1 + self.deque.len().saturating_sub(before) as u64);
        }
        stolen
    }

    fn timers_due(&self) -> bool {
        let core = self.core();
        let deadline = core.timers.next_deadline();
        deadline != Tick::NEVER && deadline <= core.clock.now()
    }
}

impl Seeker for Worker {
    type Work = Runnable;

    fn look(&self) -> Found<Runnable> {
        self.spin()
    }

    fn in_sight(&self) -> bool {
        !self.threads().injector.is_empty() || self.timers_due()
    }

    fn until_timer(&self) -> Option<Duration> {
        let core = self.core();
        let deadline = core.timers.next_deadline();
        (deadline != Tick::NEVER).then(|| deadline.since(core.clock.now()))
    }

    fn look_around(&self) -> bool {
        let threads = self.threads();
        // Ordering: Relaxed: a hint.
        threads.quiet.store(false, Ordering::Relaxed);
        let mut reason = false;
        let now = self.core().clock.now();
        let time = now.since(self.outlook.glanced.replace(now));
        let calm = self.trials.is_calm(now);
        for &victim in &self.victims {
            let (before, now) = self.glance(victim);
            let waiting = threads.remotes[victim].waiting();
            let handled = now.handled.wrapping_sub(before.handled);
            let calm = calm && (Rate { handled, time }).is_cheap();
            reason |= (waiting >= FEW && !calm) || (handled == 0 && threads.remotes[victim].holds_up());
        }
        self.outlook.sent.set(reason);
        reason
    }

    fn will_sleep(&self) {
        self.trials.forget();
        if pool::has_excess() {
            if self.tidy_at.get() == Tick::NEVER {
                // A model does not wait for it.
                self.tidy_at.set(if MODEL { Tick(0) } else { self.core().clock.now().after(KEEP) });
            }
            self.tidy();
        }
        self.metrics().parks.add(1);
        // Ordering: Relaxed: a hint, until the sentinel's next tick: what we have not found worth a theft need not wake us.
        self.threads().quiet.store(true, Ordering::Relaxed);
    }

    fn until_tidy(&self) -> Option<Duration> {
        let due = self.tidy_at.get();
        (due != Tick::NEVER).then(|| due.since(self.core().clock.now()))
    }

    fn tidy(&self) {
        let due = self.tidy_at.get();
        if due != Tick::NEVER && due <= self.core().clock.now() {
            self.tidy_at.set(Tick::NEVER);
            pool::trim();
        }
    }

    fn has_woken(&self) {
        self.metrics().wakes.add(1);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn turns_that_become_slow_are_few() {
        let outlook = Outlook::new();
        let (mut turn, mut looked, mut clock) = (0, 0, 0);
        while turn < 100_000 || looked < turn {
            turn += 1;
            if outlook.is_due(turn) {
                looked = turn;
                if !outlook.begin(turn) {
                    outlook.look(Tick(10 * turn));
                    clock += 1;
                }
            }
        }
        assert!(clock < turn / 400, "{clock} readings of the clock in {turn} turns");
        // However long the next turns are, whoever waits outside waits for no more than these.
        let due = (1..).find(|more| outlook.is_due(turn + more));
        assert!(due.is_some_and(|more| more <= TURNS), "{due:?}");
    }
}
