//! What an actor sends to itself by the clock: the methods of [`Context`], and what the messages carry.

use super::{Actor, Handler};
use crate::kernel::context::Context;
use crate::kernel::node::Peeked;
use crate::kernel::resume::{Cargo, Resume, Resumed, fits};
use crate::kernel::schedule::{ByCall, Receive};
use crate::kernel::timers::{Alarm, Look, TimerKey};
use crate::time::nanoseconds;
use std::any::{Any, type_name};
use std::marker::PhantomData;
use std::time::Duration;

/// The shortest period: a tick of the timers.
const TICK: u64 = 1_000_000;

/// The message that an actor has handled nothing for a while, for `Handler<IdleTimeout>`. There is an example at
/// [`Context::set_idle_timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdleTimeout;

impl<A: Actor> Context<A> {
    /// Sends a message to this actor when `delay` has passed.
    ///
    /// Never early, and in a system that is not overloaded at most a millisecond late, plus the time in the mailbox.
    /// `Duration::MAX`, like anything beyond 584 years, never comes. When the actor ends or is restarted its timers are
    /// gone, and their messages dropped; one that comes to an actor that drains is dead-lettered. A message counts as sent when
    /// it comes, and nowhere before. Nothing is said of the order of timers whose delays end in the same millisecond.
    ///
    /// Costs a node, an entry in a table that all workers share, under a lock held for tens of nanoseconds, and one in a table
    /// of the actor's own; no allocation once the tables hold the peak. A message of more than about 130 bytes is boxed.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, System};
    /// use std::{sync::mpsc, time::{Duration, Instant}};
    ///
    /// struct Egg { began: Option<Instant>, cooked: mpsc::Sender<Duration> }
    /// struct Ready;
    /// impl Actor for Egg {
    ///     fn started(&mut self, ctx: &mut Context<Self>) {
    ///         self.began = Some(ctx.now());
    ///         ctx.send_after(Duration::from_millis(30), Ready);
    ///     }
    /// }
    /// impl Handler<Ready> for Egg {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: Ready, ctx: &mut Context<Self>) {
    ///         self.cooked.send(ctx.now() - self.began.unwrap()).unwrap();
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (cooked, time) = mpsc::channel();
    /// system.spawn(Egg { began: None, cooked });
    /// assert!(time.recv()? >= Duration::from_millis(30));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_after<M: Send + 'static>(&mut self, delay: Duration, message: M) -> TimerKey
    where
        A: Handler<M>,
    {
        let at = self.after(nanoseconds(delay));
        if const { fits::<Once<M, Bare<M>>, TimerKey>() } {
            self.set(at, Once::new(Bare(message)))
        } else {
            self.set(at, Once::new(Box::new(message)))
        }
    }

    /// Sends a clone of a message to this actor again and again: first when `period` has passed.
    ///
    /// The times are multiples of the period from now, so that lateness does not add up. At most one of the messages is in
    /// flight: the next one is set when this one has been handled, and what the actor was too slow for is left out. A
    /// period below a millisecond is one; `Duration::MAX` never comes. A panic of the clone is one of the handler. Otherwise as
    /// [`send_after`](Self::send_after), for each message.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, System, TimerKey};
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// struct Metronome { beats: u32, timer: Option<TimerKey>, over: mpsc::Sender<u32> }
    /// #[derive(Clone)]
    /// struct Beat;
    /// impl Actor for Metronome {
    ///     fn started(&mut self, ctx: &mut Context<Self>) {
    ///         self.timer = Some(ctx.send_every(Duration::from_millis(2), Beat));
    ///     }
    /// }
    /// impl Handler<Beat> for Metronome {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: Beat, ctx: &mut Context<Self>) {
    ///         self.beats += 1;
    ///         if self.beats == 4 {
    ///             assert!(ctx.cancel(self.timer.take().unwrap()));
    ///             self.over.send(self.beats).unwrap();
    ///         }
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (over, beats) = mpsc::channel();
    /// system.spawn(Metronome { beats: 0, timer: None, over });
    /// assert_eq!(beats.recv()?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_every<M: Clone + Send + 'static>(&mut self, period: Duration, message: M) -> TimerKey
    where
        A: Handler<M>,
    {
        let period = nanoseconds(period).max(TICK);
        let at = self.after(period);
        if const { fits::<Every<M, Bare<M>>, TimerKey>() } {
            self.set(at, Every { packed: Bare(message), at, period, message: PhantomData })
        } else {
            self.set(at, Every { packed: Box::new(message), at, period, message: PhantomData })
        }
    }

    /// Takes a timer of this actor back. Returns whether it was set; if so, its message is never handled again, also if one
    /// is queued already. `false`: it has come (a periodic one never has, for the last time), or was taken back.
    ///
    /// A message that is not queued yet is dropped now, a queued one in its turn; that one counts as sent and handled. Costs
    /// the lock of the timers; a stale key costs a look at the actor's own table.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, System};
    /// use std::time::Duration;
    ///
    /// struct Bomb;
    /// impl Actor for Bomb {}
    /// struct Explode;
    /// impl Handler<Explode> for Bomb {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: Explode, _: &mut Context<Self>) { unreachable!() }
    /// }
    /// impl Handler<()> for Bomb {
    ///     type Reply = [bool; 2];
    ///     fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> [bool; 2] {
    ///         let fuse = ctx.send_after(Duration::ZERO, Explode);
    ///         [ctx.cancel(fuse), ctx.cancel(fuse)]
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// assert_eq!(system.spawn(Bomb).ask(()).wait()?, [true, false]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&mut self, timer: TimerKey) -> bool {
        if !self.may_have_timers() {
            return false;
        }
        let Some(alarm) = self.timers(|timers| timers.remove(timer)) else { return false };
        self.header().hub().cancel(alarm);
        true
    }

    /// Sends an [`IdleTimeout`] to this actor whenever it has handled nothing for `limit`; `None` ends that, and a new limit
    /// takes the place of the old one.
    ///
    /// The time counts from the end of the last handler, whatever it handled, the timeout itself included: it comes again
    /// after another `limit`. A limit below a millisecond is one; `Duration::MAX` never comes. Costs a reading of the clock at
    /// the end of each of the actor's turns, and once in `limit` at most a message of the library's own, which counts as sent
    /// and handled, that looks whether the time has come.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, IdleTimeout, StopReason, System};
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// /// Ends itself when nobody wants it.
    /// struct Session(mpsc::Sender<StopReason>);
    /// impl Actor for Session {
    ///     fn started(&mut self, ctx: &mut Context<Self>) { ctx.set_idle_timeout(Some(Duration::from_millis(5))) }
    ///     fn stopped(&mut self, reason: &StopReason) { self.0.send(reason.clone()).unwrap() }
    /// }
    /// impl Handler<IdleTimeout> for Session {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: IdleTimeout, ctx: &mut Context<Self>) { ctx.stop() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (sender, reasons) = mpsc::channel();
    /// system.spawn(Session(sender));
    /// assert_eq!(reasons.recv()?, StopReason::Stopped);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_idle_timeout(&mut self, limit: Option<Duration>)
    where
        A: Handler<IdleTimeout>,
    {
        if self.may_have_timers() {
            if let Some(key) = self.timers(|timers| timers.clear_idle()) {
                self.cancel(key);
            }
        }
        self.note_idleness(limit.is_some());
        if let Some(limit) = limit {
            let limit = nanoseconds(limit).max(TICK);
            let now = self.header().hub().now();
            let key = self.set(now.saturating_add(limit), Watch { limit });
            self.timers(|timers| timers.set_idle(key, now));
        }
    }

    fn after(&self, nanoseconds: u64) -> u64 {
        self.header().hub().now().saturating_add(nanoseconds)
    }

    /// Sets a timer.
    fn set<P: Cargo>(&mut self, at: u64, payload: P) -> TimerKey
    where
        A: Receive<Resumed<P, TimerKey>, ByCall>,
    {
        self.arm(at, payload, |ctx, alarm| ctx.timers(|timers| timers.insert(alarm)))
    }

    /// Sets one that has come for its next time.
    fn set_again<P: Cargo>(&mut self, key: TimerKey, at: u64, payload: P)
    where
        A: Receive<Resumed<P, TimerKey>, ByCall>,
    {
        self.arm(at, payload, |ctx, alarm| {
            ctx.timers(|timers| timers.renew(key, alarm));
            key
        });
    }

    fn arm<P: Cargo>(&mut self, at: u64, payload: P, enter: impl FnOnce(&mut Self, Alarm) -> TimerKey) -> TimerKey
    where
        A: Receive<Resumed<P, TimerKey>, ByCall>,
    {
        let resume = Resume::<A, P, TimerKey>::new(&self.address(), payload);
        let alarm = self.header().hub().set_alarm(at, resume.waker());
        let key = enter(self, alarm);
        // It may be queued by now, but runs in another turn.
        resume.note(key);
        key
    }
}

/// A message as it lies in a node, or boxed.
trait Packed<M>: Send + 'static {
    fn open(self) -> M;
    fn look(&self) -> &M;
}

#[derive(Clone)]
struct Bare<M>(M);

impl<M: Send + 'static> Packed<M> for Bare<M> {
    fn open(self) -> M {
        self.0
    }

    fn look(&self) -> &M {
        &self.0
    }
}

impl<M: Send + 'static> Packed<M> for Box<M> {
    fn open(self) -> M {
        *self
    }

    fn look(&self) -> &M {
        self
    }
}

/// A message that comes once.
struct Once<M, P> {
    packed: P,
    message: PhantomData<fn() -> M>,
}

impl<M, P> Once<M, P> {
    fn new(packed: P) -> Self {
        Self { packed, message: PhantomData }
    }
}

impl<M: Send + 'static, P: Packed<M>> Cargo for Once<M, P> {
    const TIMED: bool = true;

    fn type_name() -> &'static str {
        type_name::<M>()
    }

    fn message(&self) -> Option<Peeked> {
        Some(Peeked::new(self.packed.look(), None))
    }

    fn into_letter(self) -> Option<Box<dyn Any + Send>> {
        Some(Box::new(self.packed.open()))
    }
}

impl<A: Handler<M>, M: Send + 'static, P: Packed<M>> Receive<Resumed<Once<M, P>, TimerKey>, ByCall> for A {
    fn receive(&mut self, message: Resumed<Once<M, P>, TimerKey>, context: &mut Context<Self>) {
        let set = message.note.and_then(|key| context.timers(|timers| timers.remove(key)));
        if set.is_some() {
            Receive::<M>::receive(self, message.payload.packed.open(), context);
        }
    }
}

/// A message that comes again and again.
struct Every<M, P> {
    packed: P,
    /// When this one was due.
    at: u64,
    period: u64,
    message: PhantomData<fn() -> M>,
}

impl<M: Send + 'static, P: Packed<M>> Cargo for Every<M, P> {
    const TIMED: bool = true;

    fn type_name() -> &'static str {
        type_name::<M>()
    }

    fn message(&self) -> Option<Peeked> {
        Some(Peeked::new(self.packed.look(), None))
    }

    fn into_letter(self) -> Option<Box<dyn Any + Send>> {
        Some(Box::new(self.packed.open()))
    }
}

/// The first multiple of `period` after `at` that lies after `now`.
fn next(at: u64, period: u64, now: u64) -> u64 {
    let left_out = now.saturating_sub(at) / period;
    at.saturating_add(period.saturating_mul(left_out.saturating_add(1)))
}

impl<A, M, P> Receive<Resumed<Every<M, P>, TimerKey>, ByCall> for A
where
    A: Handler<M>,
    M: Send + 'static,
    P: Packed<M> + Clone,
{
    fn receive(&mut self, message: Resumed<Every<M, P>, TimerKey>, context: &mut Context<Self>) {
        let Some(key) = message.note.filter(|&key| context.timers(|timers| timers.is_set(key))) else { return };
        let Every { packed, at, period, .. } = message.payload;
        let again = packed.clone();
        Receive::<M>::receive(self, packed.open(), context);
        // Unless its own handler has taken it back.
        if context.timers(|timers| timers.is_set(key)) {
            let at = next(at, period, context.header().hub().now());
            context.set_again(key, at, Every { packed: again, at, period, message: PhantomData });
        }
    }
}

/// A look at an actor's idleness.
struct Watch {
    limit: u64,
}

impl Cargo for Watch {
    const TIMED: bool = true;

    fn type_name() -> &'static str {
        type_name::<IdleTimeout>()
    }

    fn message(&self) -> Option<Peeked> {
        Some(Peeked::new(&IdleTimeout, None))
    }

    fn into_letter(self) -> Option<Box<dyn Any + Send>> {
        Some(Box::new(IdleTimeout))
    }
}

impl<A: Handler<IdleTimeout>> Receive<Resumed<Watch, TimerKey>, ByCall> for A {
    fn receive(&mut self, message: Resumed<Watch, TimerKey>, context: &mut Context<Self>) {
        let Some(key) = message.note else { return };
        let Watch { limit } = message.payload;
        let now = context.header().hub().now();
        let at = match context.timers(|timers| timers.look(key, now, limit)) {
            Look::Unwanted => return,
            Look::Until(at) => at,
            Look::Idle => {
                Receive::<IdleTimeout>::receive(self, IdleTimeout, context);
                // Unless its own handler has ended or changed it.
                if !context.timers(|timers| timers.is_set(key)) {
                    return;
                }
                context.after(limit)
            }
        };
        context.set_again(key, at, Watch { limit });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn periods_keep_their_places() {
        assert_eq!(next(100, 10, 100), 110);
        assert_eq!(next(100, 10, 109), 110);
        assert_eq!(next(100, 10, 110), 120);
        assert_eq!(next(100, 10, 157), 160);
        assert_eq!(next(100, 10, 0), 110);
        assert_eq!(next(100, u64::MAX, 100), u64::MAX);
        assert_eq!(next(0, 1, u64::MAX), u64::MAX);
        // A day by the millisecond, each one late by up to two thirds of one.
        let (mut at, tick) = (5, 1_000_000);
        for n in 0..86_400_000_u64 {
            at = next(at, tick, at + n % 3 * 333_333);
        }
        assert_eq!(at, 5 + 86_400_000 * tick);
    }
}
