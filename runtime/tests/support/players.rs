//! A pair that is always busy.

use super::{Count, Gate};
use cuelight::{Actor, ActorRef, Context, Handler};

/// Returns a ball until the gate opens.
pub(crate) struct Player {
    pub(crate) stop: Gate,
    pub(crate) balls: Count,
}

impl Actor for Player {}

pub(crate) struct Ball(pub(crate) ActorRef<Player>);

impl Handler<Ball> for Player {
    type Reply = ();

    fn handle(&mut self, Ball(from): Ball, ctx: &mut Context<Self>) {
        self.balls.add(1);
        if !self.stop.is_open() {
            from.tell(Ball(ctx.me())).unwrap();
        }
    }
}
