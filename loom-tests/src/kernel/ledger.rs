//! The ledger of a model: what was made, what became of it, in which order.
//!
//! It is kept with `std`'s locks, which loom does not see: writing it orders nothing in the model.

use cuelight::dev_hooks::kernel::{self, Root};
use cuelight::dev_hooks::sync::cell::UnsafeCell;
use cuelight::{StopReason, Terminated};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What stands for a notice in the order of messages.
pub const NOTICE: u32 = 1_000;

/// Something that loom watches: two touches of it must be ordered, or the model fails.
#[derive(Debug)]
pub struct Trace(UnsafeCell<()>);

// SAFETY: there is nothing behind the cell to race for.
unsafe impl Sync for Trace {}

impl Default for Trace {
    fn default() -> Self {
        Self(UnsafeCell::new(()))
    }
}

impl Trace {
    /// A use that excludes all others.
    pub fn touch(&self) {
        self.0.with_mut(|_| ());
    }

    /// A use that others may share.
    pub fn look(&self) {
        self.0.with(|_| ());
    }
}

/// A message with an identity and a counted drop.
#[derive(Debug)]
pub struct Token {
    id: u32,
    trace: Trace,
    ledger: Ledger,
}

impl Token {
    /// Returns its identity.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Records that it came back to its sender.
    pub fn returned(self) {
        self.trace.touch();
        self.ledger.fate(self.id, Fate::Returned);
    }

    /// Records that an actor handles it.
    pub fn handled(&self, by: u64) {
        self.trace.touch();
        self.ledger.fate(self.id, Fate::Handled);
        self.ledger.books().order.push((by, self.id));
    }

    /// Records, before it is dropped, that it will never be sent.
    #[must_use]
    pub fn kept(self) -> Self {
        self.ledger.fate(self.id, Fate::Kept);
        self
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // A race shows as a drop that is missing, should a panic end here be caught.
        self.trace.touch();
        self.ledger.books().token(self.id).drops += 1;
    }
}

/// What became of a message; what was only dropped was buried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Handled,
    Returned,
    Letter,
    Kept,
}

#[derive(Debug, Default)]
struct Entry {
    made: u32,
    drops: u32,
    fates: Vec<Fate>,
}

#[derive(Default)]
struct Books {
    tokens: BTreeMap<u32, Entry>,
    order: Vec<(u64, u32)>,
    roots: BTreeMap<u64, Root>,
    notices: Vec<(u64, StopReason)>,
    ends: Vec<(u64, StopReason)>,
    faults: Vec<String>,
    spawned: u64,
    states: u64,
    sent: u64,
    returned: u64,
    handling: u64,
    buried: u64,
    panicked: u64,
    ended: u64,
    late: u64,
    systems: u64,
    resumed: u64,
    noted: bool,
    restarts: u64,
    escalated: u64,
}

impl Books {
    fn token(&mut self, id: u32) -> &mut Entry {
        self.tokens.entry(id).or_default()
    }
}

#[derive(Debug)]
struct Settings {
    letters: bool,
    batch: u32,
}

/// The ledger. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    books: Arc<Mutex<Books>>,
    settings: Arc<Settings>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

/// What a model expects besides what always holds.
#[derive(Debug, Default, Clone, Copy)]
pub struct Expected {
    /// Handlers that panic on purpose.
    pub panics: u64,
    /// Actors that end without a state, so without `stopped`.
    pub bare: u64,
}

impl Ledger {
    pub(super) fn new(letters: bool, batch: u32) -> Self {
        Self { books: Arc::default(), settings: Arc::new(Settings { letters, batch }) }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a message.
    #[must_use]
    pub fn token(&self, id: u32) -> Token {
        self.books().token(id).made += 1;
        Token { id, trace: Trace::default(), ledger: self.clone() }
    }

    fn fate(&self, id: u32, fate: Fate) {
        self.books().token(id).fates.push(fate);
    }

    /// Records what must not happen; the model fails when it is checked.
    pub fn fault(&self, what: impl Into<String>) {
        self.books().faults.push(what.into());
    }

    pub(super) fn spawned(&self) {
        self.books().spawned += 1;
    }

    pub(super) fn stopped(&self, id: u64, reason: &StopReason) {
        self.books().ends.push((id, reason.clone()));
    }

    pub(super) fn state_dropped(&self) {
        self.books().states += 1;
    }

    pub(super) fn resumed_one(&self) {
        self.books().resumed += 1;
    }

    pub(super) fn noticed(&self, by: u64, notice: &Terminated) {
        let mut books = self.books();
        books.notices.push((notice.id.get(), notice.reason.clone()));
        books.order.push((by, NOTICE));
    }

    /// The messages handled so far, in order.
    #[must_use]
    pub fn order(&self) -> Vec<u32> {
        self.books().order.iter().map(|(_, id)| *id).collect()
    }

    /// Those that one actor has handled.
    #[must_use]
    pub fn order_of(&self, actor: u64) -> Vec<u32> {
        self.books().order.iter().filter(|(by, _)| *by == actor).map(|(_, id)| *id).collect()
    }

    /// The notices received so far.
    #[must_use]
    pub fn notices(&self) -> Vec<(u64, StopReason)> {
        self.books().notices.clone()
    }

    /// Why an actor ended, if it has.
    #[must_use]
    pub fn end_of(&self, id: u64) -> Option<StopReason> {
        self.books().ends.iter().find(|(other, _)| *other == id).map(|(_, reason)| reason.clone())
    }

    /// The actors that have ended, in order.
    #[must_use]
    pub fn ends(&self) -> Vec<u64> {
        self.books().ends.iter().map(|(id, _)| *id).collect()
    }

    /// Messages that became dead letters, apart from those whose handler panicked.
    #[must_use]
    pub fn buried(&self) -> u64 {
        self.books().buried
    }

    /// Keeps a remark of the model's.
    pub fn note(&self, remark: bool) {
        self.books().noted = remark;
    }

    /// The model's remark.
    #[must_use]
    pub fn noted(&self) -> bool {
        self.books().noted
    }

    /// Continuations that have run, and timers that have come.
    #[must_use]
    pub fn resumed(&self) -> u64 {
        self.books().resumed
    }

    /// Actors made anew.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.books().restarts
    }

    /// Failures that have reached the root.
    #[must_use]
    pub fn escalated(&self) -> u64 {
        self.books().escalated
    }

    /// Replies that came too late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.books().late
    }

    /// Checks what always holds once every actor has ended, and nothing refers to the system any more.
    ///
    /// # Panics
    /// If it does not hold.
    pub fn check(&self, expected: Expected) {
        let books = self.books();
        assert_eq!(books.faults, Vec::<String>::new());
        assert_eq!(books.panicked, expected.panics, "handlers that panicked");
        let mut buried = 0;
        for (id, entry) in &books.tokens {
            assert_eq!(entry.made, 1, "message {id}: made");
            assert_eq!(entry.drops, 1, "message {id}: dropped ({:?})", entry.fates);
            assert!(entry.fates.len() < 2, "message {id}: two fates {:?}", entry.fates);
            if entry.fates.is_empty() || entry.fates == [Fate::Letter] {
                buried += 1;
            }
        }
        assert!(buried <= books.buried, "{buried} messages vanished, {} were dead-lettered", books.buried);
        assert_eq!(
            books.sent,
            books.handling + books.returned + books.buried,
            "sent = handled + returned + dead-lettered"
        );
        assert_eq!(books.systems, 0, "the system is still there");
        assert_eq!(books.ended, books.spawned - books.restarts, "ends");
        assert_eq!(books.ends.len() as u64, books.ended - expected.bare, "calls of `stopped`");
        assert_eq!(books.states, books.spawned, "states dropped");
        assert!(books.roots.is_empty(), "a root was not let go");
    }

    /// Checks that the messages of each producer were handled in the order of their sending: identities are
    /// `producer * 10 + number`.
    ///
    /// # Panics
    /// If they were not.
    pub fn check_order(&self) {
        let order = self.order();
        for (at, later) in order.iter().enumerate() {
            for earlier in &order[..at] {
                assert!(earlier / 10 != later / 10 || earlier < later, "out of order: {order:?}");
            }
        }
    }
}

/// What the kernel holds as its system: watched, so that its end comes after all its uses.
pub struct House {
    ledger: Ledger,
    trace: Trace,
}

impl std::fmt::Debug for House {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("House")
    }
}

impl House {
    pub(super) fn new(ledger: Ledger) -> Self {
        ledger.books().systems += 1;
        Self { ledger, trace: Trace::default() }
    }

    /// A use of the system.
    pub fn look(&self) {
        self.trace.look();
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.look();
        self.ledger.books()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.trace.touch();
        self.ledger.books().systems -= 1;
    }
}

impl kernel::Ledger for House {
    fn keep(&self, id: u64, root: Root) {
        assert!(self.books().roots.insert(id, root).is_none());
    }

    fn ended_root(&self, id: u64) -> Option<Root> {
        let root = self.books().roots.remove(&id);
        if root.is_none() {
            self.ledger.fault(format!("actor {id} ended twice"));
        }
        root
    }

    fn sent(&self, count: u64) {
        self.books().sent += count;
    }

    fn returned(&self, count: u64) {
        self.books().returned += count;
    }

    fn handling(&self) {
        self.books().handling += 1;
    }

    fn lost(&self, handled: bool, payload: Option<Box<dyn Any + Send>>) {
        let mut books = self.books();
        if handled {
            books.panicked += 1;
        } else {
            books.buried += 1;
        }
        drop(books);
        if let Some(token) = payload.and_then(|payload| payload.downcast::<Token>().ok()) {
            token.trace.touch();
            self.ledger.fate(token.id, Fate::Letter);
        }
    }

    fn keeps_letters(&self) -> bool {
        self.ledger.settings.letters
    }

    fn late_reply(&self) {
        self.books().late += 1;
    }

    fn ended(&self) {
        self.books().ended += 1;
    }

    fn restarted(&self) {
        self.books().restarts += 1;
    }

    fn escalated(&self) {
        self.books().escalated += 1;
    }

    fn batch(&self) -> u32 {
        self.ledger.settings.batch
    }
}
