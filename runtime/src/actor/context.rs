//! What a handler can do besides handling: the methods of [`Context`].

use super::actor_ref::send_request;
use super::ask::finish;
use super::builder::ActorBuilder;
use super::{Actor, ActorRef, Handler};
use crate::engine::core::{Core, core_of, schedule};
use crate::engine::threads::worker::current;
use crate::error::AskError;
use crate::kernel::ask::Asker;
use crate::kernel::cell::{Address, Cause, Under};
use crate::kernel::context::Context;
use crate::kernel::outbox;
use crate::kernel::resume::{Resume, Resumed};
use crate::kernel::schedule::{ByCall, Receive};
use crate::kernel::watch::{ActorId, Terminated};
use crate::time::{Instant, Key};
use std::fmt;
use std::time::Duration;

impl<A: Actor> Context<A> {
    /// Returns the actor's own address.
    #[must_use]
    pub fn me(&self) -> ActorRef<A> {
        ActorRef::new(self.address())
    }

    /// Spawns a child. It ends before this actor does.
    ///
    /// If this actor is ending, the child has ended before it began, and its address refuses.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Child;
    /// # impl Actor for Child {}
    /// struct Parent;
    /// impl Actor for Parent {
    ///     fn started(&mut self, ctx: &mut Context<Self>) {
    ///         let child = ctx.spawn(Child);
    ///         assert_eq!(ctx.children(), [child.id()]);
    ///     }
    /// }
    /// # impl Handler<()> for Parent { type Reply = usize; fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> usize { ctx.children().len() } }
    /// let system = System::builder().workers(1).build()?;
    /// assert_eq!(system.spawn(Parent).ask(()).wait()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn<B: Actor>(&mut self, actor: B) -> ActorRef<B> {
        let hub = self.header().hub().address();
        current(|worker| {
            let Some(worker) = worker.filter(|worker| worker.is_of(hub)) else {
                unreachable!("a context is lent on a worker of its own system")
            };
            if self.ending() {
                return ActorRef::new(Core::stillborn(worker.bundle().hub(), actor, Cause::ParentStopped));
            }
            let under = Under::Parent(self.header());
            let (address, created) = Address::create(actor, worker.bundle().take(), worker.next_id(), &under);
            if let Some(created) = created {
                worker.metrics().spawned.add(1);
                self.adopt(created.runtime);
                schedule(address.cell(), created.runnable);
            }
            ActorRef::new(address)
        })
    }

    /// Begins to spawn a child that a factory makes.
    pub fn actor<B: Actor, F: FnMut() -> B + Send + 'static>(&mut self, factory: F) -> ActorBuilder<'_, B, F> {
        ActorBuilder::new(factory, Box::new(|actor| self.spawn(actor)))
    }

    /// Returns the identity of the actor that spawned this one, unless the system did.
    #[must_use]
    pub fn parent(&self) -> Option<ActorId> {
        self.parent_id()
    }

    /// Returns the identities of the children that have not ended; those that end meanwhile may still be there.
    #[must_use]
    pub fn children(&self) -> Vec<ActorId> {
        let mut children = Vec::new();
        self.each_child(|id| children.push(id));
        children
    }

    /// Ends the actor when this handler returns, as [`ActorRef::stop`] does.
    pub fn stop(&mut self) {
        self.request_stop();
    }

    /// Ends the actor when it has handled what is queued now, as [`ActorRef::drain`] does.
    pub fn drain(&mut self) {
        self.me().drain();
    }

    /// Asks for a [`Terminated`] when `target` ends: one for every call, also if it has ended already.
    ///
    /// It comes after everything that `target` sends to this actor. Costs an entry in `target`'s list, and a node.
    pub fn watch<B: Actor>(&mut self, target: &ActorRef<B>)
    where
        A: Handler<Terminated>,
    {
        outbox::flush();
        self.add_watch(target.cell());
    }

    /// Takes back all watches of `target` that have not been answered. A notice that is queued already still comes.
    pub fn unwatch<B: Actor>(&mut self, target: &ActorRef<B>) {
        self.remove_watch(target.cell());
    }

    /// Publishes what this handler has sent so far (see [`ActorRef::tell`]): for a handler that sends, and then works on.
    pub fn publish(&mut self) {
        outbox::flush();
    }

    /// Returns the system's time. In a simulation it is virtual.
    #[must_use]
    pub fn now(&self) -> Instant {
        let me = self.address();
        core_of(me.cell()).clock.instant()
    }

    /// Asks another actor without waiting: when the reply comes, or the time is up, `then` runs as a message of this actor.
    ///
    /// `then` runs once, between other messages, unless this actor ends before. Asking oneself works, too. A round trip costs
    /// two nodes of the pool and a timer; a closure of more than 64 bytes is boxed.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo, System};
    /// use std::time::Duration;
    ///
    /// struct Doubler;
    /// impl Actor for Doubler {}
    /// impl Handler<u32> for Doubler {
    ///     type Reply = u32;
    ///     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 { 2 * n }
    /// }
    ///
    /// struct Front { doubler: ActorRef<Doubler>, served: u32 }
    /// impl Actor for Front {}
    /// struct Serve(u32, ReplyTo<(u32, u32)>);
    /// impl Handler<Serve> for Front {
    ///     type Reply = ();
    ///     fn handle(&mut self, Serve(n, reply): Serve, ctx: &mut Context<Self>) {
    ///         ctx.ask(&self.doubler, n, Duration::from_secs(5), |this, result, _| {
    ///             this.served += 1;
    ///             reply.send((result.unwrap_or(0), this.served));
    ///         });
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let doubler = system.spawn(Doubler);
    /// let front = system.spawn(Front { doubler, served: 0 });
    /// assert_eq!(front.ask_with(|reply| Serve(21, reply)).wait()?, (42, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ask<B, M, F>(&mut self, target: &ActorRef<B>, message: M, timeout: Duration, then: F)
    where
        B: Handler<M>,
        M: Send + 'static,
        F: FnOnce(&mut A, Result<B::Reply, AskError>, &mut Context<A>) + Send + 'static,
    {
        if size_of::<F>() <= SMALL && align_of::<F>() <= align_of::<usize>() {
            self.ask_small(target, message, timeout, then);
        } else {
            let then = Box::new(then);
            self.ask_small(target, message, timeout, move |this: &mut A, result, ctx: &mut Context<A>| {
                then(this, result, ctx);
            });
        }
    }

    fn ask_small<B, M, F>(&mut self, target: &ActorRef<B>, message: M, timeout: Duration, then: F)
    where
        B: Handler<M>,
        M: Send + 'static,
        F: FnOnce(&mut A, Result<B::Reply, AskError>, &mut Context<A>) + Send + 'static,
    {
        let me = self.address();
        let core = core_of(me.cell());
        let (parcel, asker) = target.address().ask_parcel(message);
        let mut resume = Resume::<A, Then<B::Reply, F>, Key>::new(&me, Then { asker, then });
        // Nobody can answer a request that has not been sent: the waker is registered before anybody can wake it.
        let waker = resume.waker();
        let pending = resume.payload().asker.register(&waker);
        debug_assert!(pending);
        let deadline = core.clock.now().after(timeout);
        resume.note(core.set_timer(deadline, waker));
        send_request(target.cell(), parcel);
    }
}

/// Closures up to this size lie in the node.
const SMALL: usize = 64;

/// What a continuation carries.
struct Then<R, F> {
    asker: Asker<R>,
    then: F,
}

impl<A, R, F> Receive<Resumed<Then<R, F>, Key>, ByCall> for A
where
    A: Actor,
    R: Send + 'static,
    F: FnOnce(&mut A, Result<R, AskError>, &mut Context<A>) + Send + 'static,
{
    fn receive(&mut self, message: Resumed<Then<R, F>, Key>, context: &mut Context<Self>) {
        let Then { mut asker, then } = message.payload;
        let result = match asker.try_take() {
            Some(outcome) => {
                if let Some(key) = message.note {
                    let me = context.address();
                    drop(core_of(me.cell()).timers.cancel(key));
                }
                finish(outcome)
            }
            None => Err(AskError::Timeout),
        };
        drop(asker);
        then(self, result, context);
    }
}

impl<A> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} {})", self.header().type_name(), self.header().id())
    }
}
