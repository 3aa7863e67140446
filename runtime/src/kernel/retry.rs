//! Messages that are tried again when their handler has panicked.
//!
//! Promise: a message of a type for which that was asked is handled again, as a clone, before anything else that the actor
//! has or gets, until its handler returns or has panicked as often as allowed; then it is a dead letter. Whoever asked hears
//! one answer, the last one. Each clone that takes a message's place counts as sent and has one fate; a clone that was not
//! needed counts nowhere.
//!
//! How: all of it happens in turns of the actor itself. Before such a message is handled, a spare is made of it: a message
//! of its own with a clone, bound to the same actor, that nobody else knows. A handler that returns leaves it to be dropped.
//! One that panics has it put first in the private list, where the failed one was; so it waits there while the actor is
//! restarted, and whatever is sent meanwhile is behind it. What an asker waits for stays where it is: the clone goes into the
//! node of the request, and the node stays first. A timer's message comes again without its timer, which has come.
//!
//! | the handler | first in the list afterwards | its dead letter |
//! |---|---|---|
//! | returns | the next one | none |
//! | panics, and it may be tried again | the clone | `Panicked`, with the clone, if the actor ends before its turn |
//! | panics for the last time | the next one | `Poisoned`, with the clone |
//! | is not called, because the clone cannot be made: that panics | the next one | `Panicked`, with the message |
//!
//! Gives up: each message of such a type costs a clone and a node, and the actor the short way of a lone message.
//!
//! # Invariants
//! - **T1** [`Retry::own`] is touched only by the holder of the right to run (C2); no user code runs meanwhile.
//! - **T2** A rule was made for the state type of the cell that it is bound to, by `equip`.
//! - **T3** While `failures` is not zero the first message in the list is a clone, and has failed that often.

use super::ask;
use super::cell::Header;
use super::grave::{Grave, bury_in};
use super::node::{self, Discard, How, Node};
use super::schedule::{ByHandler, Host, Loss, Receive};
use super::tap::Piece;
use crate::sync::cell::UnsafeCell;
use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::{replace, take};
use std::ptr::NonNull;

/// What an actor tries again. Behind `ext`.
pub(super) struct Retry {
    /// Constant.
    rules: Box<[Rule]>,
    /// T1.
    own: UnsafeCell<Own>,
}

/// How messages of one type are tried again.
struct Rule {
    type_id: TypeId,
    most: u32,
    /// Makes a node with a clone of the message, for an actor of the rule's.
    copy: unsafe fn(NonNull<()>) -> NonNull<Node>,
    refill: Refill,
}

/// See [`ask::refill`].
type Refill = unsafe fn(NonNull<Node>, NonNull<u8>);

#[derive(Default)]
struct Own {
    /// T3.
    failures: u32,
    trial: Trial,
}

/// What is known of the message that is being handled.
#[derive(Default)]
enum Trial {
    /// It is not of a type that is tried again.
    #[default]
    Plain,
    /// It is being cloned.
    Copying,
    /// There is a clone of it.
    Spared(Spare),
}

struct Spare {
    node: NonNull<Node>,
    most: u32,
    /// For a request: where its clone goes, and how.
    place: Option<(NonNull<u8>, Refill)>,
}

/// How an actor of type `A` tries messages of one type again.
pub(crate) struct RuleOf<A> {
    rule: Rule,
    state: PhantomData<fn(A)>,
}

impl<A> RuleOf<A> {
    /// Up to `most` times after the first.
    pub(crate) fn new<M: Clone + Send + 'static>(most: u32) -> Self
    where
        A: Receive<M>,
    {
        let rule = Rule { type_id: TypeId::of::<M>(), most, copy: copy::<A, M>, refill: ask::refill::<M> };
        Self { rule, state: PhantomData }
    }

    /// Whether it is about the same type of message.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.rule.type_id == other.rule.type_id
    }
}

/// # Safety
/// 1. The pointer leads to an `M`.
unsafe fn copy<A: Receive<M>, M: Clone + Send + 'static>(message: NonNull<()>) -> NonNull<Node> {
    // SAFETY: passed on to the caller.
    let message = unsafe { message.cast::<M>().as_ref() };
    node::make(0, node::run::<A, M, ByHandler>(), message.clone())
}

impl Retry {
    /// The rules of one actor; `None` without any.
    pub(super) fn new<A>(rules: Vec<RuleOf<A>>) -> Option<Self> {
        let rules: Box<[Rule]> = rules.into_iter().map(|rule| rule.rule).collect();
        (!rules.is_empty()).then(|| Self { rules, own: UnsafeCell::new(Own::default()) })
    }

    /// T1: only for the holder of the right to run; `f` runs no user code.
    fn own<R>(&self, f: impl FnOnce(&mut Own) -> R) -> R {
        self.own.with_mut(|own| {
            // SAFETY: T1.
            f(unsafe { &mut *own })
        })
    }

    /// The first message in the list is about to be handled: makes a spare of it, if it is of a type that is tried again.
    /// Returns whether its handler has panicked before. What the clone panics with goes on to the caller.
    ///
    /// # Safety
    /// 1. The caller has the right to run the cell that this belongs to, and the node is first in its list.
    pub(super) unsafe fn begin(&self, node: NonNull<Node>) -> bool {
        let mut discard = Discard::new(How::Peek);
        // SAFETY: the caller's; it stays as it is, and so does its fate.
        let _ = unsafe { Node::discard(node, &mut discard) };
        let Some(peeked) = discard.peeked else { return false };
        let Some(rule) = self.rules.iter().find(|rule| rule.type_id == peeked.type_id) else { return false };
        self.own(|own| own.trial = Trial::Copying);
        // SAFETY: T2, and the types are the same.
        let spare = unsafe { (rule.copy)(peeked.message) };
        let place = peeked.place.map(|place| (place, rule.refill));
        if place.is_some() {
            // SAFETY: only requests have a place.
            unsafe { ask::spare(node) };
        }
        self.own(|own| {
            own.trial = Trial::Spared(Spare { node: spare, most: rule.most, place });
            own.failures > 0
        })
    }

    /// Whether the first message in the list is a clone that is to be tried: it has no credit of a bounded mailbox any more.
    pub(super) fn is_again(&self) -> bool {
        self.own(|own| own.failures > 0)
    }

    /// The message has been handled: drops the spare. Only for the holder of the right to run, who settles what the drop has sent.
    pub(super) fn over(&self) {
        let trial = self.own(|own| {
            own.failures = 0;
            take(&mut own.trial)
        });
        if let Trial::Spared(spare) = trial {
            // SAFETY: never pushed, and known to nobody else.
            unsafe { Node::destroy(spare.node) };
        }
    }
}

/// The handler of the first message in the list has panicked, or its clone. Has it tried again, or makes it a dead letter.
/// False: it is not of a type that is tried again, and nothing has been done. The caller settles what drops have sent.
#[cold]
pub(super) fn failed<H: Host>(header: &Header, host: &H) -> bool {
    let (Some(retry), Some(node)) = (header.retry(), header.list.first()) else { return false };
    let spare = match retry.own(|own| take(&mut own.trial)) {
        Trial::Plain => return false,
        Trial::Copying => {
            // Its handler was not called, but it has been counted.
            retry.own(|own| own.failures = 0);
            bury_first(header, Grave { why: Loss::Panicked, failed: true, counted: false });
            return true;
        }
        Trial::Spared(spare) => spare,
    };
    if let Some((place, refill)) = spare.place {
        // SAFETY: the request was taken by its handler, so that its place is empty; the types are those of one rule.
        unsafe { refill(spare.node, place) };
    } else {
        // SAFETY: the payload was moved out before the handler began; it is only described.
        let fate = unsafe { Node::discard(node, &mut Discard::new(How::Describe)) };
        // SAFETY: M2, and it is first.
        let node = unsafe { header.list.advance() };
        // SAFETY: the spare is ours, and bound to this cell (T2).
        unsafe { header.list.push_first(spare.node) };
        // SAFETY: off the list, and this is its fate.
        unsafe { Node::release(node, fate) };
    }
    // A message again, that nobody has sent: it counts from here on.
    let first = if spare.place.is_some() { node } else { spare.node };
    host.kept(Piece::new(first));
    let poisoned = retry.own(|own| {
        own.failures += 1;
        own.failures > spare.most
    });
    if poisoned {
        retry.own(|own| own.failures = 0);
        bury_first(header, Grave { why: Loss::Poisoned, failed: true, counted: true });
    }
    true
}

/// The actor ends: a clone that was to be tried meets the fate of a message whose handler has panicked. The caller settles
/// what its drop has sent.
pub(super) fn give_up(header: &Header) {
    let Some(retry) = header.retry() else { return };
    if retry.own(|own| replace(&mut own.failures, 0)) > 0 {
        bury_first(header, Grave { why: Loss::Panicked, failed: true, counted: true });
    }
}

fn bury_first(header: &Header, grave: Grave) {
    // SAFETY: M2: the right to run is the caller's, and the list has a first one.
    let node = unsafe { header.list.advance() };
    // SAFETY: off the list, ours, its payload is there.
    unsafe { bury_in(header, node, grave) };
}
