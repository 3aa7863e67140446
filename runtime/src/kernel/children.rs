//! An actor's children, in two words.
//!
//! A `Vec` whose length and capacity are halves of a word: a place among siblings is one, too. The word that it saves counts
//! messages, on the same line of the cell.
//!
//! # Invariants
//! - **V1** `first`, `length` and `capacity` are the parts of a `Vec<CellRef>`.

use super::cell::CellRef;
use std::mem::{ManuallyDrop, take};
use std::ops::Deref;
use std::ptr::NonNull;

/// See the [module](self).
pub(super) struct Children {
    first: NonNull<CellRef>,
    length: u32,
    capacity: u32,
}

impl Children {
    pub(super) const fn new() -> Self {
        Self { first: NonNull::dangling(), length: 0, capacity: 0 }
    }

    /// Lends the list as what it is.
    #[inline(always)]
    fn edit<R>(&mut self, f: impl FnOnce(&mut Vec<CellRef>) -> R) -> R {
        // What a panic of `f` leaves behind is empty.
        let Self { first, length, capacity } = *ManuallyDrop::new(take(self));
        // SAFETY: V1, and nobody else has them now.
        let mut list = unsafe { Vec::from_raw_parts(first.as_ptr(), length as usize, capacity as usize) };
        let result = f(&mut list);
        debug_assert!(u32::try_from(list.capacity()).is_ok(), "more cells than fit into memory");
        let mut list = ManuallyDrop::new(list);
        let (length, capacity) = (list.len() as u32, list.capacity() as u32);
        // SAFETY: the pointer of a `Vec` is not null.
        let first = unsafe { NonNull::new_unchecked(list.as_mut_ptr()) };
        (self.first, self.length, self.capacity) = (first, length, capacity);
        result
    }

    /// Adds a child.
    #[inline]
    pub(super) fn push(&mut self, child: CellRef) {
        self.edit(|list| list.push(child));
    }

    /// Takes the child at a place out. The last one takes that place.
    #[inline]
    pub(super) fn swap_remove(&mut self, place: usize) -> CellRef {
        self.edit(|list| list.swap_remove(place))
    }
}

impl Default for Children {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Children {
    type Target = [CellRef];

    #[inline(always)]
    fn deref(&self) -> &[CellRef] {
        // SAFETY: V1.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.length as usize) }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        // SAFETY: V1, and nobody has them afterwards.
        drop(unsafe { Vec::from_raw_parts(self.first.as_ptr(), self.length as usize, self.capacity as usize) });
    }
}
