//! Simulation: a system of unchanged actors on one thread, in virtual time, in an order picked by a seed.

mod builder;
#[cfg(not(any(loom, shuttle)))]
mod explore;
mod schedule;

pub use builder::SimulationBuilder;
#[cfg(not(any(loom, shuttle)))]
pub use explore::{Counterexample, Explored, Verdict, explore};
pub use schedule::{ParseScheduleError, Schedule};

use crate::engine;
use crate::engine::sim::faults::Faults;
use crate::engine::sim::trace::Trace;
use crate::engine::sim::{Driven, Driver, Horizon, Trouble};
use crate::error::{BuildError, HotActor, RunError};
use crate::kernel::watch::ActorId;
use crate::sync::thread;
use crate::system::System;
use crate::time::Tick;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

/// A system whose actors run on the calling thread, in virtual time, in an order that a seed picks.
///
/// The actors are the same as elsewhere, and so is all that they can do: the kernel is the same, and everything works but
/// `Builder` and a [thread of an actor's own](crate::ActorBuilder::dedicated_thread). It derefs to a [`System`]. Nothing runs
/// unless it is driven: by [`step`](Self::step), by the methods that begin with `run`, or by [`Ask::wait`](crate::Ask::wait). A
/// step is one actor's turn with one message at most; which actor's is drawn from those that have something to do. The clock
/// stands while there is something to do, and jumps to the next timer when there is nothing.
///
/// The same program with the same seed does the same, on any machine and in any build: see [`signature`](Self::signature).
/// That holds if its actors take nothing from elsewhere: no time but [`Context::now`](crate::Context::now), no random numbers
/// but from a seed, no order of a `HashMap` with its default hasher, no other thread.
///
/// It belongs to the thread that made it. What other threads call is refused by an error (`OtherThread`); what has no way to
/// say so (a `stop`, a late `ReplyTo`) has its effect, and the next call that drives returns [`RunError::OtherThread`].
/// Dropping it stops all actors and runs them to their ends. In a thread that panics it prints one line with what repeats the
/// run.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, System};
/// use std::time::Duration;
///
/// struct Counter(u64);
/// impl Actor for Counter {}
/// impl Handler<u64> for Counter {
///     type Reply = u64;
///     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
/// }
///
/// let sim = System::simulation(7);
/// let counter = sim.spawn(Counter(0));
/// counter.tell(40)?;
/// assert_eq!(sim.counters().handled, 0); // nothing runs by itself
/// sim.run_until_idle()?;
/// assert_eq!(sim.counters().handled, 1);
/// assert_eq!(counter.ask(2).wait()?, 42); // waiting runs it
/// sim.shutdown(Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It does not leave its thread:
/// ```compile_fail,E0277
/// let sim = cuelight::System::simulation(7);
/// std::thread::spawn(move || sim.step());
/// ```
pub struct Simulation {
    system: System,
    driver: Rc<Driver>,
}

impl System {
    /// Makes a system that is [simulated](Simulation) on the calling thread, with the defaults of
    /// [`Simulation::builder`]. Costs some ten microseconds, and no thread.
    ///
    /// # Examples
    /// ```
    /// let sim = cuelight::System::simulation(7);
    /// assert_eq!((sim.seed(), sim.name()), (7, "simulation"));
    /// ```
    #[must_use = "a simulation ends when it is dropped"]
    pub fn simulation(seed: u64) -> Simulation {
        Simulation::builder().seed(seed).start()
    }
}

impl Simulation {
    /// Begins to configure a simulation. There is an example at [`SimulationBuilder`].
    ///
    /// A builder of its own, because nothing of a [`Builder`](crate::Builder) means anything here but the name: there are no
    /// workers to count, to pin or to put to sleep, and each step is one message.
    pub fn builder() -> SimulationBuilder {
        SimulationBuilder::new()
    }

    /// Makes one step: one actor's start, one message, or one stage of an end. Returns whether there was something to do; the
    /// clock does not move.
    ///
    /// # Errors
    /// [`RunError::OtherThread`], [`RunError::WouldDeadlock`].
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
    /// let sim = System::simulation(1);
    /// let sum = sim.spawn(Sum(0));
    /// sum.send_all([1, 2])?;
    /// let mut handled = Vec::new();
    /// while sim.step()? {
    ///     handled.push(sim.counters().handled);
    /// }
    /// assert_eq!(handled, [0, 1, 2]); // the start, and a step for each message
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn step(&self) -> Result<bool, RunError> {
        self.driver.check().map_err(|trouble| self.error(trouble))?;
        Ok(self.driver.step())
    }

    /// Runs until no actor has anything to do and no message is on its way, and returns how many messages were handled.
    ///
    /// Timers that are not due do not count: the clock stands, unless [`Faults`] hold something up.
    ///
    /// # Errors
    /// [`RunError::StepLimit`] and those of [`step`](Self::step).
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
    /// let sim = System::simulation(1);
    /// let sum = sim.spawn(Sum(0));
    /// sum.send_all(0..100)?;
    /// assert_eq!(sim.run_until_idle()?, 100);
    /// assert_eq!(sim.run_until_idle()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_until_idle(&self) -> Result<u64, RunError> {
        let before = self.driver.handled();
        self.drive(Horizon::Rest, || false)?;
        Ok(self.driver.handled() - before)
    }

    /// Runs all that happens within `time` from now: actors, and timers in their order. Afterwards it is so much later. Returns how
    /// many messages were handled.
    ///
    /// # Errors
    /// [`RunError::StepLimit`] and those of [`step`](Self::step).
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, AskError, Context, Handler, ReplyTo, System};
    /// # use std::time::Duration;
    /// # struct Mute(Vec<ReplyTo<()>>);
    /// # impl Actor for Mute {}
    /// # impl Handler<ReplyTo<()>> for Mute {
    /// #     type Reply = ();
    /// #     fn handle(&mut self, reply: ReplyTo<()>, _: &mut Context<Self>) { self.0.push(reply) }
    /// # }
    /// let sim = System::simulation(1);
    /// let mute = sim.spawn(Mute(Vec::new()));
    /// let answer = mute.ask_with(|reply| reply).timeout(Duration::from_secs(3600));
    /// assert_eq!(sim.run_for(Duration::from_secs(86_400))?, 1);
    /// assert_eq!(sim.now(), Duration::from_secs(86_400));
    /// assert_eq!(answer.wait(), Err(AskError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_for(&self, time: Duration) -> Result<u64, RunError> {
        let before = self.driver.handled();
        let deadline = self.driver.now().after(time);
        self.drive(Horizon::Time(deadline), || false)?;
        self.driver.move_to(deadline);
        Ok(self.driver.handled() - before)
    }

    /// Runs until `condition` holds, which is asked before every step; moves the clock on as there is nothing else to do, by
    /// `limit` at most.
    ///
    /// # Errors
    /// [`RunError::TimeLimit`] if it does not come true in time, [`RunError::StepLimit`], and those of [`step`](Self::step).
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, RunError, System};
    /// # use std::time::Duration;
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
    /// let sim = System::simulation(1);
    /// let sum = sim.spawn(Sum(0));
    /// sum.send_all(0..100)?;
    /// sim.run_until(|| sim.counters().handled == 50, Duration::from_secs(1))?;
    /// assert_eq!(sim.counters().in_flight(), 50);
    /// let never = sim.run_until(|| false, Duration::from_secs(1));
    /// assert_eq!(never, Err(RunError::TimeLimit { limit: Duration::from_secs(1) }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_until(&self, mut condition: impl FnMut() -> bool, limit: Duration) -> Result<(), RunError> {
        let deadline = self.driver.now().after(limit);
        if self.drive(Horizon::Time(deadline), &mut condition)? == Driven::Done {
            return Ok(());
        }
        if deadline != Tick::NEVER {
            self.driver.move_to(deadline);
        }
        if self.drive(Horizon::Time(deadline), condition)? == Driven::Done {
            Ok(())
        } else {
            Err(RunError::TimeLimit { limit })
        }
    }

    /// Moves the clock on by `time`, without running any actor. Timers that are due then have fired, in their order.
    ///
    /// # Errors
    /// Those of [`step`](Self::step).
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// let sim = cuelight::System::simulation(1);
    /// sim.advance(Duration::from_millis(1500))?;
    /// assert_eq!(sim.now(), Duration::from_millis(1500));
    /// # Ok::<(), cuelight::RunError>(())
    /// ```
    pub fn advance(&self, time: Duration) -> Result<(), RunError> {
        self.driver.check().map_err(|trouble| self.error(trouble))?;
        self.driver.move_to(self.driver.now().after(time));
        Ok(())
    }

    /// Returns the time of the simulation's clock: what has passed since its beginning, and
    /// [`clock_start`](SimulationBuilder::clock_start).
    ///
    /// # Examples
    /// ```
    /// let sim = cuelight::System::simulation(1);
    /// assert!(sim.now().is_zero());
    /// ```
    #[must_use]
    pub fn now(&self) -> Duration {
        self.driver.now().since(Tick(0))
    }

    /// Returns the seed.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(cuelight::System::simulation(1).seed(), 1);
    /// ```
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.driver.seed()
    }

    /// Returns what tells this run from others: a hash of which actor handled which message, in order.
    ///
    /// Made of identities and numbers, both counted by the simulation; neither addresses nor names of types enter. The same
    /// program with the same seed has the same signature, in debug and release, on any machine.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
    /// let run = |seed| {
    ///     let sim = System::simulation(seed);
    ///     let sums: Vec<_> = (0..10).map(|_| sim.spawn(Sum(0))).collect();
    ///     sums.iter().for_each(|sum| sum.tell(1).unwrap());
    ///     sim.run_until_idle().unwrap();
    ///     sim.signature()
    /// };
    /// assert_eq!(run(1), run(1));
    /// assert_ne!(run(1), run(2)); // another order
    /// ```
    #[must_use]
    pub fn signature(&self) -> u64 {
        self.driver.signature()
    }

    /// Sets what goes wrong from here on, for instance nothing any more. There is an example at [`Faults`].
    ///
    /// # Errors
    /// [`BuildError::Rate`] for a rate that is not between 0 and 1; nothing has changed then.
    pub fn set_faults(&self, faults: &Faults) -> Result<(), BuildError> {
        builder::check(faults)?;
        self.driver.set_faults(faults);
        Ok(())
    }

    /// Returns what has happened, if [`SimulationBuilder::trace`] keeps it. There is an example at [`Trace`].
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.driver.trace()
    }

    /// Returns the choices that have made this run, if [`SimulationBuilder::trace`] keeps it. There is an example at [`Schedule`].
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule(self.driver.record())
    }

    fn drive(&self, horizon: Horizon, done: impl FnMut() -> bool) -> Result<Driven, RunError> {
        self.driver.drive(horizon, done).map_err(|trouble| self.error(trouble))
    }

    fn error(&self, trouble: Trouble) -> RunError {
        match trouble {
            Trouble::Nested => RunError::WouldDeadlock,
            Trouble::Disturbed => RunError::OtherThread,
            Trouble::Limit(hottest) => {
                let hot =
                    |(id, type_name, messages): (ActorId, _, _)| HotActor { actor: id.get(), type_name, messages };
                RunError::StepLimit { limit: self.driver.step_limit(), hottest: hottest.into_iter().map(hot).collect() }
            }
        }
    }
}

impl Deref for Simulation {
    type Target = System;

    fn deref(&self) -> &System {
        &self.system
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{self}; a simulation with this seed repeats it");
        }
        self.driver.core().begin_shutdown();
        self.driver.finish();
        engine::sim::leave(&self.driver);
    }
}

/// Seed, signature, and how far it is.
impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, signature) = (self.seed(), self.signature());
        let (handled, time) = (self.driver.handled(), self.driver.elapsed());
        write!(f, "simulation with seed {seed}: {handled} messages in {time:?}, signature {signature:016x}")
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Simulation({:?}, seed {}, signature {:016x})", self.name(), self.seed(), self.signature())
    }
}
