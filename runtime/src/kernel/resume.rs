//! A continuation: a message to the actor itself that is sent by whoever wakes its waker first.
//!
//! Promise: of all wake-ups (a reply, a timeout) exactly one sends it; if none comes, it is dropped with the last waker. It
//! costs one node of the pool and no allocation. It runs only in the incarnation of the actor that made it: after a restart
//! it is dropped in its turn, counts as handled, and leaves a dead letter.
//!
//! How: the node is shared (see [`super::ask`]) and every [`Waker`] made from it counts as a reference.
//!
//! ```text
//! | head of a shared node | fired, incarnation | cell | note | payload |
//! ```
//!
//! # Invariants
//! - **R1** Whoever turns `fired` to true owns payload and cell: it takes the cell out, and sends the node with a
//!   reference of its own.
//! - **R2** If the count reaches zero and `fired` is false, nobody has sent it, and the payload is dropped there.
//! - **R3** `note` is written by the actor's own turn that makes the continuation, and read by the turn that runs it.

use super::ask::{at, head_size, release_with, retain, write_head};
use super::cell::{Address, CellRef};
use super::context::Context;
use super::guard::guarded;
use super::node::{Discard, Fate, How, Node, Peeked};
use super::parcel::Parcel;
use super::pool::{self, Class};
use super::schedule::{Body, ByCall, Loss, Lost, Receive};
use crate::sync::atomic::{AtomicBool, Ordering};
use std::any::{Any, type_name};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What a continuation carries, and what a dead letter shows of it.
pub(crate) trait Cargo: Send + 'static {
    /// Whether it comes by a timer of the actor's: one that a restart has taken back leaves no dead letter.
    const TIMED: bool = false;

    /// The type that a dead letter names.
    fn type_name() -> &'static str {
        type_name::<Self>()
    }

    /// The message in it, if there is one.
    fn message(&self) -> Option<Peeked> {
        None
    }

    /// The same, taken out; otherwise it means nothing to anybody else, and is dropped.
    fn into_letter(self) -> Option<Box<dyn Any + Send>>;
}

/// What the actor receives: the payload, and the note if one was made.
pub(crate) struct Resumed<P, N> {
    pub(crate) payload: P,
    pub(crate) note: Option<N>,
}

#[repr(C)]
struct Content<P, N> {
    fired: AtomicBool,
    /// Of the actor, when it was made. Constant.
    incarnation: u32,
    cell: CellRef,
    note: Cell<Option<N>>,
    payload: P,
}

/// A continuation in the hands of the turn that makes it.
pub(crate) struct Resume<A, P, N> {
    node: NonNull<Node>,
    kind: PhantomData<fn(A, P, N)>,
}

const fn offset<P, N>() -> usize {
    head_size().next_multiple_of(align_of::<Content<P, N>>())
}

/// Whether the payload fits a node.
pub(crate) const fn fits<P, N>() -> bool {
    class::<P, N>().is_some()
}

/// The class of the node, if the payload fits one: whoever makes a continuation boxes what does not. That is decided by a
/// branch that is the same for all of a type, so code for the other types is made, too, and never run.
const fn class<P, N>() -> Option<Class> {
    Class::fitting(offset::<P, N>() + size_of::<Content<P, N>>(), align_of::<Content<P, N>>())
}

/// # Safety
/// 1. The node is a continuation of this kind, and valid for as long as the result is used.
unsafe fn body<'a, P, N>(node: NonNull<Node>) -> NonNull<Content<P, N>>
where
    P: 'a,
{
    // SAFETY: the body lies inside the node.
    unsafe { at(node, const { offset::<P, N>() }) }.cast()
}

/// Where the payload lies.
fn payload_of<P, N>(body: NonNull<Content<P, N>>) -> *mut P {
    body.as_ptr().wrapping_byte_add(std::mem::offset_of!(Content<P, N>, payload)).cast()
}

impl<A, P, N> Resume<A, P, N>
where
    A: Body + Receive<Resumed<P, N>, ByCall>,
    P: Cargo,
    N: Copy + Send + 'static,
{
    const VTABLE: &'static RawWakerVTable =
        &RawWakerVTable::new(clone_waker::<A, P, N>, wake::<P, N>, wake_by_ref::<P, N>, drop_waker::<P, N>);

    /// Makes a continuation of the actor `me`.
    pub(crate) fn new(me: &Address<A>, payload: P) -> Self {
        let Some(class) = (const { class::<P, N>() }) else { unreachable!("a large payload is boxed by its maker") };
        let memory = pool::allocate(class);
        // SAFETY: fresh memory of a class that holds the head and more.
        let node = unsafe { write_head(memory, class, run::<A, P, N>, 1) };
        let incarnation = me.cell().header().incarnation();
        let (fired, note) = (AtomicBool::new(false), Cell::new(None));
        let value = Content { fired, incarnation, cell: me.cell().clone(), note, payload };
        // SAFETY: fresh, and large enough.
        let place = unsafe { body::<P, N>(node) };
        // SAFETY: as above.
        unsafe { place.write(value) };
        Self { node, kind: PhantomData }
    }

    /// The payload, while nobody else can reach it.
    pub(crate) fn payload(&mut self) -> &mut P {
        // SAFETY: our reference keeps it, and no waker has been made that could fire: see `waker`.
        let body = unsafe { body::<P, N>(self.node) };
        // SAFETY: as above.
        unsafe { &mut (*body.as_ptr()).payload }
    }

    /// A waker. It must not be woken before the last use of [`Resume::payload`].
    pub(crate) fn waker(&self) -> Waker {
        // SAFETY: our own reference keeps it.
        unsafe { retain(self.node) };
        // SAFETY: the vtable keeps the contract of `RawWaker`: a reference per waker.
        unsafe { Waker::from_raw(RawWaker::new(self.node.as_ptr().cast_const().cast(), Self::VTABLE)) }
    }

    /// Leaves a note for the turn that runs it.
    pub(crate) fn note(&self, note: N) {
        // SAFETY: our own reference keeps it.
        let body = unsafe { body::<P, N>(self.node) };
        // SAFETY: R3.
        unsafe { body.as_ref() }.note.set(Some(note));
    }
}

impl<A, P, N> Drop for Resume<A, P, N> {
    fn drop(&mut self) {
        // SAFETY: ours, once.
        unsafe { give_up::<P, N>(self.node) };
    }
}

/// # Safety
/// 1. The reference is the caller's.
unsafe fn give_up<P, N>(node: NonNull<Node>) {
    let last = |node| {
        // SAFETY: the memory is freed only afterwards.
        let body = unsafe { body::<P, N>(node) };
        // Ordering: Relaxed: the count has been through an Acquire.
        // SAFETY: as above.
        if !unsafe { body.as_ref() }.fired.load(Ordering::Relaxed) {
            // Guarded, so that a drop that panics does not keep the node.
            // SAFETY: R2: nobody else is left, and nothing has been moved out.
            let _ = guarded(|| unsafe { body.drop_in_place() });
        }
    };
    // SAFETY: passed on to the caller.
    unsafe { release_with(node, last) };
}

/// Sends it, unless it has been sent.
///
/// # Safety
/// 1. The caller has a reference, of which it keeps its own.
unsafe fn fire<P, N>(node: NonNull<Node>) {
    // SAFETY: 1.
    let body = unsafe { body::<P, N>(node) };
    // SAFETY: as above.
    let body = unsafe { body.as_ref() };
    // Ordering: AcqRel: the one who turns it has seen what the losers' wake-ups published, and publishes its own.
    if body.fired.swap(true, Ordering::AcqRel) {
        return;
    }
    // SAFETY: 1; the mailbox's reference.
    unsafe { retain(node) };
    // SAFETY: R1: moved out once; who comes later finds `fired` set and leaves the body alone.
    let cell = unsafe { std::ptr::read(&raw const body.cell) };
    let hub = cell.header().hub();
    hub.count_sent(1);
    // SAFETY: R1: ours to send, made for this cell's type, its payload there.
    let parcel = unsafe { Parcel::<()>::from_node(&cell, node) };
    match parcel.send_after_flush() {
        Ok(None) => {}
        Ok(Some(runnable)) => hub.schedule(runnable),
        Err(refused) => refused.bury(),
    }
}

unsafe fn clone_waker<A, P, N>(data: *const ()) -> RawWaker
where
    A: Body + Receive<Resumed<P, N>, ByCall>,
    P: Cargo,
    N: Copy + Send + 'static,
{
    // SAFETY: a waker's pointer is its node's.
    let node = unsafe { NonNull::new_unchecked(data.cast_mut()) }.cast();
    // SAFETY: the waker's own reference keeps it.
    unsafe { retain(node) };
    RawWaker::new(data, Resume::<A, P, N>::VTABLE)
}

unsafe fn wake<P, N>(data: *const ()) {
    // SAFETY: passed on.
    unsafe { wake_by_ref::<P, N>(data) };
    // SAFETY: passed on.
    unsafe { drop_waker::<P, N>(data) };
}

unsafe fn wake_by_ref<P, N>(data: *const ()) {
    // SAFETY: a waker's pointer is its node's.
    let node = unsafe { NonNull::new_unchecked(data.cast_mut()) }.cast();
    // SAFETY: the waker's own reference keeps it.
    unsafe { fire::<P, N>(node) };
}

unsafe fn drop_waker<P, N>(data: *const ()) {
    // SAFETY: a waker's pointer is its node's.
    let node = unsafe { NonNull::new_unchecked(data.cast_mut()) }.cast();
    // SAFETY: the waker's own reference, given up once.
    unsafe { give_up::<P, N>(node) };
}

unsafe fn run<A, P, N>(node: NonNull<Node>, state: *mut (), context: *mut ()) -> Fate
where
    A: Body + Receive<Resumed<P, N>, ByCall>,
    P: Cargo,
    N: Copy + Send + 'static,
{
    // SAFETY: the mailbox's reference keeps it.
    let body = unsafe { body::<P, N>(node) };
    if state.is_null() {
        // SAFETY: with a null state the third argument is null or a `Discard` that the caller lends.
        let discard = unsafe { context.cast::<Discard>().as_mut() };
        let how = discard.as_ref().map_or(How::Drop, |discard| discard.how);
        let (mut kept, mut peeked) = (None, None);
        if how == How::Peek {
            // SAFETY: R1, N2: it is there.
            peeked = unsafe { &*payload_of(body) }.message();
        } else if how != How::Describe {
            // SAFETY: R1, N2: moved out once.
            let payload = unsafe { payload_of(body).read() };
            if how == How::Keep { kept = payload.into_letter() } else { drop(payload) }
        }
        if let Some(discard) = discard {
            discard.type_name = P::type_name();
            discard.payload = kept;
            discard.peeked = peeked;
        }
        return Fate::Shared;
    }
    // SAFETY: R1, N2: moved out once.
    let payload = unsafe { payload_of(body).read() };
    // SAFETY: R3.
    let note = unsafe { body.as_ref() }.note.get();
    // SAFETY: N3 and the duties of `Node::handle`.
    let state = unsafe { &mut *state.cast::<A>() };
    // SAFETY: likewise the context.
    let context = unsafe { &mut *context.cast::<Context<A>>() };
    // SAFETY: constant.
    let made_in = unsafe { body.as_ref() }.incarnation;
    if made_in != context.header().incarnation() {
        outdated(context, payload);
        return Fate::Shared;
    }
    state.receive(Resumed { payload, note }, context);
    Fate::Shared
}

/// Drops what an earlier incarnation has asked for.
#[cold]
fn outdated<A, P: Cargo>(context: &Context<A>, payload: P) {
    let _ = guarded(|| drop(payload));
    if P::TIMED {
        return;
    }
    let header = context.header();
    let lost = Lost { to: header.id(), type_name: P::type_name(), why: Loss::Restarted, payload: None };
    header.hub().lost(lost, false);
}
