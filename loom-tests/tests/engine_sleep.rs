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
            match self.0.injector.steal_batch_with_limit_and_pop(&Deque::new_fifo(), 1) {
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

/// Who runs first, until it waits. loom keeps only the last access to an atomic: where one thread reads it, and then
/// another one reads and changes it, it does not try the first one's reading last. So each model begins both ways.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Outside,
    Workers,
}

fn both_ways(name: &str, preemptions: usize, f: fn(First)) {
    model(&format!("sleep: {name}; outside first"), preemptions, move || f(First::Outside));
    model(&format!("sleep: {name}; workers first"), preemptions, move || f(First::Workers));
}

/// Runs `workers` threads of `work`, and `outside` on this one.
fn run<S: Send + Sync + 'static>(
    stage: &Arc<S>,
    workers: usize,
    first: First,
    work: fn(&S, usize),
    outside: impl FnOnce(&S),
) {
    let threads: Vec<_> = (0..workers)
        .map(|index| {
            let stage = stage.clone();
            thread::spawn(move || work(&stage, index))
        })
        .collect();
    if first == First::Workers {
        thread::yield_now();
    }
    outside(stage);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// The handshake from outside: a push, and then another, reach a worker that falls asleep. Its last look may find what
/// the pusher is about to wake it for: the wake-up is then consumed, and the second push needs, and gets, its own.
#[test]
fn a_push_reaches_a_worker_that_falls_asleep() {
    both_ways("two pushes from outside, one sleeper", 3, |first| {
        let stage = Arc::new(Stage::new(1, 2));
        run(&stage, 1, first, Stage::work, |stage| {
            stage.inject(1);
            stage.inject(2);
        });
        assert_eq!(stage.sleep.sleeping(), 0, "the worker ended awake");
    });
}

/// As above, with two that fall asleep: one of them has the work, both learn of the end.
#[test]
fn a_push_reaches_one_of_two_that_fall_asleep() {
    both_ways("a push from outside, two sleepers", 2, |first| {
        let stage = Arc::new(Stage::new(2, 1));
        run(&stage, 2, first, Stage::work, |stage| stage.inject(1));
    });
}

/// The last searcher parks while one pushes from outside and another worker has work of its own, which the searcher may
/// steal: each piece is handled once by somebody.
#[test]
fn the_last_searcher_parks_while_one_pushes_and_one_steals() {
    both_ways("the last searcher, a push and a theft", 2, |first| {
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
                stage.work(1);
            })
        };
        run(&stage, 1, first, Stage::work, |stage| stage.inject(2));
        owner.join().unwrap();
        // Ordering: Relaxed: the joins have ordered it.
        assert!(stage.handled[..2].iter().all(|handled| handled.load(Ordering::Relaxed) == 1));
    });
}

/// A chain of wake-ups: a push while one worker searches for an earlier one and the other falls asleep. The handlers wait
/// for each other, so that both workers must be awake at the same time; the second push may have woken nobody because
/// one was searching, and then it is that one's recheck that wakes the other.
#[test]
fn who_finds_work_wakes_the_next() {
    struct Meeting {
        stage: Stage,
        handling: Mutex<usize>,
        both: Condvar,
    }
    both_ways("a chain of wake-ups", 2, |first| {
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
        run(&meeting, 2, first, work, |meeting| meeting.stage.inject(2));
    });
}

/// Two workers, and who of them parks for a tick at a time.
struct Watched {
    stage: Stage,
    ticking: Mutex<[bool; 2]>,
    changed: Condvar,
}

impl Watched {
    fn new() -> Self {
        Self { stage: Stage::new(2, 1), ticking: Mutex::new([false; 2]), changed: Condvar::new() }
    }

    /// A handler that does not return before the other worker sleeps and ticks, as if something waited behind it: a
    /// deadlock if an awake worker and a sleeping other have nobody who ticks.
    fn handle(&self, index: usize) {
        let mut ticking = self.ticking.lock();
        while !ticking[1 - index] {
            ticking = self.changed.wait(ticking);
        }
    }
}

/// A worker that notes when it ticks.
struct Watcher<'a> {
    watched: &'a Watched,
    index: usize,
    /// The last look before its sleep finds something.
    restless: Cell<bool>,
}

impl Watcher<'_> {
    fn ticks(&self, ticks: bool) {
        self.watched.ticking.lock()[self.index] = ticks;
        self.watched.changed.notify_one();
    }
}

impl Seeker for Watcher<'_> {
    type Work = Item;

    fn look(&self) -> Option<Option<Item>> {
        self.ticks(false);
        Finder(&self.watched.stage).look()
    }

    fn in_sight(&self) -> bool {
        if self.restless.take() {
            self.watched.stage.injector.push(self.watched.stage.item(1));
        }
        Finder(&self.watched.stage).in_sight()
    }

    /// Asked before a park with a limit: of the sentinel that ticks, or that rests until the next timer.
    fn until_timer(&self) -> Option<Duration> {
        self.ticks(self.watched.stage.sleep.ticks());
        None
    }
}

fn watch(watched: &Watched, index: usize, restless: bool) {
    let watcher = Watcher { watched, index, restless: Cell::new(restless) };
    while let Some(item) = watched.stage.sleep.search(index, &watcher) {
        watched.stage.handle(&item);
        watched.handle(index);
        watched.stage.handled();
    }
}

/// The sentinel comes to rest while a worker is woken from outside.
#[test]
fn the_sentinel_ticks_while_one_is_awake_and_one_sleeps() {
    both_ways("the sentinel rests, a worker is woken", 2, |first| {
        let watched = Arc::new(Watched::new());
        run(&watched, 2, first, |watched, index| watch(watched, index, false), |watched| watched.stage.inject(1));
    });
}

/// The sentinel comes to rest while a worker gets up by itself, because its last look has found something.
#[test]
fn the_sentinel_does_not_rest_while_one_gets_up() {
    both_ways("the sentinel rests, a worker gets up", 3, |first| {
        let watched = Arc::new(Watched::new());
        run(&watched, 1, first, |watched, _| watch(watched, 1, false), |watched| watch(watched, 0, true));
    });
}

/// The end comes while two workers fall asleep: both learn of it.
#[test]
fn the_end_reaches_those_that_fall_asleep() {
    both_ways("the end against two sleepers", 2, |first| {
        let stage = Arc::new(Stage::new(2, 1));
        run(&stage, 2, first, Stage::work, |stage| stage.sleep.terminate());
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
fn a_timer_reaches_a_sleeper(first: First, later: bool) {
    let stage = Arc::new((Sleep::new(1, 1), Timers::new()));
    if later {
        assert!(stage.1.insert(LATE, LATE).earliest);
    }
    let work = |stage: &(Sleep, Timers<u64>), index| {
        let sleeper = Sleeper { stage, now: Cell::new(0), end: EARLY };
        assert_eq!(stage.0.search(index, &sleeper), Some(vec![EARLY]), "nothing but the early one is due");
    };
    run(&stage, 1, first, work, |(sleep, timers)| {
        assert!(timers.insert(EARLY, EARLY).earliest);
        sleep.notify();
    });
    assert_eq!(stage.1.clear(), if later { vec![LATE] } else { vec![] });
}

#[test]
fn a_timer_reaches_a_sleeper_without_one() {
    both_ways("a timer against the last sleeper", 3, |first| a_timer_reaches_a_sleeper(first, false));
}

#[test]
fn a_timer_reaches_a_sleeper_with_a_later_one() {
    both_ways("an earlier timer against the last sleeper", 3, |first| a_timer_reaches_a_sleeper(first, true));
}
