//! What a tap keeps on its way.
//!
//! Promise: it is delivered in its order, or dead-lettered.

use super::cell::{CellRef, Runnable};
use super::mailbox::push_chain;
use super::node::Node;
use super::parcel::bury_chain;
use super::schedule::Loss;
use super::state::Pushed;
use super::tap::{Ruling, Tap};
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
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: moved out once: `this` is not dropped.
        let cell = unsafe { std::ptr::read(&raw const this.cell) };
        // SAFETY: the chain is ours (N1).
        match unsafe { push_chain(cell.header().word(), this.newest, this.oldest) } {
            Pushed::Queued => {}
            Pushed::WasIdle | Pushed::WasApart => {
                // SAFETY: the word was idle: the right to run is ours now.
                let runnable = unsafe { Runnable::new(cell.raw()) };
                cell.header().hub().schedule(runnable);
            }
            // SAFETY: refused: the chain is still ours.
            Pushed::Closed => unsafe { bury_chain(&cell, this.newest, Loss::Stopped) },
        }
    }

    /// Makes them dead letters that were lost on their way.
    fn lose(self) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: moved out once: `this` is not dropped.
        let cell = unsafe { std::ptr::read(&raw const this.cell) };
        // SAFETY: the chain is ours (N1).
        unsafe { bury_chain(&cell, this.newest, Loss::OnTheWay) };
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the chain is ours (N1), and given up here.
        unsafe { bury_chain(&self.cell, self.newest, Loss::Stopped) };
    }
}
