//! The rule by which an actor is restarted, as its maker states it.

use super::backoff::Backoff;
use super::limit::Limit;
use crate::actor::{Actor, ActorBuilder};
use crate::engine::core::Core;
use crate::error::SpawnError;
use crate::kernel::failure::Decision;
use crate::kernel::hub::HubRef;
use crate::kernel::schedule::Policy;
use crate::kernel::watch::ActorId;
use crate::time::Key;
use std::task::Waker;
use std::time::Duration;

/// When an actor that a factory makes is made anew, after which wait, and how often. For [`ActorBuilder::restart`].
///
/// A restart keeps the actor's address and name, its mailbox in order, its watches and who watches it, its links and whether
/// it traps them. The state is dropped without [`stopped`](Actor::stopped); its timers and its idle timeout are taken back,
/// and what it had asked by [`Context::ask`](crate::Context::ask) is dropped when the reply comes; its children are stopped,
/// and awaited; then it waits, the factory makes a new state, and [`started`](Actor::started) runs, where timers are set anew.
/// A panic in either is a failure like any other. A stop wins at once in each of these steps, and so does the end of a linked
/// actor; a drain when the actor is back. The message whose handler panicked is gone, unless it is tried again, see
/// [`ActorBuilder::retry`].
///
/// Unless told otherwise: the first wait is 10 ms to 20 ms, and waits double up to 10 s; 10 restarts are allowed in 60 s, and
/// the failure after them is escalated: it fails the parent, or without one stops the system.
///
/// # Examples
/// ```
/// use cuelight::{Actor, AskError, Context, Handler, Restart, System};
/// use std::time::Duration;
///
/// struct Counter(u32);
/// impl Actor for Counter {}
/// impl Handler<u32> for Counter {
///     type Reply = u32;
///     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 {
///         assert_ne!(n, 13, "bad luck");
///         self.0 += n;
///         self.0
///     }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let counter = system.actor(|| Counter(0)).restart(Restart::on_panic()).spawn()?;
/// let asked = [1, 13, 2, 3].map(|n| counter.ask(n));
/// let replies = asked.map(|ask| ask.timeout(Duration::from_secs(5)).wait());
/// // The state is new, the mailbox is not.
/// assert_eq!(replies, [Ok(1), Err(AskError::Panicked), Ok(2), Ok(5)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a rule is for `ActorBuilder::restart`"]
pub struct Restart {
    when: When,
    backoff: (Duration, Duration),
    limit: Option<u32>,
    window: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Panic,
    Always,
    Never,
}

impl Restart {
    const fn new(when: When) -> Self {
        let backoff = (Duration::from_millis(10), Duration::from_secs(10));
        Self { when, backoff, limit: Some(10), window: Duration::from_secs(60) }
    }

    /// Restarts an actor whose code has panicked, or to which a child's failure was escalated. There is an example above.
    pub const fn on_panic() -> Self {
        Self::new(When::Panic)
    }

    /// Restarts an actor also when it has stopped itself by [`Context::stop`](crate::Context::stop). Any other stop, and any
    /// drain, ends it.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, Restart, System};
    ///
    /// struct Once;
    /// impl Actor for Once {}
    /// impl Handler<u32> for Once {
    ///     type Reply = u32;
    ///     fn handle(&mut self, n: u32, ctx: &mut Context<Self>) -> u32 { ctx.stop(); n }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let once = system.actor(|| Once).restart(Restart::always()).spawn()?;
    /// assert_eq!([once.ask(1), once.ask(2)].map(|ask| ask.wait()), [Ok(1), Ok(2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn always() -> Self {
        Self::new(When::Always)
    }

    /// Restarts the actor only if its parent decides so, in [`Actor::child_failed`]. When a parent's
    /// [`Strategy`](crate::Strategy) restarts it together with others, it is stopped.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Decision, Failure, Handler, Restart, System};
    ///
    /// struct Child(std::sync::mpsc::Sender<()>);
    /// impl Actor for Child {
    ///     fn started(&mut self, _: &mut Context<Self>) { self.0.send(()).unwrap() }
    /// }
    /// impl Handler<()> for Child {
    ///     type Reply = ();
    ///     fn handle(&mut self, (): (), _: &mut Context<Self>) { panic!("out of cheese") }
    /// }
    ///
    /// struct Parent(std::sync::mpsc::Sender<()>);
    /// impl Actor for Parent {
    ///     fn started(&mut self, ctx: &mut Context<Self>) {
    ///         let starts = self.0.clone();
    ///         let child = ctx.actor(move || Child(starts.clone())).restart(Restart::never()).spawn();
    ///         child.expect("the parent runs").tell(()).expect("the child runs");
    ///     }
    ///     fn child_failed(&mut self, failure: &Failure, _: &mut Context<Self>) -> Decision {
    ///         assert_eq!(failure.proposed, Decision::Stop);
    ///         Decision::Restart
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (sender, starts) = std::sync::mpsc::channel();
    /// system.spawn(Parent(sender));
    /// assert_eq!((starts.recv(), starts.recv()), (Ok(()), Ok(())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn never() -> Self {
        Self::new(When::Never)
    }

    /// Sets the wait before a restart: the first is from `min` to twice that, and each is up to twice the one before, at most
    /// `max`; where in its upper half, is chance. It begins afresh after a window without a restart. The first must not be
    /// longer than the last; if it is zero, so must be the last, and there is no wait.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Restart, System};
    /// # struct Idler;
    /// # impl Actor for Idler {}
    /// use std::time::Duration;
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let second = Duration::from_secs(1);
    /// let slow = Restart::on_panic().backoff(second, 60 * second);
    /// assert!(system.actor(|| Idler).restart(slow).spawn().is_ok());
    /// let error = system.actor(|| Idler).restart(Restart::on_panic().backoff(2 * second, second)).spawn().unwrap_err();
    /// assert_eq!(error.to_string(), "a backoff from 2s to 1s: the first wait must not be longer than the last");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff = (min, max);
        self
    }

    /// Allows at most `limit` restarts in any `window`. The next failure in it is escalated: it fails the parent, whose own
    /// restart then says how to go on, and without a parent stops the system. With 0 every failure is.
    ///
    /// The window must be longer than zero. Costs eight bytes for each restart in the last window.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, Restart, StopReason, System};
    /// use std::time::Duration;
    ///
    /// struct Fragile;
    /// impl Actor for Fragile {}
    /// impl Handler<()> for Fragile {
    ///     type Reply = ();
    ///     fn handle(&mut self, (): (), _: &mut Context<Self>) { panic!("out of cheese") }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let rule = Restart::on_panic().limit(2, Duration::from_secs(60));
    /// let fragile = system.actor(|| Fragile).restart(rule).spawn()?;
    /// fragile.send_all([(), (), ()])?;
    /// // Two restarts, and then nobody deals with the third failure.
    /// while system.failure().is_none() { std::thread::yield_now() }
    /// let failure = system.failure().unwrap();
    /// assert_eq!((failure.id, failure.restarts), (fragile.id(), 2));
    /// assert_eq!(failure.reason, StopReason::Panicked("out of cheese".into()));
    /// system.shutdown(Duration::from_secs(5))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn limit(mut self, limit: u32, window: Duration) -> Self {
        self.limit = Some(limit);
        self.window = window;
        self
    }

    /// Allows any number of restarts: no failure is escalated. The backoff begins afresh after a minute without a restart.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Restart, System};
    /// # struct Fragile;
    /// # impl Actor for Fragile {}
    /// # impl Handler<u32> for Fragile { type Reply = u32; fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 { 100 / n } }
    /// use std::time::Duration;
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let rule = Restart::on_panic().unlimited().backoff(Duration::ZERO, Duration::ZERO);
    /// let fragile = system.actor(|| Fragile).restart(rule).spawn()?;
    /// fragile.send_all([0; 100])?;
    /// assert_eq!(fragile.ask(5).wait()?, 20);
    /// assert_eq!(system.counters().restarts, 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn unlimited(mut self) -> Self {
        self.limit = None;
        self.window = Duration::from_secs(60);
        self
    }

    fn check(&self) -> Result<(), SpawnError> {
        let (min, max) = self.backoff;
        if min > max || min.is_zero() != max.is_zero() {
            return Err(SpawnError::Backoff { min, max });
        }
        match self.limit {
            Some(limit) if self.window.is_zero() => Err(SpawnError::ZeroWindow { limit }),
            _ => Ok(()),
        }
    }
}

impl<A: Actor, F: FnMut() -> A + Send + 'static> ActorBuilder<'_, A, F> {
    /// Has the actor restarted by its factory when it fails. Without this it ends, as one that is just spawned.
    ///
    /// What is wrong with the rule, [`spawn`](Self::spawn) says. There is an example at [`Restart`].
    pub fn restart(mut self, restart: Restart) -> Self {
        self.set_policy(restart.check().map(|()| Box::new(Rule::new(restart)) as Box<dyn Policy>));
        self
    }
}

/// A rule at work for one actor.
struct Rule {
    restart: Restart,
    limit: Limit,
    /// Made at the first failure, when there is something to seed it with.
    backoff: Option<Backoff>,
    alarm: Option<Key>,
}

impl Rule {
    fn new(restart: Restart) -> Self {
        let limit = Limit::new(restart.limit, restart.window);
        Self { restart, limit, backoff: None, alarm: None }
    }
}

fn with_core<R>(hub: &HubRef, f: impl FnOnce(&Core) -> R) -> R {
    match hub.as_any().downcast_ref() {
        Some(core) => f(core),
        None => unreachable!("rules are made for actors of a `Core` alone"),
    }
}

impl Policy for Rule {
    fn always(&self) -> bool {
        self.restart.when == When::Always
    }

    fn never(&self) -> bool {
        self.restart.when == When::Never
    }

    fn failed(&mut self, id: ActorId, hub: &HubRef) -> (Decision, Duration) {
        let now = with_core(hub, |core| core.clock.now());
        let calm = self.limit.is_calm(now);
        let (min, max) = self.restart.backoff;
        // Actors differ by their identities, processes by the time.
        let backoff = self.backoff.get_or_insert_with(|| Backoff::new(min, max, id.0 ^ now.0.rotate_left(32)));
        if calm {
            backoff.reset();
        }
        let delay = backoff.next();
        let decision = match self.restart.when {
            When::Never => Decision::Stop,
            When::Panic | When::Always if self.limit.admit(now) => Decision::Restart,
            When::Panic | When::Always => Decision::Escalate,
        };
        (decision, delay)
    }

    fn suspend(&mut self, delay: Duration, alarm: Waker, hub: &HubRef) {
        self.alarm = with_core(hub, |core| {
            let deadline = core.clock.now().after(delay);
            Some(core.set_timer(deadline, alarm))
        });
    }

    fn resume(&mut self, hub: &HubRef) {
        if let Some(key) = self.alarm.take() {
            drop(with_core(hub, |core| core.timers.cancel(key)));
        }
    }
}
