//! Many actors of one kind, behind one address.
//!
//! Promise: what is sent to the pool goes to one member, or to all; what one sender sends by one key is handled in order, as
//! long as that key's member lives and the pool keeps its size; a member that fails is restarted, one that ends is replaced.
//!
//! How: an actor in front, the members' parent, through which every message goes: so order, stop and drain are those of
//! actors, and the messages on their way to each member are known. A message carries a unit of its member's load, which is
//! dropped when it has been handled; a reply goes to the asker directly.
//!
//! Gives up: a message passes through one more actor, which is as fast as one actor is.

mod lead;

use crate::actor::{Actor, ActorRef, Ask, Handler};
use crate::error::{AskError, PoolError, SpawnError, TellError};
use crate::kernel::context::Context;
use crate::kernel::guard::guarded;
use crate::kernel::watch::{ActorId, Terminated};
use crate::supervision::Restart;
use crate::system::SystemRef;
use lead::{Broadcast, Job, Lead, Question, Status, To};
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

/// More members than that are a mistake.
const LARGEST: usize = 65_536;

/// Actors of type `A` that share work, behind one handle.
///
/// A message is handled by one member, which the pool's [`Routing`] or a key picks; [`broadcast`](Self::broadcast) is for all.
/// Clones of the handle lead to the same pool, which is an actor, the members' parent: it ends when it is stopped, drained, or
/// with its parent or its system.
///
/// Members are restarted as the [builder](PoolBuilder) says; one whose restarts are used up fails the pool, and that its own
/// parent or the system, as any failure that is escalated. One that ends otherwise is replaced; what is queued in it is
/// dead-lettered. What one sender sends by one key comes to one member, in order, until that one ends, or an elastic pool
/// changes its size and the key moves; then two members may be at messages of the same key. Without a key nothing is said of
/// the order of two messages.
///
/// A message whose handler panics is gone, as with any actor; an asker hears [`AskError::Panicked`]. A message costs as two `tell`s, and four more atomic operations; every one goes through the pool's own actor, so it is for work of
/// microseconds.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, Pool, System};
///
/// #[derive(Default)]
/// struct Squarer;
/// impl Actor for Squarer {}
/// impl Handler<u64> for Squarer {
///     type Reply = u64;
///     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { n * n }
/// }
///
/// let system = System::builder().workers(2).build()?;
/// let pool = Pool::builder(Squarer::default).members(4).spawn(&system)?;
/// let squares: Vec<_> = (0..5).map(|n| pool.ask(n)).collect();
/// let sum: u64 = squares.into_iter().map(|square| square.wait().unwrap()).sum();
/// assert_eq!(sum, 30);
/// assert_eq!(pool.status().wait()?.members, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pool<A: Actor> {
    lead: ActorRef<Lead<A>>,
}

/// Which member gets a message without a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Routing {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with the fewest messages on their way to it, that in its handler included. Costs a look at each member.
    LeastLoaded,
}

/// What a pool is like at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Members.
    pub members: usize,
    /// Messages that members have got through the pool, and have not handled yet.
    pub load: usize,
    /// Members that have ended and been replaced, so far.
    pub replaced: u64,
    /// Times the pool has grown, so far.
    pub grown: u64,
    /// Times it has shrunk.
    pub shrunk: u64,
}

/// A [`Pool`] that is about to be spawned.
///
/// Unless told otherwise: one member, round robin, and `Restart::on_panic()`. An elastic pool grows by one when at two looks,
/// 10 ms apart, there were 2 messages for each member, the first look being at a message that comes; and shrinks by one when at two
/// looks in a row, 10 s apart, there were fewer messages than members.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, Context, Handler, Pool, Restart, Routing, System};
/// # #[derive(Default)] struct Clerk;
/// # impl Actor for Clerk {}
/// use std::time::Duration;
///
/// let system = System::builder().workers(1).build()?;
/// let pool = Pool::builder(Clerk::default)
///     .elastic(1, 8)
///     .grow(4, Duration::from_millis(1))
///     .shrink(Duration::from_secs(60))
///     .routing(Routing::LeastLoaded)
///     .restart(Restart::on_panic().unlimited())
///     .spawn(&system)?;
/// assert_eq!(pool.status().wait()?.members, 1);
/// let error = Pool::builder(Clerk::default).members(0).spawn(&system).unwrap_err();
/// assert!(error.to_string().starts_with("0 to 0 members: 1 to 65536 are allowed"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a pool is spawned by `spawn`"]
pub struct PoolBuilder<F> {
    factory: F,
    plan: Plan,
}

#[derive(Debug, Clone)]
struct Plan {
    least: usize,
    most: usize,
    routing: Routing,
    restart: Restart,
    /// Messages for each member, and for how long.
    grow: (usize, Duration),
    shrink: Duration,
}

impl<F> PoolBuilder<F> {
    /// Sets the number of members, for good.
    pub fn members(self, count: usize) -> Self {
        self.elastic(count, count)
    }

    /// Has the pool begin with `least` members, grow up to `most` under load, and shrink again.
    pub fn elastic(mut self, least: usize, most: usize) -> Self {
        (self.plan.least, self.plan.most) = (least, most);
        self
    }

    /// Has an elastic pool grow by one member when there are `load` messages for each, and again `after` that time; with zero at
    /// once. The load is at least one.
    pub fn grow(mut self, load: usize, after: Duration) -> Self {
        self.plan.grow = (load, after);
        self
    }

    /// Has an elastic pool look after each such time, while it has more members than at least, and shrink by one if there were
    /// fewer messages than members this time and the time before. A member that has nothing to do drains. Longer than zero.
    pub fn shrink(mut self, after: Duration) -> Self {
        self.plan.shrink = after;
        self
    }

    /// Sets which member gets a message without a key.
    pub fn routing(mut self, routing: Routing) -> Self {
        self.plan.routing = routing;
        self
    }

    /// Sets how members are restarted. With [`Restart::never`] one that has failed ends, and is replaced.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.plan.restart = restart;
        self
    }

    fn check(&self) -> Result<(), PoolError> {
        let Plan { least, most, grow, shrink, .. } = self.plan;
        if least == 0 || least > most || most > LARGEST {
            return Err(PoolError::Size { least, most, largest: LARGEST });
        }
        if grow.0 == 0 {
            return Err(PoolError::NoLoad);
        }
        if shrink.is_zero() {
            return Err(PoolError::NoPause);
        }
        Ok(())
    }

    /// Makes the first members on the calling thread, and what leads them.
    fn lead<A: Actor>(mut self) -> Result<Lead<A>, PoolError>
    where
        F: FnMut() -> A + Clone + Send + 'static,
    {
        self.check()?;
        let mut made = Vec::with_capacity(self.plan.least);
        for _ in 0..self.plan.least {
            let member = guarded(&mut self.factory)
                .map_err(|text| PoolError::Spawn(SpawnError::FactoryPanicked(text.to_string())))?;
            made.push(member);
        }
        made.reverse();
        let (factory, restart) = (self.factory, self.plan.restart.clone());
        let spawn = move |first: Option<A>, ctx: &mut Context<Lead<A>>| {
            let (mut first, mut factory) = (first, factory.clone());
            let make = move || first.take().unwrap_or_else(&mut factory);
            ctx.actor(make).restart(restart.clone()).spawn()
        };
        Ok(Lead::new(self.plan, made, Box::new(spawn)))
    }

    /// Spawns the pool without a parent.
    ///
    /// # Errors
    /// [`PoolError`] for values that cannot be, a factory that panics, and as
    /// [`ActorBuilder::spawn`](crate::ActorBuilder::spawn).
    pub fn spawn<A: Actor>(self, system: &SystemRef) -> Result<Pool<A>, PoolError>
    where
        F: FnMut() -> A + Clone + Send + 'static,
    {
        let mut lead = Some(self.lead()?);
        Pool::of(system.actor(move || first(&mut lead)).spawn())
    }

    /// Spawns the pool as a child of the running actor.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_child<A: Actor, P: Actor>(self, ctx: &mut Context<P>) -> Result<Pool<A>, PoolError>
    where
        F: FnMut() -> A + Clone + Send + 'static,
    {
        let mut lead = Some(self.lead()?);
        Pool::of(ctx.actor(move || first(&mut lead)).spawn())
    }
}

fn first<T>(once: &mut Option<T>) -> T {
    match once.take() {
        Some(value) => value,
        None => unreachable!("an actor without a restart is made once"),
    }
}

impl<A: Actor> Pool<A> {
    /// Begins to configure a pool whose members the factory makes. There is an example at [`PoolBuilder`].
    pub fn builder<F: FnMut() -> A + Clone + Send + 'static>(factory: F) -> PoolBuilder<F> {
        let (grow, shrink) = ((2, Duration::from_millis(10)), Duration::from_secs(10));
        let plan = Plan { least: 1, most: 1, routing: Routing::default(), restart: Restart::on_panic(), grow, shrink };
        PoolBuilder { factory, plan }
    }

    fn of(spawned: Result<ActorRef<Lead<A>>, SpawnError>) -> Result<Self, PoolError> {
        spawned.map(|lead| Self { lead }).map_err(PoolError::Spawn)
    }

    /// Sends a message to one member. Never blocks.
    ///
    /// # Errors
    /// [`TellError::Stopped`] gives the message back: the pool has stopped.
    pub fn tell<M: Send + 'static>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        self.send(message, To::Any)
    }

    /// Sends a message to the member of this key.
    ///
    /// Of members a key picks by the highest of their hashes with it (Thaler and Ravishankar 1998), so that few keys move when
    /// an elastic pool changes its size; costs a look at each.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Pool, System};
    /// #[derive(Default)]
    /// struct Book(Vec<u32>);
    /// impl Actor for Book {}
    /// impl Handler<u32> for Book {
    ///     type Reply = Vec<u32>;
    ///     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> Vec<u32> { self.0.push(n); self.0.clone() }
    /// }
    ///
    /// let system = System::builder().workers(2).build()?;
    /// let pool = Pool::builder(Book::default).members(8).spawn(&system)?;
    /// pool.tell_by("ann", 1)?;
    /// pool.tell_by("ann", 2)?;
    /// assert_eq!(pool.ask_by("ann", 3).wait()?, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tell_by<M: Send + 'static>(&self, key: impl Hash, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        self.send(message, To::of(&key))
    }

    fn send<M: Send + 'static>(&self, message: M, to: To) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        self.lead.tell(Job { message, to }).map_err(|error| error.map(|job| job.message))
    }

    /// Sends a message to one member, and returns its reply as a future, as [`ActorRef::ask`]: the reply comes from the
    /// member directly. Inside a handler use [`ask_then`](Self::ask_then).
    pub fn ask<M: Send + 'static>(&self, message: M) -> Ask<A::Reply>
    where
        A: Handler<M>,
    {
        self.lead.ask_with(|reply| Question { job: Job { message, to: To::Any }, reply })
    }

    /// The same to the member of a key. There is an example at [`tell_by`](Self::tell_by).
    pub fn ask_by<M: Send + 'static>(&self, key: impl Hash, message: M) -> Ask<A::Reply>
    where
        A: Handler<M>,
    {
        let to = To::of(&key);
        self.lead.ask_with(|reply| Question { job: Job { message, to }, reply })
    }

    /// Asks from inside an actor without waiting, as [`Context::ask`].
    pub fn ask_then<C, M, T>(&self, ctx: &mut Context<C>, message: M, timeout: Duration, then: T)
    where
        A: Handler<M>,
        C: Actor,
        M: Send + 'static,
        T: FnOnce(&mut C, Result<A::Reply, AskError>, &mut Context<C>) + Send + 'static,
    {
        let make = |reply| Question { job: Job { message, to: To::Any }, reply };
        ctx.ask_with(&self.lead, make, timeout, then);
    }

    /// Sends a message to each of those who are members when the pool comes to it. A clone that panics ends it: later members
    /// do not get the message.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Pool, System};
    /// # use std::sync::mpsc;
    /// # #[derive(Clone)] struct Bell(mpsc::Sender<()>);
    /// # impl Actor for Bell {}
    /// # impl Handler<()> for Bell { type Reply = (); fn handle(&mut self, (): (), _: &mut Context<Self>) { self.0.send(()).unwrap() } }
    /// let system = System::builder().workers(2).build()?;
    /// let (sender, rings) = mpsc::channel();
    /// let pool = Pool::builder(move || Bell(sender.clone())).members(3).spawn(&system)?;
    /// pool.broadcast(())?;
    /// assert_eq!(rings.iter().take(3).count(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn broadcast<M: Clone + Send + 'static>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        self.lead.tell(Broadcast(message)).map_err(|error| error.map(|Broadcast(message)| message))
    }

    /// Asks what the pool is like; it comes after what this sender has sent to the pool before.
    pub fn status(&self) -> Ask<PoolStatus> {
        self.lead.ask(Status)
    }

    /// Has the running actor told of the pool's end, as by [`Context::watch`].
    pub fn watch<W: Handler<Terminated>>(&self, ctx: &mut Context<W>) {
        ctx.watch(&self.lead);
    }

    /// Returns the identity of the pool's actor.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.lead.id()
    }

    /// Returns whether the pool takes no more messages, as [`ActorRef::is_stopped`].
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.lead.is_stopped()
    }

    /// Ends the pool and its members, as [`ActorRef::stop`].
    pub fn stop(&self) {
        self.lead.stop();
    }

    /// Ends the pool and its members when all that is queued has been handled, as [`ActorRef::drain`].
    pub fn drain(&self) {
        self.lead.drain();
    }
}

impl<A: Actor> Clone for Pool<A> {
    fn clone(&self) -> Self {
        Self { lead: self.lead.clone() }
    }
}

impl<A: Actor> fmt::Debug for Pool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} {})", std::any::type_name::<A>(), self.id())
    }
}
