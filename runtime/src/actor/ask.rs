//! Waiting for a reply.

use crate::engine::core::{core_of, simulated};
use crate::engine::names::is_making;
use crate::engine::sim::{self, Driver, InVain};
use crate::engine::threads::own;
use crate::engine::threads::worker::is_worker;
use crate::error::AskError;
use crate::kernel::ask::{Asker, Failure, Outcome, Replier};
use crate::kernel::cell::CellRef;
use crate::sync::hint::spin_loop;
use crate::sync::park::{Parker, with_thread_parker};
use crate::time::{Key, Tick};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

/// Looks at the reply before a waiting thread parks: some 20 microseconds, about what a warm system needs to answer. To wake
/// a parked thread costs more than that.
const LOOKS: u32 = if cfg!(shuttle) { 1 } else { 1000 };

/// The reply to an [`ask`](crate::ActorRef::ask), when it comes.
///
/// A future for any executor; [`wait`](Self::wait) needs none. Dropping it gives up the reply; one that still comes is
/// dropped, and counted.
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
/// let system = System::builder().workers(1).build()?;
/// let mute = system.spawn(Mute(Vec::new()));
/// let answer = mute.ask_with(|reply| reply).timeout(Duration::from_millis(10)).wait();
/// assert_eq!(answer, Err(AskError::Timeout));
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[must_use = "an ask whose reply nobody wants is a `tell`"]
pub struct Ask<R> {
    asker: Asker<R>,
    /// Whom was asked: the way to its system's clock and timers.
    cell: CellRef,
    /// `NEVER` if there is none.
    deadline: Tick,
    timer: Option<(Key, Waker)>,
}

impl<R> Ask<R> {
    pub(super) fn new(asker: Asker<R>, cell: CellRef) -> Self {
        Self { asker, cell, deadline: Tick::NEVER, timer: None }
    }

    /// Waits for `time` from now at most; afterwards the outcome is [`AskError::Timeout`]. `Duration::MAX` is for ever.
    ///
    /// Costs a clock reading, and for a future a timer of its system's when it is first polled in vain: no thread. When the
    /// system has shut down there is nobody to keep the time: the future then yields the reply if it is there, and
    /// [`AskError::Stopped`] if not.
    ///
    /// A timeout that is set again replaces the earlier one. Timers have a resolution of a millisecond, and are never early; where
    /// all workers are in long handlers, a future's may be late.
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
    /// let system = System::builder().workers(1).build()?;
    /// let mute = system.spawn(Mute(Vec::new()));
    /// let answer = mute.ask_with(|reply| reply).timeout(Duration::from_millis(1)).wait();
    /// assert_eq!(answer, Err(AskError::Timeout));
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn timeout(mut self, time: Duration) -> Self {
        self.deadline = core_of(&self.cell).clock.now().after(time);
        self
    }

    /// Waits on the calling thread, which spins for some 20 microseconds and then parks. For a simulated actor it runs the
    /// [`Simulation`](crate::Simulation) instead, and its clock.
    ///
    /// # Errors
    /// Besides what the future yields: [`AskError::WouldDeadlock`] at once if the calling thread is a worker, of this system
    /// or another, or the actor's own. Inside a handler, use [`Context::ask`](crate::Context::ask); or give the actor a
    /// [thread of its own](crate::ActorBuilder::dedicated_thread), on which it may wait for any other. [`AskError::Stalled`] and
    /// [`AskError::OtherThread`] for a simulated actor.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, AskError, Context, Handler, System};
    ///
    /// struct Echo;
    /// impl Actor for Echo {}
    /// impl Handler<u32> for Echo {
    ///     type Reply = u32;
    ///     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 { n }
    /// }
    /// impl Handler<ActorRef<Echo>> for Echo {
    ///     type Reply = Result<u32, AskError>;
    ///     fn handle(&mut self, other: ActorRef<Echo>, _: &mut Context<Self>) -> Self::Reply { other.ask(7).wait() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (one, other) = (system.spawn(Echo), system.spawn(Echo));
    /// assert_eq!(one.ask(7).wait()?, 7);
    /// assert_eq!(one.ask(other).wait()?, Err(AskError::WouldDeadlock));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(mut self) -> Result<R, AskError> {
        if is_worker() || is_making() || own::is_of(self.cell.address()) {
            return Err(AskError::WouldDeadlock);
        }
        if let Some(core) = simulated(&self.cell) {
            let driver = sim::here(core);
            return self.drive(driver);
        }
        for _ in 0..LOOKS {
            if let Some(outcome) = self.asker.try_take() {
                return finish(outcome);
            }
            spin_loop();
        }
        with_thread_parker(|parker, waker| self.park(parker, waker))
    }

    /// Waits for a simulated actor, by running its system.
    fn drive(&mut self, driver: Option<Rc<Driver>>) -> Result<R, AskError> {
        let Some(driver) = driver else {
            if !core_of(&self.cell).is_over() {
                return Err(AskError::OtherThread);
            }
            let none = if self.deadline == Tick::NEVER { AskError::Stalled } else { AskError::Timeout };
            return self.asker.try_take().map_or(Err(none), finish);
        };
        match driver.wait(self.deadline, || self.asker.try_take()) {
            Ok(outcome) => finish(outcome),
            Err(InVain::Timeout) => Err(AskError::Timeout),
            Err(InVain::WouldDeadlock) => Err(AskError::WouldDeadlock),
            Err(InVain::OtherThread) => Err(AskError::OtherThread),
            Err(InVain::Stalled) => Err(AskError::Stalled),
        }
    }

    fn park(&mut self, parker: &Parker, waker: &Waker) -> Result<R, AskError> {
        loop {
            if !self.asker.register(waker) {
                if let Some(outcome) = self.asker.try_take() {
                    return finish(outcome);
                }
            }
            let mut left = None;
            if self.deadline != Tick::NEVER {
                let time = self.deadline.since(core_of(&self.cell).clock.now());
                if time.is_zero() {
                    return self.asker.leave().map_or(Err(AskError::Timeout), finish);
                }
                left = Some(time);
            }
            parker.park(left);
            if let Some(outcome) = self.asker.try_take() {
                return finish(outcome);
            }
        }
    }

    fn clear_timer(&mut self) {
        if let Some((key, _)) = self.timer.take() {
            drop(core_of(&self.cell).timers.cancel(key));
        }
    }
}

pub(super) fn finish<R>(outcome: Outcome<R>) -> Result<R, AskError> {
    outcome.map_err(|failure| match failure {
        Failure::Stopped => AskError::Stopped,
        Failure::NoReply => AskError::NoReply,
        Failure::Panicked => AskError::Panicked,
        Failure::Full => AskError::Full,
    })
}

impl<R> Unpin for Ask<R> {}

impl<R> Future for Ask<R> {
    type Output = Result<R, AskError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.cell.header().hub().admits() {
            return Poll::Ready(Err(AskError::OtherThread));
        }
        if this.asker.register(task.waker()) {
            if this.deadline == Tick::NEVER {
                return Poll::Pending;
            }
            let core = core_of(&this.cell);
            if this.deadline > core.clock.now() {
                if !this.timer.as_ref().is_some_and(|(_, waker)| waker.will_wake(task.waker())) {
                    this.clear_timer();
                    let key = core_of(&this.cell).set_timer(this.deadline, task.waker().clone());
                    this.timer = Some((key, task.waker().clone()));
                }
                if !core_of(&this.cell).is_over() {
                    return Poll::Pending;
                }
                this.clear_timer();
                return Poll::Ready(Err(AskError::Stopped));
            }
        }
        this.clear_timer();
        Poll::Ready(this.asker.leave().map_or(Err(AskError::Timeout), finish))
    }
}

impl<R> Drop for Ask<R> {
    fn drop(&mut self) {
        self.clear_timer();
    }
}

impl<R> fmt::Debug for Ask<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask(to {})", self.cell.header().id())
    }
}

/// The means to answer one [`ask_with`](crate::ActorRef::ask_with), from anywhere.
///
/// It may be kept, sent on, and used on any thread. Dropped without an answer, it gives the asker [`AskError::NoReply`]; if its
/// message is dead-lettered, the asker gets [`AskError::Stopped`].
///
/// # Examples
/// ```
/// use cuelight::{Actor, AskError, Context, Handler, ReplyTo, System};
///
/// struct Judge;
/// impl Actor for Judge {}
/// struct Plea(bool, ReplyTo<&'static str>);
/// impl Handler<Plea> for Judge {
///     type Reply = ();
///     fn handle(&mut self, Plea(heard, reply): Plea, _: &mut Context<Self>) {
///         if heard { reply.send("granted") }
///     }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let judge = system.spawn(Judge);
/// assert_eq!(judge.ask_with(|reply| Plea(true, reply)).wait(), Ok("granted"));
/// assert_eq!(judge.ask_with(|reply| Plea(false, reply)).wait(), Err(AskError::NoReply));
/// # Ok::<(), cuelight::BuildError>(())
/// ```
pub struct ReplyTo<R> {
    replier: Replier<R>,
    cell: CellRef,
}

impl<R> ReplyTo<R> {
    pub(super) fn new(replier: Replier<R>, cell: CellRef) -> Self {
        Self { replier, cell }
    }

    /// Answers, from any thread. An asker that has gone does not hear it; the reply is dropped, and counted in
    /// [`Counters::late_replies`](crate::Counters::late_replies).
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, ReplyTo, System};
    /// # use std::{sync::mpsc, thread};
    /// # struct Relay(mpsc::Sender<ReplyTo<u32>>);
    /// # impl Actor for Relay {}
    /// # impl Handler<ReplyTo<u32>> for Relay {
    /// #     type Reply = ();
    /// #     fn handle(&mut self, reply: ReplyTo<u32>, _: &mut Context<Self>) { self.0.send(reply).unwrap() }
    /// # }
    /// # let (sender, requests) = mpsc::channel();
    /// let system = System::builder().workers(1).build()?;
    /// // This actor hands the means to answer to a thread that is no worker.
    /// let relay = system.spawn(Relay(sender));
    /// let answer = relay.ask_with(|reply| reply);
    /// thread::spawn(move || requests.recv().unwrap().send(42));
    /// assert_eq!(answer.wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(self, reply: R) {
        // Whatever this handler has sent to the asker comes before the reply.
        crate::kernel::outbox::flush();
        if !self.replier.send(reply) {
            self.cell.header().hub().late_reply();
        }
    }
}

impl<R> ReplyTo<R> {
    /// Says why there will be no answer.
    pub(super) fn fail(self, failure: Failure) {
        self.replier.fail(failure);
    }
}

impl<R> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").finish_non_exhaustive()
    }
}
