//! The places beside a worker's queue: its slot, and the note of where an actor lingers.

use super::kernel::{Ledger, Runnable, System};
use crate::kernel::parcel::Parcel;
use crate::kernel::{linger, slot};
use crate::{ActorRef, Handler, TellError};
use std::ptr::without_provenance_mut;

/// The slot of a worker.
#[derive(Debug)]
pub struct Slot(slot::Slot);

impl Slot {
    /// Makes an empty one.
    #[allow(clippy::new_without_default, reason = "for models")]
    pub fn new() -> Self {
        Self(slot::Slot::new())
    }

    /// Owner only. A full slot gives it back.
    pub fn put(&self, runnable: Runnable) -> Result<(), Runnable> {
        self.0.put(runnable.0).map_err(Runnable)
    }

    /// Owner only.
    pub fn take(&self) -> Option<Runnable> {
        self.0.take().map(Runnable)
    }

    /// Owner only: sends as a worker of this system does whose slot this is, and who keeps who lingers there. What does not fit
    /// into the slot becomes the calling thread's duty.
    pub fn send<A: Handler<M>, M: Send + 'static, L: Ledger>(
        &self,
        system: &System<L>,
        to: &ActorRef<A>,
        message: M,
    ) -> Result<(), TellError<M>> {
        let hub = to.cell().header().hub();
        hub.count_sent(1);
        let sent = match to.address().parcel(message).send_next(&self.0, Some(&system.0.lingers)) {
            Ok(()) => Ok(None),
            Err(parcel) => parcel.send_first().or_else(Parcel::send),
        };
        match sent {
            Ok(None) => Ok(()),
            Ok(Some(runnable)) => {
                if let Err(runnable) = self.0.put(runnable) {
                    hub.schedule(runnable);
                }
                Ok(())
            }
            Err(refused) => {
                hub.count_returned(1);
                Err(TellError::Stopped(refused.into_message()))
            }
        }
    }

    /// Others.
    pub fn steal(&self) -> Option<Runnable> {
        self.0.steal().map(Runnable)
    }
}

/// Link and note of an actor.
#[derive(Debug)]
pub struct Next(linger::Next);

impl Next {
    /// Makes one without either.
    #[allow(clippy::new_without_default, reason = "for models")]
    pub fn new() -> Self {
        Self(linger::Next::new())
    }

    /// The actor itself notes where it lingers.
    pub fn note(&self, worker: usize) -> bool {
        self.0.note(worker)
    }

    /// The noted place.
    pub fn place(&self) -> Option<usize> {
        self.0.place()
    }

    /// Its parent links it to a cell at this address, or to none.
    pub fn link(&self, address: usize) {
        self.0.relink(without_provenance_mut(address));
    }

    /// The address that it is linked to.
    pub fn linked(&self) -> usize {
        self.0.get().addr()
    }
}
