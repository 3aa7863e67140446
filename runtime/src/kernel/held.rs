//! What a tap keeps on its way.
//!
//! Promise: it is delivered in its order, or dead-lettered.

use super::cell::CellRef;
use super::grave::bury_chain;
use super::node::Node;
use super::parcel::deliver_chain;
use super::schedule::Loss;
use super::tap::{Ruling, Tap};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// Messages for one receiver that a tap keeps: a chain of its own, from the newest to the oldest. Dead-lettered if it is
/// dropped.
pub(crate) struct Held {
    pub(super) cell: CellRef,
    pub(super) newest: NonNull<Node>,
    pub(super) oldest: NonNull<Node>,
}

impl Held {
    pub(super) fn rule(self, ruling: Ruling, tap: &dyn Tap) {
        match ruling {
            Ruling::Lose => self.lose(),
            Ruling::Pass => self.deliver(),
            Ruling::Keep => tap.keep(self),
        }
    }

    /// Whom the messages are for.
    pub(crate) fn cell(&self) -> &CellRef {
        &self.cell
    }

    /// Pushes them with one exchange; a receiver that refuses by now has them dead-lettered.
    pub(crate) fn deliver(self) {
        let (cell, newest, oldest) = self.into_parts();
        // SAFETY: the chain is ours (N1).
        unsafe { deliver_chain(&cell, newest, oldest) };
    }

    /// Makes them dead letters that were lost on their way.
    fn lose(self) {
        let (cell, newest, _) = self.into_parts();
        // SAFETY: the chain is ours (N1).
        unsafe { bury_chain(&cell, newest, Loss::OnTheWay) };
    }

    /// Lets go of the chain to the caller.
    fn into_parts(self) -> (CellRef, NonNull<Node>, NonNull<Node>) {
        let this = ManuallyDrop::new(self);
        // SAFETY: moved out once: `this` is not dropped.
        let cell = unsafe { std::ptr::read(&raw const this.cell) };
        (cell, this.newest, this.oldest)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the chain is ours (N1), and given up here.
        unsafe { bury_chain(&self.cell, self.newest, Loss::Stopped) };
    }
}
