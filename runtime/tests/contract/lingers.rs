//! An actor that has just woken another one, which does not return: whoever comes for it meanwhile finds it.

use crate::support::puppet::{Puppet, run};
use crate::support::stage::{Engine, Stage, contract, parallel_contract, threads_contract};
use crate::support::{Count, Gate, LIMIT, eventually, scaled};
use cuelight::{Actor, ActorRef, ActorState, Context, Handler, Idle, Mailbox, Overflow};
use std::time::Duration;

parallel_contract! {
    it_gets_messages,
    it_stops,
    it_drains,
    it_is_seen,
    it_hears_of_others,
    its_timer_comes,
    nobody_comes_for_who_has_nothing_to_do,
}

contract! {
    a_ball_between_messages,
}

threads_contract! {
    it_does_not_outstay_a_turn,
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
    for round in 0..scaled(30, 3) {
        // Each time anew: a worker that somebody had to come to keeps nobody for a while.
        let stage = Stage::new(on);
        let (a, gate) = behind(&stage, |_| ());
        match round % 3 {
            0 => assert_eq!(a.ask(1).timeout(LIMIT).wait(), Ok(2)),
            1 => assert_eq!(a.send_all([1, 2, 3]).unwrap(), 3),
            // From a worker.
            _ => {
                let to = a.clone();
                stage.puppet("d").tell(run(move |_, _| to.tell(3).unwrap())).unwrap();
                stage.log.until("a gets 3");
            }
        }
        assert_eq!(a.ask(4).timeout(LIMIT).wait(), Ok(8));
        gate.open();
        stage.end();
    }
}

fn it_stops(on: Engine) {
    it_ends(on, ActorRef::stop, "stopped");
}

fn it_drains(on: Engine) {
    it_ends(on, ActorRef::drain, "drained");
}

fn it_ends(on: Engine, end: fn(&ActorRef<Puppet>), reason: &str) {
    let stage = Stage::new(on);
    let (a, gate) = behind(&stage, |_| ());
    end(&a);
    stage.log.until(&format!("a stops: {reason}"));
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

/// Two with slow handlers send to each other. Whoever comes for the one that lingers, since the other's handler seems to be
/// stuck, does so once, and not at each message.
fn nobody_comes_for_who_has_nothing_to_do(on: Engine) {
    for idle in [Idle::Park, Idle::Hybrid] {
        let stage = Stage::of(on.builder().idle(idle));
        let (over, throws) = (Gate::default(), 60);
        let players =
            [0, 1].map(|_| stage.spawn(Player { peer: None, got: Vec::new(), rests: Duration::from_millis(3) }));
        for (player, peer) in [(&players[0], &players[1]), (&players[1], &players[0])] {
            player.ask(peer.clone()).wait().unwrap();
        }
        players[0].tell(Throw(throws, over.clone())).unwrap();
        over.wait();
        let counters = stage.end();
        let stolen = counters.workers.iter().map(|worker| worker.stolen).sum::<u64>();
        assert!(stolen <= throws / 2, "{idle:?}: {counters}");
    }
}

/// Of two who play ball no turn lets anybody linger: their mailboxes are bounded. Whoever lingered when they began is let go all
/// the same, and finds the message that came just when it went in.
fn it_does_not_outstay_a_turn(on: Engine) {
    let stage = Stage::new(on);
    let (balls, side, over, got) = (Count::default(), Count::default(), Gate::default(), Count::default());
    let bouncer = || {
        let (balls, side, over) = (balls.clone(), side.clone(), over.clone());
        let make = move || Bouncer { balls: balls.clone(), side: side.clone(), over: over.clone(), peers: None };
        stage.actor(make).mailbox(Mailbox::bounded(8, Overflow::Reject)).spawn().unwrap()
    };
    let (a, b) = (bouncer(), bouncer());
    let x = stage.spawn(Wall { to: a.clone(), got: got.clone() });
    b.tell(Peers(x.clone(), a.clone())).unwrap();
    a.tell(Peers(x.clone(), b)).unwrap();
    a.tell(Ball).unwrap();
    for n in 1..=scaled(300, 20) {
        // With the wall, which lingers while its ball is on the way back; then without.
        let before = balls.get();
        eventually("balls", || balls.get() > before + 2500);
        side.add(1);
        x.tell(n).unwrap();
        eventually("it gets its message", || got.get() == n);
        side.add(1);
    }
    over.open();
    stage.end();
}

struct Ball;

/// Plays with the wall, or with another one.
struct Bouncer {
    balls: Count,
    /// Even: with the wall.
    side: Count,
    over: Gate,
    peers: Option<Peers>,
}

struct Peers(ActorRef<Wall>, ActorRef<Bouncer>);

impl Actor for Bouncer {}

impl Handler<Peers> for Bouncer {
    type Reply = ();

    fn handle(&mut self, peers: Peers, _: &mut Context<Self>) {
        self.peers = Some(peers);
    }
}

impl Handler<Ball> for Bouncer {
    type Reply = ();

    fn handle(&mut self, ball: Ball, ctx: &mut Context<Self>) {
        self.balls.add(1);
        if self.over.is_open() {
            return;
        }
        let Some(Peers(wall, other)) = &self.peers else { return };
        if self.side.get() % 2 == 1 {
            other.tell(ball).unwrap();
        } else if wall.tell(ball).is_err() {
            ctx.stop();
        }
    }
}

struct Wall {
    to: ActorRef<Bouncer>,
    got: Count,
}

impl Actor for Wall {}

impl Handler<Ball> for Wall {
    type Reply = ();

    fn handle(&mut self, ball: Ball, _: &mut Context<Self>) {
        self.to.tell(ball).unwrap();
    }
}

impl Handler<u64> for Wall {
    type Reply = ();

    fn handle(&mut self, _: u64, _: &mut Context<Self>) {
        self.got.add(1);
    }
}

/// Two of them play ball, and keep the other messages that they get.
struct Player {
    peer: Option<ActorRef<Player>>,
    got: Vec<u64>,
    /// Before each throw.
    rests: Duration,
}

impl Actor for Player {}

struct Throw(u64, Gate);

impl Handler<Throw> for Player {
    type Reply = ();

    fn handle(&mut self, Throw(left, over): Throw, _: &mut Context<Self>) {
        if !self.rests.is_zero() {
            std::thread::sleep(self.rests);
        }
        match &self.peer {
            Some(peer) if left > 0 => peer.tell(Throw(left - 1, over)).unwrap(),
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
    let players = [0, 1].map(|_| stage.spawn(Player { peer: None, got: Vec::new(), rests: Duration::ZERO }));
    for (player, peer) in [(&players[0], &players[1]), (&players[1], &players[0])] {
        player.tell(peer.clone()).unwrap();
    }
    let over = Gate::default();
    players[0].tell(Throw(throws, over.clone())).unwrap();
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
