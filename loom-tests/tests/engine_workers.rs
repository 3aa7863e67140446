//! Whole systems: the shipped workers from their first step to their last, with actors.
//!
//! So long a life has too many interleavings for the usual bounds: where two preemptions would take minutes it is one,
//! which leaves some ten thousand. The clock stands still, and no park ends by itself.

use cuelight::dev_hooks::engine::start;
use cuelight::dev_hooks::kernel::leave_thread;
use cuelight::dev_hooks::sync::cell::UnsafeCell;
use cuelight::{Actor, Budget, Context, Handler, SpawnError, StopReason, System};
use loom_tests::model;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What actors have done, counted where loom does not see it, so that counting orders nothing.
#[derive(Default)]
struct Books {
    /// The sum of the numbers handled.
    sum: AtomicUsize,
    started: AtomicUsize,
    stopped: AtomicUsize,
}

/// Adds up.
struct Adder {
    books: Arc<Books>,
    /// Watched by loom: two turns must be ordered.
    state: UnsafeCell<()>,
}

impl Adder {
    fn new(books: &Arc<Books>) -> Self {
        Adder { books: books.clone(), state: UnsafeCell::new(()) }
    }
}

impl Actor for Adder {
    fn started(&mut self, _: &mut Context<Self>) {
        self.state.with_mut(|_| ());
        // Ordering: Relaxed: read after the threads have been joined.
        self.books.started.fetch_add(1, Ordering::Relaxed);
    }

    fn stopped(&mut self, _: &StopReason) {
        self.state.with_mut(|_| ());
        // Ordering: Relaxed: as above.
        self.books.stopped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Handler<usize> for Adder {
    type Reply = usize;

    fn handle(&mut self, number: usize, _: &mut Context<Self>) -> usize {
        self.state.with_mut(|_| ());
        // Ordering: Relaxed: as above.
        self.books.sum.fetch_add(number, Ordering::Relaxed) + number
    }
}

fn begin(workers: usize) -> (System, Arc<Books>) {
    (start(workers, Budget { messages: 4, time: Duration::from_secs(1) }), Arc::default())
}

/// Messages and a shutdown that may overtake them: what is handled is handled in order, the rest is dead-lettered.
fn from_start_to_end(workers: usize, messages: usize, drain: bool) {
    let (system, books) = begin(workers);
    let adder = system.spawn(Adder::new(&books));
    (1..=messages).for_each(|number| adder.tell(number).unwrap());
    if drain {
        adder.drain();
    }
    system.shutdown(Duration::MAX).unwrap();
    let counters = system.counters();
    let handled = counters.handled as usize;
    assert_eq!((counters.in_flight(), counters.live_actors), (0, 0), "{counters}");
    assert_eq!((counters.sent, counters.dead_lettered), (messages as u64, (messages - handled) as u64));
    // Ordering: Relaxed: the joins have ordered them all.
    assert_eq!(books.sum.load(Ordering::Relaxed), (1..=handled).sum(), "handled in order");
    // Ordering: Relaxed: as above.
    assert_eq!((books.started.load(Ordering::Relaxed), books.stopped.load(Ordering::Relaxed)), (1, 1));
    assert!(adder.is_stopped() && adder.tell(3).is_err());
    drop((system, adder));
    leave_thread();
}

#[test]
fn one_worker_from_start_to_end() {
    model("workers: one, from start to end", 2, || from_start_to_end(1, 2, true));
}

#[test]
fn two_workers_from_start_to_end() {
    model("workers: two, from start to end", 1, || from_start_to_end(2, 0, false));
}

/// A worker that may be asleep answers, and the asking thread, which may be parked, gets the answer.
#[test]
fn an_ask_from_outside_is_answered() {
    model("workers: an ask from outside", 1, || {
        let (system, books) = begin(1);
        let adder = system.spawn(Adder::new(&books));
        assert_eq!(adder.ask(5).wait().unwrap(), 5);
        drop((system, adder));
        leave_thread();
    });
}

/// The last handle goes while workers fall asleep, and nobody joins them: the actors are stopped, and the threads end.
#[test]
fn the_last_handle_is_dropped() {
    model("workers: the last handle is dropped", 1, || {
        let (system, books) = begin(2);
        drop(system.spawn(Adder::new(&books)));
        drop(system);
        leave_thread();
    });
}

/// An actor on a thread of its own, which may be asleep, is asked by a thread outside, and sent to while the system shuts down:
/// it answers, each message has one fate, and its thread ends with it.
#[test]
fn a_thread_of_its_own() {
    model("workers: a thread of an actor's own", 1, || {
        let (system, books) = begin(1);
        let own = books.clone();
        let adder = system.actor(move || Adder::new(&own)).dedicated_thread().spawn().unwrap();
        assert_eq!(adder.ask(5).wait(), Ok(5));
        adder.tell(7).unwrap();
        system.shutdown(Duration::MAX).unwrap();
        let counters = system.counters();
        assert_eq!((counters.sent, counters.in_flight(), counters.live_actors), (2, 0, 0), "{counters}");
        // Ordering: Relaxed: the joins have ordered them all.
        assert_eq!(books.sum.load(Ordering::Relaxed), if counters.handled == 2 { 12 } else { 5 });
        // Ordering: Relaxed: as above.
        assert_eq!((books.started.load(Ordering::Relaxed), books.stopped.load(Ordering::Relaxed)), (1, 1));
        drop((system, adder));
        leave_thread();
    });
}

/// The system ends while an actor's own thread waits for it, and its factory has not returned: the thread ends, the end waits for
/// it, and the spawn is refused.
#[test]
fn the_end_before_the_actor_of_a_thread() {
    model("workers: the end comes to a thread that waits for its actor", 2, || {
        let (system, books) = begin(1);
        let inner = system.clone();
        let late = system
            .actor(move || {
                inner.shutdown(Duration::MAX).unwrap();
                Adder::new(&books)
            })
            .dedicated_thread()
            .spawn();
        assert_eq!(late.map(|_| ()), Err(SpawnError::Stopping));
        assert_eq!(system.counters().live_actors, 0);
        drop(system);
        leave_thread();
    });
}
