//! Patterns in virtual time: when a breaker lets a probe pass, when a pool grows and shrinks; and that a stash repeats.

use crate::support::quiet_panics;
use crate::support::restarts::at_once;
use cuelight::{
    Actor, ActorRef, AskError, CircuitBreaker, CircuitError, CircuitState, Context, Handler, Pool, ReplyTo, Restart,
    Routing, Simulation, Stash, System,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Answers when it is told to, or never.
#[derive(Default)]
struct Mute(Vec<ReplyTo<u32>>);

impl Actor for Mute {}

impl Handler<ReplyTo<u32>> for Mute {
    type Reply = ();

    fn handle(&mut self, reply: ReplyTo<u32>, _: &mut Context<Self>) {
        self.0.push(reply);
    }
}

struct Speak;

impl Handler<Speak> for Mute {
    type Reply = ();

    fn handle(&mut self, Speak: Speak, _: &mut Context<Self>) {
        self.0.drain(..).for_each(|reply| reply.send(7));
    }
}

fn call(breaker: &CircuitBreaker, mute: &ActorRef<Mute>) -> Result<u32, CircuitError> {
    breaker.call(|| mute.ask_with(|reply| reply).timeout(SECOND)).wait()
}

/// How long the breaker rejects calls from now on.
fn closed_for(breaker: &CircuitBreaker) -> Duration {
    breaker.admit().expect_err("it is open").retry_after
}

#[test]
fn a_breaker_waits_longer_after_each_probe() {
    let sim = System::simulation(1);
    let mute = sim.spawn(Mute::default());
    let breaker = CircuitBreaker::builder().failures(2).reset(3 * SECOND, 10 * SECOND).build(&sim).unwrap();
    assert_eq!([call(&breaker, &mute), call(&breaker, &mute)], [Err(CircuitError::Ask(AskError::Timeout)); 2]);
    for wait in [3, 6, 10, 10] {
        assert_eq!(closed_for(&breaker), wait * SECOND);
        sim.run_for(wait * SECOND - Duration::from_nanos(1)).unwrap();
        assert_eq!((closed_for(&breaker), breaker.state()), (Duration::from_nanos(1), CircuitState::Open));
        sim.run_for(Duration::from_nanos(1)).unwrap();
        assert_eq!(call(&breaker, &mute), Err(CircuitError::Ask(AskError::Timeout)));
    }
    let counters = breaker.counters();
    assert_eq!((counters.opened, counters.probes, counters.failed, counters.rejected), (5, 4, 6, 8));
    // One that succeeds closes it, and the waits begin afresh.
    sim.run_for(10 * SECOND).unwrap();
    let probe = breaker.call(|| mute.ask_with(|reply| reply).timeout(SECOND));
    mute.tell(Speak).unwrap();
    assert_eq!((probe.wait(), breaker.state()), (Ok(7), CircuitState::Closed));
    assert!(call(&breaker, &mute).is_err() && call(&breaker, &mute).is_err());
    assert_eq!(closed_for(&breaker), 3 * SECOND);
}

#[test]
fn exactly_one_probe() {
    let sim = System::simulation(1);
    let mute = sim.spawn(Mute::default());
    let breaker = CircuitBreaker::builder().failures(1).reset(3 * SECOND, 10 * SECOND).build(&sim).unwrap();
    breaker.admit().unwrap().fail();
    sim.run_for(3 * SECOND).unwrap();
    let probe = breaker.admit().unwrap();
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert_eq!((closed_for(&breaker), call(&breaker, &mute).is_err()), (3 * SECOND, true));
    // Given up, it leaves the place to the next one.
    drop(probe);
    assert_eq!(breaker.state(), CircuitState::Open);
    let probe = breaker.admit().unwrap();
    sim.run_for(2 * SECOND).unwrap();
    assert_eq!(closed_for(&breaker), SECOND);
    // One that does not come back in time has failed, and its outcome is late.
    sim.run_for(SECOND).unwrap();
    assert_eq!(closed_for(&breaker), 6 * SECOND);
    probe.succeed();
    assert_eq!((breaker.state(), closed_for(&breaker)), (CircuitState::Open, 6 * SECOND));
    sim.run_for(6 * SECOND).unwrap();
    breaker.admit().unwrap().succeed();
    assert_eq!(breaker.state(), CircuitState::Closed);
    let counters = breaker.counters();
    assert_eq!((counters.opened, counters.probes, counters.given_up, counters.succeeded), (2, 3, 1, 2));
}

/// Fails with 0.
#[derive(Clone, Default)]
struct Fragile;

impl Actor for Fragile {}

impl Handler<u32> for Fragile {
    type Reply = ();

    fn handle(&mut self, n: u32, _: &mut Context<Self>) {
        assert_ne!(n, 0, "meant");
    }
}

#[test]
fn a_pool_grows_and_shrinks_by_the_clock() {
    quiet_panics();
    let sim = System::simulation(3);
    // A member that waits for its restart keeps what is queued.
    let long = Restart::on_panic().backoff(100 * SECOND, 100 * SECOND);
    let pool = Pool::builder(Fragile::default)
        .elastic(1, 4)
        .grow(2, 5 * SECOND)
        .shrink(20 * SECOND)
        .routing(Routing::LeastLoaded)
        .restart(long)
        .spawn(&sim)
        .unwrap();
    let status = || pool.status().wait().unwrap();
    pool.tell(0).unwrap();
    for _ in 0..9 {
        pool.tell(1).unwrap();
    }
    assert_eq!((status().members, status().load), (1, 9));
    for members in 2..=4 {
        sim.run_for(5 * SECOND - Duration::from_nanos(1)).unwrap();
        assert_eq!(status().members, members - 1);
        sim.run_for(Duration::from_nanos(1)).unwrap();
        assert_eq!((status().members, status().load), (members, 9));
    }
    // It stays so while there is as much to do.
    sim.run_for(30 * SECOND).unwrap();
    assert_eq!(status().members, 4);
    sim.run_until(|| sim.counters().restarts == 1, 200 * SECOND).unwrap();
    let calm = sim.now();
    sim.run_until(|| sim.counters().live_actors == 2, 200 * SECOND).unwrap();
    let time = sim.now() - calm;
    assert!((60 * SECOND..=80 * SECOND).contains(&time), "{time:?}");
    let now = status();
    assert_eq!((now.members, now.load, now.grown, now.shrunk), (1, 0, 3, 3));
    assert_eq!((pool.ask(1).wait(), sim.counters().dead_lettered), (Ok(()), 0));
    // At rest it sets no timers.
    let handled = sim.counters().handled;
    sim.run_for(100_000 * SECOND).unwrap();
    assert_eq!(sim.counters().handled, handled);
}

#[test]
fn a_pool_of_one_size_does_not_change() {
    let sim = System::simulation(5);
    let pool = Pool::builder(Fragile::default).members(2).grow(1, Duration::ZERO).shrink(SECOND).spawn(&sim).unwrap();
    for _ in 0..100 {
        pool.tell(1).unwrap();
    }
    sim.run_for(100 * SECOND).unwrap();
    let status = pool.status().wait().unwrap();
    assert_eq!((status.members, status.grown, status.shrunk), (2, 0, 0));
}

/// Keeps three, then puts them back.
struct Keeper {
    stash: Stash<u64>,
    open: bool,
}

impl Actor for Keeper {}

impl Handler<u64> for Keeper {
    type Reply = ();

    fn handle(&mut self, n: u64, ctx: &mut Context<Self>) {
        if self.open {
            self.open = n % 3 != 2;
            return;
        }
        // Before it is kept: what a handler keeps and fails with comes back, and fails again.
        assert_ne!(n % 50, 25, "meant");
        self.stash.keep(n, ctx).expect("a stash without a bound");
        if self.stash.len() == 3 {
            self.open = true;
            self.stash.unstash_all(ctx);
        }
    }
}

fn keepers(sim: &Simulation) -> u64 {
    let keeper = || Keeper { stash: Stash::new(), open: false };
    let keepers = [(); 4].map(|()| sim.actor(keeper).restart(at_once()).spawn().unwrap());
    for n in 0..100 {
        let _ = keepers[n as usize % 4].tell(n);
        keepers[0].drain();
    }
    sim.run_for(SECOND).unwrap();
    sim.signature()
}

#[test]
fn a_stash_repeats() {
    quiet_panics();
    for seed in 0..20 {
        let first = keepers(&System::simulation(seed));
        // Other addresses, and messages there that were buried.
        let other = System::simulation(seed + 100);
        keepers(&other);
        drop(other);
        assert_eq!(first, keepers(&System::simulation(seed)));
    }
}
