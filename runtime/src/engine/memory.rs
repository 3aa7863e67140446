//! Messages that take much memory: what is said of it, and to whom.
//!
//! Promise: memory that passes the limit, and stays there for two looks, is reported once, while whoever fills it goes on;
//! and once more when three quarters of the limit are reached from above. How: `threads::lookout` looks at a sum that is kept
//! anyway. Gives up: what comes and goes between two looks is not seen.

use crate::error::BuildError;
use crate::kernel::guard::guarded;
use crate::kernel::usage;
use crate::sync::{Function, function};
use std::fmt;
use std::time::Duration;

/// From one look to the next.
pub(super) const INTERVAL: Duration = Duration::from_millis(10);
/// The lowest limit: idle pools and what threads have not told yet must not reach it by themselves in a small system.
const LEAST: u64 = 1 << 20;
/// The highest: no process has more.
const MOST: u64 = i64::MAX as u64;

/// What messages take of memory, for [`Builder::memory_alarm`](crate::Builder::memory_alarm), where there is an example.
///
/// `Display` prints a line for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// The bytes, as [`SystemRef::message_bytes`](crate::SystemRef::message_bytes) counts them.
    pub bytes: u64,
    /// The limit.
    pub limit: u64,
    /// Whether they have passed the limit, or have fallen below three quarters of it again.
    pub over: bool,
}

impl fmt::Display for MemoryUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, limit, over } = self;
        let how = if *over { "more than the limit" } else { "less than three quarters of the limit" };
        write!(f, "messages take {bytes} bytes, {how} of {limit}")
    }
}

/// Who is told when messages take more than `limit` bytes.
#[derive(Clone)]
pub(crate) struct MemoryAlarm {
    limit: u64,
    hook: Function<MemoryUse>,
}

impl MemoryAlarm {
    pub(crate) fn new(limit: u64, hook: impl Fn(MemoryUse) + Send + Sync + 'static) -> Self {
        Self { limit, hook: function(hook) }
    }

    /// Whether the limit can be had.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if (LEAST..=MOST).contains(&self.limit) {
            return Ok(());
        }
        Err(BuildError::MemoryLimit { asked: self.limit, least: LEAST, most: MOST })
    }

    /// Looks, and tells if that is news. `over` is what was told last. Under no lock: the hook is user code.
    pub(super) fn look(&self, over: &mut bool) {
        let (bytes, limit) = (usage::bytes(), self.limit);
        let now = if *over { bytes >= limit - limit / 4 } else { bytes > limit };
        if now != *over {
            *over = now;
            let _ = guarded(|| (self.hook)(MemoryUse { bytes, limit, over: now }));
        }
    }
}

impl fmt::Debug for MemoryAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAlarm").field("limit", &self.limit).finish_non_exhaustive()
    }
}
