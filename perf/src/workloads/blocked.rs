//! A handler blocks its worker: how long until what waits behind it runs on another.
//!
//! The blocker wakes a few actors and then waits for them. All are behind it on its worker: one in the slot for the
//! actor just woken, if the scheduler has one (some put the first there, some the last), the others in the run queue.
//! What has not run by the limit was relieved by nobody: it waited for the blocked handler itself.

use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    stats::Spread,
    tally::Tally,
};
use std::{
    sync::{
        Arc, OnceLock,
        mpsc::{self, Sender},
    },
    time::{Duration, Instant},
};

const BEHIND: usize = 5;

/// How long the blocker waits at most.
const LIMIT: Duration = Duration::from_millis(100);

/// One trial.
struct Scene {
    blocked: Instant,
    /// How long after that each of them ran.
    delays: [OnceLock<Duration>; BEHIND],
    /// Opens when all of them have.
    ran: Tally,
}

/// An actor that notes when it ran.
struct Witness(usize);

impl<R: Runtime> Behaviour<R> for Witness {
    type Message = Arc<Scene>;

    fn handle(&mut self, scene: Arc<Scene>, _: &mut R::Context<Self>) {
        scene.delays[self.0].get_or_init(|| scene.blocked.elapsed());
        scene.ran.arrive(1, 0);
    }
}

struct Blocker<R: Runtime> {
    behind: Vec<R::Ref<Witness>>,
    scenes: Sender<Arc<Scene>>,
}

impl<R: Runtime> Behaviour<R> for Blocker<R> {
    type Message = u64;

    fn handle(&mut self, _: u64, _: &mut R::Context<Self>) {
        let scene = Arc::new(Scene {
            blocked: Instant::now(),
            delays: [const { OnceLock::new() }; BEHIND],
            ran: Tally::new(BEHIND as u64),
        });
        for witness in &self.behind {
            R::send::<Witness>(witness, Arc::clone(&scene));
        }
        // Past the limit the trial is over all the same; the delays tell.
        drop(scene.ran.wait(LIMIT));
        // The outside holds the other end until the last trial.
        drop(self.scenes.send(scene));
    }
}

pub(super) fn relief<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    let behind = (0..BEHIND).map(|index| stage.spawn(Witness(index))).collect();
    let (scenes, over) = mpsc::channel();
    let blocker = stage.spawn(Blocker::<R> { behind, scenes });
    let mut delays = [const { Vec::new() }; BEHIND];
    for _ in 0..stage.scaled(40) {
        R::send::<Blocker<R>>(&blocker, 0);
        let scene = over.recv_timeout(stage.limit()).map_err(|error| format!("the blocker: {error}"))?;
        stage.wait(&scene.ran)?;
        for (delay, delays) in scene.delays.iter().zip(&mut delays) {
            let delay = delay.get().ok_or("one that was woken never ran")?;
            delays.push(delay.as_secs_f64() * 1e3);
        }
    }
    let [first, between @ .., last] = delays;
    for (name, delays) in [("first woken", first), ("between", between.concat()), ("last woken", last)] {
        if let Some(spread) = Spread::of(&delays) {
            stage.value(&format!("{name}, median ms"), spread.median);
            stage.value(&format!("{name}, worst ms"), spread.max);
        }
        let late = delays.iter().filter(|&&ms| ms >= LIMIT.as_secs_f64() * 1e3).count();
        stage.value(&format!("{name}, % relieved by nobody"), 100.0 * late as f64 / delays.len() as f64);
    }
    Ok(())
}
