//! The messages of an actor whose oldest may be dropped: a list that senders and consumer share.
//!
//! Promise: a sender that finds no credit takes the message that has waited longest out, and gets its credit; so no more than
//! the bound wait, however long a handler takes.
//!
//! How: nobody can take from the bottom of the mailbox's stack. So the consumer does not keep what it takes in its own list,
//! but here, under a lock, and takes one message out when it begins to handle it. A sender that finds nothing here that could
//! be dropped brings the stack here, by an exchange that leaves `null` and `SIGNAL`: the consumer does not go idle over that, but
//! looks here once more.
//!
//! ```text
//! consumer <-- ahead: not to be dropped | rest <-- the stack <-- senders
//!                                           \--> a sender without a credit
//! ```
//! Notices, continuations and timers' messages have no credit, and are not dropped. Those that a sender has found before the
//! first that has one are put ahead, so that nobody looks at them twice.
//!
//! Gives up: the lone-message path, and the ways past the mailbox; a lock for each message. A ring without a lock would have to
//! take in all that must stay in order with the messages in it, and so do the stack's work a second time.
//!
//! # Invariants
//! - **O1** Nodes in the lists belong to the mailbox (M1). They are touched under the lock only.
//! - **O2** While the actor has not ended its word is moved from a node to another state only under the lock: by the
//!   consumer's take and close, and by `displace`. So what is brought here later was pushed later.
//! - **O3** The consumer's own list is empty, or has the message that is being handled or will be tried again, and what was
//!   put back, until the end closes the mailbox. Those have no credit.

use super::cell::Header;
use super::credits::Credits;
use super::grave::bury_as;
use super::inspect::length;
use super::mailbox::List;
use super::node::Node;
use super::schedule::Loss;
use super::state::Seen;
use crate::sync::Mutex;
use std::ptr::NonNull;

/// See the [module](self).
pub(super) struct Oldest(Mutex<Lists>);

struct Lists {
    ahead: List,
    rest: List,
}

// SAFETY: nodes may go to any thread, and whoever has the lock has the lists alone (O1).
unsafe impl Send for Lists {}

/// A message that was to wait no longer. Dead-lettered when it is dropped; its credit is the sender's.
pub(super) struct Displaced<'a> {
    header: &'a Header,
    node: NonNull<Node>,
}

impl Drop for Displaced<'_> {
    fn drop(&mut self) {
        // SAFETY: taken out of its list, under the lock, and its payload is there.
        unsafe { bury_as(self.header, self.node, Loss::Full) };
    }
}

/// What a sender gets that finds no credit.
pub(super) enum Room<'a> {
    /// The place of the oldest message.
    Of(Displaced<'a>),
    /// A credit that has come back meanwhile.
    Free,
    /// Nothing: all credits are with senders that have not pushed yet.
    None,
}

impl Lists {
    /// Takes the oldest message out.
    fn first(&self) -> Option<NonNull<Node>> {
        let list = if self.ahead.is_empty() { &self.rest } else { &self.ahead };
        list.first().map(|_| {
            // SAFETY: under the lock (O1), and it is not empty.
            unsafe { list.advance() }
        })
    }

    /// Takes the oldest message out that has a credit.
    fn first_paid(&self) -> Option<NonNull<Node>> {
        while let Some(node) = self.rest.first() {
            // SAFETY: under the lock (O1), and it is not empty.
            let same = unsafe { self.rest.advance() };
            debug_assert_eq!(node, same);
            // SAFETY: ours for now, and its payload is there.
            if unsafe { Node::is_paid(node) } {
                return Some(node);
            }
            // SAFETY: as above.
            unsafe { self.ahead.push(node) };
        }
        None
    }
}

impl Oldest {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Lists { ahead: List::new(), rest: List::new() }))
    }

    /// Takes the mailbox. Consumer only (M2).
    pub(super) fn take(&self, header: &Header) -> Seen {
        let lists = self.0.lock();
        let taken = header.word().take();
        // SAFETY: taken from the mailbox, under the lock (O1).
        unsafe { lists.rest.append(taken) };
        taken
    }

    /// Closes the mailbox, and puts all that is left into the consumer's own list. Consumer only (M2).
    pub(super) fn close(&self, header: &Header) {
        let lists = self.0.lock();
        for list in [&lists.ahead, &lists.rest] {
            while list.first().is_some() {
                // SAFETY: under the lock (O1), and it is not empty.
                let node = unsafe { list.advance() };
                // SAFETY: M2, and the node is the consumer's now.
                unsafe { header.list.push(node) };
            }
        }
        // SAFETY: M2.
        unsafe { header.list.append(header.word().close()) };
    }

    /// Counts what waits here, and in the stack, as `stack` does: nobody lifts it meanwhile (O2). Consumer only.
    pub(super) fn count(&self, stack: impl FnOnce() -> usize) -> usize {
        let lists = self.0.lock();
        // SAFETY: under the lock (O1).
        let [ahead, rest] = [&lists.ahead, &lists.rest].map(|list| unsafe { length(list.first()) });
        ahead + rest + stack()
    }

    /// Whether messages wait here. Consumer only.
    pub(super) fn has_some(&self) -> bool {
        let lists = self.0.lock();
        !(lists.ahead.is_empty() && lists.rest.is_empty())
    }

    /// Puts the oldest message into the consumer's own list, to be handled now: it gives its credit back. Consumer only (M2).
    pub(super) fn begin(&self, header: &Header, credits: &Credits) {
        let lists = self.0.lock();
        let Some(node) = lists.first() else { return };
        // Under the lock: a sender finds either the message here, or its credit.
        // SAFETY: ours, and its payload is there.
        let serve = unsafe { Node::is_paid(node) } && credits.give_silently(1);
        drop(lists);
        // SAFETY: M2, and the node is the consumer's now.
        unsafe { header.list.push(node) };
        if serve {
            credits.serve();
        }
    }

    /// Makes room for one message: takes the oldest out.
    pub(super) fn displace<'a>(&self, header: &'a Header, credits: &Credits) -> Room<'a> {
        let lists = self.0.lock();
        let mut oldest = lists.first_paid();
        if oldest.is_none() {
            // SAFETY: lifted from the mailbox, under the lock (O1, O2).
            unsafe { lists.rest.append(header.word().lift()) };
            oldest = lists.first_paid();
        }
        match oldest {
            Some(node) => Room::Of(Displaced { header, node }),
            None if credits.take_any() => Room::Free,
            None => Room::None,
        }
    }
}
