//! Spawning by a factory.

use super::{Actor, ActorRef, Handler};
use crate::engine::config::Budget;
use crate::engine::core::core_of_hub;
use crate::engine::names::{Claim, Claimed, LONGEST, Names};
use crate::engine::threads::own::Waiting;
use crate::error::SpawnError;
use crate::kernel::cell::{Address, Extras};
use crate::kernel::credits::Bound;
use crate::kernel::guard::guarded;
use crate::kernel::hub::HubRef;
use crate::kernel::restart::RestartOf;
use crate::kernel::retry::RuleOf;
use crate::kernel::schedule::{Allowance, Policy};
use std::any::type_name;
use std::fmt;

/// The most retries: who has failed so often will not do better.
const RETRIES: u32 = 1000;

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
    /// How many messages may wait, if there is a bound.
    bound: Result<Option<Bound>, SpawnError>,
    retries: Result<Vec<RuleOf<A>>, SpawnError>,
    budget: Option<Budget>,
}

impl<'a, A: Actor, F: FnMut() -> A + Send + 'static> ActorBuilder<'a, A, F> {
    pub(crate) fn new(factory: F, place: Box<dyn Place<A> + 'a>) -> Self {
        let (policy, bound, retries) = (Ok(None), Ok(None), Ok(Vec::new()));
        Self { factory, place, name: None, dedicated: false, policy, bound, retries, budget: None }
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

    /// Has messages of type `M` tried again when their handler panics: a clone of the message, up to `times` times. Then the
    /// message is dead-lettered as [`Poisoned`](crate::DeadLetterReason::Poisoned), with its payload.
    ///
    /// From 1 to 1000 times. For several types it is called once for each; for the same type the last call counts.
    ///
    /// The clone comes before everything else that the actor has or gets, from whomever, so order is kept. It comes when the
    /// actor has been [restarted](Self::restart), after the wait, and each attempt that panics is a failure as any: it counts
    /// for the limit of restarts. If the actor ends instead, without a restart, by its supervisor's word or a stop that comes
    /// first, the clone is dead-lettered as [`Panicked`](crate::DeadLetterReason::Panicked).
    ///
    /// That holds for what `tell`, `send_all`, asks, notices and timers bring. Whoever asks gets one answer, that of the attempt
    /// that succeeds, and waits until then; if none does, [`AskError::Panicked`](crate::AskError::Panicked). A message that came
    /// by a timer comes again by itself: a restart takes the timer back, also one of
    /// [`send_every`](crate::Context::send_every). What an attempt has sent before its panic, it has sent.
    ///
    /// In [`Counters`](crate::Counters) an attempt is a message: a clone that takes a message's place counts as sent, and then as
    /// handled or dead-lettered. A clone is made before each attempt; one that panics counts as the handler's panic, and, as
    /// there is nothing to try again, the message is dead-lettered as `Panicked`, with its payload.
    ///
    /// Each message of a type that is tried again costs a clone, and all messages of the actor a few nanoseconds more; other
    /// actors pay nothing.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, AskError, Context, DeadLetter, DeadLetterReason, Handler, Restart, System};
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// /// Stumbles over everything in its first life, and over 13 always.
    /// struct Clumsy { life: u32, attempts: mpsc::Sender<u32> }
    /// impl Actor for Clumsy {}
    /// impl Handler<u32> for Clumsy {
    ///     type Reply = u32;
    ///     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 {
    ///         self.attempts.send(n).unwrap();
    ///         assert!(self.life > 0 && n != 13, "stumbled over {n}");
    ///         n
    ///     }
    /// }
    ///
    /// struct Undertaker(mpsc::Sender<DeadLetter>);
    /// impl Actor for Undertaker {}
    /// impl Handler<DeadLetter> for Undertaker {
    ///     type Reply = ();
    ///     fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) { self.0.send(letter).unwrap() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let ((bury, letters), (attempts, tried)) = (mpsc::channel(), mpsc::channel());
    /// system.dead_letters(system.spawn(Undertaker(bury)));
    /// let mut lives = 0;
    /// let clumsy = system
    ///     .actor(move || {
    ///         lives += 1;
    ///         Clumsy { life: lives - 1, attempts: attempts.clone() }
    ///     })
    ///     .restart(Restart::on_panic().backoff(Duration::ZERO, Duration::ZERO))
    ///     .retry::<u32>(2)
    ///     .spawn()?;
    /// let asks = [1, 13, 2].map(|n| clumsy.ask(n));
    /// assert_eq!(asks.map(|ask| ask.wait()), [Ok(1), Err(AskError::Panicked), Ok(2)]);
    /// assert_eq!(tried.try_iter().collect::<Vec<_>>(), [1, 1, 13, 13, 13, 2]);
    ///
    /// let letter = letters.recv()?;
    /// assert_eq!(letter.reason, DeadLetterReason::Poisoned);
    /// assert_eq!(letter.payload.and_then(|payload| payload.downcast().ok()), Some(Box::new(13_u32)));
    /// let counters = system.counters();
    /// assert_eq!((counters.retries, counters.poisoned), (3, 1));
    ///
    /// let none = system.actor(|| Clumsy { life: 0, attempts: mpsc::channel().0 }).retry::<u32>(0).spawn();
    /// assert_eq!(none.unwrap_err().to_string(), "0 retries of u32: 1 to 1000 are allowed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry<M: Clone + Send + 'static>(mut self, times: u32) -> Self
    where
        A: Handler<M>,
    {
        if !(1..=RETRIES).contains(&times) {
            let error = SpawnError::Retries { type_name: type_name::<M>(), asked: times, most: RETRIES };
            self.retries = self.retries.and(Err(error));
        } else if let Ok(rules) = &mut self.retries {
            let rule = RuleOf::new::<M>(times);
            rules.retain(|other| !other.is_like(&rule));
            rules.push(rule);
        }
        self
    }

    /// Gives the actor a [budget](Budget) of its own in place of the system's: how long one of its batches may be.
    ///
    /// A smaller one lets others have their turn sooner, a larger one handles more while the state is in the cache. Both parts
    /// must be more than zero. In a [simulation](crate::Simulation) each batch is one message all the same. Costs a few
    /// nanoseconds a message; other actors pay nothing.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, System};
    /// # struct Idler;
    /// # impl Actor for Idler {}
    /// use cuelight::Budget;
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let polite = Budget { messages: 16, ..Budget::default() };
    /// assert!(system.actor(|| Idler).budget(polite).spawn().is_ok());
    /// let none = Budget { messages: 0, ..polite };
    /// let error = system.actor(|| Idler).budget(none).spawn().unwrap_err();
    /// assert_eq!(error.to_string(), "a budget of zero messages: at least one is needed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    pub(crate) fn set_policy(&mut self, policy: Result<Box<dyn Policy>, SpawnError>) {
        self.policy = policy.map(Some);
    }

    pub(crate) fn set_bound(&mut self, bound: Result<Option<Bound>, SpawnError>) {
        self.bound = bound;
    }

    /// Makes the actor, on the calling thread, and spawns it. Costs as `spawn`, and three boxes for one that will be restarted;
    /// otherwise the factory is called once, and dropped.
    ///
    /// # Errors
    /// [`SpawnError::Stopping`] if the parent is ending or the system is shutting down; [`SpawnError::FactoryPanicked`]. Before
    /// the factory is called, [`SpawnError::Backoff`] and [`SpawnError::ZeroWindow`] for a restart that cannot be,
    /// [`SpawnError::Mailbox`], [`SpawnError::Retries`] and [`SpawnError::ZeroBudget`] for numbers that are not allowed,
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
        let (name, parts, place) = self.parts()?;
        let Some(name) = name else { return make(parts, place, None) };
        check(&name)?;
        let hub = place.hub();
        match names_of(&hub)?.claim(&name) {
            Some(claimed) => make(parts, place, Some(claimed)),
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
        let (_, parts, place) = self.parts()?;
        let name = name.into();
        check(&name)?;
        let hub = place.hub();
        match names_of(&hub)?.get_or_claim(&name) {
            Claim::Made(claimed) => make(parts, place, Some(claimed)),
            Claim::There(address) => Ok(ActorRef::new(address)),
            Claim::Taken => Err(SpawnError::NameTaken { asked: name }),
        }
    }

    /// What has been asked for, unless something of it cannot be.
    #[allow(clippy::type_complexity, reason = "the builder, taken apart")]
    fn parts(self) -> Result<(Option<String>, Parts<A, F>, Box<dyn Place<A> + 'a>), SpawnError> {
        let Self { factory, place, name, dedicated, policy, bound, retries, budget } = self;
        if let Some(part) = budget.as_ref().and_then(Budget::zero) {
            return Err(SpawnError::ZeroBudget { part });
        }
        let allowance = budget.map(|Budget { messages, time }| Allowance { messages, time });
        let parts = Parts { factory, policy: policy?, bound: bound?, retries: retries?, allowance, dedicated };
        Ok((name, parts, place))
    }
}

/// What an actor is made by, and with.
struct Parts<A, F> {
    factory: F,
    policy: Option<Box<dyn Policy>>,
    bound: Option<Bound>,
    retries: Vec<RuleOf<A>>,
    allowance: Option<Allowance>,
    dedicated: bool,
}

/// Makes the actor, and gives it what it is to have.
fn make<A: Actor, F: FnMut() -> A + Send + 'static>(
    Parts { mut factory, policy, bound, retries, allowance, dedicated }: Parts<A, F>,
    place: Box<dyn Place<A> + '_>,
    mut claimed: Option<Claimed<'_>>,
) -> Result<ActorRef<A>, SpawnError> {
    let name = claimed.as_ref().map(Claimed::name);
    let waiting = if dedicated { Some(thread::<A>(&place.hub(), name.as_deref())?) } else { None };
    let actor = guarded(&mut factory).map_err(|text| SpawnError::FactoryPanicked(text.to_string()))?;
    let extras = Extras {
        name,
        home: waiting.as_ref().map(Waiting::home),
        restart: policy.map(|policy| RestartOf::new(factory, policy)),
        bound,
        retries,
        allowance,
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

/// The system's names, for a thread that may give one.
fn names_of(hub: &HubRef) -> Result<&Names, SpawnError> {
    if hub.admits() { Ok(&core_of_hub(hub).names) } else { Err(SpawnError::OtherThread) }
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
