//! Spawning by a factory.

use super::{Actor, ActorRef};
use crate::engine::core::core_of_hub;
use crate::engine::names::{Claim, Claimed, LONGEST};
use crate::engine::threads::own::Waiting;
use crate::error::SpawnError;
use crate::kernel::cell::{Address, Extras};
use crate::kernel::guard::guarded;
use crate::kernel::hub::HubRef;
use crate::kernel::restart::RestartOf;
use crate::kernel::schedule::Policy;
use std::any::type_name;
use std::fmt;

/// Sees an actor before anybody else knows it.
pub(crate) type Born<'b, A> = &'b mut dyn FnMut(&Address<A>);

/// Where a builder's actor is spawned.
pub(crate) trait Place<A> {
    /// The system.
    fn hub(&self) -> HubRef;
    /// Spawns it. `born` sees one that will live.
    fn spawn(self: Box<Self>, actor: A, extras: Extras<A>, born: Born<'_, A>) -> ActorRef<A>;
}

/// An actor that is about to be spawned, from `System::actor` or [`Context::actor`](crate::Context::actor).
///
/// # Examples
/// ```
/// # use cuelight::{Actor, SpawnError, System};
/// # #[derive(Default)] struct Idler;
/// # impl Actor for Idler {}
/// let system = System::builder().workers(1).build()?;
/// let actor = system.actor(Idler::default).spawn()?;
/// assert!(!actor.is_stopped());
/// let failed = system.actor(|| -> Idler { panic!("no luck") }).spawn();
/// assert_eq!(failed.unwrap_err(), SpawnError::FactoryPanicked("no luck".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "an actor is spawned by `spawn`"]
pub struct ActorBuilder<'a, A, F> {
    factory: F,
    place: Box<dyn Place<A> + 'a>,
    name: Option<String>,
    dedicated: bool,
    /// By what it is restarted, if it is.
    policy: Result<Option<Box<dyn Policy>>, SpawnError>,
}

impl<'a, A: Actor, F: FnMut() -> A + Send + 'static> ActorBuilder<'a, A, F> {
    pub(crate) fn new(factory: F, place: Box<dyn Place<A> + 'a>) -> Self {
        Self { factory, place, name: None, dedicated: false, policy: Ok(None) }
    }

    /// Names the actor: 1 to 255 bytes of any text. What else is asked for, or has an actor already, is an error of
    /// [`spawn`](Self::spawn).
    ///
    /// In its system a name leads to the actor, see [`SystemRef::lookup`](crate::SystemRef::lookup), until that has ended: it
    /// is free again when [`Actor::stopped`] has run, before watchers are told. Costs two entries in a table under a lock, and two
    /// allocations.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, SpawnError, System};
    /// # struct Clerk;
    /// # impl Actor for Clerk {}
    /// let system = System::builder().workers(1).build()?;
    /// let clerk = system.actor(|| Clerk).name("desk").spawn()?;
    /// assert_eq!(clerk.name(), Some("desk"));
    /// let second = system.actor(|| Clerk).name("desk").spawn();
    /// assert_eq!(second, Err(SpawnError::NameTaken { asked: "desk".into() }));
    /// let nameless = system.actor(|| Clerk).name("").spawn().unwrap_err();
    /// assert_eq!(nameless.to_string(), "the name \"\" has 0 bytes: 1 to 255 are allowed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Gives the actor a thread of its own, on which it may block: sleep, read, lock, [wait](crate::Ask::wait) for any other actor
    /// than itself. Everything else is as for others: its mailbox, children (which run on workers), restarts, watches, timers,
    /// `stop` and `drain`.
    ///
    /// The thread is named after the system and the actor, sleeps while there is nothing to do, and ends with the actor; a
    /// shutdown joins it, and names the actor if its handler holds on. To wake it costs tens of microseconds, a message some
    /// ten nanoseconds more than elsewhere; its sends are published one by one. Where two such actors wait for each other, both
    /// wait until a timeout.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, AskError, Context, Handler, System};
    /// # struct Echo;
    /// # impl Actor for Echo {}
    /// # impl Handler<u32> for Echo { type Reply = u32; fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 { n } }
    ///
    /// struct Reader(ActorRef<Echo>);
    /// impl Actor for Reader {}
    /// struct Read;
    /// impl Handler<Read> for Reader {
    ///     type Reply = Result<u32, AskError>;
    ///     fn handle(&mut self, _: Read, _: &mut Context<Self>) -> Self::Reply { self.0.ask(7).wait() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let echo = system.spawn(Echo);
    /// let reader = system.actor(move || Reader(echo.clone())).dedicated_thread().spawn()?;
    /// assert_eq!(reader.ask(Read).wait()?, Ok(7)); // on a worker: WouldDeadlock
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dedicated_thread(mut self) -> Self {
        self.dedicated = true;
        self
    }

    pub(crate) fn set_policy(&mut self, policy: Result<Box<dyn Policy>, SpawnError>) {
        self.policy = policy.map(Some);
    }

    /// Makes the actor, on the calling thread, and spawns it. Costs as `spawn`, and three boxes for one that will be restarted;
    /// otherwise the factory is called once, and dropped.
    ///
    /// # Errors
    /// [`SpawnError::Stopping`] if the parent is ending or the system is shutting down; [`SpawnError::FactoryPanicked`]. Before
    /// the factory is called, [`SpawnError::Backoff`] and [`SpawnError::ZeroWindow`] for a restart that cannot be, and
    /// [`SpawnError::Name`] and [`SpawnError::NameTaken`] for a name, [`SpawnError::Thread`] if there is none for the actor, and
    /// [`SpawnError::Simulated`] if there cannot be. [`SpawnError::OtherThread`] for a simulated system.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, SpawnError, System};
    /// # use std::time::Duration;
    /// # struct Idler;
    /// # impl Actor for Idler {}
    /// let system = System::builder().workers(1).build()?;
    /// assert!(system.actor(|| Idler).spawn().is_ok());
    /// system.shutdown(Duration::from_secs(5))?;
    /// assert_eq!(system.actor(|| Idler).spawn().unwrap_err(), SpawnError::Stopping);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn(self) -> Result<ActorRef<A>, SpawnError> {
        let policy = self.policy?;
        let dedicated = self.dedicated;
        let Some(name) = self.name else { return make(self.factory, self.place, policy, dedicated, None) };
        check(&name)?;
        let hub = self.place.hub();
        if !hub.admits() {
            return Err(SpawnError::OtherThread);
        }
        match core_of_hub(&hub).names.claim(&name) {
            Some(claimed) => make(self.factory, self.place, policy, dedicated, Some(claimed)),
            None => Err(SpawnError::NameTaken { asked: name }),
        }
    }

    /// Returns the actor of this name, or makes and spawns it if there is none.
    ///
    /// Of several callers at once one makes it, and all get it: the others' factories are not run, and they wait while that
    /// one's is. An actor that is about to end still has its name, and refuses messages. A name given before is replaced.
    ///
    /// While a named actor's factory runs, its thread does not wait: there [`Ask::wait`](crate::Ask::wait) is
    /// [`AskError::WouldDeadlock`](crate::AskError::WouldDeadlock), and a name that another thread is giving is taken.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn); [`SpawnError::NameTaken`] if an actor of another type has the name.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, System};
    /// # struct Clerk;
    /// # impl Actor for Clerk {}
    /// let system = System::builder().workers(1).build()?;
    /// let first = system.actor(|| Clerk).get_or_spawn("desk")?;
    /// let second = system.actor(|| -> Clerk { unreachable!() }).get_or_spawn("desk")?;
    /// assert_eq!(first, second);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_or_spawn(self, name: impl Into<String>) -> Result<ActorRef<A>, SpawnError> {
        let policy = self.policy?;
        let name = name.into();
        check(&name)?;
        let hub = self.place.hub();
        if !hub.admits() {
            return Err(SpawnError::OtherThread);
        }
        match core_of_hub(&hub).names.get_or_claim(&name) {
            Claim::Made(claimed) => make(self.factory, self.place, policy, self.dedicated, Some(claimed)),
            Claim::There(address) => Ok(ActorRef::new(address)),
            Claim::Taken => Err(SpawnError::NameTaken { asked: name }),
        }
    }
}

/// Makes the actor, and gives it what it is to have.
fn make<A: Actor>(
    mut factory: impl FnMut() -> A + Send + 'static,
    place: Box<dyn Place<A> + '_>,
    policy: Option<Box<dyn Policy>>,
    dedicated: bool,
    mut claimed: Option<Claimed<'_>>,
) -> Result<ActorRef<A>, SpawnError> {
    let name = claimed.as_ref().map(Claimed::name);
    let waiting = if dedicated { Some(thread::<A>(&place.hub(), name.as_deref())?) } else { None };
    let actor = guarded(&mut factory).map_err(|text| SpawnError::FactoryPanicked(text.to_string()))?;
    let extras = Extras {
        name,
        home: waiting.as_ref().map(Waiting::home),
        restart: policy.map(|policy| RestartOf::new(factory, policy)),
    };
    let spawned = place.spawn(actor, extras, &mut |address| {
        if let Some(claimed) = &mut claimed {
            claimed.give(address);
        }
    });
    if !spawned.cell().header().is_stillborn() {
        if let Some(waiting) = waiting {
            waiting.taken();
        }
        Ok(spawned)
    } else if spawned.cell().header().hub().admits() {
        Err(SpawnError::Stopping)
    } else {
        Err(SpawnError::OtherThread)
    }
}

/// A thread of the actor's own.
fn thread<A>(hub: &HubRef, name: Option<&str>) -> Result<Waiting, SpawnError> {
    if core_of_hub(hub).is_simulated() {
        return Err(SpawnError::Simulated);
    }
    let Some(hub) = hub.typed() else { unreachable!("cells are made by `Core` alone") };
    Waiting::start(&hub, name.unwrap_or_else(|| type_name::<A>()))
}

fn check(name: &str) -> Result<(), SpawnError> {
    if (1..=LONGEST).contains(&name.len()) {
        return Ok(());
    }
    Err(SpawnError::Name { asked: name.to_owned(), most: LONGEST })
}

impl<A, F> fmt::Debug for ActorBuilder<'_, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorBuilder").finish_non_exhaustive()
    }
}
