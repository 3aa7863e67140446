//! Asking inside a handler: a continuation runs as a message when the reply comes, or the time is up.

use super::actor_ref::send_request;
use super::ask::{ReplyTo, finish};
use super::{Actor, ActorRef, Handler};
use crate::engine::core::core_of;
use crate::error::AskError;
use crate::kernel::ask::{Asked, Asker};
use crate::kernel::context::Context;
use crate::kernel::parcel::Parcel;
use crate::kernel::resume::{Cargo, Resume, Resumed};
use crate::kernel::schedule::{ByCall, Receive};
use crate::kernel::timers::TimerKey;
use crate::time::Tick;
use std::any::Any;
use std::time::Duration;

/// Closures up to this size lie in the node.
const SMALL: usize = 64;

impl<A: Actor> Context<A> {
    /// Asks another actor without waiting: when the reply comes, or the time is up, `then` runs as a message of this actor.
    ///
    /// `then` runs once, between other messages, unless this actor ends before: then its timer goes at once, and it is dropped with
    /// the request or the reply. Its result is as that of an
    /// [`Ask`](crate::Ask). Asking oneself works, too. A round trip costs two nodes of the pool and a timer, whose lock all
    /// workers share; a closure of more than 64 bytes is boxed.
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
        self.ask_by(target.address().ask_parcel(message), timeout, then);
    }

    /// The same for a message that carries the means to answer it, as [`ActorRef::ask_with`].
    ///
    /// # Panics
    /// Only if `make` does; nothing is sent then.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo, System};
    /// use std::time::Duration;
    ///
    /// struct Judge;
    /// impl Actor for Judge {}
    /// struct Plea(ReplyTo<&'static str>);
    /// impl Handler<Plea> for Judge {
    ///     type Reply = ();
    ///     fn handle(&mut self, Plea(reply): Plea, _: &mut Context<Self>) { reply.send("granted") }
    /// }
    ///
    /// struct Counsel(ActorRef<Judge>);
    /// impl Actor for Counsel {}
    /// struct Plead(ReplyTo<String>);
    /// impl Handler<Plead> for Counsel {
    ///     type Reply = ();
    ///     fn handle(&mut self, Plead(reply): Plead, ctx: &mut Context<Self>) {
    ///         ctx.ask_with(&self.0, Plea, Duration::from_secs(5), |_, verdict, _| reply.send(format!("{verdict:?}")));
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let counsel = system.spawn(Counsel(system.spawn(Judge)));
    /// assert_eq!(counsel.ask_with(Plead).wait()?, "Ok(\"granted\")");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ask_with<B, M, R, F>(
        &mut self,
        target: &ActorRef<B>,
        make: impl FnOnce(ReplyTo<R>) -> M,
        timeout: Duration,
        then: F,
    ) where
        B: Handler<M>,
        M: Send + 'static,
        R: Send + 'static,
        F: FnOnce(&mut A, Result<R, AskError>, &mut Context<A>) + Send + 'static,
    {
        let address = target.address();
        let asked = address.ask_parcel_with(|replier| make(ReplyTo::new(replier, address.cell().clone())));
        self.ask_by(asked, timeout, then);
    }

    fn ask_by<R, F>(&mut self, asked: (Parcel<'_, Asked>, Asker<R>), timeout: Duration, then: F)
    where
        R: Send + 'static,
        F: FnOnce(&mut A, Result<R, AskError>, &mut Context<A>) + Send + 'static,
    {
        if size_of::<F>() <= SMALL && align_of::<F>() <= align_of::<usize>() {
            self.ask_small(asked, timeout, then);
        } else {
            let then = Box::new(then);
            self.ask_small(asked, timeout, move |this: &mut A, result, ctx: &mut Context<A>| {
                then(this, result, ctx);
            });
        }
    }

    fn ask_small<R, F>(&mut self, (parcel, asker): (Parcel<'_, Asked>, Asker<R>), timeout: Duration, then: F)
    where
        R: Send + 'static,
        F: FnOnce(&mut A, Result<R, AskError>, &mut Context<A>) + Send + 'static,
    {
        let me = self.address();
        let core = core_of(me.cell());
        let mut resume = Resume::<A, Then<R, F>, TimerKey>::new(&me, Then { asker, then });
        // Nobody can answer a request that has not been sent: the waker is registered before anybody can wake it.
        let waker = resume.waker();
        let pending = resume.payload().asker.register(&waker);
        debug_assert!(pending);
        let deadline = core.clock.now().after(timeout);
        if deadline != Tick::NEVER {
            let alarm = core.set_timer(deadline, waker);
            resume.note(self.timers(|timers| timers.insert(alarm)));
        }
        send_request(parcel.to(), parcel);
    }
}

/// What a continuation carries.
struct Then<R, F> {
    asker: Asker<R>,
    then: F,
}

impl<R, F> Cargo for Then<R, F>
where
    R: Send + 'static,
    F: Send + 'static,
{
    fn into_letter(self) -> Option<Box<dyn Any + Send>> {
        None
    }
}

impl<A, R, F> Receive<Resumed<Then<R, F>, TimerKey>, ByCall> for A
where
    A: Actor,
    R: Send + 'static,
    F: FnOnce(&mut A, Result<R, AskError>, &mut Context<A>) + Send + 'static,
{
    fn receive(&mut self, message: Resumed<Then<R, F>, TimerKey>, context: &mut Context<Self>) {
        let alarm = message.note.and_then(|key| context.timers(|timers| timers.remove(key)));
        let Then { mut asker, then } = message.payload;
        let result = match asker.leave() {
            Some(outcome) => {
                if let Some(alarm) = alarm {
                    context.header().hub().cancel(alarm);
                }
                finish(outcome)
            }
            None => Err(AskError::Timeout),
        };
        drop(asker);
        then(self, result, context);
    }
}
