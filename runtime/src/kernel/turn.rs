//! One turn of an actor: the activation, and the end of its life.
//!
//! Promise: one message at a time; at most a batch of messages per turn; a panic of any user code ends at this file; the
//! end runs exactly once, and leaves nothing behind.
//!
//! How: a turn takes the mailbox at most once, handles what it took, and goes idle with one exchange, or goes to the back
//! of the queue. A lone message is not even taken: it is handled while it is the head of the mailbox, and the exchange that
//! goes idle replaces it.
//!
//! The end, each step once, in this order: close the mailbox; bury what is left (a batch per turn, so that ten million
//! messages do not hold the worker); stop the children and wait for them; `stopped`; drop the state; tell the watchers;
//! tell the parent or the registry, which drops the runtime's reference. A drain goes from "handle what is left" over
//! "drain the children and wait" to the same end; a stop overtakes it anywhere. What is restarted instead of ending leaves
//! this file for `restart.rs`.

use super::cell::{Cause, CellRef, Header, Phase, Runnable, control};
use super::context::Context;
use super::credits::Credits;
use super::grave::bury_sent;
use super::guard::guarded;
use super::link;
use super::node::{Discard, Fate, How, Node};
use super::outbox;
use super::restart::{self, Restart};
use super::retry;
use super::schedule::{Host, Loss, Lost};
use super::special;
use super::supervise;
use super::tap::Piece;
use super::timers::{SOME, Timers};
use super::watch::StopReason;
use crate::sync::Text;
use std::ptr::{NonNull, null_mut};

/// Messages that an ending actor buries per turn, and timers that it takes back.
pub(super) const BURIED: usize = 1024;

/// What a turn leaves to do.
#[must_use = "an actor that has work left must be queued again"]
#[derive(Debug)]
pub(crate) enum After {
    /// The actor is idle, waits, or has ended; its cell may be gone.
    Done,
    /// It has work left: to the back of the queue.
    Again(Runnable),
}

/// How a batch ended.
pub(super) enum Batch {
    Idle,
    Again,
    Stop,
    /// All that was taken has been handled.
    Empty,
    /// By a child; the cause is noted.
    Failed,
}

/// Runs one turn. Sends are held and published as the outbox says; the caller has opened it.
#[inline]
pub(crate) fn take_turn<H: Host>(runnable: Runnable, host: &H) -> After {
    let cell = runnable.cell();
    // SAFETY: C1: a cell with a right to run has not ended. The reference is not used after the cell has gone idle.
    let header = unsafe { cell.as_ref() };
    #[cfg(loom)]
    header.turns.with_mut(|_| ());
    if header.phase.get() > Phase::Draining {
        return later(cell, header, host);
    }
    match guarded(|| batch(cell, header, host)) {
        Ok(Batch::Idle) => After::Done,
        Ok(Batch::Empty) if header.phase.get() != Phase::Draining => {
            // Whom it has woken may wake it again.
            let may_linger = !H::APART && header.control_bits() == 0 && header.word.peek().is_quiet();
            match if may_linger { host.linger(runnable) } else { Err(runnable) } {
                Err(runnable) if !rest::<H>(header) => After::Again(runnable),
                Ok(()) | Err(_) => After::Done,
            }
        }
        Ok(Batch::Again) => After::Again(runnable),
        Ok(Batch::Stop) => restart::obey(cell, host),
        Ok(Batch::Failed) => restart::fail(cell, host, header.cause.get(), None),
        Ok(Batch::Empty) => {
            header.cause.set(Cause::Drained);
            header.phase.set(Phase::AwaitingDrain);
            drain_children(header);
            end(cell, host, None)
        }
        Err(text) => {
            outbox::settle();
            if header.phase.get() != Phase::Starting {
                clear_failed(header, host);
            }
            restart::fail(cell, host, Cause::Panicked, Some(text))
        }
    }
}

#[cold]
fn later<H: Host>(cell: NonNull<Header>, header: &Header, host: &H) -> After {
    if header.phase.get() < Phase::Burying { restart::go_on(cell, host) } else { end(cell, host, None) }
}

#[inline(always)]
fn batch<H: Host>(cell: NonNull<Header>, header: &Header, host: &H) -> Batch {
    // SAFETY: the right to run is ours for the whole turn; the context is only lent to code made for this cell's type.
    let mut context = unsafe { Context::<()>::new(cell) };
    let context = NonNull::from(&mut context).cast::<()>();
    let state = Header::state(cell, header.state_offset());
    if header.phase.get() == Phase::Starting {
        // SAFETY: C2, C3.
        unsafe { (header.vtable.started)(state, context) };
        outbox::settle();
        // SAFETY: C2: the right to run is ours.
        unsafe { header.settle_front() };
        // Only now: a panic of `started` has no message to clear away, though the list may have some.
        header.phase.set(Phase::Running);
        if host.starts_apart() {
            return Batch::Again;
        }
    }
    let heard = reap(header);
    if !heard.is_null() && !supervise::attend(cell, heard) {
        return Batch::Failed;
    }
    let seen = header.word.look();
    if !seen.is_quiet() {
        let mut spent = None;
        // Looked at first: from the mailbox of one that makes a detour senders may take what is there.
        let straight = header.list.is_empty() && header.detour_bits() == 0;
        if let (Some(node), true) = (NonNull::new(seen.lone()), straight) {
            // SAFETY: nodes in our mailbox belong to it (M1), and only we, its consumer, may remove them (O2).
            let alone = unsafe { Node::next(node) }.is_null();
            if alone {
                header.spent.set(node.as_ptr());
                header.handled.count();
                if host.handling(Piece::new(node)) {
                    fail(node);
                }
                // SAFETY: run in place, once: `spent` keeps it from being run again. State and context are this cell's.
                let fate = unsafe { Node::handle(node, state, context) };
                outbox::settle();
                // Cleared before the cell is given up; set again if it is not.
                header.spent.set(null_mut());
                if (header.control_bits() == 0 || !heed(header, true)) && rest_over::<H>(header, node) {
                    // The cell is no longer ours. The node is: it went out of the mailbox with the exchange.
                    // SAFETY: ours, and this is its fate.
                    unsafe { Node::release(node, fate) };
                    return Batch::Idle;
                }
                header.spent.set(node.as_ptr());
                spent = Some(fate);
            }
        }
        if header.stop_bits() != 0 {
            return Batch::Stop;
        }
        if take(header, spent) && header.stop_bits() == 0 {
            // A child has failed: it is heard at the start of a turn.
            if header.detour_bits() == 0 {
                return Batch::Again;
            }
            // Or a sender has lifted the mailbox, as one may before each turn: so what is queued has its turn as well.
            let heard = reap(header);
            if !heard.is_null() && !supervise::attend(cell, heard) {
                return Batch::Failed;
            }
        }
    }
    let mut left = host.begin();
    match header.detour_bits() {
        0 => {}
        // SAFETY: the right to run is ours, and state and context are this cell's.
        control::SPECIAL => return unsafe { special::batch(header, host, state, context) },
        _ => return Batch::Stop,
    }
    while let Some(node) = header.list.first() {
        if left == 0 {
            left = host.look();
        }
        if left == 0 || host.over() {
            return Batch::Again;
        }
        left -= 1;
        header.handled.count();
        if host.handling(Piece::new(node)) {
            fail(node);
        }
        // The node stays first in the list until it has been handled, so that a panic knows it.
        // SAFETY: taken, and its payload is there; state and context are this cell's.
        let fate = unsafe { Node::handle(node, state, context) };
        // SAFETY: M2, and it is first.
        unsafe { header.list.advance_over(node) };
        outbox::settle();
        // SAFETY: off the list, and this is its fate.
        unsafe { Node::release(node, fate) };
        if header.control_bits() != 0 && heed(header, false) {
            return Batch::Stop;
        }
    }
    Batch::Empty
}

/// Goes idle.
#[inline(always)]
fn rest<H: Host>(header: &Header) -> bool {
    if H::APART { header.word.go_apart() } else { header.word.go_idle() }
}

/// Goes idle over a lone message.
#[inline(always)]
fn rest_over<H: Host>(header: &Header, node: NonNull<Node>) -> bool {
    if H::APART { header.word.go_apart_over(node.as_ptr()) } else { header.word.go_idle_over(node.as_ptr()) }
}

/// A message has been handled, and the control word is not empty: sees to it. Returns whether something comes before what is
/// queued, or, if the message was `lone` and lies in the mailbox still, whether that is to be taken first.
#[cold]
pub(super) fn heed(header: &Header, lone: bool) -> bool {
    if lone && header.control_bits() & control::FRONT != 0 {
        return true;
    }
    // SAFETY: C2: the right to run is ours, and the message is off the list.
    unsafe { header.settle_front() };
    if header.control_bits() & control::REPORT != 0 {
        header.report(usize::from(lone));
    }
    if header.control_bits() & control::IDLE != 0 {
        let now = header.list.is_empty().then(|| header.hub.now());
        // SAFETY: C2: the right to run is ours.
        unsafe { header.with_timers(|timers| timers.handled(now)) };
    }
    header.stop_bits() != 0
}

/// Takes back all timers of an actor, those of its asks too, `most` at least before it stops; returns whether none is
/// left. What they would have come with is dropped, or will be in its turn. For the end of an actor, and for one that is
/// to begin afresh.
///
/// # Safety
/// 1. The caller has the right to run (C2), and is in no piece of user code.
pub(super) unsafe fn cancel_timers(header: &Header, most: usize) -> bool {
    if !header.may_have_timers() {
        return true;
    }
    header.clear_bits(control::IDLE);
    let mut count = 0;
    while count < most {
        // SAFETY: the caller's duty.
        let some = unsafe { header.with_timers(Timers::take_some) };
        if some[0].is_none() {
            return true;
        }
        count += SOME;
        header.hub().cancel_some(&some);
    }
    false
}

/// Takes the mailbox into the private list; cuts off a lone message that was handled in place. Returns whether there was a
/// signal.
#[inline]
fn take(header: &Header, spent: Option<Fate>) -> bool {
    let taken = match header.credits().and_then(Credits::oldest) {
        Some(oldest) => oldest.take(header),
        None => {
            let taken = header.word.take();
            // SAFETY: M2.
            unsafe { header.list.append(taken) };
            taken
        }
    };
    if taken.drains() {
        header.phase.set(Phase::Draining);
    }
    cut_spent(header, spent);
    taken.signalled()
}

/// Takes the mailbox if a lone message that was handled in place is still there: before a suspension.
pub(super) fn settle_spent(header: &Header) {
    if !header.spent.get().is_null() {
        let _ = take(header, None);
    }
}

/// Drops the lone message that was handled in place, if there is one: the oldest of what was taken.
fn cut_spent(header: &Header, fate: Option<Fate>) {
    let Some(spent) = NonNull::new(header.spent.replace(null_mut())) else { return };
    debug_assert_eq!(header.list.first(), Some(spent));
    // SAFETY: M2, and the list is not empty.
    let node = unsafe { header.list.advance() };
    if fate.is_some() {
        // SAFETY: C2: the right to run is ours. What fails or ends does it itself, when it has let go of more.
        unsafe { header.settle_front() };
    }
    // SAFETY: off the list; described, for its payload is gone.
    let fate = fate.unwrap_or_else(|| unsafe { Node::discard(node, &mut Discard::new(How::Describe)) });
    // SAFETY: ours, and this is its fate.
    unsafe { Node::release(node, fate) };
}

/// Panics in the place of a handler, which has got its message and has done nothing yet. In a batch, for the first message.
#[cold]
pub(super) fn fail(node: NonNull<Node>) -> ! {
    // SAFETY: the caller is about to handle it, and gives up its payload; the node stays where it is.
    let _ = guarded(|| unsafe { Node::discard(node, &mut Discard::new(How::Fail)) });
    // No hook: nobody needs to be told of a panic that was asked for.
    std::panic::resume_unwind(Box::new("a fault of the simulation"))
}

/// The type of a message that is about to be pushed or handled.
pub(super) fn describe(piece: &Piece<'_>) -> &'static str {
    let mut discard = Discard::new(How::Describe);
    // SAFETY: a piece's node is its maker's, with its payload; it is only described, and its fate not met.
    let _ = unsafe { Node::discard(piece.node(), &mut discard) };
    discard.type_name
}

/// Clears away the message whose handler panicked, unless it is to be tried again. It has been counted as handled; its dead
/// letter has no payload.
#[cold]
fn clear_failed<H: Host>(header: &Header, host: &H) {
    if retry::failed(header, host) {
        outbox::settle();
        return;
    }
    let in_place = NonNull::new(header.spent.get());
    let Some(node) = in_place.or(header.list.first()) else { return };
    let mut discard = Discard::new(How::Describe);
    // SAFETY: the payload was moved out before the handler began; it is only described.
    let fate = unsafe { Node::discard(node, &mut discard) };
    if in_place.is_none() {
        // SAFETY: M2, and it is first.
        let node = unsafe { header.list.advance() };
        // SAFETY: off the list, and this is its fate.
        unsafe { Node::release(node, fate) };
    }
    let lost = Lost { to: header.id, type_name: discard.type_name, why: Loss::Panicked, payload: None };
    header.hub.lost(lost, false);
}

/// Takes ended children off the list. Returns a chain of those of whom the supervisor is to hear, the oldest failure first.
#[inline]
pub(super) fn reap(header: &Header) -> *mut Header {
    let mut ended = header.life.take();
    let mut heard: *mut Header = null_mut();
    while let Some(child) = NonNull::new(ended) {
        // SAFETY: C1: the list's reference, dropped below, keeps it.
        let this = unsafe { child.as_ref() };
        ended = this.next.get();
        // One that is restartable may not have ended: its cause is its own.
        if this.restart().is_some() || matches!(this.cause.get(), Cause::Panicked | Cause::Escalated) {
            // A note at the end of a stack may stay.
            if this.next.get() != heard {
                this.next.relink(heard);
            }
            heard = child.as_ptr();
        } else {
            drop(remove_child(header, this));
        }
    }
    heard
}

/// Takes an ended child off the list.
#[inline]
pub(super) fn remove_child(header: &Header, child: &Header) -> CellRef {
    #[cfg(loom)]
    child.turns.with_mut(|_| ());
    let slot = child.slot.get() as usize;
    header.children.with_mut(|children| {
        // SAFETY: C2: the right to run is ours.
        let children = unsafe { &mut *children };
        let gone = children.swap_remove(slot);
        if let Some(moved) = children.get(slot) {
            moved.header().slot.set(slot as u32);
        }
        gone
    })
}

pub(super) fn has_children(header: &Header) -> bool {
    header.children.with(|children| {
        // SAFETY: C2: the right to run is ours.
        !unsafe { &*children }.is_empty()
    })
}

pub(super) fn each_child(header: &Header, f: impl Fn(&CellRef)) {
    header.children.with(|children| {
        // SAFETY: C2: the right to run is ours. `f` only signals, it runs no user code.
        unsafe { &*children }.iter().for_each(&f);
    });
}

#[cold]
pub(super) fn begin_end<H: Host>(cell: NonNull<Header>, host: &H, cause: Cause, panic: Option<Text>) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    header.cause.set(cause);
    header.phase.set(Phase::Burying);
    // A lone message is only ever run with an empty list, so the spent one is the oldest of what was left.
    debug_assert!(header.spent.get().is_null() || header.list.is_empty());
    let credits = header.credits();
    match credits.and_then(Credits::oldest) {
        Some(oldest) => oldest.close(header),
        // SAFETY: M2.
        None => unsafe { header.list.append(header.word.close()) },
    }
    cut_spent(header, None);
    // SAFETY: C2: the right to run is ours.
    unsafe { header.settle_front() };
    if let Some(credits) = credits {
        credits.close();
    }
    end(cell, host, panic)
}

/// Goes on with the end as far as it can.
#[cold]
fn end<H: Host>(cell: NonNull<Header>, host: &H, panic: Option<Text>) -> After {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    if let Some(panic) = panic {
        // Only now: it makes the list if there is none.
        header.note_panic(panic);
    }
    // SAFETY: C2: the right to run is ours, and no user code runs.
    if !unsafe { cancel_timers(header, BURIED) } {
        // SAFETY: the right to run is ours.
        return After::Again(unsafe { Runnable::new(cell) });
    }
    outbox::settle();
    if header.phase.get() == Phase::Burying {
        retry::give_up(header);
        outbox::settle();
        for _ in 0..BURIED {
            if header.list.is_empty() {
                break;
            }
            // SAFETY: M2, and it is not empty.
            let node = unsafe { header.list.advance() };
            // SAFETY: off the list, ours, its payload is there.
            unsafe { bury_sent(header, node, Loss::Stopped) };
            outbox::settle();
        }
        if !header.list.is_empty() {
            // SAFETY: the right to run is ours.
            return After::Again(unsafe { Runnable::new(cell) });
        }
        header.phase.set(Phase::AwaitingChildren);
        stop_children(header);
    }
    loop {
        let heard = reap(header);
        if header.phase.get() != Phase::AwaitingDrain {
            supervise::dismiss(header, heard);
        } else if !heard.is_null() {
            if !supervise::attend(cell, heard) {
                return restart::fail(cell, host, header.cause.get(), None);
            }
            // Those that it has spawned meanwhile, too.
            drain_children(header);
        }
        // Before the last look at the children: a stop during a drain wins, also if they have all ended by now.
        if header.phase.get() == Phase::AwaitingDrain && header.stop_bits() & control::ENDS != 0 {
            header.phase.set(Phase::AwaitingChildren);
            header.cause.set(Cause::of_control(header.stop_bits()));
            stop_children(header);
        }
        if !has_children(header) {
            break;
        }
        if header.life.wait() {
            return After::Done;
        }
    }
    finish(cell, host);
    After::Done
}

/// By a copy of the list: who waits for room in a child is woken, and wakers are user code.
fn drain_children(header: &Header) {
    let children: Vec<CellRef> = header.children.with(|children| {
        // SAFETY: C2: the right to run is ours.
        unsafe { &*children }.iter().cloned().collect()
    });
    children.iter().for_each(CellRef::drain);
}

pub(super) fn stop_children(header: &Header) {
    let why = if header.cause.get() == Cause::SystemShutdown { control::SHUTDOWN } else { control::PARENT };
    each_child(header, |child| child.stop(why));
}

/// The last steps: nobody but handles knows the actor afterwards.
fn finish<H: Host>(cell: NonNull<Header>, host: &H) {
    // SAFETY: C1: the right to run is the caller's.
    let header = unsafe { cell.as_ref() };
    let state = Header::state(cell, header.state_offset());
    let reason = header.reason();
    if !header.restart().is_some_and(Restart::is_bare) {
        // SAFETY: C2, C3.
        let _ = guarded(|| unsafe { (header.vtable.stopped)(state, &reason) });
        outbox::settle();
        // SAFETY: C3: dropped once; the phase says so.
        let _ = guarded(|| unsafe { (header.vtable.drop_state)(state) });
        outbox::settle();
    }
    if let Some(restart) = header.restart() {
        restart.end();
        outbox::settle();
    }
    header.phase.set(Phase::Ended);
    if let Some(name) = header.name() {
        // Before anybody is told, so that who is told may use it again.
        header.hub.name_ended(name);
    }
    if let Some(watchers) = header.end_watches() {
        for watch in watchers.end(reason.clone()) {
            notify(header, watch, reason.clone());
        }
    }
    if let Some(links) = header.links_if_any() {
        for peer in links.end(reason.clone()) {
            link::tell(header, &peer, reason.clone());
        }
    }
    host.ended();
    let Some(parent) = NonNull::new(header.parent.cast_mut()) else {
        // The registry drops the runtime's reference: the cell may be gone when this returns.
        let hub = header.hub.clone();
        hub.root_ended(header.id, header.slot.get());
        return;
    };
    if supervise::end_of_child(cell, header, parent) {
        return;
    }
    // SAFETY: C4: the parent is still there.
    let life = unsafe { &parent.as_ref().life };
    if life.push(cell, |next| header.next.set(next)) {
        // SAFETY: the parent awaited: the right to run is ours now, and keeps it alive.
        let runnable = unsafe { Runnable::new(parent) };
        // SAFETY: as above. Our own cell may be gone: the parent's hub is used.
        unsafe { parent.as_ref() }.hub.schedule(runnable);
    }
}

/// Tells one watcher.
pub(super) fn notify(header: &Header, watch: super::watch::Watch, reason: StopReason) {
    watch.notice.cell().header().hub().count_sent(1);
    watch.notice.send(super::watch::Terminated { id: header.id, reason });
}
