//! The runtimes measured, each behind the same two traits.
//!
//! A workload is written once against [`Runtime`] and [`Behaviour`] and compiled anew for each runtime: no `dyn`, no
//! boxing, nothing between a handler and the runtime's own send. A further runtime is one file that implements
//! [`Runtime`], its `mod` line and one line in [`ALL`].
//!
//! Limits: handlers are synchronous, mailboxes unbounded; what a runtime offers beyond that is not seen here.

mod ours;
#[cfg(feature = "tokio")]
mod tokio;

use crate::one;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// Every runtime of this build, ours first.
pub(crate) const ALL: &[Entry] = &[
    Entry::of::<ours::Ours>(),
    #[cfg(feature = "tokio")]
    Entry::of::<tokio::Tokio<false>>(),
    #[cfg(feature = "tokio")]
    Entry::of::<tokio::Tokio<true>>(),
];

/// A system of actors, as much of it as the workloads use.
pub(crate) trait Runtime: Sized + Send + Sync + 'static {
    /// The name on the command line and in tables.
    const NAME: &'static str;
    /// The crate, by which its version is looked up in the lock file.
    const PACKAGE: &'static str;
    /// How it is set up here, for the fairness note.
    const MODE: &'static str;
    /// Whether a quick look has it; a peer's second setting need not be there.
    const QUICK: bool = true;

    /// A reference to an actor; actors hold these and send them.
    type Ref<B: Behaviour<Self>>: Clone + Send + Sync + 'static;
    /// What a handler is lent.
    type Context<B: Behaviour<Self>>;

    /// Starts a system with that many worker threads.
    fn boot(workers: usize) -> Result<Self, String>;
    /// Makes an actor, from outside.
    fn spawn<B: Behaviour<Self>>(&self, behaviour: B) -> Self::Ref<B>;
    /// Makes an actor, from a handler.
    fn spawn_child<P: Behaviour<Self>, B: Behaviour<Self>>(ctx: &mut Self::Context<P>, behaviour: B) -> Self::Ref<B>;
    /// The handler's own actor.
    fn me<B: Behaviour<Self>>(ctx: &Self::Context<B>) -> Self::Ref<B>;
    /// Ends the handler's own actor once the handler returns.
    fn stop<B: Behaviour<Self>>(ctx: &mut Self::Context<B>);
    /// Sends, from a handler or from outside; a refusal goes to [`note_refusal`].
    fn send<B: Behaviour<Self>>(to: &Self::Ref<B>, message: B::Message);

    /// Actors alive now.
    fn live(&self) -> u64;
    /// What the runtime counted since it started, by name.
    fn counters(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
    /// What else must hold after a run.
    fn audit(&self) -> Result<(), String> {
        Ok(())
    }
    /// Ends every actor and thread, or says what holds on.
    fn shutdown(self) -> Result<(), String>;
}

/// An actor: state, a message type and a handler.
pub(crate) trait Behaviour<R: Runtime>: Sized + Send + 'static {
    type Message: Send + 'static;

    fn handle(&mut self, message: Self::Message, ctx: &mut R::Context<Self>);
}

/// One runtime in the table of [`ALL`].
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) quick: bool,
    /// Runs one job in this process.
    pub(crate) run: fn(&one::Job) -> one::Outcome,
}

impl Entry {
    const fn of<R: Runtime>() -> Self {
        Self { name: R::NAME, package: R::PACKAGE, mode: R::MODE, quick: R::QUICK, run: one::run::<R> }
    }

    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|entry| entry.name == name)
    }
}

static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Counts a message that a runtime would not take. No workload here expects one: any makes the run invalid.
#[cold]
fn note_refusal() {
    // Ordering: Relaxed; read after the run's completion, which orders it.
    REFUSED.fetch_add(1, Ordering::Relaxed);
}

/// Messages refused in this process so far.
pub(crate) fn refused() -> u64 {
    // Ordering: Relaxed, see `note_refusal`.
    REFUSED.load(Ordering::Relaxed)
}
