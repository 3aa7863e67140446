//! The root's children: the runtime's references to actors without a parent.
//!
//! How: sharded by the worker that spawned them, so that spawns and ends on different workers do not meet; a shard is a
//! table under a lock. No user code runs under it.
//!
//! An identity names its shard: `id % shards`.

use crate::kernel::cell::{CellRef, Created};
use crate::kernel::watch::ActorId;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Shards for threads that are no workers.
const OUTSIDE: usize = 4;

pub(crate) struct Roots {
    shards: Box<[Mutex<Shard>]>,
    workers: usize,
    /// Shards that are not both closed and empty.
    open: AtomicUsize,
}

struct Shard {
    entries: Vec<Entry>,
    /// The first free entry, or the length of the table.
    free: u32,
    live: u32,
    /// Identities given out to outside threads.
    ids: u64,
    closed: bool,
}

impl Shard {
    fn cells(&self) -> impl Iterator<Item = CellRef> + '_ {
        self.entries.iter().filter_map(|entry| if let Entry::Taken(cell) = entry { Some(cell.clone()) } else { None })
    }
}

enum Entry {
    Taken(CellRef),
    /// The next free one.
    Free(u32),
}

impl Roots {
    pub(crate) fn new(workers: usize) -> Self {
        let shards = workers + OUTSIDE;
        let shard = || Shard { entries: Vec::new(), free: 0, live: 0, ids: 1, closed: false };
        Self { shards: (0..shards).map(|_| Mutex::new(shard())).collect(), workers, open: AtomicUsize::new(shards) }
    }

    /// How many identities lie between two of one shard.
    pub(crate) fn stride(&self) -> u64 {
        self.shards.len() as u64
    }

    /// Spawns into a shard: a worker's own, or one for an outside thread. `create` gets the identity, for an outside thread
    /// made here, and is only called if the shard is open.
    pub(crate) fn spawn<R>(
        &self,
        lane: Lane,
        create: impl FnOnce(ActorId) -> Option<(R, Created)>,
    ) -> Option<(R, crate::kernel::cell::Runnable)> {
        let index = match lane {
            Lane::Worker(index, _) => index,
            Lane::Outside(hint) => self.workers + hint % OUTSIDE,
        };
        let mut shard = self.shards[index].lock();
        if shard.closed {
            return None;
        }
        let id = match lane {
            Lane::Worker(_, id) => id,
            Lane::Outside(_) => {
                shard.ids += 1;
                ActorId(shard.ids * self.stride() + index as u64)
            }
        };
        let (result, created) = create(id)?;
        let slot = shard.free;
        created.register(slot);
        match shard.entries.get_mut(slot as usize) {
            Some(entry) => {
                if let Entry::Free(next) = std::mem::replace(entry, Entry::Taken(created.runtime)) {
                    shard.free = next;
                }
            }
            None => {
                shard.entries.push(Entry::Taken(created.runtime));
                shard.free = slot + 1;
            }
        }
        shard.live += 1;
        Some((result, created.runnable))
    }

    /// An identity for a child of an actor that no worker runs.
    pub(crate) fn next_id(&self, hint: usize) -> ActorId {
        let index = self.workers + hint % OUTSIDE;
        let mut shard = self.shards[index].lock();
        shard.ids += 1;
        ActorId(shard.ids * self.stride() + index as u64)
    }

    /// Forgets an actor that has ended. Returns whether that was the last one of a system that is closing.
    pub(crate) fn remove(&self, id: ActorId, slot: u32) -> bool {
        let index = (id.0 % self.stride()) as usize;
        let mut shard = self.shards[index].lock();
        let free = shard.free;
        let gone = std::mem::replace(&mut shard.entries[slot as usize], Entry::Free(free));
        shard.free = slot;
        shard.live -= 1;
        let last = shard.closed && shard.live == 0;
        if shard.live == 0 && shard.entries.capacity() > 1024 {
            shard.entries = Vec::new();
            shard.free = 0;
        }
        drop(shard);
        drop(gone);
        last && self.count_down()
    }

    /// Closes all shards, and calls `stop` for every actor that is there. Returns whether the system is empty now.
    pub(crate) fn close(&self, stop: impl Fn(&CellRef)) -> bool {
        let mut empty = false;
        for shard in &self.shards {
            let mut shard = shard.lock();
            let again = std::mem::replace(&mut shard.closed, true);
            let actors: Vec<CellRef> = shard.cells().collect();
            let last = shard.live == 0 && !again;
            drop(shard);
            actors.iter().for_each(&stop);
            empty |= last && self.count_down();
        }
        empty
    }

    /// All actors that are there now.
    pub(crate) fn all(&self) -> Vec<CellRef> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().cells());
        }
        all
    }

    fn count_down(&self) -> bool {
        // Ordering: AcqRel: whoever counts to zero has seen the ends of all actors.
        self.open.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// Who spawns.
#[derive(Clone, Copy)]
pub(crate) enum Lane {
    /// A worker, with an identity of its own making.
    Worker(usize, ActorId),
    /// Another thread, with a number to spread by.
    Outside(usize),
}
