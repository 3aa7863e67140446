//! A batch of an actor that has what few have: messages that are tried again, a budget of its own, a bounded mailbox.
//!
//! Promise: as the batch in `turn.rs`; actors that have none of that pay for none.
//!
//! How: a bit of the control word, set before the first turn, closes the short way of the lone message, and leads here where
//! any batch looks whether something comes before its messages. So nobody else has a branch more.

use super::cell::Header;
use super::credits::Credits;
use super::node::Node;
use super::outbox;
use super::retry::Retry;
use super::schedule::{Allowance, Host};
use super::tap::Piece;
use super::turn::{Batch, fail, heed};
use std::ptr::NonNull;

/// What makes batches special. Behind `ext`.
pub(super) struct Special {
    pub(super) retry: Option<Retry>,
    /// Its own budget.
    pub(super) allowance: Option<Allowance>,
}

/// The host grants an allowance until this is dropped, also by a panic.
struct Allowed<'a, H: Host>(&'a H);

impl<'a, H: Host> Allowed<'a, H> {
    fn new(host: &'a H, allowance: Allowance) -> Self {
        host.allow(Some(allowance));
        Self(host)
    }
}

impl<H: Host> Drop for Allowed<'_, H> {
    fn drop(&mut self) {
        self.0.allow(None);
    }
}

/// A message of a bounded mailbox waits no longer: it is about to be handled.
fn give_back(credits: &Credits, node: NonNull<Node>) {
    // SAFETY: the caller is about to handle it.
    if unsafe { Node::is_paid(node) } {
        credits.give(1);
    }
}

/// Handles what is in the list.
///
/// # Safety
/// 1. The caller has the right to run the cell, of which state and context are, lent to nobody else.
#[cold]
#[inline(never)]
pub(super) unsafe fn batch<H: Host>(header: &Header, host: &H, state: NonNull<()>, context: NonNull<()>) -> Batch {
    let retry = header.retry();
    let credits = header.credits();
    let shared = credits.and_then(|credits| Some((credits.oldest()?, credits)));
    let allowed = header.allowance().map(|allowance| Allowed::new(host, allowance));
    let mut left = host.begin();
    while !header.list.is_empty() || shared.is_some_and(|(oldest, _)| oldest.has_some()) {
        if left == 0 {
            left = host.look();
        }
        if left == 0 || if allowed.is_some() { host.over_own() } else { host.over() } {
            return Batch::Again;
        }
        left -= 1;
        // What is in the own list already is to be tried again, where the rest is shared.
        let shared = shared.filter(|_| header.list.is_empty());
        if let Some((oldest, credits)) = shared {
            oldest.begin(header, credits);
        }
        // None if a sender was faster.
        let Some(node) = header.list.first() else { continue };
        if let (Some(credits), None, false) = (credits, shared, retry.is_some_and(Retry::is_again)) {
            give_back(credits, node);
        }
        header.handled.count();
        let fails = host.handling(Piece::new(node));
        // SAFETY: the right to run is the caller's, and it is first.
        if retry.is_some_and(|retry| unsafe { retry.begin(node) }) {
            host.retrying();
        }
        if fails {
            fail(node);
        }
        // SAFETY: taken, and its payload is there; state and context are this cell's.
        let fate = unsafe { Node::handle(node, state, context) };
        // SAFETY: M2, and it is first.
        let node = unsafe { header.list.advance() };
        if let Some(retry) = retry {
            retry.over();
        }
        outbox::settle();
        // SAFETY: off the list, and this is its fate.
        unsafe { Node::release(node, fate) };
        if heed(header, false) {
            return Batch::Stop;
        }
    }
    Batch::Empty
}
