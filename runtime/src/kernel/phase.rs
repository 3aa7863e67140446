//! Where an actor is in its life, what it has been asked for, and why it ends.

/// Where an actor is in its life. Consumer only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Queued for its first activation.
    Starting,
    Running,
    /// The mailbox is closed; what was queued is being handled.
    Draining,
    /// Its code has failed, and its parent is to decide.
    Failed,
    /// To be made anew: the state is gone, the children are about to be.
    Renewing,
    /// The same, and the children are gone: its time is to come.
    Backoff,
    /// The mailbox is closed; what was queued is being dead-lettered.
    Burying,
    /// As `AwaitingChildren`, but the children drain.
    AwaitingDrain,
    /// All but the children is over.
    AwaitingChildren,
    Ended,
}

/// Bits of the control word: who asked for a stop, or for something else that comes before messages.
pub(crate) mod control {
    /// `stop` was called.
    pub(crate) const STOP: u8 = 1;
    /// The parent stops.
    pub(crate) const PARENT: u8 = 2;
    /// The system shuts down.
    pub(crate) const SHUTDOWN: u8 = 4;
    /// It stopped itself.
    pub(crate) const OWN: u8 = 8;
    /// It has failed, and is not to be restarted.
    pub(crate) const GIVE_UP: u8 = 16;
    /// All that end an actor.
    pub(crate) const ENDS: u8 = STOP | PARENT | SHUTDOWN | OWN | GIVE_UP;
    /// It is to be restarted.
    pub(crate) const RESTART: u8 = 32;
    /// The time of its restart has come.
    pub(crate) const DUE: u8 = 64;
}

/// Why the actor ends, once it does; a panic's message lies in `Ext`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cause {
    Stopped,
    Drained,
    Panicked,
    /// A child's failure.
    Escalated,
    ParentStopped,
    SystemShutdown,
}

impl Cause {
    pub(super) fn of_control(bits: u8) -> Self {
        if bits & (control::STOP | control::OWN) != 0 {
            Self::Stopped
        } else if bits & control::SHUTDOWN != 0 {
            Self::SystemShutdown
        } else {
            Self::ParentStopped
        }
    }
}
