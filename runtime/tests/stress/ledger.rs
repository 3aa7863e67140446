//! The books of a run: what becomes of every message, by its identity.

use crate::Task;
use cuelight::Counters;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Identities in a run.
pub(crate) const RUN: u64 = 1_200_000;
/// Room beyond that: for what is under way when the run is over, and for blocks that are not used up.
const ROOM: usize = RUN as usize + 800_000;
/// Identities that a sender takes at a time.
const BLOCK: u64 = 16;
const CREATED: u8 = 1;
pub(crate) const HANDLED: u8 = 2;
pub(crate) const RETURNED: u8 = 4;
/// Seen by the listener to dead letters.
pub(crate) const LETTER: u8 = 8;
const DROPPED: u8 = 16;

/// The books of one run. Static, so that a message needs no counted reference to it.
pub(crate) struct Ledger {
    marks: [AtomicU8; ROOM],
    pub(crate) next: AtomicU64,
    pub(crate) senders: AtomicU64,
    goal: AtomicU64,
    receipts_made: AtomicU64,
    receipts_dropped: AtomicU64,
    pub(crate) watches: AtomicU64,
    pub(crate) notices: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) errors: AtomicU64,
    over: AtomicBool,
}

/// One for each test, which may run at the same time.
pub(crate) static LEDGERS: [Ledger; 3] = [const { Ledger::new() }; 3];

pub(crate) fn add(counter: &AtomicU64, count: u64) -> u64 {
    // Ordering: AcqRel: whoever reads the count has seen what came before it.
    counter.fetch_add(count, Ordering::AcqRel)
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    // Ordering: Acquire pairs with `add`.
    counter.load(Ordering::Acquire)
}

impl Ledger {
    const fn new() -> Self {
        Self {
            marks: [const { AtomicU8::new(0) }; ROOM],
            next: AtomicU64::new(0),
            senders: AtomicU64::new(0),
            goal: AtomicU64::new(0),
            receipts_made: AtomicU64::new(0),
            receipts_dropped: AtomicU64::new(0),
            watches: AtomicU64::new(0),
            notices: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// Empties the books for a new run.
    pub(crate) fn open(&self, goal: u64) {
        for mark in &self.marks[..read(&self.next).min(ROOM as u64) as usize] {
            // Ordering: Relaxed, also below: nobody else is there between two runs; threads are made and joined around it.
            mark.store(0, Ordering::Relaxed);
        }
        let counters = [&self.next, &self.senders, &self.receipts_made, &self.receipts_dropped];
        for counter in counters.into_iter().chain([&self.watches, &self.notices, &self.panics, &self.errors]) {
            counter.store(0, Ordering::Relaxed);
        }
        self.goal.store(goal, Ordering::Relaxed);
        self.over.store(false, Ordering::Relaxed);
    }

    fn mark(&self, id: u64, mark: u8, not: u8) {
        // Ordering: AcqRel: marks of one identity are seen in their order.
        let before = self.marks[id as usize].fetch_or(mark, Ordering::AcqRel);
        if before & CREATED == 0 || before & not != 0 {
            println!("message {id}: {mark} after {before:05b}");
            add(&self.errors, 1);
        }
    }

    /// Takes identities for a sender.
    pub(crate) fn block(&self) -> std::ops::Range<u64> {
        let first = add(&self.next, BLOCK);
        assert!(first + BLOCK <= ROOM as u64, "the ledger is full");
        first..first + BLOCK
    }

    /// The first mark of an identity.
    pub(crate) fn create(&self, id: u64) {
        // Ordering: AcqRel, as in `mark`.
        assert_eq!(self.marks[id as usize].swap(CREATED, Ordering::AcqRel), 0);
    }

    /// Whether the run has made all the messages that it is to make.
    pub(crate) fn is_over(&self) -> bool {
        // Ordering: Relaxed: only whether to go on; the goal is constant during a run.
        self.next.load(Ordering::Relaxed) >= self.goal.load(Ordering::Relaxed) || self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn finish(&self) {
        // Ordering: Relaxed: only whether to go on.
        self.over.store(true, Ordering::Relaxed);
    }
}

/// A message.
pub(crate) struct Load {
    pub(crate) ledger: &'static Ledger,
    pub(crate) id: u64,
    pub(crate) sender: u64,
    /// Its place among what this sender has sent to this receiver.
    pub(crate) place: u64,
    pub(crate) task: Task,
}

impl Load {
    /// Notes its fate.
    pub(crate) fn is(&self, fate: u8) {
        self.ledger.mark(self.id, fate, HANDLED | RETURNED | LETTER | DROPPED);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ledger.mark(self.id, DROPPED, DROPPED);
    }
}

/// A reply.
pub(crate) struct Receipt {
    pub(crate) ledger: &'static Ledger,
    pub(crate) id: u64,
}

impl Receipt {
    pub(crate) fn new(ledger: &'static Ledger, id: u64) -> Self {
        add(&ledger.receipts_made, 1);
        Self { ledger, id }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        add(&self.ledger.receipts_dropped, 1);
    }
}

/// Holds the books against each other.
pub(crate) fn audit(ledger: &Ledger, counters: &Counters) {
    let (mut created, mut handled, mut returned, mut lost, mut letters) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    for (id, mark) in ledger.marks[..read(&ledger.next) as usize].iter().enumerate() {
        // Ordering: Acquire pairs with `mark`; all threads have been joined.
        let mark = mark.load(Ordering::Acquire);
        if mark == 0 {
            continue;
        }
        assert!(mark & DROPPED != 0, "message {id} was not dropped: {mark:05b}");
        created += 1;
        handled += u64::from(mark & HANDLED != 0);
        returned += u64::from(mark & RETURNED != 0);
        letters += u64::from(mark & LETTER != 0);
        lost += u64::from(mark & (HANDLED | RETURNED) == 0);
    }
    let (watches, notices) = (read(&ledger.watches), read(&ledger.notices));
    println!(
        "  {created} messages: {handled} handled, {returned} returned, {lost} lost ({letters} seen); \
         {watches} watches, {} panics, {} late replies",
        read(&ledger.panics),
        counters.late_replies
    );
    assert_eq!(read(&ledger.errors), 0, "errors were printed above");
    assert_eq!(handled + returned + lost, created);
    assert_eq!(read(&ledger.receipts_made), read(&ledger.receipts_dropped));
    // Notices are messages that nobody made here.
    assert_eq!(counters.sent, created + watches, "{counters}");
    assert_eq!(counters.handled, handled + notices, "{counters}");
    assert_eq!(counters.returned, returned, "{counters}");
    assert_eq!(counters.dead_lettered, lost + watches - notices, "{counters}");
}
