//! The errors of what is built of actors.

use super::{AskError, SpawnError};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A message that was not kept. It is inside. There is an example at [`Stash::bounded`](crate::Stash::bounded).
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StashError<M> {
    /// The stash holds as many messages as are allowed.
    Full {
        /// The message.
        message: M,
        /// How many are allowed.
        capacity: usize,
    },
}

impl<M> StashError<M> {
    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full { message, .. } => message,
        }
    }
}

impl<M> fmt::Debug for StashError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity, .. } => f.debug_struct("Full").field("capacity", capacity).finish_non_exhaustive(),
        }
    }
}

impl<M> fmt::Display for StashError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity, .. } => write!(f, "the stash is full: at most {capacity} messages are allowed"),
        }
    }
}

impl<M> Error for StashError<M> {}

/// A [`CircuitBreaker`](crate::CircuitBreaker) lets nothing pass at the moment. The message is inside, if there was one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CircuitOpen<M = ()> {
    /// What was to be sent.
    pub message: M,
    /// After this time the breaker may let a call pass, if no other one comes first.
    pub retry_after: Duration,
}

impl<M> fmt::Debug for CircuitOpen<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitOpen").field("retry_after", &self.retry_after).finish_non_exhaustive()
    }
}

impl<M> fmt::Display for CircuitOpen<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the circuit is open, for another {:?} at least", self.retry_after)
    }
}

impl<M> Error for CircuitOpen<M> {}

/// Why a call through a [`CircuitBreaker`](crate::CircuitBreaker) has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitError {
    /// Nothing was sent: the breaker lets nothing pass.
    Open(CircuitOpen),
    /// It was sent, and has no reply.
    Ask(AskError),
}

impl fmt::Display for CircuitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(open) => open.fmt(f),
            Self::Ask(error) => error.fmt(f),
        }
    }
}

impl Error for CircuitError {}

/// Why a circuit breaker could not be built. There is an example at
/// [`CircuitBreakerBuilder`](crate::CircuitBreakerBuilder).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitConfigError {
    /// It would open without a failure.
    NoFailures,
    /// A wait of no time, or a first one that is longer than the longest.
    Reset {
        /// The first wait that was asked for.
        first: Duration,
        /// The longest wait that was asked for.
        longest: Duration,
    },
}

impl fmt::Display for CircuitConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFailures => f.write_str("0 failures open the circuit: at least 1 is needed"),
            Self::Reset { first, longest } => write!(
                f,
                "a reset after {first:?} to {longest:?}: the first wait must be longer than zero, and not longer than the last"
            ),
        }
    }
}

impl Error for CircuitConfigError {}

/// Why a [`Pool`](crate::Pool) could not be spawned. There is an example at [`PoolBuilder`](crate::PoolBuilder).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolError {
    /// No members, absurdly many, or more at least than at most.
    Size {
        /// How many there were to be at least.
        least: usize,
        /// How many there were to be at most.
        most: usize,
        /// The largest number that is allowed.
        largest: usize,
    },
    /// It would grow without a message.
    NoLoad,
    /// It would look whether it is to shrink without a pause.
    NoPause,
    /// Its first members, or what leads them, could not be spawned.
    Spawn(SpawnError),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { least, most, largest } => {
                write!(f, "{least} to {most} members: 1 to {largest} are allowed, at least not more than at most")
            }
            Self::NoLoad => f.write_str("a pool that grows at 0 messages a member: at least 1 is needed"),
            Self::NoPause => f.write_str("a pool that shrinks after no time: it must be longer than zero"),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

impl Error for PoolError {}
