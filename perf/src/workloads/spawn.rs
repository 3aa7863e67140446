//! Two hundred thousand actors that are there and idle; what making one and telling it one thing takes.

use super::triangle;
use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    tally::{Gate, Totals},
    usage,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Actors that share a count, so that not each of them goes to the tally's contended line.
const GROUP: u64 = 100;

struct Group {
    missing: AtomicU64,
    sum: AtomicU64,
    gate: Arc<Gate>,
}

/// One word of state.
struct Idler {
    group: Arc<Group>,
}

impl<R: Runtime> Behaviour<R> for Idler {
    type Message = u64;

    fn handle(&mut self, number: u64, _: &mut R::Context<Self>) {
        let group = &self.group;
        // Ordering: Relaxed; the decrement publishes it.
        group.sum.fetch_add(number, Ordering::Relaxed);
        // Ordering: AcqRel; the last of the group sees what all the others added.
        if group.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Ordering: Relaxed; ordered by the decrement.
            group.gate.done.arrive(GROUP, group.sum.load(Ordering::Relaxed));
        }
    }
}

/// Makes them all in one handler, then sends to each.
struct Spawner<R: Runtime> {
    gate: Arc<Gate>,
    idlers: Vec<R::Ref<Idler>>,
}

impl<R: Runtime> Behaviour<R> for Spawner<R> {
    type Message = u64;

    fn handle(&mut self, actors: u64, ctx: &mut R::Context<Self>) {
        for _ in 0..actors / GROUP {
            let group = Arc::new(Group {
                missing: AtomicU64::new(GROUP),
                sum: AtomicU64::new(0),
                gate: Arc::clone(&self.gate),
            });
            for _ in 0..GROUP {
                let group = Arc::clone(&group);
                self.idlers.push(R::spawn_child::<Self, Idler>(ctx, Idler { group }));
            }
        }
        for (number, idler) in (0..).zip(&self.idlers) {
            R::send::<Idler>(idler, number);
        }
    }
}

pub(super) fn spawn<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    let groups = stage.scaled(200_000 / GROUP);
    let actors = groups * GROUP;
    let gate = Gate::new(0, groups, 0);
    let spawner = Spawner::<R> { gate: Arc::clone(&gate), idlers: Vec::with_capacity(actors as usize) };
    let spawner = stage.spawn(spawner);
    let before = usage::resident_kib();
    stage.time("spawn", actors, &gate.done, || {
        R::send::<Spawner<R>>(&spawner, actors);
    })?;
    let after = usage::resident_kib();
    if let (Some(before), Some(after)) = (before, after) {
        let bytes = after.saturating_sub(before) as f64 * 1024.0;
        stage.value("resident bytes per actor", bytes / actors as f64);
    }
    let want = Totals { count: actors, sum: triangle(actors) };
    gate.done.check("spawn", want)
}
