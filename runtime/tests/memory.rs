//! Much of one thing: long mailboxes, long chains, many asks. All of it is dropped, once, and on small stacks.

#[path = "support/mod.rs"]
#[allow(unused_macros, unused_imports, reason = "contracts on several engines are elsewhere")]
mod support;

use cuelight::{Actor, ActorRef, AskError, Context, Handler, System};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use support::stage::end;
use support::{Count, Counted, Gate, eventually, is_full, scale, scaled};

/// One after the other: each takes hundreds of megabytes.
static MEMORY: Mutex<()> = Mutex::new(());

/// Runs `f` on a thread whose stack would not hold a thousand frames.
fn on_a_small_stack<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let thread = thread::Builder::new().stack_size(64 << 10).spawn(f).expect("a thread");
    thread.join().expect("no panic")
}

fn system(workers: usize) -> System {
    System::builder().workers(workers).build().expect("a system")
}

/// Takes what comes, answers some of it in kind, and waits when it is told to.
struct Sink;

impl Actor for Sink {}

impl Handler<Counted> for Sink {
    type Reply = Counted;

    fn handle(&mut self, payload: Counted, _: &mut Context<Self>) -> Counted {
        Counted(payload.0.clone())
    }
}

impl Handler<ActorRef<Sink>> for Sink {
    type Reply = ();

    fn handle(&mut self, _: ActorRef<Sink>, _: &mut Context<Self>) {}
}

struct Hold {
    inside: Gate,
    release: Gate,
}

impl Handler<Hold> for Sink {
    type Reply = ();

    fn handle(&mut self, hold: Hold, _: &mut Context<Self>) {
        hold.inside.open();
        hold.release.wait();
    }
}

/// Sends a sink into a handler that returns when the gate is opened.
fn hold(sink: &ActorRef<Sink>) -> Gate {
    let (inside, release) = (Gate::default(), Gate::default());
    assert!(sink.tell(Hold { inside: inside.clone(), release: release.clone() }).is_ok());
    inside.wait();
    release
}

/// Messages that are sent at once.
const CHUNK: u64 = 1000;

fn a_long_mailbox(workers: usize, messages: u64) {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let (system, drops) = (system(workers), Count::default());
    let sink = system.spawn(Sink);
    let release = hold(&sink);
    let (filled, payload) = (sink.clone(), drops.clone());
    on_a_small_stack(move || {
        for _ in 0..messages / CHUNK {
            let chunk = (0..CHUNK).map(|_| Counted(payload.clone()));
            assert!(filled.send_all(chunk).is_ok());
        }
    });
    assert_eq!((drops.get(), system.counters().in_flight()), (0, messages));
    sink.stop();
    release.open();
    eventually("the sink has ended", || system.counters().live_actors == 0);
    assert_eq!(drops.get(), messages);
    let counters = end(&system);
    assert_eq!((counters.handled, counters.dead_lettered), (1, messages), "{counters}");
    assert_eq!(drops.get(), messages);
}

#[test]
fn a_long_mailbox_is_dropped_on_1_worker() {
    a_long_mailbox(1, scaled(1_000_000, 100_000) / CHUNK * CHUNK);
}

#[test]
fn a_long_mailbox_is_dropped_on_2_workers() {
    a_long_mailbox(2, if scale() > 1 { 1_000_000 } else { 10_000_000 });
}

/// Holds the only address of the next one.
struct Link {
    next: Option<ActorRef<Link>>,
    /// Stops the next one as it ends.
    passes_on: bool,
    #[allow(dead_code, reason = "its drop is what matters")]
    counted: Counted,
}

impl Actor for Link {
    fn stopped(&mut self, _: &cuelight::StopReason) {
        if let (true, Some(next)) = (self.passes_on, &self.next) {
            next.stop();
        }
    }
}

/// Returns the address of the first.
fn chain(system: &System, length: u64, passes_on: bool, drops: &Count) -> ActorRef<Link> {
    let mut next = None;
    for _ in 0..length {
        next = Some(system.spawn(Link { next, passes_on, counted: Counted(drops.clone()) }));
    }
    next.expect("a chain has a link")
}

#[test]
fn a_chain_that_is_shut_down_is_dropped_in_any_order() {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let length = scaled(1_000_000, 100_000);
    on_a_small_stack(move || {
        let (system, drops) = (system(2), Count::default());
        let first = chain(&system, length, false, &drops);
        end(&system);
        drops.reaches(length);
        assert!(first.is_stopped());
    });
}

#[test]
fn a_chain_ends_from_link_to_link() {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let length = scaled(1_000_000, 100_000);
    on_a_small_stack(move || {
        let (system, drops) = (system(2), Count::default());
        let first = chain(&system, length, true, &drops);
        first.stop();
        drop(first);
        eventually("all have ended", || system.counters().live_actors == 0);
        drops.reaches(length);
        end(&system);
    });
}

#[test]
fn a_system_with_a_chain_is_dropped() {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let length = scaled(100_000, 10_000);
    on_a_small_stack(move || {
        let drops = Count::default();
        drop(chain(&system(2), length, false, &drops));
        drops.reaches(length);
    });
}

/// Has one child, which has one child, and so on.
struct Ancestor {
    generations: u64,
    born: Count,
    #[allow(dead_code, reason = "its drop is what matters")]
    counted: Counted,
}

impl Actor for Ancestor {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.born.add(1);
        if let Some(generations) = self.generations.checked_sub(1) {
            let counted = Counted(self.counted.0.clone());
            ctx.spawn(Ancestor { generations, born: self.born.clone(), counted });
        }
    }
}

#[test]
fn a_long_line_of_descendants_ends() {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let generations = scaled(100_000, 10_000);
    on_a_small_stack(move || {
        for drains in [false, true] {
            let (system, born, drops) = (system(2), Count::default(), Count::default());
            let counted = Counted(drops.clone());
            let first = system.spawn(Ancestor { generations: generations - 1, born: born.clone(), counted });
            born.reaches(generations);
            if drains {
                first.drain();
            } else {
                first.stop();
            }
            eventually("all have ended", || system.counters().live_actors == 0);
            drops.reaches(generations);
            end(&system);
        }
    });
}

/// Addresses of actors that have ended; nobody else has them.
fn ended(system: &System, count: u64) -> Vec<ActorRef<Sink>> {
    let before = system.counters().live_actors;
    let actors: Vec<_> = (0..count).map(|_| system.spawn(Sink)).collect();
    actors.iter().for_each(ActorRef::stop);
    eventually("all have ended", || system.counters().live_actors == before);
    actors
}

#[test]
fn messages_free_the_cells_of_ended_actors() {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let count = scaled(100_000, 10_000);
    on_a_small_stack(move || {
        let system = system(2);
        let sink = system.spawn(Sink);
        // By a handler, by the end of a mailbox, and here, by the drop of what is refused.
        sink.send_all(ended(&system, count)).expect("running");
        eventually("all are handled", || system.counters().in_flight() == 0);
        let (held, queued) = (hold(&sink), ended(&system, count));
        sink.send_all(queued).expect("running");
        sink.stop();
        held.open();
        eventually("the sink has ended", || system.counters().live_actors == 0);
        let refused = sink.send_all(ended(&system, count)).expect_err("it has ended");
        assert_eq!(refused.into_messages().len() as u64, count);
        drop(sink.send_all(ended(&system, count)));
        // The last address of a sink that holds the last address of a sink: each as a message to the next.
        let mut inner = system.spawn(Sink);
        for _ in 0..count {
            let outer = system.spawn(Sink);
            outer.tell(inner).expect("running");
            inner = outer;
        }
        drop(inner);
        let counters = end(&system);
        assert_eq!(counters.dead_lettered + counters.handled, 1 + 3 * count, "{counters}");
        assert_eq!(counters.returned, 2 * count, "{counters}");
    });
}

/// `count` asks: half of them dropped at once, a quarter without time, a quarter waited for. Returns how many of the last but
/// one came in time.
fn asks(sink: &ActorRef<Sink>, count: u64, payloads: &Count, waits: bool) -> u64 {
    let mut in_time = 0;
    for n in 0..count {
        let ask = sink.ask(Counted(payloads.clone()));
        match n % 4 {
            0 | 1 => drop(ask),
            2 => match ask.timeout(Duration::ZERO).wait() {
                Ok(_) => in_time += 1,
                Err(error) => assert_eq!(error, AskError::Timeout),
            },
            _ if waits => assert!(ask.wait().is_ok()),
            _ => drop(ask),
        }
    }
    in_time
}

#[test]
fn asks_leave_nothing_behind() {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let some = scaled(if cfg!(debug_assertions) { 100_000 } else { 1_000_000 }, 10_000);
    let count = if is_full() { 10_000_000 } else { some } / 4 * 4;
    on_a_small_stack(move || {
        for workers in [1, 2] {
            let (system, drops) = (system(workers), Count::default());
            let sink = system.spawn(Sink);
            // With a sink that is busy, everything is late.
            let release = hold(&sink);
            let early = asks(&sink, count / 2, &drops, false);
            release.open();
            eventually("all are handled", || system.counters().in_flight() == 0);
            eventually("all replies have come", || system.counters().late_replies == count / 2);
            assert_eq!(early, 0);
            drops.reaches(count);
            // In a race with the sink, nothing is lost all the same.
            let in_time = asks(&sink, count / 2, &drops, true);
            let counters = end(&system);
            drops.reaches(2 * count);
            assert_eq!((counters.handled, counters.dead_lettered), (1 + count, 0), "{counters}");
            let late = counters.late_replies - count / 2;
            let most = count / 4 + count / 8 - in_time;
            assert!(late <= most, "{late} late, {most} at most");
            assert_eq!(counters.in_flight(), 0, "{counters}");
            println!("{workers} workers: {count} asks, {late} of {most} late in the race, {in_time} in no time");
        }
    });
}
