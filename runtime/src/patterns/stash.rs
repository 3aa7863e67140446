//! Messages that an actor cannot handle yet.
//!
//! Promise: what is kept comes back once, in order, before what arrived later, also when a restart drops the state that keeps
//! it; what never comes back is dead-lettered.
//!
//! How: a vector, and [`Context::put_back`]. The one thing below the public surface is that a stash which is dropped knows
//! whether a restart does it.

use crate::actor::Handler;
use crate::error::StashError;
use crate::kernel::context::Context;
use crate::kernel::parcel::Port;
use std::fmt;
use std::mem::take;

/// Messages that an actor keeps for later: part of its state.
///
/// With an enum of states an actor keeps what it cannot handle in this one, and [unstashes](Self::unstash_all) when it changes
/// to another. What is put back comes in order, before everything that is queued, so that messages of one sender stay in
/// order. Between two stashes of one actor nothing is kept in order: where it matters, keep an enum of messages.
///
/// A message that is kept has been handled, for its sender and in the [`Counters`](crate::Counters); an ask has had its reply,
/// so what is to be answered later is asked by [`ask_with`](crate::ActorRef::ask_with). Unstashing counts it as sent again. When
/// the actor is restarted, its stash goes back to the front of its mailbox, several in the order of their fields; that a handler
/// has kept its message before it panicked makes no difference, so that message comes again. When the actor ends, or the stash is dropped by anybody else, the messages are dead-lettered, and count as sent again for that.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, Stash, System};
///
/// /// Keeps what it gets until it is opened.
/// #[derive(Default)]
/// struct Door { open: bool, passed: Vec<u32>, waiting: Stash<u32> }
/// impl Actor for Door {}
/// impl Handler<u32> for Door {
///     type Reply = Vec<u32>;
///     fn handle(&mut self, n: u32, ctx: &mut Context<Self>) -> Vec<u32> {
///         if self.open {
///             self.passed.push(n);
///         } else {
///             self.waiting.keep(n, ctx).expect("a stash without a bound");
///         }
///         self.passed.clone()
///     }
/// }
/// struct Open;
/// impl Handler<Open> for Door {
///     type Reply = usize;
///     fn handle(&mut self, _: Open, ctx: &mut Context<Self>) -> usize {
///         self.open = true;
///         self.waiting.unstash_all(ctx)
///     }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let door = system.spawn(Door::default());
/// door.send_all([1, 2])?;
/// assert_eq!(door.ask(Open).wait()?, 2);
/// assert_eq!(door.ask(3).wait()?, [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stash<M: Send + 'static> {
    messages: Vec<M>,
    capacity: Option<usize>,
    /// Whose messages they are, while there are any.
    home: Option<Port<M>>,
}

impl<M: Send + 'static> Stash<M> {
    /// Makes an empty stash without a bound. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { messages: Vec::new(), capacity: None, home: None }
    }

    /// Makes an empty stash for at most `capacity` messages; with 0 it refuses all. Allocates nothing yet.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Stash, System};
    /// struct Careful(Stash<u32>);
    /// impl Actor for Careful {}
    /// impl Handler<u32> for Careful {
    ///     type Reply = Result<(), u32>;
    ///     fn handle(&mut self, n: u32, ctx: &mut Context<Self>) -> Self::Reply {
    ///         self.0.keep(n, ctx).map_err(|full| full.into_message())
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let careful = system.spawn(Careful(Stash::bounded(2)));
    /// let kept = [7, 8, 9].map(|n| careful.ask(n)).map(|ask| ask.wait().unwrap());
    /// assert_eq!(kept, [Ok(()), Ok(()), Err(9)]);
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    #[must_use]
    pub const fn bounded(capacity: usize) -> Self {
        Self { messages: Vec::new(), capacity: Some(capacity), home: None }
    }

    /// Keeps a message of the actor whose handler is running. Costs a push on a vector; the first one also a clone of the
    /// actor's address.
    ///
    /// # Errors
    /// [`StashError::Full`] gives the message back. There is an example at [`bounded`](Self::bounded).
    pub fn keep<A: Handler<M>>(&mut self, message: M, ctx: &mut Context<A>) -> Result<(), StashError<M>> {
        if let Some(capacity) = self.capacity.filter(|&capacity| self.messages.len() >= capacity) {
            return Err(StashError::Full { message, capacity });
        }
        // One that has come here from another actor's state is this actor's now.
        if self.home.as_ref().map(|home| home.cell().header().id()) != Some(ctx.header().id()) {
            // A bound does not count what is put back: it has been in the mailbox.
            self.home = Some(ctx.address().notices());
        }
        self.messages.push(message);
        Ok(())
    }

    /// Puts all messages back, in the order in which they were kept, before what is queued; returns how many. See
    /// [`Context::put_back`], of which it has the cost, and the example above.
    ///
    /// The stash is empty then. A message that is kept again when it comes is behind those that the stash has by then.
    pub fn unstash_all<A: Handler<M>>(&mut self, ctx: &mut Context<A>) -> usize {
        self.home = None;
        ctx.put_back(self.messages.drain(..))
    }

    /// Takes all messages out, in the order in which they were kept: for an actor that gives them up, or hands them on.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Stash, System};
    /// struct Batch(Stash<u32>);
    /// impl Actor for Batch {}
    /// impl Handler<u32> for Batch {
    ///     type Reply = Vec<u32>;
    ///     fn handle(&mut self, n: u32, ctx: &mut Context<Self>) -> Vec<u32> {
    ///         self.0.keep(n, ctx).expect("a stash without a bound");
    ///         if self.0.len() == 2 { self.0.take_all() } else { Vec::new() }
    ///     }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let batch = system.spawn(Batch(Stash::new()));
    /// let batches = [1, 2, 3].map(|n| batch.ask(n)).map(|ask| ask.wait().unwrap());
    /// assert_eq!(batches, [vec![], vec![1, 2], vec![]]);
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    #[must_use = "messages that are dropped are in no count"]
    pub fn take_all(&mut self) -> Vec<M> {
        self.home = None;
        take(&mut self.messages)
    }

    /// Returns how many messages are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns how many messages may be kept; `None` if there is no bound.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.capacity
    }
}

impl<M: Send + 'static> Default for Stash<M> {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Send + 'static> Drop for Stash<M> {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give_back(self.messages.drain(..));
        }
    }
}

impl<M: Send + 'static> fmt::Debug for Stash<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stash").field("len", &self.len()).field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
