//! The mailbox by itself: messages are pushed to one actor and handled in its turns, without an engine.
//!
//! - `lone`: one message is pushed and handled, as in a ping-pong; it is never taken out.
//! - `burst`: a thousand are pushed, then all are handled.
//! - `two producers`: two threads push ten thousand each at the same time; when both are done all are handled. Each
//!   round has two barriers, a few percent of it.
//!
//! Beside it `std::sync::mpsc` and crossbeam's `SegQueue`, whose blocks need no allocation per message either; but they
//! schedule no receiver, call no handler, and the latter never closes.
//!
//! Not for: what a send costs in a system, which has counters, held sends and a scheduler besides.

use std::cell::Cell;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use benches as _; // for its allocator
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_queue::SegQueue;
use cuelight::dev_hooks::kernel::System;
use cuelight::{Actor, ActorRef, Context, Handler};

mod ledger;
use ledger::Blank;

const BURST: u64 = 1000;
const PRODUCERS: usize = 2;
const SHARE: u64 = 10_000;
const ROUND: u64 = PRODUCERS as u64 * SHARE;

/// What messages are pushed to by many and taken from by this thread.
trait Queue {
    type Producer: Clone + Send;

    fn producer(&self) -> Self::Producer;

    fn push(to: &Self::Producer, n: u64);

    /// Takes everything; returns the sum.
    fn take(&self) -> u64;
}

thread_local! {
    static SUM: Cell<u64> = const { Cell::new(0) };
}

struct Adder;

struct Item(u64);

impl Actor for Adder {}

impl Handler<Item> for Adder {
    type Reply = ();

    fn handle(&mut self, Item(n): Item, _: &mut Context<Self>) {
        SUM.with(|sum| sum.set(sum.get() + n));
    }
}

struct Ours {
    system: System<Blank>,
    adder: ActorRef<Adder>,
}

impl Ours {
    fn new() -> Self {
        let system = System::new(Blank);
        let adder = system.work(|| system.spawn(Adder, 1));
        Self { system, adder }
    }
}

impl Queue for Ours {
    type Producer = ActorRef<Adder>;

    fn producer(&self) -> ActorRef<Adder> {
        self.adder.clone()
    }

    fn push(to: &ActorRef<Adder>, n: u64) {
        to.tell(Item(n)).expect("the adder runs");
    }

    fn take(&self) -> u64 {
        self.system.run();
        SUM.take()
    }
}

struct Channel(mpsc::Sender<u64>, mpsc::Receiver<u64>);

impl Queue for Channel {
    type Producer = mpsc::Sender<u64>;

    fn producer(&self) -> mpsc::Sender<u64> {
        self.0.clone()
    }

    fn push(to: &mpsc::Sender<u64>, n: u64) {
        to.send(n).expect("the receiver is there");
    }

    fn take(&self) -> u64 {
        self.1.try_iter().sum()
    }
}

struct Segments(Arc<SegQueue<u64>>);

impl Queue for Segments {
    type Producer = Arc<SegQueue<u64>>;

    fn producer(&self) -> Arc<SegQueue<u64>> {
        Arc::clone(&self.0)
    }

    fn push(to: &Arc<SegQueue<u64>>, n: u64) {
        to.push(n);
    }

    fn take(&self) -> u64 {
        std::iter::from_fn(|| self.0.pop()).sum()
    }
}

fn measure<Q: Queue>(c: &mut Criterion, name: &str, queue: &Q) {
    let to = queue.producer();

    let mut group = c.benchmark_group("mailbox: lone");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |b| {
        b.iter(|| {
            Q::push(&to, 1);
            assert_eq!(queue.take(), 1);
        });
    });
    group.finish();

    let mut group = c.benchmark_group("mailbox: burst");
    group.throughput(Throughput::Elements(BURST));
    group.bench_function(name, |b| {
        b.iter(|| {
            (0..BURST).for_each(|_| Q::push(&to, 1));
            assert_eq!(queue.take(), BURST);
        });
    });
    group.finish();

    let mut group = c.benchmark_group("mailbox: two producers");
    group.throughput(Throughput::Elements(ROUND));
    group.bench_function(name, |b| b.iter_custom(|rounds| contend(queue, rounds)));
    group.finish();
}

fn contend<Q: Queue>(queue: &Q, rounds: u64) -> Duration {
    let barrier = Barrier::new(PRODUCERS + 1);
    thread::scope(|scope| {
        for _ in 0..PRODUCERS {
            let (barrier, to) = (&barrier, queue.producer());
            scope.spawn(move || {
                for _ in 0..rounds {
                    barrier.wait();
                    (0..SHARE).for_each(|_| Q::push(&to, 1));
                    barrier.wait();
                }
            });
        }
        let to = queue.producer();
        let begun = Instant::now();
        for _ in 0..rounds {
            // The first message of ours is this thread's, and with it the duty to run the actor.
            Q::push(&to, 1);
            barrier.wait();
            barrier.wait();
            assert_eq!(queue.take(), ROUND + 1);
        }
        begun.elapsed()
    })
}

fn mailbox(c: &mut Criterion) {
    let (sender, receiver) = mpsc::channel();
    measure(c, "ours", &Ours::new());
    measure(c, "std mpsc", &Channel(sender, receiver));
    measure(c, "crossbeam SegQueue", &Segments(Arc::default()));
}

criterion_group!(benches, mailbox);
criterion_main!(benches);
