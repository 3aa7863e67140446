//! An actor that has just woken another one, which does not return: whoever comes for it meanwhile finds it.

use crate::support::puppet::{Puppet, run};
use crate::support::stage::{Engine, Stage, contract, parallel_contract};
use crate::support::{Gate, LIMIT, eventually, scaled};
use cuelight::{Actor, ActorRef, ActorState, Context, Handler};
use std::time::Duration;

parallel_contract! {
    it_gets_messages,
    it_stops,
    it_drains,
    it_is_seen,
    it_hears_of_others,
    its_timer_comes,
}

contract! {
    a_ball_between_messages,
}

/// An actor, and what lets whom it has woken return, which blocks its worker.
fn behind(stage: &Stage, also: impl FnOnce(&mut Context<Puppet>) + Send + 'static) -> (ActorRef<Puppet>, Gate) {
    let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
    let (entered, gate) = (Gate::default(), Gate::default());
    let (inside, release) = (entered.clone(), gate.clone());
    let wakes = run(move |_, ctx| {
        also(ctx);
        b.tell(run(move |_, _| {
            inside.open();
            release.wait();
        }))
        .unwrap();
    });
    let to = a.clone();
    // From another actor: one that a worker has woken lingers there.
    c.tell(run(move |_, _| to.tell(wakes).unwrap())).unwrap();
    entered.wait();
    (a, gate)
}

fn it_gets_messages(on: Engine) {
    let stage = Stage::new(on);
    for round in 0..scaled(20, 2) {
        let (a, gate) = behind(&stage, |_| ());
        match round % 3 {
            0 => assert_eq!(a.ask(1).timeout(LIMIT).wait(), Ok(2)),
            1 => assert_eq!(a.send_all([1, 2, 3]).unwrap(), 3),
            // From a worker.
            _ => {
                let to = a.clone();
                stage.puppet("d").tell(run(move |_, _| to.tell(3).unwrap())).unwrap();
            }
        }
        assert_eq!(a.ask(4).timeout(LIMIT).wait(), Ok(8));
        gate.open();
    }
    stage.end();
}

fn it_stops(on: Engine) {
    let stage = Stage::new(on);
    let (a, gate) = behind(&stage, |_| ());
    a.stop();
    stage.log.until("a stops: stopped");
    gate.open();
    stage.end();
}

fn it_drains(on: Engine) {
    let stage = Stage::new(on);
    let (a, gate) = behind(&stage, |_| ());
    a.drain();
    stage.log.until("a stops: drained");
    gate.open();
    stage.end();
}

fn it_is_seen(on: Engine) {
    let stage = Stage::new(on);
    let (a, gate) = behind(&stage, |_| ());
    let find = || stage.snapshot_within(Duration::ZERO).actors.into_iter().find(|each| each.id == a.id()).unwrap();
    eventually("it is idle", || find().state == ActorState::Idle);
    let seen = find();
    assert_eq!((seen.state, seen.answered, seen.handled), (ActorState::Idle, true, 1));
    // A look has not lost it.
    assert_eq!(a.ask(4).timeout(LIMIT).wait(), Ok(8));
    gate.open();
    stage.end();
}

fn it_hears_of_others(on: Engine) {
    let stage = Stage::new(on);
    let other = stage.puppet("d");
    let watched = other.clone();
    let (_a, gate) = behind(&stage, move |ctx| ctx.watch(&watched));
    other.stop();
    stage.log.until(&format!("a hears of {}: stopped", other.id()));
    gate.open();
    stage.end();
}

fn its_timer_comes(on: Engine) {
    let stage = Stage::new(on);
    let (_a, gate) = behind(&stage, |ctx| {
        ctx.send_after(Duration::from_millis(1), 7);
    });
    stage.log.until("a gets 7");
    gate.open();
    stage.end();
}

/// Two of them play ball, and keep the other messages that they get.
struct Player {
    peer: Option<ActorRef<Player>>,
    got: Vec<u64>,
}

impl Actor for Player {}

struct Ball(u64, Gate);

impl Handler<Ball> for Player {
    type Reply = ();

    fn handle(&mut self, Ball(left, over): Ball, _: &mut Context<Self>) {
        match &self.peer {
            Some(peer) if left > 0 => peer.tell(Ball(left - 1, over)).unwrap(),
            _ => over.open(),
        }
    }
}

impl Handler<ActorRef<Player>> for Player {
    type Reply = ();

    fn handle(&mut self, peer: ActorRef<Player>, _: &mut Context<Self>) {
        self.peer = Some(peer);
    }
}

impl Handler<u64> for Player {
    type Reply = Vec<u64>;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> Vec<u64> {
        self.got.push(n);
        if n == u64::MAX { std::mem::take(&mut self.got) } else { Vec::new() }
    }
}

fn a_ball_between_messages(on: Engine) {
    let stage = Stage::new(on);
    let (throws, count) = (scaled(100_000, 1000), scaled(20_000, 200));
    let players = [0, 1].map(|_| stage.spawn(Player { peer: None, got: Vec::new() }));
    for (player, peer) in [(&players[0], &players[1]), (&players[1], &players[0])] {
        player.tell(peer.clone()).unwrap();
    }
    let over = Gate::default();
    players[0].tell(Ball(throws, over.clone())).unwrap();
    for n in 0..count {
        players.iter().for_each(|player| player.tell(n).unwrap());
    }
    for player in &players {
        let got = player.ask(u64::MAX).wait().unwrap();
        assert!(got.iter().copied().eq((0..count).chain([u64::MAX])), "a message is missing, or out of order");
    }
    if let Engine::Simulated { .. } = on {
        stage.quiet();
    }
    over.wait();
    let counters = stage.end();
    assert_eq!(counters.handled, 2 + throws + 1 + 2 * (count + 1));
}
