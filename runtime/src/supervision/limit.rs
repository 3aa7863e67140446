//! How many restarts there may be in a window of time.
//!
//! Promise: exact. In no window of this length, wherever it begins, are there more than the limit. Time is a monotonic clock's.

use crate::time::Tick;
use std::collections::VecDeque;
use std::time::Duration;

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    /// `None`: as many as there are.
    most: Option<u32>,
    window: Duration,
    /// When the restarts of the last window were, the oldest first; without a limit only the last one.
    stamps: VecDeque<Tick>,
}

impl Limit {
    pub(crate) fn new(most: Option<u32>, window: Duration) -> Self {
        Self { most, window, stamps: VecDeque::new() }
    }

    /// Notes a restart, if there may be one now.
    pub(crate) fn admit(&mut self, now: Tick) -> bool {
        while self.stamps.front().is_some_and(|&stamp| now.since(stamp) >= self.window) {
            self.stamps.pop_front();
        }
        match self.most {
            Some(most) if self.stamps.len() as u64 >= u64::from(most) => return false,
            Some(_) => {}
            None => self.stamps.clear(),
        }
        self.stamps.push_back(now);
        true
    }

    /// Whether there was no restart in the window that ends now.
    pub(crate) fn is_calm(&self, now: Tick) -> bool {
        self.stamps.back().is_none_or(|&stamp| now.since(stamp) >= self.window)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn is_exact_wherever_the_window_begins() {
        let mut limit = Limit::new(Some(3), Duration::from_secs(10));
        let mut admitted = Vec::new();
        for tenth in 0..1000 {
            let now = Tick(tenth * SECOND / 10);
            if limit.admit(now) {
                admitted.push(now);
            }
        }
        assert_eq!(admitted.len(), 30);
        for four in admitted.windows(4) {
            assert!(four[3].since(four[0]) >= Duration::from_secs(10), "{four:?}");
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert!(!Limit::new(Some(0), Duration::MAX).admit(Tick(5)));
        let mut once = Limit::new(Some(1), Duration::from_nanos(1));
        assert!(once.admit(Tick(0)) && !once.admit(Tick(0)) && once.admit(Tick(1)));
        let mut for_ever = Limit::new(Some(1), Duration::MAX);
        assert!(for_ever.admit(Tick(0)) && !for_ever.admit(Tick::NEVER));
        let mut any = Limit::new(None, Duration::from_secs(1));
        assert!((0..1000).all(|n| any.admit(Tick(n))));
        assert_eq!(any.stamps.len(), 1);
    }

    #[test]
    fn calm_comes_back() {
        let mut limit = Limit::new(Some(9), Duration::from_secs(1));
        assert!(limit.is_calm(Tick(0)));
        assert!(limit.admit(Tick(0)));
        assert!(!limit.is_calm(Tick(SECOND - 1)));
        assert!(limit.is_calm(Tick(SECOND)));
    }
}
