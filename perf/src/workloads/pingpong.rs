//! Two actors and one ball; a thousand such pairs.

use super::{Starter, triangle};
use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    tally::{Gate, Totals},
};
use std::sync::Arc;

/// Returns the ball with one less on it, until nothing is left.
struct Player<R: Runtime> {
    peer: Option<R::Ref<Self>>,
    got: u64,
    sum: u64,
    gate: Arc<Gate>,
}

enum Play<R: Runtime> {
    Peer(R::Ref<Player<R>>),
    Ball(u64),
}

impl<R: Runtime> Behaviour<R> for Player<R> {
    type Message = Play<R>;

    fn handle(&mut self, message: Play<R>, _: &mut R::Context<Self>) {
        match message {
            Play::Peer(peer) => {
                self.peer = Some(peer);
                self.gate.ready.arrive(1, 0);
            }
            Play::Ball(left) => {
                self.got += 1;
                self.sum = self.sum.wrapping_add(left);
                if let (1.., Some(peer)) = (left, &self.peer) {
                    R::send::<Self>(peer, Play::Ball(left - 1));
                }
                // The last two balls end one player each.
                if left <= 1 {
                    self.gate.done.arrive(self.got, self.sum);
                }
            }
        }
    }
}

fn players<R: Runtime>(stage: &Stage<'_, R>, gate: &Arc<Gate>) -> R::Ref<Player<R>> {
    let player = || Player { peer: None, got: 0, sum: 0, gate: Arc::clone(gate) };
    let (one, other) = (stage.spawn(player()), stage.spawn(player()));
    R::send::<Player<R>>(&one, Play::Peer(other.clone()));
    R::send::<Player<R>>(&other, Play::Peer(one.clone()));
    one
}

pub(super) fn pingpong<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    let balls = 2 * stage.scaled(1_000_000);
    let gate = Gate::new(2, 2, 0);
    let one = players(stage, &gate);
    stage.wait(&gate.ready)?;
    stage.time("pingpong", balls, &gate.done, || {
        R::send::<Player<R>>(&one, Play::Ball(balls - 1));
    })?;
    let want = Totals { count: balls, sum: triangle(balls) };
    gate.done.check("pingpong", want)
}

pub(super) fn pairs<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    const PAIRS: u64 = 1000;
    let balls = 2 * stage.scaled(2000);
    let gate = Gate::new(2 * PAIRS, 2 * PAIRS, 0);
    let first = (0..PAIRS).map(|_| (players(stage, &gate), Play::Ball(balls - 1)));
    let starter = Starter::<R, Player<R>> { first: first.collect() };
    let starter = stage.spawn(starter);
    stage.wait(&gate.ready)?;
    stage.time("pairs", PAIRS * balls, &gate.done, || {
        R::send::<Starter<R, Player<R>>>(&starter, 0);
    })?;
    let want = Totals { count: PAIRS * balls, sum: PAIRS.wrapping_mul(triangle(balls)) };
    gate.done.check("pairs", want)
}
