//! The clock of a system.
//!
//! Promise: time never goes backwards, and no duration overflows it: what lies beyond the end is [`Tick::NEVER`].
//!
//! How: nanoseconds since the clock was made, in a `u64`. A real clock reads `Instant`, by `sync::now`; a
//! virtual one stands still until it is advanced, for simulation and models.
//!
//! Gives up: the time of day, and anything after 584 years.

use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::now;

/// A point in time: nanoseconds since the start of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(pub(crate) u64);

impl Tick {
    /// The end of time: as a deadline, none.
    pub(crate) const NEVER: Tick = Tick(u64::MAX);

    /// The point `duration` later, [`NEVER`](Self::NEVER) if that is too far.
    pub(crate) fn after(self, duration: Duration) -> Tick {
        Tick(self.0.saturating_add(nanoseconds(duration)))
    }

    /// How long after `earlier` this is; zero if it is before.
    pub(crate) fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in nanoseconds, or as many as there are.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where time comes from.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Real,
    /// Nanoseconds since `start`.
    Virtual(AtomicU64),
}

impl Clock {
    /// The machine's monotonic clock, from now on.
    pub(crate) fn real() -> Self {
        Clock { start: now(), source: Source::Real }
    }

    /// A clock that stands at zero and moves by [`advance`](Self::advance) only.
    pub(crate) fn simulated() -> Self {
        Clock { start: now(), source: Source::Virtual(AtomicU64::new(0)) }
    }

    /// The time. About 25 ns for a real clock.
    pub(crate) fn now(&self) -> Tick {
        match &self.source {
            Source::Real => Tick(nanoseconds(now().saturating_duration_since(self.start))),
            // Ordering: Acquire pairs with `advance`, so that what led to an advance is seen by those who see the time.
            Source::Virtual(now) => Tick(now.load(Ordering::Acquire)),
        }
    }

    /// The time as users know it. A virtual clock counts from the moment it was made, and stops where `Instant` ends.
    pub(crate) fn instant(&self) -> Instant {
        match &self.source {
            Source::Real => now(),
            Source::Virtual(_) => {
                let mut elapsed = self.now().since(Tick(0));
                loop {
                    match self.start.checked_add(elapsed) {
                        Some(instant) => return instant,
                        None => elapsed /= 2,
                    }
                }
            }
        }
    }

    /// Moves a virtual clock forward, to its end at most, and returns the new time. A real one cannot be moved.
    pub(crate) fn advance(&self, by: Duration) -> Tick {
        let Source::Virtual(now) = &self.source else { return self.now() };
        // Ordering: Relaxed guess, the exchange tells.
        let mut seen = now.load(Ordering::Relaxed);
        loop {
            let next = Tick(seen).after(by);
            // Ordering: Release pairs with `now`; Relaxed on failure, a new guess.
            match now.compare_exchange_weak(seen, next.0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return next,
                Err(other) => seen = other,
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn durations_saturate() {
        assert_eq!(Tick(7).after(Duration::ZERO), Tick(7));
        assert_eq!(Tick(7).after(Duration::from_nanos(1)), Tick(8));
        assert_eq!(Tick(7).after(Duration::MAX), Tick::NEVER);
        assert_eq!(Tick::NEVER.after(Duration::MAX), Tick::NEVER);
        assert_eq!(Tick::NEVER.after(Duration::from_nanos(1)), Tick::NEVER);
        assert_eq!(Tick(u64::MAX - 5).after(Duration::from_nanos(4)), Tick(u64::MAX - 1));
        assert_eq!(Tick(3).since(Tick(5)), Duration::ZERO);
        assert_eq!(Tick(1_000_000_007).since(Tick(7)), Duration::from_secs(1));
    }

    #[test]
    fn real_time_does_not_go_back() {
        let clock = Clock::real();
        let (mut last, mut last_instant) = (clock.now(), clock.instant());
        for _ in 0..1000 {
            let (now, instant) = (clock.now(), clock.instant());
            assert!(now >= last && instant >= last_instant);
            (last, last_instant) = (now, instant);
        }
        assert!(clock.advance(Duration::MAX) < Tick::NEVER, "nobody moves a real clock");
    }

    #[test]
    fn virtual_time_moves_when_told() {
        let clock = Clock::simulated();
        let start = clock.instant();
        assert_eq!(clock.now(), Tick(0));
        assert_eq!(clock.advance(Duration::from_millis(3)), Tick(3_000_000));
        assert_eq!(clock.now(), Tick(3_000_000));
        assert_eq!(clock.instant() - start, Duration::from_millis(3));
        assert_eq!(clock.advance(Duration::MAX), Tick::NEVER);
        assert_eq!(clock.now(), Tick::NEVER);
        assert!(clock.instant() > start);
    }
}
