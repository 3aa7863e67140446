//! A thread of an actor's own: the actor may block, and no worker waits for it.
//!
//! Promise: the actor's turns run on this thread and no other, from its first to its last; the thread ends with it, and a
//! shutdown joins it. Whoever has the duty to schedule the actor hands it to the thread, which may be asleep at that moment.
//!
//! How: the mailbox of such an actor rests at `APART` instead of `IDLE`, which no worker's short way takes. So every duty comes to
//! [`crate::kernel::schedule::Schedule::schedule`], and from there here: put the actor into its place, then unpark. The thread:
//! look into the place, and park if it is empty. A, the look first: the unpark ends the park, whenever it comes. B, the actor
//! first: the look finds it. There is one right to run, so the place never holds two.
//!
//! Gives up: a turn's budget, for nobody waits behind it; chains of sends, which would be held while it blocks; and some
//! nanoseconds a message, for it counts where other threads do.

use super::Threads;
use super::shutdown::Leaving;
use super::stint;
use crate::engine::core::{Core, schedule};
use crate::error::SpawnError;
use crate::kernel::cell::{CellRef, Home, Runnable};
use crate::kernel::hub::Hub;
use crate::kernel::local::Holder;
use crate::kernel::schedule::Host;
use crate::kernel::tap::Piece;
use crate::kernel::turn::{After, take_turn};
use crate::kernel::watch::ActorId;
use crate::metrics::Counter;
use crate::sync::atomic::Ordering;
use crate::sync::park::Parker;
use crate::sync::{Arc, Mutex, function, thread, thread_local};
use std::cell::Cell;

/// What others see of an actor's own thread.
pub(super) struct Own {
    place: Mutex<Place>,
    parker: Parker,
    pub(super) holder: Holder,
    /// Turns and messages.
    turns: Counter,
    handled: Counter,
    pub(super) seen: stint::Seen,
}

/// What the thread finds when it looks.
enum Place {
    Empty,
    Actor(Runnable),
    /// There will be no actor.
    Vain,
}

/// A thread that waits for its actor. Dropped without one, it ends.
pub(crate) struct Waiting {
    own: Arc<Own>,
    taken: bool,
}

#[cfg(not(loom))]
thread_local! {
    /// Where the actor's cell lies while its own thread runs it; 0 otherwise.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
}
#[cfg(loom)]
thread_local! {
    static RUNNING: Cell<usize> = Cell::new(0);
}

/// Whether the calling thread is the actor's own whose cell lies there.
pub(crate) fn is_of(cell: usize) -> bool {
    RUNNING.with(Cell::get) == cell
}

/// One turn, as the kernel's host.
struct Turn<'a> {
    own: &'a Own,
    core: &'a Core,
    /// The actor has ended.
    ended: Cell<bool>,
}

impl Host for Turn<'_> {
    const APART: bool = true;

    fn handling(&self, piece: Piece<'_>) -> bool {
        if self.core.config.watchdog.is_some() {
            self.own.holder.note(&piece);
        }
        self.own.handled.add(1);
        self.core.metrics.outside().handled.add(1);
        false
    }

    fn begin(&self) -> u32 {
        u32::MAX
    }

    fn over(&self) -> bool {
        false
    }

    fn look(&self) -> u32 {
        u32::MAX
    }

    fn kept(&self, _: Piece<'_>) {
        self.core.metrics.outside().sent.add(1);
    }

    fn retrying(&self) {
        self.core.metrics.outside().retries.add(1);
    }

    fn ended(&self) {
        self.ended.set(true);
        self.core.metrics.outside().ended.add(1);
    }

    fn restarted(&self) {
        self.core.metrics.outside().restarts.add(1);
    }
}

impl Own {
    fn put(&self, place: Place) {
        *self.place.lock() = place;
        self.parker.unpark();
    }

    fn take(&self) -> Place {
        std::mem::replace(&mut *self.place.lock(), Place::Empty)
    }

    /// Has the thread look again.
    pub(super) fn unpark(&self) {
        self.parker.unpark();
    }

    pub(super) fn progress(&self) -> (u64, u64) {
        (self.turns.read(), self.handled.read())
    }

    /// The thread's life.
    fn live(&self, core: &Core) {
        loop {
            match self.take() {
                Place::Vain => return,
                Place::Actor(actor) => {
                    if self.run(actor, core) {
                        return;
                    }
                }
                // Nobody is left who could come; a factory that has not returned yet makes none.
                Place::Empty if core.is_over() => return,
                Place::Empty => {
                    self.parker.park(None);
                }
            }
        }
    }

    /// Runs the actor until it has nothing to do. Returns whether it has ended.
    fn run(&self, actor: Runnable, core: &Core) -> bool {
        let turn = Turn { own: self, core, ended: Cell::new(false) };
        RUNNING.with(|running| running.set(actor.address()));
        let mut next = Some(actor);
        while let Some(actor) = next.take() {
            self.holder.set(&actor);
            if core.config.watchdog.is_some() {
                self.holder.begin_turn(&actor);
            }
            self.turns.add(1);
            if let After::Again(actor) = take_turn(actor, &turn) {
                next = Some(actor);
            }
        }
        self.holder.clear();
        RUNNING.with(|running| running.set(0));
        turn.ended.get()
    }
}

impl Waiting {
    /// Starts a thread for an actor that is about to be made, and is called so.
    pub(crate) fn start(hub: &Hub<Core>, name: &str) -> Result<Self, SpawnError> {
        if !hub.threads.admit_one() {
            return Err(SpawnError::Stopping);
        }
        let own = Arc::new(Own {
            place: Mutex::new(Place::Empty),
            parker: Parker::new(),
            holder: Holder::new(),
            turns: Counter::default(),
            handled: Counter::default(),
            seen: stint::Seen::new(),
        });
        let (this, core) = (own.clone(), hub.clone());
        let body = move || {
            let _leaving = Leaving(&core.threads);
            core.threads.own_this_thread();
            core.threads.owns.lock().push(this.clone());
            this.live(&core);
            core.threads.owns.lock().retain(|own| !Arc::ptr_eq(own, &this));
            drop(this);
            // A model's threads end without the pool's guard.
            #[cfg(any(loom, shuttle))]
            crate::kernel::pool::release_thread();
        };
        // No thread bears a zero byte.
        let name = format!("{}-{name}", hub.config.name).replace('\0', " ");
        match thread::Builder::new().name(name).spawn(body) {
            Ok(handle) => {
                hub.threads.keep(vec![handle]);
                Ok(Self { own, taken: false })
            }
            Err(error) => {
                hub.threads.never_began(1);
                Err(SpawnError::Thread { why: error.to_string() })
            }
        }
    }

    /// What runs the actor there.
    pub(crate) fn home(&self) -> Home {
        let own = self.own.clone();
        function(move |actor| own.put(Place::Actor(actor)))
    }

    /// The actor has been spawned: the thread ends with it.
    pub(crate) fn taken(mut self) {
        self.taken = true;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.taken {
            self.own.put(Place::Vain);
        }
    }
}

/// Schedules an actor for the first time.
#[inline]
pub(crate) fn begin(cell: &CellRef, runnable: Runnable) {
    match runnable.home() {
        None => schedule(cell, runnable),
        Some(home) => home(runnable),
    }
}

impl Core {
    /// An identity for a child of an actor that has a thread of its own.
    pub(crate) fn next_id(&self) -> ActorId {
        // Ordering: Relaxed: it only spreads.
        self.roots.next_id(self.spread.fetch_add(1, Ordering::Relaxed))
    }
}

impl Threads {
    /// What is seen of all threads of actors' own.
    pub(super) fn owns(&self) -> Vec<Arc<Own>> {
        self.owns.lock().clone()
    }
}
