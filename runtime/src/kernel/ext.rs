//! What few actors need: watchers, links, timers, messages put back, a name, a restart, a bound, a budget. Made with the first
//! of them, beside the cell.
//!
//! The pointer goes from null to an `Ext`, or at the end to a mark, once; what it leads to stays until the cell is freed. With
//! it goes a bit that says that the mailbox is bounded: senders look at it, and it lies on a line that they read anyway.

use super::cell::{Header, Home};
use super::credits::Credits;
use super::link::Links;
use super::mailbox::List;
use super::restart::Restart;
use super::retry::Retry;
use super::schedule::Allowance;
use super::special::Special;
use super::timers::Timers;
use super::watch::Watchers;
use crate::sync::Text;
use crate::sync::atomic::Ordering;
use crate::sync::cell::UnsafeCell;
use std::ptr::{null_mut, without_provenance_mut};

/// See the [module](self).
pub(super) struct Ext {
    watchers: Watchers,
    links: Links,
    /// Consumer only (C2).
    timers: UnsafeCell<Timers>,
    /// What is to go before the private list, see `front.rs`. Consumer only (C2).
    front: List,
    /// Constant, but for what its parts say of themselves.
    born: Born,
}

/// What the actor was made with.
#[derive(Default)]
pub(super) struct Born {
    pub(super) name: Option<Text>,
    pub(super) restart: Option<Restart>,
    /// On a line of its own.
    pub(super) credits: Option<Box<Credits>>,
    /// Boxed: most that have an `Ext` have no use for it.
    pub(super) special: Option<Box<Special>>,
    /// Its own thread, if it has one.
    pub(super) home: Option<Home>,
}

/// The bit of an `Ext` with credits.
const BOUNDED: usize = 2;
const _: () = assert!(align_of::<Ext>() > BOUNDED);

impl Ext {
    fn new(born: Born) -> Self {
        let timers = UnsafeCell::new(Timers::new());
        Self { watchers: Watchers::new(), links: Links::new(), timers, front: List::new(), born }
    }
}

/// Where the `Ext` lies, without the bit.
fn unmarked(ext: *mut Ext) -> *mut Ext {
    ext.map_addr(|address| address & !BOUNDED)
}

/// Frees a cell's `Ext`, if it has one.
///
/// # Safety
/// 1. The caller frees the cell.
pub(super) unsafe fn free_ext(ext: *mut Ext) {
    if !ext.is_null() && ext != ended_mark() {
        // SAFETY: made by `Box` below, freed once.
        drop(unsafe { Box::from_raw(unmarked(ext)) });
    }
}

/// `ext` of an actor that has ended without one.
pub(super) fn ended_mark() -> *mut Ext {
    without_provenance_mut(1)
}

impl Header {
    /// Gives the actor what stays as it was made. Before its first activation, by whoever makes it.
    pub(super) fn extend(&self, born: Born) {
        let mark = if born.credits.is_some() { BOUNDED } else { 0 };
        let new = Box::into_raw(Box::new(Ext::new(born))).map_addr(|address| address | mark);
        // Ordering: Release publishes it to whoever gets the address, or reads the pointer.
        let before = self.ext.swap(new, Ordering::Release);
        debug_assert!(before.is_null(), "nobody else knows the actor");
    }

    /// The credits of its mailbox, if that is bounded.
    #[inline(always)]
    pub(crate) fn credits(&self) -> Option<&Credits> {
        // Ordering: Relaxed: the bit is there before anybody knows the actor, and stays.
        if self.ext.load(Ordering::Relaxed).addr() & BOUNDED == 0 { None } else { self.some_credits() }
    }

    #[cold]
    fn some_credits(&self) -> Option<&Credits> {
        self.ext_if_any()?.born.credits.as_deref()
    }

    /// The actor's name, also after its end.
    pub(crate) fn name(&self) -> Option<&Text> {
        self.ext_if_any()?.born.name.as_ref()
    }

    /// What the actor is restarted by, if it is.
    pub(super) fn restart(&self) -> Option<&Restart> {
        self.ext_if_any()?.born.restart.as_ref()
    }

    /// What the actor tries again, if it does.
    pub(super) fn retry(&self) -> Option<&Retry> {
        self.ext_if_any()?.born.special.as_ref()?.retry.as_ref()
    }

    /// Its own budget, if it has one.
    pub(super) fn allowance(&self) -> Option<Allowance> {
        self.ext_if_any()?.born.special.as_ref()?.allowance
    }

    /// The actor's own thread, if it has one.
    pub(super) fn home(&self) -> Option<&Home> {
        self.ext_if_any()?.born.home.as_ref()
    }

    /// Which incarnation of the actor this is: 0 until it is restarted.
    pub(super) fn incarnation(&self) -> u32 {
        self.restart().map_or(0, Restart::incarnation)
    }

    /// The watchers' list, made if need be; `None` when the actor has ended without one.
    pub(super) fn watchers(&self) -> Option<&Watchers> {
        self.ext().map(|ext| &ext.watchers)
    }

    /// The watchers' list, if there is one.
    pub(super) fn watchers_if_any(&self) -> Option<&Watchers> {
        self.ext_if_any().map(|ext| &ext.watchers)
    }

    /// Its links, made if need be; `None` when the actor has ended without any.
    pub(super) fn links(&self) -> Option<&Links> {
        self.ext().map(|ext| &ext.links)
    }

    /// Its links, if there may be any.
    pub(super) fn links_if_any(&self) -> Option<&Links> {
        self.ext_if_any().map(|ext| &ext.links)
    }

    /// Lends the actor's timers, made if need be. Runs no user code.
    ///
    /// # Safety
    /// 1. The caller has the right to run (C2).
    pub(super) unsafe fn with_timers<R>(&self, f: impl FnOnce(&mut Timers) -> R) -> R {
        let Some(ext) = self.ext() else { unreachable!("an actor in its turn has not ended") };
        // SAFETY: C2, passed on to the caller; `f` cannot come back here.
        ext.timers.with_mut(|timers| f(unsafe { &mut *timers }))
    }

    /// Whether the actor may ever have set a timer: it has an `Ext`.
    pub(super) fn may_have_timers(&self) -> bool {
        self.ext_if_any().is_some()
    }

    /// Whether the actor has ended, as its watchers know it.
    pub(super) fn has_ended(&self) -> bool {
        // Ordering: Relaxed: only compared with a mark.
        let ext = self.ext.load(Ordering::Relaxed);
        ext == ended_mark() || self.watchers_if_any().is_some_and(Watchers::have_been_told)
    }

    /// What is to go before the private list, made if need be. Only for the holder of the right to run (C2).
    pub(super) fn front(&self) -> &List {
        let Some(ext) = self.ext() else { unreachable!("an actor in its turn has not ended") };
        &ext.front
    }

    fn ext(&self) -> Option<&Ext> {
        // Ordering: Acquire pairs with the Release below (the list) and in `end_watches` (the cause).
        let mut ext = self.ext.load(Ordering::Acquire);
        if ext.is_null() {
            let new = Box::into_raw(Box::new(Ext::new(Born::default())));
            // Ordering: Release publishes the list; Acquire on failure, for what somebody else put there.
            match self.ext.compare_exchange(null_mut(), new, Ordering::Release, Ordering::Acquire) {
                Ok(_) => ext = new,
                Err(other) => {
                    ext = other;
                    // SAFETY: never published.
                    drop(unsafe { Box::from_raw(new) });
                }
            }
        }
        if ext == ended_mark() {
            return None;
        }
        // SAFETY: once there, it stays until the cell is freed.
        Some(unsafe { &*unmarked(ext) })
    }

    fn ext_if_any(&self) -> Option<&Ext> {
        // Ordering: Acquire pairs with the Release in `ext` and `extend`.
        let ext = self.ext.load(Ordering::Acquire);
        if ext.is_null() || ext == ended_mark() {
            return None;
        }
        // SAFETY: once there, it stays until the cell is freed.
        Some(unsafe { &*unmarked(ext) })
    }

    /// The watchers' list of an actor that ends, if there is one; none can be made afterwards.
    pub(super) fn end_watches(&self) -> Option<&Watchers> {
        // Ordering: Release publishes the cause to a late `ext`; Acquire on failure, for the list.
        let ext = match self.ext.compare_exchange(null_mut(), ended_mark(), Ordering::Release, Ordering::Acquire) {
            Ok(_) => return None,
            Err(ext) => ext,
        };
        // SAFETY: once there, it stays until the cell is freed.
        Some(&unsafe { &*unmarked(ext) }.watchers)
    }

    /// Remembers what the actor's code panicked with.
    pub(super) fn note_panic(&self, text: Text) {
        if let Some(watchers) = self.watchers() {
            watchers.note_panic(text);
        }
    }
}
