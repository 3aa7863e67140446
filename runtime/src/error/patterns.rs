//! The errors of what is built of actors.

use std::error::Error;
use std::fmt;

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
