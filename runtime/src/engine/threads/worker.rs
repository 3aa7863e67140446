//! A worker: one thread that runs actors, one turn each.
//!
//! The order of looking: the slot (whom the last actor has just woken), the own deque, the injector, the others. The
//! slot shares the time slice of its waker: after a batch of messages from it the deque comes first. Every few
//! microseconds of short turns, and every few turns of long ones, the injector and the timers come first, so that outside
//! senders cannot starve.

use super::{Remote, Threads};
use crate::engine::core::Core;
use crate::kernel::cell::Runnable;
use crate::kernel::hub::Bundle;
use crate::kernel::local::{Scoped, reach};
use crate::kernel::parcel::Parcel;
use crate::kernel::schedule::{Allowance, Host};
use crate::kernel::slot::Slot;
use crate::kernel::tap::Piece;
use crate::kernel::turn::{After, take_turn};
use crate::kernel::watch::ActorId;
use crate::kernel::{outbox, pool};
use crate::metrics::WorkerMetrics;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::sync::deque::{Steal, Worker as Deque};
use crate::sync::thread_local;
use crate::time::Tick;
use crossbeam_utils::CachePadded;
use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::Duration;

/// Messages between two looks at the clock. A look costs 25 ns, which is 0.4 a message.
const CLOCK_EVERY: u32 = 64;
/// Messages before the first look of a batch: most batches are shorter, and pay for none. While handlers are slow it comes
/// first.
const FIRST_LOOK: u32 = 4;
/// Messages, and turns, for which the slot comes before the deque: 64 turns of a message each, or fewer of many. Turns
/// count, too, for those of one who is born, or ends, have none.
const SLICE: u64 = 128;
/// How often no actor is kept that could be, after one has lingered in vain, and after a thief had to come for one.
const VAIN: u32 = 31;
const ROBBED: u32 = 4095;
/// Timers for which the memory of a peak is kept.
const DUE: usize = 1024;
/// Actors that are taken from the injector at a time.
pub(super) const INJECTED: usize = 32;

/// What only the worker's own thread touches.
pub(crate) struct Worker {
    pub(super) index: usize,
    pub(super) bundle: Bundle<Core>,
    /// What others see of this worker; the system has it, too.
    pub(super) remote: Arc<CachePadded<Remote>>,
    metrics: Arc<CachePadded<WorkerMetrics>>,
    /// There is a watchdog: turns tell it more.
    watched: bool,
    /// Messages in a batch, and its time: the system's budget, or that of an actor with its own while it runs.
    batch: Cell<u32>,
    time: Cell<Duration>,
    /// The address of the core: to know one's own system's actors.
    home: usize,
    pub(super) deque: Deque<Runnable>,
    /// The other workers, the nearest first.
    pub(super) victims: Box<[usize]>,
    pub(super) views: RefCell<Vec<super::search::View>>,
    /// What all workers had handled when the window of the views was opened.
    pub(super) handled_before: Cell<u64>,
    pub(super) seen: RefCell<Vec<super::search::Glance>>,
    pub(super) outlook: super::search::Outlook,
    pub(super) trials: super::trial::Trials,
    /// The last turn's actor has been kept.
    kept: Cell<bool>,
    /// How often nobody is kept who could be.
    unkept: Cell<u32>,
    /// How many messages and turns there had been when this time slice began.
    slice: Cell<u64>,
    /// When the clock was first read in this turn; `NEVER` if it has not been.
    began: Cell<Tick>,
    /// When it was last read for the budget.
    looked: Cell<Tick>,
    /// Messages between two looks, learnt from the time between them.
    clock_every: Cell<u32>,
    /// At how many messages it is read first.
    first_look: Cell<u32>,
    /// At how many messages of this batch the clock is read next.
    look_at: Cell<u32>,
    /// When the pool's excess goes back.
    pub(super) tidy_at: Cell<Tick>,
    /// The next identity of this worker's making, in strides.
    ids: Cell<u64>,
    /// Work space for timers that are due.
    due: Cell<Vec<Waker>>,
}

#[cfg(not(loom))]
thread_local! {
    static WORKER: Scoped<Worker> = const { Scoped::new() };
    /// Stays when the worker's life is over, for the destructors of the thread's other data.
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}
#[cfg(loom)]
thread_local! {
    static WORKER: Scoped<Worker> = Scoped::new();
    static IS_WORKER: Cell<bool> = Cell::new(false);
}

/// Reaches the worker that the calling thread is, if it is one.
#[inline(always)]
pub(crate) fn current<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
    reach(&WORKER, |worker| worker.with(f))
}

/// Whether the calling thread is a worker, of whatever system. Also answers while the thread ends.
pub(crate) fn is_worker() -> bool {
    IS_WORKER.try_with(Cell::get).unwrap_or(false)
}

impl Worker {
    pub(crate) fn new(index: usize, bundle: Bundle<Core>, deque: Deque<Runnable>, victims: Box<[usize]>) -> Self {
        let home = bundle.hub().address();
        let core: &Core = bundle.hub();
        let batch = core.config.budget.messages;
        let watched = core.config.watchdog.is_some();
        Self {
            index,
            remote: core.threads.remotes[index].clone(),
            metrics: core.metrics.worker(index).clone(),
            watched,
            batch: Cell::new(batch),
            time: Cell::new(core.config.budget.time),
            bundle,
            home,
            deque,
            victims,
            views: RefCell::default(),
            handled_before: Cell::new(0),
            seen: RefCell::default(),
            outlook: super::search::Outlook::new(),
            trials: super::trial::Trials::new(),
            kept: Cell::new(false),
            unkept: Cell::new(0),
            slice: Cell::new(0),
            began: Cell::new(Tick::NEVER),
            looked: Cell::new(Tick::NEVER),
            clock_every: Cell::new(CLOCK_EVERY),
            first_look: Cell::new(FIRST_LOOK.min(batch)),
            look_at: Cell::new(FIRST_LOOK),
            tidy_at: Cell::new(Tick::NEVER),
            ids: Cell::new(1),
            due: Cell::default(),
        }
    }

    #[inline(always)]
    pub(crate) fn core(&self) -> &Core {
        self.bundle.hub()
    }

    #[inline(always)]
    pub(super) fn threads(&self) -> &Threads {
        &self.core().threads
    }

    #[inline(always)]
    pub(crate) fn metrics(&self) -> &WorkerMetrics {
        &self.metrics
    }

    /// Whether a system, by its address, is this worker's.
    #[inline(always)]
    pub(crate) fn is_of(&self, system: usize) -> bool {
        self.home == system
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn bundle(&self) -> &Bundle<Core> {
        &self.bundle
    }

    #[inline(always)]
    pub(crate) fn slot(&self) -> &Slot {
        &self.remote.slot
    }

    /// A fresh identity.
    pub(crate) fn next_id(&self) -> ActorId {
        let count = self.ids.get();
        self.ids.set(count + 1);
        ActorId(count * self.core().roots.stride() + self.index as u64)
    }

    /// Queues an actor that has become runnable here. It will be run by this worker, or by one that takes it away: no fence,
    /// no wake-up.
    #[inline(always)]
    pub(crate) fn push(&self, runnable: Runnable) {
        if let Err(runnable) = self.remote.slot.put(runnable) {
            self.deque.push(runnable);
        }
    }

    /// Counts and sends a message to an actor of this worker's system.
    #[inline(always)]
    pub(crate) fn send<'a, M>(&self, parcel: Parcel<'a, M>) -> Result<(), Parcel<'a, M>> {
        // Before the push: a snapshot that sees the message's fate must see this, too.
        self.metrics().sent.add(1);
        let parcel = match parcel.send_next(&self.remote.slot, Some(&self.remote.lingers)) {
            Ok(()) => return Ok(()),
            Err(parcel) => parcel,
        };
        match parcel.send_first() {
            Ok(None) => Ok(()),
            Ok(Some(runnable)) => self.push_sent(runnable),
            Err(parcel) => self.send_on(parcel),
        }
    }

    /// [`Worker::push`], apart as well, and with the answer of [`Worker::send`].
    #[inline(never)]
    fn push_sent<'a, M>(&self, runnable: Runnable) -> Result<(), Parcel<'a, M>> {
        self.push(runnable);
        Ok(())
    }

    /// The rest of [`Worker::send`], apart, so that the short way there saves no registers.
    #[inline(never)]
    fn send_on<'a, M>(&self, parcel: Parcel<'a, M>) -> Result<(), Parcel<'a, M>> {
        if let Some(runnable) = parcel.send()? {
            self.push(runnable);
        }
        Ok(())
    }

    /// Makes the calling thread this worker while `f` runs: for an engine that is no thread.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave(bool);
        impl Drop for Leave {
            fn drop(&mut self) {
                IS_WORKER.with(|is| is.set(self.0));
            }
        }
        let _leave = Leave(IS_WORKER.with(|is| is.replace(true)));
        WORKER.with(|worker| worker.enter(self, f))
    }

    /// Takes an actor that has become runnable, the oldest first as far as it matters: for an engine that picks itself.
    #[inline]
    pub(crate) fn pushed(&self) -> Option<Runnable> {
        self.remote.slot.take().or_else(|| self.deque.pop()).or_else(|| self.injected())
    }

    /// The worker's life.
    pub(crate) fn live(&self) {
        pool::keep_cache();
        IS_WORKER.with(|is| is.set(true));
        WORKER.with(|worker| {
            worker.enter(self, || {
                while let Some(runnable) = self.next() {
                    self.run(runnable);
                }
            });
        });
    }

    #[inline]
    fn run(&self, runnable: Runnable) {
        self.remote.holder.set(&runnable);
        self.metrics().activations.add(1);
        outbox::open();
        let after = if self.watched { self.run_watched(runnable) } else { take_turn(runnable, self) };
        outbox::close();
        if let After::Again(runnable) = after {
            self.deque.push(runnable);
        }
        // Whoever lingered during this turn was not woken in it.
        if !self.kept.replace(false) && !self.remote.lingers.is_empty() {
            self.lingers_in_vain();
        }
        self.share();
    }

    #[cold]
    #[inline(never)]
    fn run_watched(&self, runnable: Runnable) -> After {
        self.remote.holder.begin_turn(&runnable);
        take_turn(runnable, &Watched(self))
    }

    /// Wakes a searcher if work waits here and nobody looks for it.
    #[inline(always)]
    fn share(&self) {
        if self.victims.is_empty() {
            return;
        }
        let waiting = self.deque.len();
        if waiting < super::search::FEW {
            self.metrics().drained.add(1);
        }
        if waiting == 0 {
            return;
        }
        let threads = self.threads();
        let counts = threads.sleep.peek();
        // Ordering: Relaxed: while it is quiet, the sentinel's tick looks; see `search`.
        if counts.sleeping > 0 && counts.searching == 0 && !threads.quiet.load(Ordering::Relaxed) {
            self.wake_one();
        }
    }

    #[cold]
    fn wake_one(&self) {
        if self.threads().sleep.wake_one() {
            self.metrics().wakes.add(1);
        }
    }

    #[inline]
    fn next(&self) -> Option<Runnable> {
        let metrics = self.metrics();
        let turns = metrics.activations.read();
        if self.outlook.is_due(turns) {
            if let Some(runnable) = self.look_outside() {
                self.let_go();
                return Some(runnable);
            }
        }
        let slot = &self.remote.slot;
        let done = metrics.handled.read().wrapping_add(turns);
        if let Some(runnable) = slot.take() {
            if done.wrapping_sub(self.slice.get()) < SLICE || self.slice_is_free(done) {
                metrics.slot_takes.add(1);
                return Some(runnable);
            }
            self.deque.push(runnable);
        }
        self.let_go();
        self.slice.set(done);
        self.deque.pop().or_else(|| self.injected()).or_else(|| self.search())
    }

    /// Nobody lingers beyond here.
    #[inline(always)]
    fn let_go(&self) {
        if !self.remote.lingers.is_empty() {
            self.let_go_one();
        }
    }

    #[cold]
    #[inline(never)]
    fn let_go_one(&self) {
        if let Some(runnable) = self.remote.lingers.let_go() {
            self.deque.push(runnable);
        }
    }

    /// The one who lingers was not woken.
    #[cold]
    #[inline(never)]
    fn lingers_in_vain(&self) {
        self.unkept.set(VAIN);
        self.let_go_one();
    }

    /// Whether an actor is to linger here.
    #[inline(always)]
    fn keeps(&self) -> bool {
        let unkept = self.unkept.get();
        if unkept > 0 {
            self.unkept.set(unkept - 1);
            return false;
        }
        // Only whom it has just woken is likely to wake it.
        if self.remote.slot.is_empty() {
            return false;
        }
        let robbed = self.remote.lingers.was_robbed();
        if robbed {
            self.unkept.set(ROBBED);
        }
        !robbed
    }

    /// A time slice is over: nobody waits for the next one?
    #[cold]
    #[inline(never)]
    fn slice_is_free(&self, done: u64) -> bool {
        let free = self.deque.is_empty();
        if free {
            self.slice.set(done);
        }
        free
    }

    /// Takes from the injector, some more into the deque.
    pub(super) fn injected(&self) -> Option<Runnable> {
        let injector = &self.threads().injector;
        if injector.is_empty() {
            return None;
        }
        loop {
            match injector.steal_batch_with_limit_and_pop(&self.deque, INJECTED) {
                Steal::Success(runnable) => {
                    self.metrics().injector_takes.add(1);
                    return Some(runnable);
                }
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

    /// Wakes those whose time has come.
    pub(super) fn fire_timers(&self) {
        let core = self.core();
        if core.timers.next_deadline() != Tick::NEVER {
            let mut due = self.due.take();
            let fired = core.fire_timers(&mut due);
            due.shrink_to(DUE);
            self.due.set(due);
            if fired > 0 {
                self.metrics().timers_fired.add(fired as u64);
            }
        }
    }

    /// Whether the batch, of which this many messages are handled, has used up its time by our own clock. The sentinel's
    /// `over` ends one whose handlers have become slow between two looks.
    fn check_clock(&self, done: u32) -> bool {
        let now = self.core().clock.now();
        let budget = self.time.get();
        let since_last = now.since(self.looked.replace(now));
        let mut every = self.clock_every.get();
        let first = self.began.get() == Tick::NEVER;
        if first {
            // The time since the last look is not this batch's alone. If it is long, one more message will tell.
            self.began.set(now);
            every = if since_last > budget { 1 } else { every };
        } else {
            every = match since_last {
                long if long > budget => 1,
                long if long > budget / 8 => (every / 2).max(1),
                short if short < budget / 32 => (every * 2).min(CLOCK_EVERY),
                _ => every,
            };
            self.clock_every.set(every);
            self.first_look.set(if every < FIRST_LOOK { 0 } else { FIRST_LOOK.min(self.batch.get()) });
        }
        // A young batch is looked at more often: nothing is known of this actor's handlers.
        self.look_at.set(done.saturating_add(every.min(done.max(1))));
        !first && now.since(self.began.get()) >= budget
    }
}

/// A worker in a turn that notes what it handles, for a watchdog.
struct Watched<'a>(&'a Worker);

impl Host for Watched<'_> {
    fn handling(&self, piece: Piece<'_>) -> bool {
        self.0.remote.holder.note(&piece);
        self.0.handling(piece)
    }

    fn begin(&self) -> u32 {
        self.0.begin()
    }

    fn over(&self) -> bool {
        self.0.over()
    }

    fn look(&self) -> u32 {
        self.0.look()
    }

    fn allow(&self, allowance: Option<Allowance>) {
        self.0.allow(allowance);
    }

    fn over_own(&self) -> bool {
        self.0.over_own()
    }

    fn kept(&self, piece: Piece<'_>) {
        self.0.kept(piece);
    }

    fn retrying(&self) {
        self.0.retrying();
    }

    fn linger(&self, runnable: Runnable) -> Result<(), Runnable> {
        self.0.linger(runnable)
    }

    fn ended(&self) {
        self.0.ended();
    }

    fn restarted(&self) {
        self.0.restarted();
    }
}

impl Host for Worker {
    #[inline(always)]
    fn handling(&self, _: Piece<'_>) -> bool {
        self.metrics().handled.add(1);
        false
    }

    #[inline(always)]
    fn begin(&self) -> u32 {
        let over = &self.remote.over;
        // Ordering: Relaxed: only a hint to end a batch, here and where it is raised.
        if over.load(Ordering::Relaxed) {
            // Ordering: Relaxed, as above.
            over.store(false, Ordering::Relaxed);
        }
        self.began.set(Tick::NEVER);
        let first = self.first_look.get();
        self.look_at.set(first);
        first
    }

    #[inline(always)]
    fn over(&self) -> bool {
        // Ordering: Relaxed: a hint; a late one costs a message more.
        self.remote.over.load(Ordering::Relaxed)
    }

    #[cold]
    #[inline(never)]
    fn look(&self) -> u32 {
        let done = self.look_at.get();
        if done >= self.batch.get() || self.check_clock(done) {
            return 0;
        }
        let next = self.look_at.get().min(self.batch.get());
        self.look_at.set(next);
        next - done
    }

    #[inline(always)]
    fn linger(&self, runnable: Runnable) -> Result<(), Runnable> {
        if !self.keeps() {
            return Err(runnable);
        }
        let lingers = &self.remote.lingers;
        if !lingers.is_empty() {
            self.lingers_in_vain();
        }
        lingers.keep(runnable, self.index)?;
        self.kept.set(true);
        Ok(())
    }

    fn ended(&self) {
        self.metrics().ended.add(1);
    }

    fn restarted(&self) {
        self.metrics().restarts.add(1);
    }

    fn allow(&self, allowance: Option<Allowance>) {
        let budget = self.core().config.budget;
        let system = Allowance { messages: budget.messages, time: budget.time };
        let Allowance { messages, time } = allowance.unwrap_or(system);
        self.batch.set(messages);
        self.time.set(time);
        // While handlers are slow the first look comes at once; that stays.
        if self.first_look.get() != 0 {
            self.first_look.set(FIRST_LOOK.min(messages));
        }
    }

    /// Others go by the system's time when they call a batch off: asks the clock whether this one's is over, too.
    fn over_own(&self) -> bool {
        if !self.over() {
            return false;
        }
        // Ordering: Relaxed, as in `begin`.
        self.remote.over.store(false, Ordering::Relaxed);
        let now = self.core().clock.now();
        if self.began.get() == Tick::NEVER {
            self.began.set(now);
        }
        now.since(self.began.get()) >= self.time.get()
    }

    fn kept(&self, _: Piece<'_>) {
        self.metrics().sent.add(1);
    }

    fn retrying(&self) {
        self.metrics().retries.add(1);
    }
}
