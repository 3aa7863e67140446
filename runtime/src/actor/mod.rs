//! Actors and the ways to reach them.

mod actor_ref;
mod ask;
mod builder;
mod context;
mod continuation;
mod forward;
mod links;
mod mailbox;
mod recipient;
mod room;
mod timers;

pub use actor_ref::ActorRef;
pub use ask::{Ask, ReplyTo};
pub use builder::ActorBuilder;
pub(crate) use builder::{Born, Place};
pub use mailbox::Mailbox;
pub use recipient::Recipient;
pub use room::Tell;
pub use timers::IdleTimeout;

use crate::engine::core::count_letter;
use crate::engine::letters::DeadLetter;
use crate::kernel::context::Context;
use crate::kernel::failure::{Decision, Failure, Strategy, Verdict};
use crate::kernel::schedule::{Answer, Body, Receive};
use crate::kernel::watch::StopReason;
use std::any::TypeId;

/// A state machine that handles one message at a time.
///
/// The state is the type itself; which messages it takes, its [`Handler`]s say. An actor is moved into its system when it is
/// spawned, and nobody else ever sees its state.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, System};
/// use std::time::Duration;
///
/// struct Counter { count: u64 }
/// impl Actor for Counter {}
///
/// struct Add(u64);
/// impl Handler<Add> for Counter {
///     type Reply = u64;
///     fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
///         self.count += n;
///         self.count
///     }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let counter = system.spawn(Counter { count: 40 });
/// assert_eq!(counter.ask(Add(2)).wait()?, 42);
/// system.shutdown(Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Actor: Sized + Send + 'static {
    /// Runs before the first message, on a worker.
    ///
    /// Also if the actor was stopped meanwhile, and again after each restart. A panic here is a failure as one in a handler is.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, System};
    ///
    /// #[derive(Default)]
    /// struct Diary(Vec<&'static str>);
    /// impl Actor for Diary {
    ///     fn started(&mut self, _: &mut Context<Self>) { self.0.push("started") }
    /// }
    /// impl Handler<&'static str> for Diary {
    ///     type Reply = Vec<&'static str>;
    ///     fn handle(&mut self, entry: &'static str, _: &mut Context<Self>) -> Self::Reply {
    ///         self.0.push(entry);
    ///         self.0.clone()
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let diary: ActorRef<Diary> = system.spawn(Diary::default());
    /// assert_eq!(diary.ask("asked").wait()?, ["started", "asked"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn started(&mut self, ctx: &mut Context<Self>) {
        let _ = ctx;
    }

    /// Runs when the actor has ended, before its state is dropped: after its last message, and after its children.
    ///
    /// Once in an actor's life: a restart drops the state without it, and an actor that ends while it has no state, between
    /// two incarnations, has none to call it on. A panic here is caught, and ignored. There is an example at
    /// [`ActorRef::stop`].
    fn stopped(&mut self, reason: &StopReason) {
        let _ = reason;
    }

    /// Decides what becomes of a child that has failed. By default what is proposed, see [`Failure::proposed`]: a restart
    /// while the child's [`Restart`](crate::Restart) allows it, then an escalation; a child that was just spawned has ended.
    ///
    /// Runs on a worker before the next message, and while this actor drains. A child with a restart waits for it, so an actor
    /// that is long in a handler holds up its children's restarts; one that is stopping is not asked. A panic here is a
    /// failure of this actor. There is an example at [`Decision`].
    fn child_failed(&mut self, failure: &Failure, ctx: &mut Context<Self>) -> Decision {
        let _ = ctx;
        failure.proposed
    }

    /// Says who is restarted when a child is: by default that child alone. Asked at each failure, after
    /// [`child_failed`](Self::child_failed).
    ///
    /// It is said here, and not where the actor is spawned, because what its children are to each other is known to the one
    /// who spawns them. There is an example at [`Strategy`].
    fn strategy(&self) -> Strategy {
        Strategy::OneForOne
    }
}

/// What an actor does with messages of type `M`.
///
/// A handler runs to its end before the next message is handled; it must not block for long, for it holds a worker.
/// What it panics with ends the actor (see [`StopReason::Panicked`]), unless it was spawned with a
/// [`Restart`](crate::Restart); the process goes on.
///
/// # Examples
/// ```
/// use cuelight::{Actor, AskError, Context, Handler, System};
///
/// struct Divider;
/// impl Actor for Divider {}
/// impl Handler<(u32, u32)> for Divider {
///     type Reply = u32;
///     fn handle(&mut self, (a, b): (u32, u32), _: &mut Context<Self>) -> u32 { a / b }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let divider = system.spawn(Divider);
/// assert_eq!(divider.ask((6, 3)).wait(), Ok(2));
/// // A handler's panic ends its actor, and nothing else.
/// assert_eq!(divider.ask((6, 0)).wait(), Err(AskError::Panicked));
/// assert_eq!(divider.ask((6, 3)).wait(), Err(AskError::Stopped));
/// # Ok::<(), cuelight::BuildError>(())
/// ```
///
/// A message that must stay on its thread does not compile:
/// ```compile_fail,E0277
/// # use cuelight::{Actor, Context, Handler};
/// # use std::rc::Rc;
/// struct Keeper;
/// impl Actor for Keeper {}
/// impl Handler<Rc<u32>> for Keeper {
///     type Reply = ();
///     fn handle(&mut self, _: Rc<u32>, _: &mut Context<Self>) {}
/// }
/// ```
pub trait Handler<M: Send + 'static>: Actor {
    /// What an [`ask`](ActorRef::ask) is answered with. After a [`tell`](ActorRef::tell) it is dropped.
    type Reply: Send + 'static;

    /// Handles one message.
    fn handle(&mut self, message: M, ctx: &mut Context<Self>) -> Self::Reply;
}

impl<A: Actor> Body for A {
    fn on_started(&mut self, context: &mut Context<Self>) {
        self.started(context);
    }

    fn on_stopped(&mut self, reason: &StopReason) {
        self.stopped(reason);
    }

    fn on_child_failed(&mut self, failure: &Failure, context: &mut Context<Self>) -> Verdict {
        let decision = self.child_failed(failure, context);
        (decision, self.strategy())
    }
}

impl<A: Handler<M>, M: Send + 'static> Receive<M> for A {
    #[inline(always)]
    fn receive(&mut self, message: M, context: &mut Context<Self>) {
        // Known when this is compiled.
        if TypeId::of::<M>() == TypeId::of::<DeadLetter>() {
            count_letter(context.header().hub());
        }
        drop(self.handle(message, context));
    }
}

impl<A: Handler<M>, M: Send + 'static> Answer<M> for A {
    type Reply = <A as Handler<M>>::Reply;

    #[inline(always)]
    fn answer(&mut self, message: M, context: &mut Context<Self>) -> Self::Reply {
        self.handle(message, context)
    }
}
