//! A parent and its children that fail: the report, the answer, and whom it concerns.
//!
//! Promise: a parent is told of each failure once, before its next message; an answer reaches a child that waits for one, and
//! nobody else; a stop of the child does not wait for it.
//!
//! How: a child that fails goes on its parent's stack of ended children, which the parent takes at the start of a turn, and
//! tells by its [`Notes`] that it has not ended. If it ends on its own while it lies there, it does not go there again.
//! An answer is bits of the child's control word, and a signal.

use super::cell::{Cause, CellRef, Header, Runnable, control};
use super::context::Context;
use super::failure::{Decision, Failure, Strategy, Verdict};
use super::guard::guarded;
use super::outbox;
use super::restart::Restart;
use super::state::Signalled;
use super::turn::{each_child, remove_child};
use super::watch::StopReason;
use crate::sync::Text;
use std::mem::{ManuallyDrop, replace, take};
use std::ptr::{NonNull, null_mut};
use std::time::Duration;

/// What lies between a restartable actor and its parent.
#[derive(Default)]
pub(super) struct Notes {
    place: Place,
    /// How long the restart is to wait that has been ordered, or is under way.
    delay: Duration,
}

/// Whether the actor lies on its parent's stack.
#[derive(Default)]
enum Place {
    /// No; if it does, it has ended.
    #[default]
    Off,
    /// Yes, by a failure, which waits for an answer.
    Reported(Failure),
    /// Yes, by a failure that has been answered with somebody else's.
    Answered,
    /// Yes, by a failure, and has ended since.
    Ended,
}

impl Failure {
    pub(super) fn of(header: &Header, cause: Cause, restarts: u64, proposed: Decision) -> Self {
        let reason = header.reason_of(cause);
        Self { id: header.id(), type_name: header.type_name(), reason, restarts, proposed }
    }

    /// What a parent says that fails by it.
    fn escalated(&self) -> Text {
        match &self.reason {
            // The first one's words: a long way up must not make them longer.
            StopReason::Escalated(text) => text.clone(),
            reason => format!("{} {} {reason}", self.type_name, self.id).into(),
        }
    }
}

/// Tells the parent of a failure. The actor waits for the answer on its life word.
pub(super) fn report(cell: NonNull<Header>, header: &Header, restart: &Restart, failure: Failure, delay: Duration) {
    {
        let mut notes = restart.notes.lock();
        notes.delay = delay;
        if !matches!(replace(&mut notes.place, Place::Reported(failure)), Place::Off) {
            // Still there from the last time: the parent will come by.
            return;
        }
    }
    if let Some(parent) = NonNull::new(header.parent.cast_mut()) {
        // SAFETY: C4: the parent keeps us on its list.
        unsafe { push(cell, header, parent) };
    }
}

/// Puts an actor on its parent's stack, and has the parent look there.
///
/// # Safety
/// 1. The parent's cell is there until this returns.
unsafe fn push(cell: NonNull<Header>, header: &Header, address: NonNull<Header>) {
    // SAFETY: 1.
    let parent = unsafe { address.as_ref() };
    let due = parent.life.push(cell, |next| header.next.set(next));
    // One that does not wait has the right to run, or is idle: a signal keeps it from going idle, or wakes it.
    if due || parent.word.signal() == Signalled::WasIdle || parent.claim_lingering().is_some() {
        // SAFETY: the parent awaited, was idle, or lingered: the right to run is ours now.
        let runnable = unsafe { Runnable::new(address) };
        parent.hub().schedule(runnable);
    }
}

/// As the last step of an actor's end: tells the parent. Returns whether that is done.
pub(super) fn end_of_child(cell: NonNull<Header>, header: &Header, parent: NonNull<Header>) -> bool {
    if let Some(restart) = header.restart() {
        // SAFETY: C1: the runtime's reference is still there. Ours keeps the lock until it has been let go.
        let _keep = (*ManuallyDrop::new(unsafe { CellRef::from_raw(cell) })).clone();
        let mut notes = restart.notes.lock();
        if matches!(notes.place, Place::Off) {
            return false;
        }
        notes.place = Place::Ended;
        return true;
    }
    if !matches!(header.cause.get(), Cause::Panicked | Cause::Escalated) {
        return false;
    }
    // SAFETY: C4: the parent is still there; our reference keeps it when it learns of the last child.
    let parent = (*ManuallyDrop::new(unsafe { CellRef::from_raw(parent) })).clone();
    // SAFETY: just counted.
    unsafe { push(cell, header, parent.raw()) };
    true
}

/// How long the restart waits that the parent has ordered; the order is taken.
pub(super) fn ordered(header: &Header, restart: &Restart) -> Duration {
    header.clear_bits(control::RESTART);
    let mut notes = restart.notes.lock();
    if matches!(notes.place, Place::Reported(_)) {
        // The order came before the failure was heard of, and is its answer.
        notes.place = Place::Answered;
    }
    notes.delay
}

pub(super) fn delay(restart: &Restart) -> Duration {
    restart.notes.lock().delay
}

pub(super) fn set_delay(restart: &Restart, delay: Duration) {
    restart.notes.lock().delay = delay;
}

/// What a child on the stack is there for.
enum Heard {
    /// It has ended. If it failed, and nobody has been told yet, so.
    Ended(Option<Failure>),
    /// It waits for an answer.
    Failed(Failure, Duration),
    /// It has got one.
    Answered,
}

/// Takes what a child is on the stack for. Its link may be used by the child afterwards.
fn hear(child: &Header) -> Heard {
    let Some(restart) = child.restart() else {
        let cause = child.cause.get();
        let proposed = if cause == Cause::Escalated { Decision::Escalate } else { Decision::Stop };
        let failed = matches!(cause, Cause::Panicked | Cause::Escalated);
        return Heard::Ended(failed.then(|| Failure::of(child, cause, 0, proposed)));
    };
    let mut notes = restart.notes.lock();
    match take(&mut notes.place) {
        Place::Off | Place::Ended => Heard::Ended(None),
        Place::Reported(failure) => Heard::Failed(failure, notes.delay),
        Place::Answered => Heard::Answered,
    }
}

/// Takes the chain that `reap` has left, for an actor that does not decide any more: its children end with it.
#[cold]
fn dismiss_all(header: &Header, chain: *mut Header) {
    each(chain, |child| {
        if let Heard::Ended(_) = hear(child.header()) {
            drop(remove_child(header, child.header()));
        }
    });
}

/// See [`dismiss_all`].
#[inline]
pub(super) fn dismiss(header: &Header, chain: *mut Header) {
    if !chain.is_null() {
        dismiss_all(header, chain);
    }
}

/// Calls `f` for each child of a chain.
fn each(mut chain: *mut Header, mut f: impl FnMut(&CellRef)) {
    while let Some(child) = NonNull::new(chain) {
        // SAFETY: C1: the list's reference keeps it until `f` has been called; ours is not given up.
        let child = (*ManuallyDrop::new(unsafe { CellRef::from_raw(child) })).clone();
        chain = child.header().next.get();
        // It is no link any more: the child may note where it lingers.
        child.header().next.relink(null_mut());
        f(&child);
    }
}

/// Decides what becomes of the children that `reap` has left. Returns false if the actor has itself failed by that: then
/// `cause` says how, and the text is noted.
#[cold]
pub(super) fn attend(cell: NonNull<Header>, chain: *mut Header) -> bool {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    let mut failed = None;
    each(chain, |child| {
        let (failure, delay, waits) = match hear(child.header()) {
            Heard::Ended(failure) => {
                drop(remove_child(header, child.header()));
                let Some(failure) = failure else { return };
                (failure, Duration::ZERO, false)
            }
            Heard::Failed(failure, delay) => (failure, delay, true),
            Heard::Answered => return,
        };
        // One that ends itself has stopped its children, or will.
        if failed.is_some() || header.stop_bits() & control::ENDS != 0 {
            return;
        }
        match decide(cell, &failure) {
            Ok((Decision::Restart, strategy)) if waits => restart(header, child, delay, strategy),
            Ok((decision, _)) => {
                if waits {
                    child.wake_for(control::GIVE_UP);
                }
                if decision == Decision::Escalate {
                    failed = Some((Cause::Escalated, failure.escalated()));
                }
            }
            Err(text) => failed = Some((Cause::Panicked, text)),
        }
    });
    // SAFETY: C2: the right to run is the caller's, and no message is being handled.
    unsafe { header.settle_front() };
    let Some((cause, text)) = failed else { return true };
    header.cause.set(cause);
    header.note_panic(text);
    false
}

/// Asks the actor.
fn decide(cell: NonNull<Header>, failure: &Failure) -> Result<Verdict, Text> {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    // SAFETY: the right to run is ours for the whole turn; the context is lent to code made for this cell's type.
    let mut context = unsafe { Context::<()>::new(cell) };
    let context = NonNull::from(&mut context).cast::<()>();
    let state = Header::state(cell, header.state_offset());
    // SAFETY: C2, C3: only one that has its state is asked.
    let decided = guarded(|| unsafe { (header.vtable.child_failed)(state, context, failure) });
    outbox::settle();
    decided
}

/// Orders the restart of a child, and of those that the strategy names.
fn restart(header: &Header, failed: &CellRef, delay: Duration, strategy: Strategy) {
    let Some(birth) = failed.header().restart().map(|restart| restart.birth) else { return };
    if strategy == Strategy::OneForOne {
        failed.wake_for(control::RESTART);
        return;
    }
    each_child(header, |child| {
        let Some(restart) = child.header().restart() else { return };
        let itself = child.address() == failed.address();
        if !itself && (strategy == Strategy::RestForOne && restart.birth < birth) {
            return;
        }
        if !itself && restart.never {
            child.wake_for(control::PARENT);
            return;
        }
        {
            let mut notes = restart.notes.lock();
            notes.delay = delay;
            if matches!(notes.place, Place::Reported(_)) {
                notes.place = Place::Answered;
            }
        }
        child.wake_for(control::RESTART);
    });
}
