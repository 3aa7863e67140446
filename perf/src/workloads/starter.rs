//! One message from outside that starts many actors: the outside thread, which has a core to share with the workers,
//! is then out of the way.

use crate::runtimes::{Behaviour, Runtime};

/// Sends each of its messages when it is told to go.
pub(super) struct Starter<R: Runtime, B: Behaviour<R>> {
    pub(super) first: Vec<(R::Ref<B>, B::Message)>,
}

impl<R: Runtime, B: Behaviour<R>> Behaviour<R> for Starter<R, B> {
    type Message = u64;

    fn handle(&mut self, _: u64, _: &mut R::Context<Self>) {
        for (to, message) in self.first.drain(..) {
            R::send::<B>(&to, message);
        }
    }
}
