//! Three small things that need a pointer where safe code has none: a way to thread-locals, a scoped thread-local
//! reference, and a note of whom a worker is running.
//!
//! # Invariants
//! - **L1** A `Scoped` holds null or a reference that is borrowed for the whole of a running [`Scoped::enter`].
//! - **L2** A `Holder` holds null or a `&'static VTable`, and null or a [`RunFn`].

use super::cell::{Runnable, VTable};
use super::node::{RunFn, described};
use super::tap::Piece;
use super::watch::ActorId;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use crate::sync::{LocalKey, Mutex, Text};
use std::cell::Cell;
use std::ptr::{from_ref, null, null_mut};

/// Reaches a thread-local. The compiler inlines [`LocalKey::with`] around a small closure only, and this is on every path.
#[inline(always)]
pub(crate) fn reach<T, R>(key: &'static LocalKey<T>, f: impl FnOnce(&T) -> R) -> R {
    #[cfg(not(loom))]
    const {
        assert!(!std::mem::needs_drop::<T>())
    };
    let place = key.with(|value| from_ref(value));
    // SAFETY: it lies there until its thread ends, for it has no destructor that could end it sooner, and `f` runs on it.
    f(unsafe { &*place })
}

/// A reference that is reachable on this thread while a scope lasts.
pub(crate) struct Scoped<T>(Cell<*const T>);

impl<T> Scoped<T> {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(null()))
    }

    /// Makes `value` reachable while `f` runs.
    pub(crate) fn enter<R>(&self, value: &T, f: impl FnOnce() -> R) -> R {
        struct Leave<'a, T>(&'a Cell<*const T>, *const T);
        impl<T> Drop for Leave<'_, T> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _leave = Leave(&self.0, self.0.replace(from_ref(value)));
        f()
    }

    /// The reference, if this thread is inside a scope.
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(Option<&T>) -> R) -> R {
        // SAFETY: L1: the scope is still on the stack below us.
        f(unsafe { self.0.get().as_ref() })
    }
}

/// Whom a worker is running, for those who ask from outside. The words are read one after the other: an answer may
/// mix two turns, and is only ever shown to people.
#[derive(Debug)]
pub(crate) struct Holder {
    id: AtomicU64,
    vtable: AtomicPtr<VTable>,
    /// What runs the message that is being handled, where that is noted: see [`Holder::begin_turn`].
    run: AtomicPtr<()>,
    name: Mutex<Option<Text>>,
    /// The name is not none. Owner only.
    named: AtomicBool,
}

/// An actor that a worker is running.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) id: ActorId,
    pub(crate) type_name: &'static str,
}

impl Holder {
    pub(crate) fn new() -> Self {
        Self {
            id: AtomicU64::new(0),
            vtable: AtomicPtr::new(null_mut()),
            run: AtomicPtr::new(null_mut()),
            name: Mutex::new(None),
            named: AtomicBool::new(false),
        }
    }

    #[inline(always)]
    pub(crate) fn set(&self, runnable: &Runnable) {
        let header = runnable.header();
        // Ordering: Relaxed, both: shown to people only.
        self.id.store(header.id().0, Ordering::Relaxed);
        self.vtable.store(from_ref(header.vtable).cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        // Ordering: Relaxed: shown to people only.
        self.vtable.store(null_mut(), Ordering::Relaxed);
    }

    /// Notes more of a turn that begins: for a watchdog, and only where there is one. Owner only.
    pub(crate) fn begin_turn(&self, runnable: &Runnable) {
        // Ordering: Relaxed: shown to people only.
        self.run.store(null_mut(), Ordering::Relaxed);
        let name = runnable.header().name();
        // Ordering: Relaxed, both: the owner's alone.
        if name.is_some() || self.named.load(Ordering::Relaxed) {
            self.named.store(name.is_some(), Ordering::Relaxed);
            *self.name.lock() = name.cloned();
        }
    }

    /// Notes a message that is about to be handled, as [`Holder::begin_turn`] does.
    #[inline]
    pub(crate) fn note(&self, piece: &Piece<'_>) {
        // SAFETY: the node is the piece's maker's, and there (N1, N2).
        let run = unsafe { piece.node().as_ref() }.run();
        // Ordering: Relaxed: shown to people only.
        self.run.store(run as *mut (), Ordering::Relaxed);
    }

    /// The type of the message that was noted last in this turn.
    pub(crate) fn message(&self) -> Option<&'static str> {
        // Ordering: Relaxed: shown to people only; a function is there for ever.
        let run = self.run.load(Ordering::Relaxed);
        if run.is_null() {
            return None;
        }
        // SAFETY: L2.
        Some(described(unsafe { std::mem::transmute::<*mut (), RunFn>(run) }))
    }

    /// The name of the actor, if it has one, where that is noted.
    pub(crate) fn name(&self) -> Option<Text> {
        self.name.lock().clone()
    }

    pub(crate) fn get(&self) -> Option<Held> {
        // Ordering: Relaxed, both: shown to people only.
        let vtable = self.vtable.load(Ordering::Relaxed);
        let id = ActorId(self.id.load(Ordering::Relaxed));
        // SAFETY: L2.
        unsafe { vtable.as_ref() }.map(|vtable| Held { id, type_name: (vtable.type_name)() })
    }
}
