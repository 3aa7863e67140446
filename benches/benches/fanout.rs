//! One source sends to a thousand sinks, and sends itself the next round: the time of a round.
//!
//! No two sends in a row have the same receiver, and most sinks are idle, so each send schedules an actor. The run ends
//! when each sink has answered its last message.
//!
//! Not for: chains of sends to one receiver; all rounds in one burst, which `perf` has.

use benches::{done, end, system, timed};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo};

const SINKS: usize = 1000;

#[derive(Default)]
struct Sink {
    seen: u64,
}

struct Item(Option<ActorRef<Source>>);

impl Actor for Sink {}

impl Handler<Item> for Sink {
    type Reply = ();

    fn handle(&mut self, Item(last): Item, _: &mut Context<Self>) {
        self.seen += 1;
        if let Some(source) = last {
            source.tell(Done(self.seen)).expect("the source runs");
            self.seen = 0;
        }
    }
}

struct Source {
    sinks: Vec<ActorRef<Sink>>,
    rounds: u64,
    left: u64,
    missing: usize,
    asker: Option<ReplyTo<()>>,
}

struct Rounds(u64, ReplyTo<()>);

struct Round;

struct Done(u64);

impl Actor for Source {}

impl Handler<Rounds> for Source {
    type Reply = ();

    fn handle(&mut self, Rounds(rounds, asker): Rounds, ctx: &mut Context<Self>) {
        self.rounds = rounds;
        self.left = rounds;
        self.missing = self.sinks.len();
        self.asker = Some(asker);
        self.handle(Round, ctx);
    }
}

impl Handler<Round> for Source {
    type Reply = ();

    fn handle(&mut self, _: Round, ctx: &mut Context<Self>) {
        self.left -= 1;
        let last = (self.left == 0).then(|| ctx.me());
        for sink in &self.sinks {
            sink.tell(Item(last.clone())).expect("the sink runs");
        }
        if self.left > 0 {
            ctx.me().tell(Round).expect("it runs");
        }
    }
}

impl Handler<Done> for Source {
    type Reply = ();

    fn handle(&mut self, Done(seen): Done, _: &mut Context<Self>) {
        assert_eq!(seen, self.rounds);
        self.missing -= 1;
        if self.missing == 0 {
            done(&mut self.asker, ());
        }
    }
}

fn fanout(c: &mut Criterion) {
    let mut group = c.benchmark_group("fanout");
    group.throughput(Throughput::Elements(SINKS as u64));
    for (name, workers) in [("one worker", 1), ("two workers", 2)] {
        let system = system(workers);
        let sinks = (0..SINKS).map(|_| system.spawn(Sink::default())).collect();
        let source = system.spawn(Source { sinks, rounds: 0, left: 0, missing: 0, asker: None });
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| timed(|| source.ask_with(|asker| Rounds(rounds, asker))));
        });
        end(&system);
    }
    group.finish();
}

criterion_group!(benches, fanout);
criterion_main!(benches);
