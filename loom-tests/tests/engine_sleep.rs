//! Falling asleep and being woken: `engine::threads::sleep`, with threads of the model as workers.
//!
//! Parks have no time limit in a model (rule R2), so a wake-up that is lost is a deadlock, which loom reports.

use cuelight::dev_hooks::engine::{Seeker, Sleep, Timers};
use cuelight::dev_hooks::sync::atomic::{AtomicUsize, Ordering};
use cuelight::dev_hooks::sync::deque::{Injector, Steal, Stealer, Stored, Word, Worker as Deque};
use cuelight::dev_hooks::sync::{Condvar, Mutex, hint};
use loom_tests::{Arc, model, thread};
use std::cell::Cell;
use std::ptr::{NonNull, without_provenance_mut};
use std::time::Duration;

/// Pieces of work in any of these models, at most.
const ITEMS: usize = 3;

/// A piece of work: a number from 1 on.
#[derive(Debug)]
struct Item(usize);

impl Word for Item {
    fn into_word(self) -> NonNull<()> {
        NonNull::new(without_provenance_mut(self.0)).expect("numbers begin at 1")
    }

    fn from_word(word: Stored<Self>) -> Self {
        Item(word.into_pointer().addr().get())
    }
}

/// What the workers share.
struct Stage {
    sleep: Sleep,
    injector: Injector<Item>,
    stealer: Option<Stealer<Item>>,
    /// Written before the push, read after the take.
    payloads: [AtomicUsize; ITEMS],
    /// How often each was handled.
    handled: [AtomicUsize; ITEMS],
    /// Pieces that are still to be handled; who handles the last one ends everything.
    left: AtomicUsize,
}

impl Stage {
    fn new(workers: usize, items: usize) -> Self {
        Self {
            sleep: Sleep::new(workers, 1),
            injector: Injector::new(),
            stealer: None,
            payloads: std::array::from_fn(|_| AtomicUsize::new(0)),
            handled: std::array::from_fn(|_| AtomicUsize::new(0)),
            left: AtomicUsize::new(items),
        }
    }

    fn item(&self, number: usize) -> Item {
        // Ordering: Relaxed: the queue publishes it, or the model fails.
        self.payloads[number - 1].store(number, Ordering::Relaxed);
        Item(number)
    }

    /// A push from outside.
    fn inject(&self, number: usize) {
        self.injector.push(self.item(number));
        self.sleep.notify();
    }

    fn handle(&self, Item(number): &Item) {
        // Ordering: Relaxed: it came before the push.
        assert_eq!(self.payloads[number - 1].load(Ordering::Relaxed), *number, "the payload did not come along");
        // Ordering: Relaxed, only the number matters.
        assert_eq!(self.handled[number - 1].fetch_add(1, Ordering::Relaxed), 0, "handled twice");
    }

    fn handled(&self) {
        // Ordering: Relaxed, only the number matters.
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.sleep.terminate();
        }
    }

    /// A worker's life.
    fn work(&self, index: usize) {
        let finder = Finder(self);
        while let Some(item) = self.sleep.search(index, &finder) {
            self.handle(&item);
            self.handled();
        }
    }
}

/// Takes what it finds, piece by piece.
struct Finder<'a>(&'a Stage);

impl Seeker for Finder<'_> {
    type Work = Item;

    fn look(&self) -> Option<Option<Item>> {
        if self.0.sleep.is_terminated() {
            return Some(None);
        }
        loop {
            match self.0.injector.steal() {
                Steal::Success(item) => return Some(Some(item)),
                Steal::Empty => break,
                Steal::Retry => hint::spin_loop(),
            }
        }
        self.0.stealer.as_ref().and_then(|stealer| stealer.steal().success().map(Some))
    }

    fn in_sight(&self) -> bool {
        !self.0.injector.is_empty()
    }
}

/// Runs `workers` threads of `work`, and `outside` on this one.
fn run<S: Send + Sync + 'static>(stage: &Arc<S>, workers: usize, work: fn(&S, usize), outside: impl FnOnce(&S)) {
    let threads: Vec<_> = (0..workers)
        .map(|index| {
            let stage = stage.clone();
            thread::spawn(move || work(&stage, index))
        })
        .collect();
    outside(stage);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// The handshake from outside: a push, and then another, reach a worker that falls asleep. Its last look may find what
/// the pusher is about to wake it for: the wake-up is then consumed, and the second push needs, and gets, its own.
#[test]
fn a_push_reaches_a_worker_that_falls_asleep() {
    model("sleep: two pushes from outside, one sleeper", 3, || {
        let stage = Arc::new(Stage::new(1, 2));
        run(&stage, 1, Stage::work, |stage| {
            stage.inject(1);
            stage.inject(2);
        });
        assert_eq!(stage.sleep.sleeping(), 0, "the worker ended awake");
    });
}

/// As above, with two that fall asleep: one of them has the work, both learn of the end.
#[test]
fn a_push_reaches_one_of_two_that_fall_asleep() {
    model("sleep: a push from outside, two sleepers", 2, || {
        let stage = Arc::new(Stage::new(2, 1));
        run(&stage, 2, Stage::work, |stage| stage.inject(1));
    });
}

/// The last searcher parks while one pushes from outside and another worker has work of its own, which the searcher may
/// steal: each piece is handled once by somebody.
#[test]
fn the_last_searcher_parks_while_one_pushes_and_one_steals() {
    model("sleep: the last searcher, a push and a theft", 2, || {
        let deque = Deque::new_fifo();
        let mut stage = Stage::new(2, 2);
        stage.stealer = Some(deque.stealer());
        deque.push(stage.item(1));
        let stage = Arc::new(stage);
        let owner = {
            let stage = stage.clone();
            thread::spawn(move || {
                while let Some(item) = deque.pop() {
                    stage.handle(&item);
                    stage.handled();
                }
                stage.work(0);
            })
        };
        let searcher = {
            let stage = stage.clone();
            thread::spawn(move || stage.work(1))
        };
        stage.inject(2);
        owner.join().unwrap();
        searcher.join().unwrap();
        // Ordering: Relaxed: the joins have ordered it.
        assert!(stage.handled[..2].iter().all(|handled| handled.load(Ordering::Relaxed) == 1));
    });
}

/// A chain of wake-ups: a push while one worker searches for an earlier one and the other falls asleep. The handlers wait for each other, so that both
/// workers must be awake at the same time; the second push may have woken nobody because one was searching, and then it is
/// that one's recheck that wakes the other.
#[test]
fn who_finds_work_wakes_the_next() {
    struct Meeting {
        stage: Stage,
        handling: Mutex<usize>,
        both: Condvar,
    }
    model("sleep: a chain of wake-ups", 2, || {
        let meeting = Arc::new(Meeting { stage: Stage::new(2, 2), handling: Mutex::new(0), both: Condvar::new() });
        let work = |meeting: &Meeting, index| {
            let stage = &meeting.stage;
            let finder = Finder(stage);
            while let Some(item) = stage.sleep.search(index, &finder) {
                stage.handle(&item);
                let mut handling = meeting.handling.lock();
                *handling += 1;
                meeting.both.notify_one();
                while *handling < 2 {
                    handling = meeting.both.wait(handling);
                }
                drop(handling);
                stage.handled();
            }
        };
        meeting.stage.inject(1);
        run(&meeting, 2, work, |meeting| meeting.stage.inject(2));
    });
}

/// The sentinel comes to rest while a worker wakes up. That worker's handler does not return before the other one ticks
/// in its sleep, as if something waited behind it: so never an awake worker, a sleeping other, and nobody who ticks.
#[test]
fn the_sentinel_ticks_while_one_is_awake_and_one_sleeps() {
    struct Watched {
        stage: Stage,
        lock: Mutex<()>,
        changed: Condvar,
    }
    struct Watcher<'a>(&'a Watched);
    impl Seeker for Watcher<'_> {
        type Work = Item;

        fn look(&self) -> Option<Option<Item>> {
            Finder(&self.0.stage).look()
        }

        fn in_sight(&self) -> bool {
            Finder(&self.0.stage).in_sight()
        }

        /// Asked before a park with a limit: of the sentinel that ticks, or that rests until the next timer.
        fn until_timer(&self) -> Option<Duration> {
            drop(self.0.lock.lock());
            self.0.changed.notify_one();
            None
        }
    }
    model("sleep: the sentinel rests, a worker wakes", 2, || {
        let watched = Arc::new(Watched { stage: Stage::new(2, 1), lock: Mutex::new(()), changed: Condvar::new() });
        let work = |watched: &Watched, index| {
            let stage = &watched.stage;
            while let Some(item) = stage.sleep.search(index, &Watcher(watched)) {
                stage.handle(&item);
                let mut guard = watched.lock.lock();
                while !(stage.sleep.sleeping() == 1 && stage.sleep.ticks()) {
                    guard = watched.changed.wait(guard);
                }
                drop(guard);
                stage.handled();
            }
        };
        run(&watched, 2, work, |watched| watched.stage.inject(1));
    });
}

/// The end comes while two workers fall asleep: both learn of it.
#[test]
fn the_end_reaches_those_that_fall_asleep() {
    model("sleep: the end against two sleepers", 2, || {
        let stage = Arc::new(Stage::new(2, 1));
        run(&stage, 2, Stage::work, |stage| stage.sleep.terminate());
        assert!(stage.sleep.is_terminated());
    });
}

const EARLY: u64 = 1_000_000;
const LATE: u64 = 9_000_000;

/// A worker that sleeps on timers, and their time.
struct Sleeper<'a> {
    stage: &'a (Sleep, Timers<u64>),
    now: Cell<u64>,
    /// Until when time passes, while the worker sleeps.
    end: u64,
}

impl Seeker for Sleeper<'_> {
    type Work = Vec<u64>;

    fn look(&self) -> Option<Option<Vec<u64>>> {
        let mut due = Vec::new();
        let count = self.stage.1.poll(self.now.get(), &mut due);
        (count > 0).then_some(Some(due))
    }

    fn in_sight(&self) -> bool {
        self.stage.1.next_deadline().is_some_and(|deadline| deadline <= self.now.get())
    }

    /// Time passes at once: the worker that knows its deadline is woken by itself, in place of the limit of its park.
    fn until_timer(&self) -> Option<Duration> {
        let deadline = self.stage.1.next_deadline()?;
        if deadline <= self.end {
            self.now.set(deadline);
            self.stage.0.wake_one();
        }
        Some(Duration::from_nanos(deadline))
    }
}

/// A timer is set while the only worker falls asleep, without a timer or with a later one: it takes the new one into
/// account, or is woken.
fn a_timer_reaches_a_sleeper(later: bool) {
    let stage = Arc::new((Sleep::new(1, 1), Timers::new()));
    if later {
        assert!(stage.1.insert(LATE, LATE).earliest);
    }
    let work = |stage: &(Sleep, Timers<u64>), index| {
        let sleeper = Sleeper { stage, now: Cell::new(0), end: EARLY };
        assert_eq!(stage.0.search(index, &sleeper), Some(vec![EARLY]), "nothing but the early one is due");
    };
    run(&stage, 1, work, |(sleep, timers)| {
        assert!(timers.insert(EARLY, EARLY).earliest);
        sleep.notify();
    });
    assert_eq!(stage.1.clear(), if later { vec![LATE] } else { vec![] });
}

#[test]
fn a_timer_reaches_a_sleeper_without_one() {
    model("sleep: a timer against the last sleeper", 3, || a_timer_reaches_a_sleeper(false));
}

#[test]
fn a_timer_reaches_a_sleeper_with_a_later_one() {
    model("sleep: an earlier timer against the last sleeper", 3, || a_timer_reaches_a_sleeper(true));
}
