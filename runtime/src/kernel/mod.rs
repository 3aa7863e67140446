//! One actor, its mailbox, its state: everything below the question who runs next.
//!
//! The protocol, with its tables and proof sketches, is in `README.md` beside this file.

pub(crate) mod ask;
mod bounded;
pub(crate) mod cell;
mod children;
pub(crate) mod context;
pub(crate) mod credits;
pub(crate) mod ext;
pub(crate) mod failure;
pub(crate) mod front;
mod grave;
pub(crate) mod guard;
pub(crate) mod held;
pub(crate) mod hub;
pub(crate) mod inspect;
mod lanes;
pub(crate) mod life;
pub(crate) mod linger;
pub(crate) mod link;
pub(crate) mod local;
pub(crate) mod mailbox;
pub(crate) mod node;
mod oldest;
pub(crate) mod outbox;
pub(crate) mod parcel;
pub(crate) mod phase;
pub(crate) mod place;
pub(crate) mod pool;
pub(crate) mod restart;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod schedule;
pub(crate) mod slab;
pub(crate) mod slot;
pub(crate) mod special;
pub(crate) mod state;
pub(crate) mod supervise;
pub(crate) mod tap;
pub(crate) mod timers;
pub(crate) mod turn;
pub(crate) mod usage;
pub(crate) mod watch;
