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

/// Bits of the control word: who asked for a stop, or for something else that comes before messages; and what a turn must
/// see to.
pub(crate) mod control {
    /// `stop` was called.
    pub(crate) const STOP: u16 = 1;
    /// The parent stops.
    pub(crate) const PARENT: u16 = 2;
    /// The system shuts down.
    pub(crate) const SHUTDOWN: u16 = 4;
    /// It stopped itself.
    pub(crate) const OWN: u16 = 8;
    /// It has failed, and is not to be restarted.
    pub(crate) const GIVE_UP: u16 = 16;
    /// A linked actor has ended.
    pub(crate) const LINK: u16 = 128;
    /// All that end an actor.
    pub(crate) const ENDS: u16 = STOP | PARENT | SHUTDOWN | OWN | GIVE_UP | LINK;
    /// It is to be restarted.
    pub(crate) const RESTART: u16 = 32;
    /// The time of its restart has come.
    pub(crate) const DUE: u16 = 64;
    /// Nothing that comes before messages: the actor wants to know when it has been idle, so its turns note when it was not.
    pub(crate) const IDLE: u16 = 256;
    /// Nothing that comes before messages: what this piece of user code has put back is to go before the private list.
    pub(crate) const FRONT: u16 = 2048;
    /// Nothing that comes before messages: somebody wants to hear of the actor, and its turn tells, after a message.
    pub(crate) const REPORT: u16 = 4096;
    /// Nothing that comes before messages.
    pub(crate) const NOTES: u16 = IDLE | FRONT | REPORT;
    /// Constant: it has ended before it began.
    pub(crate) const STILLBORN: u16 = 512;
    /// Constant, and nothing that comes before messages: its batches are those of `special.rs`.
    pub(crate) const SPECIAL: u16 = 1024;
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
    Linked,
}

impl Cause {
    pub(super) fn of_control(bits: u16) -> Self {
        if bits & (control::STOP | control::OWN) != 0 {
            Self::Stopped
        } else if bits & control::SHUTDOWN != 0 {
            Self::SystemShutdown
        } else if bits & control::PARENT == 0 && bits & control::LINK != 0 {
            Self::Linked
        } else {
            Self::ParentStopped
        }
    }
}
