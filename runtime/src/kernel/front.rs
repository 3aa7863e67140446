//! Messages that an actor puts back: they come before what it has queued.
//!
//! Promise: what is put back in a turn is handled next, in order, before all that is in the private list and in the mailbox; a
//! restart in between changes nothing, and a stop buries it. It counts as sent again.
//!
//! How: a list in `ext`, and a bit of the control word that says that there is something in it. It is put before the private
//! list as soon as no message is being handled: until then that one is the first in there, or the mailbox's oldest. Turns look
//! at the control word after each message anyway, so who puts nothing back pays for nothing. A message that is to be tried
//! again stays first: it is being handled still.
//!
//! What a state holds back until it is dropped (a stash) goes the same way if a restart drops it: while it does, the thread
//! knows whose state it is. All of it is done by the holder of the right to run, so there is no protocol between threads.

use super::cell::{Header, Phase, control};
use super::context::Context;
use super::grave::bury_chain;
use super::parcel::{Chain, Port};
use super::retry::Retry;
use super::schedule::Loss;
use super::tap;
use crate::sync::thread_local;
use std::cell::Cell;
use std::ptr::{from_ref, null};

#[cfg(not(loom))]
thread_local! {
    /// Whose state is being dropped by a restart; only compared with.
    static RENEWED: Cell<*const Header> = const { Cell::new(null()) };
}
#[cfg(loom)]
thread_local! {
    static RENEWED: Cell<*const Header> = Cell::new(null());
}

impl<A> Context<A> {
    /// Puts messages to this actor itself before all that it has queued, as soon as this piece of user code has ended.
    pub(crate) fn return_chain<M: Send + 'static>(&mut self, chain: Chain<'_, M>) {
        debug_assert!(std::ptr::eq(chain.to().header(), self.header()));
        self.header().hub().count_sent(chain.len() as u64);
        if self.header().phase.get() > Phase::Draining {
            // It awaits its children, and handles nothing any more.
            return bury(chain);
        }
        // SAFETY: C2: the context is lent to the holder of the right to run.
        unsafe { put_back(chain) };
    }
}

impl<M: Send + 'static> Port<M> {
    /// Messages that their receiver has kept, and whose keeper is dropped: they are put back if that is by its restart, and
    /// dead-lettered otherwise. Any thread.
    #[cold]
    pub(crate) fn give_back(&self, messages: impl IntoIterator<Item = M>) {
        let mut chain = self.chain();
        for message in messages {
            self.add(&mut chain, message);
        }
        self.cell().header().hub().count_sent(chain.len() as u64);
        let renewed = RENEWED.try_with(Cell::get).unwrap_or(null());
        if std::ptr::eq(renewed, self.cell().header()) {
            // SAFETY: C2: this thread drops the actor's state, so it has the right to run.
            unsafe { put_back(chain) };
        } else {
            bury(chain);
        }
    }
}

fn bury<M: Send + 'static>(chain: Chain<'_, M>) {
    let to = chain.to();
    if let Some(newest) = chain.into_nodes() {
        // SAFETY: the chain's nodes are ours (N1), and their payloads are there.
        unsafe { bury_chain(to, newest, Loss::Stopped) };
    }
}

/// Puts counted messages back.
///
/// # Safety
/// 1. The caller has the right to run the chain's receiver (C2).
unsafe fn put_back<M: Send + 'static>(chain: Chain<'_, M>) {
    let to = chain.to();
    let header = to.header();
    if let Some(tap) = tap::current() {
        tap.put_back(to, &chain.pieces());
    }
    if let Some(newest) = chain.into_nodes() {
        // SAFETY: C2, passed on to the caller; the nodes are ours (N1).
        unsafe { header.front().append_chain(newest) };
        header.note_bits(control::FRONT);
    }
}

/// Runs what drops the state of an actor that is to be made anew.
pub(super) fn letting_go<R>(header: &Header, f: impl FnOnce() -> R) -> R {
    let before = RENEWED.with(|renewed| renewed.replace(from_ref(header)));
    let result = f();
    RENEWED.with(|renewed| renewed.set(before));
    result
}

impl Header {
    /// Puts what a piece of user code has put back before what the actor has taken. When no message is being handled.
    ///
    /// # Safety
    /// 1. The caller has the right to run (C2).
    #[inline]
    pub(super) unsafe fn settle_front(&self) {
        if self.control_bits() & control::FRONT != 0 {
            // SAFETY: passed on to the caller.
            unsafe { self.put_front() };
        }
    }

    #[cold]
    unsafe fn put_front(&self) {
        self.clear_bits(control::FRONT);
        // SAFETY: C2, passed on to the caller.
        unsafe { self.list.put_before(self.front(), self.retry().is_some_and(Retry::is_again)) };
    }
}
