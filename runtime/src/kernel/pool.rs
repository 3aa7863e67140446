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
//! or shuts a system down; after a large burst the excess goes back when the worker next goes to sleep.
//!
//! ```text
//! slab: | owner's part: counts, local bits | shared part: live, remote bits | node | node | ...
//! ```
//!
//! # Invariants
//! - **P1** A node's bit is set in at most one of `local` and `remote`, and only while nobody holds the node.
//! - **P2** `local`, `free`, `collected`, `next` are touched only by the owning thread; an abandoned slab has no owner,
//!   and nothing is allocated from it any more.
//! - **P3** `live` is `OWNED` less the nodes that came back remotely, until the slab is abandoned; then it is the number
//!   of nodes still out. Whoever brings it to zero frees the slab. A remote free touches the slab last with its
//!   subtraction from `live`.

use crate::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use crate::sync::cell::UnsafeCell;
use crate::sync::thread_local;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

/// Bytes of a slab, and its alignment. Chosen so that a slab is sixteen pages, which any TLB holds.
const SLAB_BYTES: usize = 64 * 1024;
/// The smallest node. Under loom the header is larger.
const SMALLEST: usize = if cfg!(loom) { 256 } else { 32 };
const CLASSES: usize = 4;
/// Words of 64 bits that cover the slab's smallest nodes.
const WORDS: usize = if cfg!(loom) { 1 } else { SLAB_BYTES / SMALLEST / 64 };
/// A model wants slabs that run out.
const MOST_NODES: u32 = if cfg!(loom) { 3 } else { u32::MAX };
/// Nodes in a thread's cache, per class.
const CACHE: usize = if cfg!(loom) { 2 } else { 64 };
/// Nodes that move between cache and slabs at a time.
const BATCH: usize = CACHE / 2;
/// `live` of an owned slab from which nothing has come back remotely; larger than any count of returns.
const OWNED: i64 = 1 << 62;
/// Slabs that are looked at in turn before a new one is made.
const PROBES: usize = 4;
/// Up to this many slabs of a class, all are looked at before a new one is made, and none is given back early.
const FEW_SLABS: usize = 16;

/// A size class of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    /// The smallest class for a size, if there is one for its alignment, too.
    pub(crate) const fn fitting(size: usize, align: usize) -> Option<Self> {
        if align > 16 {
            return None;
        }
        let mut class = 0;
        while class < CLASSES {
            if size <= SMALLEST << class {
                return Some(Self(class as u8));
            }
            class += 1;
        }
        None
    }

    /// Bytes of a node of this class.
    pub(crate) const fn size(self) -> usize {
        SMALLEST << self.0
    }
}

#[repr(C, align(64))]
struct Slab {
    // The owner's part (P2).
    class: Class,
    capacity: u32,
    /// Set bits in `local`.
    free: Cell<u32>,
    /// The word in which the last allocation found a bit.
    hint: Cell<u32>,
    /// Nodes taken over from `remote` so far.
    collected: Cell<i64>,
    /// The owner's next slab of this class, in a ring.
    next: Cell<*mut Slab>,
    local: [Cell<u64>; WORDS],
    // The shared part.
    shared: Shared,
}

#[repr(C, align(64))]
struct Shared {
    /// The owner's [`Pool`], by address; 0 once abandoned. Others only compare it with their own.
    owner: AtomicUsize,
    /// See P3.
    live: AtomicI64,
    remote: [AtomicU64; WORDS],
}

impl Slab {
    const LAYOUT: Layout = match Layout::from_size_align(SLAB_BYTES, SLAB_BYTES) {
        Ok(layout) => layout,
        Err(_) => panic!("a power of two"),
    };

    /// Where the first node begins.
    const fn first(class: Class) -> usize {
        size_of::<Self>().next_multiple_of(class.size())
    }

    fn create(class: Class, owner: usize) -> NonNull<Self> {
        let fits = (SLAB_BYTES - Self::first(class)) / class.size();
        let capacity = (fits as u32).min(MOST_NODES).min(WORDS as u32 * 64);
        let full = |word: usize| {
            let left = (capacity as usize).saturating_sub(word * 64);
            if left >= 64 { u64::MAX } else { (1 << left) - 1 }
        };
        let slab = Self {
            class,
            capacity,
            free: Cell::new(capacity),
            hint: Cell::new(0),
            collected: Cell::new(0),
            next: Cell::new(null_mut()),
            local: std::array::from_fn(|word| Cell::new(full(word))),
            shared: Shared {
                owner: AtomicUsize::new(owner),
                live: AtomicI64::new(OWNED),
                remote: std::array::from_fn(|_| AtomicU64::new(0)),
            },
        };
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc(Self::LAYOUT) };
        let Some(memory) = NonNull::new(memory.cast::<Self>()) else { handle_alloc_error(Self::LAYOUT) };
        // SAFETY: fresh memory, larger than the header, and aligned to more.
        unsafe { memory.write(slab) };
        memory
    }

    /// # Safety
    /// 1. Nobody else will touch the slab or its nodes again.
    #[cold]
    unsafe fn destroy(slab: NonNull<Self>) {
        // SAFETY: passed on to the caller.
        unsafe { slab.drop_in_place() };
        // SAFETY: allocated in `create` with this layout.
        unsafe { dealloc(slab.as_ptr().cast(), Self::LAYOUT) };
    }

    /// The slab of a node, and the node's place in it.
    ///
    /// # Safety
    /// 1. The node comes from a slab that is still there.
    #[inline]
    unsafe fn locate(node: NonNull<u8>) -> (NonNull<Self>, usize) {
        let base = node.as_ptr().map_addr(|address| address & !(SLAB_BYTES - 1)).cast::<Self>();
        // SAFETY: slabs are aligned to their size, and not at address zero; nodes lie inside.
        let slab = unsafe { NonNull::new_unchecked(base) };
        // SAFETY: 1.
        let class = unsafe { slab.as_ref() }.class;
        let offset = (node.as_ptr().addr() & (SLAB_BYTES - 1)) - Self::first(class);
        (slab, offset / SMALLEST >> class.0)
    }

    /// Nodes that have come back remotely and wait to be collected; may lag behind.
    fn waiting(&self) -> i64 {
        // Ordering: Acquire pairs with the subtraction in `give_back`: in `is_whole` it decides that all returns are over.
        OWNED - self.shared.live.load(Ordering::Acquire) - self.collected.get()
    }

    /// All nodes are here, and nobody is still on the way out of `give_back`.
    fn is_whole(&self) -> bool {
        self.free.get() == self.capacity && self.waiting() == 0
    }

    /// Takes over what came back remotely. Owner only.
    fn collect(&self) {
        for (local, remote) in self.local.iter().zip(&self.shared.remote) {
            // Ordering: Relaxed; a bit that is missed is found the next time.
            if remote.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // Ordering: Acquire pairs with the Release in `give_back`: the last holder is done with the node.
            let bits = remote.swap(0, Ordering::Acquire);
            debug_assert_eq!(local.get() & bits, 0, "P1");
            local.set(local.get() | bits);
            self.free.set(self.free.get() + bits.count_ones());
            self.collected.set(self.collected.get() + i64::from(bits.count_ones()));
        }
    }

    /// Moves up to a batch of free nodes into `cache`, so that they leave it in the order of their addresses. Owner only.
    fn hand_out(slab: NonNull<Self>, cache: &mut Cache) {
        // SAFETY: the owner's slab is there.
        let this = unsafe { slab.as_ref() };
        let mut batch = [0_usize; BATCH];
        let mut count = 0;
        let mut word = this.hint.get() as usize;
        for _ in 0..WORDS {
            let mut bits = this.local[word].get();
            while bits != 0 && count < BATCH {
                batch[count] = word * 64 + bits.trailing_zeros() as usize;
                count += 1;
                bits &= bits - 1;
            }
            this.local[word].set(bits);
            if count == BATCH {
                break;
            }
            word = (word + 1) % WORDS;
        }
        this.hint.set(word as u32);
        this.free.set(this.free.get() - count as u32);
        let first = Self::first(this.class);
        for index in batch[..count].iter().rev() {
            // SAFETY: an index below the capacity lies inside the slab's allocation.
            cache.push(unsafe { slab.cast::<u8>().add(first + index * this.class.size()) });
        }
    }
}

/// A stack of free nodes.
struct Cache {
    length: usize,
    nodes: [*mut u8; CACHE],
}

impl Cache {
    const fn new() -> Self {
        Self { length: 0, nodes: [null_mut(); CACHE] }
    }

    #[inline(always)]
    fn push(&mut self, node: NonNull<u8>) {
        self.nodes[self.length] = node.as_ptr();
        self.length += 1;
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<NonNull<u8>> {
        let top = self.length.checked_sub(1)?;
        self.length = top;
        NonNull::new(self.nodes[top])
    }
}

/// One class of one thread.
struct Shelf {
    cache: Cache,
    /// How full the cache may get: 0 for outside threads, which keep no foreign nodes.
    limit: usize,
    /// The slab that serves, in its ring; null before the first.
    current: *mut Slab,
    slabs: usize,
    /// Slabs made since all were looked at.
    unseen: usize,
}

/// One thread's pool.
struct Pool {
    shelves: [UnsafeCell<Shelf>; CLASSES],
    /// The thread's end will empty this pool.
    guarded: Cell<bool>,
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
thread_local! {
    static GUARD: Guard = Guard;
}

impl Pool {
    #[cfg(not(loom))]
    const fn new() -> Self {
        const SHELF: UnsafeCell<Shelf> = UnsafeCell::new(Shelf::new());
        Self { shelves: [SHELF; CLASSES], guarded: Cell::new(false) }
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self { shelves: std::array::from_fn(|_| UnsafeCell::new(Shelf::new())), guarded: Cell::new(false) }
    }

    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Reaches a shelf. The closure must not run foreign code: the shelf is borrowed for its time.
    #[inline(always)]
    fn shelf<R>(&self, class: Class, f: impl FnOnce(&mut Shelf) -> R) -> R {
        self.shelves[usize::from(class.0)].with_mut(|shelf| {
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
    fn allocate_slowly(&self, class: Class) -> NonNull<u8> {
        let guarded = self.guard();
        let node = self.shelf(class, |shelf| {
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
                shelf.give_back_one(node, self.id());
            } else {
                shelf.spill(BATCH, self.id());
                shelf.cache.push(node);
            }
        });
    }

    /// Gives everything back: what is still out frees its slab when it comes back.
    fn abandon(&self) {
        self.guarded.set(false);
        for class in 0..CLASSES {
            self.shelf(Class(class as u8), |shelf| {
                shelf.limit = 0;
                shelf.abandon(self.id());
            });
        }
    }
}

impl Shelf {
    const fn new() -> Self {
        Self { cache: Cache::new(), limit: 0, current: null_mut(), slabs: 0, unseen: 0 }
    }

    /// The slab after `slab` in the ring.
    fn following(slab: NonNull<Slab>) -> NonNull<Slab> {
        // SAFETY: slabs of a shelf's ring are there, and linked in a ring.
        let next = unsafe { slab.as_ref() }.next.get();
        NonNull::new(next).unwrap_or(slab)
    }

    /// Puts a batch into the empty cache.
    fn refill(&mut self, class: Class, owner: usize) {
        let slab = self.find(BATCH as i64).or_else(|| {
            let all = self.slabs <= FEW_SLABS || self.unseen * 4 >= self.slabs;
            all.then(|| self.search(self.slabs, 1)).flatten()
        });
        let slab = slab.unwrap_or_else(|| self.grow(class, owner));
        self.current = slab.as_ptr();
        Slab::hand_out(slab, &mut self.cache);
    }

    /// A slab nearby with at least `wanted` free nodes.
    fn find(&mut self, wanted: i64) -> Option<NonNull<Slab>> {
        self.search(PROBES.min(self.slabs), wanted)
    }

    /// Looks at `count` slabs from the current one on.
    fn search(&mut self, count: usize, wanted: i64) -> Option<NonNull<Slab>> {
        let mut slab = NonNull::new(self.current)?;
        if count >= self.slabs {
            self.unseen = 0;
        }
        for _ in 0..count {
            // SAFETY: slabs of the ring are there.
            let this = unsafe { slab.as_ref() };
            if this.free.get() > 0 {
                return Some(slab);
            }
            if this.waiting() >= wanted {
                this.collect();
                if this.free.get() > 0 {
                    return Some(slab);
                }
            }
            slab = Self::following(slab);
        }
        None
    }

    #[cold]
    fn grow(&mut self, class: Class, owner: usize) -> NonNull<Slab> {
        let slab = Slab::create(class, owner);
        // SAFETY: just made.
        let this = unsafe { slab.as_ref() };
        match NonNull::new(self.current) {
            None => this.next.set(slab.as_ptr()),
            Some(current) => {
                this.next.set(Self::following(current).as_ptr());
                // SAFETY: a slab of the ring.
                unsafe { current.as_ref() }.next.set(slab.as_ptr());
            }
        }
        self.slabs += 1;
        self.unseen += 1;
        slab
    }

    /// Gives the `count` coldest nodes of the cache back to their slabs.
    fn spill(&mut self, count: usize, owner: usize) {
        let mut run = Run::default();
        for node in &self.cache.nodes[..count] {
            if let Some(node) = NonNull::new(*node) {
                run.add(node, owner);
            }
        }
        run.finish(owner);
        self.cache.nodes.copy_within(count..self.cache.length, 0);
        self.cache.length -= count;
    }

    fn give_back_one(&mut self, node: NonNull<u8>, owner: usize) {
        let mut run = Run::default();
        run.add(node, owner);
        run.finish(owner);
    }

    /// Gives wholly free slabs back to the allocator, except `keep` of them.
    fn trim(&mut self, mut keep: usize) {
        let Some(mut before) = NonNull::new(self.current) else { return };
        for _ in 0..self.slabs {
            let slab = Self::following(before);
            // SAFETY: a slab of the ring.
            let this = unsafe { slab.as_ref() };
            if this.waiting() > 0 {
                this.collect();
            }
            if !this.is_whole() || keep > 0 {
                keep -= usize::from(this.is_whole());
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
            self.slabs -= 1;
            // SAFETY: out of the ring, all its nodes are here, and by P3 nobody is still on the way.
            unsafe { Slab::destroy(slab) };
            if self.slabs == 0 {
                return;
            }
        }
    }

    fn abandon(&mut self, owner: usize) {
        self.spill(self.cache.length, owner);
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

/// Gives up the ownership of a slab.
///
/// # Safety
/// 1. Only the owner, which does not touch the slab again.
unsafe fn leave(slab: NonNull<Slab>) {
    // SAFETY: still there, until the subtraction below.
    let this = unsafe { slab.as_ref() };
    // Ordering: Relaxed: a later thread whose pool has the same address was made after this one's end, and sees the zero.
    this.shared.owner.store(0, Ordering::Relaxed);
    let out = i64::from(this.capacity - this.free.get());
    let surplus = OWNED - out - this.collected.get();
    // Ordering: AcqRel: whoever brings `live` to zero has seen everybody's last touch (P3).
    if this.shared.live.fetch_sub(surplus, Ordering::AcqRel) == surplus {
        // SAFETY: P3: zero nodes are out, and nobody is on the way.
        unsafe { Slab::destroy(slab) };
    }
}

/// Neighbouring free nodes, on their way back to one word of one slab.
#[derive(Default)]
struct Run {
    place: Option<(NonNull<Slab>, usize)>,
    bits: u64,
}

impl Run {
    fn add(&mut self, node: NonNull<u8>, owner: usize) {
        // SAFETY: a node that is not yet given back keeps its slab.
        let (slab, index) = unsafe { Slab::locate(node) };
        let place = Some((slab, index / 64));
        if self.place != place {
            self.finish(owner);
            self.place = place;
        }
        self.bits |= 1 << (index % 64);
    }

    fn finish(&mut self, owner: usize) {
        let bits = std::mem::take(&mut self.bits);
        if let Some((slab, word)) = self.place.take() {
            give_back(slab, word, bits, owner);
        }
    }
}

/// Frees the nodes of one word.
fn give_back(slab: NonNull<Slab>, word: usize, bits: u64, owner: usize) {
    // SAFETY: the nodes are still out, and keep their slab until the subtraction below.
    let this = unsafe { slab.as_ref() };
    let count = bits.count_ones();
    // Ordering: Relaxed: only the caller's own value can equal the caller's own pool.
    if this.shared.owner.load(Ordering::Relaxed) == owner {
        debug_assert_eq!(this.local[word].get() & bits, 0, "P1");
        this.local[word].set(this.local[word].get() | bits);
        this.free.set(this.free.get() + count);
        return;
    }
    let count = i64::from(count);
    // Ordering: Release pairs with the Acquire in `collect`: our use of the nodes is over before their next use begins.
    this.shared.remote[word].fetch_or(bits, Ordering::Release);
    // Ordering: AcqRel: Release for those who come after, Acquire for the one who frees the slab (P3).
    if this.shared.live.fetch_sub(count, Ordering::AcqRel) == count {
        // SAFETY: P3: the slab was abandoned, and these were its last nodes.
        unsafe { Slab::destroy(slab) };
    }
}

/// Takes memory for a node of a class: uninitialised, aligned to 16.
#[inline(always)]
pub(crate) fn allocate(class: Class) -> NonNull<u8> {
    POOL.with(|pool| match pool.shelf(class, |shelf| shelf.cache.pop()) {
        Some(node) => node,
        None => pool.allocate_slowly(class),
    })
}

/// Gives a node's memory back, on any thread.
///
/// # Safety
/// 1. It came from [`allocate`] with the same class, and nobody uses it any more.
#[inline(always)]
pub(crate) unsafe fn free(node: NonNull<u8>, class: Class) {
    POOL.with(|pool| {
        let kept = pool.shelf(class, |shelf| {
            let kept = shelf.cache.length < shelf.limit;
            if kept {
                shelf.cache.push(node);
            }
            kept
        });
        if !kept {
            pool.free_slowly(node, class);
        }
    });
}

/// Lets the calling thread keep a cache of freed nodes: for workers.
pub(crate) fn keep_cache() {
    POOL.with(|pool| {
        if pool.guard() {
            for class in 0..CLASSES {
                pool.shelf(Class(class as u8), |shelf| shelf.limit = CACHE);
            }
        }
    });
}

/// Gives the excess of the calling thread back: what a burst has left behind. For a worker that goes to sleep.
pub(crate) fn trim() {
    POOL.with(|pool| {
        for class in 0..CLASSES {
            pool.shelf(Class(class as u8), |shelf| {
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
