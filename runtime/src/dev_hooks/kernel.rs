//! The kernel's parts: a small system around the shipped kernel, in place of an engine.
//!
//! Every thread runs the actors for which it got the duty to schedule, from a list of its own. So nothing orders what the
//! kernel itself does not order: no lock, no queue, no shared counter.

use crate::engine::names::{Claim, Names};
use crate::kernel::cell::{self, CellRef, Extras, Under};
use crate::kernel::credits::Bound;
use crate::kernel::failure::Failure;
use crate::kernel::hub::{self, Hub, HubRef};
use crate::kernel::linger::Lingers;
use crate::kernel::parcel::Reserved;
use crate::kernel::restart::RestartOf;
use crate::kernel::resume::{Cargo, Resume, Resumed};
use crate::kernel::retry::RuleOf;
use crate::kernel::schedule::{ByCall, Host, Loss, Lost, Policy, Receive, Schedule};
use crate::kernel::tap::Piece;
use crate::kernel::timers::{Alarm, SOME};
use crate::kernel::turn::After;
use crate::kernel::{outbox, pool, turn};
use crate::sync::{Text, thread_local};
use crate::time::{Driver, Tick};
use crate::{Actor, ActorId, ActorRef, Context, Decision, Handler, Overflow};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::task::Waker;
use std::time::Duration;

pub use super::slot::{Next, Slot};

/// Where a model keeps its books: what the kernel tells its system, in the kernel's words.
pub trait Ledger: Send + Sync + 'static {
    /// Keeps the runtime's reference to an actor without a parent.
    fn keep(&self, id: u64, root: Root);
    /// An actor without a parent has ended: gives its reference back, to be dropped.
    fn ended_root(&self, id: u64) -> Option<Root>;
    /// Messages were sent.
    fn sent(&self, count: u64);
    /// Messages were given back to their senders.
    fn returned(&self, count: u64);
    /// A message is about to be handled.
    fn handling(&self);
    /// A message became a dead letter; one whose handler panicked has been counted as handled.
    fn lost(&self, handled: bool, payload: Option<Box<dyn Any + Send>>);
    /// Whether dead letters keep their payload.
    fn keeps_letters(&self) -> bool;
    /// A reply came too late.
    fn late_reply(&self);
    /// An actor has ended.
    fn ended(&self);
    /// An actor has been made anew.
    fn restarted(&self) {}
    /// A failure has reached the root.
    fn escalated(&self) {}
    /// Messages in a batch.
    fn batch(&self) -> u32;
}

/// The runtime's reference to an actor without a parent.
pub struct Root(#[allow(dead_code, reason = "its drop is what matters")] CellRef);

/// The right to run an actor.
#[derive(Debug)]
pub struct Runnable(pub(super) cell::Runnable);

#[cfg(not(loom))]
thread_local! {
    static DUTIES: RefCell<VecDeque<cell::Runnable>> = const { RefCell::new(VecDeque::new()) };
    static KEEPS: Cell<bool> = const { Cell::new(false) };
}
#[cfg(loom)]
thread_local! {
    static DUTIES: RefCell<VecDeque<cell::Runnable>> = RefCell::new(VecDeque::new());
    static KEEPS: Cell<bool> = Cell::new(false);
}

/// Takes the oldest duty of the calling thread.
pub fn next_duty() -> Option<Runnable> {
    DUTIES.with(|duties| duties.borrow_mut().pop_front().map(Runnable))
}

pub(super) struct Books<L> {
    ledger: L,
    timers: Driver<Waker>,
    names: Names,
    /// Who lingers at the one thread that keeps actors.
    pub(super) lingers: Lingers,
}

impl<L: Ledger> Schedule for Books<L> {
    fn schedule(&self, runnable: cell::Runnable) {
        DUTIES.with(|duties| duties.borrow_mut().push_back(runnable));
    }

    fn lingering(&self, cell: NonNull<cell::Header>, worker: usize) -> Option<cell::Runnable> {
        assert_eq!(worker, 0, "there is one");
        if KEEPS.with(Cell::get) { self.lingers.take(cell) } else { self.lingers.rob(cell) }
    }

    fn root_ended(&self, id: ActorId, _: u32) {
        drop(self.ledger.ended_root(id.get()));
    }

    fn count_sent(&self, count: u64) {
        self.ledger.sent(count);
    }

    fn name_ended(&self, name: &Text) {
        self.names.remove(name);
    }

    fn count_returned(&self, count: u64) {
        self.ledger.returned(count);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn keeps_letters(&self) -> bool {
        self.ledger.keeps_letters()
    }

    fn lost(&self, lost: Lost, counted: bool) {
        assert!(counted || matches!(lost.why, Loss::Panicked | Loss::Restarted), "{:?}", lost.why);
        self.ledger.lost(!counted, lost.payload);
    }

    fn now(&self) -> u64 {
        0
    }

    fn set_alarm(&self, at: u64, waker: Waker) -> Alarm {
        self.timers.insert(Tick(at), waker).key
    }

    fn cancel(&self, alarm: Alarm) {
        drop(self.timers.cancel(alarm));
    }

    fn cancel_some(&self, alarms: &[Option<Alarm>; SOME]) {
        drop(self.timers.cancel_some(alarms));
    }

    fn late_reply(&self) {
        self.ledger.late_reply();
    }

    fn escalated(&self, _: Failure) {
        self.ledger.escalated();
    }

    fn recycle(&self, hub: HubRef) -> Option<HubRef> {
        Some(hub)
    }
}

impl<L: Ledger> Host for Books<L> {
    fn handling(&self, _: Piece<'_>) -> bool {
        self.ledger.handling();
        false
    }

    fn begin(&self) -> u32 {
        self.ledger.batch()
    }

    fn over(&self) -> bool {
        false
    }

    fn look(&self) -> u32 {
        0
    }

    fn ended(&self) {
        self.ledger.ended();
    }

    fn restarted(&self) {
        self.ledger.restarted();
    }

    fn kept(&self, _: Piece<'_>) {
        self.ledger.sent(1);
    }

    fn retrying(&self) {}
}

/// The thread that keeps actors.
struct Keeper<'a, L>(&'a Books<L>);

impl<L: Ledger> Host for Keeper<'_, L> {
    fn handling(&self, piece: Piece<'_>) -> bool {
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

    fn linger(&self, runnable: cell::Runnable) -> Result<(), cell::Runnable> {
        if !self.0.lingers.is_empty() {
            return Err(runnable);
        }
        self.0.lingers.keep(runnable, 0)
    }

    fn ended(&self) {
        self.0.ended();
    }

    fn restarted(&self) {
        self.0.restarted();
    }

    fn kept(&self, piece: Piece<'_>) {
        self.0.kept(piece);
    }

    fn retrying(&self) {
        self.0.retrying();
    }
}

/// By what a model restarts an actor.
pub trait Rule: Send + 'static {
    /// It has failed: what to do, and how long to wait.
    fn failed(&mut self) -> (Decision, Duration);
    /// It waits for the alarm.
    fn suspended(&mut self, alarm: Waker);
    /// The wait is over.
    fn resumed(&mut self);
}

struct ByRule<R>(R);

impl<R: Rule> Policy for ByRule<R> {
    fn always(&self) -> bool {
        false
    }

    fn never(&self) -> bool {
        false
    }

    fn failed(&mut self, _: ActorId, _: &HubRef) -> (Decision, Duration) {
        self.0.failed()
    }

    fn suspend(&mut self, _: Duration, alarm: Waker, _: &HubRef) {
        self.0.suspended(alarm);
    }

    fn resume(&mut self, _: &HubRef) {
        self.0.resumed();
    }
}

/// What an actor of a model is restarted by.
pub struct Restarts<A>(RestartOf<A>, Vec<RuleOf<A>>);

impl<A: Actor> Restarts<A> {
    /// Makes it.
    pub fn new(factory: impl FnMut() -> A + Send + 'static, rule: impl Rule) -> Self {
        Self(RestartOf::new(factory, Box::new(ByRule(rule))), Vec::new())
    }

    /// Has messages of type `M` tried again.
    #[must_use]
    pub fn retry<M: Clone + Send + 'static>(mut self, most: u32) -> Self
    where
        A: Handler<M>,
    {
        self.1.push(RuleOf::new::<M>(most));
        self
    }
}

fn extras_of<A>(restarts: Option<Restarts<A>>) -> Extras<A> {
    let Some(Restarts(restart, retries)) = restarts else { return Extras::none() };
    Extras { restart: Some(restart), retries, ..Extras::none() }
}

/// One system of a model.
pub struct System<L: Ledger>(pub(super) Hub<Books<L>>);

impl<L: Ledger> System<L> {
    /// Makes one.
    pub fn new(ledger: L) -> Self {
        Self(Hub::new(Books { ledger, timers: Driver::new(), names: Names::new(), lingers: Lingers::new() }))
    }

    /// The books.
    pub fn ledger(&self) -> &L {
        &self.0.ledger
    }

    /// Spawns an actor without a parent. The duty to run it is the calling thread's.
    pub fn spawn<A: Actor>(&self, actor: A, id: u64) -> ActorRef<A> {
        self.spawn_root(actor, id, None)
    }

    /// The same for an actor that is restarted.
    pub fn spawn_restarted<A: Actor>(&self, actor: A, id: u64, restarts: Restarts<A>) -> ActorRef<A> {
        self.spawn_root(actor, id, Some(restarts))
    }

    /// The same for an actor whose mailbox is bounded.
    pub fn spawn_bounded<A: Actor>(&self, actor: A, id: u64, limit: usize, overflow: Overflow) -> ActorRef<A> {
        self.spawn_with(actor, id, Extras { bound: Some(Bound { limit, overflow }), ..Extras::none() })
    }

    fn spawn_root<A: Actor>(&self, actor: A, id: u64, restarts: Option<Restarts<A>>) -> ActorRef<A> {
        self.spawn_with(actor, id, extras_of(restarts))
    }

    fn spawn_with<A: Actor>(&self, actor: A, id: u64, extras: Extras<A>) -> ActorRef<A> {
        let (address, created) = cell::Address::create(actor, self.0.erase(), ActorId(id), &Under::Root);
        if let Some(created) = created {
            address.equip(&created, extras, || id);
            self.0.ledger.keep(id, Root(created.runtime));
            self.0.schedule(created.runnable);
        }
        ActorRef::new(address)
    }

    /// The actor of a name, or a new one; none if it is taken. The duty to run a new one is the calling thread's.
    pub fn get_or_spawn<A: Actor>(&self, name: &str, id: u64, make: impl FnOnce() -> A) -> Option<ActorRef<A>> {
        let mut claimed = match self.0.names.get_or_claim(name) {
            Claim::Made(claimed) => claimed,
            Claim::There(address) => return Some(ActorRef::new(address)),
            Claim::Taken => return None,
        };
        let (address, created) = cell::Address::create(make(), self.0.erase(), ActorId(id), &Under::Root);
        if let Some(created) = created {
            address.equip(&created, Extras { name: Some(claimed.name()), ..Extras::none() }, || id);
            self.0.ledger.keep(id, Root(created.runtime));
            claimed.give(&address);
            self.0.schedule(created.runnable);
        }
        Some(ActorRef::new(address))
    }

    /// Has the calling thread work: it keeps freed nodes as a worker does, calls `f`, and fulfils its duties.
    pub fn work<R>(&self, f: impl FnOnce() -> R) -> R {
        pool::keep_cache();
        let result = f();
        self.run();
        result
    }

    /// Wakes those whose time has come at `now`, in nanoseconds; the clock of models stands at zero.
    pub fn fire_timers(&self, now: u64) -> usize {
        let mut due = Vec::new();
        let count = self.0.timers.poll(Tick(now), &mut due);
        due.into_iter().for_each(Waker::wake);
        count
    }

    /// Fulfils the calling thread's duties.
    pub fn run(&self) {
        while let Some(runnable) = next_duty() {
            self.turn(runnable);
        }
    }

    /// Runs one turn.
    pub fn turn(&self, runnable: Runnable) {
        self.turn_by(runnable, &*self.0);
    }

    /// Runs one turn as a worker, which keeps who has nothing to do. One thread of a model is that worker.
    pub fn turn_and_keep(&self, runnable: Runnable) {
        KEEPS.with(|keeps| keeps.set(true));
        self.turn_by(runnable, &Keeper(&*self.0));
    }

    /// Nobody lingers from here on. What comes back is the calling thread's duty, which is the worker.
    pub fn let_go(&self) {
        if let Some(runnable) = self.0.lingers.let_go() {
            self.0.schedule(runnable);
        }
    }

    /// Takes who lingers, from another thread.
    pub fn steal_lingering(&self) -> Option<Runnable> {
        self.0.lingers.steal().map(Runnable)
    }

    fn turn_by(&self, runnable: Runnable, host: &impl Host) {
        outbox::open();
        let after = turn::take_turn(runnable.0, host);
        outbox::close();
        if let After::Again(runnable) = after {
            self.0.schedule(runnable);
        }
    }

    /// A worker's stock of references to this system.
    pub fn bundle(&self) -> Bundle<L> {
        Bundle(hub::Bundle::new(self.0.clone()))
    }
}

impl<L: Ledger> Clone for System<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Gives back all nodes that the calling thread keeps, as the end of a thread does. The last that a model's thread does:
/// loom's threads end without it.
pub fn leave_thread() {
    pool::release_thread();
}

/// Gives back the slabs that the calling thread does not need, as a worker that goes to sleep does.
pub fn trim() {
    pool::trim();
}

/// Looks at an actor, if nobody runs it. Where it cannot be left as it was, the duty to run it is the calling thread's.
pub fn inspect<A: Actor>(actor: &ActorRef<A>) -> bool {
    actor.cell().inspect().is_some()
}

/// Asks an actor to tell of itself; the ledger does not listen.
pub fn ask_report<A: Actor>(actor: &ActorRef<A>) {
    actor.cell().ask_report();
}

/// Spawns a child of the running actor.
pub fn spawn_child<A: Actor, B: Actor>(context: &mut Context<A>, actor: B, id: u64) -> ActorRef<B> {
    spawn_below(context, actor, id, None)
}

/// The same for a child that is restarted.
pub fn spawn_restarted_child<A: Actor, B: Actor>(
    context: &mut Context<A>,
    actor: B,
    id: u64,
    restarts: Restarts<B>,
) -> ActorRef<B> {
    spawn_below(context, actor, id, Some(restarts))
}

fn spawn_below<A: Actor, B: Actor>(
    context: &mut Context<A>,
    actor: B,
    id: u64,
    restarts: Option<Restarts<B>>,
) -> ActorRef<B> {
    let hub = context.header().hub().clone();
    let (address, created) = cell::Address::create(actor, hub, ActorId(id), &context.under());
    if let Some(created) = created {
        address.equip(&created, extras_of(restarts), || id);
        context.adopt(created.runtime);
        address.cell().header().hub().schedule(created.runnable);
    }
    ActorRef::new(address)
}

/// Makes a parcel and drops it unsent.
pub fn unsent<A: Handler<M>, M: Send + 'static>(to: &ActorRef<A>, message: M) {
    drop(to.address().parcel(message));
}

/// Memory of one node, reserved for a message.
pub struct Memory<M: Send + 'static>(Reserved<M>);

impl<M: Send + 'static> Memory<M> {
    /// Takes it from the pool.
    pub fn reserve<A: Handler<M>>(to: &ActorRef<A>) -> Self {
        Self(to.address().notices::<M>().reserve())
    }

    /// Fills and sends it. Returns whether the receiver took it.
    pub fn send(self, message: M) -> bool {
        self.0.cell().header().hub().count_sent(1);
        self.0.send(message)
    }
}

/// What a continuation runs.
pub trait Continue<P: Send + 'static>: Actor {
    /// Runs in the actor's turn.
    fn resumed(&mut self, payload: P, context: &mut Context<Self>);
}

/// What a model's continuation carries.
struct Carried<P>(P);

impl<P: Send + 'static> Cargo for Carried<P> {
    fn into_letter(self) -> Option<Box<dyn Any + Send>> {
        None
    }
}

impl<A: Continue<P>, P: Send + 'static> Receive<Resumed<Carried<P>, ()>, ByCall> for A {
    fn receive(&mut self, message: Resumed<Carried<P>, ()>, context: &mut Context<Self>) {
        self.resumed(message.payload.0, context);
    }
}

/// A continuation that is being made.
pub struct Continuation<A, P>(Resume<A, Carried<P>, ()>);

impl<A: Continue<P>, P: Send + 'static> Continuation<A, P> {
    /// Makes one of the actor `me`.
    pub fn new(me: &ActorRef<A>, payload: P) -> Self {
        Self(Resume::new(me.address(), Carried(payload)))
    }

    /// The payload, before any waker can be woken.
    pub fn payload(&mut self) -> &mut P {
        &mut self.0.payload().0
    }

    /// A waker that sends it.
    pub fn waker(&self) -> Waker {
        self.0.waker()
    }
}

/// A worker's stock of references to its system.
pub struct Bundle<L: Ledger>(hub::Bundle<Books<L>>);

/// One reference to a system.
pub struct Reference(HubRef);

impl<L: Ledger> Bundle<L> {
    /// Takes one out.
    pub fn take(&self) -> Reference {
        Reference(self.0.take())
    }

    /// Puts one back.
    pub fn put(&self, reference: Reference) {
        self.0.put(reference.0);
    }
}
