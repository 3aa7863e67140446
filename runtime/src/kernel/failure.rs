//! What a parent is told of a child that has failed, and what it may answer.

use super::watch::{ActorId, StopReason};

/// A child that has failed, as its parent is told by [`Actor::child_failed`](crate::Actor::child_failed).
///
/// There is a whole example at [`Decision`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Who has failed.
    pub id: ActorId,
    /// Its type.
    pub type_name: &'static str,
    /// What it failed by: `Panicked`, `Escalated`, or `Stopped` for one that stopped itself and is always restarted.
    pub reason: StopReason,
    /// How often it has been restarted so far.
    pub restarts: u64,
    /// What happens unless the parent decides otherwise: a restart, if the child was spawned with one and its limit allows
    /// it; an escalation, if the limit is used up, or what failed it had been escalated; otherwise a stop.
    pub proposed: Decision,
}

/// What becomes of a child that has failed.
///
/// # Examples
/// A parent for whom no failure of a child is worth its own end:
/// ```
/// use cuelight::{Actor, Context, Decision, Failure, Handler, Restart, System};
/// use std::{sync::mpsc, time::Duration};
///
/// struct Fragile;
/// impl Actor for Fragile {}
/// impl Handler<()> for Fragile {
///     type Reply = ();
///     fn handle(&mut self, (): (), _: &mut Context<Self>) { panic!("out of cheese") }
/// }
///
/// struct Calm(mpsc::Sender<(u64, Decision)>);
/// impl Actor for Calm {
///     fn started(&mut self, ctx: &mut Context<Self>) {
///         let once = Restart::on_panic().limit(1, Duration::from_secs(60)).backoff(Duration::ZERO, Duration::ZERO);
///         let child = ctx.actor(|| Fragile).restart(once).spawn().expect("the parent runs");
///         child.send_all([(), ()]).expect("the child runs");
///     }
///
///     fn child_failed(&mut self, failure: &Failure, _: &mut Context<Self>) -> Decision {
///         self.0.send((failure.restarts, failure.proposed)).unwrap();
///         match failure.proposed {
///             Decision::Escalate => Decision::Stop,
///             other => other,
///         }
///     }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let (sender, failures) = mpsc::channel();
/// let calm = system.spawn(Calm(sender));
/// assert_eq!(failures.recv()?, (0, Decision::Restart));
/// assert_eq!(failures.recv()?, (1, Decision::Escalate));
/// assert!(!calm.is_stopped());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It is made anew, with the others that the parent's [`Strategy`] names. One that was spawned without a restart ends.
    Restart,
    /// It ends.
    Stop,
    /// It ends, and the parent fails in turn.
    Escalate,
}

/// Who is restarted when a child is.
///
/// It is about the children that were spawned with a restart: one with `Restart::never()` is stopped in place of being
/// restarted, and one that was just spawned goes on. Each restarts by itself, after the delay of the one that failed: in no
/// order, for its mailbox is open all the while. Nobody's limit counts but that of the child that failed.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Strategy};
///
/// /// Its children share a protocol: one of them alone would be out of step.
/// struct Lines;
/// impl Actor for Lines {
///     fn strategy(&self) -> Strategy { Strategy::OneForAll }
/// }
/// assert_eq!(Lines.strategy(), Strategy::OneForAll);
/// assert_eq!(Strategy::default(), Strategy::OneForOne);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// The child that has failed.
    #[default]
    OneForOne,
    /// All.
    OneForAll,
    /// The child that has failed, and those that were spawned after it.
    RestForOne,
}

/// What a parent answers: about the child, and about whom else.
pub(crate) type Verdict = (Decision, Strategy);
