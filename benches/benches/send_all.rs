//! A batch of 64 messages to one actor, as one `send_all` or as 64 `tell`s: the time until all are handled.
//!
//! - `inside`: the sender is an actor on the same worker.
//! - `outside`: it is a thread that is no worker; after each 64 batches it waits for the receiver.
//!
//! Not for: the time until the first message is handled; batches so large that they leave the caches.

use std::time::Instant;

use benches::{done, end, system, timed};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo};

const BATCH: u64 = 64;
/// Batches from outside that may wait.
const UNANSWERED: u64 = 64;

#[derive(Clone, Copy)]
enum By {
    SendAll,
    Tell,
}

#[derive(Default)]
struct Sink {
    sum: u64,
}

struct Item(u64);

struct Sum;

impl Actor for Sink {}

impl Handler<Item> for Sink {
    type Reply = ();

    fn handle(&mut self, Item(n): Item, _: &mut Context<Self>) {
        self.sum += n;
    }
}

impl Handler<Sum> for Sink {
    type Reply = u64;

    fn handle(&mut self, _: Sum, _: &mut Context<Self>) -> u64 {
        self.sum
    }
}

fn send(sink: &ActorRef<Sink>, by: By) {
    match by {
        By::SendAll => {
            let taken = sink.send_all((0..BATCH).map(Item)).expect("the sink runs");
            assert_eq!(taken as u64, BATCH);
        }
        By::Tell => (0..BATCH).for_each(|n| sink.tell(Item(n)).expect("the sink runs")),
    }
}

struct Source {
    sink: ActorRef<Sink>,
    by: By,
    left: u64,
    asker: Option<ReplyTo<()>>,
}

struct Batches(u64, By, ReplyTo<()>);

struct Next;

impl Actor for Source {}

impl Handler<Batches> for Source {
    type Reply = ();

    fn handle(&mut self, Batches(left, by, asker): Batches, ctx: &mut Context<Self>) {
        self.by = by;
        self.left = left;
        self.asker = Some(asker);
        self.handle(Next, ctx);
    }
}

impl Handler<Next> for Source {
    type Reply = ();

    fn handle(&mut self, _: Next, ctx: &mut Context<Self>) {
        if self.left == 0 {
            return done(&mut self.asker, ());
        }
        self.left -= 1;
        send(&self.sink, self.by);
        // Behind the sink in the queue: it runs when the batch has been handled.
        ctx.me().tell(Next).expect("it runs");
    }
}

fn send_all(c: &mut Criterion) {
    let mut group = c.benchmark_group("send_all");
    group.throughput(Throughput::Elements(BATCH));
    for (name, by) in [("64 at once", By::SendAll), ("64 tells", By::Tell)] {
        let system = system(1);
        let sink = system.spawn(Sink::default());
        let source = system.spawn(Source { sink: sink.clone(), by, left: 0, asker: None });
        group.bench_function(format!("inside, {name}"), |b| {
            b.iter_custom(|batches| timed(|| source.ask_with(|asker| Batches(batches, by, asker))));
        });
        group.bench_function(format!("outside, {name}"), |b| {
            b.iter_custom(|batches| {
                let begun = Instant::now();
                for batch in 1..=batches {
                    send(&sink, by);
                    if batch == batches || batch.is_multiple_of(UNANSWERED) {
                        sink.ask(Sum).wait().expect("the end of the run");
                    }
                }
                begun.elapsed()
            });
        });
        end(&system);
    }
    group.finish();
}

criterion_group!(benches, send_all);
criterion_main!(benches);
