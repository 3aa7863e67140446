//! The configuration of a simulation, checked where it is given.

use super::{Schedule, Simulation};
use crate::engine::overrun::{Overrun, Watchdog};
use crate::engine::sim::faults::Faults;
use crate::engine::sim::policy::Policy;
use crate::engine::sim::{self, Setup};
use crate::error::BuildError;
use crate::system::System;
use std::time::Duration;

/// Steps that one call makes at most, unless told otherwise: some seconds.
const STEPS: u64 = 10_000_000;

/// The latest start of a clock: as much time again is left before it ends.
const LATEST: Duration = Duration::from_nanos(u64::MAX / 2);

/// The configuration of a [`Simulation`] that is about to be made.
///
/// # Examples
/// ```
/// use cuelight::Simulation;
///
/// let sim = Simulation::builder().seed(7).name("orders").step_limit(100_000).build()?;
/// assert_eq!((sim.seed(), sim.name()), (7, "orders"));
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a simulation is made by `build`"]
pub struct SimulationBuilder {
    pub(super) setup: Setup,
}

impl SimulationBuilder {
    pub(super) fn new() -> Self {
        Self {
            setup: Setup {
                name: "simulation".to_owned(),
                seed: 0,
                step_limit: STEPS,
                clock_start: Duration::ZERO,
                policy: Policy::Random,
                faults: Faults::none(),
                watchdog: None,
                trace: false,
                script: None,
            },
        }
    }

    /// Names the system. "simulation" unless it is set.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::Simulation;
    /// assert_eq!(Simulation::builder().name("orders").build()?.name(), "orders");
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.setup.name = name.into();
        self
    }

    /// Sets the seed. 0 unless it is set.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::Simulation;
    /// assert_eq!(Simulation::builder().seed(u64::MAX).build()?.seed(), u64::MAX);
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.setup.seed = seed;
        self
    }

    /// Sets how many steps one call makes before it gives up; 10 million unless it is set. Zero is an error of
    /// [`build`](Self::build). There is an example at [`RunError`](crate::RunError).
    pub fn step_limit(mut self, steps: u64) -> Self {
        self.setup.step_limit = steps;
        self
    }

    /// Sets what [`Simulation::now`] begins with, and the times of a [`Trace`](crate::Trace): so much has passed before the first
    /// step, for actors, too. Zero unless it is set; 292 years at most, or it is an error of [`build`](Self::build).
    ///
    /// # Examples
    /// ```
    /// # use cuelight::Simulation;
    /// # use std::time::Duration;
    /// let day = Duration::from_secs(86_400);
    /// let sim = Simulation::builder().clock_start(497 * day).build()?; // 2^32 milliseconds, and a bit
    /// sim.advance(day)?;
    /// assert_eq!(sim.now(), 498 * day);
    /// let error = Simulation::builder().clock_start(Duration::MAX).build().unwrap_err();
    /// assert!(error.to_string().contains("at most 9223372036.854775807s is allowed"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock_start(mut self, time: Duration) -> Self {
        self.setup.clock_start = time;
        self
    }

    /// Sets how the next actor is picked. [`Policy::Random`] unless it is set. There is an example at [`Policy`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.setup.policy = policy;
        self
    }

    /// Sets what goes wrong. Nothing unless it is set. There is an example at [`Faults`].
    pub fn faults(mut self, faults: Faults) -> Self {
        self.setup.faults = faults;
        self
    }

    /// Has handlers reported to `hook` that take longer than `threshold` of the simulation's time, as
    /// [`Builder::watchdog`](crate::Builder::watchdog) does. They take none unless [`Faults::slow`] says so. The reports come as the
    /// clock passes their times, on the simulation's thread.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Faults, Handler, Overrun, Simulation};
    /// use std::{sync::mpsc, time::Duration};
    /// # struct Echo;
    /// # impl Actor for Echo {}
    /// # impl Handler<u8> for Echo { type Reply = u8; fn handle(&mut self, n: u8, _: &mut Context<Self>) -> u8 { n } }
    ///
    /// let (sender, overruns) = mpsc::channel();
    /// let hook = move |overrun: Overrun| sender.send(overrun).unwrap();
    /// let sim = Simulation::builder()
    ///     .faults(Faults::none().slow(1.0, Duration::from_secs(100)))
    ///     .watchdog(Duration::from_millis(1), hook)
    ///     .build()?;
    /// assert_eq!(sim.spawn(Echo).ask(7).wait()?, 7);
    /// sim.run_for(Duration::from_secs(100))?;
    /// let reports: Vec<_> = overruns.try_iter().map(|overrun| (overrun.message, overrun.ended)).collect();
    /// assert_eq!(reports, [(Some("u8"), false), (Some("u8"), true)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watchdog(mut self, threshold: Duration, hook: impl Fn(Overrun) + Send + Sync + 'static) -> Self {
        self.setup.watchdog = Some(Watchdog::new(threshold, hook));
        self
    }

    /// Keeps what happens, for [`Simulation::trace`] and [`Simulation::schedule`]. Costs some 100 bytes for each message handled.
    /// Off unless it is set. There is an example at [`Trace`](crate::Trace).
    pub fn trace(mut self, on: bool) -> Self {
        self.setup.trace = on;
        self
    }

    /// Follows a recorded schedule instead of the seed. There is an example at [`Schedule`].
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.setup.script = Some(schedule.0);
        self
    }

    /// Makes the simulation, on the calling thread. There is an example above.
    ///
    /// # Errors
    /// [`BuildError::ZeroBudget`] for a limit of no steps, or a policy of no depth or picks; [`BuildError::ClockStart`];
    /// [`BuildError::Rate`] for faults; [`BuildError::Threshold`] for a watchdog.
    pub fn build(self) -> Result<Simulation, BuildError> {
        self.check()?;
        Ok(self.start())
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.setup.step_limit == 0 {
            return Err(BuildError::ZeroBudget { part: "steps" });
        }
        if let Policy::Pct { depth: 0, .. } | Policy::Pct { picks: 0, .. } = self.setup.policy {
            return Err(BuildError::ZeroBudget { part: "depth or picks" });
        }
        if self.setup.clock_start > LATEST {
            return Err(BuildError::ClockStart { asked: self.setup.clock_start, most: LATEST });
        }
        check(&self.setup.faults)?;
        self.setup.watchdog.as_ref().map_or(Ok(()), Watchdog::check)
    }

    pub(super) fn start(self) -> Simulation {
        let (driver, hub) = sim::start(self.setup);
        Simulation { system: System::start(hub), driver }
    }
}

pub(super) fn check(faults: &Faults) -> Result<(), BuildError> {
    faults.wrong().map_or(Ok(()), |(what, asked)| Err(BuildError::Rate { what, asked }))
}
