//! The typed address of an actor.

use super::ask::{Ask, ReplyTo};
use super::recipient::Recipient;
use super::{Actor, Handler};
use crate::engine::core::{count_sent, schedule};
use crate::error::{NotTaken, SendAllError, TellError};
use crate::kernel::cell::{Address, CellRef, control};
use crate::kernel::parcel::{Chain, Parcel};
use crate::kernel::watch::ActorId;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The address of an actor of type `A`: one word, cheap to clone, and good for ever.
///
/// It does not keep the actor running. It keeps the address valid, also after its system is gone: sends are refused then,
/// and give the message back. Two references are equal if they lead to the same actor.
///
/// Costs: a clone and a drop are one atomic operation each.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, Context, Handler, System};
/// # struct Sum(u64);
/// # impl Actor for Sum {}
/// # impl Handler<u64> for Sum {
/// #     type Reply = u64;
/// #     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
/// # }
/// let system = System::builder().workers(1).build()?;
/// let sum = system.spawn(Sum(0));
/// sum.tell(1)?;
/// sum.send_all([2, 3])?;
/// assert_eq!(sum.ask(4).wait()?, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ActorRef<A> {
    address: Address<A>,
}

impl<A> ActorRef<A> {
    pub(crate) fn new(address: Address<A>) -> Self {
        Self { address }
    }

    pub(crate) fn address(&self) -> &Address<A> {
        &self.address
    }

    pub(crate) fn cell(&self) -> &CellRef {
        self.address.cell()
    }

    /// Returns the actor's identity, also after its end.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum {
    /// #     type Reply = u64;
    /// #     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
    /// # }
    /// let system = System::builder().workers(1).build()?;
    /// let sum = system.spawn(Sum(0));
    /// assert_eq!(sum.id(), sum.clone().id());
    /// assert_ne!(sum.id(), system.spawn(Sum(0)).id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.cell().header().id()
    }

    /// Returns the name that the actor was given by [`ActorBuilder::name`](crate::ActorBuilder::name), also after its end.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, System};
    /// # struct Clerk;
    /// # impl Actor for Clerk {}
    /// let system = System::builder().workers(1).build()?;
    /// assert_eq!(system.actor(|| Clerk).name("desk").spawn()?.name(), Some("desk"));
    /// assert_eq!(system.spawn(Clerk).name(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.cell().header().name().map(|name| &**name)
    }

    /// Returns whether the actor takes no more messages: it has ended, or is about to.
    ///
    /// `true` is for ever; `false` is a look at a moment that has passed, and a send tells for sure. Costs one load.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum {
    /// #     type Reply = u64;
    /// #     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
    /// # }
    /// let system = System::builder().workers(1).build()?;
    /// let sum = system.spawn(Sum(0));
    /// assert!(!sum.is_stopped());
    /// sum.drain();
    /// assert!(sum.is_stopped());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.cell().header().word().peek().refuses()
    }

    /// Asks the actor to stop.
    ///
    /// The message that it handles is its last. What is queued is dead-lettered, queued asks fail; its children are stopped
    /// and waited for; [`Actor::stopped`] runs; watchers are told. Returns at once, and does nothing if the actor has ended.
    /// An actor that has not begun yet still runs [`Actor::started`]. Costs two atomic operations, and a wake-up if the actor
    /// was idle.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, StopReason, System};
    /// use std::sync::mpsc;
    ///
    /// struct Lamp(mpsc::Sender<StopReason>);
    /// impl Actor for Lamp {
    ///     fn stopped(&mut self, reason: &StopReason) { self.0.send(reason.clone()).unwrap() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (sender, reasons) = mpsc::channel();
    /// system.spawn(Lamp(sender)).stop();
    /// assert_eq!(reasons.recv()?, StopReason::Stopped);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(&self) {
        crate::kernel::outbox::flush();
        self.cell().stop(control::STOP);
    }

    /// Asks the actor to handle what is queued, and then to stop.
    ///
    /// From here on its mailbox refuses; every message that it took before is handled. Then its children drain and are waited
    /// for, and it ends as by [`stop`](Self::stop), which overtakes a drain. Returns at once, and does nothing if the actor is
    /// ending already. Costs one compare-exchange, and a wake-up if the actor was idle.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System, TellError};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum {
    /// #     type Reply = u64;
    /// #     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
    /// # }
    /// let system = System::builder().workers(1).build()?;
    /// let sum = system.spawn(Sum(0));
    /// let last = sum.ask(7);
    /// sum.drain();
    /// assert_eq!(last.wait()?, 7);
    /// assert_eq!(sum.tell(8), Err(TellError::Stopped(8)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&self) {
        crate::kernel::outbox::flush();
        self.cell().drain();
    }
}

impl<A: Actor> ActorRef<A> {
    /// Sends a message. Never blocks.
    ///
    /// `Ok` means that it will be handled, or dead-lettered if the actor stops first, or if its mailbox is
    /// [bounded](crate::Mailbox) and drops what finds no room. Inside a handler the first send to an
    /// actor goes out at once; of further sends in a row to the same busy one, up to 63 are held until the handler sends
    /// elsewhere, returns, or calls [`publish`](crate::Context::publish).
    ///
    /// Costs one compare-exchange, and no allocation once the node pool is warm. A message of more than 240 bytes, or aligned to
    /// more than 16, is boxed. A mailbox has no bound unless it is given one: a sender that is faster than its receiver fills memory.
    ///
    /// # Errors
    /// [`TellError::Stopped`] gives the message back: the actor has stopped, or takes nothing more because it is about to; and
    /// [`TellError::Full`]: its mailbox is bounded, rejects what finds no room, and has none now.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System, TellError};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum {
    /// #     type Reply = u64;
    /// #     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
    /// # }
    /// let system = System::builder().workers(1).build()?;
    /// let sum = system.spawn(Sum(0));
    /// sum.tell(1)?;
    /// assert_eq!(sum.ask(2).wait()?, 3);
    /// sum.drain();
    /// assert_eq!(sum.tell(4), Err(TellError::Stopped(4)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// What the actor has no [`Handler`] for does not compile:
    /// ```compile_fail,E0308
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum {
    /// #     type Reply = u64;
    /// #     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
    /// # }
    /// let system = System::builder().workers(1).build()?;
    /// let sum = system.spawn(Sum(0));
    /// sum.tell("not a number")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn tell<M: Send + 'static>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        send(self.address.parcel(message))
    }

    /// Sends several messages with one exchange, in order and next to each other.
    ///
    /// Returns how many. The iterator runs before anything is sent; if it panics, nothing is. Costs a node for each message, and
    /// one compare-exchange in all: all are taken or none, but for a [bounded](crate::Mailbox) mailbox, which takes the first ones
    /// that it has room for, with one more exchange.
    ///
    /// # Errors
    /// [`SendAllError`] gives those back that were not taken, in order.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum {
    /// #     type Reply = u64;
    /// #     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
    /// # }
    /// let system = System::builder().workers(1).build()?;
    /// let sum = system.spawn(Sum(0));
    /// assert_eq!(sum.send_all(1..=4)?, 4);
    /// assert_eq!(sum.ask(0).wait()?, 10);
    /// sum.drain();
    /// assert_eq!(sum.send_all([5, 6]).unwrap_err().into_messages(), [5, 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_all<M: Send + 'static>(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, SendAllError<M>>
    where
        A: Handler<M>,
    {
        self.recipient::<M>().send_all(messages)
    }

    /// Sends a message and returns its reply as a future.
    ///
    /// The message is on its way when this returns, whether or not the future is polled; dropping the future gives up the
    /// reply, not the message. Request and reply share one node: no allocation once the pool is warm, and no executor is
    /// needed, see [`Ask::wait`]. A request or a reply of more than 96 bytes, or aligned to more than 16, is boxed. A request that
    /// is refused is dead-lettered, and the future says [`AskError::Stopped`], or [`AskError::Full`] if the mailbox is
    /// bounded and has no room; one that makes room for a newer message there says so, too.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum {
    /// #     type Reply = u64;
    /// #     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
    /// # }
    /// let system = System::builder().workers(1).build()?;
    /// let sum = system.spawn(Sum(0));
    /// let (first, second) = (sum.ask(40), sum.ask(2));
    /// assert_eq!((first.wait()?, second.wait()?), (40, 42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`AskError::Stopped`]: crate::AskError::Stopped
    /// [`AskError::Full`]: crate::AskError::Full
    pub fn ask<M: Send + 'static>(&self, message: M) -> Ask<A::Reply>
    where
        A: Handler<M>,
    {
        let (parcel, asker) = self.address.ask_parcel(message);
        send_request(self.cell(), parcel);
        Ask::new(asker, self.cell().clone())
    }

    /// Sends a message that carries the means to answer it, and returns the answer as a future.
    ///
    /// For replies that come later, out of order, or from another actor: `make` puts the [`ReplyTo`] into the message, and
    /// whoever holds it answers. Costs as [`ask`](Self::ask), and a clone of the address for the `ReplyTo`.
    ///
    /// # Panics
    /// Only if `make` does; nothing is sent then.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, ReplyTo, System};
    ///
    /// /// Answers every question at once when it is told to.
    /// #[derive(Default)]
    /// struct Oracle(Vec<ReplyTo<u32>>);
    /// impl Actor for Oracle {}
    ///
    /// struct Question(ReplyTo<u32>);
    /// impl Handler<Question> for Oracle {
    ///     type Reply = ();
    ///     fn handle(&mut self, Question(reply): Question, _: &mut Context<Self>) { self.0.push(reply) }
    /// }
    /// struct Speak;
    /// impl Handler<Speak> for Oracle {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: Speak, _: &mut Context<Self>) {
    ///         for reply in self.0.drain(..) { reply.send(42) }
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let oracle = system.spawn(Oracle::default());
    /// let (first, second) = (oracle.ask_with(Question), oracle.ask_with(Question));
    /// oracle.tell(Speak)?;
    /// assert_eq!((first.wait()?, second.wait()?), (42, 42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ask_with<M: Send + 'static, R: Send + 'static>(&self, make: impl FnOnce(ReplyTo<R>) -> M) -> Ask<R>
    where
        A: Handler<M>,
    {
        let cell = self.cell();
        let (parcel, asker) = self.address.ask_parcel_with(|replier| make(ReplyTo::new(replier, cell.clone())));
        send_request(cell, parcel);
        Ask::new(asker, cell.clone())
    }

    /// Returns an address for messages of type `M` that forgets the actor's type. Costs a clone.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum {
    /// #     type Reply = u64;
    /// #     fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 }
    /// # }
    /// let system = System::builder().workers(1).build()?;
    /// let sum = system.spawn(Sum(0));
    /// let numbers = sum.recipient::<u64>();
    /// numbers.tell(5)?;
    /// assert_eq!(sum.ask(0).wait()?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn recipient<M: Send + 'static>(&self) -> Recipient<M>
    where
        A: Handler<M>,
    {
        Recipient::new(self.address.port::<M>())
    }
}

/// Sends a message, and counts it.
#[inline(always)]
pub(super) fn send<M: Send + 'static>(parcel: Parcel<'_, M>) -> Result<(), TellError<M>> {
    crate::engine::core::send(parcel).map_err(returned)
}

#[cold]
#[inline(never)]
pub(super) fn returned<M: Send + 'static>(refused: Parcel<'_, M>) -> TellError<M> {
    let cell = refused.to();
    let hub = cell.header().hub();
    hub.count_returned(1);
    let message = refused.into_message();
    if !hub.admits() {
        TellError::OtherThread(message)
    } else if cell.header().word().peek().refuses() {
        TellError::Stopped(message)
    } else {
        TellError::Full(message)
    }
}

/// Sends a counted chain.
pub(super) fn send_chain<M: Send + 'static>(cell: &CellRef, chain: Chain<'_, M>) -> Result<usize, SendAllError<M>> {
    let count = chain.len();
    if count == 0 {
        return Ok(0);
    }
    if !count_sent(cell, count as u64) {
        cell.header().hub().count_returned(count as u64);
        return Err(SendAllError { messages: chain.into_messages(), taken: 0, why: NotTaken::OtherThread });
    }
    let (sent, rest) = match cell.header().credits() {
        None => (chain.send(), None),
        Some(credits) => chain.send_bounded(credits),
    };
    let (mut messages, why) = match sent {
        Ok(duty) => {
            if let Some(runnable) = duty {
                schedule(cell, runnable);
            }
            (Vec::new(), NotTaken::Full)
        }
        Err(refused) => (refused.into_messages(), NotTaken::Stopped),
    };
    if let Some(rest) = rest {
        messages.extend(rest.into_messages());
    }
    if messages.is_empty() {
        return Ok(count);
    }
    cell.header().hub().count_returned(messages.len() as u64);
    Err(SendAllError { taken: count - messages.len(), messages, why })
}

/// Sends a counted request. A refused one is dead-lettered, which answers it.
pub(super) fn send_request<T>(cell: &CellRef, parcel: Parcel<'_, T>) {
    if !count_sent(cell, 1) {
        return parcel.bury();
    }
    let sent = match cell.header().credits() {
        None => parcel.send_after_flush(),
        Some(credits) => parcel.send_request(credits),
    };
    match sent {
        Ok(None) => {}
        Ok(Some(runnable)) => schedule(cell, runnable),
        Err(refused) => refused.bury(),
    }
}

impl<A> Clone for ActorRef<A> {
    #[inline]
    fn clone(&self) -> Self {
        Self { address: self.address.clone() }
    }
}

impl<A> PartialEq for ActorRef<A> {
    fn eq(&self, other: &Self) -> bool {
        self.cell().address() == other.cell().address()
    }
}

impl<A> Eq for ActorRef<A> {}

impl<A> Hash for ActorRef<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.cell().address().hash(state);
    }
}

impl<A> fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef({} {})", self.cell().header().type_name(), self.id())
    }
}

impl<A: Handler<M>, M: Send + 'static> From<ActorRef<A>> for Recipient<M> {
    fn from(actor: ActorRef<A>) -> Self {
        actor.recipient()
    }
}

impl<A: Handler<M>, M: Send + 'static> From<&ActorRef<A>> for Recipient<M> {
    fn from(actor: &ActorRef<A>) -> Self {
        actor.recipient()
    }
}
