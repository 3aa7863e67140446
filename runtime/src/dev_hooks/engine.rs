//! The engine's parts: parking, sleep, the sentinel, timers, the slot, workers, their beginning and their end.
#![allow(
    missing_docs,
    clippy::must_use_candidate,
    clippy::new_without_default,
    reason = "each name is that of the part it wraps"
)]

use crate::engine::config::{Budget, Idle};
use crate::engine::core::{Core, Plan};
use crate::engine::report::Report;
use crate::engine::threads::Threads;
use crate::engine::threads::shutdown::Leaving;
use crate::engine::threads::sleep;
use crate::kernel::cell::Runnable;
use crate::sync::deque::Worker as Deque;
use crate::sync::thread::JoinHandle;
use crate::sync::{gate, park};
use crate::system::System;
use crate::time::{Clock, Driver, Key, Tick};
use std::time::Duration;

/// `sync::park::Parker`.
pub struct Parker(park::Parker);

impl Parker {
    pub fn new() -> Self {
        Self(park::Parker::new())
    }

    pub fn try_take(&self) -> bool {
        self.0.try_take()
    }

    pub fn park(&self) -> bool {
        self.0.park(None)
    }

    pub fn park_timeout(&self, timeout: Duration) -> bool {
        self.0.park(Some(timeout))
    }

    pub fn unpark(&self) {
        self.0.unpark();
    }
}

/// `engine::threads::sleep::Seeker`.
pub trait Seeker {
    type Work;
    /// `Some(None)` is the end.
    fn look(&self) -> Option<Option<Self::Work>>;
    fn in_sight(&self) -> bool;
    fn look_around(&self) -> bool {
        false
    }
    fn until_timer(&self) -> Option<Duration> {
        None
    }
}

struct Adapter<'a, S>(&'a S);

impl<S: Seeker> sleep::Seeker for Adapter<'_, S> {
    type Work = S::Work;

    fn look(&self) -> sleep::Found<S::Work> {
        match self.0.look() {
            Some(Some(work)) => sleep::Found::Work(work),
            Some(None) => sleep::Found::Over,
            None => sleep::Found::Nothing,
        }
    }

    fn in_sight(&self) -> bool {
        self.0.in_sight()
    }

    fn look_around(&self) -> bool {
        self.0.look_around()
    }

    fn until_timer(&self) -> Option<Duration> {
        self.0.until_timer()
    }
}

/// `engine::threads::sleep::Sleep`.
pub struct Sleep(sleep::Sleep);

impl Sleep {
    pub fn new(workers: usize, searchers: usize) -> Self {
        Self(sleep::Sleep::new(workers, searchers))
    }

    pub fn search<S: Seeker>(&self, index: usize, seeker: &S) -> Option<S::Work> {
        self.0.search(index, &Adapter(seeker))
    }

    pub fn notify(&self) {
        self.0.notify();
    }

    pub fn wake_one(&self) -> bool {
        self.0.wake_one()
    }

    pub fn terminate(&self) {
        self.0.terminate();
    }

    pub fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }

    pub fn ticks(&self) -> bool {
        self.0.ticks()
    }

    pub fn sleeping(&self) -> usize {
        self.0.peek().sleeping
    }

    pub fn searching(&self) -> usize {
        self.0.peek().searching
    }
}

/// `engine::threads::sentinel::Sentinel`.
pub struct Sentinel(sleep::Sentinel);

impl Sentinel {
    pub fn new() -> Self {
        Self(sleep::Sentinel::new())
    }

    pub fn take(&self, index: usize) -> bool {
        self.0.take(index)
    }

    pub fn rest(&self, index: usize) {
        self.0.rest(index);
    }

    pub fn leave(&self, index: usize) {
        self.0.leave(index);
    }

    pub fn is(&self, index: usize) -> bool {
        self.0.is(index)
    }

    pub fn ticks(&self) -> bool {
        self.0.ticks()
    }
}

/// `time::Driver`.
pub struct Timers<T>(Driver<T>);

/// `time::Inserted`.
pub struct Timer {
    pub key: TimerKey,
    pub earliest: bool,
}

/// `time::Key`.
#[derive(Clone, Copy)]
pub struct TimerKey(Key);

impl<T> Timers<T> {
    pub fn new() -> Self {
        Self(Driver::new())
    }

    pub fn insert(&self, deadline: u64, value: T) -> Timer {
        let inserted = self.0.insert(Tick(deadline), value);
        Timer { key: TimerKey(inserted.key), earliest: inserted.earliest }
    }

    pub fn cancel(&self, key: TimerKey) -> Option<T> {
        self.0.cancel(key.0)
    }

    pub fn poll(&self, now: u64, due: &mut Vec<T>) -> usize {
        self.0.poll(Tick(now), due)
    }

    pub fn next_deadline(&self) -> Option<u64> {
        let deadline = self.0.next_deadline();
        (deadline != Tick::NEVER).then_some(deadline.0)
    }

    pub fn clear(&self) -> Vec<T> {
        self.0.clear()
    }
}

/// `sync::gate`.
#[derive(Clone)]
pub struct Pass(#[allow(dead_code, reason = "its drop is what matters")] gate::Pass);

pub fn gate() -> (Pass, impl FnOnce()) {
    let (pass, wait) = gate::gate();
    (Pass(pass), wait)
}

/// `engine::threads::Threads`, as far as it is about the threads' end.
pub struct Crew(Threads, Clock);

impl Crew {
    pub fn new(workers: usize) -> Self {
        let deques: Vec<Deque<Runnable>> = (0..workers).map(|_| Deque::new_fifo()).collect();
        Self(Threads::new(&deques, Duration::ZERO, false), Clock::simulated())
    }

    /// To be dropped at a worker's end.
    pub fn leaving(&self) -> impl Drop {
        Leaving(&self.0)
    }

    pub fn keep(&self, handles: Vec<JoinHandle<()>>) {
        self.0.keep(handles);
    }

    pub fn never_began(&self, count: usize) {
        self.0.never_began(count);
    }

    pub fn join(&self) -> bool {
        self.0.join(&self.1, Tick::NEVER).is_ok()
    }
}

/// A whole system on a clock that stands still. Its workers sleep as soon as they find nothing, and are not pinned.
pub fn start(workers: usize, budget: Budget) -> System {
    System::start(Core::start(plan(workers, budget, Idle::Park), Clock::simulated()).expect("threads can be made"))
}

/// A whole system on the clock of the machine, or of the model if that has one.
pub fn start_in_time(workers: usize, budget: Budget, idle: Idle) -> System {
    System::start(Core::start(plan(workers, budget, idle), Clock::real()).expect("threads can be made"))
}

fn plan(workers: usize, budget: Budget, idle: Idle) -> Plan {
    let others = |me| (1..workers).map(|step| (me + step) % workers).collect();
    Plan {
        name: "model".to_owned(),
        budget,
        idle,
        watchdog: None,
        alarm: None,
        report: Report::default(),
        victims: (0..workers).map(others).collect(),
        crowded: false,
    }
}
