//! The engine of threads: workers that run actors and take work from each other.
//!
//! `README.md` beside this file has the sleep protocol with its proof.

pub(crate) mod affinity;
mod idle;
pub(crate) mod lookout;
mod machine;
pub(crate) mod own;
mod quota;
mod search;
mod sentinel;
pub(crate) mod shutdown;
pub(crate) mod sleep;
pub(crate) mod stint;
mod trial;
mod watchdog;
pub(crate) mod worker;

use crate::kernel::cell::{Header, Runnable};
use crate::kernel::linger::Lingers;
use crate::kernel::local::Holder;
use crate::kernel::slot::Slot;
use crate::sync::atomic::{AtomicBool, AtomicUsize};
use crate::sync::deque::{Injector, Stealer, Worker as Deque};
use crate::sync::park::Parker;
use crate::sync::thread_local;
use crate::sync::{Arc, Mutex};
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::ptr::NonNull;
use std::time::Duration;

use sleep::Sleep;

pub(crate) use machine::Machine;

/// What others see of a worker.
pub(crate) struct Remote {
    slot: Slot,
    /// Who lingers: the actor that was run before the one that is in a turn.
    lingers: Lingers,
    stealer: Stealer<Runnable>,
    /// The sentinel says that the batch has used up its time.
    over: AtomicBool,
    /// The worker that hands actors back to this one, and 1; 0 if none does.
    offer: AtomicUsize,
    holder: Holder,
    seen: stint::Seen,
}

impl Remote {
    /// Actors that wait here, as far as another thread can see.
    fn waiting(&self) -> usize {
        self.stealer.len() + usize::from(!self.slot.is_empty())
    }

    /// Whether a turn that does not end here holds up others.
    fn holds_up(&self) -> bool {
        self.waiting() > 0 || !self.lingers.is_empty()
    }
}

/// What the workers of a system share.
pub(crate) struct Threads {
    remotes: Box<[Arc<CachePadded<Remote>>]>,
    injector: Injector<Runnable>,
    sleep: Sleep,
    /// A search has found nothing worth a theft: don't wake the next one before the sentinel's tick.
    quiet: CachePadded<AtomicBool>,
    exits: shutdown::Exits,
    /// Where the lookout waits, if there is one.
    watch: Parker,
    /// Threads that actors have of their own.
    owns: Mutex<Vec<Arc<own::Own>>>,
    /// How long a search spins before it sleeps.
    spin: Duration,
}

#[cfg(not(loom))]
thread_local! {
    /// Where the `Threads` lie whose thread this is, though it is no worker. Stays to the thread's very end.
    static THREAD_OF: Cell<usize> = const { Cell::new(0) };
}
#[cfg(loom)]
thread_local! {
    static THREAD_OF: Cell<usize> = Cell::new(0);
}

impl Threads {
    /// The shared part, for workers with these deques.
    pub(crate) fn new(deques: &[Deque<Runnable>], spin: Duration, spins_for_ever: bool) -> Self {
        let remote = |deque: &Deque<Runnable>| {
            Arc::new(CachePadded::new(Remote {
                slot: Slot::new(),
                lingers: Lingers::new(),
                stealer: deque.stealer(),
                over: AtomicBool::new(false),
                offer: AtomicUsize::new(0),
                holder: Holder::new(),
                seen: stint::Seen::new(),
            }))
        };
        let workers = deques.len();
        let searchers = if spins_for_ever { workers } else { (workers / 2).max(1) };
        Self {
            remotes: deques.iter().map(remote).collect(),
            injector: Injector::new(),
            sleep: Sleep::new(workers, searchers),
            quiet: CachePadded::new(AtomicBool::new(false)),
            exits: shutdown::Exits::new(workers),
            watch: Parker::new(),
            owns: Mutex::new(Vec::new()),
            spin,
        }
    }

    /// Queues an actor from a thread that is none of the workers.
    pub(crate) fn inject(&self, runnable: Runnable) {
        self.injector.push(runnable);
        self.notify();
    }

    /// Takes an actor from where it lingers, if it does so at this worker, which may be the one that is `here`.
    pub(crate) fn lingering(&self, cell: NonNull<Header>, worker: usize, here: bool) -> Option<Runnable> {
        let lingers = &self.remotes.get(worker)?.lingers;
        if here { lingers.take(cell) } else { lingers.rob(cell) }
    }

    /// The calling thread, which is no worker, is one of those that a shutdown joins.
    pub(crate) fn own_this_thread(&self) {
        THREAD_OF.with(|of| of.set(std::ptr::from_ref(self).addr()));
    }

    /// Whether it is one. Also answers while the thread ends.
    pub(crate) fn is_own_thread(&self) -> bool {
        THREAD_OF.try_with(Cell::get).is_ok_and(|of| of == std::ptr::from_ref(self).addr())
    }

    /// Something was published that any worker may have to act on: the two-sided handshake with those that fall asleep.
    pub(crate) fn notify(&self) {
        self.sleep.notify();
    }
}
