//! A message on its way: bound to its receiver, owned by its sender.
//!
//! Promise: a message that the receiver refuses comes back to the sender as it was; a parcel that is dropped drops its
//! message.
//!
//! # Invariants
//! - **A1** A parcel's node was made for the state type of its cell (N3): only typed addresses and what was made from
//!   one bind nodes.
//! - **A2** A parcel's node is owned by the parcel (N1) and its payload is there (N2).

use super::cell::{Address, CellRef, Runnable};
use super::grave::{bury_as, bury_chain, each_oldest_first};
use super::held::Held;
use super::linger::Lingers;
use super::mailbox::{duty, push_chain};
use super::node::{self, Node, RunFn};
use super::outbox::{self, Route};
use super::pool;
use super::schedule::{ByForward, ByHandler, ByNotice, Loss, Receive};
use super::slot::Slot;
use super::state::Pushed;
use super::tap::{self, Piece, Ruling, Tap};
use std::marker::PhantomData;
use std::mem::forget;
use std::ptr::NonNull;
use std::rc::Rc;

/// One message for one receiver. `M` is the message's type, or a name for what cannot be taken back.
#[must_use = "a parcel that is not sent drops its message"]
pub(crate) struct Parcel<'a, M> {
    cell: &'a CellRef,
    node: NonNull<Node>,
    message: PhantomData<M>,
}

/// A typed way to a receiver whose own type is forgotten.
pub(crate) struct Port<M> {
    cell: CellRef,
    run: RunFn,
    message: PhantomData<fn(M)>,
}

/// Memory for a message that will be sent later.
pub(crate) struct Reserved<M> {
    port: Port<M>,
    memory: NonNull<u8>,
}

// SAFETY: the memory is plain and unused until it is filled; it may be freed on any thread.
unsafe impl<M: Send> Send for Reserved<M> {}

/// Several messages for one receiver, linked from the newest to the oldest.
#[must_use = "a chain that is not sent drops its messages"]
pub(crate) struct Chain<'a, M> {
    cell: &'a CellRef,
    newest: Option<NonNull<Node>>,
    oldest: Option<NonNull<Node>>,
    count: usize,
    message: PhantomData<M>,
}

/// What a send leaves to do.
pub(crate) type Duty = Option<Runnable>;

impl<A> Address<A> {
    /// Binds a message to this actor.
    #[inline(always)]
    pub(crate) fn parcel<M: Send + 'static>(&self, message: M) -> Parcel<'_, M>
    where
        A: Receive<M>,
    {
        Parcel::make(self.cell(), node::run::<A, M, ByHandler>(), message)
    }

    /// Binds a message that is handed on, with what goes with it.
    pub(crate) fn parcel_forward<P: Send + 'static>(&self, payload: P) -> Parcel<'_, P>
    where
        A: Receive<P, ByForward>,
    {
        Parcel {
            cell: self.cell(),
            node: node::make(self.cell().address(), node::run::<A, P, ByForward>(), payload),
            message: PhantomData,
        }
    }

    /// A way for messages of one type.
    pub(crate) fn port<M: Send + 'static>(&self) -> Port<M>
    where
        A: Receive<M>,
    {
        Port { cell: self.cell().clone(), run: node::run::<A, M, ByHandler>(), message: PhantomData }
    }

    /// A way for notices of one type, which a bound does not count.
    pub(crate) fn notices<M: Send + 'static>(&self) -> Port<M>
    where
        A: Receive<M>,
    {
        Port { cell: self.cell().clone(), run: node::run::<A, M, ByNotice>(), message: PhantomData }
    }
}

impl<M> Port<M> {
    pub(crate) fn cell(&self) -> &CellRef {
        &self.cell
    }
}

impl<M: Send + 'static> Port<M> {
    /// Binds a message to the receiver.
    #[inline]
    pub(crate) fn parcel(&self, message: M) -> Parcel<'_, M> {
        // `run` was made for the cell's type and for this message's (A1).
        Parcel::make(&self.cell, self.run, message)
    }

    /// An empty chain to the receiver.
    pub(crate) fn chain(&self) -> Chain<'_, M> {
        Chain { cell: &self.cell, newest: None, oldest: None, count: 0, message: PhantomData }
    }

    /// Adds a message to a chain to this port's receiver.
    pub(crate) fn add<'a>(&'a self, chain: &mut Chain<'a, M>, message: M) {
        debug_assert_eq!(chain.cell.address(), self.cell.address());
        let node = node::make(self.cell.address(), self.run, message);
        if let Some(newest) = chain.newest {
            // SAFETY: the node is ours until the chain is pushed (N1).
            unsafe { Node::set_next(node, newest.as_ptr()) };
        } else {
            chain.oldest = Some(node);
        }
        chain.newest = Some(node);
        chain.count += 1;
    }

    /// Takes memory for one message now, to be sent later without fail.
    pub(crate) fn reserve(self) -> Reserved<M> {
        Reserved { port: self, memory: pool::allocate(node::class::<M>()) }
    }
}

impl<M> Clone for Port<M> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone(), run: self.run, message: PhantomData }
    }
}

impl<M: Send + 'static> Reserved<M> {
    /// Sends the message that the memory was reserved for, after what this thread has sent before. Whoever has ended
    /// does not want it: false.
    pub(crate) fn send(self, message: M) -> bool {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: moved out once: `this` is not dropped.
        let port = unsafe { std::ptr::read(&raw const this.port) };
        // SAFETY: reserved for this type, and given up here.
        let node = unsafe { node::make_at(this.memory, this.port.run, message) };
        let parcel = Parcel::<M> { cell: &port.cell, node, message: PhantomData };
        match parcel.send_after_flush() {
            Ok(duty) => {
                if let Some(runnable) = duty {
                    port.cell.header().hub().schedule(runnable);
                }
                true
            }
            Err(refused) => {
                refused.bury();
                false
            }
        }
    }

    /// Whom the message is for.
    pub(crate) fn cell(&self) -> &CellRef {
        &self.port.cell
    }
}

impl<M> Drop for Reserved<M> {
    fn drop(&mut self) {
        // SAFETY: reserved with this class and never filled.
        unsafe { pool::free(self.memory, node::class::<M>()) };
    }
}

impl<'a, M> Parcel<'a, M> {
    /// # Safety
    /// 1. The node is owned by the caller, its payload is there, and it was made for the state type of the cell.
    pub(super) unsafe fn from_node(cell: &'a CellRef, node: NonNull<Node>) -> Self {
        Self { cell, node, message: PhantomData }
    }

    /// Sends; a handler's further sends to the same receiver may be held for a while (see [`outbox`]).
    #[inline(always)]
    pub(crate) fn send(self) -> Result<Duty, Self> {
        match outbox::route(self.cell, self.node) {
            Route::Direct => self.push(),
            Route::Taken => {
                forget(self);
                Ok(None)
            }
            Route::Refused => Err(self),
            Route::Tapped => self.tapped(true),
        }
    }

    /// The short ways: into the chain that this handler holds, and to the actor that is to be run next by the calling worker,
    /// whose `slot` this is: to one that waits there already, or to an idle one, or one that `lingers`, which goes there. Gives
    /// the message back if none of them is the way.
    ///
    /// An actor in the slot gets the message into its list, together with the right to run, and its mailbox stays empty: no
    /// exchange for the former, one for the latter. Nobody else has the right to run it meanwhile, and whoever takes it out of
    /// the slot finds the message. Others are spared: their list lies on another cache line than their mailbox.
    #[inline(always)]
    pub(crate) fn send_next(self, slot: &Slot, lingers: Option<&Lingers>) -> Result<(), Self> {
        let (cell, node) = (self.cell.raw(), self.node);
        let header = self.cell.header();
        let sent = if !outbox::is_empty() {
            outbox::hold(self.cell, node)
        } else if slot.is_empty() {
            let claim = || {
                let seen = header.word().peek();
                // What is in the mailbox came earlier.
                (seen.is_quiet() && lingers.and_then(|lingers| lingers.take(cell)).is_some())
                    || (seen.is_idle() && header.word().claim())
            };
            outbox::is_first(self.cell) && claim() && {
                outbox::note_first(self.cell);
                // SAFETY: the right to run is ours (M2), and the node, too (A2).
                unsafe { header.receive(node) };
                // SAFETY: as above.
                slot.fill(unsafe { Runnable::new(cell) });
                true
            }
        } else {
            slot.with(cell, || {
                // What is in the mailbox came earlier.
                let quiet = header.word().peek().is_quiet();
                if quiet {
                    // SAFETY: the right to run lies in our slot, which nobody else reaches now (S2); the node is ours (A2).
                    unsafe { header.receive(node) };
                    outbox::forget_last();
                }
                quiet
            })
        };
        if sent {
            forget(self);
            Ok(())
        } else {
            Err(self)
        }
    }

    /// A handler's first send to a receiver, while nothing is held: pushes it. Gives the message back if it is none, if there
    /// is more to say of the mailbox than messages, or if somebody else was quicker: [`Parcel::send`] has ways for all.
    #[inline(always)]
    pub(crate) fn send_first(self) -> Result<Duty, Self> {
        let word = self.cell.header().word();
        let seen = word.peek();
        if !seen.is_plain() || !outbox::is_empty() || !outbox::is_first(self.cell) {
            return Err(self);
        }
        // SAFETY: A2: the node is ours until the exchange succeeds (N1).
        unsafe { Node::set_next(self.node, seen.below_plain()) };
        if !word.try_push_plain(seen, self.node.as_ptr()) {
            return Err(self);
        }
        // Not before: a message that comes back is still the first.
        outbox::note_first(self.cell);
        let cell = self.cell;
        forget(self);
        if seen.is_quiet() {
            return Ok(cell.header().claim_lingering());
        }
        // SAFETY: if the word was idle, the right to run is ours now.
        Ok(seen.is_idle().then(|| unsafe { Runnable::new(cell.raw()) }))
    }

    /// Sends at once, after all that this thread has sent before.
    pub(crate) fn send_after_flush(self) -> Result<Duty, Self> {
        if outbox::flush_before() {
            return self.tapped(false);
        }
        self.push()
    }

    /// Sends as the thread's tap says.
    #[cold]
    pub(super) fn tapped(self, losable: bool) -> Result<Duty, Self> {
        let Some(tap) = tap::current() else { return self.push() };
        let ruling = tap.sent(self.cell, &[Piece::new(self.node)], losable);
        if ruling == Ruling::Pass {
            return self.push();
        }
        let held = Held { cell: self.cell.clone(), newest: self.node, oldest: self.node };
        forget(self);
        held.rule(ruling, &*tap);
        Ok(None)
    }

    #[inline]
    pub(super) fn push(self) -> Result<Duty, Self> {
        // SAFETY: A2.
        match unsafe { push_chain(self.cell.header(), self.node, self.node) } {
            Pushed::Queued => {
                forget(self);
                Ok(None)
            }
            pushed @ (Pushed::WasIdle | Pushed::WasApart) => {
                let cell = self.cell;
                forget(self);
                Ok(duty(cell, pushed))
            }
            Pushed::Closed => Err(self),
        }
    }

    /// Makes a refused message a dead letter.
    #[cold]
    pub(crate) fn bury(self) {
        self.lose(Loss::Stopped);
    }

    /// Makes a message that has no credit a dead letter.
    #[cold]
    pub(super) fn lose(self, why: Loss) {
        let (cell, node) = (self.cell, self.node);
        forget(self);
        // SAFETY: A2.
        unsafe { bury_as(cell.header(), node, why) };
    }
}

/// A message of whatever type.
pub(crate) enum AnyMessage {}

impl<'a, M> Parcel<'a, M> {
    /// Sends by a function that need not know the message's type, so that there is one for all types. If it refuses, it gives
    /// back what it got.
    #[inline(always)]
    pub(crate) fn send_by(
        self,
        send: impl for<'b> FnOnce(Parcel<'b, AnyMessage>) -> Result<(), Parcel<'b, AnyMessage>>,
    ) -> Result<(), Self> {
        let (cell, node) = (self.cell, self.node);
        forget(self);
        match send(Parcel { cell, node, message: PhantomData }) {
            Ok(()) => Ok(()),
            Err(refused) => {
                // The one that it got: of the lifetime that it is called with it knows no other. That one, and not ours, which
                // would have to be kept while it runs.
                let (cell, node) = (refused.cell, refused.node);
                forget(refused);
                Err(Self { cell, node, message: PhantomData })
            }
        }
    }

    /// The receiver.
    #[inline(always)]
    pub(crate) fn to(&self) -> &'a CellRef {
        self.cell
    }
}

impl<'a, M: Send + 'static> Parcel<'a, M> {
    /// `run` was made for the cell's type and for this message's (A1).
    #[inline(always)]
    fn make(cell: &'a CellRef, run: RunFn, message: M) -> Self {
        // Apart where that is slow, so that the short way saves no registers. Not what would go there by its address, and would
        // therefore lie in memory on both ways.
        let node = if const { size_of::<M>() <= 2 * size_of::<usize>() } {
            match node::make_cached(run, message) {
                Ok(node) => node,
                Err(message) => return Self::make_slowly(cell, run, message),
            }
        } else {
            node::make(cell.address(), run, message)
        };
        Self { cell, node, message: PhantomData }
    }

    #[cold]
    #[inline(never)]
    fn make_slowly(cell: &'a CellRef, run: RunFn, message: M) -> Self {
        Self { cell, node: node::make(cell.address(), run, message), message: PhantomData }
    }

    /// Takes the message out again.
    #[cold]
    pub(crate) fn into_message(self) -> M {
        let node = self.node;
        forget(self);
        // SAFETY: A2, and made from an `M`: only typed sends make a `Parcel` of a message's own type.
        unsafe { node::unmake::<M>(node) }
    }
}

impl<M> Drop for Parcel<'_, M> {
    #[cold]
    fn drop(&mut self) {
        // SAFETY: A2.
        unsafe { Node::destroy(self.node) };
    }
}

impl<'a, M: Send + 'static> Chain<'a, M> {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Takes the newest off: at most `most` messages stay.
    pub(super) fn split(&mut self, most: usize) -> Self {
        let mut rest = Self { cell: self.cell, newest: None, oldest: None, count: 0, message: PhantomData };
        while self.count > most {
            let Some(node) = self.newest else { break };
            // SAFETY: the chain's nodes are ours (N1).
            let older = NonNull::new(unsafe { Node::next(node) });
            if rest.count == 0 {
                rest.newest = Some(node);
            }
            rest.oldest = Some(node);
            rest.count += 1;
            self.newest = older;
            self.count -= 1;
        }
        if self.count == 0 {
            self.oldest = None;
        }
        if let Some(oldest) = rest.oldest {
            // SAFETY: the chain's nodes are ours (N1).
            unsafe { Node::set_next(oldest, std::ptr::null_mut()) };
        }
        rest
    }

    /// Makes messages that have no credit dead letters, the oldest first.
    #[cold]
    pub(super) fn lose(mut self, why: Loss) {
        let Some(newest) = self.newest.take() else { return };
        // SAFETY: the chain's nodes are ours (N1), their payloads are there, and they are bound to this cell.
        let bury = |node| unsafe { bury_as(self.cell.header(), node, why) };
        // SAFETY: as above.
        unsafe { each_oldest_first(newest, bury) };
    }

    /// Whom the messages are for.
    pub(super) fn to(&self) -> &'a CellRef {
        self.cell
    }

    /// Sends all with one exchange, after all that this thread has sent before.
    pub(crate) fn send(self) -> Result<Duty, Self> {
        let tapped = outbox::flush_before();
        let (Some(newest), Some(oldest)) = (self.newest, self.oldest) else { return Ok(None) };
        if let Some((ruling, tap)) = tapped.then(|| self.ruling()).flatten() {
            let held = Held { cell: self.cell.clone(), newest, oldest };
            forget(self);
            held.rule(ruling, &*tap);
            return Ok(None);
        }
        // SAFETY: the chain's nodes are ours (N1).
        match unsafe { push_chain(self.cell.header(), newest, oldest) } {
            Pushed::Queued => {
                forget(self);
                Ok(None)
            }
            pushed @ (Pushed::WasIdle | Pushed::WasApart) => {
                let cell = self.cell;
                forget(self);
                Ok(duty(cell, pushed))
            }
            Pushed::Closed => Err(self),
        }
    }

    /// What the thread's tap says, unless it lets the chain pass.
    #[cold]
    fn ruling(&self) -> Option<(Ruling, Rc<dyn Tap>)> {
        let tap = tap::current()?;
        let ruling = tap.sent(self.cell, &self.pieces(), true);
        (ruling != Ruling::Pass).then_some((ruling, tap))
    }

    /// The messages, oldest first.
    pub(super) fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::with_capacity(self.count);
        let mut node = self.newest;
        while let Some(this) = node {
            pieces.push(Piece::new(this));
            // SAFETY: the chain's nodes are ours (N1).
            node = NonNull::new(unsafe { Node::next(this) });
        }
        pieces.reverse();
        pieces
    }

    /// Lets go of the nodes, which are linked from the newest, to the caller.
    pub(super) fn into_nodes(mut self) -> Option<NonNull<Node>> {
        self.newest.take()
    }

    /// Takes the messages out again, in the order in which they were added.
    #[cold]
    pub(crate) fn into_messages(mut self) -> Vec<M> {
        let mut messages = Vec::with_capacity(self.count);
        let mut node = self.newest.take();
        while let Some(this) = node {
            // SAFETY: the chain's nodes are ours (N1).
            node = NonNull::new(unsafe { Node::next(this) });
            // SAFETY: made from an `M` in `add`.
            messages.push(unsafe { node::unmake::<M>(this) });
        }
        messages.reverse();
        messages
    }
}

impl<M> Drop for Chain<'_, M> {
    fn drop(&mut self) {
        let mut node = self.newest.take();
        while let Some(this) = node {
            // SAFETY: the chain's nodes are ours (N1).
            node = NonNull::new(unsafe { Node::next(this) });
            // SAFETY: as above; its payload is there.
            unsafe { Node::destroy(this) };
        }
    }
}

/// Pushes a chain that was sent with one exchange, and schedules its receiver if that was idle; one that refuses has it
/// dead-lettered.
///
/// # Safety
/// 1. The caller owns the chain from `newest` to `oldest`, and its payloads are there.
pub(super) unsafe fn deliver_chain(cell: &CellRef, newest: NonNull<Node>, oldest: NonNull<Node>) {
    // SAFETY: passed on to the caller.
    match unsafe { push_chain(cell.header(), newest, oldest) } {
        Pushed::Queued => {}
        pushed @ (Pushed::WasIdle | Pushed::WasApart) => {
            if let Some(runnable) = duty(cell, pushed) {
                cell.header().hub().schedule(runnable);
            }
        }
        // SAFETY: refused: the chain is still the caller's.
        Pushed::Closed => unsafe { bury_chain(cell, newest, Loss::Stopped) },
    }
}
