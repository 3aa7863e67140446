//! The actor cell: what one actor is in memory, and the handles to it.
//!
//! ```text
//! line 0, written by senders:      word | refs | vtable | hub | id | ext | next | life
//! line 1, written by the consumer: list (2) | spent | parent | children (2) | handled | slot, control, phase, cause
//! then the actor's state
//! ```
//! `vtable`, `hub` and `id` never change; they lie with what senders need.
//!
//! # Invariants
//! - **C1** The header is valid while `refs` is not zero. The runtime has one reference from the making to the end of
//!   the actor; it is kept by the parent's list of children or by the system's registry.
//! - **C2** Line 1 except `control` and `handled`, and the state, are touched only by the holder of the right to run:
//!   [`Runnable`] is that right as a value. `slot` is the parent's.
//! - **C3** The state is initialised from the making of the cell until phase `Ended`, but while a restart has dropped it
//!   and not yet made it anew ([`Restart::is_bare`]).
//! - **C4** A parent does not end before its last child has been taken off its list, so a child may reach its parent
//!   until it has pushed itself on the parent's life word.

use super::children::Children;
use super::context::Context;
use super::credits::{Bound, Credits};
use super::ext::{Born, Ext, ended_mark, free_ext};
use super::failure::{Failure, Verdict};
use super::hub::HubRef;
use super::life::Life;
use super::linger::Next;
use super::mailbox::List;
use super::node::Node;
pub(crate) use super::phase::{Cause, Phase, control};
use super::restart::RestartOf;
use super::retry::{Retry, RuleOf};
use super::schedule::{Allowance, Body};
use super::special::Special;
use super::state::{Signalled, Word};
use super::watch::{ActorId, StopReason, Watchers};
use crate::sync::acquire_all;
use crate::sync::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use crate::sync::atomic::{AtomicPtr, AtomicU16, AtomicUsize, Ordering};
use crate::sync::cell::UnsafeCell;
use crate::sync::deque::Stored;
use crate::sync::{Function, Tally, Text};
use std::any::type_name;
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};

/// What an actor's type is to the kernel.
pub(crate) struct VTable {
    layout: Layout,
    /// From the header to the state.
    offset: usize,
    pub(super) started: unsafe fn(NonNull<()>, NonNull<()>),
    pub(super) stopped: unsafe fn(NonNull<()>, &StopReason),
    pub(super) child_failed: unsafe fn(NonNull<()>, NonNull<()>, &Failure) -> Verdict,
    pub(super) drop_state: unsafe fn(NonNull<()>),
    pub(crate) type_name: fn() -> &'static str,
}

/// The header of a cell.
#[repr(C, align(64))]
pub(crate) struct Header {
    // Line 0.
    pub(super) word: Word,
    refs: AtomicUsize,
    pub(super) vtable: &'static VTable,
    pub(super) hub: HubRef,
    pub(super) id: ActorId,
    /// What only watched, linked, failed, named, restartable or bounded actors need, and who sets timers: null, an `Ext`, which
    /// may be marked, or `ENDED`.
    pub(super) ext: AtomicPtr<Ext>,
    /// The next in the parent's stack of ended children, or where it lingers.
    pub(super) next: Next,
    pub(super) life: Life,
    // Line 1.
    pub(super) list: List,
    /// A lone message that has been handled in place and may still be in the mailbox.
    pub(super) spent: Cell<*mut Node>,
    /// Null for an actor of the root.
    pub(super) parent: *const Header,
    pub(super) children: UnsafeCell<Children>,
    /// Messages that it has begun to handle. Written by the holder of the right to run, read by anybody.
    pub(super) handled: Tally,
    /// The place in the parent's list, or in the registry.
    pub(super) slot: Cell<u32>,
    control: AtomicU16,
    pub(super) phase: Cell<Phase>,
    pub(super) cause: Cell<Cause>,
    /// Loom sees here whether one turn comes before the next (C2).
    #[cfg(loom)]
    pub(super) turns: UnsafeCell<()>,
}

#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<Header>() == 128);

#[repr(C)]
struct CellOf<A> {
    header: Header,
    state: MaybeUninit<A>,
}

// An idle actor with a word of state, with everything that belongs to it.
#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<CellOf<usize>>() <= 192);

/// A counted reference to a cell: keeps its memory, not the actor.
pub(crate) struct CellRef(NonNull<Header>);

// SAFETY: what the handle reaches is atomic or constant, and the state behind it is `Send` (`Body`).
unsafe impl Send for CellRef {}
// SAFETY: as above.
unsafe impl Sync for CellRef {}

/// A counted reference to a cell whose state is an `A`.
pub(crate) struct Address<A> {
    cell: CellRef,
    state: PhantomData<fn(A)>,
}

/// The right to run a cell, and the duty to see that it runs.
#[must_use = "a runnable cell that is dropped never runs again"]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Runnable(NonNull<Header>);

// SAFETY: the right to run may pass to any thread: the state is `Send`, and it passes by release and acquire.
unsafe impl Send for Runnable {}

/// Runs an actor on a thread of its own.
pub(crate) type Home = Function<Runnable>;

/// Where a new actor belongs.
pub(crate) enum Under {
    /// The root: the registry keeps the runtime's reference.
    Root,
    /// The actor whose handler is running, by the pointer of its context: one to the whole cell.
    Parent(NonNull<Header>),
    /// Nowhere: it has ended before it began.
    Nowhere(Cause),
}

impl<A: Body> Address<A> {
    const VTABLE: &'static VTable = &VTable {
        layout: Layout::new::<CellOf<A>>(),
        offset: std::mem::offset_of!(CellOf<A>, state),
        started: started::<A>,
        stopped: stopped::<A>,
        child_failed: child_failed::<A>,
        drop_state: drop_state::<A>,
        type_name: type_name::<A>,
    };

    /// Makes a cell. For a root or a child, `registered` more references are made for the runtime.
    ///
    /// Returns the address and, unless it has ended before it began, the right to run the first activation.
    pub(crate) fn create(actor: A, hub: HubRef, id: ActorId, under: &Under) -> (Self, Option<Created>) {
        let (parent, slot, cause) = match *under {
            Under::Root => (std::ptr::null(), 0, None),
            Under::Parent(parent) => (parent.as_ptr().cast_const(), 0, None),
            Under::Nowhere(cause) => (std::ptr::null(), 0, Some(cause)),
        };
        let born = cause.is_none();
        let header = Header {
            word: if born { Word::scheduled() } else { Word::closed() },
            refs: AtomicUsize::new(if born { 2 } else { 1 }),
            vtable: Self::VTABLE,
            hub,
            id,
            ext: AtomicPtr::new(if born { null_mut() } else { ended_mark() }),
            next: Next::new(),
            life: Life::new(),
            list: List::new(),
            spent: Cell::new(null_mut()),
            parent,
            children: UnsafeCell::new(Children::new()),
            handled: Tally::new(),
            slot: Cell::new(slot),
            control: AtomicU16::new(if born { 0 } else { control::STILLBORN }),
            phase: Cell::new(if born { Phase::Starting } else { Phase::Ended }),
            cause: Cell::new(cause.unwrap_or(Cause::Stopped)),
            #[cfg(loom)]
            turns: UnsafeCell::new(()),
        };
        // One that is not born is dropped here: a panic of its drop finds nothing that would leak.
        let state = if born {
            MaybeUninit::new(actor)
        } else {
            drop(actor);
            MaybeUninit::uninit()
        };
        let layout = Layout::new::<CellOf<A>>();
        // SAFETY: a cell is never of size zero.
        let memory = unsafe { alloc(layout) };
        let Some(memory) = NonNull::new(memory.cast::<CellOf<A>>()) else { handle_alloc_error(layout) };
        // SAFETY: fresh memory of this layout.
        unsafe { memory.write(CellOf { header, state }) };
        let cell = memory.cast::<Header>();
        let created = born.then(|| Created { runtime: CellRef(cell), runnable: Runnable(cell) });
        (Self { cell: CellRef(cell), state: PhantomData }, created)
    }
}

impl<A> Address<A> {
    /// A new address of an actor that is running.
    ///
    /// # Safety
    /// 1. The cell has not ended (C1), and its state is an `A`.
    pub(super) unsafe fn of_running(cell: NonNull<Header>) -> Self {
        let borrowed = std::mem::ManuallyDrop::new(CellRef(cell));
        Self { cell: (*borrowed).clone(), state: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn cell(&self) -> &CellRef {
        &self.cell
    }

    /// Gives a new actor what few have. Before its first activation, and before anybody else knows the cell. `birth` is called
    /// for one that is restartable.
    pub(crate) fn equip(&self, _: &Created, extras: Extras<A>, birth: impl FnOnce() -> u64) {
        let Extras { name, restart, bound, retries, allowance, home } = extras;
        let credits = bound.map(|bound| Box::new(Credits::new(bound)));
        let retry = Retry::new(retries);
        let special = retry.is_some() || allowance.is_some();
        if special || credits.is_some() {
            self.cell.header().note_bits(control::SPECIAL);
        }
        if name.is_some() || restart.is_some() || credits.is_some() || special || home.is_some() {
            let restart = restart.map(|restart| restart.born(birth()));
            let special = special.then(|| Box::new(Special { retry, allowance }));
            self.cell.header().extend(Born { name, restart, credits, special, home });
        }
    }
}

impl Created {
    /// Notes where the registry keeps the runtime's reference. Before the first activation.
    pub(crate) fn register(&self, slot: u32) {
        self.runtime.header().slot.set(slot);
    }
}

/// What a new actor has that few have.
pub(crate) struct Extras<A> {
    pub(crate) name: Option<Text>,
    pub(crate) restart: Option<RestartOf<A>>,
    pub(crate) bound: Option<Bound>,
    /// One for each type of message.
    pub(crate) retries: Vec<RuleOf<A>>,
    pub(crate) allowance: Option<Allowance>,
    pub(crate) home: Option<Home>,
}

impl<A> Extras<A> {
    pub(crate) fn none() -> Self {
        Self { name: None, restart: None, bound: None, retries: Vec::new(), allowance: None, home: None }
    }
}

/// The runtime's part of a new cell.
pub(crate) struct Created {
    /// C1: to be kept until the actor has ended.
    pub(crate) runtime: CellRef,
    pub(crate) runnable: Runnable,
}

impl<A> Clone for Address<A> {
    #[inline]
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone(), state: PhantomData }
    }
}

unsafe fn started<A: Body>(state: NonNull<()>, context: NonNull<()>) {
    // SAFETY: stored in the vtable of `A`; the caller has the right to run (C2, C3).
    let state = unsafe { state.cast::<A>().as_mut() };
    // SAFETY: a `Context` is the same for every `A`, and lent by the caller.
    let context = unsafe { context.cast::<Context<A>>().as_mut() };
    state.on_started(context);
}

unsafe fn stopped<A: Body>(state: NonNull<()>, reason: &StopReason) {
    // SAFETY: stored in the vtable of `A`; the caller has the right to run (C2, C3).
    unsafe { state.cast::<A>().as_mut() }.on_stopped(reason);
}

unsafe fn child_failed<A: Body>(state: NonNull<()>, context: NonNull<()>, failure: &Failure) -> Verdict {
    // SAFETY: stored in the vtable of `A`; the caller has the right to run (C2, C3).
    let state = unsafe { state.cast::<A>().as_mut() };
    // SAFETY: a `Context` is the same for every `A`, and lent by the caller.
    let context = unsafe { context.cast::<Context<A>>().as_mut() };
    state.on_child_failed(failure, context)
}

unsafe fn drop_state<A>(state: NonNull<()>) {
    // SAFETY: stored in the vtable of `A`; the caller drops once (C3).
    unsafe { state.cast::<A>().drop_in_place() };
}

impl CellRef {
    #[inline(always)]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: C1.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(super) fn raw(&self) -> NonNull<Header> {
        self.0
    }

    /// Where the cell lies: the identity of a reference.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Gives the reference out as a pointer, without counting.
    pub(super) fn into_raw(self) -> NonNull<Header> {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    /// Takes back what [`CellRef::into_raw`] gave out.
    ///
    /// # Safety
    /// 1. The pointer came from `into_raw`, once.
    pub(super) unsafe fn from_raw(raw: NonNull<Header>) -> Self {
        Self(raw)
    }

    /// Asks the actor to stop: the message it handles is its last.
    pub(crate) fn stop(&self, bits: u16) {
        self.wake_for(bits);
    }

    /// Sets bits of the control word, and sees to it that the actor looks.
    pub(super) fn wake_for(&self, bits: u16) {
        if self.header().request_stop(bits) {
            // The word was idle, the life word awaited, or it lingered: by their tables the right to run is ours now.
            self.header().hub.schedule(Runnable(self.0));
        }
    }

    /// Closes the mailbox; what is queued will be handled.
    pub(crate) fn drain(&self) {
        match self.header().word.drain() {
            // The word was idle: by its table the right to run is ours now.
            Signalled::WasIdle => self.header().hub.schedule(Runnable(self.0)),
            Signalled::Noted => {
                if let Some(runnable) = self.header().claim_lingering() {
                    self.header().hub.schedule(runnable);
                }
            }
            Signalled::Closed => {}
        }
        if let Some(credits) = self.header().credits() {
            credits.close();
        }
    }
}

impl Clone for CellRef {
    #[inline]
    fn clone(&self) -> Self {
        // Ordering: Relaxed: the caller's own reference keeps the count from its end.
        let before = self.header().refs.fetch_add(1, Ordering::Relaxed);
        // A leak of 2^63 references would wrap; nothing but `mem::forget` in a loop for centuries gets there.
        debug_assert!(before < usize::MAX / 2);
        Self(self.0)
    }
}

impl Drop for CellRef {
    #[inline]
    fn drop(&mut self) {
        // Ordering: Release: our uses come before the last one's free.
        if self.header().refs.fetch_sub(1, Ordering::Release) == 1 {
            acquire_all!(self.header().refs);
            // SAFETY: C1: that was the last reference.
            unsafe { free(self.0) };
        }
    }
}

#[cold]
unsafe fn free(cell: NonNull<Header>) {
    // SAFETY: passed on: nobody else knows the cell.
    let header = unsafe { cell.read() };
    debug_assert_eq!(header.phase.get(), Phase::Ended);
    header.children.with_mut(|children| {
        // SAFETY: nobody else knows the cell.
        debug_assert!(unsafe { &*children }.is_empty());
    });
    let layout = header.vtable.layout;
    // SAFETY: made in `create` with this layout; the state is gone (C3), and the header was moved out.
    unsafe { dealloc(cell.as_ptr().cast(), layout) };
    let ext = header.ext.load(Ordering::Relaxed); // Ordering: Relaxed: nobody else knows the cell.
    // SAFETY: of this cell, which is freed here.
    unsafe { free_ext(ext) };
    header.hub.recycle();
}

impl Runnable {
    /// # Safety
    /// 1. The caller has just got the right to run this cell by one of its words.
    #[inline(always)]
    pub(super) unsafe fn new(cell: NonNull<Header>) -> Self {
        Self(cell)
    }

    #[inline(always)]
    pub(super) fn cell(&self) -> NonNull<Header> {
        self.0
    }

    /// What runs the actor, if it has a thread of its own. A copy: the actor may end before it has returned.
    #[inline]
    pub(crate) fn home(&self) -> Option<Home> {
        self.header().home().cloned()
    }

    /// Where the cell lies: the identity of the actor.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Asks for a stop, as whoever has the right to run may.
    pub(crate) fn stop(&self) {
        self.header().stop_self();
    }

    /// The header; alive because a cell with a right to run has not ended (C1).
    #[inline(always)]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: C1.
        unsafe { self.0.as_ref() }
    }
}

impl crate::sync::deque::Word for Runnable {
    fn into_word(self) -> NonNull<()> {
        self.0.cast()
    }

    fn from_word(word: Stored<Self>) -> Self {
        // The queue vouches for it: what `into_word` gave out, back for the first time.
        Self(word.into_pointer().cast())
    }
}

impl Header {
    pub(crate) fn id(&self) -> ActorId {
        self.id
    }

    pub(crate) fn hub(&self) -> &HubRef {
        &self.hub
    }

    /// Whether the actor had ended before it began. Constant once the cell is made.
    pub(crate) fn is_stillborn(&self) -> bool {
        self.control_bits() & control::STILLBORN != 0
    }

    pub(crate) fn type_name(&self) -> &'static str {
        (self.vtable.type_name)()
    }

    pub(crate) fn word(&self) -> &Word {
        &self.word
    }

    pub(super) fn state(cell: NonNull<Self>, offset: usize) -> NonNull<()> {
        // The offset lies inside the cell's allocation; the pointer is used only by the vtable's functions.
        let state = cell.as_ptr().cast::<u8>().wrapping_add(offset);
        // SAFETY: a valid pointer moved forward inside its allocation is not null.
        unsafe { NonNull::new_unchecked(state.cast()) }
    }

    pub(super) fn state_offset(&self) -> usize {
        self.vtable.offset
    }

    /// Puts a message into the list, past the mailbox.
    ///
    /// # Safety
    /// 1. The caller has the right to run the cell (C2).
    /// 2. It owns the node, which is bound to this cell, and gives it up.
    #[inline(always)]
    pub(super) unsafe fn receive(&self, node: NonNull<Node>) {
        #[cfg(loom)]
        self.turns.with_mut(|_| ());
        // SAFETY: passed on to the caller.
        unsafe { self.list.push(node) };
    }

    /// What comes before messages: a stop, or a restart.
    #[inline(always)]
    pub(super) fn stop_bits(&self) -> u16 {
        self.control_bits() & !(control::NOTES | control::SPECIAL)
    }

    /// What comes before the short way of a message: that, or that its batches are special.
    #[inline(always)]
    pub(super) fn detour_bits(&self) -> u16 {
        self.control_bits() & !control::NOTES
    }

    /// All bits of the control word.
    #[inline(always)]
    pub(super) fn control_bits(&self) -> u16 {
        // Ordering: Relaxed: what makes the flags visible is the Acquire of a take, or of the life word; before that a stale
        // zero only lets one more message through.
        self.control.load(Ordering::Relaxed)
    }

    /// A stop asked for by the actor itself, in its own activation.
    pub(super) fn stop_self(&self) {
        self.note_bits(control::OWN);
    }

    /// Sets bits of the control word, in the actor's own activation.
    pub(super) fn note_bits(&self, bits: u16) {
        // Ordering: Relaxed: read by this thread, or after the right to run has passed on.
        self.control.fetch_or(bits, Ordering::Relaxed);
    }

    /// Takes bits off the control word, in the actor's own activation.
    pub(super) fn clear_bits(&self, bits: u16) {
        // Ordering: Relaxed: as above. Bits that others set meanwhile stay.
        self.control.fetch_and(!bits, Ordering::Relaxed);
    }

    /// Asks for a stop. Returns whether the caller has the duty to schedule.
    #[must_use = "the duty to schedule"]
    fn request_stop(&self, bits: u16) -> bool {
        // Ordering: Relaxed: published by the Release of the exchange below, on whichever word takes it.
        self.control.fetch_or(bits, Ordering::Relaxed);
        match self.word.signal() {
            Signalled::WasIdle => true,
            // Whoever has the right to run will look, if somebody has: one that is suspended waits on the life word.
            Signalled::Noted | Signalled::Closed => self.life.signal() || self.claim_lingering().is_some(),
        }
    }

    /// Why the actor ends. Only once it ends: by the holder of the right to run, or after `watchers` said so.
    pub(super) fn reason(&self) -> StopReason {
        self.reason_of(self.cause.get())
    }

    /// A cause, with the text that belongs to it.
    pub(super) fn reason_of(&self, cause: Cause) -> StopReason {
        match cause {
            Cause::Stopped => StopReason::Stopped,
            Cause::Drained => StopReason::Drained,
            Cause::Panicked => StopReason::Panicked(self.panic_text()),
            Cause::Escalated => StopReason::Escalated(self.panic_text()),
            Cause::ParentStopped => StopReason::ParentStopped,
            Cause::SystemShutdown => StopReason::SystemShutdown,
            Cause::Linked => StopReason::Linked,
        }
    }

    fn panic_text(&self) -> Text {
        self.watchers().and_then(Watchers::panic).unwrap_or_else(|| "".into())
    }
}
