//! Calls that are likely to fail, kept from failing again and again.
//!
//! Promise: after so many failures in a row nothing passes for a while; then exactly one call does, whose outcome decides.
//! Outcomes of calls that began before the last change decide nothing.
//!
//! How: a state under a lock, and a number that each change of it raises; a permit carries the number under which it was
//! given. After Nygard, *Release It!* (2007). Different here: the wait grows when the probe fails, and a probe that does not
//! come back within a wait has failed.
//!
//! Gives up: rates and windows of calls; only failures in a row count.

use crate::actor::{Actor, ActorRef, Ask, Handler};
use crate::error::{AskError, CircuitConfigError, CircuitError, CircuitOpen};
use crate::kernel::context::Context;
use crate::sync::{Arc, Mutex};
use crate::system::SystemRef;
use crate::time::Instant;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

/// Lets calls pass while they succeed, and stops them for a while after failures: around an ask, or anything else.
///
/// Closed, it lets all pass. After a number of failures in a row it is open: calls are rejected at once, without a message,
/// until a wait has passed. Then it is half-open: one call, the probe, passes, and all others are rejected until that has
/// ended. If it succeeds the breaker is closed; if it fails it is open again, for twice the wait, up to a longest one. A probe
/// that has no outcome within a wait has failed, so give asks a timeout.
///
/// A handle: clones share the state, between actors and threads. Time is the system's clock, so that it works in a
/// [`Simulation`](crate::Simulation). A call costs a reading of the clock and a short lock, twice.
///
/// A failure is what an ask ends with that has no reply: [`AskError::Timeout`], `Stopped`, `Full`, `NoReply`, `Panicked`; a call that is
/// given up, or that could not be waited for, is neither. Where replies tell of failures use a [permit](Self::admit).
///
/// # Examples
/// ```
/// use cuelight::{Actor, AskError, CircuitBreaker, CircuitError, CircuitState, Context, Handler, Restart, System};
/// use std::time::Duration;
///
/// /// Fails with 0.
/// struct Divider;
/// impl Actor for Divider {}
/// impl Handler<u32> for Divider {
///     type Reply = u32;
///     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 { 100 / n }
/// }
///
/// let sim = System::simulation(1);
/// let divider = sim.actor(|| Divider).restart(Restart::on_panic()).spawn()?;
/// let second = Duration::from_secs(1);
/// let breaker = CircuitBreaker::builder().failures(2).reset(second, 10 * second).build(&sim)?;
/// let call = |n| breaker.call(|| divider.ask(n).timeout(second)).wait();
///
/// assert_eq!(call(5), Ok(20));
/// assert_eq!([call(0), call(0)], [Err(CircuitError::Ask(AskError::Panicked)); 2]);
/// assert!(matches!(call(5), Err(CircuitError::Open(_))));
/// sim.run_for(second)?;
/// assert_eq!(call(5), Ok(20));
/// assert_eq!(breaker.state(), CircuitState::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    inner: Arc<Inner>,
}

struct Inner {
    system: SystemRef,
    rule: CircuitBreakerBuilder,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// How often the phase has changed.
    epoch: u64,
    counters: CircuitCounters,
}

#[derive(Clone, Copy)]
enum Phase {
    Closed {
        /// In a row.
        failures: u32,
    },
    Open {
        since: Instant,
        wait: Duration,
    },
    HalfOpen {
        opened: Instant,
        /// When the probe was let pass.
        since: Instant,
        wait: Duration,
    },
}

#[derive(Clone, Copy)]
enum Outcome {
    Success,
    Failure,
    /// Given up.
    None,
}

impl Outcome {
    fn of<R>(result: &Result<R, AskError>) -> Self {
        match result {
            Ok(_) => Self::Success,
            Err(AskError::Timeout | AskError::Stopped | AskError::NoReply | AskError::Panicked | AskError::Full) => {
                Self::Failure
            }
            Err(AskError::WouldDeadlock | AskError::OtherThread | AskError::Stalled) => Self::None,
        }
    }
}

/// What a circuit breaker does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitState {
    /// It lets all calls pass.
    Closed,
    /// It rejects all calls, until the wait has passed and the next one comes.
    Open,
    /// One call is on its way, and decides; all others are rejected.
    HalfOpen,
}

/// What became of the calls through a circuit breaker: passed = succeeded + failed + given up + on their way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitCounters {
    /// Calls that were let pass.
    pub passed: u64,
    /// Of them, those that succeeded.
    pub succeeded: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// Of them, those that were given up, or not waited for.
    pub given_up: u64,
    /// Calls that were not let pass.
    pub rejected: u64,
    /// Times the breaker opened.
    pub opened: u64,
    /// Calls that were let pass in order to try.
    pub probes: u64,
}

/// Begins a [`CircuitBreaker`]: after how many failures it opens, and for how long.
///
/// Unless told otherwise: 5 failures in a row, and a wait of 1 s that doubles up to 60 s.
///
/// # Examples
/// ```
/// use cuelight::{CircuitBreaker, System};
/// use std::time::Duration;
///
/// let system = System::builder().workers(1).build()?;
/// assert!(CircuitBreaker::builder().build(&system).is_ok());
/// let error = CircuitBreaker::builder().failures(0).build(&system).unwrap_err();
/// assert_eq!(error.to_string(), "0 failures open the circuit: at least 1 is needed");
/// let error = CircuitBreaker::builder().reset(Duration::ZERO, Duration::ZERO).build(&system).unwrap_err();
/// assert!(error.to_string().starts_with("a reset after 0ns to 0ns: "));
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a breaker is made by `build`"]
pub struct CircuitBreakerBuilder {
    failures: u32,
    first: Duration,
    longest: Duration,
}

impl CircuitBreakerBuilder {
    /// Sets how many failures in a row open the breaker; at least one.
    pub const fn failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Sets how long the breaker stays open at `first`; each probe that fails doubles that, up to `longest`. More than zero.
    pub const fn reset(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }

    /// Makes the breaker, closed, on the clock of this system, which it does not keep from shutting down.
    ///
    /// # Errors
    /// [`CircuitConfigError`] for values that cannot be.
    pub fn build(self, system: &SystemRef) -> Result<CircuitBreaker, CircuitConfigError> {
        if self.failures == 0 {
            return Err(CircuitConfigError::NoFailures);
        }
        let (first, longest) = (self.first, self.longest);
        if first.is_zero() || first > longest {
            return Err(CircuitConfigError::Reset { first, longest });
        }
        let state = State { phase: Phase::Closed { failures: 0 }, epoch: 0, counters: CircuitCounters::default() };
        let inner = Inner { system: system.clone(), rule: self, state: Mutex::new(state) };
        Ok(CircuitBreaker { inner: Arc::new(inner) })
    }
}

impl CircuitBreaker {
    /// Begins to configure a breaker. There is an example at [`CircuitBreakerBuilder`].
    pub const fn builder() -> CircuitBreakerBuilder {
        CircuitBreakerBuilder { failures: 5, first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }

    /// Asks for permission to make a call, whose outcome the [permit](CircuitPermit) is then told: for anything but an ask, and
    /// for replies that tell of failures.
    ///
    /// # Errors
    /// [`CircuitOpen`], with the time after which it may be otherwise.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{CircuitBreaker, CircuitState, System};
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let breaker = CircuitBreaker::builder().failures(1).build(&system)?;
    /// breaker.admit()?.succeed();
    /// breaker.admit()?.fail();
    /// assert_eq!(breaker.state(), CircuitState::Open);
    /// assert!(breaker.admit().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn admit(&self) -> Result<CircuitPermit, CircuitOpen> {
        let now = self.inner.system.now();
        let epoch = self.inner.state.lock().admit(now, &self.inner.rule)?;
        Ok(CircuitPermit { breaker: Some(self.inner.clone()), epoch })
    }

    /// Makes an ask, if the breaker lets it pass, and tells it the outcome. There is an example above.
    ///
    /// `ask` sends the message, so it is called only then. What comes back is a future, and has a
    /// [`wait`](CircuitAsk::wait); to drop it is to give the call up. Inside a handler use [`ask`](Self::ask).
    pub fn call<R>(&self, ask: impl FnOnce() -> Ask<R>) -> CircuitAsk<R> {
        CircuitAsk { call: self.admit().map(|permit| Some((ask(), permit))) }
    }

    /// Asks from inside an actor, as [`Context::ask`], if the breaker lets it pass: `then` runs later, as a message.
    ///
    /// # Errors
    /// [`CircuitOpen`] gives the message back; `then` is dropped.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, CircuitBreaker, Context, Handler, ReplyTo, System};
    /// use std::time::Duration;
    ///
    /// struct Store;
    /// impl Actor for Store {}
    /// impl Handler<&'static str> for Store {
    ///     type Reply = usize;
    ///     fn handle(&mut self, key: &'static str, _: &mut Context<Self>) -> usize { key.len() }
    /// }
    ///
    /// struct Front { store: ActorRef<Store>, breaker: CircuitBreaker }
    /// impl Actor for Front {}
    /// struct Get(&'static str, ReplyTo<usize>);
    /// impl Handler<Get> for Front {
    ///     type Reply = ();
    ///     fn handle(&mut self, Get(key, reply): Get, ctx: &mut Context<Self>) {
    ///         let then = move |_: &mut Self, length: Result<_, _>, _: &mut Context<Self>| reply.send(length.unwrap_or(0));
    ///         // Rejected, the asker learns at once that nobody will answer.
    ///         let _ = self.breaker.ask(ctx, &self.store, key, Duration::from_secs(1), then);
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let front = Front { store: system.spawn(Store), breaker: CircuitBreaker::builder().build(&system)? };
    /// assert_eq!(system.spawn(front).ask_with(|reply| Get("four", reply)).wait()?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ask<A, B, M, F>(
        &self,
        ctx: &mut Context<A>,
        target: &ActorRef<B>,
        message: M,
        timeout: Duration,
        then: F,
    ) -> Result<(), CircuitOpen<M>>
    where
        A: Actor,
        B: Handler<M>,
        M: Send + 'static,
        F: FnOnce(&mut A, Result<B::Reply, AskError>, &mut Context<A>) + Send + 'static,
    {
        match self.admit() {
            Ok(permit) => {
                ctx.ask(target, message, timeout, move |this: &mut A, result, ctx: &mut Context<A>| {
                    permit.settle(Outcome::of(&result));
                    then(this, result, ctx);
                });
                Ok(())
            }
            Err(CircuitOpen { retry_after, .. }) => Err(CircuitOpen { message, retry_after }),
        }
    }

    /// Returns what the breaker does at the moment.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        match self.inner.state.lock().phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { .. } => CircuitState::Open,
            Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Returns what became of its calls so far.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{CircuitBreaker, System};
    /// let system = System::builder().workers(1).build()?;
    /// let breaker = CircuitBreaker::builder().build(&system)?;
    /// breaker.admit()?.succeed();
    /// drop(breaker.admit()?);
    /// let counters = breaker.counters();
    /// assert_eq!((counters.passed, counters.succeeded, counters.given_up), (2, 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn counters(&self) -> CircuitCounters {
        self.inner.state.lock().counters
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CircuitBreaker({:?})", self.state())
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }

    fn open(&mut self, since: Instant, wait: Duration) {
        self.enter(Phase::Open { since, wait });
        self.counters.opened += 1;
    }

    /// Returns the number under which a call may pass.
    fn admit(&mut self, now: Instant, rule: &CircuitBreakerBuilder) -> Result<u64, CircuitOpen> {
        let left = match self.phase {
            Phase::Closed { .. } => Duration::ZERO,
            Phase::Open { since, wait } => {
                let left = left_of(wait, since, now);
                if left.is_zero() {
                    self.enter(Phase::HalfOpen { opened: since, since: now, wait });
                    self.counters.probes += 1;
                }
                left
            }
            Phase::HalfOpen { since, wait, .. } => {
                let left = left_of(wait, since, now);
                if left.is_zero() {
                    let wait = rule.longer(wait);
                    self.open(now, wait);
                    wait
                } else {
                    left
                }
            }
        };
        if left.is_zero() {
            self.counters.passed += 1;
            Ok(self.epoch)
        } else {
            self.counters.rejected += 1;
            Err(CircuitOpen { message: (), retry_after: left })
        }
    }

    /// A call that was let pass under this number has ended.
    fn settle(&mut self, epoch: u64, outcome: Outcome, now: Instant, rule: &CircuitBreakerBuilder) {
        *match outcome {
            Outcome::Success => &mut self.counters.succeeded,
            Outcome::Failure => &mut self.counters.failed,
            Outcome::None => &mut self.counters.given_up,
        } += 1;
        if epoch != self.epoch {
            return;
        }
        match (self.phase, outcome) {
            (Phase::Closed { .. }, Outcome::Success) => self.phase = Phase::Closed { failures: 0 },
            (Phase::Closed { failures }, Outcome::Failure) => {
                if failures + 1 == rule.failures {
                    self.open(now, rule.first);
                } else {
                    self.phase = Phase::Closed { failures: failures + 1 };
                }
            }
            (Phase::HalfOpen { .. }, Outcome::Success) => self.enter(Phase::Closed { failures: 0 }),
            (Phase::HalfOpen { wait, .. }, Outcome::Failure) => self.open(now, rule.longer(wait)),
            // The next call is the probe.
            (Phase::HalfOpen { opened, wait, .. }, Outcome::None) => self.enter(Phase::Open { since: opened, wait }),
            (Phase::Closed { .. }, Outcome::None) | (Phase::Open { .. }, _) => {}
        }
    }
}

impl CircuitBreakerBuilder {
    fn longer(&self, wait: Duration) -> Duration {
        wait.saturating_mul(2).min(self.longest)
    }
}

fn left_of(wait: Duration, since: Instant, now: Instant) -> Duration {
    wait.saturating_sub(now.saturating_duration_since(since))
}

/// A call that a [`CircuitBreaker`] lets pass. Dropped, the call is given up: it counts neither way, and if it was the probe,
/// the next call is. There is an example at [`CircuitBreaker::admit`].
#[must_use = "a permit that is dropped gives the call up"]
pub struct CircuitPermit {
    breaker: Option<Arc<Inner>>,
    epoch: u64,
}

impl CircuitPermit {
    /// Tells the breaker that the call has succeeded.
    pub fn succeed(self) {
        self.settle(Outcome::Success);
    }

    /// Tells the breaker that the call has failed.
    pub fn fail(self) {
        self.settle(Outcome::Failure);
    }

    fn settle(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(breaker) = self.breaker.take() {
            let now = breaker.system.now();
            breaker.state.lock().settle(self.epoch, outcome, now, &breaker.rule);
        }
    }
}

impl Drop for CircuitPermit {
    fn drop(&mut self) {
        self.end(Outcome::None);
    }
}

impl fmt::Debug for CircuitPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitPermit").finish_non_exhaustive()
    }
}

/// The reply to a call through a [`CircuitBreaker`], when it comes, or its rejection: a future, as [`Ask`].
#[must_use = "a call whose reply nobody waits for is given up"]
pub struct CircuitAsk<R> {
    /// `None` once it is over.
    call: Result<Option<(Ask<R>, CircuitPermit)>, CircuitOpen>,
}

impl<R> CircuitAsk<R> {
    /// Waits on the calling thread, as [`Ask::wait`].
    ///
    /// # Errors
    /// [`CircuitError::Open`] at once if the breaker has not let it pass; otherwise [`CircuitError::Ask`].
    pub fn wait(self) -> Result<R, CircuitError> {
        let Some((ask, permit)) = self.call.map_err(CircuitError::Open)? else {
            // As an `Ask` that is polled again, and that nobody can wait for.
            return Err(CircuitError::Ask(AskError::NoReply));
        };
        let result = ask.wait();
        permit.settle(Outcome::of(&result));
        result.map_err(CircuitError::Ask)
    }
}

impl<R> Future for CircuitAsk<R> {
    type Output = Result<R, CircuitError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let call = match &mut self.call {
            Ok(call) => call,
            Err(open) => return Poll::Ready(Err(CircuitError::Open(*open))),
        };
        let Some((ask, _)) = call else { return Poll::Ready(Err(CircuitError::Ask(AskError::NoReply))) };
        let result = ready!(Pin::new(ask).poll(task));
        if let Some((_, permit)) = call.take() {
            permit.settle(Outcome::of(&result));
        }
        Poll::Ready(result.map_err(CircuitError::Ask))
    }
}

impl<R> fmt::Debug for CircuitAsk<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitAsk").field("passed", &self.call.is_ok()).finish_non_exhaustive()
    }
}
