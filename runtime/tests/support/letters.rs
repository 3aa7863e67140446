//! Listening to dead letters.

use super::Shared;
use cuelight::{Actor, Context, DeadLetter, Handler};

/// Notes of each dead letter what `look` sees in it.
pub(crate) struct Clerk<T> {
    notes: Shared<Vec<T>>,
    look: fn(DeadLetter) -> T,
}

impl<T> Clerk<T> {
    pub(crate) fn new(notes: &Shared<Vec<T>>, look: fn(DeadLetter) -> T) -> Self {
        Self { notes: notes.clone(), look }
    }
}

impl<T: Send + 'static> Actor for Clerk<T> {}

impl<T: Send + 'static> Handler<DeadLetter> for Clerk<T> {
    type Reply = ();

    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        let note = (self.look)(letter);
        self.notes.with(|notes| notes.push(note));
    }
}

/// The number that a dead letter carries, if it is one.
pub(crate) fn number(letter: &DeadLetter) -> Option<u64> {
    letter.payload.as_ref().and_then(|payload| payload.downcast_ref()).copied()
}
