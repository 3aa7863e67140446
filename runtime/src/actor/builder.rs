//! Spawning by a factory.

use super::{Actor, ActorRef};
use crate::error::SpawnError;
use crate::kernel::guard::guarded;
use crate::kernel::restart::RestartOf;
use crate::kernel::schedule::Policy;
use std::fmt;

/// Where a builder's actor is spawned.
pub(crate) type Spawner<'a, A> = Box<dyn FnOnce(A, Option<RestartOf<A>>) -> ActorRef<A> + 'a>;

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
    spawner: Spawner<'a, A>,
    /// By what it is restarted, if it is.
    policy: Result<Option<Box<dyn Policy>>, SpawnError>,
}

impl<'a, A: Actor, F: FnMut() -> A + Send + 'static> ActorBuilder<'a, A, F> {
    pub(crate) fn new(factory: F, spawner: Spawner<'a, A>) -> Self {
        Self { factory, spawner, policy: Ok(None) }
    }

    pub(crate) fn set_policy(&mut self, policy: Result<Box<dyn Policy>, SpawnError>) {
        self.policy = policy.map(Some);
    }

    /// Makes the actor, on the calling thread, and spawns it. Costs as `spawn`, and three boxes for one that will be restarted;
    /// otherwise the factory is called once, and dropped.
    ///
    /// # Errors
    /// [`SpawnError::Stopping`] if the parent is ending or the system is shutting down; [`SpawnError::FactoryPanicked`];
    /// [`SpawnError::Backoff`] and [`SpawnError::ZeroWindow`] for a restart that cannot be; [`SpawnError::OtherThread`] for a
    /// simulated system.
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
        let policy = self.policy?;
        let actor = guarded(|| (self.factory)()).map_err(|text| SpawnError::FactoryPanicked(text.to_string()))?;
        let restart = policy.map(|policy| RestartOf::new(self.factory, policy));
        let spawned = (self.spawner)(actor, restart);
        if !spawned.cell().header().is_stillborn() {
            Ok(spawned)
        } else if spawned.cell().header().hub().admits() {
            Err(SpawnError::Stopping)
        } else {
            Err(SpawnError::OtherThread)
        }
    }
}

impl<A, F> fmt::Debug for ActorBuilder<'_, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorBuilder").finish_non_exhaustive()
    }
}
