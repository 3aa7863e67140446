//! Short lives: an actor is made, told one message, answers it and stops. The time of one such life.
//!
//! - `inside`: as children of an actor, a hundred at a time.
//! - `outside`: by a thread that is no worker, a hundred at a time; each spawn and tell comes in from outside.
//! - `std thread`: a thread that is started, returns a value and is joined, for scale.
//!
//! Not for: memory of many live actors, or a million at once; `perf` has both.

use std::thread;
use std::time::Instant;

use benches::{done, end, shares, system, timed};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo};

const AT_ONCE: u64 = 100;

struct Child;

struct Live(ActorRef<Parent>);

impl Actor for Child {}

impl Handler<Live> for Child {
    type Reply = ();

    fn handle(&mut self, Live(parent): Live, ctx: &mut Context<Self>) {
        parent.tell(Lived).expect("the parent runs");
        ctx.stop();
    }
}

#[derive(Default)]
struct Parent {
    /// Lives to begin.
    left: u64,
    /// Lives that have begun and not ended.
    alive: u64,
    asker: Option<ReplyTo<()>>,
}

/// Lives that the parent begins itself.
struct Raise(u64, ReplyTo<()>);

/// Lives that others begin.
struct Await(u64, ReplyTo<()>);

struct Lived;

impl Parent {
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.alive > 0 {
            return;
        }
        if self.left == 0 {
            return done(&mut self.asker, ());
        }
        self.alive = self.left.min(AT_ONCE);
        self.left -= self.alive;
        for _ in 0..self.alive {
            let child = ctx.spawn(Child);
            child.tell(Live(ctx.me())).expect("the child runs");
        }
    }
}

impl Actor for Parent {}

impl Handler<Raise> for Parent {
    type Reply = ();

    fn handle(&mut self, Raise(left, asker): Raise, ctx: &mut Context<Self>) {
        self.left = left;
        self.asker = Some(asker);
        self.go_on(ctx);
    }
}

impl Handler<Await> for Parent {
    type Reply = ();

    fn handle(&mut self, Await(alive, asker): Await, ctx: &mut Context<Self>) {
        self.alive = alive;
        self.asker = Some(asker);
        self.go_on(ctx);
    }
}

impl Handler<Lived> for Parent {
    type Reply = ();

    fn handle(&mut self, _: Lived, ctx: &mut Context<Self>) {
        self.alive -= 1;
        self.go_on(ctx);
    }
}

fn spawn(c: &mut Criterion) {
    let mut group = c.benchmark_group("spawn");
    group.throughput(Throughput::Elements(1));
    for workers in [1, 2] {
        let system = system(workers);
        let parent = system.spawn(Parent::default());
        group.bench_function(format!("inside, {workers} workers"), |b| {
            b.iter_custom(|lives| timed(|| parent.ask_with(|asker| Raise(lives, asker))));
        });
        group.bench_function(format!("outside, {workers} workers"), |b| {
            b.iter_custom(|lives| {
                let begun = Instant::now();
                for lives in shares(lives, lives.div_ceil(AT_ONCE)) {
                    let over = parent.ask_with(|asker| Await(lives, asker));
                    for _ in 0..lives {
                        let child = system.spawn(Child);
                        child.tell(Live(parent.clone())).expect("the child runs");
                    }
                    over.wait().expect("the end of the run");
                }
                begun.elapsed()
            });
        });
        end(&system);
    }
    group.bench_function("std thread", |b| b.iter(|| thread::spawn(|| 1).join().expect("no panic")));
    group.finish();
}

criterion_group!(benches, spawn);
criterion_main!(benches);
