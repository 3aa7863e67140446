//! The mailbox word: one pointer-sized atomic that holds the newest message and decides who schedules.
//!
//! | word | mailbox | right to run |
//! |---|---|---|
//! | `IDLE` | empty | nobody's: whoever moves the word away from `IDLE` has the duty to schedule |
//! | `APART` | the same, of an actor with a thread of its own | nobody's: it goes to that thread, and no short way to a worker |
//! | `null` | empty | somebody holds it (queued or running) |
//! | node | newest message, linked to the older ones | somebody holds it |
//! | `CLOSED` | refuses for good | somebody holds it, or the actor's end |
//!
//! Two low bits ride on `null` and on a node, never on `IDLE`, `APART` or `CLOSED`. `SIGNAL`: the control flags were written;
//! set by anyone, kept by pushers, cleared by the take, and while it is set no exchange to `IDLE` succeeds. `DRAIN`:
//! pushers are refused from now on, and the next take turns the word to `CLOSED`.
//!
//! Every transition is one compare-exchange (or one swap, for the close), and returns what it leaves to do.

use super::node::Node;
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::fmt;
use std::ptr::{null_mut, without_provenance_mut};

/// The control flags were written since the last take.
const SIGNAL: usize = 1;
/// Refuse pushes; the next take closes.
const DRAIN: usize = 2;
const TAGS: usize = SIGNAL | DRAIN;
/// Empty, and nobody has the right to run.
const IDLE: usize = 4;
/// As `IDLE`, of an actor with a thread of its own. Not `SIGNAL`: it rides on neither.
const APART: usize = IDLE | SIGNAL;
/// Refuses for good.
const CLOSED: usize = 8;

// Nodes are aligned to 16, so every tag and sentinel is free.
const _: () = assert!(align_of::<Node>() > CLOSED);

/// What the word was seen to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(*mut Node);

impl Seen {
    #[inline(always)]
    pub(crate) fn is_idle(self) -> bool {
        self.0.addr() & !SIGNAL == IDLE
    }

    /// Idle, and of an actor with a thread of its own.
    pub(crate) fn is_apart(self) -> bool {
        self.0.addr() == APART
    }

    /// Closed, or about to be: a push is refused.
    #[inline(always)]
    pub(crate) fn refuses(self) -> bool {
        self.0.addr() & (CLOSED | DRAIN) != 0
    }

    /// Empty, and somebody has the right to run; no signal, no drain.
    #[inline(always)]
    pub(crate) fn is_quiet(self) -> bool {
        self.0.is_null()
    }

    #[inline(always)]
    pub(crate) fn is_closed(self) -> bool {
        self.0.addr() == CLOSED
    }

    #[inline(always)]
    pub(crate) fn signalled(self) -> bool {
        self.0.addr() & SIGNAL != 0
    }

    /// A drain was asked for, and this take closed the mailbox.
    #[inline(always)]
    pub(crate) fn drains(self) -> bool {
        self.tags() & DRAIN != 0
    }

    #[inline(always)]
    fn is_untagged_node(self) -> bool {
        self.0.addr() & (align_of::<Node>() - 1) == 0
    }

    /// `IDLE`, or messages, or none, of an actor that somebody has the right to run: no signal, no drain, nothing apart.
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        // A node has no bit that is low.
        self.0.addr() & (align_of::<Node>() - 1) & !IDLE == 0
    }

    /// As [`below`](Self::below), of a word that is plain.
    #[inline(always)]
    pub(crate) fn below_plain(self) -> *mut Node {
        self.0.map_addr(|a| a & !IDLE)
    }

    /// The newest message, without tags; null when there is none.
    #[inline(always)]
    pub(crate) fn newest(self) -> *mut Node {
        let address = self.0.addr();
        if self.is_idle() || address == CLOSED { null_mut() } else { self.0.map_addr(|a| a & !TAGS) }
    }

    /// What a push links its chain to. Not for a word that refuses.
    #[inline(always)]
    pub(crate) fn below(self) -> *mut Node {
        if self.is_idle() { null_mut() } else { self.0.map_addr(|a| a & !SIGNAL) }
    }

    /// The one node that this word is, if it is an untagged node.
    #[inline(always)]
    pub(crate) fn lone(self) -> *mut Node {
        if self.is_untagged_node() { self.0 } else { null_mut() }
    }

    fn tags(self) -> usize {
        let address = self.0.addr();
        if self.is_idle() || address == CLOSED { 0 } else { address & TAGS }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.addr() {
            IDLE => f.write_str("IDLE"),
            APART => f.write_str("APART"),
            CLOSED => f.write_str("CLOSED"),
            _ => {
                let name = if self.newest().is_null() { "scheduled" } else { "node" };
                let signal = if self.signalled() { "+SIGNAL" } else { "" };
                let drain = if self.tags() & DRAIN != 0 { "+DRAIN" } else { "" };
                write!(f, "{name}{signal}{drain}")
            }
        }
    }
}

/// What a push found.
#[must_use = "a push into an idle mailbox leaves the duty to schedule"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Somebody else has the right to run and will see the message.
    Queued,
    /// The caller has the duty to schedule.
    WasIdle,
    /// The same, of an actor with a thread of its own: not by a worker's queues.
    WasApart,
    /// Refused: the message is still the caller's.
    Closed,
}

/// What a signal or a drain found.
#[must_use = "a signal to an idle mailbox leaves the duty to schedule"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signalled {
    /// Somebody else has the right to run and will look.
    Noted,
    /// The caller has the duty to schedule.
    WasIdle,
    /// The word is closed: the life word takes signals now.
    Closed,
}

/// The atomic cell of the word.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(AtomicPtr<Node>);

impl Word {
    /// A word whose maker has the right to run.
    pub(crate) fn scheduled() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// A word that refuses from the start.
    pub(crate) fn closed() -> Self {
        Self(AtomicPtr::new(without_provenance_mut(CLOSED)))
    }

    /// A look that decides nothing; what acts on it is a compare-exchange.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Seen {
        // Ordering: Relaxed. A stale value makes a following exchange fail, or a send take the slower of two right paths.
        Seen(self.0.load(Ordering::Relaxed))
    }

    /// The consumer's look at a message that it will run in place.
    #[inline(always)]
    pub(crate) fn look(&self) -> Seen {
        // Ordering: Acquire pairs with the Release of `try_push`: the node behind the pointer is fully written.
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Takes the right to run an idle actor, whose mailbox stays empty. Fails if the word is not `IDLE`.
    #[inline(always)]
    #[must_use = "the right to run"]
    pub(crate) fn claim(&self) -> bool {
        let idle = without_provenance_mut(IDLE);
        // Ordering: Acquire pairs with the Release of `go_idle`, as in `try_push`. Nothing is published: what the caller gives
        // the actor goes with the right to run.
        self.0.compare_exchange(idle, null_mut(), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// The same of an actor that was seen to be idle, also of one with a thread of its own: for a look.
    #[must_use = "the right to run"]
    pub(super) fn claim_as(&self, seen: Seen) -> bool {
        // Ordering: as in `claim`.
        seen.is_idle() && self.0.compare_exchange(seen.0, null_mut(), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Puts `newest` on top, whose chain is linked to [`Seen::below`]. Fails if the word is no longer `seen`.
    #[inline(always)]
    pub(crate) fn try_push(&self, seen: Seen, newest: *mut Node) -> Result<Pushed, Seen> {
        debug_assert!(!seen.refuses());
        let idle = seen.is_idle();
        let new = if idle { newest } else { newest.map_addr(|a| a | (seen.0.addr() & SIGNAL)) };
        // Ordering: Release publishes the node to `take` and `look`. Acquire pairs with the Release of `go_idle`: who finds
        // IDLE hands the right to run on, and with it all that the last activation wrote. Relaxed on failure: the value is
        // only compared with.
        match self.0.compare_exchange(seen.0, new, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) if idle => Ok(if seen.is_apart() { Pushed::WasApart } else { Pushed::WasIdle }),
            Ok(_) => Ok(Pushed::Queued),
            Err(now) => Err(Seen(now)),
        }
    }

    /// As [`try_push`](Self::try_push), on a word that was seen to be plain. If it was idle, the caller has the duty to schedule.
    #[inline(always)]
    #[must_use = "on failure the message is still the caller's"]
    pub(crate) fn try_push_plain(&self, seen: Seen, newest: *mut Node) -> bool {
        debug_assert!(seen.is_plain());
        // Ordering: as there.
        self.0.compare_exchange(seen.0, newest, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes all messages. Only the holder of the right to run. Clears `SIGNAL`; turns `DRAIN` into `CLOSED`.
    #[inline]
    pub(crate) fn take(&self) -> Seen {
        let mut seen = self.peek();
        loop {
            debug_assert!(!seen.is_idle());
            if seen.is_closed() {
                return seen;
            }
            let new = if seen.tags() & DRAIN != 0 { without_provenance_mut(CLOSED) } else { null_mut() };
            // Ordering: Acquire pairs with the Release of `try_push` (the nodes) and of `signal` (the control flags). What this
            // stores publishes nothing: the consumer's state travels with `go_idle`.
            match self.0.compare_exchange(seen.0, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return seen,
                Err(now) => seen = Seen(now),
            }
        }
    }

    /// Takes the messages in the consumer's place, who will look again: it finds `SIGNAL`. Nothing from a mailbox that refuses.
    /// Only while the consumer neither takes nor closes.
    pub(crate) fn lift(&self) -> Seen {
        let mut seen = self.peek();
        loop {
            if seen.refuses() || seen.newest().is_null() {
                return Seen(null_mut());
            }
            // Ordering: Acquire pairs with the Release of `try_push`: the nodes. Release as in `mark`: nothing but the bit is new.
            match self.0.compare_exchange(seen.0, without_provenance_mut(SIGNAL), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return seen,
                Err(now) => seen = Seen(now),
            }
        }
    }

    /// Gives up the right to run if nothing has come. Only its holder, with an empty private list.
    #[inline(always)]
    #[must_use = "on failure the right to run is still the caller's"]
    pub(crate) fn go_idle(&self) -> bool {
        self.leave(null_mut())
    }

    /// Gives up the right to run if `spent`, a message already handled in place, is still all there is.
    #[inline(always)]
    #[must_use = "on failure the right to run is still the caller's"]
    pub(crate) fn go_idle_over(&self, spent: *mut Node) -> bool {
        debug_assert!(!spent.is_null());
        self.leave(spent)
    }

    /// As [`go_idle`](Self::go_idle), of an actor with a thread of its own.
    #[must_use = "on failure the right to run is still the caller's"]
    pub(crate) fn go_apart(&self) -> bool {
        self.leave_apart(null_mut())
    }

    /// As [`go_idle_over`](Self::go_idle_over), of an actor with a thread of its own.
    #[must_use = "on failure the right to run is still the caller's"]
    pub(crate) fn go_apart_over(&self, spent: *mut Node) -> bool {
        self.leave_apart(spent)
    }

    fn leave_apart(&self, from: *mut Node) -> bool {
        let apart = without_provenance_mut(APART);
        // Ordering: as in `leave`.
        self.0.compare_exchange(from, apart, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    fn leave(&self, from: *mut Node) -> bool {
        // Ordering: Release publishes this activation to whoever finds IDLE (`try_push`, `signal`). Relaxed on failure: `take`
        // follows.
        self.0.compare_exchange(from, without_provenance_mut(IDLE), Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Refuses from now on and takes what is left. Only the holder of the right to run.
    pub(crate) fn close(&self) -> Seen {
        // Ordering: Acquire pairs with `try_push` (the nodes) and `signal` (the flags). What this stores publishes nothing:
        // whoever is refused learns only that.
        Seen(self.0.swap(without_provenance_mut(CLOSED), Ordering::Acquire))
    }

    /// Announces that the control flags were written.
    pub(crate) fn signal(&self) -> Signalled {
        self.mark(SIGNAL)
    }

    /// Refuses pushes from now on; what is queued stays to be taken.
    pub(crate) fn drain(&self) -> Signalled {
        self.mark(DRAIN)
    }

    fn mark(&self, tag: usize) -> Signalled {
        let mut seen = self.peek();
        loop {
            if seen.is_closed() {
                return Signalled::Closed;
            }
            let new = if seen.is_idle() { without_provenance_mut(tag) } else { seen.0.map_addr(|a| a | tag) };
            // Ordering: Release publishes the control flags to `take`; Acquire as in `try_push`, for the duty that IDLE leaves.
            // The exchange is made even if the bit is set already: a load alone would not be ordered after the flags, and the
            // consumer might have read them just before.
            match self.0.compare_exchange(seen.0, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if seen.is_idle() => return Signalled::WasIdle,
                Ok(_) => return Signalled::Noted,
                Err(now) => seen = Seen(now),
            }
        }
    }
}
