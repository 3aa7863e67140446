//! Waiting for room in a bounded mailbox.

use super::actor_ref::{returned, send};
use super::{Actor, ActorRef, Handler, Recipient};
use crate::engine::core::{Core, core_of, count_sent, schedule, simulated};
use crate::engine::names::is_making;
use crate::engine::sim::{self, Driver, InVain};
use crate::engine::threads::own;
use crate::engine::threads::worker::is_worker;
use crate::error::{TellError, TellTimeoutError};
use crate::kernel::cell::CellRef;
use crate::kernel::context::Context;
use crate::kernel::credits::{Credits, Ticket, Turn, Writable};
use crate::kernel::outbox;
use crate::kernel::parcel::Port;
use crate::sync::park::{Parker, with_thread_parker};
use crate::time::Tick;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

/// A message that is sent when there is room for it, from [`ActorRef::tell_async`].
///
/// A future for any executor. Those who wait for one mailbox have their turns in the order in which they were first polled, and
/// the room that they wait for is theirs: a `tell` meanwhile is refused. Dropped before it is ready, it drops the message,
/// which was not sent and is not counted, and the next one has its turn.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, Context, Handler, Mailbox, Overflow, System};
/// # struct Sum(u32);
/// # impl Actor for Sum {}
/// # impl Handler<u32> for Sum {
/// #     type Reply = u32;
/// #     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 { self.0 += n; self.0 }
/// # }
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     struct Unpark(std::thread::Thread);
/// #     impl std::task::Wake for Unpark { fn wake(self: std::sync::Arc<Self>) { self.0.unpark() } }
/// #     let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
/// #     let mut future = std::pin::pin!(future);
/// #     loop {
/// #         if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) { return output }
/// #         std::thread::park();
/// #     }
/// # }
/// let system = System::builder().workers(1).build()?;
/// let sum = system.actor(|| Sum(0)).mailbox(Mailbox::bounded(1, Overflow::Reject)).spawn()?;
/// block_on(async {
///     for n in 1..=100 {
///         sum.tell_async(n).await?;
///     }
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// sum.drain();
/// assert!(block_on(sum.tell_async(7)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is sent before it is polled"]
pub struct Tell<M> {
    port: Port<M>,
    /// Until it is sent.
    message: Option<M>,
    /// The place among those who wait.
    ticket: Option<Ticket>,
}

impl<M> Unpin for Tell<M> {}

impl<M: Send + 'static> Future for Tell<M> {
    type Output = Result<(), TellError<M>>;

    /// # Panics
    /// If it has been ready before.
    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Self { port, message, ticket } = &mut *self;
        // First: a credit that is taken for nothing would never come back.
        assert!(message.is_some(), "a `Tell` is polled once more after it was ready");
        let turn = match port.cell().header().credits().filter(|_| port.cell().header().hub().admits()) {
            None => None,
            Some(credits) => match turn(credits, ticket, task.waker()) {
                Turn::Wait => return Poll::Pending,
                Turn::Granted => Some(credits),
                Turn::Closed => None,
            },
        };
        let Some(message) = message.take() else { unreachable!("looked at above") };
        Poll::Ready(finish(port, message, turn))
    }
}

impl<M> Drop for Tell<M> {
    fn drop(&mut self) {
        leave(self.port.cell(), &mut self.ticket);
    }
}

impl<M> fmt::Debug for Tell<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tell(to {})", self.port.cell().header().id())
    }
}

/// Takes a credit, if that is possible at once, or a place among those who wait.
fn turn(credits: &Credits, ticket: &mut Option<Ticket>, waker: &Waker) -> Turn {
    if ticket.is_none() && credits.take(1) == 1 { Turn::Granted } else { credits.wait(ticket, waker) }
}

/// Gives a place among those who wait up.
fn leave(cell: &CellRef, ticket: &mut Option<Ticket>) {
    if let (Some(ticket), Some(credits)) = (ticket.take(), cell.header().credits()) {
        credits.leave(ticket);
    }
}

/// Sends a message: with a credit, or where none is needed, or none will come.
fn finish<M: Send + 'static>(port: &Port<M>, message: M, granted: Option<&Credits>) -> Result<(), TellError<M>> {
    let (cell, parcel) = (port.cell(), port.parcel(message));
    let Some(credits) = granted else { return send(parcel) };
    if !count_sent(cell, 1) {
        credits.give(1);
        return Err(returned(parcel));
    }
    match parcel.send_paid(credits) {
        Ok(None) => Ok(()),
        Ok(Some(runnable)) => {
            schedule(cell, runnable);
            Ok(())
        }
        Err(refused) => Err(returned(refused)),
    }
}

/// A thread that waits for room.
struct Waiter<'a> {
    cell: &'a CellRef,
    credits: &'a Credits,
    ticket: Option<Ticket>,
    deadline: Tick,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        leave(self.cell, &mut self.ticket);
    }
}

impl Waiter<'_> {
    /// Waits. True: a credit has been taken; false: none will come.
    fn wait(&mut self) -> Result<bool, InVain> {
        if let Some(core) = simulated(self.cell) {
            let driver = sim::here(core);
            return self.drive(core, driver);
        }
        with_thread_parker(|parker, waker| self.park(parker, waker))
    }

    /// True and false as above, if it is over.
    fn turn(&mut self, waker: &Waker) -> Option<bool> {
        match turn(self.credits, &mut self.ticket, waker) {
            Turn::Granted => Some(true),
            Turn::Closed => Some(false),
            Turn::Wait => None,
        }
    }

    fn park(&mut self, parker: &Parker, waker: &Waker) -> Result<bool, InVain> {
        loop {
            if let Some(granted) = self.turn(waker) {
                return Ok(granted);
            }
            let mut left = None;
            if self.deadline != Tick::NEVER {
                let time = self.deadline.since(core_of(self.cell).clock.now());
                if time.is_zero() {
                    return Err(InVain::Timeout);
                }
                left = Some(time);
            }
            parker.park(left);
        }
    }

    /// Waits for room at a simulated actor, by running its system.
    fn drive(&mut self, core: &Core, driver: Option<Rc<Driver>>) -> Result<bool, InVain> {
        let Some(driver) = driver else { return if core.is_over() { Ok(false) } else { Err(InVain::OtherThread) } };
        driver.wait(self.deadline, || self.turn(Waker::noop()))
    }
}

/// Sends a message; where there is no room, the calling thread waits for some.
fn tell_timeout<M: Send + 'static>(port: &Port<M>, message: M, timeout: Duration) -> Result<(), TellTimeoutError<M>> {
    let (cell, hub) = (port.cell(), port.cell().header().hub());
    let in_vain = |why: InVain, message| {
        hub.count_sent(1);
        hub.count_returned(1);
        Err(match why {
            InVain::Timeout => TellTimeoutError::Timeout(message),
            InVain::WouldDeadlock => TellTimeoutError::WouldDeadlock(message),
            InVain::OtherThread => TellTimeoutError::OtherThread(message),
            InVain::Stalled => TellTimeoutError::Stalled(message),
        })
    };
    if is_worker() || is_making() {
        return in_vain(InVain::WouldDeadlock, message);
    }
    let mut granted = None;
    if let Some(credits) = cell.header().credits().filter(|_| hub.admits()) {
        // Nobody else makes room in the mailbox of an actor that has a thread of its own.
        let alone = own::is_of(cell.address());
        let deadline = core_of(cell).clock.now().after(if alone { Duration::ZERO } else { timeout });
        let waited = Waiter { cell, credits, ticket: None, deadline }.wait();
        match waited {
            Ok(true) => granted = Some(credits),
            Ok(false) => {}
            Err(_) if alone => return in_vain(InVain::WouldDeadlock, message),
            Err(why) => return in_vain(why, message),
        }
    }
    finish(port, message, granted).map_err(|error| match error {
        TellError::OtherThread(message) => TellTimeoutError::OtherThread(message),
        // A thread that has waited is never told that there is no room.
        TellError::Stopped(message) | TellError::Full(message) => TellTimeoutError::Stopped(message),
    })
}

impl<M: Send + 'static> Recipient<M> {
    /// Sends a message, and waits up to `timeout` for room, as [`ActorRef::tell_timeout`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Mailbox, Overflow, Recipient, System};
    /// # use std::time::Duration;
    /// # struct Log;
    /// # impl Actor for Log {}
    /// # impl Handler<u8> for Log { type Reply = (); fn handle(&mut self, _: u8, _: &mut Context<Self>) {} }
    /// let system = System::builder().workers(1).build()?;
    /// let log = system.actor(|| Log).mailbox(Mailbox::bounded(1, Overflow::Reject)).spawn()?;
    /// let bytes: Recipient<u8> = log.recipient();
    /// for byte in 0..100 {
    ///     bytes.tell_timeout(byte, Duration::from_secs(5))?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tell_timeout(&self, message: M, timeout: Duration) -> Result<(), TellTimeoutError<M>> {
        tell_timeout(self.port(), message, timeout)
    }

    /// Returns a future that sends a message when there is room for it, as [`ActorRef::tell_async`].
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Recipient, System};
    /// # use std::{pin::pin, task::{Context as Task, Poll, Waker}};
    /// # struct Log;
    /// # impl Actor for Log {}
    /// # impl Handler<u8> for Log { type Reply = (); fn handle(&mut self, _: u8, _: &mut Context<Self>) {} }
    /// let system = System::builder().workers(1).build()?;
    /// let bytes: Recipient<u8> = system.spawn(Log).into();
    /// // Without a bound there is always room.
    /// let sent = pin!(bytes.tell_async(1)).poll(&mut Task::from_waker(Waker::noop()));
    /// assert_eq!(sent, Poll::Ready(Ok(())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tell_async(&self, message: M) -> Tell<M> {
        Tell { port: self.port().clone(), message: Some(message), ticket: None }
    }
}

impl<A: Actor> ActorRef<A> {
    /// Sends a message, and waits up to `timeout` for room if the mailbox is [bounded](crate::Mailbox::bounded), whatever it
    /// does with what finds none. For threads that are no workers. `Duration::MAX` waits for ever.
    ///
    /// Those who wait have their turns in the order in which they came, together with those of [`tell_async`](Self::tell_async).
    /// Costs as a `tell` where there is room or no bound; otherwise an entry in a queue under a lock, and the thread parks. For a
    /// simulated actor it runs the [`Simulation`](crate::Simulation) instead, and its clock.
    ///
    /// # Errors
    /// [`TellTimeoutError`] gives the message back.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, Mailbox, Overflow, System, TellTimeoutError};
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// /// Handles a number when it is let.
    /// struct Slow(mpsc::Receiver<()>);
    /// impl Actor for Slow {}
    /// impl Handler<u32> for Slow {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: u32, _: &mut Context<Self>) { let _ = self.0.recv(); }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (let_it, wait) = mpsc::channel();
    /// let mut wait = Some(wait);
    /// let slow = system.actor(move || Slow(wait.take().unwrap())).mailbox(Mailbox::bounded(1, Overflow::Reject)).spawn()?;
    /// // One is being handled, another one waits.
    /// slow.tell_timeout(1, Duration::from_secs(5))?;
    /// slow.tell_timeout(2, Duration::from_secs(5))?;
    /// assert_eq!(slow.tell_timeout(3, Duration::from_millis(5)), Err(TellTimeoutError::Timeout(3)));
    /// let_it.send(())?;
    /// slow.tell_timeout(3, Duration::from_secs(5))?;
    /// # drop(let_it);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tell_timeout<M: Send + 'static>(&self, message: M, timeout: Duration) -> Result<(), TellTimeoutError<M>>
    where
        A: Handler<M>,
    {
        self.recipient::<M>().tell_timeout(message, timeout)
    }

    /// Returns a future that sends a message when there is room for it; without a bound, when it is polled. See [`Tell`], where
    /// there is an example.
    ///
    /// The future yields [`TellError::Stopped`] with the message if the actor takes nothing any more, and never
    /// [`TellError::Full`], whatever the mailbox does with what finds no room. Costs a clone of the address, and an entry in a
    /// queue under a lock if it has to wait.
    pub fn tell_async<M: Send + 'static>(&self, message: M) -> Tell<M>
    where
        A: Handler<M>,
    {
        self.recipient::<M>().tell_async(message)
    }
}

impl<A: Actor> Context<A> {
    /// Asks for a [`Writable`] when there is room in the mailbox of `target`: for an actor that was told
    /// [`Full`](TellError::Full), and has kept the message.
    ///
    /// Exactly one comes for each call: when a message may wait there, at once if one may now or there is no bound, or when
    /// `target` takes nothing any more. Who asked first is told first. The room is not reserved: who comes too late is told
    /// `Full` again, and may ask again. Costs an entry in a queue, under a lock, and a node, reserved now, so that the notice
    /// cannot fail; it is outside the bound of this actor's own mailbox.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, Mailbox, Overflow, System, TellError, Writable};
    /// use std::sync::mpsc;
    ///
    /// struct Sink(mpsc::Sender<u32>);
    /// impl Actor for Sink {}
    /// impl Handler<u32> for Sink {
    ///     type Reply = ();
    ///     fn handle(&mut self, n: u32, _: &mut Context<Self>) { self.0.send(n).unwrap() }
    /// }
    ///
    /// /// Sends numbers, as fast as they are taken.
    /// struct Source { next: u32, sink: ActorRef<Sink> }
    /// impl Source {
    ///     fn go_on(&mut self, ctx: &mut Context<Self>) {
    ///         while self.next < 1000 {
    ///             match self.sink.tell(self.next) {
    ///                 Ok(()) => self.next += 1,
    ///                 Err(TellError::Full(_)) => return ctx.notify_writable(&self.sink),
    ///                 Err(_) => return ctx.stop(),
    ///             }
    ///         }
    ///     }
    /// }
    /// impl Actor for Source {
    ///     fn started(&mut self, ctx: &mut Context<Self>) { self.go_on(ctx) }
    /// }
    /// impl Handler<Writable> for Source {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: Writable, ctx: &mut Context<Self>) { self.go_on(ctx) }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (sender, numbers) = mpsc::channel();
    /// let few = Mailbox::bounded(10, Overflow::Reject);
    /// let sink = system.actor(move || Sink(sender.clone())).mailbox(few).spawn()?;
    /// system.spawn(Source { next: 0, sink });
    /// assert!(numbers.iter().take(1000).eq(0..1000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify_writable<B: Actor>(&mut self, target: &ActorRef<B>)
    where
        A: Handler<Writable>,
    {
        outbox::flush();
        self.add_writable(target.cell());
    }
}
