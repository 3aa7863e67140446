//! The errors of what is built of actors.

use super::AskError;
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
