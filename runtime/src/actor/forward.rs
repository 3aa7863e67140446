//! Messages that are handed on: with somebody else's question, or with something that is held until they have met their fate.

use super::actor_ref::send;
use super::{Actor, ActorRef, Handler, ReplyTo};
use crate::error::TellError;
use crate::kernel::ask::Failure;
use crate::kernel::context::Context;
use crate::kernel::schedule::{ByForward, Receive};
use std::any::{Any, type_name};
use std::cell::Cell;

impl<A: Actor> ActorRef<A> {
    /// Sends a message whose reply answers a question that somebody else has asked: a request is handed on, as it were, and
    /// the actor answers it without knowing.
    ///
    /// The asker learns of a panic, of a stop, and of a mailbox that had no room, as if it had asked the actor itself. What is
    /// handed on is not tried again after a panic, whatever the actor's rules say. Costs as [`tell`](Self::tell), and the room of
    /// the `ReplyTo`.
    ///
    /// # Errors
    /// [`TellError`] gives both back.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo, System};
    ///
    /// struct Doubler;
    /// impl Actor for Doubler {}
    /// impl Handler<u32> for Doubler {
    ///     type Reply = u32;
    ///     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 { 2 * n }
    /// }
    ///
    /// struct Front(ActorRef<Doubler>);
    /// impl Actor for Front {}
    /// struct Double(u32, ReplyTo<u32>);
    /// impl Handler<Double> for Front {
    ///     type Reply = ();
    ///     fn handle(&mut self, Double(n, reply): Double, _: &mut Context<Self>) {
    ///         self.0.forward(n, reply).expect("the doubler runs");
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let front = system.spawn(Front(system.spawn(Doubler)));
    /// assert_eq!(front.ask_with(|reply| Double(21, reply)).wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::type_complexity, reason = "what goes in comes back")]
    pub fn forward<M: Send + 'static>(
        &self,
        message: M,
        reply: ReplyTo<A::Reply>,
    ) -> Result<(), TellError<(M, ReplyTo<A::Reply>)>>
    where
        A: Handler<M>,
    {
        self.forward_holding(message, reply, ())
    }

    /// Both of [`forward`](Self::forward) and [`tell_holding`](Self::tell_holding).
    ///
    /// # Errors
    /// [`TellError`] gives message and `ReplyTo` back; what was to be held is dropped.
    #[allow(clippy::type_complexity, reason = "what goes in comes back")]
    pub fn forward_holding<M: Send + 'static, G: Send + 'static>(
        &self,
        message: M,
        reply: ReplyTo<A::Reply>,
        held: G,
    ) -> Result<(), TellError<(M, ReplyTo<A::Reply>)>>
    where
        A: Handler<M>,
    {
        self.hand_on(message, Some(reply), held).map_err(|error| {
            error.map(|(message, reply)| match reply {
                Some(reply) => (message, reply),
                None => unreachable!("what goes in comes back"),
            })
        })
    }

    /// Sends a message together with something that is held until its handler has returned, or it has met another fate, and is
    /// dropped then: a permit, a count of what is on its way.
    ///
    /// Such a message is not tried again after a panic, whatever the actor's rules say. Costs as [`tell`](Self::tell), and the
    /// room of what is held. It is dropped by the actor's worker.
    ///
    /// # Errors
    /// [`TellError`] gives the message back; what was to be held is dropped.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, System};
    /// use std::sync::Arc;
    ///
    /// struct Slow;
    /// impl Actor for Slow {}
    /// impl Handler<u32> for Slow {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: u32, _: &mut Context<Self>) {}
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (slow, on_its_way) = (system.spawn(Slow), Arc::new(()));
    /// slow.tell_holding(7, on_its_way.clone())?;
    /// slow.ask(8).wait()?;
    /// assert_eq!(Arc::strong_count(&on_its_way), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tell_holding<M: Send + 'static, G: Send + 'static>(&self, message: M, held: G) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        self.hand_on(message, None, held).map_err(|error| error.map(|(message, _)| message))
    }

    #[allow(clippy::type_complexity, reason = "what goes in comes back")]
    fn hand_on<M: Send + 'static, G: Send + 'static>(
        &self,
        message: M,
        reply: Option<ReplyTo<A::Reply>>,
        held: G,
    ) -> Result<(), TellError<(M, Option<ReplyTo<A::Reply>>)>>
    where
        A: Handler<M>,
    {
        let laden = Laden { message, owed: Owed { reply, failure: Cell::new(Failure::Stopped) }, held };
        let sent = send(self.address().parcel_forward(laden));
        sent.map_err(|error| error.map(|mut laden| (laden.message, laden.owed.reply.take())))
    }
}

/// A message, whose reply is owed to somebody, and what is held meanwhile.
struct Laden<M, R, G> {
    message: M,
    owed: Owed<R>,
    held: G,
}

/// A reply that is owed, if it is. Dropped, it says why there is none.
struct Owed<R> {
    reply: Option<ReplyTo<R>>,
    failure: Cell<Failure>,
}

impl<R> Drop for Owed<R> {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            reply.fail(self.failure.get());
        }
    }
}

impl<A, M, R, G> Receive<Laden<M, R, G>, ByForward> for A
where
    A: Handler<M, Reply = R>,
    M: Send + 'static,
    R: Send + 'static,
    G: Send + 'static,
{
    fn receive(&mut self, laden: Laden<M, R, G>, context: &mut Context<Self>) {
        let Laden { message, mut owed, held } = laden;
        // Until it returns.
        owed.failure.set(Failure::Panicked);
        let value = self.handle(message, context);
        // First: an asker that has its reply finds it dropped.
        drop(held);
        if let Some(reply) = owed.reply.take() {
            reply.send(value);
        }
    }

    fn letter_type() -> &'static str {
        type_name::<M>()
    }

    fn no_room(laden: &Laden<M, R, G>) {
        laden.owed.failure.set(Failure::Full);
    }

    fn into_letter(laden: Laden<M, R, G>) -> Box<dyn Any + Send> {
        Box::new(laden.message)
    }
}
