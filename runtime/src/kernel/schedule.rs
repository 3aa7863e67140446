//! All that the kernel asks of the layers above.

use super::cell::{Header, Runnable};
use super::context::Context;
use super::failure::{Decision, Failure, Verdict};
use super::hub::HubRef;
use super::inspect::Card;
use super::tap::Piece;
use super::timers::{Alarm, SOME};
use super::watch::{ActorId, StopReason};
use crate::sync::Text;
use std::any::{Any, type_name};
use std::ptr::NonNull;
use std::task::Waker;
use std::time::Duration;

/// What an actor's type does apart from handling messages.
pub(crate) trait Body: Sized + Send + 'static {
    /// The first activation.
    fn on_started(&mut self, context: &mut Context<Self>);
    /// The end, before the state is dropped.
    fn on_stopped(&mut self, reason: &StopReason);
    /// A child has failed: what becomes of it, and of its siblings.
    fn on_child_failed(&mut self, failure: &Failure, context: &mut Context<Self>) -> Verdict;
}

/// The rule by which one actor is restarted. Called only in the actor's own turns.
pub(crate) trait Policy: Send {
    /// Whether it is restarted also when it stops itself.
    fn always(&self) -> bool;
    /// Whether it is never restarted of its own accord, nor together with others.
    fn never(&self) -> bool;
    /// It has failed: what to do, and how long to wait if that is a restart.
    fn failed(&mut self, id: ActorId, hub: &HubRef) -> (Decision, Duration);
    /// Has `alarm` woken after `delay`.
    fn suspend(&mut self, delay: Duration, alarm: Waker, hub: &HubRef);
    /// The wait is over: takes the alarm back, if it has not been woken.
    fn resume(&mut self, hub: &HubRef);
}

/// How a message comes to an actor.
pub(crate) trait Way {
    /// Whether it takes a credit of a mailbox that is bounded.
    const PAID: bool;
}

/// Names the messages that the actor's own handlers receive.
pub(crate) struct ByHandler;

impl Way for ByHandler {
    const PAID: bool = true;
}

/// The same for notices, whose nodes were reserved.
pub(crate) struct ByNotice;

impl Way for ByNotice {
    const PAID: bool = false;
}

/// Names messages that are handed on, with a question or something that is held.
pub(crate) struct ByForward;

impl Way for ByForward {
    const PAID: bool = true;
}

/// Names what this library itself sends to an actor, to be run in its turn.
pub(crate) struct ByCall;

/// What an actor's type does with a message of type `M`, which comes by way of `K`.
pub(crate) trait Receive<M, K = ByHandler>: Body {
    /// Handles one message; a reply nobody waits for is dropped.
    fn receive(&mut self, message: M, context: &mut Context<Self>);

    /// The type that a dead letter names.
    fn letter_type() -> &'static str {
        type_name::<M>()
    }

    /// Learns that there is no room for it, before it is dropped or a dead letter.
    fn no_room(_: &M) {}

    /// What a dead letter carries.
    fn into_letter(message: M) -> Box<dyn Any + Send>
    where
        M: Send + 'static,
    {
        Box::new(message)
    }
}

impl<A: Receive<M>, M> Receive<M, ByNotice> for A {
    #[inline(always)]
    fn receive(&mut self, message: M, context: &mut Context<Self>) {
        Receive::<M>::receive(self, message, context);
    }
}

/// What an actor's type does with a message that is waited for.
pub(crate) trait Answer<M>: Body {
    /// The reply.
    type Reply: Send + 'static;
    /// Handles one message and answers.
    fn answer(&mut self, message: M, context: &mut Context<Self>) -> Self::Reply;
}

/// A message that nobody will handle.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) to: ActorId,
    pub(crate) type_name: &'static str,
    pub(crate) why: Loss,
    pub(crate) payload: Option<Box<dyn Any + Send>>,
}

/// Why nobody will handle it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Its receiver has stopped.
    Stopped,
    /// Its handler panicked.
    Panicked,
    /// Its handler panicked as often as it was to be tried.
    Poisoned,
    /// Its receiver has been restarted since it asked for it.
    Restarted,
    /// There was no room for it, or it made room.
    Full,
    /// A simulation lost it.
    OnTheWay,
}

/// The system around the cells, reached from anywhere.
pub(crate) trait Schedule: Send + Sync + 'static {
    /// Sees to it that the cell is activated: the caller had the duty, now it is the system's.
    fn schedule(&self, runnable: Runnable);
    /// Takes an actor from where it lingers, if it does so at this worker. The cell is only compared with.
    fn lingering(&self, cell: NonNull<Header>, worker: usize) -> Option<Runnable>;
    /// An actor without a parent has ended: drop the reference that was kept under `slot`.
    fn root_ended(&self, id: ActorId, slot: u32);
    /// A message was sent that the layer above did not see: a notice or a continuation.
    fn count_sent(&self, count: u64);
    /// Whether the calling thread, which is none of the workers, may have an effect on this system.
    fn admits(&self) -> bool {
        true
    }
    /// An actor that has a name has ended: the name is free.
    fn name_ended(&self, name: &Text);
    /// Messages came back to a sender that the kernel did not send for.
    fn count_returned(&self, count: u64);
    /// The system itself, for layers that know its type.
    fn as_any(&self) -> &dyn Any;
    /// Whether somebody wants the payloads of dead letters.
    fn keeps_letters(&self) -> bool;
    /// A message was lost; `counted` unless it has been counted as handled.
    fn lost(&self, lost: Lost, counted: bool);
    /// The time: nanoseconds since some moment before the first actor.
    fn now(&self) -> u64;
    /// Has `waker` woken at that time, or soon after; at `u64::MAX` never.
    fn set_alarm(&self, at: u64, waker: Waker) -> Alarm;
    /// Takes one back, unless it has come, and drops its waker; guarded, for what hangs on it is user data.
    fn cancel(&self, alarm: Alarm);
    /// The same with several.
    fn cancel_some(&self, alarms: &[Option<Alarm>; SOME]);
    /// A reply came after its asker had gone.
    fn late_reply(&self);
    /// An actor that was asked to tells of itself, between two messages.
    fn reported(&self, card: Card) {
        drop(card);
    }
    /// A failure has reached the root, and nobody has dealt with it.
    fn escalated(&self, failure: Failure);
    /// A cell's memory has gone. Keeps its reference to this system for the next cell, or gives it back to be dropped; must
    /// not drop it itself.
    fn recycle(&self, hub: HubRef) -> Option<HubRef>;
}

/// How long an actor's batch may be that has a budget of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// At least one.
    pub(crate) messages: u32,
    /// More than none.
    pub(crate) time: Duration,
}

/// The worker that runs an activation.
pub(crate) trait Host {
    /// It is a thread of the actor's own: no worker is to run it.
    const APART: bool = false;
    /// A message is about to be handled. If the answer is true, its handler is to fail before it has begun.
    fn handling(&self, piece: Piece<'_>) -> bool;
    /// A batch begins. Returns how many messages it may have before [`Host::look`] is to be asked.
    fn begin(&self) -> u32;
    /// Whether somebody has called the batch off; asked before every message.
    fn over(&self) -> bool;
    /// That many messages have been handled. Returns how many more it may have before the next look; 0 if the batch has used up
    /// its messages or its time.
    fn look(&self) -> u32;
    /// From here on batches have this allowance; with `None` again the system's.
    fn allow(&self, allowance: Option<Allowance>) {
        let _ = allowance;
    }
    /// As [`Host::over`], of a batch with an allowance of its own.
    fn over_own(&self) -> bool {
        self.over()
    }
    /// A clone takes the place of a message whose handler has panicked: it counts as sent.
    fn kept(&self, piece: Piece<'_>);
    /// One is about to be handled, which has been counted as any other.
    fn retrying(&self);
    /// Whether the start of an actor is a turn by itself.
    #[inline(always)]
    fn starts_apart(&self) -> bool {
        false
    }
    /// Keeps an actor that has nothing to do, for whoever comes next (see [`linger`](super::linger)).
    #[inline(always)]
    fn linger(&self, runnable: Runnable) -> Result<(), Runnable> {
        Err(runnable)
    }
    /// An actor has ended.
    fn ended(&self);
    /// An actor has been made anew.
    fn restarted(&self);
}
