//! What a system that has nothing to do costs.

use super::triangle;
use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    tally::{Gate, Totals},
    usage,
};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Arrives with the one message it gets.
struct Idler {
    gate: Arc<Gate>,
}

impl<R: Runtime> Behaviour<R> for Idler {
    type Message = u64;

    fn handle(&mut self, number: u64, _: &mut R::Context<Self>) {
        self.gate.done.arrive(1, number);
    }
}

pub(super) fn idle<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    const ACTORS: u64 = 1000;
    /// After the last message workers may spin for a while; that is not idling yet.
    const SETTLE: Duration = Duration::from_millis(100);
    let gate = Gate::new(0, ACTORS, 0);
    let idler = || Idler { gate: Arc::clone(&gate) };
    let idlers: Vec<R::Ref<Idler>> = (0..ACTORS).map(|_| stage.spawn(idler())).collect();
    for (number, idler) in (0..).zip(&idlers) {
        R::send::<Idler>(idler, number);
    }
    stage.wait(&gate.done)?;
    let want = Totals { count: ACTORS, sum: triangle(ACTORS) };
    gate.done.check("idle", want)?;
    thread::sleep(SETTLE);
    let (cpu, start) = (usage::cpu_ns(), Instant::now());
    thread::sleep(Duration::from_millis(stage.scaled(10_000)));
    let used = (usage::cpu_ns() - cpu) as f64;
    let share = used / start.elapsed().as_nanos() as f64;
    stage.value("percent of a core while idle", 100.0 * share);
    Ok(())
}
