//! What stands between senders and mailboxes on a thread that simulates.
//!
//! Promise: while a thread has a tap, it sees every message that the thread sends, before the mailbox does, and may keep
//! it back or lose it; without one nothing is asked.
//!
//! How: a thread-local, and the count in the thread's [`super::outbox`], which every send looks at anyway: a tapped thread's
//! is never zero, so its sends leave the short way where a held chain would make them.
//!
//! Gives up: a tapped thread holds no chains. Nothing runs beside a simulated handler that could see them late.

use super::cell::CellRef;
use super::held::Held;
use super::node::Node;
use super::outbox;
use crate::sync::thread_local;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::rc::Rc;

/// What becomes of messages that are about to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// They are pushed.
    Pass,
    /// They are given to [`Tap::keep`].
    Keep,
    /// They are dead-lettered.
    Lose,
}

/// Sees what a thread sends.
pub(crate) trait Tap {
    /// Messages are about to be pushed together, the oldest first. `losable` unless their sender has a right to their fate.
    fn sent(&self, to: &CellRef, pieces: &[Piece<'_>], losable: bool) -> Ruling;
    /// Messages are about to be put back, the oldest first: see [`super::front`]. They are on no way on which something could
    /// happen to them.
    fn put_back(&self, to: &CellRef, pieces: &[Piece<'_>]);
    /// A message is about to be sent to a bounded mailbox. Whether that is to be full.
    fn full(&self, to: &CellRef) -> bool;
    /// Takes over what is to be delivered later.
    fn keep(&self, held: Held);
    /// Delivers what the running actor has sent and is kept: it asks for that, or a drain follows.
    fn publish(&self);
}

#[cfg(not(loom))]
thread_local! {
    static TAP: RefCell<Option<Rc<dyn Tap>>> = const { RefCell::new(None) };
}
#[cfg(loom)]
thread_local! {
    static TAP: RefCell<Option<Rc<dyn Tap>>> = RefCell::new(None);
}

/// Gives the calling thread a tap, or takes it away.
pub(crate) fn install(tap: Option<Rc<dyn Tap>>) {
    outbox::settle();
    outbox::flush();
    outbox::set_tapped(tap.is_some());
    // At the thread's end there is none any more, and nothing to take away.
    let old = TAP.try_with(|current| current.replace(tap));
    drop(old);
}

/// The calling thread's tap.
#[cold]
pub(super) fn current() -> Option<Rc<dyn Tap>> {
    TAP.try_with(|tap| tap.borrow().clone()).ok().flatten()
}

/// Whether the thread's tap wants a bounded mailbox to be full.
pub(super) fn wants_full(to: &CellRef) -> bool {
    outbox::is_tapped() && current().is_some_and(|tap| tap.full(to))
}

/// A message that is about to be pushed or handled, as tap and host may see it.
pub(crate) struct Piece<'a> {
    node: NonNull<Node>,
    turn: PhantomData<&'a ()>,
}

impl Piece<'_> {
    /// The node is the caller's for as long as the piece lives, and its payload is there (N1, N2).
    #[inline(always)]
    pub(super) fn new(node: NonNull<Node>) -> Self {
        Self { node, turn: PhantomData }
    }

    /// What names the message until it is handled or buried.
    pub(crate) fn address(&self) -> usize {
        self.node.as_ptr().addr()
    }

    /// The type of the message.
    pub(crate) fn type_name(&self) -> &'static str {
        super::turn::describe(self)
    }

    pub(super) fn node(&self) -> NonNull<Node> {
        self.node
    }
}
