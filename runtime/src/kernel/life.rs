//! The life word: ended children, and the wait for them.
//!
//! | word | meaning |
//! |---|---|
//! | `null` | nothing has happened, and the actor does not wait |
//! | `AWAIT` | the actor waits, and nobody holds the right to run; whoever moves the word away has the duty to schedule |
//! | cell | a stack of ended children |
//!
//! The low bit `SIGNAL` rides on `null` and on a cell: the control flags were written after the mailbox had closed.
//!
//! It is to an ending actor what the mailbox word is to a running one (rule R1): one word decides who schedules, and
//! going to wait is one exchange that fails if anything has come.

use super::cell::Header;
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::ptr::{NonNull, null_mut, without_provenance_mut};

const SIGNAL: usize = 1;
const AWAIT: usize = 2;

const _: () = assert!(align_of::<Header>() > AWAIT);

#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Life(AtomicPtr<Header>);

impl Life {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Puts an ended child on the stack. `link` writes the child's link. Returns whether the caller has the duty to schedule
    /// the parent; if not, the parent may be gone when this returns.
    #[must_use = "an awaited parent must be scheduled"]
    pub(super) fn push(&self, child: NonNull<Header>, link: impl Fn(*mut Header)) -> bool {
        // Ordering: Relaxed: only compared with.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let awaited = seen.addr() == AWAIT;
            link(if awaited { null_mut() } else { seen.map_addr(|a| a & !SIGNAL) });
            let tag = if awaited { 0 } else { seen.addr() & SIGNAL };
            let new = child.as_ptr().map_addr(|a| a | tag);
            // Ordering: Release publishes the child's end to `take`; Acquire pairs with `wait`: the duty to schedule takes the
            // parent's last activation along.
            match self.0.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return awaited,
                Err(now) => seen = now,
            }
        }
    }

    /// Announces that the control flags were written. Returns whether the caller has the duty to schedule.
    #[must_use = "an awaiting actor must be scheduled"]
    pub(super) fn signal(&self) -> bool {
        // Ordering: Relaxed: only compared with.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let awaited = seen.addr() == AWAIT;
            let new = if awaited { without_provenance_mut(SIGNAL) } else { seen.map_addr(|a| a | SIGNAL) };
            // Ordering: Release publishes the flags to `take`; Acquire as in `push`.
            match self.0.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return awaited,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the ended children. Only the holder of the right to run.
    pub(super) fn take(&self) -> *mut Header {
        // Ordering: Relaxed: a child that is missed here is found by the next take, or makes `wait` fail.
        if self.0.load(Ordering::Relaxed).is_null() {
            return null_mut();
        }
        // Ordering: Acquire pairs with the Release of `push` (the child's end) and `signal` (the flags).
        self.0.swap(null_mut(), Ordering::Acquire).map_addr(|a| a & !SIGNAL)
    }

    /// Takes the right to run an actor that waits. Fails if none does.
    #[must_use = "the right to run"]
    pub(super) fn claim(&self) -> bool {
        let awaiting = without_provenance_mut(AWAIT);
        // Ordering: Relaxed: a stale value only lets this fail.
        self.0.load(Ordering::Relaxed) == awaiting
            // Ordering: Acquire pairs with `wait`, as in `push`. Nothing is published.
            && self.0.compare_exchange(awaiting, null_mut(), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives up the right to run until something comes. Fails if something has come.
    #[must_use = "on failure the right to run is still the caller's"]
    pub(super) fn wait(&self) -> bool {
        // Ordering: Release publishes this activation to whoever finds AWAIT. Relaxed on failure: `take` follows.
        self.0.compare_exchange(null_mut(), without_provenance_mut(AWAIT), Ordering::Release, Ordering::Relaxed).is_ok()
    }
}
