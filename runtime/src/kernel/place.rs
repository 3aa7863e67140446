//! A place in a node for a request or a reply: the value itself, or a box of it.

use super::usage::Boxed;
use std::ptr::NonNull;

/// Requests and replies up to this size lie in the node: both together fit the largest class.
const INLINE: usize = 96;

/// Whether a `T` lies in its place itself.
const fn is_inline<T>() -> bool {
    size_of::<T>() <= INLINE && align_of::<T>() <= 16
}

/// Where the place of a `T` begins and ends that follows what is there.
pub(super) const fn place_of<T>(after: usize) -> (usize, usize) {
    let (size, align) = if is_inline::<T>() {
        (size_of::<T>(), align_of::<T>())
    } else {
        (size_of::<Boxed<T>>(), align_of::<Boxed<T>>())
    };
    let start = after.next_multiple_of(align);
    (start, start + size)
}

/// Writes a `T`, boxed if need be.
///
/// # Safety
/// 1. `at` is valid for a `T` or its box, as `is_inline` says, and holds nothing.
pub(super) unsafe fn put<T>(at: NonNull<u8>, value: T) {
    if const { is_inline::<T>() } {
        // SAFETY: passed on to the caller.
        unsafe { at.cast::<T>().write(value) };
    } else {
        // SAFETY: passed on to the caller.
        unsafe { at.cast::<Boxed<T>>().write(Boxed::new(value)) };
    }
}

/// Moves a `T` out again.
///
/// # Safety
/// 1. `put` wrote it there, and nobody has taken it.
pub(super) unsafe fn get<T>(at: NonNull<u8>) -> T {
    if const { is_inline::<T>() } {
        // SAFETY: passed on to the caller.
        unsafe { at.cast::<T>().read() }
    } else {
        // SAFETY: passed on to the caller.
        unsafe { at.cast::<Boxed<T>>().read() }.open()
    }
}

/// Looks at a `T`.
///
/// # Safety
/// 1. `put` wrote it there, and nobody takes it while the result is used.
pub(super) unsafe fn peek<'a, T>(at: NonNull<u8>) -> &'a T {
    if const { is_inline::<T>() } {
        // SAFETY: passed on to the caller.
        unsafe { at.cast::<T>().as_ref() }
    } else {
        // SAFETY: passed on to the caller.
        unsafe { at.cast::<Boxed<T>>().as_ref() }.get()
    }
}
