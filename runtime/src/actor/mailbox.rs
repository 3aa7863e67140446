//! How many messages may wait for an actor.

use super::{Actor, ActorBuilder};
use crate::error::SpawnError;
use crate::kernel::credits::{Bound, MOST, Overflow};

/// How many messages may wait for an actor, for [`ActorBuilder::mailbox`]. Any number, unless it is set.
///
/// What counts are the messages that wait: those that `tell`, `send_all`, `ask` and the like have sent, from the return of the
/// send until their handling begins, or until they are dropped. Every send counts, on whatever way, also while it is
/// held in a handler's row of sends. Outside the bound are what an actor asks for itself, and so limits itself: notices as
/// [`Terminated`](crate::Terminated), continuations of [`Context::ask`](crate::Context::ask), and the messages of its timers, of
/// which each has one in flight at most.
///
/// A send to a bounded mailbox takes a credit, by an exchange on a cache line that no other has, and the one that handles the
/// message gives it back; with [`Overflow::DropOldest`] a lock comes on top. A restart keeps the mailbox, and its bound.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, Mailbox, Overflow, Simulation, TellError};
///
/// struct Sum(u32);
/// impl Actor for Sum {}
/// impl Handler<u32> for Sum {
///     type Reply = u32;
///     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 { self.0 += n; self.0 }
/// }
///
/// // In a simulation nothing is handled until somebody waits.
/// let sim = Simulation::builder().build()?;
/// let bounded = |overflow| sim.actor(|| Sum(0)).mailbox(Mailbox::bounded(2, overflow)).spawn();
///
/// let sum = bounded(Overflow::Reject)?;
/// assert_eq!([1, 2, 3].map(|n| sum.tell(n)), [Ok(()), Ok(()), Err(TellError::Full(3))]);
/// sim.run_until_idle()?;
/// assert_eq!(sum.ask(0).wait()?, 1 + 2);
///
/// let sum = bounded(Overflow::DropNewest)?;
/// assert_eq!([1, 2, 3].map(|n| sum.tell(n)), [Ok(()); 3]);
/// sim.run_until_idle()?;
/// assert_eq!(sum.ask(0).wait()?, 1 + 2);
///
/// let sum = bounded(Overflow::DropOldest)?;
/// assert_eq!([1, 2, 3].map(|n| sum.tell(n)), [Ok(()); 3]);
/// sim.run_until_idle()?;
/// assert_eq!(sum.ask(0).wait()?, 2 + 3);
/// assert_eq!(sim.counters().dead_lettered, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[must_use = "a mailbox is for `ActorBuilder::mailbox`"]
pub struct Mailbox {
    bound: Option<(usize, Overflow)>,
}

impl Mailbox {
    /// Lets at most `messages` wait, 1 to 2^30, and says what happens to more. What is not allowed is an error of
    /// [`ActorBuilder::spawn`]. There is an example above.
    pub const fn bounded(messages: usize, overflow: Overflow) -> Self {
        Self { bound: Some((messages, overflow)) }
    }

    /// Lets any number wait: a sender that is faster than the actor fills memory.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(cuelight::Mailbox::unbounded(), cuelight::Mailbox::default());
    /// ```
    pub const fn unbounded() -> Self {
        Self { bound: None }
    }

    fn check(self) -> Result<Option<Bound>, SpawnError> {
        match self.bound {
            Some((asked, _)) if asked == 0 || asked > MOST => Err(SpawnError::Mailbox { asked, most: MOST }),
            bound => Ok(bound.map(|(limit, overflow)| Bound { limit, overflow })),
        }
    }
}

impl<A: Actor, F: FnMut() -> A + Send + 'static> ActorBuilder<'_, A, F> {
    /// Says how many messages may wait for the actor. Costs one allocation of two cache lines, and another one, if it has
    /// neither name nor restart, for a bounded one.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Mailbox, Overflow, SpawnError, System};
    /// # struct Idler;
    /// # impl Actor for Idler {}
    /// let system = System::builder().workers(1).build()?;
    /// assert!(system.actor(|| Idler).mailbox(Mailbox::bounded(1000, Overflow::Reject)).spawn().is_ok());
    /// let error = system.actor(|| Idler).mailbox(Mailbox::bounded(0, Overflow::Reject)).spawn().unwrap_err();
    /// assert_eq!(error.to_string(), "a mailbox bounded to 0 messages: at least 1 and at most 1073741824 are allowed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.set_bound(mailbox.check());
        self
    }
}
