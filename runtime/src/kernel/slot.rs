//! One runnable actor beside a queue: the one that the running actor has just woken.
//!
//! Promise: what is put in is taken once, by the owner or by a thief.
//!
//! How: an atomic pointer. The owner alone fills it, and only when it is empty, with a plain release store; it takes with one
//! exchange, because a thief may be there.
//!
//! # Invariants
//! - **S1** A pointer in the slot is a [`Runnable`] that was put there; whoever takes it out has the right to run.

use super::cell::{Header, Runnable};
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::ptr::{NonNull, null_mut};

#[derive(Debug)]
pub(crate) struct Slot(AtomicPtr<Header>);

impl Slot {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Puts an actor in. Owner only. A full slot gives it back.
    #[inline(always)]
    pub(crate) fn put(&self, runnable: Runnable) -> Result<(), Runnable> {
        // Ordering: Relaxed: only the owner fills the slot, so what it sees empty is empty.
        if !self.0.load(Ordering::Relaxed).is_null() {
            return Err(runnable);
        }
        // Ordering: Release hands the right to run, and what came with it, to a thief's Acquire.
        self.0.store(runnable.cell().as_ptr(), Ordering::Release);
        Ok(())
    }

    /// Takes the actor out. Owner only.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Runnable> {
        // Ordering: Relaxed: only the owner fills the slot.
        if self.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // Ordering: Relaxed: the owner itself has put it there; the exchange only decides between owner and thief.
        let cell = NonNull::new(self.0.swap(null_mut(), Ordering::Relaxed))?;
        // SAFETY: S1.
        Some(unsafe { Runnable::new(cell) })
    }

    /// Takes the actor out from another thread.
    pub(crate) fn steal(&self) -> Option<Runnable> {
        // Ordering: Relaxed: only compared with.
        let seen = NonNull::new(self.0.load(Ordering::Relaxed))?;
        // Ordering: Acquire pairs with the Release in `put`.
        self.0.compare_exchange(seen.as_ptr(), null_mut(), Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: S1.
        Some(unsafe { Runnable::new(seen) })
    }

    /// Whether it looks empty from another thread.
    pub(crate) fn is_empty(&self) -> bool {
        // Ordering: Relaxed: a hint.
        self.0.load(Ordering::Relaxed).is_null()
    }
}
