//! Between two pieces of work: searching, falling asleep, waking each other, and the end.
//!
//! Promise: what was published before [`Sleep::notify`] is found by somebody, whoever falls asleep at that moment; while
//! some worker is awake and another one sleeps, the sentinel ticks; everybody learns of the end.
//!
//! How: [`Idle`] counts, the [`Parker`]s hold the threads, the [`Sentinel`] is a role among those that sleep. Here they are
//! composed; what a worker does meanwhile is behind [`Seeker`], so that models run the very steps without workers.
//! `README.md` beside this file has the protocol with its proof.
//!
//! Gives up: order. A sleeper is woken because something was published, and may find something else first.

use super::idle::{Counts, Idle};
use super::sentinel::{LINGER, TICK};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::park::Parker;
use crossbeam_utils::CachePadded;
use std::time::Duration;

pub(crate) use super::sentinel::Sentinel;

/// What a search comes to.
pub(crate) enum Found<W> {
    Work(W),
    Nothing,
    Over,
}

/// A worker without work, as the protocol sees it.
pub(crate) trait Seeker {
    type Work;
    /// Looks for work, for as long as that pays; also whether the end has come.
    fn look(&self) -> Found<Self::Work>;
    /// Whether there is something to do that anybody may do: what is injected, and timers that are due.
    fn in_sight(&self) -> bool;
    /// The sentinel's look at the others. Returns whether there is reason to get up.
    fn look_around(&self) -> bool;
    /// How long until the first timer, if there is one.
    fn until_timer(&self) -> Option<Duration>;
    /// It is about to announce its sleep.
    fn will_sleep(&self) {}
    /// How long until [`Seeker::tidy`] has something to do, if it has.
    fn until_tidy(&self) -> Option<Duration> {
        None
    }
    /// It has slept for a while: gives back what it does not need, if it is time.
    fn tidy(&self) {}
    /// It has woken another one.
    fn has_woken(&self) {}
}

/// The sleep of all workers of a system.
pub(crate) struct Sleep {
    idle: CachePadded<Idle>,
    sentinel: CachePadded<Sentinel>,
    parkers: Box<[CachePadded<Parker>]>,
    terminated: AtomicBool,
    /// Workers that may search at a time.
    searchers: usize,
}

impl Sleep {
    pub(crate) fn new(workers: usize, searchers: usize) -> Self {
        Self {
            idle: CachePadded::new(Idle::new()),
            sentinel: CachePadded::new(Sentinel::new()),
            parkers: (0..workers).map(|_| CachePadded::new(Parker::new())).collect(),
            terminated: AtomicBool::new(false),
            searchers,
        }
    }

    /// Who searches and who sleeps: a look that decides nothing by itself.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Counts {
        self.idle.peek()
    }

    /// Whether the sentinel ticks.
    #[cfg(feature = "dev-hooks")]
    pub(crate) fn ticks(&self) -> bool {
        self.sentinel.ticks()
    }

    /// Something was published that any worker may have to act on: wakes one unless somebody searches.
    pub(crate) fn notify(&self) {
        if let Some(index) = self.idle.notify(self.sentinel.holder()) {
            self.parkers[index].unpark();
        }
    }

    /// Wakes a sleeper, if there is one, whoever searches.
    pub(crate) fn wake_one(&self) -> bool {
        let Some(index) = self.idle.rouse(self.sentinel.holder()) else { return false };
        self.parkers[index].unpark();
        true
    }

    /// Ends all workers once they find nothing to do.
    pub(crate) fn terminate(&self) {
        // Ordering: Release: who sees it has seen what came before the end. The unparks below reach every sleeper, and one that
        // is about to sleep finds its token.
        self.terminated.store(true, Ordering::Release);
        for parker in &self.parkers {
            parker.unpark();
        }
    }

    /// Whether the workers have been told to end.
    pub(crate) fn is_terminated(&self) -> bool {
        // Ordering: Acquire pairs with the Release in `terminate`.
        self.terminated.load(Ordering::Acquire)
    }

    /// Looks for work until there is some; `None` when all is over.
    pub(crate) fn search<S: Seeker>(&self, index: usize, seeker: &S) -> Option<S::Work> {
        let mut counted = self.idle.begin_search(self.searchers);
        loop {
            if counted {
                match seeker.look() {
                    Found::Work(work) => {
                        // Whoever relied on our search while we still searched is served by the recheck.
                        if self.idle.end_search() && seeker.in_sight() && self.wake_one() {
                            seeker.has_woken();
                        }
                        return Some(work);
                    }
                    Found::Over => return None,
                    Found::Nothing => {}
                }
            }
            self.sleep(index, counted, seeker);
            counted = true;
        }
    }

    /// Sleeps until roused. Counts as searching afterwards.
    fn sleep(&self, index: usize, counted: bool, seeker: &impl Seeker) {
        seeker.will_sleep();
        if counted {
            self.idle.fall_asleep(index);
        } else {
            self.idle.fall_asleep_uncounted(index);
        }
        let parker = &self.parkers[index];
        let mut lingered = 0;
        let mut work = self.is_terminated() || seeker.in_sight();
        while !work {
            let times = [self.sleep_time(index, &mut lingered, seeker), seeker.until_tidy()];
            if parker.park(times.into_iter().flatten().min()) {
                self.woken(index, seeker);
                return;
            }
            seeker.tidy();
            work = seeker.in_sight() || (self.sentinel.is(index) && seeker.look_around());
        }
        if !self.idle.rouse_self(index) {
            // Somebody has roused us already: its token is on the way.
            while !parker.park(None) {}
        }
        self.woken(index, seeker);
    }

    /// Sees to it that somebody ticks, now that we are awake and others may sleep.
    fn woken(&self, index: usize, seeker: &impl Seeker) {
        self.sentinel.leave(index);
        // The fence of the first comes before both looks: after `leave`, we see a sleeper, or it sees that we have left.
        if self.sentinel.is_missing() && self.idle.peek().sleeping > 0 && self.wake_one() {
            seeker.has_woken();
        }
    }

    /// How long to park: a tick for the sentinel, else until somebody comes.
    fn sleep_time(&self, index: usize, lingered: &mut u32, seeker: &impl Seeker) -> Option<Duration> {
        let all = self.parkers.len();
        loop {
            let asleep = self.idle.peek().sleeping >= all;
            if !asleep {
                *lingered = 0;
            }
            if !self.sentinel.take(index) {
                return None;
            }
            if !asleep || (all > 1 && *lingered < LINGER) {
                *lingered += u32::from(asleep);
                return Some(seeker.until_timer().map_or(TICK, |time| time.min(TICK)));
            }
            self.sentinel.rest(index);
            // Whoever has woken before it could see us rest relies on the tick.
            if self.idle.peek().sleeping >= all {
                return seeker.until_timer();
            }
        }
    }
}
