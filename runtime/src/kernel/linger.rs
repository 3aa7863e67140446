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
//! latest, or, if that turn is stuck, the thief that comes for what waits behind it. A note is taken back when the actor is let go,
//! and by who has got it by the note.
//!
//! Without it, a message from one actor to another and back cost two exchanges each way.
//!
//! Gives up: an actor that was woken from another thread, by a lone message, does not linger; it goes idle with the exchange that
//! drops that message from the mailbox. A sender from another thread that meets a lingering actor pays for the thief's fence. So
//! a worker that was robbed keeps nobody for a while; nor one whose actors linger in vain.

use super::cell::{Header, Runnable};
use super::slot::Slot;
use crate::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::ptr::{NonNull, null_mut, without_provenance_mut};

/// Marks a note.
const NOTE: usize = 1;

const _: () = assert!(align_of::<Header>() > NOTE);

/// The next in the parent's stack of ended or failed children; a note of the worker where the actor last lingered.
///
/// One that has been told to begin afresh, for a sibling's sake, may run while its parent still has it in the stack. So a note
/// never takes the place of a link, and at the end of a stack it is none.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Next(AtomicPtr<Header>);

impl Next {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// The next one in the stack.
    pub(crate) fn get(&self) -> *mut Header {
        // Ordering: Relaxed: handed on by the life word.
        let seen = self.0.load(Ordering::Relaxed);
        if seen.addr() & NOTE != 0 { null_mut() } else { seen }
    }

    /// Links it, before it goes into the stack. Only for the holder of the right to run.
    pub(crate) fn set(&self, next: *mut Header) {
        // Ordering: Relaxed, as above.
        self.0.store(next, Ordering::Relaxed);
    }

    /// Links it anew, in the stack. For its parent; the child may run by now, and note where it lingers.
    pub(crate) fn relink(&self, next: *mut Header) {
        // Ordering: Relaxed, as above. An exchange, so that a note's does not come in between.
        self.0.swap(next, Ordering::Relaxed);
    }

    /// Where the actor last lingered.
    #[inline(always)]
    pub(crate) fn place(&self) -> Option<usize> {
        // Ordering: Relaxed: a hint; what acts on it is the slot's exchange.
        let seen = self.0.load(Ordering::Relaxed).addr();
        (seen & NOTE != 0).then_some(seen >> 1)
    }

    /// Notes a place. Only for the holder of the right to run; false if there is a link.
    #[inline(always)]
    pub(crate) fn note(&self, place: usize) -> bool {
        self.place() == Some(place) || self.note_anew(place)
    }

    /// Takes a note back. Only for the holder of the right to run: else it might be one that is needed again.
    fn forget(&self) {
        // Ordering: Relaxed: only compared with.
        let seen = self.0.load(Ordering::Relaxed);
        if seen.addr() & NOTE != 0 {
            // Ordering: Relaxed, as above. A failure is a link.
            let _ = self.0.compare_exchange(seen, null_mut(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    #[cold]
    fn note_anew(&self, place: usize) -> bool {
        // Ordering: Relaxed: only compared with.
        let seen = self.0.load(Ordering::Relaxed);
        let free = seen.is_null() || seen.addr() & NOTE != 0;
        let note = without_provenance_mut(place << 1 | NOTE);
        // Ordering: Relaxed, as above. An exchange: the parent may link it meanwhile.
        free && self.0.compare_exchange(seen, note, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Where a worker keeps the actor that lingers.
#[derive(Debug)]
pub(crate) struct Lingers {
    slot: Slot,
    /// A thief has taken one.
    robbed: AtomicBool,
}

impl Lingers {
    pub(crate) fn new() -> Self {
        Self { slot: Slot::new(), robbed: AtomicBool::new(false) }
    }

    /// From another thread: a hint.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.slot.is_empty()
    }

    /// Keeps an actor with an empty mailbox, unless it cannot be found here. Owner only, whose number is `worker`, and only if
    /// nobody is here.
    #[inline(always)]
    pub(crate) fn keep(&self, runnable: Runnable, worker: usize) -> Result<(), Runnable> {
        if !runnable.header().next.note(worker) {
            return Err(runnable);
        }
        self.slot.fill(runnable);
        Ok(())
    }

    /// Takes this actor out, if it is here. Owner only.
    #[inline(always)]
    pub(crate) fn take(&self, cell: NonNull<Header>) -> Option<Runnable> {
        self.slot.take_this(cell)
    }

    /// Gives up whoever is here, or gives back who has something to do by now. Owner only.
    pub(crate) fn let_go(&self) -> Option<Runnable> {
        let runnable = self.slot.take()?;
        runnable.header().next.forget();
        runnable.let_go().err()
    }

    /// Takes this actor out, if it is here, from another thread.
    #[cold]
    pub(crate) fn rob(&self, cell: NonNull<Header>) -> Option<Runnable> {
        let robbed = self.slot.steal_this(cell)?;
        // Ordering: Relaxed: a hint.
        self.robbed.store(true, Ordering::Relaxed);
        Some(robbed)
    }

    /// Takes out whoever is here, whose worker is stuck.
    #[cold]
    pub(crate) fn steal(&self) -> Option<Runnable> {
        let stolen = self.slot.steal()?;
        // Ordering: Relaxed, as above.
        self.robbed.store(true, Ordering::Relaxed);
        Some(stolen)
    }

    /// Whether there was a thief since the last time. Owner only.
    #[inline(always)]
    pub(crate) fn was_robbed(&self) -> bool {
        // Ordering: Relaxed, as above.
        let robbed = self.robbed.load(Ordering::Relaxed);
        if robbed {
            // Ordering: Relaxed, as above.
            self.robbed.store(false, Ordering::Relaxed);
        }
        robbed
    }
}

impl Runnable {
    /// Gives up the right to run if nothing has come.
    #[inline(always)]
    pub(crate) fn let_go(self) -> Result<(), Self> {
        if self.header().word().go_idle() { Ok(()) } else { Err(self) }
    }
}

impl Header {
    #[cold]
    fn claim_lingering_at(&self, worker: usize) -> Option<Runnable> {
        let claimed = self.hub().lingering(NonNull::from(self), worker)?;
        claimed.header().next.forget();
        Some(claimed)
    }

    /// Takes the right to run from where the actor lingers, if it does.
    #[inline(always)]
    #[must_use = "the right to run"]
    pub(super) fn claim_lingering(&self) -> Option<Runnable> {
        let worker = self.next.place()?;
        self.claim_lingering_at(worker)
    }
}
