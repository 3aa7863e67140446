//! Eight sources send bursts of a thousand to one counter: the time of such a round.
//!
//! The counter starts the next round when it has everything, so at most eight thousand messages wait. The sends of a
//! burst have one receiver, so they go in chains.
//!
//! Not for: a backlog larger than the caches, or senders that never pause; `perf` has both.

use benches::{done, end, system, timed};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo};

const SOURCES: usize = 8;
const BURST: u64 = 1000;
const ROUND: u64 = SOURCES as u64 * BURST;

struct Source;

struct Burst(ActorRef<Counter>);

impl Actor for Source {}

impl Handler<Burst> for Source {
    type Reply = ();

    fn handle(&mut self, Burst(counter): Burst, _: &mut Context<Self>) {
        (0..BURST).for_each(|_| counter.tell(One).expect("the counter runs"));
    }
}

struct Counter {
    sources: Vec<ActorRef<Source>>,
    seen: u64,
    rounds: u64,
    asker: Option<ReplyTo<u64>>,
}

struct Rounds(u64, ReplyTo<u64>);

struct One;

impl Counter {
    fn next(&mut self, ctx: &mut Context<Self>) {
        if self.rounds == 0 {
            return done(&mut self.asker, self.seen);
        }
        self.rounds -= 1;
        for source in &self.sources {
            source.tell(Burst(ctx.me())).expect("the source runs");
        }
    }
}

impl Actor for Counter {}

impl Handler<Rounds> for Counter {
    type Reply = ();

    fn handle(&mut self, Rounds(rounds, asker): Rounds, ctx: &mut Context<Self>) {
        self.rounds = rounds;
        self.asker = Some(asker);
        self.next(ctx);
    }
}

impl Handler<One> for Counter {
    type Reply = ();

    fn handle(&mut self, _: One, ctx: &mut Context<Self>) {
        self.seen += 1;
        if self.seen.is_multiple_of(ROUND) {
            self.next(ctx);
        }
    }
}

fn fanin(c: &mut Criterion) {
    let mut group = c.benchmark_group("fanin");
    group.throughput(Throughput::Elements(ROUND));
    for (name, workers) in [("one worker", 1), ("two workers", 2)] {
        let system = system(workers);
        let sources = (0..SOURCES).map(|_| system.spawn(Source)).collect();
        let counter = system.spawn(Counter { sources, seen: 0, rounds: 0, asker: None });
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| timed(|| counter.ask_with(|asker| Rounds(rounds, asker))));
        });
        end(&system);
    }
    group.finish();
}

criterion_group!(benches, fanin);
criterion_main!(benches);
