//! A sending handler's chain to one busy receiver.
//!
//! Promise: a handler's first send to a receiver is published before the send returns. Of further consecutive sends to the
//! same receiver at most 63 are held, and published together with one exchange: when the handler sends elsewhere, when it
//! ends, when it asks for it, before it blocks in this library, or at once if the receiver is seen idle.
//!
//! How: one chain per thread, which only an activation fills. The chain owns one reference to its receiver.
//!
//! Gives up: what a handler sends in a row to a busy receiver is seen up to 63 messages late. In return eight sources that
//! fill one mailbox do not fight for its word at each message.

use super::cell::{CellRef, Header};
use super::local::reach;
use super::node::Node;
use super::parcel::deliver_chain;
use super::tap;
use crate::sync::{MODEL, thread_local};
use std::cell::Cell;
use std::ptr::{NonNull, null, null_mut};

/// Sends that are held at most.
pub(crate) const HELD: u32 = if MODEL { 2 } else { 63 };
/// The count of a thread whose sends a [tap](super::tap) sees; it holds no chain.
const TAPPED: u32 = u32::MAX;

/// One thread's chain.
pub(crate) struct Outbox {
    /// An activation is running here: sends may be held.
    open: Cell<bool>,
    /// The receiver of this handler's previous send; only compared with.
    last: Cell<*const Header>,
    /// Its identity: once it has gone, another actor may come to its address, and a first send to that one is prompt.
    last_id: Cell<u64>,
    /// The receiver of the chain, counted, while the chain is not empty.
    receiver: Cell<*mut Header>,
    newest: Cell<*mut Node>,
    oldest: Cell<*mut Node>,
    count: Cell<u32>,
}

#[cfg(not(loom))]
thread_local! {
    static OUTBOX: Outbox = const { Outbox::new() };
}
#[cfg(loom)]
thread_local! {
    static OUTBOX: Outbox = Outbox::new();
}

/// What to do with a message for a receiver.
pub(crate) enum Route {
    /// Push it yourself.
    Direct,
    /// It is held, or has gone with the chain.
    Taken,
    /// The receiver refuses; the message is still the caller's.
    Refused,
    /// Ask the thread's tap.
    Tapped,
}

impl Outbox {
    const fn new() -> Self {
        Self {
            open: Cell::new(false),
            last: Cell::new(null()),
            last_id: Cell::new(0),
            receiver: Cell::new(null_mut()),
            newest: Cell::new(null_mut()),
            oldest: Cell::new(null_mut()),
            count: Cell::new(0),
        }
    }

    /// Holds one more for the receiver of the previous send.
    fn again(&self, cell: &CellRef, node: NonNull<Node>) -> Route {
        let seen = cell.header().word().peek();
        if seen.refuses() {
            self.flush();
            return Route::Refused;
        }
        let newest = self.newest.get();
        if newest.is_null() && self.last_id.get() != cell.header().id().0 {
            // Nothing is held, so nothing has kept the address.
            self.last_id.set(cell.header().id().0);
            return Route::Direct;
        }
        // SAFETY: the node is the caller's, which has not pushed it (N1).
        unsafe { Node::set_next(node, newest) };
        self.newest.set(node.as_ptr());
        if newest.is_null() {
            self.oldest.set(node.as_ptr());
            self.receiver.set(cell.clone().into_raw().as_ptr());
        }
        let count = self.count.get() + 1;
        self.count.set(count);
        if seen.is_idle() || count >= HELD {
            self.flush();
        }
        Route::Taken
    }

    /// Publishes until nothing is held, again if need be: a dead letter's drop may send, and hold. Whether the thread is
    /// tapped.
    #[inline(never)]
    fn publish(&self) -> bool {
        loop {
            match self.count.get() {
                0 => return false,
                TAPPED => return true,
                _ => self.flush(),
            }
        }
    }

    /// Publishes the chain.
    fn flush(&self) {
        let count = self.count.replace(0);
        let (newest, oldest) = (self.newest.replace(null_mut()), self.oldest.replace(null_mut()));
        let receiver = self.receiver.replace(null_mut());
        let (Some(newest), Some(oldest), Some(receiver)) =
            (NonNull::new(newest), NonNull::new(oldest), NonNull::new(receiver))
        else {
            return;
        };
        debug_assert!(count > 0);
        // SAFETY: `again` stored what `into_raw` gave, once per chain.
        let receiver = unsafe { CellRef::from_raw(receiver) };
        // SAFETY: the chain is this thread's until it is pushed (N1).
        unsafe { deliver_chain(&receiver, newest, oldest) };
    }
}

/// Whether nothing is held on this thread.
#[inline(always)]
pub(crate) fn is_empty() -> bool {
    reach(&OUTBOX, |outbox| outbox.count.get() == 0)
}

/// Whether the previous send of this handler did not go to this receiver.
#[inline(always)]
pub(crate) fn is_first(cell: &CellRef) -> bool {
    reach(&OUTBOX, |outbox| outbox.last.get() != cell.raw().as_ptr())
}

/// Holds one more message for the receiver of the chain, unless that is another one, or it is time to publish it. `node`
/// belongs to the caller unless true comes back.
#[inline(always)]
pub(crate) fn hold(cell: &CellRef, node: NonNull<Node>) -> bool {
    reach(&OUTBOX, |outbox| {
        let seen = cell.header().word().peek();
        let count = outbox.count.get();
        // A tapped thread's count is beyond.
        let holds = outbox.last.get() == cell.raw().as_ptr() && count < HELD - 1 && !seen.refuses() && !seen.is_idle();
        if holds {
            // SAFETY: the node is the caller's, which has not pushed it (N1).
            unsafe { Node::set_next(node, outbox.newest.get()) };
            outbox.newest.set(node.as_ptr());
            outbox.count.set(count + 1);
        }
        holds
    })
}

/// Notes a handler's first send to a receiver.
#[inline(always)]
pub(crate) fn note_first(cell: &CellRef) {
    reach(&OUTBOX, |outbox| {
        if outbox.open.get() {
            outbox.last.set(cell.raw().as_ptr());
            outbox.last_id.set(cell.header().id().0);
        }
    });
}

/// Notes a send that is none of the outbox's: what comes next is the first of a row.
#[inline(always)]
pub(crate) fn forget_last() {
    reach(&OUTBOX, |outbox| {
        debug_assert_eq!(outbox.count.get(), 0, "a chain is always `last`'s");
        // Looked at first: a store at each message costs 2 ns here.
        if !outbox.last.get().is_null() {
            outbox.last.set(null());
        }
    });
}

/// Finds out where a message goes.
///
/// `node` belongs to the caller unless [`Route::Taken`] comes back.
#[inline(always)]
pub(crate) fn route(cell: &CellRef, node: NonNull<Node>) -> Route {
    reach(&OUTBOX, |outbox| {
        if outbox.last.get() == cell.raw().as_ptr() {
            return outbox.again(cell, node);
        }
        // A chain that stays is always `last`'s.
        if outbox.count.get() != 0 && outbox.publish() {
            return Route::Tapped;
        }
        note_first(cell);
        Route::Direct
    })
}

/// Publishes what the running handler has sent. Any thread, any time.
#[inline(always)]
pub(crate) fn flush() {
    if flush_before() {
        publish_tapped();
    }
}

/// As [`flush`], before a message that is sent by itself. Whether it is for the thread's tap to see.
#[inline(always)]
pub(super) fn flush_before() -> bool {
    reach(&OUTBOX, |outbox| outbox.count.get() != 0 && outbox.publish())
}

#[cold]
fn publish_tapped() {
    if let Some(tap) = tap::current() {
        tap.publish();
    }
}

/// Whether the calling thread's sends are seen by its tap.
pub(super) fn is_tapped() -> bool {
    reach(&OUTBOX, |outbox| outbox.count.get() == TAPPED)
}

/// Has the calling thread's sends seen by its tap, or no longer. Nothing is held.
pub(super) fn set_tapped(tapped: bool) {
    reach(&OUTBOX, |outbox| outbox.count.set(if tapped { TAPPED } else { 0 }));
}

/// A piece of user code has ended: publishes what it has sent, and begins afresh.
#[inline(always)]
pub(crate) fn settle() {
    reach(&OUTBOX, |outbox| {
        // Again if need be, as in `route`.
        while !outbox.last.get().is_null() {
            outbox.last.set(null());
            if outbox.count.get() != 0 {
                outbox.publish();
            }
        }
    });
}

/// Sends of this thread may be held until [`close`].
pub(crate) fn open() {
    reach(&OUTBOX, |outbox| outbox.open.set(true));
}

/// No more sends are held on this thread.
pub(crate) fn close() {
    settle();
    reach(&OUTBOX, |outbox| outbox.open.set(false));
}
