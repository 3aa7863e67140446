//! One runnable actor beside a queue: the one that the running actor has just woken.
//!
//! Promise: what is put in is taken once, by the owner or by a thief. While it is there the owner may add to its list of
//! messages. The owner's ways in and out cost no exchange.
//!
//! How: an atomic pointer, and the handshake of Dekker. The owner alone fills it, and only when it is empty. Owner: say that it
//! is in (`busy`), fence, look for thieves. Thief: say that it is here (`thieves`), fence, look for the owner. So at least one
//! of the two sees the other. An owner that sees a thief takes by an exchange, as the thief does; a thief that sees the owner
//! lets it be: a worker that is at its slot is not stuck. Thieves come only for what is stuck, or for one actor that lingers
//! ([`super::linger`]), so the fence is one-sided ([`crate::sync::barrier`]). With an exchange instead, a message from one actor to another cost 23.3 ns instead of 18.3
//! (pingpong, one worker, AMD EPYC, exchange 4.8 ns).
//!
//! Gives up: a thief that meets the owner goes away empty-handed.
//!
//! # Invariants
//! - **S1** A pointer in the slot is a [`Runnable`] that was put there; whoever takes it out has the right to run.
//! - **S2** Between `enter` that returned true and `leave` no thief takes anything out.

use super::cell::{Header, Runnable};
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::sync::barrier;
use std::ptr::{NonNull, null_mut};

#[derive(Debug)]
pub(crate) struct Slot {
    actor: AtomicPtr<Header>,
    /// The owner is at it.
    busy: AtomicBool,
    /// Thieves that are at it.
    thieves: AtomicUsize,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self { actor: AtomicPtr::new(null_mut()), busy: AtomicBool::new(false), thieves: AtomicUsize::new(0) }
    }

    /// Puts an actor in. Owner only. A full slot gives it back.
    #[inline(always)]
    pub(crate) fn put(&self, runnable: Runnable) -> Result<(), Runnable> {
        // Only the owner fills the slot, so what it sees empty is empty.
        if !self.is_empty() {
            return Err(runnable);
        }
        self.fill(runnable);
        Ok(())
    }

    /// Puts an actor in. Owner only, and only if the slot is empty.
    #[inline(always)]
    pub(crate) fn fill(&self, runnable: Runnable) {
        debug_assert!(self.is_empty());
        // Ordering: Release hands the right to run, and what came with it, to a thief's Acquire.
        self.actor.store(runnable.cell().as_ptr(), Ordering::Release);
    }

    /// The owner comes. True: no thief is here, or comes before [`Slot::leave`] (S2).
    #[inline(always)]
    fn enter(&self) -> bool {
        // Ordering: Relaxed, for the fence: a thief sees us, or we see it.
        self.busy.store(true, Ordering::Relaxed);
        barrier::light();
        // Ordering: Acquire pairs with the Release in `steal_this`: what a thief that has gone took is seen to be gone.
        self.thieves.load(Ordering::Acquire) == 0
    }

    /// The owner goes.
    #[inline(always)]
    fn leave(&self) {
        // Ordering: Release pairs with the Acquire in `steal_this`: a thief that comes later sees what the owner did.
        self.busy.store(false, Ordering::Release);
    }

    /// Takes the actor out. Owner only.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Runnable> {
        if self.is_empty() {
            return None;
        }
        self.take_out()
    }

    /// Takes this actor out, if it is there. Owner only.
    #[inline(always)]
    pub(crate) fn take_this(&self, cell: NonNull<Header>) -> Option<Runnable> {
        if !self.may_hold(cell) {
            return None;
        }
        self.take_out()
    }

    /// Takes out what the owner has seen there, unless a thief has been quicker.
    #[inline(always)]
    fn take_out(&self) -> Option<Runnable> {
        let cell = if self.enter() {
            // Ordering: Relaxed: the owner itself has put it there; nobody else is here (S2). Again: a thief may have been.
            let cell = self.actor.load(Ordering::Relaxed);
            // Ordering: Relaxed, as above.
            self.actor.store(null_mut(), Ordering::Relaxed);
            cell
        } else {
            self.take_from_thieves()
        };
        self.leave();
        // SAFETY: S1.
        NonNull::new(cell).map(|cell| unsafe { Runnable::new(cell) })
    }

    #[cold]
    fn take_from_thieves(&self) -> *mut Header {
        // Ordering: Relaxed: the owner itself has put it there; the exchange only decides between owner and thief.
        self.actor.swap(null_mut(), Ordering::Relaxed)
    }

    /// Whether this actor looks to be in the slot. Owner only: a no is certain.
    #[inline(always)]
    fn may_hold(&self, cell: NonNull<Header>) -> bool {
        // Ordering: Relaxed: only the owner fills the slot.
        self.actor.load(Ordering::Relaxed) == cell.as_ptr()
    }

    /// Runs `f` while this actor is in the slot and stays there. Owner only. Whoever takes it out has seen what `f` did; `f`
    /// is to be short, and must not come back here. Returns what `f` does; false if the actor is not there, or a thief is.
    #[inline(always)]
    pub(crate) fn with(&self, cell: NonNull<Header>, f: impl FnOnce() -> bool) -> bool {
        if !self.may_hold(cell) {
            return false;
        }
        // Again: a thief may have been here.
        let done = self.enter() && self.may_hold(cell) && f();
        self.leave();
        done
    }

    /// Takes the actor out from another thread. Dear: for what is stuck.
    pub(crate) fn steal(&self) -> Option<Runnable> {
        // Ordering: Relaxed: only compared with.
        let seen = NonNull::new(self.actor.load(Ordering::Relaxed))?;
        self.steal_this(seen)
    }

    /// Takes this actor out from another thread, if it is there.
    pub(crate) fn steal_this(&self, cell: NonNull<Header>) -> Option<Runnable> {
        // Ordering: Relaxed: only compared with.
        if self.actor.load(Ordering::Relaxed) != cell.as_ptr() {
            return None;
        }
        // Ordering: Relaxed, for the fence: the owner sees us, or we see it.
        self.thieves.fetch_add(1, Ordering::Relaxed);
        // Ordering: Acquire pairs with the Release in `leave`: what the owner did while it was here is done.
        let alone = barrier::heavy() && !self.busy.load(Ordering::Acquire);
        let stolen = if alone { self.snatch(cell) } else { None };
        // Ordering: Release pairs with the Acquire in `enter`: the owner sees what we took.
        self.thieves.fetch_sub(1, Ordering::Release);
        stolen
    }

    fn snatch(&self, cell: NonNull<Header>) -> Option<Runnable> {
        // Ordering: Acquire pairs with the Release in `fill`.
        let seen = self.actor.compare_exchange(cell.as_ptr(), null_mut(), Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: S1. By the pointer that was put in: `cell` is only compared with.
        NonNull::new(seen).map(|cell| unsafe { Runnable::new(cell) })
    }

    /// Whether it is empty. From another thread: a hint.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        // Ordering: Relaxed: the owner alone fills it; to others it is a hint.
        self.actor.load(Ordering::Relaxed).is_null()
    }
}
