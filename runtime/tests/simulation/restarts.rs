//! Restarts in virtual time: limits and windows to the instant.

use crate::support::puppet::{Puppet, run};
use crate::support::{Count, Log, Shared, quiet_panics};
use cuelight::{Actor, Context, Decision, Failure, Happened, Restart, Simulation};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const CHILDREN: u64 = 20;
const LIMIT: u32 = 5;

/// Fails as soon as it is made.
struct Frail;

impl Actor for Frail {
    fn started(&mut self, _: &mut Context<Self>) {
        panic!("meant: frail");
    }
}

/// Gives up those that have failed too often.
struct Guard {
    rule: Restart,
    given_up: Count,
}

impl Actor for Guard {
    fn started(&mut self, ctx: &mut Context<Self>) {
        for _ in 0..CHILDREN {
            ctx.actor(|| Frail).restart(self.rule.clone()).spawn().expect("a child");
        }
    }

    fn child_failed(&mut self, failure: &Failure, _: &mut Context<Self>) -> Decision {
        if failure.proposed == Decision::Escalate {
            assert_eq!(failure.restarts, u64::from(LIMIT));
            self.given_up.add(1);
            return Decision::Stop;
        }
        failure.proposed
    }
}

fn storm(seed: u64, rule: Restart) -> (Simulation, Count) {
    quiet_panics();
    let sim = Simulation::builder().seed(seed).trace(true).build().unwrap();
    let given_up = Count::default();
    sim.spawn(Guard { rule, given_up: given_up.clone() });
    (sim, given_up)
}

#[test]
fn a_storm_ends_at_its_limit() {
    let rule = Restart::on_panic().backoff(SECOND / 10, 3 * SECOND).limit(LIMIT, 3600 * SECOND);
    for seed in 0..50 {
        let run = || {
            let (sim, given_up) = storm(seed, rule.clone());
            sim.run_until(|| given_up.get() == CHILDREN, 3600 * SECOND).unwrap();
            // The waits are from 0.1, 0.2, 0.4, 0.8 and 1.5 seconds to twice as much.
            assert!(sim.now() >= 3 * SECOND && sim.now() < 7 * SECOND, "{sim}");
            sim.run_for(3600 * SECOND).unwrap();
            let counters = sim.counters();
            assert_eq!((counters.restarts, counters.live_actors), (CHILDREN * u64::from(LIMIT), 1), "{sim}");
            let anew = sim.trace().events().iter().filter(|event| event.what == Happened::Restarted).count();
            assert_eq!(anew as u64, counters.restarts);
            assert_eq!(sim.failure(), None);
            (sim.trace(), sim.signature())
        };
        assert_eq!(run(), run());
    }
}

/// A parent of one that fails all the time, and of some that do not.
struct Calm {
    log: Log,
    rule: Restart,
    heard: Shared<Vec<(u64, Decision)>>,
}

impl Actor for Calm {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.actor(|| Frail).restart(self.rule.clone()).spawn().expect("a child");
        for name in ["s", "t", "u"] {
            let log = self.log.clone();
            ctx.actor(move || Puppet::new(name, &log)).restart(self.rule.clone()).spawn().expect("a child");
        }
    }

    fn child_failed(&mut self, failure: &Failure, _: &mut Context<Self>) -> Decision {
        self.heard.with(|heard| heard.push((failure.restarts, failure.proposed)));
        if failure.proposed == Decision::Escalate { Decision::Stop } else { failure.proposed }
    }
}

#[test]
fn a_storm_leaves_its_siblings_alone_and_the_worker_at_rest() {
    quiet_panics();
    for seed in 0..20 {
        let sim = Simulation::builder().seed(seed).build().unwrap();
        let (log, heard) = (Log::default(), Shared::new(Vec::new()));
        let rule = Restart::on_panic().backoff(10 * SECOND, 10 * SECOND).limit(LIMIT, 3600 * SECOND);
        sim.spawn(Calm { log: log.clone(), rule, heard: heard.clone() });
        sim.run_until(|| heard.with(|heard| heard.len()) == 1, SECOND).unwrap();
        for restarts in 0..u64::from(LIMIT) {
            // The wait is of ten seconds, and nothing is done in it.
            sim.run_for(SECOND).unwrap();
            let turns = sim.counters().workers[0].activations;
            sim.run_for(8 * SECOND).unwrap();
            assert_eq!(sim.counters().workers[0].activations, turns, "seed {seed}");
            assert_eq!(sim.counters().restarts, restarts, "seed {seed}");
            sim.run_until(|| sim.counters().restarts > restarts, 2 * SECOND).unwrap();
        }
        sim.run_for(3600 * SECOND).unwrap();
        let mut wanted: Vec<_> = (0..u64::from(LIMIT)).map(|n| (n, Decision::Restart)).collect();
        wanted.push((u64::from(LIMIT), Decision::Escalate));
        assert_eq!(heard.get(), wanted, "seed {seed}");
        assert_eq!((sim.counters().restarts, sim.counters().live_actors), (u64::from(LIMIT), 4));
        for name in ["s", "t", "u"] {
            assert_eq!(log.of(name), ["starts"]);
        }
    }
}

#[test]
fn a_window_lets_go_to_the_instant() {
    // Failures are a second apart: the sixth sees five in the last five seconds, or the first one has just left.
    let rule = |window| Restart::on_panic().backoff(SECOND, SECOND).limit(LIMIT, window);
    let (sim, given_up) = storm(1, rule(5 * SECOND + Duration::from_millis(100)));
    sim.run_for(3600 * SECOND).unwrap();
    assert_eq!((given_up.get(), sim.counters().restarts), (CHILDREN, CHILDREN * u64::from(LIMIT)));
    let (sim, given_up) = storm(1, rule(5 * SECOND));
    sim.run_for(600 * SECOND).unwrap();
    assert_eq!(given_up.get(), 0);
    let restarts = sim.counters().restarts;
    assert!(restarts <= 600 * CHILDREN && restarts > 590 * CHILDREN, "{restarts}");
}

#[test]
fn a_day_at_the_limit_and_a_nanosecond_beyond() {
    quiet_panics();
    let (sim, log) = (Simulation::builder().seed(7).build().unwrap(), Log::default());
    let rule = Restart::on_panic().backoff(Duration::ZERO, Duration::ZERO).limit(3, 30 * SECOND);
    let a = sim.actor(move || Puppet::new("a", &log)).restart(rule).spawn().unwrap();
    for _ in 0..8640 {
        a.tell(run(|_, _| panic!("meant"))).unwrap();
        sim.run_for(10 * SECOND).unwrap();
    }
    assert_eq!((sim.now(), sim.counters().restarts, sim.failure()), (86400 * SECOND, 8640, None));
    // Three in less than thirty seconds, and then one more.
    for wait in [10 * SECOND, 10 * SECOND, 10 * SECOND - Duration::from_nanos(1)] {
        a.tell(run(|_, _| panic!("meant"))).unwrap();
        sim.run_for(wait).unwrap();
    }
    assert_eq!((sim.counters().restarts, sim.failure()), (8643, None));
    a.tell(run(|_, _| panic!("meant"))).unwrap();
    sim.run_until_idle().unwrap();
    let failure = sim.failure().expect("one failure too many");
    assert_eq!((failure.id, failure.restarts), (a.id(), 8643));
    assert!(a.is_stopped());
}
