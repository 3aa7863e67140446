//! The credits of a bounded mailbox: how many messages may wait in it, and who waits for room.
//!
//! Promise: no more messages hold a credit than there are credits. Who waits for one gets it in the order of asking, as soon
//! as one comes back, or learns that the mailbox is closed; who gives up gives back what it was granted.
//!
//! How: one word on a cache line of its own, which only bounded actors have: the free credits, and a bit that says that
//! somebody waits. Those who wait are in a queue under a lock, which nobody comes to while no one waits. While the bit is set
//! a free credit is not for those who come by, so nobody is overtaken.
//!
//! | word | who | step | word after | duty |
//! |---|---|---|---|---|
//! | free, no `WAITED` | sender | take | one less | to send it with a message, or to give it back |
//! | none free, or `WAITED` | sender | take | the same | the mailbox is full |
//! | no `WAITED` | who begins to handle, or drops | give | one more | none |
//! | `WAITED` | the same | give | one more | to serve the queue |
//! | any | who waits, with the lock, in the queue | set `WAITED` | + `WAITED` | if one was free: to serve the queue |
//! | any | who serves, gives up or closes, with the lock, the queue is empty | clear `WAITED` | - `WAITED` | none |
//!
//! Gives up: fairness between those who wait and those who send and are refused: the latter are not in the queue.

use super::guard::guarded;
use super::oldest::Oldest;
use super::outbox;
use super::parcel::Reserved;
use super::watch::ActorId;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};
use std::collections::{BTreeSet, VecDeque};
use std::task::Waker;

/// Somebody waits.
const WAITED: usize = 1;
/// One free credit.
const ONE: usize = 2;
/// The largest bound: that many of the smallest nodes are 32 GiB.
pub(crate) const MOST: usize = 1 << 30;

/// What a bounded mailbox does with a message for which there is no room. There is an example at
/// [`Mailbox`](crate::Mailbox).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// The sender gets it back: [`TellError::Full`](crate::TellError::Full).
    Reject,
    /// It becomes a dead letter, and the sender is not told.
    DropNewest,
    /// The message that has waited longest becomes a dead letter and makes room, and the sender is not told.
    ///
    /// Such a mailbox takes a short lock for each message that is handled, and for each that finds no room.
    DropOldest,
}

/// The notice that there is room in a mailbox that was full, or that its actor takes nothing any more: an ordinary message,
/// for `Handler<Writable>`. One for each call of [`Context::notify_writable`](crate::Context::notify_writable), where there is
/// an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Writable {
    /// Whose mailbox it is.
    pub id: ActorId,
}

/// How many messages may wait, and what happens to more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// From 1 to [`MOST`].
    pub(crate) limit: usize,
    pub(crate) overflow: Overflow,
}

/// See the [module](self).
#[repr(C, align(64))]
pub(crate) struct Credits {
    word: AtomicUsize,
    bound: Bound,
    queue: Mutex<Queue>,
    /// For [`Overflow::DropOldest`].
    oldest: Option<Oldest>,
}

/// Those who wait for room.
struct Queue {
    closed: bool,
    next: u64,
    /// By ticket, in order.
    waiting: VecDeque<(u64, Waiting)>,
    /// Tickets that have a credit, which their owners have not seen yet.
    granted: BTreeSet<u64>,
}

enum Waiting {
    /// Wants a credit.
    Sender(Waker),
    /// Wants to be told.
    Actor(Reserved<Writable>, ActorId),
}

impl Waiting {
    fn tell(self) {
        match self {
            // Foreign code: its panic is not the actor's.
            Self::Sender(waker) => drop(guarded(|| waker.wake())),
            Self::Actor(notice, id) => {
                notice.cell().header().hub().count_sent(1);
                notice.send(Writable { id });
            }
        }
    }
}

/// A place in the queue.
#[derive(Debug)]
pub(crate) struct Ticket(u64);

/// What one who wants a credit gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a credit that was granted is to be used, or given back"]
pub(crate) enum Turn {
    /// A credit.
    Granted,
    /// Nothing: its waker will be woken.
    Wait,
    /// Nothing for ever.
    Closed,
}

impl Credits {
    pub(super) fn new(bound: Bound) -> Self {
        debug_assert!((1..=MOST).contains(&bound.limit));
        let queue = Queue { closed: false, next: 0, waiting: VecDeque::new(), granted: BTreeSet::new() };
        let oldest = (bound.overflow == Overflow::DropOldest).then(Oldest::new);
        Self { word: AtomicUsize::new(bound.limit * ONE), bound, queue: Mutex::new(queue), oldest }
    }

    #[inline]
    pub(crate) fn overflow(&self) -> Overflow {
        self.bound.overflow
    }

    #[inline]
    pub(crate) fn limit(&self) -> usize {
        self.bound.limit
    }

    /// What an actor whose oldest messages may be dropped has more.
    #[inline]
    pub(super) fn oldest(&self) -> Option<&Oldest> {
        self.oldest.as_ref()
    }

    /// Takes up to `wanted` credits. Returns how many.
    #[inline]
    pub(crate) fn take(&self, wanted: usize) -> usize {
        self.take_unless(wanted, WAITED)
    }

    /// Takes one that may be due to somebody who waits: for that one, or in place of a message that was to be dropped.
    pub(super) fn take_any(&self) -> bool {
        self.take_unless(1, 0) == 1
    }

    #[inline]
    fn take_unless(&self, wanted: usize, mark: usize) -> usize {
        // Ordering: Relaxed: a stale value makes the exchange fail, or is that of a moment before a credit came back.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let taken = wanted.min(seen / ONE);
            if taken == 0 || seen & mark != 0 {
                return 0;
            }
            // Ordering: Relaxed, both: it only counts. What a message carries goes with its push.
            match self.word.compare_exchange_weak(seen, seen - taken * ONE, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return taken,
                Err(now) => seen = now,
            }
        }
    }

    /// Gives credits back, and serves those who wait.
    #[inline]
    pub(crate) fn give(&self, count: usize) {
        if self.give_silently(count) {
            self.serve();
        }
    }

    /// Gives credits back. Whether somebody waits for one, and the caller is to [serve](Self::serve) them.
    #[inline]
    #[must_use = "who waits is to be served"]
    pub(super) fn give_silently(&self, count: usize) -> bool {
        // Ordering: Relaxed: who sets WAITED and who gives back do it on this one word, so one of them sees the other.
        let before = self.word.fetch_add(count * ONE, Ordering::Relaxed);
        debug_assert!(before / ONE + count <= self.bound.limit, "a credit comes back once");
        before & WAITED != 0
    }

    /// Grants what is free to those who wait, in order. Runs user code: never under a lock.
    #[cold]
    #[inline(never)]
    pub(super) fn serve(&self) {
        loop {
            // The lock is let go at the end of this line.
            let next = self.queue.lock().next(self);
            let Some(next) = next else { break };
            next.tell();
        }
        // A waker may have sent.
        outbox::settle();
    }

    /// Takes a credit, or a place in the queue; asks whether the credit has come for one who has a place.
    pub(crate) fn wait(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Turn {
        // Foreign code, as is the drop of what is left of it.
        let mut waker = Some(waker.clone());
        let (turn, room) = self.queue.lock().wait(self, ticket, &mut waker);
        // Guarded: what was granted is on its way to the caller.
        let _ = guarded(|| drop(waker));
        if room {
            self.serve();
        }
        turn
    }

    /// Gives a place in the queue up.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut queue = self.queue.lock();
        if queue.granted.remove(&ticket.0) {
            drop(queue);
            self.give(1);
            return;
        }
        let gone = queue.place(&ticket).and_then(|place| queue.waiting.remove(place));
        queue.mark(self);
        drop(queue);
        // Foreign code.
        let _ = guarded(|| drop(gone));
    }

    /// Has an actor told when there is room in the mailbox of actor `id`, or none will ever be.
    pub(super) fn notify(&self, notice: Reserved<Writable>, id: ActorId) {
        let mut queue = self.queue.lock();
        let waiting = Waiting::Actor(notice, id);
        if queue.closed {
            drop(queue);
            waiting.tell();
        } else {
            queue.push(waiting);
            let room = queue.mark(self);
            drop(queue);
            if room {
                self.serve();
            }
        }
    }

    /// The same for a mailbox without a bound: at once.
    pub(super) fn always(notice: Reserved<Writable>, id: ActorId) {
        Waiting::Actor(notice, id).tell();
    }

    /// The mailbox refuses from now on: wakes all who wait.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let all = std::mem::take(&mut queue.waiting);
        queue.mark(self);
        drop(queue);
        all.into_iter().for_each(|(_, waiting)| waiting.tell());
        outbox::settle();
    }
}

impl Queue {
    /// Says in the word whether somebody waits. Whether a credit was free then.
    fn mark(&mut self, credits: &Credits) -> bool {
        let before = if self.waiting.is_empty() {
            // Ordering: Relaxed: under the lock, with the queue that it tells of.
            credits.word.fetch_and(!WAITED, Ordering::Relaxed)
        } else {
            // Ordering: Relaxed: see `give_silently`.
            credits.word.fetch_or(WAITED, Ordering::Relaxed)
        };
        before >= ONE
    }

    fn push(&mut self, waiting: Waiting) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.waiting.push_back((ticket, waiting));
        ticket
    }

    fn place(&self, ticket: &Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket.0, |&(number, _)| number).ok()
    }

    /// See [`Credits::wait`]. The second: whether the queue is to be served.
    fn wait(&mut self, credits: &Credits, ticket: &mut Option<Ticket>, waker: &mut Option<Waker>) -> (Turn, bool) {
        if let Some(mine) = ticket {
            if self.granted.remove(&mine.0) {
                *ticket = None;
                return (Turn::Granted, false);
            }
            if let Some(place) = self.place(mine) {
                if let (_, Waiting::Sender(old)) = &mut self.waiting[place] {
                    // The old one is dropped by the caller, outside the lock.
                    if let Some(new) = waker {
                        std::mem::swap(old, new);
                    }
                }
                return (Turn::Wait, false);
            }
            *ticket = None;
        }
        if self.closed {
            return (Turn::Closed, false);
        }
        if self.waiting.is_empty() && credits.take_any() {
            return (Turn::Granted, false);
        }
        if let Some(waker) = waker.take() {
            *ticket = Some(Ticket(self.push(Waiting::Sender(waker))));
        }
        (Turn::Wait, self.mark(credits))
    }

    /// Takes the first one out that can be served, and grants it a credit if it wants one.
    fn next(&mut self, credits: &Credits) -> Option<Waiting> {
        let granted = match self.waiting.front()? {
            (ticket, Waiting::Sender(_)) => credits.take_any().then(|| self.granted.insert(*ticket)).is_some(),
            // Ordering: Relaxed: who brings a later one comes here after it.
            (_, Waiting::Actor(..)) => credits.word.load(Ordering::Relaxed) >= ONE,
        };
        if !granted {
            return None;
        }
        let (_, first) = self.waiting.pop_front()?;
        self.mark(credits);
        Some(first)
    }
}
