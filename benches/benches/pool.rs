//! The node pool: memory for messages is taken and given back, nothing is sent.
//!
//! - `one`: a message is put into a node and dropped, by payload; 512 bytes do not fit into any node and are boxed in one.
//! - `thousand`: so many nodes are taken, then all are given back in that order; more than a thread's cache holds.
//! - `thousand elsewhere`: the same, but another thread gives them back, as it is when messages cross threads. Both
//!   threads and two hand-overs are in the figure.
//!
//! Workers keep a cache of nodes that they give back, other threads keep none: `ours` and `ours, on no worker`.
//! Beside each a `Box` of the same size on mimalloc. Ours takes and drops a reference to the receiver for each reserved
//! node, which the box does not.
//!
//! Not for: what scattered nodes cost later; `perf` repeats fan-in after a large burst for that.

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use benches as _; // for its allocator
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuelight::dev_hooks::kernel::{Memory, System, unsent};
use cuelight::{Actor, ActorRef, Context, Handler};

mod ledger;
use ledger::Blank;

const MANY: usize = 1000;

struct Nobody;

/// A payload of eight bytes each.
struct Words<const N: usize>([u64; N]);

impl Actor for Nobody {}

impl<const N: usize> Handler<Words<N>> for Nobody {
    type Reply = ();

    fn handle(&mut self, Words(words): Words<N>, _: &mut Context<Self>) {
        black_box(words);
    }
}

fn one<const N: usize>(c: &mut Criterion, name: &str, nobody: &ActorRef<Nobody>) {
    let mut group = c.benchmark_group(format!("pool: one of {} bytes", 8 * N));
    group.bench_function(name, |b| b.iter(|| unsent(nobody, Words(black_box([1; N])))));
    group.finish();
}

fn one_box<const N: usize>(c: &mut Criterion) {
    let mut group = c.benchmark_group(format!("pool: one of {} bytes", 8 * N));
    group.bench_function("box", |b| b.iter(|| black_box(Box::new(Node::<N>::new()))));
    group.finish();
}

/// What a node would be if it were boxed: a header of two words, and the payload.
struct Node<const N: usize>(#[allow(dead_code, reason = "it is there for its size")] [u64; 2], [u64; N]);

impl<const N: usize> Node<N> {
    fn new() -> Self {
        Self([0; 2], black_box([1; N]))
    }
}

/// Takes a thousand in each round, and has `give_back` called with them.
fn rounds<T>(rounds: u64, take: impl Fn() -> T, mut give_back: impl FnMut(Vec<T>) -> Vec<T>) -> Duration {
    let mut taken = Vec::with_capacity(MANY);
    let begun = Instant::now();
    for _ in 0..rounds {
        taken.extend((0..MANY).map(|_| take()));
        taken = give_back(taken);
    }
    begun.elapsed()
}

fn emptied<T>(mut taken: Vec<T>) -> Vec<T> {
    taken.clear();
    taken
}

fn many<T: Send>(c: &mut Criterion, name: &str, take: impl Fn() -> T, begin: impl FnOnce() + Send) {
    let mut group = c.benchmark_group("pool: thousand of 8 bytes");
    group.throughput(Throughput::Elements(MANY as u64));
    group.bench_function(name, |b| b.iter_custom(|n| rounds(n, &take, emptied)));
    group.finish();

    let mut group = c.benchmark_group("pool: thousand of 8 bytes, given back elsewhere");
    group.throughput(Throughput::Elements(MANY as u64));
    thread::scope(|scope| {
        let (there, elsewhere) = mpsc::channel();
        let (back, here) = mpsc::channel();
        scope.spawn(move || {
            begin();
            elsewhere.into_iter().try_for_each(|taken| back.send(emptied::<T>(taken)))
        });
        let give_back = |taken| {
            there.send(taken).expect("the other thread runs");
            here.recv().expect("the other thread runs")
        };
        group.bench_function(name, |b| b.iter_custom(|n| rounds(n, &take, give_back)));
        drop(there);
    });
    group.finish();
}

fn pool(c: &mut Criterion) {
    let system = System::new(Blank);
    let nobody = system.spawn(Nobody, 1);
    let reserve = || Memory::<Words<1>>::reserve(&nobody);
    one::<1>(c, "ours, on no worker", &nobody);
    many(c, "ours, on no worker", reserve, || ());

    system.work(|| ());
    one::<1>(c, "ours", &nobody);
    one_box::<1>(c);
    one::<8>(c, "ours", &nobody);
    one_box::<8>(c);
    one::<64>(c, "ours", &nobody);
    one_box::<64>(c);
    many(c, "ours", reserve, || system.work(|| ()));
    many(c, "box", || Box::new(Node::<1>::new()), || ());
}

criterion_group!(benches, pool);
criterion_main!(benches);
