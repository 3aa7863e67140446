//! A handler blocks its worker: how long until what waits behind it runs on another.
//!
//! Each trial queues a few actors around the one that will block, so that some are behind it on its worker; the
//! blocker then wakes one more, which in most schedulers lands in a slot of its own, and waits for all of them. What
//! has not run by the limit waited for the blocked handler itself.

use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    stats,
    tally::Gate,
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Actors queued before the blocker, and as many after it.
const AROUND: usize = 4;

/// How long the blocker waits at most.
const LIMIT: Duration = Duration::from_millis(100);

/// One trial.
struct Scene {
    blocked: OnceLock<Instant>,
    /// When the woken one ran, and the last of those behind, in nanoseconds after the block began; 0: not after it.
    woken: AtomicU64,
    behind: AtomicU64,
    /// `ready` opens when all but the blocker have run, `done` when the blocker has ended.
    gate: Arc<Gate>,
}

impl Scene {
    fn ran(&self, which: &AtomicU64) {
        if let Some(blocked) = self.blocked.get() {
            // Ordering: Relaxed; the arrival below publishes it.
            which.fetch_max(blocked.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        self.gate.ready.arrive(1, 0);
    }
}

enum Role {
    Behind,
    Woken,
}

/// An actor that notes when it ran.
struct Witness(Role);

impl<R: Runtime> Behaviour<R> for Witness {
    type Message = Arc<Scene>;

    fn handle(&mut self, scene: Arc<Scene>, _: &mut R::Context<Self>) {
        match self.0 {
            Role::Behind => scene.ran(&scene.behind),
            Role::Woken => scene.ran(&scene.woken),
        }
    }
}

struct Blocker<R: Runtime> {
    woken: R::Ref<Witness>,
}

impl<R: Runtime> Behaviour<R> for Blocker<R> {
    type Message = Arc<Scene>;

    fn handle(&mut self, scene: Arc<Scene>, _: &mut R::Context<Self>) {
        scene.blocked.get_or_init(Instant::now);
        R::send::<Witness>(&self.woken, Arc::clone(&scene));
        // Past the limit the trial is over all the same; what is missing shows in the delays.
        drop(scene.gate.ready.wait(LIMIT));
        scene.gate.done.arrive(1, 0);
    }
}

/// Queues the trial's actors on one worker.
struct Director<R: Runtime> {
    around: Vec<R::Ref<Witness>>,
    blocker: R::Ref<Blocker<R>>,
}

impl<R: Runtime> Behaviour<R> for Director<R> {
    type Message = Arc<Scene>;

    fn handle(&mut self, scene: Arc<Scene>, _: &mut R::Context<Self>) {
        let (before, after) = self.around.split_at(AROUND);
        for witness in before {
            R::send::<Witness>(witness, Arc::clone(&scene));
        }
        R::send::<Blocker<R>>(&self.blocker, Arc::clone(&scene));
        for witness in after {
            R::send::<Witness>(witness, Arc::clone(&scene));
        }
    }
}

pub(super) fn relief<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    let around = (0..2 * AROUND).map(|_| stage.spawn(Witness(Role::Behind)));
    let around = around.collect();
    let woken = stage.spawn(Witness(Role::Woken));
    let blocker = stage.spawn(Blocker::<R> { woken });
    let director = stage.spawn(Director::<R> { around, blocker });
    let (mut woken, mut behind) = (Vec::new(), Vec::new());
    for _ in 0..stage.scaled(40) {
        let scene = Arc::new(Scene {
            blocked: OnceLock::new(),
            woken: AtomicU64::new(0),
            behind: AtomicU64::new(0),
            gate: Gate::new(2 * AROUND as u64 + 1, 1, 0),
        });
        R::send::<Director<R>>(&director, Arc::clone(&scene));
        stage.wait(&scene.gate.done)?;
        stage.wait(&scene.gate.ready)?;
        for (which, delays) in [(&scene.woken, &mut woken), (&scene.behind, &mut behind)] {
            // Ordering: Relaxed; both gates are open, which orders the notes of all who came through.
            match which.load(Ordering::Relaxed) {
                0 => {}
                delay => delays.push(delay as f64 / 1e6),
            }
        }
    }
    for (name, delays) in [("woken", &woken), ("behind", &behind)] {
        let late = delays.iter().filter(|&&ms| ms >= LIMIT.as_secs_f64() * 1e3).count();
        stage.value(&format!("{name}: trials"), delays.len() as f64);
        stage.value(&format!("{name}: relieved by nobody"), late as f64);
        if let Some(spread) = stats::Spread::of(delays) {
            stage.value(&format!("{name}: median ms"), spread.median);
            stage.value(&format!("{name}: worst ms"), spread.max);
        }
    }
    Ok(())
}
