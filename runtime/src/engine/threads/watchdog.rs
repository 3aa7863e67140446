//! The watchdog: looks for handlers which take too long, on a thread that runs no actors.
//!
//! Promise: a handler that goes on for longer than the threshold is reported within twice the threshold, once, and once
//! more when it has ended; also if no worker is left that could see it.
//!
//! How: it looks at each thread that runs actors every quarter of the threshold, or more often. A turn counts, and so does
//! each message, by counters that are there anyway: as long as both stand still and an actor is held, it is the same
//! handler. It is reported when that was first seen a threshold ago: begun a quarter earlier at most, it is so within one and
//! a half. The type of its message is noted by [`super::worker::Worker`] in turns of a kind of their own, which are run only
//! where there is a watchdog: without one no message pays.
//!
//! Gives up: a handler that is little longer than the threshold may be missed by a quarter of it.

use super::stint::Stint;
use crate::engine::core::Core;
use crate::engine::overrun::{Overrun, Watchdog};
use crate::kernel::local::Held;
use crate::time::Tick;
use std::collections::HashMap;
use std::time::Duration;

/// Looks in the time of one threshold.
const LOOKS: u32 = 4;

/// A handler that was reported and has not ended.
struct Reported {
    progress: (u64, u64),
    since: Tick,
    overrun: Overrun,
}

/// The watchdog at work, on the [`super::lookout`]'s thread.
pub(super) struct Watch<'a> {
    watchdog: &'a Watchdog,
    /// By thread.
    reported: HashMap<usize, Reported>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(watchdog: &'a Watchdog) -> Self {
        Self { watchdog, reported: HashMap::new() }
    }

    /// From one look to the next, at most.
    pub(super) fn pause(&self) -> Duration {
        self.watchdog.threshold / LOOKS
    }

    /// `over`: no actor lives, so all handlers have ended.
    pub(super) fn look(&mut self, core: &Core, over: bool) {
        let now = core.clock.now();
        let (mut reports, mut going_on) = (Vec::new(), HashMap::new());
        core.threads.glimpse(&core.metrics, now, |stint| {
            if let Some(known) = self.reported.remove(&stint.thread) {
                // Another actor's thread may come to lie where one has ended.
                let same = known.progress == stint.progress && known.overrun.actor == stint.held.id;
                if same && !over {
                    going_on.insert(stint.thread, known);
                } else {
                    self.reported.insert(stint.thread, known);
                }
            } else if now.since(stint.since) >= self.watchdog.threshold && !over {
                let overrun = overrun(&stint, now);
                reports.push(overrun.clone());
                going_on.insert(stint.thread, Reported { progress: stint.progress, since: stint.since, overrun });
            }
        });
        let mut ended: Vec<(usize, Reported)> = self.reported.drain().collect();
        ended.sort_unstable_by_key(|&(thread, _)| thread);
        for (_, Reported { since, overrun, .. }) in ended {
            self.watchdog.report(Overrun { elapsed: now.since(since), ended: true, ..overrun });
        }
        self.reported = going_on;
        for overrun in reports {
            self.watchdog.report(overrun);
        }
    }
}

fn overrun(stint: &Stint<'_>, now: Tick) -> Overrun {
    let Held { id, type_name } = stint.held;
    let (name, message) = (stint.holder.name().map(|name| name.to_string()), stint.holder.message());
    let elapsed = now.since(stint.since);
    Overrun { actor: id, name, type_name, message, elapsed, ended: false, worker: stint.worker }
}
