//! Memory for nodes: a small hot cache per thread and size class, over slabs that keep their order.
//!
//! Promise: in steady state no call of the allocator; a node may be freed on any thread; a slab goes back to the
//! allocator when its last node has come back, also after its thread and its system are gone.
//!
//! How: a slab is 64 KiB of equal nodes, aligned to its size, owned by the thread that made it, with one bit per free
//! node. The cache is a stack of pointers. It refills 32 nodes at a time from one slab in the order of their addresses, and
//! spills its 32 coldest at a time; neighbours come back with one atomic operation. Bits instead of linked free nodes,
//! so that a free node is not touched: after a burst of millions of messages a list of them would lead from page to
//! page in the order of consumption, and every later send would miss the TLB.
//!
//! Gives up: a thread from outside that has sent messages keeps its slabs (64 KiB per size class in use) until it ends
//! or shuts a system down; after a large burst the excess goes back when the worker has slept for a while.
//!
//! The slab's own protocol, between its owner and those who free remotely, is in [`super::slab`].

use super::lanes::Lanes;
use super::local::reach;
pub(crate) use super::slab::Class;
use super::slab::{CLASSES, Slab, give_back_all, leave};
use crate::sync::MODEL;
use crate::sync::alloc::handle_alloc_error;
use crate::sync::cell::UnsafeCell;
use crate::sync::thread_local;
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

/// Nodes in a thread's cache, per class.
const CACHE: usize = if MODEL { 2 } else { 64 };
/// Nodes that move between cache and slabs at a time.
pub(super) const BATCH: usize = CACHE / 2;
/// Slabs that are looked at when the one that serves is used up. Each costs two cache misses; the fewer, the more slabs that
/// are not quite full the pool may have (see [`Shelf`]).
const LOOKS: usize = 8;
/// Up to this many slabs of a class, all are looked at before a new one is made, and none is given back early.
const FEW_SLABS: usize = if MODEL { 1 } else { 16 };

/// A stack of free nodes.
///
/// Invariant **P4**: `length` is at most `CACHE`, and below it are nodes.
pub(super) struct Cache {
    pub(super) length: usize,
    pub(super) nodes: [*mut u8; CACHE],
}

impl Cache {
    const fn new() -> Self {
        Self { length: 0, nodes: [null_mut(); CACHE] }
    }

    /// Puts a node on top, if fewer than `limit` are there, which is at most `CACHE`.
    #[inline(always)]
    fn push(&mut self, node: NonNull<u8>, limit: usize) -> bool {
        debug_assert!(limit <= CACHE);
        let room = self.length < limit;
        if room {
            // SAFETY: P4, and the limit.
            *unsafe { self.nodes.get_unchecked_mut(self.length) } = node.as_ptr();
            self.length += 1;
        }
        room
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<NonNull<u8>> {
        let top = self.length.checked_sub(1)?;
        self.length = top;
        // SAFETY: P4.
        let node = *unsafe { self.nodes.get_unchecked(top) };
        // SAFETY: P4.
        Some(unsafe { NonNull::new_unchecked(node) })
    }
}

/// One class of one thread.
///
/// The ring, in its order: the slab that serves, those that are known to have free nodes, and the rest. When the serving one
/// is used up it becomes the last of the rest, and a few of the rest are looked at, from where the last look ended; those
/// with free nodes join the known ones at their end. A new slab is made when none is known. So what is made is in proportion
/// to what is full: between two slabs made, `LOOKS` times as many were seen to be full as were used.
struct Shelf {
    cache: Cache,
    /// How full the cache may get: 0 for outside threads, which keep no foreign nodes.
    limit: usize,
    /// The slab that serves; null before the first.
    current: *mut Slab,
    /// The last one that is known to have free nodes, or the one that serves.
    last: *mut Slab,
    /// The slab before the one to be looked at next: `last` or one of the rest.
    scout: *mut Slab,
    slabs: usize,
    lanes: Lanes,
}

/// One thread's pool.
struct Pool {
    shelves: [UnsafeCell<Shelf>; CLASSES],
    /// The thread's end will empty this pool.
    guarded: Cell<bool>,
    /// loom's threads come by each other's addresses without an order between them; the real ones do not.
    #[cfg(loom)]
    number: usize,
}

/// The thread's end: gives everything back.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = POOL.try_with(Pool::abandon);
    }
}

#[cfg(not(loom))]
thread_local! {
    // No destructor of its own, so that reaching it costs one instruction; the guard is its destructor.
    static POOL: Pool = const { Pool::new() };
}
#[cfg(loom)]
thread_local! {
    static POOL: Pool = Pool::new();
}
#[cfg(not(loom))]
thread_local! {
    static GUARD: Guard = const { Guard };
}
#[cfg(loom)]
thread_local! {
    static GUARD: Guard = Guard;
}

impl Pool {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self { shelves: [const { UnsafeCell::new(Shelf::new()) }; CLASSES], guarded: Cell::new(false) }
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self {
            shelves: std::array::from_fn(|_| UnsafeCell::new(Shelf::new())),
            guarded: Cell::new(false),
            number: crate::sync::fresh_number(),
        }
    }

    #[cfg(not(loom))]
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    #[cfg(loom)]
    fn id(&self) -> usize {
        self.number
    }

    /// Reaches a shelf. The closure must not run foreign code: the shelf is borrowed for its time.
    #[inline(always)]
    fn shelf<R>(&self, class: Class, f: impl FnOnce(&mut Shelf) -> R) -> R {
        self.shelves[class as usize].with_mut(|shelf| {
            // SAFETY: the pool is its thread's own, and `f` does not come back here.
            f(unsafe { &mut *shelf })
        })
    }

    /// Makes sure that the thread's end empties this pool. False if that end has already come.
    #[cold]
    fn guard(&self) -> bool {
        if !self.guarded.get() {
            self.guarded.set(GUARD.try_with(|_| ()).is_ok());
        }
        self.guarded.get()
    }

    #[cold]
    #[inline(never)]
    fn allocate_slowly(&self, class: Class, receiver: usize) -> NonNull<u8> {
        let guarded = self.guard();
        let node = self.shelf(class, |shelf| {
            // What is sent from outside never comes back to the cache, so nothing there tells a burst from steady traffic.
            if shelf.lanes.wanted(receiver) && shelf.slabs > FEW_SLABS && shelf.limit > 0 {
                return shelf.take_for(class, self.id(), receiver);
            }
            shelf.refill(class, self.id());
            shelf.cache.pop()
        });
        if !guarded {
            // The thread is ending, and has given back what it had: keep nothing.
            self.abandon();
        }
        // A refill never comes back empty: a new slab holds at least one node.
        node.unwrap_or_else(|| handle_alloc_error(Slab::LAYOUT))
    }

    #[cold]
    #[inline(never)]
    fn free_slowly(&self, node: NonNull<u8>, class: Class) {
        self.shelf(class, |shelf| {
            if shelf.limit == 0 {
                // SAFETY: the caller gives it up.
                unsafe { give_back_all(&[node.as_ptr()], class, self.id()) };
            } else {
                shelf.spill(BATCH, class, self.id());
                let kept = shelf.cache.push(node, shelf.limit);
                debug_assert!(kept, "there is room after a spill");
            }
        });
    }

    /// Gives everything back: what is still out frees its slab when it comes back.
    fn abandon(&self) {
        self.guarded.set(false);
        for class in Class::ALL {
            self.shelf(class, |shelf| {
                shelf.limit = 0;
                shelf.abandon(class, self.id());
            });
        }
    }
}

impl Shelf {
    const fn new() -> Self {
        Self {
            cache: Cache::new(),
            limit: 0,
            current: null_mut(),
            last: null_mut(),
            scout: null_mut(),
            slabs: 0,
            lanes: Lanes::new(),
        }
    }

    /// The slab after `slab` in the ring.
    fn following(slab: NonNull<Slab>) -> NonNull<Slab> {
        // SAFETY: slabs of a shelf's ring are there, and linked in a ring.
        let next = unsafe { slab.as_ref() }.next.get();
        NonNull::new(next).unwrap_or(slab)
    }

    /// Whether a slab has free nodes of its own, or at least `wanted` that have come back.
    fn has_free(slab: NonNull<Slab>, wanted: i64) -> bool {
        // SAFETY: slabs of the ring are there.
        let slab = unsafe { slab.as_ref() };
        if slab.free.get() == 0 && slab.waiting() >= wanted {
            slab.collect();
        }
        slab.free.get() > 0
    }

    /// Takes a node from the receiver's lane.
    fn take_for(&mut self, class: Class, owner: usize, receiver: usize) -> Option<NonNull<u8>> {
        if self.lanes.give_up(class, owner) {
            self.refill(class, owner);
            return self.cache.pop();
        }
        if let node @ Some(_) = self.lanes.take(class, receiver) {
            return node;
        }
        let run = Slab::hand_out_run(self.serving(class, owner));
        self.lanes.lay(class, receiver, run)
    }

    /// Puts a batch into the empty cache.
    fn refill(&mut self, class: Class, owner: usize) {
        let slab = self.serving(class, owner);
        Slab::hand_out(slab, &mut self.cache);
    }

    /// The slab that serves; one with free nodes.
    fn serving(&mut self, class: Class, owner: usize) -> NonNull<Slab> {
        let slab = match NonNull::new(self.current) {
            Some(current) if Self::has_free(current, BATCH as i64) => current,
            Some(current) => {
                self.find();
                if self.current == self.last {
                    self.grow(class, owner);
                }
                Self::following(current)
            }
            None => self.grow(class, owner),
        };
        self.current = slab.as_ptr();
        slab
    }

    /// Looks for slabs with free nodes among the rest.
    #[inline(never)]
    fn find(&mut self) {
        self.look(LOOKS, BATCH as i64);
        if self.current == self.last && self.slabs <= FEW_SLABS {
            self.scout = self.last;
            self.look(self.slabs, 1);
        }
    }

    /// Looks at `count` slabs of the rest, and puts those with at least `wanted` free nodes to the known ones.
    fn look(&mut self, count: usize, wanted: i64) {
        for _ in 0..count {
            let Some(before) = NonNull::new(self.scout) else { return };
            let slab = Self::following(before);
            if slab.as_ptr() == self.current {
                self.scout = self.last;
            } else if !Self::has_free(slab, wanted) {
                self.scout = slab.as_ptr();
            } else if self.scout == self.last {
                (self.scout, self.last) = (slab.as_ptr(), slab.as_ptr());
            } else {
                let next = Self::following(slab);
                // SAFETY: a slab of the ring.
                unsafe { before.as_ref() }.next.set(next.as_ptr());
                self.put_last(slab);
            }
        }
    }

    /// Puts a slab that is in no ring behind the known ones.
    fn put_last(&mut self, slab: NonNull<Slab>) {
        let (next, pointer) = match NonNull::new(self.last) {
            Some(last) => (Self::following(last), slab.as_ptr()),
            None => (slab, slab.as_ptr()),
        };
        // SAFETY: the caller's.
        unsafe { slab.as_ref() }.next.set(next.as_ptr());
        if let Some(last) = NonNull::new(self.last) {
            // SAFETY: a slab of the ring.
            unsafe { last.as_ref() }.next.set(pointer);
        }
        if self.scout == self.last {
            self.scout = pointer;
        }
        self.last = pointer;
    }

    #[cold]
    fn grow(&mut self, class: Class, owner: usize) -> NonNull<Slab> {
        let slab = Slab::create(class, owner);
        self.put_last(slab);
        self.slabs += 1;
        slab
    }

    /// Gives the `count` coldest nodes of the cache back to their slabs.
    fn spill(&mut self, count: usize, class: Class, owner: usize) {
        self.lanes.came_back();
        // SAFETY: the cache holds free nodes of this class.
        unsafe { give_back_all(&self.cache.nodes[..count], class, owner) };
        self.cache.nodes.copy_within(count..self.cache.length, 0);
        self.cache.length -= count;
    }

    /// Gives wholly free slabs back to the allocator, except `keep` of them.
    fn trim(&mut self, mut keep: usize) {
        let Some(mut before) = NonNull::new(self.current) else { return };
        // All but the serving one are the rest again: the known ones are in order behind it, and found first.
        (self.last, self.scout) = (self.current, self.current);
        for _ in 0..self.slabs {
            let slab = Self::following(before);
            // SAFETY: a slab of the ring.
            let this = unsafe { slab.as_ref() };
            if this.waiting() > 0 {
                this.collect();
            }
            // Asked once: a node that is just coming back may change the answer.
            let whole = this.is_whole();
            if !whole || keep > 0 {
                keep -= usize::from(whole);
                before = slab;
                continue;
            }
            let next = this.next.get();
            if slab == before {
                self.current = null_mut();
            } else {
                // SAFETY: a slab of the ring.
                unsafe { before.as_ref() }.next.set(next);
                self.current = before.as_ptr();
            }
            (self.last, self.scout) = (self.current, self.current);
            self.slabs -= 1;
            // SAFETY: out of the ring, all its nodes are here, and by P3 nobody is still on the way.
            unsafe { Slab::destroy(slab) };
            if self.slabs == 0 {
                return;
            }
        }
    }

    fn abandon(&mut self, class: Class, owner: usize) {
        self.spill(self.cache.length, class, owner);
        self.lanes.close(class, owner);
        let mut slab = self.current;
        for _ in 0..self.slabs {
            let Some(this) = NonNull::new(slab) else { break };
            slab = Self::following(this).as_ptr();
            // SAFETY: a slab of the ring, in which this owner keeps nothing.
            unsafe { leave(this) };
        }
        *self = Self { limit: self.limit, ..Self::new() };
    }
}

/// Takes memory for a node of a class: uninitialised, aligned to 16.
#[inline(always)]
pub(crate) fn allocate(class: Class) -> NonNull<u8> {
    allocate_for(0, class)
}

/// As [`allocate`], for a message to the actor at this address: in a burst, beside its others.
#[inline(always)]
pub(crate) fn allocate_for(receiver: usize, class: Class) -> NonNull<u8> {
    if let Some(node) = allocate_cached(class) {
        return node;
    }
    let node = reach(&POOL, |pool| pool.allocate_slowly(class, receiver));
    #[cfg(loom)]
    Slab::hand_over(node, class, true);
    node
}

/// As [`allocate`], if the calling thread's cache has one.
#[inline(always)]
pub(crate) fn allocate_cached(class: Class) -> Option<NonNull<u8>> {
    let node = reach(&POOL, |pool| pool.shelf(class, |shelf| shelf.cache.pop()));
    #[cfg(loom)]
    if let Some(node) = node {
        Slab::hand_over(node, class, true);
    }
    node
}

/// Gives a node's memory back, on any thread.
///
/// # Safety
/// 1. It came from [`allocate`] with the same class, and nobody uses it any more.
#[inline(always)]
pub(crate) unsafe fn free(node: NonNull<u8>, class: Class) {
    #[cfg(loom)]
    Slab::hand_over(node, class, false);
    reach(&POOL, |pool| {
        let kept = pool.shelf(class, |shelf| shelf.cache.push(node, shelf.limit));
        if !kept {
            pool.free_slowly(node, class);
        }
    });
}

/// Lets the calling thread keep a cache of freed nodes: for workers.
pub(crate) fn keep_cache() {
    POOL.with(|pool| {
        if pool.guard() {
            for class in Class::ALL {
                pool.shelf(class, |shelf| shelf.limit = CACHE);
            }
        }
    });
}

/// Whether the calling thread has more slabs than it keeps.
pub(crate) fn has_excess() -> bool {
    let is_much = |shelf: &mut Shelf| shelf.slabs > FEW_SLABS || shelf.lanes.are_open();
    POOL.with(|pool| Class::ALL.into_iter().any(|class| pool.shelf(class, is_much)))
}

/// Gives the excess of the calling thread back: what a burst has left behind. For a worker that sleeps.
pub(crate) fn trim() {
    POOL.with(|pool| {
        for class in Class::ALL {
            pool.shelf(class, |shelf| {
                shelf.lanes.close(class, pool.id());
                if shelf.slabs > FEW_SLABS {
                    shelf.trim(FEW_SLABS);
                }
            });
        }
    });
}

/// Gives everything of the calling thread back that is not in use.
pub(crate) fn release_thread() {
    let _ = POOL.try_with(Pool::abandon);
}

#[cfg(all(test, not(loom)))]
#[path = "pool_tests.rs"]
mod tests;
