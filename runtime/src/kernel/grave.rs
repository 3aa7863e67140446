//! Messages that nobody will handle: dead letters.
//!
//! Promise: each is told of once, with the type of its payload, and with the payload if somebody wants those; what its drop
//! panics with ends here. A credit that it has comes back.

use super::cell::{CellRef, Header};
use super::mailbox::List;
use super::node::{Discard, How, Node};
use super::schedule::{Loss, Lost};
use std::ptr::NonNull;

/// As what a message is buried.
pub(super) struct Grave {
    pub(super) why: Loss,
    /// See [`Discard::failed`].
    pub(super) failed: bool,
    /// Unless it counts as handled.
    pub(super) counted: bool,
}

/// Makes one message a dead letter that was sent: its credit comes back.
///
/// # Safety
/// 1. The caller owns the node, its payload is there, and it is bound to the cell.
pub(super) unsafe fn bury_sent(header: &Header, node: NonNull<Node>, why: Loss) {
    // SAFETY: passed on to the caller.
    let credits = header.credits().filter(|_| unsafe { Node::is_paid(node) });
    // SAFETY: passed on to the caller.
    unsafe { bury_as(header, node, why) };
    if let Some(credits) = credits {
        credits.give(1);
    }
}

/// Makes one message a dead letter, which has no credit, or whose credit is used for another one.
///
/// # Safety
/// 1. The caller owns the node, its payload is there, and it is bound to the cell.
#[cold]
pub(super) unsafe fn bury_as(header: &Header, node: NonNull<Node>, why: Loss) {
    // SAFETY: passed on to the caller.
    unsafe { bury_in(header, node, Grave { why, failed: false, counted: true }) };
}

/// As [`bury_as`].
///
/// # Safety
/// 1. As there.
pub(super) unsafe fn bury_in(header: &Header, node: NonNull<Node>, grave: Grave) {
    let how = if header.hub().keeps_letters() { How::Keep } else { How::Drop };
    let mut discard = Discard { failed: grave.failed, full: grave.why == Loss::Full, ..Discard::new(how) };
    // SAFETY: passed on to the caller.
    unsafe { Node::bury(node, &mut discard) };
    let lost = Lost { to: header.id(), type_name: discard.type_name, why: grave.why, payload: discard.payload };
    header.hub().lost(lost, grave.counted);
}

/// Makes a chain dead letters that was sent, the oldest first.
///
/// # Safety
/// 1. The caller owns the chain from `newest` on to its end, and its payloads are there.
#[cold]
pub(super) unsafe fn bury_chain(cell: &CellRef, newest: NonNull<Node>, why: Loss) {
    // SAFETY: passed on to the caller.
    let bury = |node| unsafe { bury_sent(cell.header(), node, why) };
    // SAFETY: passed on to the caller.
    unsafe { each_oldest_first(newest, bury) };
}

/// Gives the nodes of a chain to `f`, the oldest first.
///
/// # Safety
/// 1. The caller owns the chain from `newest` on to its end.
pub(super) unsafe fn each_oldest_first(newest: NonNull<Node>, f: impl Fn(NonNull<Node>)) {
    let list = List::new();
    // SAFETY: 1, and nobody else knows the list.
    unsafe { list.append_chain(newest) };
    while !list.is_empty() {
        // SAFETY: as above, and it is not empty.
        f(unsafe { list.advance() });
    }
}
