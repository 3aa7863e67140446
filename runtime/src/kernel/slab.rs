//! A slab: 64 KiB of equal nodes, with one bit per free node.
//!
//! Promise: a slab goes back to the allocator once its owner has left it and its last node has come back, on whatever thread.
//!
//! ```text
//! | owner's part: counts, local bits | shared part: live, remote bits | node | node | ...
//! ```
//!
//! # Invariants
//! - **P1** A node's bit is set in at most one of `local`, `remote` and a [`Run`], and only while nobody holds the node.
//! - **P2** `local`, `free`, `collected`, `next` are touched only by the owning thread; an abandoned slab has no owner,
//!   and nothing is allocated from it any more.
//! - **P3** `live` is `OWNED` less the nodes that came back remotely, until the slab is abandoned; then it is the number
//!   of nodes still out. Whoever brings it to zero frees the slab. A remote free touches the slab last with its
//!   subtraction from `live`.

use super::pool::{BATCH, Cache};
use super::usage;
use crate::sync::MODEL;
use crate::sync::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use crate::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
#[cfg(loom)]
use crate::sync::cell::UnsafeCell;
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

/// Bytes of a slab, and its alignment. Chosen so that a slab is sixteen pages, which any TLB holds.
const SLAB_BYTES: usize = 64 * 1024;
/// The smallest node. In a model the header is larger.
const SMALLEST: usize = if MODEL { 256 } else { 32 };
pub(super) const CLASSES: usize = 4;
/// Words of 64 bits that cover the slab's smallest nodes.
const WORDS: usize = if MODEL { 1 } else { SLAB_BYTES / SMALLEST / 64 };
/// A model wants slabs that run out.
const MOST_NODES: usize = if MODEL { 3 } else { SLAB_BYTES / SMALLEST };
/// A run is half a page at most: so much stays unused for each lane.
const RUN_BYTES: usize = 2048;
/// `live` of an owned slab from which nothing has come back remotely; larger than any count of returns.
const OWNED: i64 = 1 << 62;
/// A size class of nodes; their sizes are doubled from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    Smallest,
    Small,
    Large,
    Largest,
}

impl Class {
    pub(super) const ALL: [Self; CLASSES] = [Self::Smallest, Self::Small, Self::Large, Self::Largest];

    /// The smallest class for a size, if there is one for its alignment, too.
    pub(crate) const fn fitting(size: usize, align: usize) -> Option<Self> {
        if align > 16 {
            return None;
        }
        let mut class = 0;
        while class < CLASSES {
            if size <= SMALLEST << class {
                return Some(Self::ALL[class]);
            }
            class += 1;
        }
        None
    }

    /// Bytes of a node of this class.
    pub(crate) const fn size(self) -> usize {
        SMALLEST << self as u8
    }
}

#[repr(C, align(64))]
pub(super) struct Slab {
    // The owner's part (P2).
    class: Class,
    capacity: u32,
    /// Set bits in `local`.
    pub(super) free: Cell<u32>,
    /// The word in which the last allocation found a bit.
    hint: Cell<u32>,
    /// Nodes taken over from `remote` so far.
    collected: Cell<i64>,
    /// The owner's next slab of this class, in a ring.
    pub(super) next: Cell<*mut Slab>,
    local: [Cell<u64>; WORDS],
    /// Who holds a node: raw memory is nothing to loom, so it watches these.
    #[cfg(loom)]
    held: [UnsafeCell<bool>; MOST_NODES],
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
    /// Read by those who give nodes back, written by the end: loom sees whether the one comes before the other.
    #[cfg(loom)]
    there: UnsafeCell<()>,
}

impl Slab {
    pub(super) const LAYOUT: Layout = match Layout::from_size_align(SLAB_BYTES, SLAB_BYTES) {
        Ok(layout) => layout,
        Err(_) => panic!("a power of two"),
    };

    /// Where the first node begins.
    const fn first(class: Class) -> usize {
        size_of::<Self>().next_multiple_of(class.size())
    }

    pub(super) fn create(class: Class, owner: usize) -> NonNull<Self> {
        let fits = (SLAB_BYTES - Self::first(class)) / class.size();
        let capacity = fits.min(MOST_NODES).min(WORDS * 64) as u32;
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
            #[cfg(loom)]
            held: std::array::from_fn(|_| UnsafeCell::new(false)),
            shared: Shared {
                owner: AtomicUsize::new(owner),
                live: AtomicI64::new(OWNED),
                remote: std::array::from_fn(|_| AtomicU64::new(0)),
                #[cfg(loom)]
                there: UnsafeCell::new(()),
            },
        };
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc(Self::LAYOUT) };
        let Some(memory) = NonNull::new(memory.cast::<Self>()) else { handle_alloc_error(Self::LAYOUT) };
        // SAFETY: fresh memory, larger than the header, and aligned to more.
        unsafe { memory.write(slab) };
        usage::slab(SLAB_BYTES as i64);
        memory
    }

    /// # Safety
    /// 1. Nobody else will touch the slab or its nodes again.
    #[cold]
    pub(super) unsafe fn destroy(slab: NonNull<Self>) {
        #[cfg(loom)]
        // SAFETY: passed on to the caller.
        unsafe { slab.as_ref() }.shared.there.with_mut(|_| ());
        #[cfg(loom)]
        // SAFETY: as above.
        for held in &unsafe { slab.as_ref() }.held {
            held.with_mut(|held| {
                // SAFETY: nobody else knows the slab.
                assert!(!unsafe { *held }, "P3: a slab is destroyed while a node is out");
            });
        }
        // SAFETY: passed on to the caller.
        unsafe { slab.drop_in_place() };
        // SAFETY: allocated in `create` with this layout.
        unsafe { dealloc(slab.as_ptr().cast(), Self::LAYOUT) };
        usage::slab(-(SLAB_BYTES as i64));
    }

    /// Shows a model that a node changes hands. Who frees it has seen all its uses; who gets it has seen it come back.
    #[cfg(loom)]
    pub(super) fn hand_over(node: NonNull<u8>, class: Class, held: bool) {
        let slab = node.as_ptr().map_addr(|address| address & !(SLAB_BYTES - 1)).cast::<Self>();
        let index = ((node.as_ptr().addr() & (SLAB_BYTES - 1)) - Self::first(class)) / class.size();
        // SAFETY: the node is out, or about to be, and keeps its slab.
        unsafe { &*slab }.held[index].with_mut(|place| {
            // SAFETY: the node is the caller's alone, which loom checks.
            let before = unsafe { place.replace(held) };
            assert_ne!(before, held, "P1: a node is handed out, or freed, twice");
        });
    }

    /// Nodes that have come back remotely and wait to be collected; may lag behind.
    pub(super) fn waiting(&self) -> i64 {
        // Ordering: Acquire pairs with the subtraction in `give_back`: in `is_whole` it decides that all returns are over.
        OWNED - self.shared.live.load(Ordering::Acquire) - self.collected.get()
    }

    /// All nodes are here, and nobody is still on the way out of `give_back`.
    pub(super) fn is_whole(&self) -> bool {
        self.free.get() == self.capacity && self.waiting() == 0
    }

    /// Takes over what came back remotely. Owner only.
    pub(super) fn collect(&self) {
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

    /// Moves up to a batch of free nodes into the empty `cache`, so that they leave it in the order of their addresses. Owner only.
    pub(super) fn hand_out(slab: NonNull<Self>, cache: &mut Cache) {
        // SAFETY: the owner's slab is there.
        let this = unsafe { slab.as_ref() };
        let (first, size) = (Self::first(this.class), this.class.size());
        let mut left = BATCH;
        let mut word = this.hint.get() as usize;
        for _ in 0..WORDS {
            let mut bits = this.local[word].get();
            while bits != 0 && left > 0 {
                let index = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                left -= 1;
                // An index below the capacity lies inside the slab's allocation.
                cache.nodes[left] = slab.as_ptr().cast::<u8>().wrapping_add(first + index * size);
            }
            this.local[word].set(bits);
            if left == 0 {
                break;
            }
            word = (word + 1) % WORDS;
        }
        this.hint.set(word as u32);
        cache.length = BATCH - left;
        this.free.set(this.free.get() - cache.length as u32);
        cache.nodes.copy_within(left..BATCH, 0);
    }

    /// Moves free nodes of one word out, of at most [`RUN_BYTES`]. Owner only, and some are free.
    pub(super) fn hand_out_run(slab: NonNull<Self>) -> Run {
        // SAFETY: the owner's slab is there.
        let this = unsafe { slab.as_ref() };
        let words = this.hint.get() as usize..;
        let Some(word) = words.map(|word| word % WORDS).take(WORDS).find(|&word| this.local[word].get() != 0) else {
            return Run::EMPTY;
        };
        this.hint.set(word as u32);
        let all = this.local[word].get();
        let most = (RUN_BYTES / this.class.size()).min(64) as u32;
        let from = all.trailing_zeros() / most * most;
        let bits = all & (u64::MAX >> (64 - most) << from);
        this.local[word].set(all & !bits);
        this.free.set(this.free.get() - bits.count_ones());
        let first = Self::first(this.class) + word * 64 * this.class.size();
        // A word below the capacity lies inside the slab's allocation.
        Run { first: slab.as_ptr().cast::<u8>().wrapping_add(first), bits }
    }
}

/// Free nodes of one word of bits: its owner's, who has taken them out of `local`, to hand out one by one.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// Where the word's first node lies; null if there are none.
    first: *mut u8,
    bits: u64,
}

impl Run {
    pub(super) const EMPTY: Self = Self { first: null_mut(), bits: 0 };

    pub(super) fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// The first node, while the next is called for: it is wanted when its like have been used by so many others that no
    /// processor sees the pattern.
    #[inline]
    pub(super) fn take(&mut self, class: Class) -> Option<NonNull<u8>> {
        let at = |bits: u64| self.first.wrapping_add(bits.trailing_zeros() as usize * class.size());
        let node = NonNull::new(at(self.bits)).filter(|_| self.bits != 0)?;
        self.bits &= self.bits - 1;
        if self.bits != 0 {
            prefetch(at(self.bits));
        }
        Some(node)
    }
}

/// Asks for a line that will be written.
#[inline(always)]
fn prefetch(line: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which neither reads nor writes nor faults; SSE belongs to every x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(line.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// Gives back what is left of a run.
pub(super) fn give_back_run(run: Run, class: Class, owner: usize) {
    let Some(first) = NonNull::new(run.first).filter(|_| !run.is_empty()) else { return };
    let index = ((first.as_ptr().addr() & (SLAB_BYTES - 1)) - Slab::first(class)) / class.size();
    let slab = first.as_ptr().map_addr(|address| address & !(SLAB_BYTES - 1)).cast();
    if let Some(slab) = NonNull::new(slab) {
        give_back(slab, index / 64, run.bits, owner);
    }
}

/// Gives up the ownership of a slab.
///
/// # Safety
/// 1. Only the owner, which does not touch the slab again.
pub(super) unsafe fn leave(slab: NonNull<Slab>) {
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

/// Gives free nodes of one class back to their slabs, neighbours together.
///
/// # Safety
/// 1. The nodes are of this class, and nobody uses them any more.
pub(super) unsafe fn give_back_all(nodes: &[*mut u8], class: Class, owner: usize) {
    let first = Slab::first(class);
    let shift = SMALLEST.trailing_zeros() + class as u32;
    let (mut base, mut word, mut bits) = (null_mut::<u8>(), 0, 0_u64);
    for &node in nodes {
        let index = ((node.addr() & (SLAB_BYTES - 1)) - first) >> shift;
        let slab = node.map_addr(|address| address & !(SLAB_BYTES - 1));
        if slab != base || index / 64 != word {
            if let Some(slab) = NonNull::new(base.cast()) {
                give_back(slab, word, bits, owner);
            }
            (base, word, bits) = (slab, index / 64, 0);
        }
        bits |= 1 << (index % 64);
    }
    if let Some(slab) = NonNull::new(base.cast()) {
        give_back(slab, word, bits, owner);
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
    #[cfg(loom)]
    this.shared.there.with(|_| ());
    // Ordering: AcqRel: Release for those who come after, Acquire for the one who frees the slab (P3).
    if this.shared.live.fetch_sub(count, Ordering::AcqRel) == count {
        // SAFETY: P3: the slab was abandoned, and these were its last nodes.
        unsafe { Slab::destroy(slab) };
    }
}
