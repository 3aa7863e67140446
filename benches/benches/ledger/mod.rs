//! A system of the kernel alone, without books.

use std::any::Any;

use cuelight::dev_hooks::kernel::{Ledger, Root};

/// Keeps no books.
pub(crate) struct Blank;

impl Ledger for Blank {
    fn keep(&self, _: u64, root: Root) {
        // A few actors, until the process ends.
        std::mem::forget(root);
    }

    fn ended_root(&self, _: u64) -> Option<Root> {
        None
    }

    fn sent(&self, _: u64) {}

    fn returned(&self, _: u64) {}

    fn handling(&self) {}

    fn lost(&self, _: bool, _: Option<Box<dyn Any + Send>>) {}

    fn keeps_letters(&self) -> bool {
        false
    }

    fn late_reply(&self) {}

    fn ended(&self) {}

    fn batch(&self) -> u32 {
        u32::MAX
    }
}
