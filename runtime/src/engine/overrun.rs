//! Handlers that take too long: what is said of one, and to whom.
//!
//! Who sees them is an engine's affair: `threads::watchdog`, and the simulation's driver.

use crate::error::BuildError;
use crate::kernel::guard::guarded;
use crate::kernel::watch::ActorId;
use crate::sync::{Function, function};
use std::fmt;
use std::time::Duration;

/// The shortest threshold: a look every quarter of it must not become a load.
const LEAST: Duration = Duration::from_millis(1);
/// The longest: what is not to be reported within a day needs no watchdog.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// A handler that takes longer than the threshold of [`Builder::watchdog`](crate::Builder::watchdog), where there is an
/// example.
///
/// Of each there are two: one while it goes on, within twice the threshold, and one when it has ended. `Display` prints a
/// line for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overrun {
    /// Whose handler it is.
    pub actor: ActorId,
    /// The actor's name, if it has one.
    pub name: Option<String>,
    /// The actor's type.
    pub type_name: &'static str,
    /// The type of the message that it handles, or has handled last in this turn. `None` in [`started`](crate::Actor::started), and
    /// in other code that runs in a turn without a message.
    pub message: Option<&'static str>,
    /// How long it has taken so far, at least; or in all, give or take half of the threshold.
    pub elapsed: Duration,
    /// Whether it has ended.
    pub ended: bool,
    /// The worker that it holds; `None` on a thread of the actor's own.
    pub worker: Option<usize>,
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actor, type_name, elapsed, .. } = self;
        write!(f, "{type_name} ({actor}")?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        f.write_str(if self.ended { ") has been " } else { ") is " })?;
        match self.message {
            Some(message) => write!(f, "in a handler of {message} for {elapsed:?}")?,
            None => write!(f, "in a hook for {elapsed:?}")?,
        }
        match self.worker {
            Some(worker) => write!(f, ", on worker {worker}"),
            None => f.write_str(", on its own thread"),
        }
    }
}

/// Who is told of handlers that take longer than `threshold`.
#[derive(Clone)]
pub(crate) struct Watchdog {
    pub(crate) threshold: Duration,
    hook: Function<Overrun>,
}

impl Watchdog {
    pub(crate) fn new(threshold: Duration, hook: impl Fn(Overrun) + Send + Sync + 'static) -> Self {
        Self { threshold, hook: function(hook) }
    }

    /// Whether the threshold can be had.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if (LEAST..=MOST).contains(&self.threshold) {
            return Ok(());
        }
        Err(BuildError::Threshold { asked: self.threshold, least: LEAST, most: MOST })
    }

    /// Tells. Under no lock: it is user code.
    pub(crate) fn report(&self, overrun: Overrun) {
        let _ = guarded(|| (self.hook)(overrun));
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("threshold", &self.threshold).finish_non_exhaustive()
    }
}
