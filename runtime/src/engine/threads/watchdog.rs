//! The watchdog: a thread that looks for handlers which take too long.
//!
//! Promise: a handler that goes on for longer than the threshold is reported within twice the threshold, once, and once
//! more when it has ended; also if no worker is left that could see it.
//!
//! How: it looks at each thread that runs actors every quarter of the threshold. A turn counts, and so does each message, by
//! counters that are there anyway: as long as both stand still and an actor is held, it is the same handler. It is reported
//! when that was first seen a threshold ago: begun a quarter earlier at most, it is so within one and a half. The type of
//! its message is noted by [`super::worker::Worker`] in turns of a kind of their own, which are run only where there is a
//! watchdog: without one no message pays.
//!
//! Gives up: a handler that is little longer than the threshold may be missed by a quarter of it.

use super::Threads;
use super::shutdown::Leaving;
use crate::engine::core::Core;
use crate::engine::overrun::{Overrun, Watchdog};
use crate::kernel::hub::Hub;
use crate::kernel::local::{Held, Holder};
use crate::metrics::Metrics;
use crate::sync::thread::{self, JoinHandle};
use crate::time::Tick;
use std::io;
use std::time::Duration;

/// Looks in the time of one threshold.
const LOOKS: u32 = 4;

/// One look at a thread that runs actors.
pub(crate) struct Glimpse<'a> {
    pub(crate) worker: usize,
    /// Turns and messages so far: the same ones, and a holder, are the same handler.
    pub(crate) progress: (u64, u64),
    pub(crate) holder: &'a Holder,
}

impl Threads {
    /// Looks at every thread that runs actors.
    pub(crate) fn glimpse(&self, metrics: &Metrics, mut f: impl FnMut(Glimpse<'_>)) {
        for (worker, remote) in self.remotes.iter().enumerate() {
            let counts = metrics.worker(worker);
            let progress = (counts.activations.read(), counts.handled.read());
            f(Glimpse { worker, progress, holder: &remote.holder });
        }
    }
}

/// What is known of the handler that a thread is in.
struct Watched {
    progress: (u64, u64),
    /// When it was first seen.
    since: Tick,
    /// What was reported of it.
    reported: Option<Overrun>,
}

/// Starts the watchdog, if there is to be one.
pub(crate) fn start(hub: &Hub<Core>) -> io::Result<Option<JoinHandle<()>>> {
    let Some(watchdog) = hub.config.watchdog.clone() else { return Ok(None) };
    hub.threads.expect_one();
    let own = hub.clone();
    let body = move || {
        let _leaving = Leaving(&own.threads);
        own.threads.own_this_thread();
        watch(&own, &watchdog);
    };
    let name = format!("{}-watchdog", hub.config.name);
    let started = thread::Builder::new().name(name).spawn(body);
    if started.is_err() {
        hub.threads.never_began(1);
    }
    started.map(Some)
}

/// The watchdog's life.
fn watch(core: &Core, watchdog: &Watchdog) {
    let mut seen = Vec::new();
    loop {
        let over = core.threads.is_terminated();
        look(core, watchdog, over, &mut seen);
        if over {
            return;
        }
        core.threads.watch.park(Some(watchdog.threshold / LOOKS));
    }
}

/// `over`: no actor lives, so all handlers have ended.
fn look(core: &Core, watchdog: &Watchdog, over: bool, seen: &mut Vec<Watched>) {
    let now = core.clock.now();
    let mut reports = Vec::new();
    let mut place = 0;
    core.threads.glimpse(&core.metrics, |Glimpse { worker, progress, holder }| {
        let held = holder.get().filter(|_| !over);
        if place == seen.len() {
            seen.push(Watched { progress, since: now, reported: None });
        }
        let this = &mut seen[place];
        place += 1;
        if this.progress != progress || held.is_none() {
            let ended = std::mem::replace(this, Watched { progress, since: now, reported: None });
            reports.extend(ended.reported.map(|overrun| Overrun {
                elapsed: now.since(ended.since),
                ended: true,
                ..overrun
            }));
            return;
        }
        let elapsed = now.since(this.since);
        if let (None, Some(held), true) = (&this.reported, held, elapsed >= watchdog.threshold) {
            let overrun = overrun(held, holder, elapsed, worker);
            reports.push(overrun.clone());
            this.reported = Some(overrun);
        }
    });
    for overrun in reports {
        watchdog.report(overrun);
    }
}

fn overrun(Held { id, type_name }: Held, holder: &Holder, elapsed: Duration, worker: usize) -> Overrun {
    let name = holder.name().map(|name| name.to_string());
    Overrun { actor: id, name, type_name, message: holder.message(), elapsed, ended: false, worker: Some(worker) }
}
