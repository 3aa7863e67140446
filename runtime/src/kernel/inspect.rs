//! A look at an actor from outside.
//!
//! Promise: whoever looks sees what the actor is between two pieces of user code, or is told nothing; the actor, its senders
//! and its supervisor go on as if nobody had looked.
//!
//! How: who has the right to run an actor may read all of it (C2). An idle actor's is taken for a moment, by the same exchange
//! that a sender makes, and given back by the one that its own turn makes; if something has come meanwhile, who looks has the
//! duty to schedule, as a turn has. Likewise on the life word, of one that waits there, and of one that lingers. One that is busy is asked by a bit of
//! its control word, and tells by itself after the message that it handles. Whoever is in a handler tells nothing, and is seen
//! as far as its words are atomic.
//!
//! Gives up: a count of messages that goes on for ever.

use super::cell::{CellRef, Header, Phase, Runnable, control};
use super::credits::Credits;
use super::node::Node;
use super::watch::ActorId;
use crate::sync::Text;
use std::ptr::NonNull;

/// Messages of a mailbox that are counted at most: a count reads each of them.
pub(crate) const COUNTED: usize = 1 << 16;

/// An actor as it was seen.
#[derive(Clone)]
pub(crate) struct Card {
    pub(crate) id: ActorId,
    pub(crate) type_name: &'static str,
    pub(crate) name: Option<Text>,
    pub(crate) sight: Sight,
    /// Messages that it has begun to handle.
    pub(crate) handled: u64,
    /// Restarts that have begun.
    pub(crate) restarts: u32,
}

/// How much was seen.
#[derive(Clone)]
pub(crate) enum Sight {
    /// All of it.
    Whole {
        phase: Phase,
        /// It had nothing to do.
        idle: bool,
        /// Messages that wait, [`COUNTED`] at most.
        mailbox: usize,
        /// Those that have not ended, and some that have.
        children: Vec<CellRef>,
    },
    /// What anybody may read.
    Words {
        /// It takes no more messages.
        refuses: bool,
    },
}

impl CellRef {
    /// Looks at an actor that nobody runs, nor is to run. `None` if somebody does.
    pub(crate) fn inspect(&self) -> Option<Card> {
        let header = self.header();
        let seen = header.word().peek();
        if header.word().claim_as(seen) {
            let card = self.look(true);
            if !(if seen.is_apart() { header.word().go_apart() } else { header.word().go_idle() }) {
                self.reschedule();
            }
            return Some(card);
        }
        if let Some(runnable) = header.claim_lingering() {
            // Something may have come while it went there.
            let card = self.look(header.word().peek().is_quiet());
            if let Err(runnable) = runnable.let_go() {
                header.hub().schedule(runnable);
            }
            return Some(card);
        }
        if header.life.claim() {
            let card = self.look(false);
            if !header.life.wait() {
                self.reschedule();
            }
            return Some(card);
        }
        None
    }

    /// The right to run, which the caller has, becomes the system's.
    #[cold]
    fn reschedule(&self) {
        // SAFETY: only `inspect` calls this, which has claimed it and could not give it back.
        let runnable = unsafe { Runnable::new(self.raw()) };
        self.header().hub().schedule(runnable);
    }

    /// For `inspect`, which has the right to run.
    fn look(&self, idle: bool) -> Card {
        let header = self.header();
        #[cfg(loom)]
        header.turns.with_mut(|_| ());
        header.clear_bits(control::REPORT);
        // SAFETY: the right to run is the caller's.
        unsafe { header.card(idle, 0) }
    }

    /// Asks an actor that is busy to tell of itself after the message that it handles.
    pub(crate) fn ask_report(&self) {
        self.header().note_bits(control::REPORT);
    }

    /// Whether the actor has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.header().has_ended()
    }

    /// What anybody may read of it.
    pub(crate) fn words(&self) -> Card {
        let header = self.header();
        header.card_with(Sight::Words { refuses: header.word().peek().refuses() })
    }
}

impl Runnable {
    /// Looks at an actor that waits for its turn.
    pub(crate) fn inspect(&self) -> Card {
        // SAFETY: the right to run is lent.
        unsafe { self.header().card(false, 0) }
    }
}

impl Header {
    /// Tells of the actor, if it was asked to. Of what is in the mailbox, `spent` has been handled.
    #[cold]
    pub(super) fn report(&self, spent: usize) {
        self.clear_bits(control::REPORT);
        // SAFETY: called in the actor's own turn.
        let card = unsafe { self.card(false, spent) };
        self.hub().reported(card);
    }

    /// # Safety
    /// 1. The caller has the right to run (C2), and is in no piece of user code.
    unsafe fn card(&self, idle: bool, spent: usize) -> Card {
        let children = self.children.with(|children| {
            // SAFETY: C2, passed on to the caller.
            unsafe { &*children }.to_vec()
        });
        // SAFETY: passed on to the caller.
        let mailbox = unsafe { self.waiting() }.saturating_sub(spent);
        self.card_with(Sight::Whole { phase: self.phase.get(), idle, mailbox, children })
    }

    fn card_with(&self, sight: Sight) -> Card {
        let (handled, restarts) = (self.handled.read(), self.incarnation());
        Card { id: self.id(), type_name: self.type_name(), name: self.name().cloned(), sight, handled, restarts }
    }

    /// Counts the messages that wait.
    ///
    /// # Safety
    /// 1. The caller has the right to run: nobody else takes messages out (M2).
    unsafe fn waiting(&self) -> usize {
        // SAFETY: the list is the consumer's (M1), and stays so.
        let own = unsafe { length(self.list.first()) };
        // SAFETY: nobody else takes messages out, unless the list of those that wait is shared.
        let stack = || unsafe { length(NonNull::new(self.word().look().newest())) };
        let others = match self.credits().and_then(Credits::oldest) {
            Some(oldest) => oldest.count(stack),
            None => stack(),
        };
        (own + others).min(COUNTED)
    }
}

/// Counts the nodes from this one on, [`COUNTED`] at most.
///
/// # Safety
/// 1. The nodes are linked to each other, and stay so until this returns.
pub(super) unsafe fn length(first: Option<NonNull<Node>>) -> usize {
    let (mut node, mut count) = (first, 0);
    while let Some(this) = node.filter(|_| count < COUNTED) {
        count += 1;
        // SAFETY: passed on to the caller.
        node = NonNull::new(unsafe { Node::next(this) });
    }
    count
}
