//! The books of a run: what becomes of every message, by its identity, and what is counted beside them.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Identities in a long run.
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
/// A timer's message that was taken back.
pub(crate) const CANCELLED: u8 = 16;
const DROPPED: u8 = 32;
/// What kind it is: neither bit for a message that somebody sends, both for a copy of one.
const CONTINUATION: u8 = 64;
const TIMER: u8 = 128;
const COPY: u8 = CONTINUATION | TIMER;

/// How an identity gets into the system.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Kind {
    /// It is sent, and so counted, whatever becomes of it.
    Message = 0,
    /// It is what a handler's ask goes on with: sent when the outcome is there.
    Continuation = CONTINUATION,
    /// It is sent by the clock, if it is not taken back before.
    Timer = TIMER,
    /// It takes a message's place whose handler has panicked, and is sent only then.
    Copy = COPY,
}

/// What happened, in numbers. Those of the ledger; the public ones are held against them.
#[derive(Clone, Copy)]
pub(crate) enum Tally {
    Watches,
    /// Notices that were handled.
    Notices,
    Panics,
    Kills,
    /// Asks whose time was up.
    Timeouts,
    /// Letters of messages that were lost, and those of them that were notices.
    Lost,
    LostNotices,
    /// Letters of continuations whose actor had been restarted.
    Restarted,
    ReceiptsMade,
    ReceiptsDropped,
    Errors,
}

/// The books of one run. Static, so that a message needs no counted reference to it.
pub(crate) struct Ledger {
    marks: [AtomicU8; ROOM],
    pub(crate) next: AtomicU64,
    pub(crate) senders: AtomicU64,
    goal: AtomicU64,
    tallies: [AtomicU64; Tally::Errors as usize + 1],
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
            tallies: [const { AtomicU64::new(0) }; Tally::Errors as usize + 1],
            over: AtomicBool::new(false),
        }
    }

    /// Empties the books for a new run.
    pub(crate) fn open(&self, goal: u64) {
        for mark in self.used() {
            // Ordering: Relaxed, also below: nobody else is there between two runs; threads are made and joined around it.
            mark.store(0, Ordering::Relaxed);
        }
        for counter in self.tallies.iter().chain([&self.next, &self.senders]) {
            counter.store(0, Ordering::Relaxed);
        }
        self.goal.store(goal, Ordering::Relaxed);
        self.over.store(false, Ordering::Relaxed);
    }

    fn used(&self) -> &[AtomicU8] {
        &self.marks[..read(&self.next).min(ROOM as u64) as usize]
    }

    pub(crate) fn count(&self, tally: Tally) {
        add(&self.tallies[tally as usize], 1);
    }

    pub(crate) fn get(&self, tally: Tally) -> u64 {
        read(&self.tallies[tally as usize])
    }

    /// Notes what must not be.
    pub(crate) fn wrong(&self, what: std::fmt::Arguments<'_>) {
        println!("  {what}");
        self.count(Tally::Errors);
    }

    fn mark(&self, id: u64, mark: u8, not: u8) {
        // Ordering: AcqRel: marks of one identity are seen in their order.
        let before = self.marks[id as usize].fetch_or(mark, Ordering::AcqRel);
        if before & CREATED == 0 || before & not != 0 {
            self.wrong(format_args!("message {id}: {mark:#b} after {before:#010b}"));
        }
    }

    /// Notes that a timer's message was taken back. It may have been dropped by now, also as a dead letter: the mailbox of an
    /// actor that drains has refused it.
    pub(crate) fn cancelled(&self, id: u64) {
        self.mark(id, CANCELLED, HANDLED | RETURNED | CANCELLED);
    }

    /// Takes identities for a sender.
    pub(crate) fn block(&self) -> std::ops::Range<u64> {
        self.take(BLOCK)
    }

    fn take(&self, count: u64) -> std::ops::Range<u64> {
        let first = add(&self.next, count);
        assert!(first + count <= ROOM as u64, "the ledger is full");
        first..first + count
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

    /// Whether every message that was made has been dropped.
    pub(crate) fn is_empty(&self) -> bool {
        // Ordering: Acquire pairs with `mark`.
        self.used().iter().map(|mark| mark.load(Ordering::Acquire)).all(|mark| mark == 0 || mark & DROPPED != 0)
    }

    /// What became of all messages, which must be gone.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (id, mark) in self.used().iter().enumerate() {
            // Ordering: Acquire pairs with `mark`.
            let mark = mark.load(Ordering::Acquire);
            if mark == 0 {
                continue;
            }
            assert!(mark & DROPPED != 0, "message {id} was not dropped: {mark:#010b}");
            let kind = match mark & (CONTINUATION | TIMER) {
                0 => &mut sums.messages,
                CONTINUATION => &mut sums.continuations,
                TIMER => &mut sums.timers,
                _ => &mut sums.copies,
            };
            kind.made += 1;
            kind.handled += u64::from(mark & HANDLED != 0);
            kind.letters += u64::from(mark & LETTER != 0);
            kind.unhandled += u64::from(mark & HANDLED == 0);
            kind.lost += u64::from(mark & (HANDLED | RETURNED) == 0);
            sums.returned += u64::from(mark & RETURNED != 0);
            sums.cancelled += u64::from(mark & CANCELLED != 0);
        }
        sums
    }
}

/// What became of the messages of one kind.
#[derive(Default)]
pub(crate) struct Sum {
    pub(crate) made: u64,
    pub(crate) handled: u64,
    pub(crate) unhandled: u64,
    /// Neither handled nor given back.
    pub(crate) lost: u64,
    /// Seen as dead letters.
    pub(crate) letters: u64,
}

#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) messages: Sum,
    pub(crate) continuations: Sum,
    pub(crate) timers: Sum,
    pub(crate) copies: Sum,
    pub(crate) returned: u64,
    pub(crate) cancelled: u64,
}

/// An identity, and the mark of its drop.
pub(crate) struct Entry {
    pub(crate) ledger: &'static Ledger,
    pub(crate) id: u64,
}

impl Entry {
    pub(crate) fn new(ledger: &'static Ledger, id: u64, kind: Kind) -> Self {
        // Ordering: AcqRel, as in `mark`.
        let before = ledger.marks[id as usize].swap(CREATED | kind as u8, Ordering::AcqRel);
        assert_eq!(before, 0, "an identity is given out once");
        Self { ledger, id }
    }

    /// Notes its fate.
    pub(crate) fn is(&self, fate: u8) {
        // What was taken back when it was queued is dead-lettered all the same if its actor ends.
        let taken_back = if fate == LETTER { 0 } else { CANCELLED };
        self.ledger.mark(self.id, fate, HANDLED | RETURNED | LETTER | DROPPED | taken_back);
    }

    /// Another one, for a timer's next message or for a copy.
    pub(crate) fn again(&self, kind: Kind) -> Self {
        Self::new(self.ledger, self.ledger.take(1).start, kind)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ledger.mark(self.id, DROPPED, DROPPED);
    }
}

/// A reply.
pub(crate) struct Receipt {
    ledger: &'static Ledger,
    pub(crate) id: u64,
}

impl Receipt {
    pub(crate) fn new(ledger: &'static Ledger, id: u64) -> Self {
        ledger.count(Tally::ReceiptsMade);
        Self { ledger, id }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.ledger.count(Tally::ReceiptsDropped);
    }
}
