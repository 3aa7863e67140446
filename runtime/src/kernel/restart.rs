//! An actor that has failed: suspended, and made anew in its cell, or given up.
//!
//! Promise: address, mailbox with its order, watches and place among the children stay, and so do name and links; nothing of the failed state does, nor
//! do its timers. A
//! stop in any step wins at once, and the state that is there then, if one is, is dropped once.
//!
//! How: all of it are turns of the failed actor itself, in the phases `Failed` (its parent is to decide), `Renewing` (its
//! children end) and `Backoff` (its time is to come). In each it waits on its life word, and whoever moves that on (the
//! parent's answer, the last child, the alarm, a stop) has the duty to schedule it. The mailbox word stays non-`IDLE` all the
//! while, so that senders queue and never schedule. The steps and the arguments are in the README beside this file.
//!
//! Which failure leads to a restart, and when, a [`Policy`] says, which lies above the kernel.
//!
//! # Invariants
//! - **S1** [`Restart::own`] is touched only by the holder of the right to run (C2); no user code runs meanwhile.
//! - **S2** A cell's restart makes states of the cell's own type: it was bound to it by `equip`.
//! - **S3** An alarm's pointer is a counted reference to a cell.

use super::cell::{Cause, CellRef, Header, Phase, Runnable, control};
use super::context::Context;
use super::failure::{Decision, Failure};
use super::front;
use super::guard::guarded;
use super::outbox;
use super::schedule::{Host, Policy};
use super::supervise::{self, Notes};
use super::turn::{After, BURIED, begin_end, cancel_timers, has_children, reap, settle_spent, stop_children};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::cell::UnsafeCell;
use crate::sync::{Mutex, Text};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

/// What an actor is restarted by. Behind `ext`.
pub(super) struct Restart {
    /// S1.
    own: UnsafeCell<Own>,
    /// Which incarnation this is; written by the holder of the right to run.
    incarnation: AtomicU32,
    /// When it was spawned, among all that are restartable. Constant.
    pub(super) birth: u64,
    /// Constant: see [`Policy::never`].
    pub(super) never: bool,
    /// Between the actor and its parent.
    pub(super) notes: Mutex<Notes>,
}

struct Own {
    factory: Option<Box<dyn Remake>>,
    policy: Box<dyn Policy>,
    /// The state has been dropped, and not yet made anew.
    bare: bool,
    restarts: u64,
}

/// What an actor of type `A` is restarted by.
pub(crate) struct RestartOf<A> {
    restart: Restart,
    state: PhantomData<fn() -> A>,
}

/// A factory whose type is forgotten.
trait Remake: Send {
    /// Makes a state.
    ///
    /// # Safety
    /// 1. `state` is valid for writes of what the factory makes.
    unsafe fn remake(&mut self, state: NonNull<()>);
}

struct By<F>(F);

impl<A, F: FnMut() -> A + Send> Remake for By<F> {
    unsafe fn remake(&mut self, state: NonNull<()>) {
        let made = (self.0)();
        // SAFETY: passed on to the caller.
        unsafe { state.cast::<A>().write(made) };
    }
}

impl<A: 'static> RestartOf<A> {
    pub(crate) fn new(factory: impl FnMut() -> A + Send + 'static, policy: Box<dyn Policy>) -> Self {
        let never = policy.never();
        let own = Own { factory: Some(Box::new(By(factory))), policy, bare: false, restarts: 0 };
        let restart = Restart {
            own: UnsafeCell::new(own),
            incarnation: AtomicU32::new(0),
            birth: 0,
            never,
            notes: Mutex::new(Notes::default()),
        };
        Self { restart, state: PhantomData }
    }
}

impl<A> RestartOf<A> {
    /// `birth` tells its place among the restartable siblings.
    pub(super) fn born(self, birth: u64) -> Restart {
        Restart { birth, ..self.restart }
    }
}

impl Restart {
    /// S1: only for the holder of the right to run; `f` runs no user code.
    fn own<R>(&self, f: impl FnOnce(&mut Own) -> R) -> R {
        self.own.with_mut(|own| {
            // SAFETY: S1.
            f(unsafe { &mut *own })
        })
    }

    /// Whether there is no state. Only for the holder of the right to run.
    pub(super) fn is_bare(&self) -> bool {
        self.own(|own| own.bare)
    }

    /// Gives the factory up, whose drop is user code. Only for the holder of the right to run, at the end.
    pub(super) fn end(&self) {
        let factory = self.own(|own| own.factory.take());
        let _ = guarded(|| drop(factory));
    }

    pub(super) fn incarnation(&self) -> u32 {
        // Ordering: Relaxed: asked by the actor's own turns, or by those who made a continuation in one.
        self.incarnation.load(Ordering::Relaxed)
    }
}

/// The actor's code has failed, or it has stopped itself and is always restarted: its turn ends here.
#[cold]
pub(super) fn fail<H: Host>(cell: NonNull<Header>, host: &H, cause: Cause, text: Option<Text>) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    let ends = header.stop_bits() & control::ENDS;
    let restart = header
        .restart()
        .filter(|restart| ends == 0 || (ends == control::OWN && restart.own(|own| own.policy.always())));
    let root = header.parent.is_null();
    let Some(restart) = restart else {
        if cause != Cause::Escalated {
            return begin_end(cell, host, cause, text);
        }
        if ends != 0 {
            // It ends anyway, and so it goes no further.
            return begin_end(cell, host, Cause::of_control(ends), text);
        }
        if root {
            header.hub().escalated(Failure::of(header, cause, 0, Decision::Escalate));
        }
        return begin_end(cell, host, cause, text);
    };
    if let Some(text) = text {
        header.note_panic(text);
    }
    header.clear_bits(control::OWN);
    header.cause.set(cause);
    settle_spent(header);
    let (id, hub) = (header.id, header.hub());
    let ((proposed, delay), restarts) = restart.own(|own| (own.policy.failed(id, hub), own.restarts));
    let failure = Failure::of(header, cause, restarts, proposed);
    if !root {
        header.phase.set(Phase::Failed);
        supervise::report(cell, header, restart, failure, delay);
        return decided(cell, host);
    }
    match proposed {
        Decision::Restart => renew(cell, host, restart, delay),
        Decision::Stop => begin_end(cell, host, cause, None),
        Decision::Escalate => {
            hub.escalated(failure);
            begin_end(cell, host, cause, None)
        }
    }
}

/// Goes on where it has waited.
#[cold]
pub(super) fn go_on<H: Host>(cell: NonNull<Header>, host: &H) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    match (header.phase.get(), header.restart()) {
        (Phase::Failed, _) => decided(cell, host),
        (Phase::Renewing, Some(restart)) => renewing(cell, host, restart),
        (Phase::Backoff, Some(restart)) => backoff(cell, host, restart),
        _ => unreachable!("only restartable actors are suspended"),
    }
}

/// A turn that was to look at the control word: ends the actor, or restarts it.
#[cold]
pub(super) fn obey<H: Host>(cell: NonNull<Header>, host: &H) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    let bits = header.stop_bits();
    if let Some(restart) = header.restart() {
        let ends = bits & control::ENDS;
        if ends == 0 {
            settle_spent(header);
            return renew(cell, host, restart, supervise::ordered(header, restart));
        }
        if ends == control::OWN && restart.own(|own| own.policy.always()) {
            return fail(cell, host, Cause::Stopped, None);
        }
    }
    begin_end(cell, host, Cause::of_control(bits), None)
}

/// `Failed`: waits for the parent's answer.
fn decided<H: Host>(cell: NonNull<Header>, host: &H) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    loop {
        supervise::dismiss(header, reap(header));
        let bits = header.stop_bits();
        if bits & control::GIVE_UP != 0 {
            return begin_end(cell, host, header.cause.get(), None);
        }
        if bits & control::ENDS != 0 {
            return begin_end(cell, host, Cause::of_control(bits), None);
        }
        if let Some(restart) = header.restart().filter(|_| bits & control::RESTART != 0) {
            return renew(cell, host, restart, supervise::ordered(header, restart));
        }
        if header.life.wait() {
            return After::Done;
        }
    }
}

/// Lets go of what belongs to the old state, and of the state.
fn renew<H: Host>(cell: NonNull<Header>, host: &H, restart: &Restart, delay: Duration) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    // What the old incarnation waits for is not for the new one: see `resume`.
    // Ordering: Relaxed: see `incarnation`.
    restart.incarnation.fetch_add(1, Ordering::Relaxed);
    supervise::set_delay(restart, delay);
    if !restart.own(|own| std::mem::replace(&mut own.bare, true)) {
        let state = Header::state(cell, header.state_offset());
        // SAFETY: C3: dropped once; `bare` says so.
        let _ = front::letting_go(header, || guarded(|| unsafe { (header.vtable.drop_state)(state) }));
        outbox::settle();
    }
    // SAFETY: C2: the right to run is ours.
    unsafe { header.settle_front() };
    header.phase.set(Phase::Renewing);
    stop_children(header);
    renewing(cell, host, restart)
}

/// `Renewing`: takes the timers back, and waits for the children's ends.
fn renewing<H: Host>(cell: NonNull<Header>, host: &H, restart: &Restart) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    // SAFETY: C2: the right to run is ours, and no user code runs.
    let forgotten = unsafe { cancel_timers(header, BURIED) };
    outbox::settle();
    if !forgotten {
        // SAFETY: the right to run is ours.
        return After::Again(unsafe { Runnable::new(cell) });
    }
    loop {
        supervise::dismiss(header, reap(header));
        let bits = header.stop_bits();
        if bits & control::ENDS != 0 {
            return begin_end(cell, host, Cause::of_control(bits), None);
        }
        if !has_children(header) {
            break;
        }
        if header.life.wait() {
            return After::Done;
        }
    }
    header.phase.set(Phase::Backoff);
    let delay = supervise::delay(restart);
    if delay.is_zero() {
        // To the back of the queue all the same: one that fails again and again must not keep the worker.
        header.note_bits(control::DUE);
        // SAFETY: the right to run is ours.
        return After::Again(unsafe { Runnable::new(cell) });
    }
    let (alarm, hub) = (alarm(cell), header.hub());
    restart.own(|own| own.policy.suspend(delay, alarm, hub));
    backoff(cell, host, restart)
}

/// `Backoff`: waits for the alarm.
fn backoff<H: Host>(cell: NonNull<Header>, host: &H, restart: &Restart) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    loop {
        supervise::dismiss(header, reap(header));
        let bits = header.stop_bits();
        if bits & (control::ENDS | control::DUE) != 0 {
            let hub = header.hub();
            restart.own(|own| own.policy.resume(hub));
        }
        if bits & control::ENDS != 0 {
            return begin_end(cell, host, Cause::of_control(bits), None);
        }
        if bits & control::DUE != 0 {
            header.clear_bits(control::DUE | control::RESTART);
            return begin_anew(cell, host, restart);
        }
        if header.life.wait() {
            return After::Done;
        }
    }
}

/// Factory and `started`.
fn begin_anew<H: Host>(cell: NonNull<Header>, host: &H, restart: &Restart) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    let state = Header::state(cell, header.state_offset());
    let Some(mut factory) = restart.own(|own| own.factory.take()) else {
        unreachable!("a factory is given up at the end alone")
    };
    // SAFETY: S2, and the place is empty: it is bare.
    let made = guarded(|| unsafe { factory.remake(state) });
    outbox::settle();
    restart.own(|own| {
        own.factory = Some(factory);
        own.restarts += 1;
        own.bare = made.is_err();
    });
    host.restarted();
    let begun = made.and_then(|()| {
        header.phase.set(if header.word.peek().is_closed() { Phase::Draining } else { Phase::Running });
        // SAFETY: the right to run is ours for the whole turn; the context is lent to code made for this cell's type.
        let mut context = unsafe { Context::<()>::new(cell) };
        let context = NonNull::from(&mut context).cast::<()>();
        // SAFETY: C2, C3: it has just been made.
        guarded(|| unsafe { (header.vtable.started)(state, context) })
    });
    outbox::settle();
    // SAFETY: C2: the right to run is ours.
    unsafe { header.settle_front() };
    match begun {
        // SAFETY: the right to run is ours.
        Ok(()) => After::Again(unsafe { Runnable::new(cell) }),
        Err(text) => fail(cell, host, Cause::Panicked, Some(text)),
    }
}

const ALARM: &RawWakerVTable = &RawWakerVTable::new(clone_alarm, sound, sound_by_ref, drop_alarm);

/// A waker that ends the wait of `Backoff`.
fn alarm(cell: NonNull<Header>) -> Waker {
    // SAFETY: C1: the caller has the right to run; only cloned.
    let borrowed = ManuallyDrop::new(unsafe { CellRef::from_raw(cell) });
    let counted = (*borrowed).clone().into_raw();
    // SAFETY: the vtable keeps the contract of `RawWaker`: a reference per waker.
    unsafe { Waker::from_raw(RawWaker::new(counted.as_ptr().cast_const().cast(), ALARM)) }
}

/// # Safety
/// 1. An alarm's pointer, whose reference is there for as long as the result is used.
unsafe fn borrow_alarm(data: *const ()) -> ManuallyDrop<CellRef> {
    // SAFETY: S3: not null.
    let cell = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    // SAFETY: S3: not given up here.
    ManuallyDrop::new(unsafe { CellRef::from_raw(cell) })
}

unsafe fn clone_alarm(data: *const ()) -> RawWaker {
    // SAFETY: the waker's own reference.
    let cell = unsafe { borrow_alarm(data) };
    RawWaker::new((*cell).clone().into_raw().as_ptr().cast_const().cast(), ALARM)
}

unsafe fn sound(data: *const ()) {
    // SAFETY: passed on.
    unsafe { sound_by_ref(data) };
    // SAFETY: passed on.
    unsafe { drop_alarm(data) };
}

unsafe fn sound_by_ref(data: *const ()) {
    // SAFETY: the waker's own reference.
    unsafe { borrow_alarm(data) }.wake_for(control::DUE);
}

unsafe fn drop_alarm(data: *const ()) {
    // SAFETY: the waker's own reference, given up once.
    drop(ManuallyDrop::into_inner(unsafe { borrow_alarm(data) }));
}
