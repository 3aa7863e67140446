//! Who is told of an actor's end, and what they are told.
//!
//! Promise: one [`Terminated`] per watch, also when the watched actor has long gone; the node that carries it is
//! reserved when the watch begins, so the end allocates nothing.
//!
//! How: a list under a lock, beside the cell and only for actors that are watched. Watching is rare; a lock-free list could
//! not forget a watch that is taken back.

use super::cell::CellRef;
use super::parcel::Reserved;
use crate::sync::{Mutex, Text};
use std::fmt;

/// The identity of an actor: unique among the actors of its system, and never used again.
///
/// # Examples
/// ```
/// # struct Idler;
/// # impl cuelight::Actor for Idler {}
/// let system = cuelight::System::builder().workers(1).build()?;
/// let (a, b) = (system.spawn(Idler), system.spawn(Idler));
/// assert_ne!(a.id(), b.id());
/// assert_eq!(a.id(), a.clone().id());
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(pub(crate) u64);

impl ActorId {
    /// Returns the number behind the identity: for logs; it tells nothing of age or order.
    ///
    /// # Examples
    /// ```
    /// # struct Idler;
    /// # impl cuelight::Actor for Idler {}
    /// let system = cuelight::System::builder().workers(1).build()?;
    /// let id = system.spawn(Idler).id();
    /// assert_eq!(id.to_string(), format!("#{}", id.get()));
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Why an actor ended.
///
/// # Examples
/// ```
/// use cuelight::StopReason;
/// assert_eq!(StopReason::Panicked("out of cheese".into()).to_string(), "panicked: out of cheese");
/// assert_eq!(StopReason::Drained.to_string(), "drained");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// It was stopped, by itself or by another.
    Stopped,
    /// It was drained: what was queued has been handled.
    Drained,
    /// Its code panicked, with this message.
    Panicked(Text),
    /// A child failed, and was not to be restarted; the text says which, and why.
    Escalated(Text),
    /// The actor that spawned it ended, is ending, or restarts.
    ParentStopped,
    /// Its system is shutting down.
    SystemShutdown,
    /// An actor that it was linked with has ended.
    Linked,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Drained => f.write_str("drained"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Escalated(message) => write!(f, "escalated: {message}"),
            Self::ParentStopped => f.write_str("parent stopped"),
            Self::SystemShutdown => f.write_str("system shut down"),
            Self::Linked => f.write_str("linked actor ended"),
        }
    }
}

/// The notice that a watched actor has ended: an ordinary message, for `Handler<Terminated>`.
///
/// It comes after everything that the ended actor sent to the watcher, and after its `stopped`. One for each call of
/// [`Context::watch`](crate::Context::watch), where there is a whole example; a watcher that has ended gets none. And one for
/// each link of an actor that [traps](crate::Context::trap_links) them.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, StopReason, System, Terminated};
///
/// struct Child;
/// impl Actor for Child {}
/// impl Handler<()> for Child {
///     type Reply = ();
///     fn handle(&mut self, (): (), _: &mut Context<Self>) { panic!("out of cheese") }
/// }
///
/// struct Parent(std::sync::mpsc::Sender<StopReason>);
/// impl Actor for Parent {
///     fn started(&mut self, ctx: &mut Context<Self>) {
///         let child = ctx.spawn(Child);
///         ctx.watch(&child);
///         let _ = child.tell(());
///     }
/// }
/// impl Handler<Terminated> for Parent {
///     type Reply = ();
///     fn handle(&mut self, ended: Terminated, _: &mut Context<Self>) { self.0.send(ended.reason).unwrap() }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let (sender, reasons) = std::sync::mpsc::channel();
/// system.spawn(Parent(sender));
/// assert_eq!(reasons.recv()?, StopReason::Panicked("out of cheese".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terminated {
    /// Who has ended.
    pub id: ActorId,
    /// Why.
    pub reason: StopReason,
}

/// A watch that has not yet been answered.
pub(crate) struct Watch {
    /// The notice's node, bound to the watcher.
    pub(crate) notice: Reserved<Terminated>,
}

/// The watches of one actor.
pub(crate) struct Watchers {
    state: Mutex<State>,
    /// What the actor's code panicked with.
    panic: Mutex<Option<Text>>,
}

enum State {
    Open(Vec<Watch>),
    Ended(StopReason),
}

impl Watchers {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Open(Vec::new())), panic: Mutex::new(None) }
    }

    /// Remembers what the actor's code panicked with.
    pub(crate) fn note_panic(&self, message: Text) {
        *self.panic.lock() = Some(message);
    }

    /// What the actor's code panicked with.
    pub(crate) fn panic(&self) -> Option<Text> {
        self.panic.lock().clone()
    }

    /// Adds a watch. If the actor has ended, gives it back with the reason.
    pub(crate) fn add(&self, watch: Watch) -> Result<(), (Watch, StopReason)> {
        match &mut *self.state.lock() {
            State::Open(watches) => {
                watches.push(watch);
                Ok(())
            }
            State::Ended(reason) => Err((watch, reason.clone())),
        }
    }

    /// Takes the watches of one watcher back. Identities would not do: a watcher may be of another system.
    pub(crate) fn remove(&self, watcher: &CellRef) -> Vec<Watch> {
        match &mut *self.state.lock() {
            State::Open(watches) => {
                let (gone, kept) = std::mem::take(watches)
                    .into_iter()
                    .partition(|watch| watch.notice.cell().address() == watcher.address());
                *watches = kept;
                gone
            }
            State::Ended(_) => Vec::new(),
        }
    }

    /// Whether the list has been ended.
    pub(crate) fn have_been_told(&self) -> bool {
        matches!(*self.state.lock(), State::Ended(_))
    }

    /// Ends the list: the caller tells those that it gets.
    pub(crate) fn end(&self, reason: StopReason) -> Vec<Watch> {
        match std::mem::replace(&mut *self.state.lock(), State::Ended(reason)) {
            State::Open(watches) => watches,
            State::Ended(_) => Vec::new(),
        }
    }
}
