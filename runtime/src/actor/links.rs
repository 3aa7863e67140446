//! Actors that end together: the methods of [`Context`].

use super::{Actor, ActorRef, Handler};
use crate::kernel::context::Context;
use crate::kernel::outbox;
use crate::kernel::watch::Terminated;

impl<A: Actor> Context<A> {
    /// Links this actor with another one: when one of them has ended, for whatever reason, the other is stopped
    /// ([`StopReason::Linked`](crate::StopReason::Linked)), or told if it [traps](Self::trap_links).
    ///
    /// If `other` has ended already, this actor stops, or is told, at once. A link has no direction; to link again changes
    /// nothing, and so does to link with oneself. Costs an entry in a list of each, under both their locks.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, StopReason, System};
    /// use std::sync::mpsc;
    ///
    /// struct Climber(Option<ActorRef<Climber>>, mpsc::Sender<StopReason>);
    /// impl Actor for Climber {
    ///     fn started(&mut self, ctx: &mut Context<Self>) {
    ///         if let Some(partner) = &self.0 {
    ///             ctx.link(partner);
    ///         }
    ///     }
    ///     fn stopped(&mut self, reason: &StopReason) { self.1.send(reason.clone()).unwrap() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (sender, reasons) = mpsc::channel();
    /// let first = system.spawn(Climber(None, sender.clone()));
    /// system.spawn(Climber(Some(first.clone()), sender));
    /// first.stop();
    /// assert_eq!([reasons.recv()?, reasons.recv()?], [StopReason::Stopped, StopReason::Linked]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn link<B: Actor>(&mut self, other: &ActorRef<B>) {
        outbox::flush();
        self.add_link(other.cell());
    }

    /// Takes a link back, for both. A stop or a notice that is on its way already still comes.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, System};
    ///
    /// struct Climber(Option<ActorRef<Climber>>);
    /// impl Actor for Climber {
    ///     fn started(&mut self, ctx: &mut Context<Self>) {
    ///         if let Some(partner) = &self.0 {
    ///             ctx.link(partner);
    ///             ctx.unlink(partner);
    ///         }
    ///     }
    /// }
    /// impl Handler<()> for Climber { type Reply = (); fn handle(&mut self, (): (), _: &mut Context<Self>) {} }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let first = system.spawn(Climber(None));
    /// let second = system.spawn(Climber(Some(first.clone())));
    /// second.ask(()).wait()?;
    /// first.stop();
    /// assert_eq!(second.ask(()).wait(), Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unlink<B: Actor>(&mut self, other: &ActorRef<B>) {
        self.remove_link(other.cell());
    }

    /// Has the ends of linked actors sent to this one as a [`Terminated`] each, instead of stopping it; or stops it again.
    ///
    /// The notice comes after all that the ended actor has sent to this one. A restart changes nothing of this.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorRef, Context, Handler, StopReason, System, Terminated};
    /// use std::sync::mpsc;
    ///
    /// struct Plain;
    /// impl Actor for Plain {}
    ///
    /// struct Survivor(ActorRef<Plain>, mpsc::Sender<StopReason>);
    /// impl Actor for Survivor {
    ///     fn started(&mut self, ctx: &mut Context<Self>) {
    ///         ctx.trap_links(true);
    ///         ctx.link(&self.0);
    ///     }
    /// }
    /// impl Handler<Terminated> for Survivor {
    ///     type Reply = ();
    ///     fn handle(&mut self, ended: Terminated, _: &mut Context<Self>) { self.1.send(ended.reason).unwrap() }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let (sender, reasons) = mpsc::channel();
    /// let plain = system.spawn(Plain);
    /// let survivor = system.spawn(Survivor(plain.clone(), sender));
    /// plain.drain();
    /// assert_eq!(reasons.recv()?, StopReason::Drained);
    /// assert!(!survivor.is_stopped());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn trap_links(&mut self, trap: bool)
    where
        A: Handler<Terminated>,
    {
        self.set_trap(trap);
    }
}
