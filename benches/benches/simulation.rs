//! Simulation on one core: the time of one handled message, and of one short run.
//!
//! - `message`: a hundred tokens go round a ring of a thousand simulated actors; each step is one hop.
//! - `short run`: make a simulation of 20 actors, handle 200 messages, end it: what `explore` does for a seed.
//!
//! Not for: what actors do besides; large numbers of runnable actors.

use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuelight::{Actor, ActorRef, Context, Handler, Simulation, System};

struct Node(Option<ActorRef<Node>>);
struct Join(ActorRef<Node>);
struct Token(u64);

impl Actor for Node {}

impl Handler<Join> for Node {
    type Reply = ();

    fn handle(&mut self, Join(next): Join, _: &mut Context<Self>) {
        self.0 = Some(next);
    }
}

impl Handler<Token> for Node {
    type Reply = ();

    fn handle(&mut self, Token(left): Token, _: &mut Context<Self>) {
        if left > 0 {
            self.0.as_ref().expect("a next").tell(Token(left - 1)).expect("the next runs");
        }
    }
}

/// A closed ring of so many.
fn ring(sim: &Simulation, actors: usize) -> Vec<ActorRef<Node>> {
    let all: Vec<_> = (0..actors).map(|_| sim.spawn(Node(None))).collect();
    for (index, node) in all.iter().enumerate() {
        node.tell(Join(all[(index + 1) % actors].clone())).expect("it runs");
    }
    all
}

fn message(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulation");
    group.throughput(Throughput::Elements(1));
    let sim = Simulation::builder().step_limit(u64::MAX).build().expect("a simulation");
    let all = ring(&sim, 1000);
    sim.run_until_idle().expect("an end");
    group.bench_function("message", |b| {
        b.iter_custom(|hops| {
            let begun = Instant::now();
            for (index, left) in benches::shares(hops, 100).enumerate() {
                all[10 * index].tell(Token(left)).expect("it runs");
            }
            sim.run_until_idle().expect("an end");
            begun.elapsed()
        });
    });
    let mut seed = 0;
    group.bench_function("short run", |b| {
        b.iter(|| {
            seed += 1;
            let sim = System::simulation(seed);
            let all = ring(&sim, 20);
            all.iter().for_each(|node| node.tell(Token(8)).expect("it runs"));
            assert_eq!(sim.run_until_idle().expect("an end"), 200);
        });
    });
    group.finish();
}

criterion_group!(benches, message);
criterion_main!(benches);
