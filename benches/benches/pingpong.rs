//! One ball between two actors: the time of a round trip, which is two messages.
//!
//! - `one worker`: the shortest way of a message, where nothing leaves the core.
//! - `two workers`: the same where the scheduler could part the two, and should not.
//! - `two systems`: of one worker each, so that the ball crosses threads each time.
//! - `pairs`: a hundred balls between a hundred pairs on two workers; the time of one round trip of one.
//! - `std channels`: two threads and two `std::sync::mpsc` channels, for scale; they park and wake each other.
//!
//! Not for: throughput, as one message at a time batches nothing; what many cores can do; latency from outside.
//! `two systems` measures how idle workers wait as much as anything else.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use benches::{done, end, shares, system, timed};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo, System};

const PAIRS: u64 = 100;

#[derive(Default)]
struct Player {
    peer: Option<ActorRef<Player>>,
    /// Only of who serves: round trips to go, and who waits for the last.
    left: u64,
    asker: Option<ReplyTo<()>>,
}

struct Meet(ActorRef<Player>);

struct Serve {
    rounds: u64,
    asker: ReplyTo<()>,
}

struct Ball;

impl Player {
    fn hit(&self) {
        let peer = self.peer.as_ref().expect("a peer");
        peer.tell(Ball).expect("the peer runs");
    }
}

impl Actor for Player {}

impl Handler<Meet> for Player {
    type Reply = ();

    fn handle(&mut self, Meet(peer): Meet, _: &mut Context<Self>) {
        self.peer = Some(peer);
    }
}

impl Handler<Serve> for Player {
    type Reply = ();

    fn handle(&mut self, Serve { rounds, asker }: Serve, _: &mut Context<Self>) {
        if rounds == 0 {
            return asker.send(());
        }
        self.left = rounds;
        self.asker = Some(asker);
        self.hit();
    }
}

impl Handler<Ball> for Player {
    type Reply = ();

    fn handle(&mut self, _: Ball, _: &mut Context<Self>) {
        if self.asker.is_some() {
            self.left -= 1;
            if self.left == 0 {
                return done(&mut self.asker, ());
            }
        }
        self.hit();
    }
}

/// Two actors that know each other; the first serves.
fn pair(here: &System, there: &System) -> ActorRef<Player> {
    let [a, b] = [here, there].map(|system| system.spawn(Player::default()));
    a.tell(Meet(b.clone())).expect("it runs");
    b.tell(Meet(a.clone())).expect("it runs");
    a
}

fn pingpong(c: &mut Criterion) {
    let mut group = c.benchmark_group("pingpong");
    group.throughput(Throughput::Elements(2));
    for (name, workers) in [("one worker", 1), ("two workers", 2)] {
        let system = system(workers);
        let player = pair(&system, &system);
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| timed(|| player.ask_with(|asker| Serve { rounds, asker })));
        });
        end(&system);
    }

    let systems = [system(1), system(1)];
    let player = pair(&systems[0], &systems[1]);
    group.bench_function("two systems", |b| {
        b.iter_custom(|rounds| timed(|| player.ask_with(|asker| Serve { rounds, asker })));
    });
    systems.iter().for_each(end);

    let system = system(2);
    let players: Vec<_> = (0..PAIRS).map(|_| pair(&system, &system)).collect();
    group.bench_function("pairs", |b| {
        b.iter_custom(|rounds| {
            let begun = Instant::now();
            let serve = |(player, rounds): (&ActorRef<Player>, u64)| player.ask_with(|asker| Serve { rounds, asker });
            let games: Vec<_> = players.iter().zip(shares(rounds, PAIRS)).map(serve).collect();
            for game in games {
                game.wait().expect("the end of the run");
            }
            begun.elapsed()
        });
    });
    end(&system);

    group.bench_function("std channels", |b| b.iter_custom(channels));
    group.finish();
}

fn channels(rounds: u64) -> Duration {
    let (there, at_b) = mpsc::channel();
    let (back, at_a) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || at_b.into_iter().try_for_each(|()| back.send(())));
        let begun = Instant::now();
        for _ in 0..rounds {
            there.send(()).expect("the other thread runs");
            at_a.recv().expect("the other thread runs");
        }
        drop(there);
        begun.elapsed()
    })
}

criterion_group!(benches, pingpong);
criterion_main!(benches);
