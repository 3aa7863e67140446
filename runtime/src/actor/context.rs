//! What a handler can do besides handling: the methods of [`Context`].

use super::builder::{ActorBuilder, Born, Place};
use super::{Actor, ActorRef, Handler};
use crate::engine::core::{Core, core_of};
use crate::engine::threads::own::begin;
use crate::engine::threads::worker::current;
use crate::kernel::cell::{Address, Cause, Extras};
use crate::kernel::context::Context;
use crate::kernel::hub::{Hub, HubRef};
use crate::kernel::outbox;
use crate::kernel::watch::{ActorId, Terminated};
use crate::time::Instant;
use std::fmt;

impl<A: Actor> Context<A> {
    /// Returns the actor's own address. Costs a clone.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, System};
    ///
    /// struct Shy;
    /// impl Actor for Shy {}
    /// impl Handler<()> for Shy {
    ///     type Reply = ActorRef<Self>;
    ///     fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> ActorRef<Self> { ctx.me() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let shy = system.spawn(Shy);
    /// assert_eq!(shy.ask(()).wait()?, shy);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn me(&self) -> ActorRef<A> {
        ActorRef::new(self.address())
    }

    /// Spawns a child. It ends before this actor does.
    ///
    /// If this actor is ending, the child has ended before it began, and its address refuses. Costs one allocation, for the cell:
    /// 128 bytes and the state; it goes back when the child has ended, the last address has gone, and this actor has had a turn
    /// since.
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
        self.spawn_with(actor, Extras::none(), |_| {})
    }

    /// The same; `born` sees a child that will live, before anybody else knows it.
    fn spawn_with<B: Actor>(&mut self, actor: B, extras: Extras<B>, born: impl FnOnce(&Address<B>)) -> ActorRef<B> {
        let system = self.header().hub().address();
        current(|worker| {
            let Some(worker) = worker.filter(|worker| worker.is_of(system)) else {
                return self.spawn_apart(actor, extras, born);
            };
            if self.stopping() {
                return ActorRef::new(Core::stillborn(worker.bundle().hub(), actor, Cause::ParentStopped));
            }
            let (address, created) = Address::create(actor, worker.bundle().take(), worker.next_id(), &self.under());
            if let Some(created) = created {
                address.equip(&created, extras, || worker.core().next_birth());
                worker.metrics().spawned.add(1);
                self.adopt(created.runtime);
                born(&address);
                begin(address.cell(), created.runnable);
            }
            ActorRef::new(address)
        })
    }

    /// The same on a thread of the actor's own.
    #[cold]
    fn spawn_apart<B: Actor>(&mut self, actor: B, extras: Extras<B>, born: impl FnOnce(&Address<B>)) -> ActorRef<B> {
        let hub = self.hub();
        if self.stopping() {
            return ActorRef::new(Core::stillborn(&hub, actor, Cause::ParentStopped));
        }
        let (address, created) = Address::create(actor, hub.erase(), hub.next_id(), &self.under());
        if let Some(created) = created {
            address.equip(&created, extras, || hub.next_birth());
            hub.count_spawned();
            self.adopt(created.runtime);
            born(&address);
            begin(address.cell(), created.runnable);
        }
        ActorRef::new(address)
    }

    /// Begins to spawn a child that a factory makes.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, SpawnError, System};
    ///
    /// struct Child;
    /// impl Actor for Child {}
    /// struct Parent;
    /// impl Actor for Parent {}
    /// impl Handler<()> for Parent {
    ///     type Reply = (usize, Option<SpawnError>);
    ///     fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> Self::Reply {
    ///         let failed = ctx.actor(|| -> Child { panic!("no luck") }).spawn().err();
    ///         ctx.actor(|| Child).spawn().expect("the parent is not ending");
    ///         (ctx.children().len(), failed)
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let failed = SpawnError::FactoryPanicked("no luck".into());
    /// assert_eq!(system.spawn(Parent).ask(()).wait()?, (1, Some(failed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn actor<B: Actor, F: FnMut() -> B + Send + 'static>(&mut self, factory: F) -> ActorBuilder<'_, B, F> {
        ActorBuilder::new(factory, Box::new(Below(self)))
    }

    /// Returns the identity of the actor that spawned this one, unless the system did.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, System};
    ///
    /// struct Orphan;
    /// impl Actor for Orphan {}
    /// impl Handler<()> for Orphan {
    ///     type Reply = bool;
    ///     fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> bool { ctx.parent().is_none() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// assert!(system.spawn(Orphan).ask(()).wait()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn parent(&self) -> Option<ActorId> {
        self.parent_id()
    }

    /// Returns the identities of the children that have not ended; those that end meanwhile may still be there. In no order.
    /// Costs one allocation, and a line of memory for each child. There is an example at [`spawn`](Self::spawn).
    #[must_use]
    pub fn children(&self) -> Vec<ActorId> {
        let mut children = Vec::new();
        self.each_child(|id| children.push(id));
        children
    }

    /// Ends the actor when this handler returns, as [`ActorRef::stop`] does: what is queued is dead-lettered.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, AskError, Context, Handler, System};
    ///
    /// struct Once;
    /// impl Actor for Once {}
    /// impl Handler<()> for Once {
    ///     type Reply = &'static str;
    ///     fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> &'static str {
    ///         ctx.stop();
    ///         "done"
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let once = system.spawn(Once);
    /// let (first, second) = (once.ask(()), once.ask(()));
    /// assert_eq!((first.wait(), second.wait()), (Ok("done"), Err(AskError::Stopped)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(&mut self) {
        self.request_stop();
    }

    /// Ends the actor when it has handled what is queued now, as [`ActorRef::drain`] does. Its children drain, too: so ends an
    /// actor that has just handed its work to a child.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, ReplyTo, System};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    /// impl Handler<ReplyTo<u32>> for Clerk {
    ///     type Reply = ();
    ///     fn handle(&mut self, reply: ReplyTo<u32>, _: &mut Context<Self>) { reply.send(42) }
    /// }
    ///
    /// struct Manager;
    /// impl Actor for Manager {}
    /// impl Handler<ReplyTo<u32>> for Manager {
    ///     type Reply = ();
    ///     fn handle(&mut self, reply: ReplyTo<u32>, ctx: &mut Context<Self>) {
    ///         let _ = ctx.spawn(Clerk).tell(reply);
    ///         ctx.drain();
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// assert_eq!(system.spawn(Manager).ask_with(|reply| reply).wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&mut self) {
        self.me().drain();
    }

    /// Asks for a [`Terminated`] when `target` ends: one for every call, also if it has ended already.
    ///
    /// It comes after everything that `target` sends to this actor. Costs an entry in `target`'s list, under a lock, and a node,
    /// reserved now, so that the notice cannot fail.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, StopReason, System, Terminated};
    /// use std::sync::mpsc;
    ///
    /// struct Candle;
    /// impl Actor for Candle {}
    ///
    /// struct Watcher(ActorRef<Candle>, mpsc::Sender<Terminated>);
    /// impl Actor for Watcher {
    ///     fn started(&mut self, ctx: &mut Context<Self>) { ctx.watch(&self.0) }
    /// }
    /// impl Handler<Terminated> for Watcher {
    ///     type Reply = ();
    ///     fn handle(&mut self, notice: Terminated, _: &mut Context<Self>) { self.1.send(notice).unwrap() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (sender, notices) = mpsc::channel();
    /// let candle = system.spawn(Candle);
    /// candle.stop();
    /// // Whether the candle has ended by now or not, the watcher is told, once.
    /// system.spawn(Watcher(candle.clone(), sender));
    /// let notice = notices.recv()?;
    /// assert_eq!((notice.id, notice.reason), (candle.id(), StopReason::Stopped));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Who has no handler for the notice cannot watch:
    /// ```compile_fail,E0277
    /// # use cuelight::{Actor, ActorRef, Context};
    /// struct Careless(ActorRef<Careless>);
    /// impl Actor for Careless {
    ///     fn started(&mut self, ctx: &mut Context<Self>) { ctx.watch(&self.0) }
    /// }
    /// ```
    pub fn watch<B: Actor>(&mut self, target: &ActorRef<B>)
    where
        A: Handler<Terminated>,
    {
        outbox::flush();
        self.add_watch(target.cell());
    }

    /// Takes back all watches of `target` that have not been answered. A notice that is queued already still comes.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, System, Terminated};
    ///
    /// struct Candle;
    /// impl Actor for Candle {}
    ///
    /// struct Fickle { candle: ActorRef<Candle>, notices: u32 }
    /// impl Actor for Fickle {
    ///     fn started(&mut self, ctx: &mut Context<Self>) {
    ///         ctx.watch(&self.candle);
    ///         ctx.unwatch(&self.candle);
    ///     }
    /// }
    /// impl Handler<Terminated> for Fickle {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: Terminated, _: &mut Context<Self>) { self.notices += 1 }
    /// }
    /// impl Handler<()> for Fickle {
    ///     type Reply = u32;
    ///     fn handle(&mut self, (): (), _: &mut Context<Self>) -> u32 { self.notices }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let candle = system.spawn(Candle);
    /// let fickle = system.spawn(Fickle { candle: candle.clone(), notices: 0 });
    /// assert_eq!(fickle.ask(()).wait()?, 0);
    /// candle.stop();
    /// assert_eq!(fickle.ask(()).wait()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unwatch<B: Actor>(&mut self, target: &ActorRef<B>) {
        self.remove_watch(target.cell());
    }

    /// Publishes what this handler has sent so far (see [`ActorRef::tell`]): for a handler that sends, and then works on.
    ///
    /// Costs a look at the thread's own chain, and a compare-exchange if something is held.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, Recipient, System};
    /// use std::sync::mpsc;
    ///
    /// struct Sink(mpsc::Sender<u32>);
    /// impl Actor for Sink {}
    /// impl Handler<u32> for Sink {
    ///     type Reply = ();
    ///     fn handle(&mut self, n: u32, _: &mut Context<Self>) { self.0.send(n).unwrap() }
    /// }
    ///
    /// struct Source(Recipient<u32>);
    /// impl Actor for Source {
    ///     fn started(&mut self, ctx: &mut Context<Self>) {
    ///         for n in 0..3 {
    ///             self.0.tell(n).expect("the sink is there");
    ///         }
    ///         ctx.publish();
    ///         // All three may be handled while this goes on for long.
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (sender, numbers) = mpsc::channel();
    /// system.spawn(Source(system.spawn(Sink(sender)).into()));
    /// assert_eq!(numbers.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish(&mut self) {
        outbox::flush();
    }

    /// Sends messages to this actor itself, before all that is queued: they are handled next, in this order. Returns how many.
    ///
    /// For what this actor has got and could not handle then; a [`Stash`](crate::Stash) does it. They go to the front when
    /// this handler has returned, those of a second call behind those of the first; a restart in between does not lose them, and
    /// a stop dead-letters them. They count as sent. The iterator runs before anything is put back. Costs a node for each.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, System};
    ///
    /// struct Pair(Vec<u32>);
    /// impl Actor for Pair {}
    /// impl Handler<(u32, u32)> for Pair {
    ///     type Reply = ();
    ///     fn handle(&mut self, (a, b): (u32, u32), ctx: &mut Context<Self>) { ctx.put_back([a, b]); }
    /// }
    /// impl Handler<u32> for Pair {
    ///     type Reply = Vec<u32>;
    ///     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> Vec<u32> { self.0.push(n); self.0.clone() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let pair = system.spawn(Pair(Vec::new()));
    /// pair.tell((1, 2))?;
    /// assert_eq!(pair.ask(3).wait()?, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_back<M: Send + 'static>(&mut self, messages: impl IntoIterator<Item = M>) -> usize
    where
        A: Handler<M>,
    {
        let port = self.address().notices::<M>();
        let mut chain = port.chain();
        for message in messages {
            port.add(&mut chain, message);
        }
        let count = chain.len();
        self.return_chain(chain);
        count
    }

    /// Returns the system's time: the machine's monotonic clock. Costs a reading of it, about 25 ns.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, System};
    /// use std::time::Instant;
    ///
    /// struct Clock;
    /// impl Actor for Clock {}
    /// impl Handler<()> for Clock {
    ///     type Reply = Instant;
    ///     fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> Instant { ctx.now() }
    /// }
    ///
    /// let before = Instant::now();
    /// let system = System::builder().workers(1).build()?;
    /// assert!(system.spawn(Clock).ask(()).wait()? >= before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn now(&self) -> Instant {
        let me = self.address();
        core_of(me.cell()).clock.instant()
    }
}

impl<A> Context<A> {
    /// The actor's system.
    pub(crate) fn hub(&self) -> Hub<Core> {
        let own = current(|worker| {
            let worker = worker.filter(|worker| worker.is_of(self.header().hub().address()));
            worker.map(|worker| worker.bundle().hub().clone())
        });
        match own.or_else(|| self.header().hub().typed()) {
            Some(hub) => hub,
            None => unreachable!("cells are made by `Core` alone"),
        }
    }
}

/// The place of a running actor's children.
struct Below<'a, A>(&'a mut Context<A>);

impl<A: Actor, B: Actor> Place<B> for Below<'_, A> {
    fn hub(&self) -> HubRef {
        self.0.header().hub().clone()
    }

    fn spawn(self: Box<Self>, actor: B, extras: Extras<B>, born: Born<'_, B>) -> ActorRef<B> {
        self.0.spawn_with(actor, extras, born)
    }
}

impl<A> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} {})", self.header().type_name(), self.header().id())
    }
}
