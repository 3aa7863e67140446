//! Numbers through eight stages, each of which adds one.

use super::triangle;
use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    tally::{Gate, Totals},
};
use std::sync::Arc;

const STAGES: u64 = 8;

struct Step<R: Runtime> {
    next: Option<R::Ref<Self>>,
    got: u64,
    sum: u64,
    due: u64,
    gate: Arc<Gate>,
}

impl<R: Runtime> Behaviour<R> for Step<R> {
    type Message = u64;

    fn handle(&mut self, number: u64, _: &mut R::Context<Self>) {
        self.got += 1;
        self.sum = self.sum.wrapping_add(number);
        if let Some(next) = &self.next {
            R::send::<Self>(next, number + 1);
        }
        if self.got >= self.due {
            self.gate.done.arrive(self.got, self.sum);
        }
    }
}

struct Source<R: Runtime> {
    first: R::Ref<Step<R>>,
}

impl<R: Runtime> Behaviour<R> for Source<R> {
    type Message = u64;

    fn handle(&mut self, n: u64, _: &mut R::Context<Self>) {
        for number in 0..n {
            R::send::<Step<R>>(&self.first, number);
        }
    }
}

pub(super) fn pipeline<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    let numbers = stage.scaled(1_000_000);
    let gate = Gate::new(0, STAGES, 0);
    let step = |next| Step::<R> { next, got: 0, sum: 0, due: numbers, gate: Arc::clone(&gate) };
    let mut first = stage.spawn(step(None));
    for _ in 1..STAGES {
        first = stage.spawn(step(Some(first)));
    }
    let source = stage.spawn(Source::<R> { first });
    stage.time("pipeline", STAGES * numbers, &gate.done, || {
        R::send::<Source<R>>(&source, numbers);
    })?;
    // Each number has grown by one at every stage before.
    let grown = numbers.wrapping_mul(triangle(STAGES));
    let want = Totals { count: STAGES * numbers, sum: STAGES.wrapping_mul(triangle(numbers)).wrapping_add(grown) };
    gate.done.check("pipeline", want)
}
