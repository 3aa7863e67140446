//! Many to one, one to many, and what a large burst leaves behind.

use super::triangle;
use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    tally::{Gate, Totals},
};
use std::sync::Arc;

/// Adds up what it gets, and arrives with the last of it.
struct Counter {
    got: u64,
    sum: u64,
    due: u64,
    gate: Arc<Gate>,
}

impl Counter {
    fn new(due: u64, gate: &Arc<Gate>) -> Self {
        Self { got: 0, sum: 0, due, gate: Arc::clone(gate) }
    }
}

impl<R: Runtime> Behaviour<R> for Counter {
    type Message = u64;

    fn handle(&mut self, number: u64, _: &mut R::Context<Self>) {
        self.got += 1;
        self.sum = self.sum.wrapping_add(number);
        if self.got >= self.due {
            self.gate.done.arrive(self.got, self.sum);
        }
    }
}

/// Sends `0..n` in one handler.
struct Source<R: Runtime> {
    counter: R::Ref<Counter>,
}

impl<R: Runtime> Behaviour<R> for Source<R> {
    type Message = u64;

    fn handle(&mut self, n: u64, _: &mut R::Context<Self>) {
        for number in 0..n {
            R::send::<Counter>(&self.counter, number);
        }
    }
}

pub(super) fn fanin<R: Runtime>(stage: &mut Stage<'_, R>, name: &str) -> Result<(), String> {
    const SOURCES: u64 = 8;
    let each = stage.scaled(1_000_000);
    let gate = Gate::new(0, 1, 0);
    let counter = stage.spawn(Counter::new(SOURCES * each, &gate));
    let source = || Source { counter: counter.clone() };
    let sources: Vec<R::Ref<Source<R>>> = (0..SOURCES).map(|_| stage.spawn(source())).collect();
    stage.time(name, SOURCES * each, &gate.done, || {
        for source in &sources {
            R::send::<Source<R>>(source, each);
        }
    })?;
    let want = Totals { count: SOURCES * each, sum: SOURCES.wrapping_mul(triangle(each)) };
    gate.done.check(name, want)
}

/// Sends to every sink in turn: all rounds in one handler, or one for each message it sends itself.
struct Spout<R: Runtime> {
    sinks: Vec<R::Ref<Counter>>,
    at_once: bool,
}

impl<R: Runtime> Behaviour<R> for Spout<R> {
    type Message = u64;

    fn handle(&mut self, rounds: u64, ctx: &mut R::Context<Self>) {
        let last = if self.at_once { 0 } else { rounds - 1 };
        for round in (last..rounds).rev() {
            for sink in &self.sinks {
                R::send::<Counter>(sink, round);
            }
        }
        if last > 0 {
            R::send::<Self>(&R::me(ctx), last);
        }
    }
}

fn spout<R: Runtime>(stage: &mut Stage<'_, R>, name: &str, at_once: bool) -> Result<(), String> {
    const SINKS: u64 = 1000;
    let rounds = stage.scaled(5000);
    let gate = Gate::new(0, SINKS, 0);
    let sinks = (0..SINKS).map(|_| stage.spawn(Counter::new(rounds, &gate)));
    let sinks = sinks.collect();
    let spout = stage.spawn(Spout::<R> { sinks, at_once });
    stage.time(name, SINKS * rounds, &gate.done, || {
        R::send::<Spout<R>>(&spout, rounds);
    })?;
    let want = Totals { count: SINKS * rounds, sum: SINKS.wrapping_mul(triangle(rounds)) };
    gate.done.check(name, want)
}

pub(super) fn fanout<R: Runtime>(stage: &mut Stage<'_, R>, name: &str) -> Result<(), String> {
    spout(stage, name, true)
}

pub(super) fn fanout_rounds<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    spout(stage, "fanout_rounds", false)
}

/// Whether a backlog larger than the caches leaves the memory behind in disorder. The first fanin only touches the
/// memory, so that what is compared is the same work on memory in order and out of it.
pub(super) fn fanin_after_burst<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    fanin(stage, "fanin, then a burst")?;
    stage.samples.clear();
    fanin(stage, "fanin, then a burst")?;
    fanout(stage, "the burst (fanout)")?;
    fanin(stage, "fanin after the burst")
}
