//! An actor that lingers: it has nothing to do, and the worker that has just run it keeps the right to run for one more turn.
//!
//! Promise: whom it has woken may answer it without an exchange: neither it nor its waker gives up the right to run in between.
//! Everybody else finds the right as soon as he comes for it.
//!
//! How: beside the slot with whom the last actor has woken, a worker has one for the last actor itself ([`Slot`]). While it lies
//! there its mailbox word says that somebody has the right to run, as it does in a turn. So whoever leaves something on a word
//! that was quiet looks at the actor's note of where it lingers, and takes it from there: its own worker without a fence,
//! others as thieves do. It then has the duty to schedule, as if the word had been idle. Whoever meets no note, or no actor,
//! came while the actor ran, went in or went out: who has the right to run looks at the word again, after one turn at the
//! latest, or, if that turn is stuck, the thief that comes for what waits behind it.
//!
//! Without it, a message from one actor to another and back cost two exchanges each way.
//!
//! Gives up: a sender from another thread that meets a lingering actor pays for the thief's fence. So a worker that was robbed
//! keeps nobody for a while; nor one whose actors linger in vain.

use super::cell::{Header, Runnable};
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::ptr::{NonNull, null_mut, without_provenance_mut};

/// Marks a note.
const NOTE: usize = 1;

const _: () = assert!(align_of::<Header>() > NOTE);

/// The next in the parent's stack of ended children; while the actor runs, a note of the worker where it last lingered.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Next(AtomicPtr<Header>);

impl Next {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// The next one. Only of an actor that is in a stack.
    pub(super) fn get(&self) -> *mut Header {
        // Ordering: Relaxed: handed on by the life word.
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, next: *mut Header) {
        // Ordering: Relaxed, as above.
        self.0.store(next, Ordering::Relaxed);
    }

    /// Where the actor last lingered.
    #[inline(always)]
    fn place(&self) -> Option<usize> {
        // Ordering: Relaxed: a hint; what acts on it is the slot's exchange.
        let seen = self.0.load(Ordering::Relaxed).addr();
        (seen & NOTE != 0).then_some(seen >> 1)
    }

    #[inline(always)]
    fn note(&self, place: usize) {
        if self.place() != Some(place) {
            // Ordering: Relaxed, as above.
            self.0.store(without_provenance_mut(place << 1 | NOTE), Ordering::Relaxed);
        }
    }
}

impl Runnable {
    /// It is about to linger at this worker.
    #[inline(always)]
    pub(crate) fn note_lingers(&self, worker: usize) {
        self.header().next.note(worker);
    }

    /// Gives up the right to run if nothing has come.
    #[inline(always)]
    pub(crate) fn let_go(self) -> Result<(), Self> {
        if self.header().word().go_idle() { Ok(()) } else { Err(self) }
    }
}

impl Header {
    /// Takes the right to run from where the actor lingers, if it does.
    #[inline(always)]
    #[must_use = "the right to run"]
    pub(super) fn claim_lingering(&self) -> Option<Runnable> {
        let worker = self.next.place()?;
        self.hub().lingering(NonNull::from(self), worker)
    }
}
