//! What may go wrong in a simulation, and how often.

use super::choice::CERTAIN;
use std::any::type_name;
use std::time::Duration;

/// The faults that a simulation injects, each with its probability; none unless they are set.
///
/// Each is one that the real system may have, and keeps every other promise: messages of one sender to one receiver stay in
/// order, notices of ends arrive exactly once, every message has one fate. Faults are drawn from the seed like everything
/// else, so a run with faults can be repeated, and shrunk. They end when a shutdown begins.
///
/// | fault | what happens |
/// |---|---|
/// | [`panics`](Self::panics) | a handler panics before it has done anything; its message is consumed, or tried again |
/// | [`stops`](Self::stops) | an actor is stopped, as by `stop`, before its next message |
/// | [`delays`](Self::delays) | messages come later, and those behind them of the same pair too |
/// | [`reorders`](Self::reorders) | messages are overtaken by those of other senders |
/// | [`losses`](Self::losses) | what `tell` or `send_all` has taken is dead-lettered |
/// | [`full`](Self::full) | a bounded mailbox is full for a send, though there is room |
/// | [`slow`](Self::slow) | an actor handles nothing for some time after a message |
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Faults, Handler, Simulation};
/// # struct Sum(u64);
/// # impl Actor for Sum {}
/// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
///
/// let sim = Simulation::builder().seed(7).faults(Faults::none().losses(0.5)).build()?;
/// let sum = sim.spawn(Sum(0));
/// for n in 0..100 {
///     sum.tell(n)?;
/// }
/// sim.run_until_idle()?;
/// let counters = sim.counters();
/// assert!(counters.dead_lettered > 0 && counters.handled > 0);
/// assert_eq!(counters.handled + counters.dead_lettered, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use = "faults are set by `SimulationBuilder::faults` or `Simulation::set_faults`"]
pub struct Faults {
    panics: Rate,
    stops: Rate,
    delays: Rate,
    delay: Duration,
    reorders: Rate,
    losses: Rate,
    full: Rate,
    slow: Rate,
    slowness: Duration,
    spared: Vec<&'static str>,
}

/// A probability as it was given, checked when the simulation is built.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Rate(f64);

impl Rate {
    /// In units of the chooser's. The same on every machine: a product and a conversion, both of one rounding.
    fn units(self) -> u64 {
        (self.0 * CERTAIN as f64) as u64
    }
}

impl Faults {
    /// Returns no faults.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(cuelight::Faults::none(), cuelight::Faults::default());
    /// ```
    pub fn none() -> Self {
        Self::default()
    }

    /// Has a handler panic instead of handling its message, so often: 0 never, 1 always, as for the others.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, AskError, Context, Faults, Handler, Simulation};
    /// # struct Echo;
    /// # impl Actor for Echo {}
    /// # impl Handler<u8> for Echo { type Reply = u8; fn handle(&mut self, n: u8, _: &mut Context<Self>) -> u8 { n } }
    /// let sim = Simulation::builder().faults(Faults::none().panics(1.0)).build()?;
    /// assert_eq!(sim.spawn(Echo).ask(1).wait(), Err(AskError::Panicked));
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn panics(mut self, rate: f64) -> Self {
        self.panics = Rate(rate);
        self
    }

    /// Has an actor stopped before a message, so often.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, AskError, Context, Faults, Handler, Simulation};
    /// # struct Echo;
    /// # impl Actor for Echo {}
    /// # impl Handler<u8> for Echo { type Reply = u8; fn handle(&mut self, n: u8, _: &mut Context<Self>) -> u8 { n } }
    /// let sim = Simulation::builder().faults(Faults::none().stops(1.0)).build()?;
    /// assert_eq!(sim.spawn(Echo).ask(1).wait(), Err(AskError::Stopped));
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn stops(mut self, rate: f64) -> Self {
        self.stops = Rate(rate);
        self
    }

    /// Has messages come later, so often, by up to `most` of the simulation's time. What the same sender sends to the same
    /// receiver afterwards comes after them.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Faults, Handler, Simulation};
    /// # use std::time::Duration;
    /// # struct Echo;
    /// # impl Actor for Echo {}
    /// # impl Handler<u8> for Echo { type Reply = u8; fn handle(&mut self, n: u8, _: &mut Context<Self>) -> u8 { n } }
    /// let most = Duration::from_secs(1);
    /// let sim = Simulation::builder().faults(Faults::none().delays(1.0, most)).build()?;
    /// assert_eq!(sim.spawn(Echo).ask(1).wait()?, 1);
    /// assert!(!sim.now().is_zero() && sim.now() <= most);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delays(mut self, rate: f64, most: Duration) -> Self {
        (self.delays, self.delay) = (Rate(rate), most);
        self
    }

    /// Has messages wait, so often, while those of other senders may overtake them. Takes none of the simulation's time.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Faults, Handler, Simulation};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
    /// let sim = Simulation::builder().faults(Faults::none().reorders(0.5)).build()?;
    /// sim.spawn(Sum(0)).send_all(0..10)?;
    /// assert_eq!(sim.run_until_idle()?, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reorders(mut self, rate: f64) -> Self {
        self.reorders = Rate(rate);
        self
    }

    /// Has what `tell` or `send_all` has taken lost on its way, so often: dead-lettered with [`Lost`], and counted. Asks, notices
    /// and continuations are not lost: whoever waits for them has a right to their fate. There is an example above.
    ///
    /// [`Lost`]: crate::DeadLetterReason::Lost
    pub fn losses(mut self, rate: f64) -> Self {
        self.losses = Rate(rate);
        self
    }

    /// Has a mailbox that is [bounded](crate::Mailbox::bounded) be full for a send, so often, though there is room: what its
    /// [`Overflow`](crate::Overflow) says happens, to all that one `send_all` sends. Those who wait for room find it.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Faults, Handler, Mailbox, Overflow, Simulation, TellError};
    /// # struct Echo;
    /// # impl Actor for Echo {}
    /// # impl Handler<u8> for Echo { type Reply = u8; fn handle(&mut self, n: u8, _: &mut Context<Self>) -> u8 { n } }
    /// let sim = Simulation::builder().faults(Faults::none().full(1.0)).build()?;
    /// let echo = sim.actor(|| Echo).mailbox(Mailbox::bounded(100, Overflow::Reject)).spawn()?;
    /// assert_eq!(echo.tell(1), Err(TellError::Full(1)));
    /// assert_eq!(sim.spawn(Echo).tell(1), Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn full(mut self, rate: f64) -> Self {
        self.full = Rate(rate);
        self
    }

    /// Has an actor handle nothing after a message, so often, for up to `most` of the simulation's time.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Faults, Handler, Simulation};
    /// # use std::time::Duration;
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
    /// let sim = Simulation::builder().faults(Faults::none().slow(1.0, Duration::from_secs(1))).build()?;
    /// sim.spawn(Sum(0)).send_all(0..10)?;
    /// sim.run_until_idle()?;
    /// assert!(!sim.now().is_zero() && sim.now() <= Duration::from_secs(10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slow(mut self, rate: f64, most: Duration) -> Self {
        (self.slow, self.slowness) = (Rate(rate), most);
        self
    }

    /// Spares actors of type `A`: they are neither stopped, nor slow, nor do they panic. What they send and receive is not spared.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Faults, Handler, Simulation};
    /// # struct Echo;
    /// # impl Actor for Echo {}
    /// # impl Handler<u8> for Echo { type Reply = u8; fn handle(&mut self, n: u8, _: &mut Context<Self>) -> u8 { n } }
    /// let sim = Simulation::builder().faults(Faults::none().panics(1.0).spare::<Echo>()).build()?;
    /// assert_eq!(sim.spawn(Echo).ask(1).wait(), Ok(1));
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn spare<A: 'static>(mut self) -> Self {
        self.spared.push(type_name::<A>());
        self
    }

    /// The first rate that is none, with its name.
    pub(crate) fn wrong(&self) -> Option<(&'static str, f64)> {
        let rates = [
            ("panics", self.panics),
            ("stops", self.stops),
            ("delays", self.delays),
            ("reorders", self.reorders),
            ("losses", self.losses),
            ("full", self.full),
            ("slow", self.slow),
        ];
        rates.into_iter().find(|(_, rate)| !(0.0..=1.0).contains(&rate.0)).map(|(name, rate)| (name, rate.0))
    }

    pub(super) fn odds(&self) -> Odds {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Odds {
            panics: self.panics.units(),
            stops: self.stops.units(),
            delays: self.delays.units(),
            delay: nanos(self.delay),
            reorders: self.reorders.units(),
            losses: self.losses.units(),
            full: self.full.units(),
            slow: self.slow.units(),
            slowness: nanos(self.slowness),
            spared: self.spared.clone(),
        }
    }
}

/// Faults as the engine draws them: probabilities in the chooser's units, times in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Odds {
    pub(super) panics: u64,
    pub(super) stops: u64,
    pub(super) delays: u64,
    pub(super) delay: u64,
    pub(super) reorders: u64,
    pub(super) losses: u64,
    pub(super) full: u64,
    pub(super) slow: u64,
    pub(super) slowness: u64,
    spared: Vec<&'static str>,
}

impl Odds {
    /// Whether something can happen to a message on its way.
    #[inline]
    pub(super) fn on_the_way(&self) -> bool {
        self.delays | self.reorders | self.losses != 0
    }

    /// Whether something can happen to this actor.
    #[inline]
    pub(super) fn to(&self, type_name: &'static str) -> bool {
        self.panics | self.stops | self.slow != 0 && !self.spared.contains(&type_name)
    }
}
