//! Sends to actors whose mailbox has a bound.
//!
//! Promise: a message that is sent has a credit before the send returns, on whatever way; one that gets none comes back, or is
//! a dead letter. How: the credit is taken before the push. It comes back when the message is handled or dropped, or at once
//! if the push is refused: a message that has not been sent has none.

use super::cell::CellRef;
use super::credits::{Credits, Overflow};
use super::oldest::{Displaced, Room};
use super::outbox;
use super::parcel::{Chain, Duty, Parcel};
use super::schedule::Loss;
use super::slot::Slot;
use super::tap;

/// What a sender gets that wants one message to wait.
enum Entry<'a> {
    /// A credit.
    Free,
    /// That of the oldest message, which has none any more.
    InPlaceOf(#[allow(dead_code, reason = "its drop is what matters")] Displaced<'a>),
    Full,
}

/// Takes up to `wanted` credits, unless the thread's tap wants the mailbox to be full.
fn take(cell: &CellRef, credits: &Credits, wanted: usize) -> usize {
    if tap::wants_full(cell) { 0 } else { credits.take(wanted) }
}

/// Takes a credit, or makes room.
fn enter<'a>(cell: &'a CellRef, credits: &Credits) -> Entry<'a> {
    if take(cell, credits, 1) == 1 {
        return Entry::Free;
    }
    match credits.oldest().map(|oldest| oldest.displace(cell.header(), credits)) {
        Some(Room::Of(oldest)) => Entry::InPlaceOf(oldest),
        Some(Room::Free) => Entry::Free,
        Some(Room::None) | None => Entry::Full,
    }
}

impl<M> Parcel<'_, M> {
    /// Sends a message, by the ways of [`Parcel::send_next`] if the caller is a worker, whose `slot` this is, and of
    /// [`Parcel::send`]. The receiver's mailbox has these credits.
    pub(crate) fn send_bounded(self, credits: &Credits, slot: Option<&Slot>) -> Result<Duty, Self> {
        let cell = self.to();
        if cell.header().word().peek().refuses() {
            return Err(self);
        }
        if credits.oldest().is_some() {
            return self.send_displacing(credits, true);
        }
        if take(cell, credits, 1) == 0 {
            return self.overflow(credits.overflow() == Overflow::Reject);
        }
        let sent = match slot {
            None => self.send(),
            Some(slot) => match self.send_next(slot, None) {
                Ok(()) => Ok(None),
                Err(parcel) => parcel.send(),
            },
        };
        sent.inspect_err(|_| credits.give(1))
    }

    /// Sends a request; one that finds no room is dead-lettered.
    pub(crate) fn send_request(self, credits: &Credits) -> Result<Duty, Self> {
        let cell = self.to();
        if cell.header().word().peek().refuses() {
            return Err(self);
        }
        if credits.oldest().is_some() {
            return self.send_displacing(credits, false);
        }
        if take(cell, credits, 1) == 0 {
            return self.overflow(false);
        }
        self.send_paid(credits)
    }

    /// Sends a dead letter; one that finds no room comes back: it must not displace another one, which would be the next.
    pub(crate) fn send_letter(self, credits: &Credits) -> Result<Duty, Self> {
        if credits.take(1) == 0 { Err(self) } else { self.send_paid(credits) }
    }

    /// Sends a message for which the caller has taken a credit, after all that this thread has sent before.
    pub(crate) fn send_paid(self, credits: &Credits) -> Result<Duty, Self> {
        self.send_after_flush().inspect_err(|_| credits.give(1))
    }

    /// There is no room.
    #[cold]
    fn overflow(self, reject: bool) -> Result<Duty, Self> {
        // What is held here has credits, too: a handler that tries again is not to wait for itself.
        outbox::flush_before();
        if reject {
            return Err(self);
        }
        self.lose(Loss::Full);
        Ok(None)
    }

    /// Sends at once, in place of the oldest message if need be: what is held could not be found by those who look for that.
    fn send_displacing(self, credits: &Credits, losable: bool) -> Result<Duty, Self> {
        let entry = enter(self.to(), credits);
        if matches!(entry, Entry::Full) {
            // As if it had come before those that are being sent now, and had made room for one of them.
            return self.overflow(false);
        }
        let sent = if outbox::flush_before() {
            self.tapped(losable)
        } else {
            outbox::forget_last();
            self.push()
        };
        // The one that was displaced is buried when `entry` is dropped, after this one has its place.
        sent.inspect_err(|_| credits.give(1))
    }
}

impl<'a, M: Send + 'static> Chain<'a, M> {
    /// Sends what finds room, the oldest of it, with one exchange; unless the receiver refuses, and the first result is all
    /// that it refused. The second is what comes back because there was no room.
    pub(crate) fn send_bounded(self, credits: &Credits) -> (Result<Duty, Self>, Option<Self>) {
        if self.to().header().word().peek().refuses() {
            return (Err(self), None);
        }
        match credits.overflow() {
            Overflow::DropOldest => (self.send_displacing(credits), None),
            overflow => self.send_part(credits, overflow == Overflow::Reject),
        }
    }

    fn send_part(mut self, credits: &Credits, reject: bool) -> (Result<Duty, Self>, Option<Self>) {
        let taken = take(self.to(), credits, self.len());
        let rest = self.split(taken);
        let sent = self.send().inspect_err(|_| credits.give(taken));
        if reject || sent.is_err() || rest.len() == 0 {
            return (sent, Some(rest));
        }
        rest.lose(Loss::Full);
        (sent, None)
    }

    fn send_displacing(mut self, credits: &Credits) -> Result<Duty, Self> {
        let cell = self.to();
        // What the newer ones would displace.
        self = self.only_newest(credits.limit());
        let mut entries = Vec::new();
        let mut room = take(cell, credits, self.len());
        while room < self.len() {
            match enter(cell, credits) {
                Entry::Full => break,
                entry => entries.push(entry),
            }
            room += 1;
        }
        self = self.only_newest(room);
        self.send().inspect_err(|refused| credits.give(refused.len()))
    }

    /// Makes all but the newest dead letters.
    fn only_newest(mut self, most: usize) -> Self {
        let older = self.len().saturating_sub(most);
        if older == 0 {
            return self;
        }
        let newest = self.split(older);
        self.lose(Loss::Full);
        newest
    }
}
