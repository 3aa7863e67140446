//! The error of those who wait for room in a mailbox.

use super::OTHER_THREAD;
use std::error::Error;
use std::fmt;

/// A `tell_timeout` that was refused. The message is inside.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, Context, Handler, Mailbox, Overflow, Simulation, TellTimeoutError};
/// # use std::time::Duration;
/// # struct Quiet;
/// # impl Actor for Quiet {}
/// # impl Handler<u8> for Quiet { type Reply = (); fn handle(&mut self, _: u8, _: &mut Context<Self>) {} }
/// let sim = Simulation::builder().build()?;
/// let quiet = sim.actor(|| Quiet).mailbox(Mailbox::bounded(1, Overflow::Reject)).spawn()?;
/// quiet.drain();
/// let error = quiet.tell_timeout(1, Duration::from_secs(1)).unwrap_err();
/// assert_eq!(error, TellTimeoutError::Stopped(1));
/// assert_eq!(error.to_string(), "the actor has stopped");
/// assert_eq!(error.into_message(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellTimeoutError<M> {
    /// The time is up, and there was no room.
    Timeout(M),
    /// The actor has stopped, or takes nothing more because it is about to. No later send will succeed.
    Stopped(M),
    /// The calling thread is a worker, which never waits for room; or it is the receiver's own, and there was none. Inside a
    /// handler use [`Context::notify_writable`](crate::Context::notify_writable).
    WouldDeadlock(M),
    /// The actor is [simulated](crate::Simulation), and the calling thread is not its simulation's.
    OtherThread(M),
    /// The [simulation](crate::Simulation) has nothing left to do, or has reached its limit of steps, and there is no room.
    Stalled(M),
}

impl<M> TellTimeoutError<M> {
    /// Returns the message. There is an example above.
    pub fn into_message(self) -> M {
        match self {
            Self::Timeout(message)
            | Self::Stopped(message)
            | Self::WouldDeadlock(message)
            | Self::OtherThread(message)
            | Self::Stalled(message) => message,
        }
    }
}

impl<M> fmt::Debug for TellTimeoutError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout(_) => "Timeout(..)",
            Self::Stopped(_) => "Stopped(..)",
            Self::WouldDeadlock(_) => "WouldDeadlock(..)",
            Self::OtherThread(_) => "OtherThread(..)",
            Self::Stalled(_) => "Stalled(..)",
        })
    }
}

impl<M> fmt::Display for TellTimeoutError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout(_) => "no room in time",
            Self::Stopped(_) => "the actor has stopped",
            Self::WouldDeadlock(_) => "a worker, or the receiver's own thread, must not wait for room",
            Self::OtherThread(_) => OTHER_THREAD,
            Self::Stalled(_) => "the simulation does no more, and there is no room",
        })
    }
}

impl<M> Error for TellTimeoutError<M> {}
