//! Tokens go round a ring of a thousand actors: the time of one hop of one token.
//!
//! - `one token`: each activation handles one message and wakes one actor, over more actors than the nearest cache holds.
//! - `a hundred tokens`: the same with work for every worker.
//!
//! Not for: batches, of which there are few; chains of sends.

use benches::{done, end, shares, system, timed};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo, System};

const ACTORS: usize = 1000;

#[derive(Default)]
struct Node {
    next: Option<ActorRef<Node>>,
    /// Only of the first: tokens that are under way, and who waits for them.
    left: u64,
    asker: Option<ReplyTo<()>>,
}

struct Join(ActorRef<Node>);

struct Run {
    hops: u64,
    tokens: u64,
    asker: ReplyTo<()>,
}

struct Token {
    left: u64,
    first: ActorRef<Node>,
}

struct Over;

impl Actor for Node {}

impl Handler<Join> for Node {
    type Reply = ();

    fn handle(&mut self, Join(next): Join, _: &mut Context<Self>) {
        self.next = Some(next);
    }
}

impl Handler<Run> for Node {
    type Reply = ();

    fn handle(&mut self, Run { hops, tokens, asker }: Run, ctx: &mut Context<Self>) {
        self.left = tokens;
        self.asker = Some(asker);
        for left in shares(hops, tokens) {
            let first = ctx.me();
            self.handle(Token { left, first }, ctx);
        }
    }
}

impl Handler<Token> for Node {
    type Reply = ();

    fn handle(&mut self, Token { left, first }: Token, _: &mut Context<Self>) {
        if left == 0 {
            first.tell(Over).expect("the first runs");
        } else {
            let next = self.next.as_ref().expect("a next");
            next.tell(Token { left: left - 1, first }).expect("the next runs");
        }
    }
}

impl Handler<Over> for Node {
    type Reply = ();

    fn handle(&mut self, _: Over, _: &mut Context<Self>) {
        self.left -= 1;
        if self.left == 0 {
            done(&mut self.asker, ());
        }
    }
}

/// A closed ring; returns one of it.
fn closed(system: &System) -> ActorRef<Node> {
    let first = system.spawn(Node::default());
    let mut last = first.clone();
    for _ in 1..ACTORS {
        let node = system.spawn(Node::default());
        last.tell(Join(node.clone())).expect("it runs");
        last = node;
    }
    last.tell(Join(first.clone())).expect("it runs");
    first
}

fn ring(c: &mut Criterion) {
    for (name, tokens) in [("ring of one token", 1), ("ring of a hundred tokens", 100)] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        for (name, workers) in [("one worker", 1), ("two workers", 2)] {
            let system = system(workers);
            let first = closed(&system);
            group.bench_function(name, |b| {
                b.iter_custom(|hops| timed(|| first.ask_with(|asker| Run { hops, tokens, asker })));
            });
            end(&system);
        }
        group.finish();
    }
}

criterion_group!(benches, ring);
criterion_main!(benches);
