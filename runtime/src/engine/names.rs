//! The names of a system's actors.
//!
//! Promise: a name has one actor at a time, from its making to its end; of several callers that want an actor of one
//! name to be there, one makes it and all get it. No user code runs under the lock.
//!
//! How: a table under a lock. Who is to make an actor claims its name first, and makes it without the lock; the claim is
//! a value, whose drop gives the name back. Others wait for the maker.
//!
//! **Nobody waits in a circle.** A thread that makes an actor of a claimed name never waits itself, neither for a name
//! ([`Claim::Taken`]) nor for a reply (`Ask::wait`): so every maker goes on, and whoever waits, waits for a maker.
//!
//! Gives up: parallel look-ups, and a caller's time while another one's factory runs.

use crate::kernel::cell::Address;
use crate::sync::thread_local;
use crate::sync::{Condvar, Mutex, Text};
use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Bytes of a name at most.
pub(crate) const LONGEST: usize = 255;

/// See the [module](self).
pub(crate) struct Names {
    table: Mutex<HashMap<Text, State>>,
    changed: Condvar,
}

enum State {
    /// Somebody makes it.
    Claimed,
    /// An `Address` of the actor's type.
    There(Box<dyn Any + Send>),
}

/// What a claim comes to.
pub(crate) enum Claim<'a, A> {
    /// The caller is to make the actor.
    Made(Claimed<'a>),
    /// It is there.
    There(Address<A>),
    /// Somebody else has the name: an actor of another type, or whoever could only be waited for in a circle.
    Taken,
}

/// A name that its holder is about to give to an actor. Dropped, it is free again.
pub(crate) struct Claimed<'a> {
    names: &'a Names,
    name: Text,
    given: bool,
}

#[cfg(not(loom))]
thread_local! {
    static MAKING: Cell<u32> = const { Cell::new(0) };
}
#[cfg(loom)]
thread_local! {
    static MAKING: Cell<u32> = Cell::new(0);
}

/// Whether the calling thread makes an actor whose name others may wait for.
pub(crate) fn is_making() -> bool {
    MAKING.with(|making| making.get() > 0)
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { table: Mutex::new(HashMap::new()), changed: Condvar::new() }
    }

    /// The actor of this name, if it is there and of this type.
    pub(crate) fn get<A: 'static>(&self, name: &str) -> Option<Address<A>> {
        match self.table.lock().get(name)? {
            State::There(address) => address.downcast_ref::<Address<A>>().cloned(),
            State::Claimed => None,
        }
    }

    /// Claims a name for an actor that is to be made, or says that it is taken.
    pub(crate) fn claim(&self, name: &str) -> Option<Claimed<'_>> {
        match self.table.lock().entry(name.into()) {
            Entry::Vacant(place) => Some(self.claimed(place)),
            Entry::Occupied(_) => None,
        }
    }

    /// The actor of this name, or the claim to make it. Waits while another thread makes it.
    pub(crate) fn get_or_claim<A: 'static>(&self, name: &str) -> Claim<'_, A> {
        let mut table = self.table.lock();
        loop {
            match table.entry(name.into()) {
                Entry::Vacant(place) => return Claim::Made(self.claimed(place)),
                Entry::Occupied(place) => match place.get() {
                    State::There(address) => {
                        return address.downcast_ref().cloned().map_or(Claim::Taken, Claim::There);
                    }
                    State::Claimed if is_making() => return Claim::Taken,
                    State::Claimed => {}
                },
            }
            table = self.changed.wait(table);
        }
    }

    fn claimed(&self, place: std::collections::hash_map::VacantEntry<'_, Text, State>) -> Claimed<'_> {
        let name = place.key().clone();
        place.insert(State::Claimed);
        MAKING.with(|making| making.set(making.get() + 1));
        Claimed { names: self, name, given: false }
    }

    /// Frees a name.
    pub(crate) fn remove(&self, name: &str) {
        let gone = self.table.lock().remove(name);
        self.changed.notify_all();
        drop(gone);
    }
}

impl Claimed<'_> {
    /// The name, for the actor to know.
    pub(crate) fn name(&self) -> Text {
        self.name.clone()
    }

    /// Gives the name to an actor that has not been scheduled yet: it cannot end before. It was made with [`Claimed::name`].
    pub(crate) fn give<A: 'static>(&mut self, address: &Address<A>) {
        let there = State::There(Box::new(address.clone()));
        self.names.table.lock().insert(self.name.clone(), there);
        self.given = true;
        self.names.changed.notify_all();
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        MAKING.with(|making| making.set(making.get() - 1));
        if !self.given {
            self.names.remove(&self.name);
        }
    }
}
