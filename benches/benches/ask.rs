//! One request and its answer.
//!
//! - `outside`: a thread asks and waits, one ask at a time; by how the worker waits for work.
//! - `outside, 64 in flight`: the same with 64 asks sent before the first is waited for; the time of one.
//! - `inside`: an actor asks another on the same worker, and asks again in the continuation.
//! - `std channels`: a thread that answers through a channel made for each request, for scale.
//!
//! Not for: percentiles or load from many threads; `perf` has them. `outside` measures how the thread and the worker
//! wake each other as much as the ask.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use benches::{done, end, shares, system, timed};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuelight::{Actor, ActorRef, AskError, Context, Handler, Idle, ReplyTo, System};

const IN_FLIGHT: u64 = 64;
const LIMIT: Duration = Duration::from_secs(60);

struct Oracle;

struct Question(u64);

impl Actor for Oracle {}

impl Handler<Question> for Oracle {
    type Reply = u64;

    fn handle(&mut self, Question(n): Question, _: &mut Context<Self>) -> u64 {
        n + 1
    }
}

struct Pilgrim {
    oracle: ActorRef<Oracle>,
    asker: Option<ReplyTo<()>>,
}

struct Go(u64, ReplyTo<()>);

impl Pilgrim {
    fn answered(&mut self, answer: Result<u64, AskError>, left: u64, ctx: &mut Context<Self>) {
        assert_eq!(answer, Ok(left + 1));
        if left == 0 {
            return done(&mut self.asker, ());
        }
        self.ask(left - 1, ctx);
    }

    fn ask(&self, left: u64, ctx: &mut Context<Self>) {
        ctx.ask(&self.oracle, Question(left), LIMIT, move |this, answer, ctx| this.answered(answer, left, ctx));
    }
}

impl Actor for Pilgrim {}

impl Handler<Go> for Pilgrim {
    type Reply = ();

    fn handle(&mut self, Go(asks, asker): Go, ctx: &mut Context<Self>) {
        self.asker = Some(asker);
        self.ask(asks - 1, ctx);
    }
}

fn ask(c: &mut Criterion) {
    let mut group = c.benchmark_group("ask");
    group.throughput(Throughput::Elements(1));
    for (name, idle) in [("hybrid", Idle::Hybrid), ("spin", Idle::Spin), ("park", Idle::Park)] {
        let system = System::builder().workers(1).idle(idle).build().expect("a system to measure");
        let oracle = system.spawn(Oracle);
        group.bench_function(format!("outside, {name}"), |b| {
            b.iter(|| oracle.ask(Question(1)).wait().expect("an answer"))
        });
        end(&system);
    }

    let system = system(1);
    let oracle = system.spawn(Oracle);
    group.bench_function("outside, 64 in flight", |b| {
        b.iter_custom(|asks| {
            let begun = Instant::now();
            for asks in shares(asks, asks.div_ceil(IN_FLIGHT)) {
                let answers: Vec<_> = (0..asks).map(|n| oracle.ask(Question(n))).collect();
                for answer in answers {
                    answer.wait().expect("an answer");
                }
            }
            begun.elapsed()
        });
    });
    let pilgrim = system.spawn(Pilgrim { oracle, asker: None });
    group.bench_function("inside", |b| {
        b.iter_custom(|asks| timed(|| pilgrim.ask_with(|asker| Go(asks, asker))));
    });
    end(&system);

    let (questions, at_oracle) = mpsc::channel::<(u64, mpsc::Sender<u64>)>();
    thread::scope(|scope| {
        scope.spawn(move || at_oracle.into_iter().try_for_each(|(n, asker)| asker.send(n + 1)));
        group.bench_function("std channels", |b| {
            b.iter(|| {
                let (asker, answer) = mpsc::channel();
                questions.send((1, asker)).expect("the thread runs");
                answer.recv()
            });
        });
        drop(questions);
    });
    group.finish();
}

criterion_group!(benches, ask);
criterion_main!(benches);
