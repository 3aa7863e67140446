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
//! # Invariants
//! - **M1** A node in the stack belongs to the mailbox; a taken one to the consumer's [`List`].
//! - **M2** Only the holder of the right to run takes, closes, or touches the list.

use super::node::Node;
use super::state::{Pushed, Seen, Word};
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

/// Pushes a chain that is linked from `newest` to `oldest`.
///
/// # Safety
/// 1. The caller owns the nodes of the chain, and gives them up unless the push is refused.
#[inline(always)]
pub(crate) unsafe fn push_chain(word: &Word, newest: NonNull<Node>, oldest: NonNull<Node>) -> Pushed {
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
            Ok(pushed) => return pushed,
            Err(now) => seen = now,
        }
    }
}

/// Taken messages, oldest first.
pub(crate) struct List {
    first: Cell<*mut Node>,
}

impl List {
    pub(crate) const fn new() -> Self {
        Self { first: Cell::new(null_mut()) }
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

    /// Takes over a stack, newest first, behind what is already here.
    ///
    /// # Safety
    /// 1. The caller holds the right to run (M2), and has taken the stack out of its own mailbox.
    #[inline]
    pub(crate) unsafe fn append(&self, taken: Seen) {
        let mut newer = null_mut();
        let mut node = taken.newest();
        while let Some(this) = NonNull::new(node) {
            // SAFETY: taken nodes belong to the consumer (M1).
            node = unsafe { Node::next(this) };
            // SAFETY: as above.
            unsafe { Node::set_next(this, newer) };
            newer = this.as_ptr();
        }
        let Some(mut last) = self.first() else {
            self.first.set(newer);
            return;
        };
        // Only a close comes here, with what was left of an earlier take.
        // SAFETY: nodes of the list belong to the consumer (M1).
        while let Some(next) = NonNull::new(unsafe { Node::next(last) }) {
            last = next;
        }
        // SAFETY: as above.
        unsafe { Node::set_next(last, newer) };
    }
}
