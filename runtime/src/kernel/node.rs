//! A message in its node: 16 bytes of header and the payload in one pooled allocation.
//!
//! ```text
//! 0        8        16
//! | next   | run    | payload, aligned to 16 at most ... |
//! ```
//!
//! `run` is one function per actor type and message type. It handles the payload, drops it, or packs it up as a dead
//! letter; which of these, its second argument says. A payload that is larger than the largest class, or aligned to
//! more than 16, is boxed, and the box is the payload.
//!
//! # Invariants
//! - **N1** A node has one owner at a time: the handle ([`Parcel`], [`Chain`]) before the push, the mailbox between
//!   push and take, the consumer afterwards. Only the owner touches `next`.
//! - **N2** The payload is initialised from the making of the node until `run` has moved it out, once. (A request that is
//!   tried again is put in its place anew; see `retry.rs`.)
//! - **N3** `run` is made for the state type of the cell that the node is bound to when it is made.
//! - **N4** A node is released to the pool by the class that `run` returns, or by its reference count if it is shared.

use super::guard::guarded;
use super::pool::{self, Class};
use super::schedule::{Receive, Way};
use super::usage::Boxed;
use crate::sync::cell::UnsafeCell;
use std::any::{Any, TypeId};
use std::ptr::{NonNull, null_mut};

/// Runs or discards a payload: (the node, the state or null, the context or a [`Discard`] or null).
pub(crate) type RunFn = unsafe fn(NonNull<Node>, *mut (), *mut ()) -> Fate;

/// Bytes of a node at most.
const LARGEST: usize = Class::ALL[Class::ALL.len() - 1].size();

/// The header of a node.
#[repr(C, align(16))]
pub(crate) struct Node {
    /// The next older one in a stack, the next newer one in a private list. Owner only (N1).
    next: UnsafeCell<*mut Self>,
    /// See [`RunFn`]. Written once.
    run: RunFn,
}

#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<Node>() == 16);

/// What is to be done with a node whose payload is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody else knows it: back to the pool.
    Spent(Class),
    /// An asker may still hold it: give up the mailbox's reference.
    Shared,
}

/// How a payload is discarded.
#[derive(Debug)]
pub(crate) struct Discard {
    pub(crate) how: How,
    /// An asker is to hear that there was no room, and not that the actor has stopped.
    pub(crate) full: bool,
    /// Its handler has failed for good: whoever waits for an answer hears that, and not that the actor has stopped.
    pub(crate) failed: bool,
    /// Filled in: the type of the payload.
    pub(crate) type_name: &'static str,
    /// Filled in: in a bounded mailbox the message has a credit.
    pub(crate) paid: bool,
    /// Filled in for [`How::Keep`].
    pub(crate) payload: Option<Box<dyn Any + Send>>,
    /// Filled in for [`How::Peek`].
    pub(crate) peeked: Option<Peeked>,
}

/// A message for one of the actor's handlers, as it lies in its node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peeked {
    pub(crate) type_id: TypeId,
    /// The message: there while the payload is.
    pub(crate) message: NonNull<()>,
    /// Where a request lies, which may be put there again when it has been taken.
    pub(crate) place: Option<NonNull<u8>>,
}

impl Peeked {
    pub(crate) fn new<M: 'static>(message: &M, place: Option<NonNull<u8>>) -> Self {
        Self { type_id: TypeId::of::<M>(), message: NonNull::from(message).cast(), place }
    }
}

/// What happens to the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It is dropped.
    Drop,
    /// It is dropped by a handler that panics before it has begun.
    Fail,
    /// It is boxed for a dead letter.
    Keep,
    /// It is gone already: only the type and the fate are wanted. Nothing of the node is touched.
    Describe,
    /// It stays: only where it lies is wanted.
    Peek,
}

impl Discard {
    pub(crate) fn new(how: How) -> Self {
        Self { how, full: false, failed: false, type_name: "", paid: false, payload: None, peeked: None }
    }
}

#[repr(C)]
struct Envelope<P> {
    node: Node,
    payload: P,
}

impl Node {
    pub(crate) fn new(run: RunFn) -> Self {
        Self { next: UnsafeCell::new(null_mut()), run }
    }

    /// The link. Only the node's owner.
    ///
    /// # Safety
    /// 1. The caller owns the node (N1).
    #[inline(always)]
    pub(crate) unsafe fn next(node: NonNull<Self>) -> *mut Self {
        // SAFETY: an owned node is initialised (N1, N2).
        let node = unsafe { node.as_ref() };
        node.next.with(|next| {
            // SAFETY: only the owner touches the link (N1).
            unsafe { *next }
        })
    }

    /// Sets the link.
    ///
    /// # Safety
    /// 1. The caller owns the node (N1).
    #[inline(always)]
    pub(crate) unsafe fn set_next(node: NonNull<Self>, to: *mut Self) {
        // SAFETY: an owned node is initialised (N1, N2).
        let node = unsafe { node.as_ref() };
        node.next.with_mut(|next| {
            // SAFETY: only the owner touches the link (N1).
            unsafe { *next = to }
        });
    }

    /// What handles or discards the payload.
    #[inline]
    pub(super) fn run(&self) -> RunFn {
        self.run
    }

    /// Handles the payload.
    ///
    /// # Safety
    /// 1. The caller has taken the node out, or runs it in place as the lone message, and its payload is still there (N2).
    /// 2. `state` and `context` are those of the cell the node was pushed to (N3), and are borrowed by nobody else.
    #[inline(always)]
    pub(crate) unsafe fn handle(node: NonNull<Self>, state: NonNull<()>, context: NonNull<()>) -> Fate {
        // SAFETY: an owned node is initialised (N2).
        let run = unsafe { node.as_ref() }.run;
        // SAFETY: passed on to the caller.
        unsafe { run(node, state.as_ptr(), context.as_ptr()) }
    }

    /// Discards or describes the payload, and says what to do with the node.
    ///
    /// # Safety
    /// 1. The caller owns the node; unless the payload is only described it is still there (N2).
    pub(crate) unsafe fn discard(node: NonNull<Self>, discard: &mut Discard) -> Fate {
        // SAFETY: an owned node is initialised (N2).
        let run = unsafe { node.as_ref() }.run;
        let discard: *mut Discard = discard;
        // SAFETY: a null state asks for a discard, whose argument is a `Discard`.
        unsafe { run(node, null_mut(), discard.cast()) }
    }

    /// Whether the message has a credit, if its receiver's mailbox is bounded.
    ///
    /// # Safety
    /// 1. The caller owns the node, and its payload is still there.
    pub(super) unsafe fn is_paid(node: NonNull<Self>) -> bool {
        let mut discard = Discard::new(How::Describe);
        // SAFETY: passed on to the caller; it is only described, and its fate not met.
        let _ = unsafe { Self::discard(node, &mut discard) };
        discard.paid
    }

    /// Gives the node up after its payload has gone.
    ///
    /// # Safety
    /// 1. The caller owns the node, `fate` is what `run` returned for it, and nobody touches it through this owner again.
    #[inline(always)]
    pub(crate) unsafe fn release(node: NonNull<Self>, fate: Fate) {
        match fate {
            // SAFETY: an owned node of this class (N4), given up here.
            Fate::Spent(class) => unsafe { pool::free(node.cast(), class) },
            // SAFETY: an ask's node, of which the caller gives up the mailbox's reference.
            Fate::Shared => unsafe { super::ask::release_request(node) },
        }
    }

    /// Drops the payload, guarded against a panic of its `drop`, and gives the node up.
    ///
    /// # Safety
    /// 1. The caller owns the node and its payload is still there.
    pub(crate) unsafe fn destroy(node: NonNull<Self>) {
        // SAFETY: passed on to the caller.
        unsafe { Self::bury(node, &mut Discard::new(How::Drop)) };
    }

    /// Discards the payload as `discard` says, guarded against a panic of its `drop`, and gives the node up.
    ///
    /// # Safety
    /// 1. The caller owns the node and its payload is still there, or is only described.
    pub(crate) unsafe fn bury(node: NonNull<Self>, discard: &mut Discard) {
        // SAFETY: passed on to the caller.
        let fate = guarded(|| unsafe { Self::discard(node, discard) }).unwrap_or_else(|_| {
            discard.how = How::Describe;
            // SAFETY: the payload has been moved out; the header is still ours.
            unsafe { Self::discard(node, discard) }
        });
        // SAFETY: owned, and this is its fate.
        unsafe { Self::release(node, fate) };
    }
}

/// The type of the messages that a function is for.
pub(super) fn described(run: RunFn) -> &'static str {
    let mut discard = Discard::new(How::Describe);
    let mut none = [0_u128; LARGEST / size_of::<u128>()];
    let (node, to) = (NonNull::from(&mut none).cast(), &raw mut discard);
    // SAFETY: with a null state the last argument is a `Discard`; a description touches nothing of the node, for which there is
    // memory.
    let _ = unsafe { run(node, null_mut(), to.cast()) };
    discard.type_name
}

/// Where the payload of a node lies, which is valid only if the payload is a `P`.
#[inline(always)]
const fn payload_of<P>(node: NonNull<Node>) -> *mut P {
    node.as_ptr().wrapping_byte_add(std::mem::offset_of!(Envelope<P>, payload)).cast()
}

/// Whether `M` lies in the node itself.
const fn fits<M>() -> bool {
    Class::fitting(size_of::<Envelope<M>>(), align_of::<Envelope<M>>()).is_some()
}

const fn class_of<P>() -> Class {
    match Class::fitting(size_of::<Envelope<P>>(), align_of::<Envelope<P>>()) {
        Some(class) => class,
        None => panic!("a boxed payload fits every class"),
    }
}

unsafe fn run_inline<A: Receive<M, K>, M: Send + 'static, K: Way>(
    node: NonNull<Node>,
    state: *mut (),
    context: *mut (),
) -> Fate {
    let payload = payload_of::<M>(node);
    // SAFETY: N3: this function was stored by `make` for an `Envelope<M>`.
    unsafe { act::<A, M, M, K>(payload, state, context, |m| m, |m| m) };
    Fate::Spent(const { class_of_inline::<M>() })
}

/// The class of an inline payload; for a type that is boxed, never asked for at run time.
const fn class_of_inline<M>() -> Class {
    if fits::<M>() { class_of::<M>() } else { class_of::<Boxed<M>>() }
}

unsafe fn run_boxed<A: Receive<M, K>, M: Send + 'static, K: Way>(
    node: NonNull<Node>,
    state: *mut (),
    context: *mut (),
) -> Fate {
    let payload = payload_of::<Boxed<M>>(node);
    // SAFETY: N3: this function was stored by `make` for an `Envelope<Boxed<M>>`.
    unsafe { act::<A, M, Boxed<M>, K>(payload, state, context, Boxed::open, Boxed::get) };
    Fate::Spent(const { class_of::<Boxed<M>>() })
}

#[inline(always)]
unsafe fn act<A: Receive<M, K>, M: Send + 'static, P: Send + 'static, K: Way>(
    payload: *mut P,
    state: *mut (),
    context: *mut (),
    open: impl FnOnce(P) -> M,
    peek: impl Fn(&P) -> &M,
) {
    if state.is_null() {
        // SAFETY: with a null state the third argument is null or a `Discard` that the caller lends.
        let discard = unsafe { context.cast::<Discard>().as_mut() };
        // SAFETY: passed on: the payload is there unless it is only described.
        unsafe { discard_payload::<A, M, P, K>(payload, discard, K::PAID, open, peek) };
        return;
    }
    // SAFETY: N2: moved out once; from here on it is ours.
    let message = open(unsafe { payload.read() });
    // SAFETY: N3 and the duties of `Node::handle`: the state of the cell, borrowed by nobody else.
    let state = unsafe { &mut *state.cast::<A>() };
    // SAFETY: likewise the context, made for this actor type.
    let context = unsafe { &mut *context.cast() };
    state.receive(message, context);
}

#[cold]
unsafe fn discard_payload<A: Receive<M, K>, M: Send + 'static, P, K>(
    payload: *mut P,
    discard: Option<&mut Discard>,
    paid: bool,
    open: impl FnOnce(P) -> M,
    peek: impl Fn(&P) -> &M,
) {
    let how = discard.as_ref().map_or(How::Drop, |discard| discard.how);
    let (mut kept, mut peeked) = (None, None);
    if discard.as_ref().is_some_and(|discard| discard.full) && matches!(how, How::Drop | How::Keep) {
        // SAFETY: N2: it is there.
        A::no_room(peek(unsafe { &*payload }));
    }
    match how {
        // SAFETY: N2: dropped in place once.
        How::Drop | How::Fail => unsafe { payload.drop_in_place() },
        // SAFETY: N2: moved out once.
        How::Keep => kept = Some(A::into_letter(open(unsafe { payload.read() }))),
        How::Describe => {}
        // SAFETY: N2: it is there.
        How::Peek => peeked = Some(Peeked::new(peek(unsafe { &*payload }), None)),
    }
    if let Some(discard) = discard {
        discard.type_name = A::letter_type();
        discard.paid = paid;
        discard.payload = kept;
        discard.peeked = peeked;
    }
}

/// The function for messages of type `M` to an actor of type `A`.
#[inline(always)]
pub(crate) const fn run<A: Receive<M, K>, M: Send + 'static, K: Way>() -> RunFn {
    if fits::<M>() { run_inline::<A, M, K> } else { run_boxed::<A, M, K> }
}

/// The class of the node for an `M`.
pub(crate) const fn class<M>() -> Class {
    class_of_inline::<M>()
}

/// Makes a node for the actor at this address, or 0 for one that is not on its way. It is bound to whatever state type `run` was made for.
#[inline(always)]
pub(crate) fn make<M: Send + 'static>(receiver: usize, run: RunFn, message: M) -> NonNull<Node> {
    let memory = pool::allocate_for(receiver, const { class::<M>() });
    // SAFETY: fresh memory of the right class.
    unsafe { make_at(memory, run, message) }
}

/// As [`make`], if the thread's cache has memory for it; otherwise gives the message back.
#[inline(always)]
pub(crate) fn make_cached<M: Send + 'static>(run: RunFn, message: M) -> Result<NonNull<Node>, M> {
    match pool::allocate_cached(const { class::<M>() }) {
        // SAFETY: fresh memory of the right class.
        Some(memory) => Ok(unsafe { make_at(memory, run, message) }),
        None => Err(message),
    }
}

/// Makes a node in memory that was allocated before.
///
/// # Safety
/// 1. `memory` came from the pool for [`class`] of `M`, and is the caller's to give away.
#[inline(always)]
pub(crate) unsafe fn make_at<M: Send + 'static>(memory: NonNull<u8>, run: RunFn, message: M) -> NonNull<Node> {
    if const { fits::<M>() } {
        // SAFETY: an inline payload: the class holds the whole envelope.
        unsafe { memory.cast().write(Envelope { node: Node::new(run), payload: message }) };
    } else {
        // SAFETY: a boxed payload: likewise.
        unsafe { memory.cast().write(Envelope { node: Node::new(run), payload: Boxed::new(message) }) };
    }
    memory.cast()
}

/// Takes the message out of a node that was never pushed, or that was refused.
///
/// # Safety
/// 1. The caller owns the node, it was made by `make` with this `M`, and its payload is still there.
pub(crate) unsafe fn unmake<M: Send + 'static>(node: NonNull<Node>) -> M {
    if const { fits::<M>() } {
        // SAFETY: N2: moved out once.
        let message = unsafe { payload_of::<M>(node).read() };
        // SAFETY: owned, and empty now.
        unsafe { pool::free(node.cast(), const { class_of_inline::<M>() }) };
        message
    } else {
        // SAFETY: N2: moved out once.
        let message = unsafe { payload_of::<Boxed<M>>(node).read() };
        // SAFETY: owned, and empty now.
        unsafe { pool::free(node.cast(), const { class_of::<Boxed<M>>() }) };
        message.open()
    }
}
