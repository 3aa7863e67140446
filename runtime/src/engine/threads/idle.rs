//! Who is awake: the counts of searching and sleeping workers, and the list of sleepers.
//!
//! Promise: work that is pushed from outside is found, whoever falls asleep at that moment; at most one sleeper is woken per
//! push, and none while somebody searches already.
//!
//! The protocol and its proof are in `README.md` beside this file. In short, a pusher publishes, fences, and looks for
//! sleepers; a sleeper announces itself, fences, and looks for work. One of the two sees the other.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering, fence};

/// One searching worker; the low half of the word.
const ONE_SEARCHING: usize = 1;
/// One sleeping worker; the high half.
const ONE_SLEEPING: usize = 1 << 16;
const SEARCHING: usize = ONE_SLEEPING - 1;

/// Both counts, as seen at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) searching: usize,
    pub(crate) sleeping: usize,
}

impl Counts {
    fn of(word: usize) -> Self {
        Self { searching: word & SEARCHING, sleeping: word >> 16 }
    }
}

/// The sleep state of all workers of a system.
#[derive(Debug)]
pub(crate) struct Idle {
    /// Both counts. A worker is counted as searching, as sleeping, or (while it runs actors) not at all.
    word: AtomicUsize,
    /// The sleepers, the latest last. Whoever takes a sleeper off the list moves its count and owes it an `unpark`.
    sleepers: Mutex<Vec<usize>>,
}

impl Idle {
    pub(crate) fn new() -> Self {
        Self { word: AtomicUsize::new(0), sleepers: Mutex::new(Vec::new()) }
    }

    /// A look that decides nothing by itself.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Counts {
        // Ordering: Relaxed: for a local push, which its pusher will run itself, a stale value costs parallelism only. Where
        // it decides about sleep, a SeqCst fence stands before it.
        Counts::of(self.word.load(Ordering::Relaxed))
    }

    /// A worker that ran actors begins to search, unless `limit` others do.
    pub(crate) fn begin_search(&self, limit: usize) -> bool {
        // Ordering: Relaxed: counts only; what they guard is ordered by the fences.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if Counts::of(seen).searching >= limit {
                return false;
            }
            // Ordering: Relaxed, as above.
            match self.word.compare_exchange(seen, seen + ONE_SEARCHING, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// A searching worker has found something. Returns whether it was the last one: it must then look at the injector once
    /// more, for a pusher may have relied on its search, and wake the next searcher if something is there.
    #[must_use = "the last searcher rechecks"]
    pub(crate) fn end_search(&self) -> bool {
        // Ordering: Relaxed, for the fence below.
        let last = Counts::of(self.word.fetch_sub(ONE_SEARCHING, Ordering::Relaxed)).searching == 1;
        // The recheck that follows must not be read before the count has gone down: the other half of `notify`.
        fence(Ordering::SeqCst); // Ordering: pairs with the fence in `notify`.
        last
    }

    /// A searching worker announces that it will sleep. It must look for work once more afterwards, and then park.
    pub(crate) fn fall_asleep(&self, index: usize) {
        let mut sleepers = self.sleepers.lock();
        sleepers.push(index);
        // Ordering: Relaxed, for the fence below.
        self.word.fetch_add(ONE_SLEEPING - ONE_SEARCHING, Ordering::Relaxed);
        drop(sleepers);
        fence(Ordering::SeqCst); // Ordering: pairs with the fence in `notify`: we see the push, or it sees us.
    }

    /// As [`Idle::fall_asleep`] for a worker that was not counted as searching.
    pub(crate) fn fall_asleep_uncounted(&self, index: usize) {
        let mut sleepers = self.sleepers.lock();
        sleepers.push(index);
        // Ordering: Relaxed, for the fence below.
        self.word.fetch_add(ONE_SLEEPING, Ordering::Relaxed);
        drop(sleepers);
        fence(Ordering::SeqCst); // Ordering: pairs with the fence in `notify`.
    }

    /// A sleeper that woke by itself, or that found work on its last look, counts as searching again. False: somebody has
    /// taken it off the list already, and has counted it as searching; the `unpark` that it owes must be consumed.
    #[must_use = "a sleeper that was taken off the list consumes an unpark"]
    pub(crate) fn rouse_self(&self, index: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        let Some(place) = sleepers.iter().rposition(|&sleeper| sleeper == index) else { return false };
        sleepers.remove(place);
        // Ordering: Relaxed: a transfer between counts.
        self.word.fetch_sub(ONE_SLEEPING - ONE_SEARCHING, Ordering::Relaxed);
        true
    }

    /// To be called after something was published for anybody to find: returns a sleeper to unpark, if one is needed. It
    /// counts as searching from now on.
    #[must_use = "the sleeper must be unparked"]
    pub(crate) fn notify(&self, spare: usize) -> Option<usize> {
        fence(Ordering::SeqCst); // Ordering: pairs with the fences of `fall_asleep` and `end_search`.
        let counts = self.peek();
        if counts.searching > 0 || counts.sleeping == 0 {
            return None;
        }
        self.rouse(spare)
    }

    /// Takes a sleeper off the list, whoever searches. `spare` is taken only if it is the only one.
    #[must_use = "the sleeper must be unparked"]
    pub(crate) fn rouse(&self, spare: usize) -> Option<usize> {
        let mut sleepers = self.sleepers.lock();
        let place = sleepers.iter().rposition(|&sleeper| sleeper != spare).or(sleepers.len().checked_sub(1))?;
        let index = sleepers.remove(place);
        // Ordering: Relaxed: a transfer between counts.
        self.word.fetch_sub(ONE_SLEEPING - ONE_SEARCHING, Ordering::Relaxed);
        Some(index)
    }
}
