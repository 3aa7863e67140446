//! What one system is to its cells, its workers and its handles.

use super::config::{Budget, Idle};
use super::letters::{DeadLetter, Letters, is_letter};
use super::memory::MemoryAlarm;
use super::names::Names;
use super::overrun::Watchdog;
use super::report::{Report, WorkerReport};
use super::roots::{Lane, Roots};
use super::snapshot::Reports;
use super::threads::worker::{Worker, current};
use super::threads::{Threads, own::begin, shutdown::Leaving};
use crate::kernel::cell::Cause;
use crate::kernel::cell::{Address, CellRef, Extras, Header, Runnable, Under, control};
use crate::kernel::failure::Failure;
use crate::kernel::guard::guarded;
use crate::kernel::hub::{Bundle, Hub, HubRef};
use crate::kernel::inspect::Card;
use crate::kernel::parcel::{AnyMessage, Parcel};
use crate::kernel::schedule::{Body, Loss, Lost, Schedule};
use crate::kernel::timers::{Alarm, SOME};
use crate::kernel::watch::ActorId;
use crate::metrics::{Counter, Counters, Metrics, OutsideMetrics, Shared, WorkerMetrics};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::deque::Worker as Deque;
use crate::sync::gate::gate;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Mutex, Text, barrier};
use crate::time::{Clock, Driver, Key, Tick};
use std::any::Any;
use std::io;
use std::ptr::NonNull;
use std::task::Waker;
use std::time::Duration;

/// What runs a system's actors.
#[derive(Debug)]
pub(crate) enum Engine {
    /// Workers, each a thread. Their ways never ask which engine it is.
    Threads,
    /// The thread that has made the system: see [`super::sim`].
    Sim {
        /// Another thread has had an effect on it: the run cannot be repeated.
        disturbed: AtomicBool,
    },
}

/// What stays as it was built.
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) budget: Budget,
    pub(crate) watchdog: Option<Watchdog>,
    pub(crate) alarm: Option<MemoryAlarm>,
}

/// One system.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) threads: Threads,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) timers: Driver<Waker>,
    pub(crate) roots: Roots,
    pub(crate) report: Mutex<Report>,
    pub(crate) names: Names,
    pub(crate) reports: Reports,
    letters: Letters,
    closing: AtomicBool,
    /// The first failure that has reached the root.
    failure: Mutex<Option<Failure>>,
    /// Restartable actors that have been spawned.
    births: AtomicU64,
    /// Spreads the spawns of outside threads.
    pub(super) spread: AtomicUsize,
}

/// What a start needs, all of it checked.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) budget: Budget,
    pub(crate) idle: Idle,
    pub(crate) watchdog: Option<Watchdog>,
    pub(crate) alarm: Option<MemoryAlarm>,
    pub(crate) report: Report,
    /// For each worker the others, the nearest first.
    pub(crate) victims: Vec<Box<[usize]>>,
    /// Fewer CPUs than workers, or a quota: a spinning worker would take time from one that has work.
    pub(crate) crowded: bool,
}

/// What one worker begins with.
pub(crate) struct Berth {
    index: usize,
    /// To be pinned to.
    cpu: Option<usize>,
    deque: Deque<Runnable>,
    victims: Box<[usize]>,
}

impl Berth {
    /// The worker; on its own thread.
    pub(crate) fn worker(self, hub: Hub<Core>) -> Worker {
        Worker::new(self.index, Bundle::new(hub), self.deque, self.victims)
    }
}

/// How long a worker spins before it sleeps. Twice what it costs to wake a parked thread on the virtual machine this was
/// built on (30 microseconds), so that the loss is at most three times that of knowing the future.
const SPIN: Duration = Duration::from_micros(60);
/// Long enough to be for ever.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

impl Core {
    /// Makes a system, and what its workers will begin with. Nothing runs yet.
    pub(crate) fn prepare(plan: Plan, clock: Clock, engine: Engine) -> (Hub<Self>, Vec<Berth>) {
        barrier::prepare();
        let workers = plan.victims.len();
        let deques: Vec<Deque<Runnable>> = (0..workers).map(|_| Deque::new_fifo()).collect();
        let spin = match plan.idle {
            Idle::Spin => FOR_EVER,
            Idle::Hybrid if !plan.crowded => SPIN,
            Idle::Hybrid | Idle::Park => Duration::ZERO,
        };
        let cpu_of = |index| plan.report.workers.get(index).and_then(|worker: &WorkerReport| worker.cpu);
        let cpus: Vec<Option<usize>> = (0..workers).map(cpu_of).collect();
        let hub = Hub::new(Self {
            config: Config { name: plan.name, budget: plan.budget, watchdog: plan.watchdog, alarm: plan.alarm },
            engine,
            threads: Threads::new(&deques, spin, plan.idle == Idle::Spin),
            metrics: Metrics::new(workers),
            clock,
            timers: Driver::new(),
            roots: Roots::new(workers),
            report: Mutex::new(plan.report),
            names: Names::new(),
            reports: Reports::default(),
            letters: Letters::new(),
            closing: AtomicBool::new(false),
            failure: Mutex::new(None),
            births: AtomicU64::new(0),
            spread: AtomicUsize::new(0),
        });
        let parts = deques.into_iter().zip(plan.victims).zip(cpus).enumerate();
        let berth = |(index, ((deque, victims), cpu))| Berth { index, cpu, deque, victims };
        (hub, parts.map(berth).collect())
    }

    /// Starts a system: all threads run, and are pinned as far as they can be, when this returns.
    pub(crate) fn start(plan: Plan, clock: Clock) -> io::Result<Hub<Self>> {
        let (hub, berths) = Self::prepare(plan, clock, Engine::Threads);
        let (ready, started) = gate();
        let workers = berths.len();
        let mut handles = Vec::with_capacity(workers);
        for berth in berths {
            let (own, ready, index) = (hub.clone(), ready.clone(), berth.index);
            let name = format!("{}-{index}", hub.config.name);
            let body = move || {
                let core = own.clone();
                let _leaving = Leaving(&core.threads);
                if berth.cpu.is_some_and(|cpu| !super::threads::affinity::pin_current(cpu)) {
                    own.report.lock().pin_failed(index);
                }
                drop(ready);
                berth.worker(own).live();
                // A model's threads end without the pool's guard.
                #[cfg(any(loom, shuttle))]
                crate::kernel::pool::release_thread();
            };
            match thread::Builder::new().name(name).spawn(body) {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    hub.threads.never_began(workers - index);
                    return Err(hub.give_up(handles, error));
                }
            }
        }
        match super::threads::lookout::start(&hub) {
            Ok(handle) => handles.extend(handle),
            Err(error) => return Err(hub.give_up(handles, error)),
        }
        drop(ready);
        started();
        hub.threads.keep(handles);
        Ok(hub)
    }

    /// The start has failed: ends what has begun.
    fn give_up(&self, handles: Vec<JoinHandle<()>>, error: io::Error) -> io::Error {
        self.threads.terminate();
        self.threads.keep(handles);
        let _ = self.threads.join(&self.clock, Tick::NEVER);
        error
    }

    /// Spawns an actor without a parent. After the shutdown has begun: one that has ended already.
    /// `born` sees one that will live, before anybody else knows it.
    pub(crate) fn spawn<A: Body>(
        hub: &Hub<Self>,
        actor: A,
        extras: Extras<A>,
        born: impl FnOnce(&Address<A>),
    ) -> Address<A> {
        let (mut actor, mut extras) = (Some(actor), Some(extras));
        let mut create = |reference: HubRef, id| {
            let actor = actor.take()?;
            let (address, created) = Address::create(actor, reference, id, &Under::Root);
            let created = created?;
            if let Some(extras) = extras.take() {
                address.equip(&created, extras, || hub.next_birth());
            }
            Some((address, created))
        };
        let system = hub.address();
        let spawned = current(|worker| match worker.filter(|worker| worker.is_of(system)) {
            Some(worker) => {
                let lane = Lane::Worker(worker.index(), worker.next_id());
                hub.roots.spawn(lane, |id| create(worker.bundle().take(), id))
            }
            None if !hub.admits() => None,
            None => {
                // Ordering: Relaxed: it only spreads.
                let lane = Lane::Outside(hub.spread.fetch_add(1, Ordering::Relaxed));
                hub.roots.spawn(lane, |id| create(hub.erase(), id))
            }
        });
        match (spawned, actor) {
            (Some((address, runnable)), _) => {
                hub.count_spawned();
                born(&address);
                begin(address.cell(), runnable);
                address
            }
            (None, Some(actor)) => Self::stillborn(hub, actor, Cause::SystemShutdown),
            (None, None) => unreachable!("an actor that was taken was created"),
        }
    }

    /// An actor that has ended before it began.
    pub(crate) fn stillborn<A: Body>(hub: &Hub<Self>, actor: A, cause: Cause) -> Address<A> {
        // Ordering: Relaxed: it only counts. These identities come from the end that no living actor's come near.
        let id = ActorId(u64::MAX - hub.spread.fetch_add(1, Ordering::Relaxed) as u64);
        Address::create(actor, hub.erase(), id, &Under::Nowhere(cause)).0
    }

    /// A number for a restartable actor: greater than that of any that was spawned before by the same parent.
    pub(crate) fn next_birth(&self) -> u64 {
        // Ordering: Relaxed: it only counts, and a parent's turns come one after the other.
        self.births.fetch_add(1, Ordering::Relaxed)
    }

    /// The failure that has stopped the system, if one has.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    pub(crate) fn count_spawned(&self) {
        self.count_one(|worker| &worker.spawned, |outside| &outside.spawned);
    }

    pub(crate) fn is_simulated(&self) -> bool {
        !matches!(self.engine, Engine::Threads)
    }

    /// Queues an actor from a thread that is none of the workers.
    fn inject(&self, runnable: Runnable) {
        if let Engine::Sim { disturbed } = &self.engine {
            if !super::sim::is_here(self) {
                // Ordering: Relaxed: a note for people.
                disturbed.store(true, Ordering::Relaxed);
            }
        }
        self.threads.inject(runnable);
    }

    fn with_worker<R>(&self, f: impl FnOnce(Option<&Worker>) -> R) -> R {
        current(|worker| f(worker.filter(|worker| std::ptr::eq(worker.core(), self))))
    }

    pub(crate) fn counters(&self) -> Counters {
        self.metrics.snapshot()
    }

    /// Begins the shutdown: no actor is spawned any more, all are asked to stop. The last one's end ends the threads.
    pub(crate) fn begin_shutdown(&self) {
        // Ordering: Relaxed: it only elects one caller; the registry's locks order the rest.
        if self.closing.swap(true, Ordering::Relaxed) {
            return;
        }
        if self.roots.close(|cell: &CellRef| cell.stop(control::SHUTDOWN)) {
            self.terminate();
        }
    }

    fn terminate(&self) {
        // First, so that whoever listens or sets a timer after what follows knows that it is in vain.
        self.threads.terminate();
        // The listener's address holds this system: a circle, unless it is cut here.
        drop(self.letters.listen(None));
        // Nobody fires timers any more: whoever waits for one looks for itself.
        for waker in self.timers.clear() {
            let _ = guarded(|| waker.wake());
        }
    }

    /// Whether all is over: no actor lives, no timer fires.
    pub(crate) fn is_over(&self) -> bool {
        self.threads.is_terminated()
    }

    pub(crate) fn listen(&self, listener: crate::kernel::parcel::Port<DeadLetter>) {
        drop(self.letters.listen(Some(listener)));
        // After the end nobody would cut the circle.
        if self.is_over() {
            drop(self.letters.listen(None));
        }
    }

    /// Has `waker` woken at `deadline`, or soon after.
    pub(crate) fn set_timer(&self, deadline: Tick, waker: Waker) -> Key {
        let inserted = self.timers.insert(deadline, waker);
        if inserted.earliest {
            self.threads.notify();
        }
        inserted.key
    }

    /// Wakes those whose time has come. `due` is work space, and empty.
    pub(crate) fn fire_timers(&self, due: &mut Vec<Waker>) -> usize {
        let count = self.timers.poll(self.clock.now(), due);
        for waker in due.drain(..) {
            // Foreign code: its panic must not take the worker along.
            let _ = guarded(|| waker.wake());
        }
        count
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        debug_assert!(self.threads.is_terminated());
    }
}

/// The system of a cell.
pub(crate) fn core_of(cell: &CellRef) -> &Core {
    core_of_hub(cell.header().hub())
}

/// The system itself.
pub(crate) fn core_of_hub(hub: &HubRef) -> &Core {
    match hub.as_any().downcast_ref() {
        Some(core) => core,
        None => unreachable!("cells are made by `Core` alone"),
    }
}

/// The system of a simulated cell.
pub(crate) fn simulated(cell: &CellRef) -> Option<&Core> {
    cell.header().hub().as_any().downcast_ref().filter(|core: &&Core| core.is_simulated())
}

/// Fulfils the duty to schedule, on the short way if the actor belongs to the calling worker's system.
#[inline(always)]
pub(crate) fn schedule(cell: &CellRef, runnable: Runnable) {
    let hub = cell.header().hub();
    current(|worker| match worker {
        Some(worker) if worker.is_of(hub.address()) => worker.push(runnable),
        _ => hub.schedule(runnable),
    });
}

/// Counts and sends a message; one that is refused comes back.
#[inline(always)]
pub(crate) fn send<M>(parcel: Parcel<'_, M>) -> Result<(), Parcel<'_, M>> {
    parcel.send_by(send_any)
}

/// One for all types of messages.
#[inline(never)]
fn send_any(parcel: Parcel<'_, AnyMessage>) -> Result<(), Parcel<'_, AnyMessage>> {
    if let Some(credits) = parcel.to().header().credits() {
        return super::bounded::send(parcel, credits);
    }
    let system = parcel.to().header().hub().address();
    current(|worker| match worker {
        Some(worker) if worker.is_of(system) => worker.send(parcel),
        _ => send_across(parcel),
    })
}

/// As [`send`], from a thread that is none of the system's workers.
#[cold]
#[inline(never)]
fn send_across(parcel: Parcel<'_, AnyMessage>) -> Result<(), Parcel<'_, AnyMessage>> {
    let hub = parcel.to().header().hub();
    // Before the push: a snapshot that sees the message's fate must see this, too.
    hub.count_sent(1);
    if !hub.admits() {
        return Err(parcel);
    }
    if let Some(runnable) = parcel.send()? {
        hub.schedule(runnable);
    }
    Ok(())
}

/// Counts a dead letter that is about to be handled; it counts as handled, too.
pub(crate) fn count_letter(hub: &HubRef) {
    if let Some(core) = hub.as_any().downcast_ref::<Core>() {
        core.count_one(|worker| &worker.letters, |outside| &outside.letters);
    }
}

/// Counts messages that are about to be sent. Whether the calling thread may send them.
#[inline(always)]
#[must_use = "what may not be sent meets its fate at once"]
pub(crate) fn count_sent(cell: &CellRef, count: u64) -> bool {
    let hub = cell.header().hub();
    current(|worker| match worker {
        Some(worker) if worker.is_of(hub.address()) => {
            worker.metrics().sent.add(count);
            true
        }
        _ => {
            hub.count_sent(count);
            hub.admits()
        }
    })
}

impl Schedule for Core {
    fn schedule(&self, runnable: Runnable) {
        if let Some(home) = runnable.home() {
            return home(runnable);
        }
        self.with_worker(|worker| match worker {
            Some(worker) => worker.push(runnable),
            None => self.inject(runnable),
        });
    }

    fn lingering(&self, cell: NonNull<Header>, worker: usize) -> Option<Runnable> {
        self.with_worker(|here| self.threads.lingering(cell, worker, here.is_some_and(|here| here.index() == worker)))
    }

    fn root_ended(&self, id: ActorId, slot: u32) {
        if self.roots.remove(id, slot) {
            self.terminate();
        }
    }

    fn count_sent(&self, count: u64) {
        self.with_worker(|worker| match worker {
            Some(worker) => worker.metrics().sent.add(count),
            None => self.metrics.outside().sent.add(count),
        });
    }

    /// A simulation admits its own thread only, until it is over and every thread is told so.
    fn admits(&self) -> bool {
        match &self.engine {
            Engine::Threads => true,
            Engine::Sim { .. } => super::sim::is_here(self) || self.is_over(),
        }
    }

    fn name_ended(&self, name: &Text) {
        self.names.remove(name);
    }

    fn count_returned(&self, count: u64) {
        self.with_worker(|worker| match worker {
            Some(worker) => worker.metrics().returned.add(count),
            None => self.metrics.outside().returned.add(count),
        });
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn keeps_letters(&self) -> bool {
        self.letters.wanted()
    }

    fn lost(&self, lost: Lost, counted: bool) {
        if is_letter(&lost) {
            // One whose handler panicked has been handled.
            if counted {
                self.count_one(|worker| &worker.letters_lost, |outside| &outside.letters_lost);
            }
            // The drop of what it carries is user code.
            let _ = guarded(|| drop(lost));
            return;
        }
        if counted {
            self.count_one(|worker| &worker.dead_lettered, |outside| &outside.dead_lettered);
        }
        if lost.why == Loss::Poisoned {
            self.count_one(|worker| &worker.poisoned, |outside| &outside.poisoned);
        }
        if self.letters.wanted() {
            self.deliver(lost);
        } else {
            // Kept for a listener that has gone meanwhile: its drop is user code.
            let _ = guarded(|| drop(lost));
        }
    }

    fn now(&self) -> u64 {
        self.clock.now().0
    }

    fn set_alarm(&self, at: u64, waker: Waker) -> Alarm {
        self.set_timer(Tick(at), waker)
    }

    fn cancel(&self, alarm: Alarm) {
        let waker = self.timers.cancel(alarm);
        let _ = guarded(|| drop(waker));
    }

    fn cancel_some(&self, alarms: &[Option<Alarm>; SOME]) {
        for waker in self.timers.cancel_some(alarms).into_iter().flatten() {
            let _ = guarded(|| drop(waker));
        }
    }

    fn late_reply(&self) {
        self.count_one(|worker| &worker.late_replies, |outside| &outside.late_replies);
    }

    fn reported(&self, card: Card) {
        self.reports.tell(card);
    }

    fn escalated(&self, failure: Failure) {
        self.failure.lock().get_or_insert(failure);
        self.begin_shutdown();
    }

    fn recycle(&self, hub: HubRef) -> Option<HubRef> {
        self.with_worker(|worker| match worker {
            Some(worker) => {
                worker.bundle().put(hub);
                None
            }
            None => Some(hub),
        })
    }
}

impl Core {
    /// Sends a lost message on to whoever wants it.
    fn deliver(&self, lost: Lost) {
        let listener = self.letters.listener().filter(|listener| core_of(listener.cell()).admits());
        let Some(listener) = listener else {
            // It has a payload, whose drop is user code.
            let _ = guarded(|| drop(lost));
            return;
        };
        // The listener may be of another system, whose counters will see it handle the letter.
        let core = core_of(listener.cell());
        core.count_sent(1);
        let letter = listener.parcel(DeadLetter::new(lost));
        let sent = match listener.cell().header().credits() {
            None => letter.send_after_flush(),
            Some(credits) => letter.send_letter(credits),
        };
        match sent {
            Ok(Some(runnable)) => schedule(listener.cell(), runnable),
            Ok(None) => {}
            Err(refused) => {
                core.count_one(|worker| &worker.letters_lost, |outside| &outside.letters_lost);
                drop(refused);
            }
        }
    }

    /// Counts where the calling thread does.
    fn count_one(
        &self,
        here: impl FnOnce(&WorkerMetrics) -> &Counter,
        outside: impl FnOnce(&OutsideMetrics) -> &Shared,
    ) {
        self.with_worker(|worker| match worker {
            Some(worker) => here(worker.metrics()).add(1),
            None => outside(self.metrics.outside()).add(1),
        });
    }
}
