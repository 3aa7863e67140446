//! A system of actors: its making, its handles, its end.

mod builder;
mod snapshot;

pub use builder::Builder;
pub use snapshot::{ActorState, ActorStatus, Snapshot};

use crate::actor::{Actor, ActorBuilder, ActorRef, Born, Place, Recipient};
use crate::engine::core::Core;
use crate::engine::letters::DeadLetter;
use crate::engine::names::is_making;
use crate::engine::report::Report;
use crate::engine::sim;
use crate::engine::threads::worker::is_worker;
use crate::error::{BuildError, HeldWorker, ShutdownError};
use crate::kernel::cell::Extras;
use crate::kernel::context::Context;
use crate::kernel::failure::Failure;
use crate::kernel::hub::{Hub, HubRef};
use crate::metrics::Counters;
use crate::sync::Arc;
use crate::time::Instant;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// A system of actors, and the workers that run them.
///
/// A handle: clones lead to the same system. Systems are independent, and a process may have many; there is none that is
/// global or hidden. When the last handle is dropped, the system shuts down on its own, and nobody waits for it; call
/// [`shutdown`](Self::shutdown) to wait.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, System};
/// use std::time::Duration;
///
/// struct Greeter;
/// impl Actor for Greeter {}
/// impl Handler<&'static str> for Greeter {
///     type Reply = String;
///     fn handle(&mut self, name: &'static str, _: &mut Context<Self>) -> String { format!("Hello, {name}!") }
/// }
///
/// let system = System::new()?;
/// let greeter = system.spawn(Greeter);
/// assert_eq!(greeter.ask("world").timeout(Duration::from_secs(1)).wait()?, "Hello, world!");
/// system.shutdown(Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct System {
    system: SystemRef,
    owner: Arc<Owner>,
}

/// What every [`System`] handle shares: its drop begins the shutdown.
struct Owner(Hub<Core>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.begin_shutdown();
    }
}

/// A system, as its actors know it: does not keep it from shutting down.
///
/// Everything but the end can be done with it; a [`System`] derefs to it.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, System};
///
/// struct Idler;
/// impl Actor for Idler {}
/// struct Maker;
/// impl Actor for Maker {}
/// impl Handler<()> for Maker {
///     type Reply = bool;
///     fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> bool {
///         // No child of this actor: it lives until it is stopped, or the system is.
///         let idler = ctx.system().spawn(Idler);
///         !idler.is_stopped() && ctx.children().is_empty()
///     }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// assert!(system.spawn(Maker).ask(()).wait()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SystemRef {
    hub: Hub<Core>,
}

impl System {
    /// Starts a system with the defaults of its [builder](Self::builder): a worker for each CPU, pinned if that is polite.
    ///
    /// # Errors
    /// See [`Builder::build`].
    ///
    /// # Examples
    /// ```
    /// let system = cuelight::System::new()?;
    /// assert_eq!(system.name(), "cuelight");
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn new() -> Result<Self, BuildError> {
        Self::builder().build()
    }

    /// Begins to configure a system. There is an example at [`Builder`].
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(hub: Hub<Core>) -> Self {
        Self { system: SystemRef { hub: hub.clone() }, owner: Arc::new(Owner(hub)) }
    }

    /// Stops all actors, the leaves first, and joins all threads, within `timeout`. `Duration::MAX` waits for ever.
    ///
    /// What is queued is dead-lettered. When it returns `Ok`, no thread and no actor is left; memory goes with the last
    /// address. May be called again, and from several threads.
    ///
    /// # Errors
    /// [`ShutdownError::Timeout`] names the actors whose handlers did not return in time; the shutdown goes on by itself when
    /// they do. [`ShutdownError::WouldDeadlock`] if the calling thread is a worker, or makes an actor whose name others may wait
    /// for; the shutdown has begun.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::System;
    /// # use std::time::Duration;
    /// let system = System::builder().workers(2).build()?;
    /// system.shutdown(Duration::from_secs(5))?;
    /// assert_eq!(system.counters().in_flight(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown(&self, timeout: Duration) -> Result<(), ShutdownError> {
        let core = &self.owner.0;
        if core.is_simulated() {
            return Self::end_simulation(core);
        }
        let deadline = core.clock.now().after(timeout);
        core.begin_shutdown();
        if is_worker() || core.threads.is_own_thread() || is_making() {
            return Err(ShutdownError::WouldDeadlock);
        }
        let joined = core.threads.join(&core.clock, deadline).map_err(|held| {
            let holder = |held: crate::engine::threads::shutdown::Held| HeldWorker {
                worker: held.worker,
                actor: held.actor.id.get(),
                type_name: held.actor.type_name,
            };
            ShutdownError::Timeout { holders: held.into_iter().map(holder).collect() }
        });
        crate::kernel::pool::release_thread();
        joined
    }

    /// Runs a simulated system to its end.
    fn end_simulation(core: &Core) -> Result<(), ShutdownError> {
        let Some(driver) = sim::here(core) else {
            return if core.is_over() { Ok(()) } else { Err(ShutdownError::OtherThread) };
        };
        core.begin_shutdown();
        if is_worker() {
            return Err(ShutdownError::WouldDeadlock);
        }
        if driver.finish() { Ok(()) } else { Err(ShutdownError::Timeout { holders: Vec::new() }) }
    }
}

impl Deref for System {
    type Target = SystemRef;

    fn deref(&self) -> &SystemRef {
        &self.system
    }
}

impl SystemRef {
    /// Spawns an actor without a parent. It runs until it is stopped, drained, panics, has a child's failure escalated to it, or
    /// the system shuts down; nothing else ends it, not even the drop of its last address.
    ///
    /// After the shutdown has begun it has ended before it began, and its address refuses. Costs one allocation, for the cell
    /// (128 bytes and the state), and an entry in a table under a lock, of which each worker has its own.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, System};
    /// # use std::time::Duration;
    /// # struct Idler;
    /// # impl Actor for Idler {}
    /// let system = System::builder().workers(1).build()?;
    /// assert!(!system.spawn(Idler).is_stopped());
    /// system.shutdown(Duration::from_secs(5))?;
    /// assert!(system.spawn(Idler).is_stopped());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn<A: Actor>(&self, actor: A) -> ActorRef<A> {
        ActorRef::new(Core::spawn(&self.hub, actor, Extras::none(), |_| {}))
    }

    /// Begins to spawn an actor that a factory makes. There is an example at [`ActorBuilder`].
    pub fn actor<A: Actor, F: FnMut() -> A + Send + 'static>(&self, factory: F) -> ActorBuilder<'_, A, F> {
        ActorBuilder::new(factory, Box::new(Root(&self.hub)))
    }

    /// Returns the living actor of this name; `None` if there is none, or if it is of another type than `A`.
    ///
    /// Costs a look into a table under a lock, and a clone of the address. Keep the address: it is what is fast.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, System};
    /// # struct Clerk;
    /// # impl Actor for Clerk {}
    /// # struct Porter;
    /// # impl Actor for Porter {}
    /// let system = System::builder().workers(1).build()?;
    /// let clerk = system.actor(|| Clerk).name("desk").spawn()?;
    /// assert_eq!(system.lookup::<Clerk>("desk"), Some(clerk));
    /// assert_eq!(system.lookup::<Porter>("desk"), None);
    /// assert_eq!(system.lookup::<Clerk>("door"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn lookup<A: Actor>(&self, name: &str) -> Option<ActorRef<A>> {
        self.hub.names.get(name).map(ActorRef::new)
    }

    /// Returns the system's name, which begins the names of its threads.
    ///
    /// # Examples
    /// ```
    /// let system = cuelight::System::builder().workers(1).name("orders").build()?;
    /// assert_eq!(system.name(), "orders");
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.hub.config.name
    }

    /// Returns the system's time, as [`Context::now`] does: the machine's monotonic clock, or the virtual one of a
    /// [`Simulation`](crate::Simulation).
    ///
    /// # Examples
    /// ```
    /// use cuelight::System;
    /// use std::time::Duration;
    ///
    /// let sim = System::simulation(1);
    /// let before = (**sim).now();
    /// sim.run_for(Duration::from_secs(3600))?;
    /// assert_eq!((**sim).now() - before, Duration::from_secs(3600));
    /// # Ok::<(), cuelight::RunError>(())
    /// ```
    #[must_use]
    pub fn now(&self) -> Instant {
        self.hub.clock.instant()
    }

    /// Returns how the system was started: its workers, the CPU of each or why it has none, and warnings. There is an example at
    /// [`Report`].
    #[must_use]
    pub fn report(&self) -> Report {
        self.hub.report.lock().clone()
    }

    /// Reads the counters: messages by their fate, actors, and what each worker did.
    ///
    /// May be called at any time; reads two or three cache lines for each worker. `in_flight` is never negative, and zero after
    /// a completed shutdown.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # use std::time::Duration;
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
    /// let system = System::builder().workers(1).build()?;
    /// let sum = system.spawn(Sum(0));
    /// sum.send_all(0..10)?;
    /// sum.ask(0).wait()?;
    /// assert_eq!(system.counters().live_actors, 1);
    /// sum.drain();
    /// sum.tell(1).unwrap_err();
    /// system.shutdown(Duration::from_secs(5))?;
    /// let counters = system.counters();
    /// assert_eq!((counters.sent, counters.handled, counters.returned), (12, 11, 1));
    /// assert_eq!((counters.in_flight(), counters.live_actors), (0, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.hub.counters()
    }

    /// Reads how many bytes of memory messages take: of the whole process, for its systems share what a thread keeps.
    ///
    /// Counted are slabs, whose free nodes wait for the next messages, and the boxes of messages, requests and replies that are
    /// too large for a slab's node. These to within 64 KiB for each thread that sends or handles them. Not counted is what a
    /// message owns elsewhere, as the content of a `Vec`, and what actors keep. Costs one load; may be called at any time.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sink;
    /// # impl Actor for Sink {}
    /// # impl Handler<u64> for Sink { type Reply = (); fn handle(&mut self, _: u64, _: &mut Context<Self>) {} }
    /// let system = System::builder().workers(1).build()?;
    /// system.spawn(Sink).ask(1).wait()?;
    /// assert!(system.message_bytes() >= 64 << 10); // a slab
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn message_bytes(&self) -> u64 {
        crate::kernel::usage::bytes()
    }

    /// Returns the failure that has stopped the system, if one has: one that reached the root by escalation, and that nobody
    /// dealt with. The first, if there were more. There is an example at [`Restart::limit`](crate::Restart::limit).
    ///
    /// An actor without a parent that just panics ends, and the system goes on. It is stopped, as by
    /// [`shutdown`](System::shutdown) without a wait, if such an actor has used up the limit of its restarts, or if it was not
    /// spawned with a restart and a child's failure is escalated to it.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.hub.failure()
    }

    /// Sends every message that nobody will handle to `listener`, as a [`DeadLetter`]. One listener at a time: the latest, until
    /// the system's end.
    ///
    /// Messages that went back to their sender in an `Err` are not among them. A dead letter that cannot be delivered is
    /// dropped, and a shutdown stops the listener like any other actor: what is lost later is only counted. While somebody
    /// listens, each costs a box for its payload, and a send. There is an example at [`DeadLetter`].
    pub fn dead_letters(&self, listener: impl Into<Recipient<DeadLetter>>) {
        self.hub.listen(listener.into().into_port());
    }
}

/// The place of actors without a parent.
struct Root<'a>(&'a Hub<Core>);

impl<A: Actor> Place<A> for Root<'_> {
    fn hub(&self) -> HubRef {
        self.0.erase()
    }

    fn spawn(self: Box<Self>, actor: A, extras: Extras<A>, born: Born<'_, A>) -> ActorRef<A> {
        ActorRef::new(Core::spawn(self.0, actor, extras, born))
    }
}

impl<A: Actor> Context<A> {
    /// Returns the actor's system. It is not kept from shutting down by this. There is an example at [`SystemRef`].
    #[must_use]
    pub fn system(&self) -> SystemRef {
        SystemRef { hub: self.hub() }
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "System({:?})", self.name())
    }
}

impl fmt::Debug for SystemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemRef({:?})", self.name())
    }
}
