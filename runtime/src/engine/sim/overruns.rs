//! What a simulation's watchdog is to say, and when.
//!
//! Promise: of a message that takes its actor as long as the threshold, or longer, one report at the threshold and one at the
//! end, at their times. How: both are known when the time is drawn.

use super::driver::Turn;
use crate::engine::overrun::{Overrun, Watchdog};
use crate::sync::Text;
use crate::time::Tick;
use std::time::Duration;

/// The reports that have not been made.
#[derive(Default)]
pub(super) struct Overruns(Vec<(Tick, Overrun)>);

impl Overruns {
    /// Notes a message that takes so long from now on.
    pub(super) fn note(
        &mut self,
        watchdog: &Watchdog,
        turn: &Turn<'_>,
        name: Option<&Text>,
        now: Tick,
        time: Duration,
    ) {
        if time < watchdog.threshold {
            return;
        }
        for (elapsed, ended) in [(watchdog.threshold, false), (time, true)] {
            let (name, message) = (name.map(ToString::to_string), turn.message.get());
            let (actor, type_name) = (turn.id, turn.type_name);
            let report = Overrun { actor, name, type_name, message, elapsed, ended, worker: Some(0) };
            self.0.push((now.after(elapsed), report));
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Tick {
        self.0.iter().map(|&(at, _)| at).min().unwrap_or(Tick::NEVER)
    }

    /// Takes the next one that is due at `time`: of several at once the one that was noted first.
    pub(super) fn take(&mut self, time: Tick) -> Option<(Tick, Overrun)> {
        let next = self.next();
        let place = self.0.iter().position(|&(at, _)| at == next && at <= time)?;
        Some(self.0.remove(place))
    }
}
