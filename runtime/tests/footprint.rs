//! What messages take of memory: who counts it, and who is told.
//!
//! The count is the process's, so each case is alone while it runs, and leaves no thread behind.

#[allow(unused_macros, unused_imports, reason = "contracts on several engines are elsewhere")]
mod support;

use cuelight::{Actor, ActorRef, Ask, BuildError, Context, Handler, MemoryUse, System};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{panic, thread};
use support::{Count, Gate, LIMIT, Shared, eventually, quiet_panics};

/// Above what idle pools keep.
const LARGE: u64 = 8 << 20;
/// What threads may not have told yet.
const SLACK: u64 = 1 << 20;

type Page = [u8; 4096];
const PAGE: Page = [7; 4096];
/// So many pages pass the limit.
const PAGES: u64 = 2 * LARGE / 4096;

/// Runs a case on a thread of its own, which has ended before the next one begins.
fn alone(case: impl FnOnce() + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(panic) = thread::spawn(case).join() {
        panic::resume_unwind(panic);
    }
}

fn at_one_and_two_workers(case: fn(usize)) {
    [1, 2].into_iter().for_each(|workers| alone(move || case(workers)));
}

/// Takes what comes, on a thread of its own; counts it.
struct Sink(Count);

impl Actor for Sink {}

impl<const N: usize> Handler<[u64; N]> for Sink {
    type Reply = ();

    fn handle(&mut self, _: [u64; N], _: &mut Context<Self>) {
        self.0.add(1);
    }
}

impl Handler<Page> for Sink {
    type Reply = Page;

    fn handle(&mut self, page: Page, _: &mut Context<Self>) -> Page {
        self.0.add(1);
        page
    }
}

impl Handler<Gate> for Sink {
    type Reply = ();

    fn handle(&mut self, gate: Gate, _: &mut Context<Self>) {
        gate.wait();
    }
}

/// A sink that takes nothing before the gate opens.
fn held(system: &System) -> (ActorRef<Sink>, Count, Gate) {
    let (count, gate) = (Count::default(), Gate::default());
    let counted = count.clone();
    let sink = system.actor(move || Sink(counted.clone())).dedicated_thread().spawn().unwrap();
    sink.tell(gate.clone()).unwrap();
    (sink, count, gate)
}

type Uses = Shared<Vec<MemoryUse>>;

/// A system with an alarm at [`LARGE`], and what it says.
fn alarmed(workers: usize) -> (System, Uses) {
    let uses = Uses::default();
    let kept = uses.clone();
    let hook = move |memory| kept.with(|kept| kept.push(memory));
    (System::builder().workers(workers).memory_alarm(LARGE, hook).build().unwrap(), uses)
}

#[track_caller]
fn reports(uses: &Uses, wanted: &[bool]) {
    eventually("a report", || uses.get().len() >= wanted.len());
    let uses = uses.get();
    assert_eq!(uses.iter().map(|memory| memory.over).collect::<Vec<_>>(), wanted, "{uses:?}");
    for memory in uses {
        assert_eq!(memory.limit, LARGE);
        assert!(if memory.over { memory.bytes > LARGE } else { memory.bytes < LARGE / 4 * 3 }, "{memory}");
    }
}

/// Sends until it is told of, and stays in its handler until it is let go.
struct Flooder(ActorRef<Sink>);

impl Actor for Flooder {}

struct Flood {
    uses: Uses,
    sent: Count,
    leave: Gate,
}

/// Eight times the limit, at 64 bytes each.
const MOST: u64 = LARGE / 8;

impl Handler<Flood> for Flooder {
    type Reply = ();

    fn handle(&mut self, flood: Flood, _: &mut Context<Self>) {
        let mut sent = 0;
        while sent < MOST && flood.uses.get().is_empty() {
            for n in 0..1000 {
                self.0.tell([n; 5]).unwrap();
            }
            sent += 1000;
        }
        flood.sent.add(sent);
        flood.leave.wait();
    }
}

#[test]
fn one_handler_that_floods() {
    at_one_and_two_workers(|workers| {
        let (system, uses) = alarmed(workers);
        let (sink, handled, gate) = held(&system);
        let (sent, leave) = (Count::default(), Gate::default());
        let flooder = system.spawn(Flooder(sink));
        flooder.tell(Flood { uses: uses.clone(), sent: sent.clone(), leave: leave.clone() }).unwrap();
        eventually("a report while it floods", || !uses.get().is_empty());
        reports(&uses, &[true]);
        eventually("the end of the flood", || sent.get() > 0);
        assert!(system.message_bytes() > LARGE, "{}", system.message_bytes());
        // Whoever sends last may hold some back until its handler returns.
        gate.open();
        eventually("nearly all is handled", || handled.get() + 64 >= sent.get());
        reports(&uses, &[true]);
        leave.open();
        // A worker that sleeps gives back what the flood has left.
        reports(&uses, &[true, false]);
        handled.reaches(sent.get());
        system.shutdown(LIMIT).unwrap();
        reports(&uses, &[true, false]);
    });
}

#[test]
fn payloads_in_boxes_are_counted() {
    at_one_and_two_workers(|workers| {
        let (system, uses) = alarmed(workers);
        let (sink, handled, gate) = held(&system);
        let before = system.message_bytes();
        for round in 1..=2 {
            for _ in 0..PAGES {
                sink.tell(PAGE).unwrap();
            }
            let after = system.message_bytes();
            let (least, most) = (before + round * 2 * LARGE - SLACK, before + round * 2 * LARGE + SLACK);
            assert!((least..most).contains(&after), "{before}, {after}");
        }
        reports(&uses, &[true]);
        gate.open();
        reports(&uses, &[true, false]);
        handled.reaches(2 * PAGES);
        // And again.
        let gate = Gate::default();
        sink.tell(gate.clone()).unwrap();
        (0..PAGES).for_each(|_| sink.tell(PAGE).unwrap());
        reports(&uses, &[true, false, true]);
        gate.open();
        reports(&uses, &[true, false, true, false]);
        system.shutdown(LIMIT).unwrap();
    });
}

#[test]
fn requests_and_replies_in_boxes_are_counted() {
    at_one_and_two_workers(|workers| {
        let (system, uses) = alarmed(workers);
        let (sink, handled, gate) = held(&system);
        let asks: Vec<Ask<Page>> = (0..PAGES).map(|_| sink.ask(PAGE)).collect();
        assert!(system.message_bytes() > 2 * LARGE - SLACK, "{}", system.message_bytes());
        gate.open();
        handled.reaches(PAGES);
        // The replies wait for their askers.
        assert!(system.message_bytes() > 2 * LARGE - SLACK, "{}", system.message_bytes());
        reports(&uses, &[true]);
        for (n, ask) in asks.into_iter().enumerate() {
            // Some are taken, some dropped.
            if n % 2 == 0 {
                assert_eq!(ask.wait().unwrap(), PAGE);
            }
        }
        reports(&uses, &[true, false]);
        system.shutdown(LIMIT).unwrap();
    });
}

#[test]
fn nothing_is_left_when_all_threads_have_ended() {
    at_one_and_two_workers(|workers| {
        let system = System::builder().workers(workers).build().unwrap();
        let (before, after) = (system.message_bytes(), (*system).clone());
        let rest = thread::spawn(move || {
            let (sink, _, gate) = held(&system);
            let asks: Vec<Ask<Page>> = (0..100).map(|_| sink.ask(PAGE)).collect();
            for n in 0..10_000 {
                sink.tell([n; 5]).unwrap();
            }
            (0..100).for_each(|_| sink.tell(PAGE).unwrap());
            assert!(system.message_bytes() > before + 10_000 * 64);
            // What is behind the stop meets it in the mailbox, what comes later is refused.
            sink.stop();
            gate.open();
            eventually("the end", || sink.is_stopped());
            sink.tell(PAGE).unwrap_err();
            drop((sink, asks));
            // One thread has told of these, and two that handle them have not.
            let sinks = [held(&system), held(&system)];
            for (sink, handled, gate) in &sinks {
                (0..10).for_each(|_| sink.tell(PAGE).unwrap());
                gate.open();
                handled.reaches(10);
            }
            drop(sinks);
            system.shutdown(LIMIT).unwrap();
        });
        rest.join().unwrap();
        assert_eq!(after.message_bytes(), before);
    });
}

#[test]
fn a_report_that_panics_beside_a_watchdog() {
    quiet_panics();
    at_one_and_two_workers(|workers| {
        let (uses, overruns) = (Uses::default(), Count::default());
        let (kept, counted) = (uses.clone(), overruns.clone());
        let system = System::builder()
            .workers(workers)
            .watchdog(Duration::from_millis(5), move |_| counted.add(1))
            .memory_alarm(LARGE, move |memory| {
                kept.with(|kept| kept.push(memory));
                panic!("meant");
            })
            .build()
            .unwrap();
        let (sink, _, gate) = held(&system);
        (0..PAGES).for_each(|_| sink.tell(PAGE).unwrap());
        reports(&uses, &[true]);
        eventually("an overrun", || overruns.get() > 0);
        gate.open();
        reports(&uses, &[true, false]);
        eventually("its end", || overruns.get() > 1);
        system.shutdown(LIMIT).unwrap();
    });
}

#[test]
fn limits_that_cannot_be_had() {
    alone(|| {
        let build = |limit| System::builder().workers(1).memory_alarm(limit, |_| {}).build();
        for asked in [0, (1 << 20) - 1, u64::MAX] {
            let error = build(asked).unwrap_err();
            assert!(matches!(error, BuildError::MemoryLimit { asked: same, .. } if same == asked), "{error:?}");
            let text = format!("a memory alarm at {asked} bytes: 1048576 to 9223372036854775807 are allowed");
            assert_eq!(error.to_string(), text);
        }
        for allowed in [1 << 20, i64::MAX as u64] {
            build(allowed).unwrap().shutdown(LIMIT).unwrap();
        }
    });
}
