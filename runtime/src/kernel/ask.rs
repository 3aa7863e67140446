//! The node of an ask: request and reply in one allocation.
//!
//! ```text
//! | node (16) | head: state, how it ended, waker | reply | request |
//! ```
//! A reply or a request that is too large is boxed.
//!
//! Promise: the asker learns exactly one outcome; a reply that comes after the asker has gone is dropped and counted; the
//! node goes back to the pool when the asker, the mailbox and a [`Replier`] are all done with it.
//!
//! How: the last three bits of the state word, each set once, and above them a count of references.
//!
//! | who | step | finds | duty |
//! |---|---|---|---|
//! | answer | sets `CLAIMED` | set already | drop the value: somebody else has answered |
//! | answer | writes the outcome, sets `DONE` | `WAKER` | wake the asker |
//! | | | `GONE` | drop the value, count it as late |
//! | asker | stores a waker, sets `WAKER` | `DONE` | take the waker back; the outcome is there |
//! | asker | goes: sets `GONE`, clears `WAKER` | `DONE` | drop the value if it was not taken |
//!
//! # Invariants
//! - **K1** The memory is valid while the count is not zero: one for the asker, one for the request's way (the mailbox,
//!   then the turn, until the node is out of the mailbox), one for a `Replier`.
//! - **K2** `outcome` and the reply are written by the one who set `CLAIMED`, before `DONE`; they are read by the asker
//!   after it has seen `DONE`, or by the answerer if it found `GONE`.
//! - **K3** The waker's slot belongs to the asker while `WAKER` is not set, and to the answerer if its `DONE` found
//!   `WAKER` set.
//! - **K4** `spared` belongs to the request's way, and says that a handler which panics is not the end of it: there is a
//!   clone that will be tried, or answered for.

use super::cell::Address;
use super::context::Context;
use super::guard::guarded;
use super::node::{self, Discard, Fate, How, Node, Peeked, RunFn};
use super::parcel::Parcel;
use super::place::{get, peek, place_of, put};
use super::pool::{self, Class};
use super::schedule::{Answer, Receive};
use crate::sync::acquire_all;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::cell::UnsafeCell;
use std::any::{Any, type_name};
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, forget};
use std::ptr::NonNull;
use std::task::Waker;

/// The outcome is there.
const DONE: u32 = 1;
/// The waker's slot is filled.
const WAKER: u32 = 2;
/// The asker has gone.
const GONE: u32 = 4;
/// Somebody writes the outcome.
const CLAIMED: u32 = 8;
/// One reference.
const ONE: u32 = 16;

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The actor had stopped, or stopped before it came to the request.
    Stopped,
    /// Nobody will answer: the `Replier` was dropped.
    NoReply,
    /// The handler panicked.
    Panicked,
    /// There was no room for the request, or it made room for another message.
    Full,
}

#[repr(C)]
struct Head {
    node: Node,
    state: AtomicU32,
    class: Class,
    /// K2.
    outcome: Cell<Option<Failure>>,
    /// K4.
    spared: Cell<bool>,
    /// K3.
    waker: UnsafeCell<Option<Waker>>,
}

/// Where the reply lies: known without the request's type.
const fn reply_offset<R>() -> usize {
    place_of::<R>(size_of::<Head>()).0
}

const fn request_place<M, R>() -> (usize, usize) {
    let (start, end) = place_of::<R>(size_of::<Head>());
    let (start, end) = place_of::<M>(if start > end { start } else { end });
    (start, end)
}

const fn class_for<M, R>() -> Class {
    match Class::fitting(request_place::<M, R>().1, align_of::<Head>()) {
        Some(class) => class,
        None => panic!("two inline parts fit the largest class"),
    }
}

/// # Safety
/// 1. The node is an ask's, valid (K1).
pub(super) unsafe fn at(node: NonNull<Node>, offset: usize) -> NonNull<u8> {
    // SAFETY: offsets lie inside the node's memory.
    unsafe { node.cast::<u8>().add(offset) }
}

/// # Safety
/// 1. The node is an ask's, valid (K1) for as long as the result is used.
unsafe fn head<'a>(node: NonNull<Node>) -> &'a Head {
    // SAFETY: passed on to the caller.
    unsafe { node.cast::<Head>().as_ref() }
}

/// Notes that a handler's panic does not answer this request.
///
/// # Safety
/// 1. The node is an ask's, and the caller's to run (N1).
pub(super) unsafe fn spare(node: NonNull<Node>) {
    // SAFETY: K1: the request's reference.
    unsafe { head(node) }.spared.set(true);
}

/// Puts the message of a node that was never pushed in the place of a request that has been taken.
///
/// # Safety
/// 1. The caller owns the spare node, whose payload is an `M`.
/// 2. `place` is a request's of that type, as [`How::Peek`] said, in an ask's node that is the caller's to run (N1).
pub(super) unsafe fn refill<M: Send + 'static>(spare: NonNull<Node>, place: NonNull<u8>) {
    // SAFETY: passed on to the caller.
    let message = unsafe { node::unmake::<M>(spare) };
    // SAFETY: passed on to the caller.
    unsafe { put(place, message) };
}

/// Where what follows the head may begin.
pub(super) const fn head_size() -> usize {
    size_of::<Head>()
}

/// Writes the head of a shared node with this many references.
///
/// # Safety
/// 1. The memory is fresh, of this class, and large enough for the head.
pub(super) unsafe fn write_head(memory: NonNull<u8>, class: Class, run: RunFn, references: u32) -> NonNull<Node> {
    let head = Head {
        node: Node::new(run),
        state: AtomicU32::new(references * ONE),
        class,
        outcome: Cell::new(None),
        spared: Cell::new(false),
        waker: UnsafeCell::new(None),
    };
    // SAFETY: passed on to the caller.
    unsafe { memory.cast::<Head>().write(head) };
    memory.cast()
}

/// Adds a reference.
///
/// # Safety
/// 1. The caller has one.
pub(super) unsafe fn retain(node: NonNull<Node>) {
    // SAFETY: K1.
    let head = unsafe { head(node) };
    // Ordering: Relaxed: the caller's own reference keeps the count from its end.
    head.state.fetch_add(ONE, Ordering::Relaxed);
}

/// Gives up one reference.
///
/// # Safety
/// 1. The reference is the caller's.
unsafe fn release(node: NonNull<Node>) {
    // The request has been moved out by its run, the reply by the asker or the answerer, the waker as K3 says: nothing is left
    // to drop.
    // SAFETY: passed on to the caller.
    unsafe { release_with(node, |_| {}) };
}

/// Gives up one reference; `last` drops what is left in the node if that was the last one.
///
/// # Safety
/// 1. The reference is the caller's.
pub(super) unsafe fn release_with(node: NonNull<Node>, last: impl FnOnce(NonNull<Node>)) {
    // SAFETY: K1.
    let head = unsafe { head(node) };
    let class = head.class;
    // Ordering: Release: our uses come before the last one's free.
    if head.state.fetch_sub(ONE, Ordering::Release) < 2 * ONE {
        acquire_all!(head.state);
        head.waker.with_mut(|waker| {
            // SAFETY: K1: that was the last one.
            debug_assert!(unsafe { &*waker }.is_none(), "K3");
        });
        last(node);
        // SAFETY: K1: that was the last one.
        unsafe { pool::free(node.cast(), class) };
    }
}

/// Gives up the request's reference, when the node has left the mailbox.
///
/// # Safety
/// 1. As [`release`], once, by the mailbox's consumer or by whom the mailbox refused.
pub(super) unsafe fn release_request(node: NonNull<Node>) {
    // SAFETY: passed on to the caller.
    unsafe { release(node) };
}

/// Answers, if nobody has. Returns whether somebody was still there to hear it.
///
/// # Safety
/// 1. The caller has a reference to the node, whose reply is an `R`.
unsafe fn answer<R>(node: NonNull<Node>, outcome: Result<R, Failure>) -> bool {
    // SAFETY: K1.
    let head = unsafe { head(node) };
    // Ordering: Relaxed: it only elects one writer; what that one writes goes with DONE.
    if head.state.fetch_or(CLAIMED, Ordering::Relaxed) & CLAIMED != 0 {
        return false;
    }
    // SAFETY: inside the node.
    let reply = unsafe { at(node, reply_offset::<R>()) };
    match outcome {
        Ok(value) => {
            // SAFETY: K2: ours to write.
            unsafe { put(reply, value) };
            head.outcome.set(None);
        }
        Err(failure) => head.outcome.set(Some(failure)),
    }
    // Ordering: Release publishes the outcome; Acquire for the waker, and for all that a gone asker did.
    let before = head.state.fetch_or(DONE, Ordering::AcqRel);
    if before & GONE != 0 {
        if head.outcome.get().is_none() {
            // SAFETY: K2: the asker has gone without it.
            drop(unsafe { get::<R>(reply) });
        }
        return false;
    }
    if before & WAKER != 0 {
        let waker = head.waker.with_mut(|waker| {
            // SAFETY: K3: ours now.
            unsafe { (*waker).take() }
        });
        if let Some(waker) = waker {
            // Foreign code: its panic is not the actor's.
            let _ = guarded(|| waker.wake());
        }
    }
    true
}

/// The asker's end.
pub(crate) struct Asker<R> {
    node: NonNull<Node>,
    /// The outcome has been taken, or given up.
    taken: bool,
    reply: PhantomData<R>,
}

// SAFETY: the reply is moved to the asker's thread, nothing is shared but the atomics.
unsafe impl<R: Send> Send for Asker<R> {}
// SAFETY: a shared `Asker` offers no method.
unsafe impl<R: Send> Sync for Asker<R> {}

/// The outcome of an ask.
pub(crate) type Outcome<R> = Result<R, Failure>;

impl<R> Asker<R> {
    /// Takes the outcome if it is there.
    pub(crate) fn try_take(&mut self) -> Option<Outcome<R>> {
        // SAFETY: K1: our reference.
        let head = unsafe { head(self.node) };
        // Ordering: Acquire pairs with the Release in `answer`: the outcome is written.
        if self.taken || head.state.load(Ordering::Acquire) & DONE == 0 {
            return None;
        }
        self.taken = true;
        Some(match head.outcome.get() {
            Some(failure) => Err(failure),
            None => {
                // SAFETY: inside the node.
                let reply = unsafe { at(self.node, reply_offset::<R>()) };
                // SAFETY: K2: written, and taken once.
                Ok(unsafe { get::<R>(reply) })
            }
        })
    }

    /// Has `waker` woken when the outcome comes. False if it is there already, or given up.
    #[must_use = "nobody wakes for an outcome that is there"]
    pub(crate) fn register(&mut self, waker: &Waker) -> bool {
        if self.taken {
            return false;
        }
        // SAFETY: K1: our reference.
        let head = unsafe { head(self.node) };
        // Ordering: Acquire: if DONE is set, the outcome will be read.
        let seen = head.state.load(Ordering::Acquire);
        if seen & DONE != 0 {
            return false;
        }
        // Foreign code, as are the drops at the end: only while all is in order.
        let new = waker.clone();
        if seen & WAKER != 0 {
            // Ordering: Acquire, as above; Release gives nothing away.
            if head.state.fetch_and(!WAKER, Ordering::AcqRel) & DONE != 0 {
                // The answer saw our waker and takes it.
                return false;
            }
        }
        let old = head.waker.with_mut(|slot| {
            // SAFETY: K3: ours while WAKER is not set.
            unsafe { (*slot).replace(new) }
        });
        // Ordering: Release publishes the waker; Acquire: if DONE is set, the outcome will be read.
        let late = head.state.fetch_or(WAKER, Ordering::AcqRel) & DONE != 0;
        // If so, the answer came before our waker, and did not see it.
        let unused = late.then(|| {
            head.waker.with_mut(|slot| {
                // SAFETY: K3: the answer's DONE found no WAKER, so the slot stays ours.
                unsafe { (*slot).take() }
            })
        });
        drop((old, unused));
        !late
    }

    /// Goes away: takes the outcome if it is there; one that comes later is late, and is counted as that.
    pub(crate) fn leave(&mut self) -> Option<Outcome<R>> {
        if self.taken {
            return None;
        }
        // SAFETY: K1: our reference.
        let head = unsafe { head(self.node) };
        // Ordering: Acquire pairs with `answer`'s Release: the outcome and the fate of the waker. Release: an answer that
        // finds GONE may drop the value knowing that we have not touched it.
        let before = head.state.fetch_or(GONE, Ordering::AcqRel);
        if before & DONE != 0 {
            return self.try_take();
        }
        self.taken = true;
        if before & WAKER != 0 {
            // Ordering: AcqRel as in `register`.
            let now = head.state.fetch_and(!WAKER, Ordering::AcqRel);
            // An answer that came in between found GONE, and left the waker to us; one that comes later finds no WAKER.
            debug_assert!(now & WAKER != 0);
            let unused = head.waker.with_mut(|slot| {
                // SAFETY: K3: an answer takes the waker only if it does not find GONE.
                unsafe { (*slot).take() }
            });
            drop(unused);
        }
        None
    }
}

impl<R> Drop for Asker<R> {
    fn drop(&mut self) {
        // Given up also if a reply that nobody takes panics when it is dropped.
        let _reference = Reference(self.node);
        drop(self.leave());
    }
}

/// One reference, which is given up when this is dropped.
struct Reference(NonNull<Node>);

impl Drop for Reference {
    fn drop(&mut self) {
        // SAFETY: made from a reference of the maker's own, once.
        unsafe { release(self.0) };
    }
}

/// A promise to answer, apart from the handler's own reply.
pub(crate) struct Replier<R> {
    node: NonNull<Node>,
    reply: PhantomData<fn(R)>,
}

// SAFETY: the reply is moved into the node from the replier's thread.
unsafe impl<R: Send> Send for Replier<R> {}
// SAFETY: a shared `Replier` offers no method.
unsafe impl<R: Send> Sync for Replier<R> {}

impl<R> Replier<R> {
    /// Answers. Returns whether somebody was still there to hear it.
    pub(crate) fn send(self, value: R) -> bool {
        // Given up also if a reply that nobody takes panics when it is dropped.
        let reference = Reference(ManuallyDrop::new(self).node);
        // SAFETY: K1: our reference, and an `R`.
        unsafe { answer::<R>(reference.0, Ok(value)) }
    }

    /// Says why there will be no answer.
    pub(crate) fn fail(self, failure: Failure) {
        let reference = Reference(ManuallyDrop::new(self).node);
        // SAFETY: K1: our reference, and an `R`.
        unsafe { answer::<R>(reference.0, Err(failure)) };
    }
}

impl<R> Drop for Replier<R> {
    fn drop(&mut self) {
        // SAFETY: K1: our reference, and an `R`.
        unsafe { answer::<R>(self.node, Err(Failure::NoReply)) };
        // SAFETY: ours, once.
        unsafe { release(self.node) };
    }
}

/// A name for the message of an ask's parcel, which cannot be taken back.
pub(crate) struct Asked;

fn new_node<M, R>(run: RunFn, references: u32) -> NonNull<Node> {
    let class = const { class_for::<M, R>() };
    let memory = pool::allocate(class);
    // SAFETY: fresh memory of a class that holds head, reply and request.
    unsafe { write_head(memory, class, run, references) }
}

impl<A> Address<A> {
    /// An ask that the handler's own reply answers.
    pub(crate) fn ask_parcel<M: Send + 'static>(&self, request: M) -> (Parcel<'_, Asked>, Asker<A::Reply>)
    where
        A: Answer<M>,
    {
        let node = new_node::<M, A::Reply>(run_ask::<A, M>, 2);
        // SAFETY: inside the fresh node.
        let place = unsafe { at(node, const { request_place::<M, A::Reply>().0 }) };
        // SAFETY: fresh memory, with room for it.
        unsafe { put(place, request) };
        // SAFETY: ours, with its payload, made for an `A`.
        let parcel = unsafe { Parcel::from_node(self.cell(), node) };
        (parcel, Asker { node, taken: false, reply: PhantomData })
    }

    /// An ask that a [`Replier`] answers.
    pub(crate) fn ask_parcel_with<M: Send + 'static, R: Send + 'static>(
        &self,
        request: impl FnOnce(Replier<R>) -> M,
    ) -> (Parcel<'_, Asked>, Asker<R>)
    where
        A: Receive<M>,
    {
        // Held by the two ends first, so that a panic in `request` leaves everything in order.
        let node = new_node::<M, R>(run_ask_with::<A, M, R>, 2);
        let asker = Asker { node, taken: false, reply: PhantomData };
        let request = request(Replier { node, reply: PhantomData });
        // SAFETY: K1: the asker's reference.
        unsafe { retain(node) };
        // SAFETY: inside the node.
        let place = unsafe { at(node, const { request_place::<M, R>().0 }) };
        // SAFETY: not used by anybody yet, with room for it.
        unsafe { put(place, request) };
        // SAFETY: ours, with its payload, made for an `A`.
        (unsafe { Parcel::from_node(self.cell(), node) }, asker)
    }
}

/// Answers `Panicked` unless it is told not to.
struct Unanswered<R> {
    node: NonNull<Node>,
    reply: PhantomData<R>,
}

impl<R> Drop for Unanswered<R> {
    fn drop(&mut self) {
        // SAFETY: K1: the request's reference is held until the node has left the mailbox.
        if !unsafe { head(self.node) }.spared.get() {
            // SAFETY: as above; an `R`.
            unsafe { answer::<R>(self.node, Err(Failure::Panicked)) };
        }
    }
}

unsafe fn run_ask<A: Answer<M>, M: Send + 'static>(node: NonNull<Node>, state: *mut (), context: *mut ()) -> Fate {
    // SAFETY: inside the node.
    let place = unsafe { at(node, const { request_place::<M, A::Reply>().0 }) };
    if state.is_null() {
        // SAFETY: with a null state the third argument is null or a `Discard` that the caller lends.
        let discard = unsafe { context.cast::<Discard>().as_mut() };
        // SAFETY: K1: the request's reference.
        let failed = (!unsafe { head(node) }.spared.get()).then_some(Failure::Panicked);
        // SAFETY: N2 and N3: the request is there unless it is only described.
        unsafe { discard_request::<M, A::Reply>(node, place, discard, failed) };
        return Fate::Shared;
    }
    let unanswered = Unanswered::<A::Reply> { node, reply: PhantomData };
    // SAFETY: N2: moved out once.
    let request = unsafe { get::<M>(place) };
    // SAFETY: N3 and the duties of `Node::handle`.
    let state = unsafe { &mut *state.cast::<A>() };
    // SAFETY: likewise the context.
    let context = unsafe { &mut *context.cast::<Context<A>>() };
    let reply = state.answer(request, context);
    forget(unanswered);
    // SAFETY: K1: the request's reference; a `Reply`.
    let heard = unsafe { answer::<A::Reply>(node, Ok(reply)) };
    if !heard {
        context.header().hub().late_reply();
    }
    Fate::Shared
}

unsafe fn run_ask_with<A: Receive<M>, M: Send + 'static, R: Send + 'static>(
    node: NonNull<Node>,
    state: *mut (),
    context: *mut (),
) -> Fate {
    // SAFETY: inside the node.
    let place = unsafe { at(node, const { request_place::<M, R>().0 }) };
    if state.is_null() {
        // SAFETY: with a null state the third argument is null or a `Discard` that the caller lends.
        let discard = unsafe { context.cast::<Discard>().as_mut() };
        // A handler that panics drops the `Replier`, which answers.
        // SAFETY: N2 and N3: the request is there unless it is only described.
        unsafe { discard_request::<M, R>(node, place, discard, None) };
        return Fate::Shared;
    }
    // SAFETY: N2: moved out once.
    let request = unsafe { get::<M>(place) };
    // SAFETY: N3 and the duties of `Node::handle`.
    let state = unsafe { &mut *state.cast::<A>() };
    // SAFETY: likewise the context.
    let context = unsafe { &mut *context.cast::<Context<A>>() };
    state.receive(request, context);
    Fate::Shared
}

#[cold]
unsafe fn discard_request<M: Send + 'static, R>(
    node: NonNull<Node>,
    place: NonNull<u8>,
    discard: Option<&mut Discard>,
    failed: Option<Failure>,
) {
    let how = discard.as_ref().map_or(How::Drop, |discard| discard.how);
    let mut kept = None;
    if how == How::Peek {
        if let Some(discard) = discard {
            // SAFETY: N2: it is there.
            discard.peeked = Some(Peeked::new(unsafe { peek::<M>(place) }, Some(place)));
        }
        return;
    }
    if how != How::Describe {
        // The asker hears of this even if the request holds a `Replier`, whose drop would say `NoReply`.
        let of = |what: fn(&Discard) -> bool| discard.as_ref().is_some_and(|discard| what(discard));
        let failure = match how {
            How::Fail => failed,
            _ if of(|discard| discard.failed) => Some(Failure::Panicked),
            _ if of(|discard| discard.full) => Some(Failure::Full),
            _ => Some(Failure::Stopped),
        };
        if let Some(failure) = failure {
            // SAFETY: K1: the request's reference; an `R`.
            unsafe { answer::<R>(node, Err(failure)) };
        }
        // SAFETY: N2: moved out once.
        let request = unsafe { get::<M>(place) };
        if how == How::Keep {
            kept = Some(Box::new(request) as Box<dyn Any + Send>);
        }
    }
    if let Some(discard) = discard {
        discard.type_name = type_name::<M>();
        discard.paid = true;
        discard.payload = kept;
    }
}
