//! What a user may choose about the workers, and its limits.
//!
//! Promise: the defaults suit a service that shares its machine politely. How: plain values; `threads::affinity` turns
//! a [`Pin`] into CPUs. Gives up: nothing here changes while a system runs.

use std::time::Duration;

/// The most workers a system may have: far above any machine's CPUs, and low enough that a mistyped number is noticed
/// before its threads are made.
pub(crate) const MAX_WORKERS: usize = 1024;

/// On which CPUs a system's workers run.
///
/// A pinned worker keeps its caches and its place beside the others. What came of it is in the system's report, by
/// worker: the CPU, or the reason why there is none. A pin that the operating system refuses is a warning there, not an
/// error.
///
/// The CPUs that may be used are those of the thread that builds the system. On a pinned thread that is one.
///
/// ```
/// use cuelight::{Pin, System};
///
/// let system = System::builder().workers(1).pin(Pin::Off).build()?;
/// let report = system.report();
/// assert_eq!(report.workers[0].cpu, None);
/// assert_eq!(report.workers[0].reason.as_deref(), Some("pinning is off"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pin {
    /// Pins as [`Cores`](Pin::Cores) does if there are as many allowed CPUs as workers and no CPU quota is smaller than
    /// them; otherwise not at all: under a quota every process on the machine would pin to the same CPUs.
    #[default]
    Auto,
    /// Pins one worker to each physical core, then to the cores' further threads, near ones first, and begins again
    /// when there are more workers than CPUs (with a warning).
    Cores,
    /// Leaves the workers to the operating system.
    Off,
    /// Pins to these CPUs, by the numbers that the operating system gives them, worker by worker, and begins again when
    /// there are more workers than CPUs (with a warning).
    ///
    /// Building fails if the list is empty, names a CPU twice, or names one that is not allowed:
    ///
    /// ```
    /// use cuelight::{Pin, System};
    ///
    /// let error = System::builder().workers(1).pin(Pin::Only(vec![4095])).build().unwrap_err();
    /// assert!(error.to_string().contains("4095"));
    /// ```
    Only(Vec<usize>),
}

/// What a worker does when it has nothing to do.
///
/// Waking a sleeping thread takes tens of microseconds, reaching a spinning one a tenth of one: this choice is between
/// latency and a CPU for others.
///
/// ```
/// use cuelight::{Idle, System};
///
/// // A whole CPU for each worker, in exchange for the shortest latency.
/// let system = System::builder().workers(1).idle(Idle::Spin).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Idle {
    /// Spins for a short while, less under a CPU quota, then sleeps. An idle system uses under 1 % of a core.
    #[default]
    Hybrid,
    /// Never sleeps: uses its CPU all the time.
    Spin,
    /// Sleeps at once.
    Park,
}

/// How long one actor may go on before others on its worker have their turn.
///
/// A batch ends at whichever comes first; the actor goes to the back of the queue if it has messages left. A handler is
/// never interrupted, so one that runs longer than `time` is a batch by itself. Zero messages or no time is an error.
///
/// ```
/// use cuelight::{Budget, System};
/// use std::time::Duration;
///
/// assert_eq!(Budget::default(), Budget { messages: 8192, time: Duration::from_micros(300) });
///
/// // Shorter turns: more even latencies, less throughput.
/// let budget = Budget { messages: 8, ..Budget::default() };
/// let system = System::builder().workers(1).budget(budget).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Messages in a batch, at most.
    pub messages: u32,
    /// The age of a batch after which no further message is begun.
    pub time: Duration,
}

impl Budget {
    /// The part that is nothing, if one is.
    pub(crate) fn zero(&self) -> Option<&'static str> {
        if self.messages == 0 {
            return Some("messages");
        }
        self.time.is_zero().then_some("time")
    }
}

impl Default for Budget {
    /// 300 microseconds, so that a batch ends by time unless handlers are tiny; 8192 messages, so that a long queue of those is
    /// handled while it is in the cache. (Fan-out with 5000 messages queued for each of 1000 actors took 70 to 75 ns a message
    /// on one worker with 1 ms, 80 to 96 with 300 microseconds, and 92 to 122 with 100 or with batches of 64 or 512, which
    /// come back to a queue when it has gone cold. Nothing else became slower.)
    fn default() -> Self {
        Budget { messages: 8192, time: Duration::from_micros(300) }
    }
}
