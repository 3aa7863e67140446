//! Spawning by a factory.

use super::{Actor, ActorRef};
use crate::engine::core::core_of_hub;
use crate::engine::names::{Claim, LONGEST};
use crate::error::SpawnError;
use crate::kernel::cell::Address;
use crate::kernel::guard::guarded;
use crate::kernel::hub::HubRef;
use std::fmt;

/// Sees an actor before anybody else knows it.
pub(crate) type Born<'b, A> = &'b mut dyn FnMut(&Address<A>);

/// Where a builder's actor is spawned.
pub(crate) trait Place<A> {
    /// The system.
    fn hub(&self) -> HubRef;
    /// Spawns it. `born` sees one that will live.
    fn spawn(self: Box<Self>, actor: A, born: Born<'_, A>) -> ActorRef<A>;
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
}

impl<'a, A: Actor, F: FnMut() -> A + Send + 'static> ActorBuilder<'a, A, F> {
    pub(crate) fn new(factory: F, place: Box<dyn Place<A> + 'a>) -> Self {
        Self { factory, place, name: None }
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

    /// Makes the actor, on the calling thread, and spawns it. Costs as `spawn`; the factory is called once, and dropped.
    ///
    /// # Errors
    /// [`SpawnError::Stopping`] if the parent is ending or the system is shutting down, and
    /// [`SpawnError::FactoryPanicked`]. With a name, [`SpawnError::Name`] and [`SpawnError::NameTaken`] before the factory is
    /// called.
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
    pub fn spawn(mut self) -> Result<ActorRef<A>, SpawnError> {
        let Some(name) = self.name.take() else { return self.make(&mut |_| {}) };
        check(&name)?;
        let hub = self.place.hub();
        let Some(mut claimed) = core_of_hub(&hub).names.claim(&name) else {
            return Err(SpawnError::NameTaken { asked: name });
        };
        self.make(&mut |address| claimed.give(address))
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
        let name = name.into();
        check(&name)?;
        let hub = self.place.hub();
        match core_of_hub(&hub).names.get_or_claim(&name) {
            Claim::Made(mut claimed) => self.make(&mut |address| claimed.give(address)),
            Claim::There(address) => Ok(ActorRef::new(address)),
            Claim::Taken => Err(SpawnError::NameTaken { asked: name }),
        }
    }

    fn make(mut self, born: Born<'_, A>) -> Result<ActorRef<A>, SpawnError> {
        let actor = guarded(|| (self.factory)()).map_err(|text| SpawnError::FactoryPanicked(text.to_string()))?;
        let spawned = self.place.spawn(actor, born);
        if spawned.cell().header().is_stillborn() { Err(SpawnError::Stopping) } else { Ok(spawned) }
    }
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
