//! The mailbox: an intrusive stack of messages that anyone pushes to and one consumer takes whole.
//!
//! Promise: a push is one compare-exchange, and answers at once whether the message was queued, whether the caller must
//! schedule the receiver, or whether the receiver refuses and the message stays the caller's. Senders of one thread are
//! handled in the order of their pushes. Nobody ever waits for a half-linked node: producers and the consumer are
//! lock-free.
//!
//! How: the stack's head is the [`Word`]. The consumer takes the whole stack and reverses it into a private list.
//!
//! Gives up: a reversal, which touches each node once before it is handled. On nodes that come from another core it
//! is that touch that fetches them.
//!
//! A worker that finds the mailbox idle, or the actor in its own slot, has the right to run the actor itself: it puts the
//! message into the private list, without an exchange for the message (`Parcel::send_next`).
//!
//! # Invariants
//! - **M1** A node in the stack belongs to the mailbox; one in the consumer's [`List`] to the consumer.
//! - **M2** Only the holder of the right to run takes, closes, or touches the list.

use super::cell::{CellRef, Header, Runnable};
use super::node::Node;
use super::state::{Pushed, Seen};
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

/// Pushes a chain that is linked from `newest` to `oldest`. One that lingers is idle.
///
/// # Safety
/// 1. The caller owns the nodes of the chain, and gives them up unless the push is refused.
#[inline(always)]
pub(crate) unsafe fn push_chain(header: &Header, newest: NonNull<Node>, oldest: NonNull<Node>) -> Pushed {
    let word = header.word();
    let mut seen = word.peek();
    loop {
        if seen.refuses() {
            // An earlier round may have linked the chain to somebody else's nodes.
            // SAFETY: the chain is still ours (N1).
            unsafe { Node::set_next(oldest, null_mut()) };
            return Pushed::Closed;
        }
        // SAFETY: the chain is ours until the exchange below succeeds (N1).
        unsafe { Node::set_next(oldest, seen.below()) };
        match word.try_push(seen, newest.as_ptr()) {
            // Whoever pushes on top of others knows that these have been seen to.
            Ok(Pushed::Queued) if seen.is_quiet() && header.claim_lingering().is_some() => return Pushed::WasIdle,
            Ok(pushed) => return pushed,
            Err(now) => seen = now,
        }
    }
}

/// The duty of a push that has found the mailbox idle: that of an actor with a thread of its own is fulfilled.
#[inline(always)]
pub(super) fn duty(cell: &CellRef, pushed: Pushed) -> Option<Runnable> {
    debug_assert!(matches!(pushed, Pushed::WasIdle | Pushed::WasApart));
    // SAFETY: the word was idle: the right to run is the caller's now.
    let runnable = unsafe { Runnable::new(cell.raw()) };
    if pushed == Pushed::WasIdle {
        return Some(runnable);
    }
    cell.header().hub().schedule(runnable);
    None
}

/// Messages of the consumer, oldest first: taken ones, and what came while whoever sent it had the right to run.
pub(crate) struct List {
    first: Cell<*mut Node>,
    /// The newest; stale while the list is empty.
    last: Cell<*mut Node>,
}

impl List {
    pub(crate) const fn new() -> Self {
        Self { first: Cell::new(null_mut()), last: Cell::new(null_mut()) }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.get().is_null()
    }

    /// The oldest message. It stays in the list.
    #[inline(always)]
    pub(crate) fn first(&self) -> Option<NonNull<Node>> {
        NonNull::new(self.first.get())
    }

    /// Lets the oldest message go to the caller.
    ///
    /// # Safety
    /// 1. The caller holds the right to run (M2), and the list is not empty.
    #[inline(always)]
    pub(crate) unsafe fn advance(&self) -> NonNull<Node> {
        // SAFETY: 1.
        let first = unsafe { NonNull::new_unchecked(self.first.get()) };
        // SAFETY: nodes of the list belong to the consumer (M1).
        self.first.set(unsafe { Node::next(first) });
        first
    }

    /// The same by one who knows the oldest.
    ///
    /// # Safety
    /// 1. The caller holds the right to run (M2), and `first` is what [`List::first`] gives.
    #[inline(always)]
    pub(crate) unsafe fn advance_over(&self, first: NonNull<Node>) {
        debug_assert_eq!(self.first(), Some(first));
        // SAFETY: nodes of the list belong to the consumer (M1).
        self.first.set(unsafe { Node::next(first) });
    }

    /// Puts one message behind the others.
    ///
    /// # Safety
    /// 1. The caller holds the right to run (M2), and owns the node, which it gives up.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, node: NonNull<Node>) {
        // SAFETY: 1.
        unsafe { Node::set_next(node, null_mut()) };
        self.join(node.as_ptr(), node);
    }

    /// Puts one message before the others.
    ///
    /// # Safety
    /// 1. The caller holds the right to run (M2), and owns the node, which it gives up.
    pub(super) unsafe fn push_first(&self, node: NonNull<Node>) {
        let first = self.first.replace(node.as_ptr());
        // SAFETY: 1.
        unsafe { Node::set_next(node, first) };
        if first.is_null() {
            self.last.set(node.as_ptr());
        }
    }

    /// Takes over a stack, newest first, behind what is already here.
    ///
    /// # Safety
    /// 1. The caller holds the right to run (M2), and has taken the stack out of its own mailbox.
    #[inline]
    pub(crate) unsafe fn append(&self, taken: Seen) {
        if let Some(newest) = NonNull::new(taken.newest()) {
            // SAFETY: passed on to the caller.
            unsafe { self.append_chain(newest) };
        }
    }

    /// The same for a chain of nodes that are linked to the older ones.
    ///
    /// # Safety
    /// 1. The caller holds the right to run (M2), and owns the nodes, which it gives up.
    #[inline]
    pub(super) unsafe fn append_chain(&self, newest: NonNull<Node>) {
        let mut newer = null_mut();
        let mut node = newest.as_ptr();
        while let Some(this) = NonNull::new(node) {
            // SAFETY: taken nodes belong to the consumer (M1).
            node = unsafe { Node::next(this) };
            // SAFETY: as above.
            unsafe { Node::set_next(this, newer) };
            newer = this.as_ptr();
        }
        self.join(newer, newest);
    }

    /// Puts what is in another list of the same consumer before what is here, but behind the first if that `stays`.
    ///
    /// # Safety
    /// 1. The caller holds the right to run (M2).
    pub(super) unsafe fn put_before(&self, front: &Self, stays: bool) {
        let (Some(first), Some(last)) = (front.first(), NonNull::new(front.last.get())) else { return };
        front.first.set(null_mut());
        if let (true, Some(own)) = (stays, self.first()) {
            // SAFETY: M2, and it is not empty.
            let _ = unsafe { self.advance() };
            // SAFETY: as this one.
            unsafe { self.put_chain(first, last) };
            // SAFETY: off the list, and ours.
            unsafe { self.push_first(own) };
        } else {
            // SAFETY: as this one.
            unsafe { self.put_chain(first, last) };
        }
    }

    /// # Safety
    /// 1. The caller holds the right to run (M2), and owns the chain, which it gives up.
    unsafe fn put_chain(&self, first: NonNull<Node>, last: NonNull<Node>) {
        if self.is_empty() {
            self.last.set(last.as_ptr());
        } else {
            // SAFETY: nodes of a list belong to the consumer (M1), which the caller is.
            unsafe { Node::set_next(last, self.first.get()) };
        }
        self.first.set(first.as_ptr());
    }

    /// Links a chain of the caller's behind the others.
    #[inline(always)]
    fn join(&self, oldest: *mut Node, newest: NonNull<Node>) {
        let last = self.last.replace(newest.as_ptr());
        if self.is_empty() {
            self.first.set(oldest);
            return;
        }
        // SAFETY: a list that is not empty has a newest message.
        let last = unsafe { NonNull::new_unchecked(last) };
        // SAFETY: nodes of the list belong to the consumer (M1), which the caller is.
        unsafe { Node::set_next(last, oldest) };
    }
}
