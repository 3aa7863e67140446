//! The stage of a model: one small system, the threads that run it, the end that checks the ledger.

use super::ledger::{Expected, House, Ledger, Token};
use super::probe::{Attempt, Probe};
use super::rule::{Waits, restarts};
use crate::thread;
use cuelight::dev_hooks::kernel::{Slot, System, leave_thread, unsent};
use cuelight::{ActorRef, Ask, AskError, Handler, Overflow, Tell, TellError};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A system and its ledger.
#[derive(Clone)]
pub struct Stage {
    system: System<House>,
    ledger: Ledger,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stage")
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// Makes one whose dead letters are dropped where they are made.
    #[must_use]
    pub fn new() -> Self {
        Self::with(false, 64)
    }

    /// Makes one whose dead letters keep their payload if `letters`, and whose turns handle at most `batch` messages.
    #[must_use]
    pub fn with(letters: bool, batch: u32) -> Self {
        let ledger = Ledger::new(letters, batch);
        Self { system: System::new(House::new(ledger.clone())), ledger }
    }

    /// Returns the ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns the system.
    #[must_use]
    pub fn system(&self) -> &System<House> {
        &self.system
    }

    /// Makes a message.
    #[must_use]
    pub fn token(&self, id: u32) -> Token {
        self.ledger.token(id)
    }

    /// Spawns an actor, which is idle when this returns.
    #[must_use]
    pub fn idle(&self, id: u64) -> ActorRef<Probe> {
        let probe = self.queued(id);
        self.system.run();
        probe
    }

    /// Spawns an actor, which waits for its first turn on this thread.
    #[must_use]
    pub fn queued(&self, id: u64) -> ActorRef<Probe> {
        self.system.spawn(Probe::new(id, &self.ledger), id)
    }

    /// Spawns an actor that is restarted, which is idle when this returns.
    #[must_use]
    pub fn restarted(&self, id: u64, waits: &Waits) -> ActorRef<Probe> {
        let (probe, restarts) = restarts(id, &self.ledger, waits);
        let probe = self.system.spawn_restarted(probe, id, restarts);
        self.system.run();
        probe
    }

    /// Spawns an actor whose mailbox is bounded, and which waits for its first turn on this thread.
    #[must_use]
    pub fn bounded(&self, id: u64, limit: usize, overflow: Overflow) -> ActorRef<Probe> {
        self.system.spawn_bounded(Probe::new(id, &self.ledger), id, limit, overflow)
    }

    /// Spawns an actor that is restarted and tries again what has failed, once; it is idle when this returns.
    #[must_use]
    pub fn retrying(&self, id: u64, waits: &Waits) -> ActorRef<Probe> {
        let (probe, restarts) = restarts(id, &self.ledger, waits);
        let probe = self.system.spawn_restarted(probe, id, restarts.retry::<Attempt>(1));
        self.system.run();
        probe
    }

    /// Sends a message, and records it if it comes back.
    pub fn tell(&self, to: &ActorRef<Probe>, id: u32) {
        if let Err(refused) = to.tell(self.token(id)) {
            refused.into_message().returned();
        }
    }

    /// Sends a message as the worker does whose slot this is, and records it if it comes back.
    pub fn send(&self, slot: &Slot, to: &ActorRef<Probe>, id: u32) {
        if let Err(refused) = slot.send(&self.system, to, self.token(id)) {
            refused.into_message().returned();
        }
    }

    /// Sends messages as one chain, and records those that come back.
    pub fn tell_all(&self, to: &ActorRef<Probe>, ids: &[u32]) {
        match to.send_all(ids.iter().map(|id| self.token(*id))) {
            Ok(count) => assert_eq!(count, ids.len()),
            Err(refused) => refused.into_messages().into_iter().for_each(Token::returned),
        }
    }

    /// Sends a message of another kind; it must be taken.
    pub fn order<M: Send + 'static>(&self, to: &ActorRef<Probe>, message: M)
    where
        Probe: Handler<M>,
    {
        assert!(to.tell(message).is_ok(), "refused");
    }

    /// Binds a message to its receiver, and drops it unsent.
    pub fn unsent(&self, to: &ActorRef<Probe>, id: u32) {
        unsent(to, self.token(id).kept());
    }

    /// Runs `script` on a thread of its own, and then what it has become that thread's duty to run.
    pub fn thread(&self, script: impl FnOnce(&Self) + Send + 'static) -> thread::JoinHandle<()> {
        let stage = self.clone();
        thread::spawn(move || {
            stage.system.work(|| script(&stage));
            drop(stage);
            leave_thread();
        })
    }

    /// The same on the calling thread.
    pub fn here(&self, script: impl FnOnce(&Self)) {
        self.system.work(|| script(self));
    }

    /// Lets go of the system, and then waits for the threads.
    pub fn leave<const T: usize>(self, threads: [thread::JoinHandle<()>; T]) {
        drop(self.system);
        for thread in threads {
            thread.join().unwrap();
        }
        leave_thread();
    }

    /// Waits for the threads, stops the actors, and checks the ledger.
    pub fn end<const T: usize, const A: usize>(
        self,
        threads: [thread::JoinHandle<()>; T],
        actors: [ActorRef<Probe>; A],
        expected: Expected,
    ) {
        for thread in threads {
            thread.join().unwrap();
        }
        self.system.run();
        for actor in &actors {
            actor.stop();
        }
        self.system.run();
        drop(actors);
        drop(self.system);
        leave_thread();
        self.ledger.check(expected);
    }
}

/// A waker that counts.
#[derive(Debug, Default)]
pub struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Ordering: Relaxed: read after the threads have been joined.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    /// Makes one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns how often it was woken so far.
    #[must_use]
    pub fn count(&self) -> usize {
        // Ordering: Relaxed: see `wake_by_ref`.
        self.0.load(Ordering::Relaxed)
    }

    /// Polls an ask with this waker.
    pub fn poll<R>(self: &Arc<Self>, ask: &mut Ask<R>) -> Poll<Result<R, AskError>> {
        Self::poll_with(&Waker::from(self.clone()), ask)
    }

    /// Polls an ask with any waker.
    pub fn poll_with<R>(waker: &Waker, ask: &mut Ask<R>) -> Poll<Result<R, AskError>> {
        pin!(ask).as_mut().poll(&mut Context::from_waker(waker))
    }

    /// Polls a send that waits for room.
    pub fn poll_tell(self: &Arc<Self>, tell: &mut Tell<Token>) -> Poll<Result<(), TellError<Token>>> {
        pin!(tell).as_mut().poll(&mut Context::from_waker(&Waker::from(self.clone())))
    }
}
