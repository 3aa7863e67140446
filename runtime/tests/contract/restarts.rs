//! Actors that are made anew: what a restart keeps and drops, and how a stop wins over each step of it.

use crate::support::puppet::{Puppet, Token, run, watch};
use crate::support::restarts::{at_once, fail, never_comes};
use crate::support::stage::{Engine, Stage, contract, hold, parallel_contract};
use crate::support::{Count, Counted, LIMIT, eventually};
use cuelight::{Actor, ActorRef, AskError, Context, DeadLetterReason, Handler, Restart, SpawnError, StopReason};
use std::thread;
use std::time::Duration;

contract! {
    the_mailbox_is_kept_in_order,
    a_lone_message_that_fails,
    asks_are_answered_after_it,
    watches_stay,
    children_end_first,
    old_continuations_are_dropped,
    a_drain_goes_on_after_it,
    always_is_also_after_its_own_stop,
    what_is_just_spawned_ends,
    bad_values_are_named,
    a_stop_wins_over_the_wait,
    the_end_of_the_parent_wins_over_the_wait,
    a_shutdown_wins_over_the_wait,
    a_drain_waits_for_the_restart,
    a_factory_that_panics_is_a_failure,
    a_start_that_panics_is_a_failure,
    a_drop_that_panics_is_none,
}

parallel_contract! {
    a_stop_wins_over_the_children,
}

fn the_mailbox_is_kept_in_order(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.restarted("a", at_once());
    let held = hold(&a);
    a.tell(1).unwrap();
    fail(&a);
    a.send_all([2, 3]).unwrap();
    fail(&a);
    fail(&a);
    a.tell(4).unwrap();
    drop(held);
    assert_eq!(a.ask(5).wait(), Ok(10));
    let life = ["starts", "gets 1", "drops", "starts", "gets 2", "gets 3", "drops", "starts", "drops", "starts"];
    stage.log.expect("a", &[&life[..], &["gets 4", "gets 5"]].concat());
    a.stop();
    stage.log.until("a stops: stopped");
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.handled, counters.dead_lettered), (3, 9, 0));
}

fn a_lone_message_that_fails(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.restarted("a", at_once());
    for n in 0..50 {
        // Each finds the actor idle, or about to be.
        assert_eq!(a.ask(run(|_, _| panic!("meant"))).wait(), Err(AskError::Panicked));
        if n % 2 == 0 {
            assert_eq!(a.ask(n).wait(), Ok(2 * n));
        }
    }
    assert_eq!(a.ask(1).wait(), Ok(2));
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.handled, counters.dead_lettered), (50, 76, 0));
}

fn asks_are_answered_after_it(on: Engine) {
    let stage = Stage::new(on);
    let (_parent, child) = stage.family(at_once());
    let held = hold(&child);
    let before = child.ask(1);
    fail(&child);
    let after = child.ask(2);
    drop(held);
    assert_eq!((before.wait(), after.wait()), (Ok(2), Ok(4)));
    assert_eq!(stage.end().restarts, 1);
}

fn watches_stay(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (stage.puppet("a"), stage.restarted("b", at_once()), stage.puppet("c"));
    watch(&a, &b);
    watch(&b, &c);
    for _ in 0..10 {
        fail(&b);
    }
    assert_eq!(b.ask(1).wait(), Ok(2));
    c.stop();
    stage.log.until(&format!("b hears of {}: stopped", c.id()));
    b.stop();
    stage.log.until(&format!("a hears of {}: stopped", b.id()));
    let heard = stage.log.of("a").iter().filter(|line| line.starts_with("hears")).count();
    assert_eq!(heard, 1);
    assert_eq!(stage.end().restarts, 10);
}

fn children_end_first(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.restarted("a", at_once());
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.spawn(this.other("b"));
        ctx.actor(this.factory("c")).restart(at_once()).spawn().unwrap();
        panic!("meant");
    };
    a.tell(run(part)).unwrap();
    assert_eq!(a.ask(1).wait(), Ok(2));
    stage.log.expect("a", &["starts", "drops", "starts", "gets 1"]);
    for child in ["b", "c"] {
        stage.log.expect(child, &["starts", "stops: parent stopped", "drops"]);
    }
    let lines = stage.log.lines();
    let place = |line: &str| lines.iter().rposition(|each| each == line).unwrap();
    assert!(place("b drops") < place("a starts") && place("c drops") < place("a starts"), "{lines:#?}");
    stage.living(1);
    stage.end();
}

fn old_continuations_are_dropped(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.restarted("a", at_once()), stage.puppet("b"));
    let drops = Count::default();
    let letters = stage.letters(|letter| (letter.reason, letter.payload.is_some()));
    let (to, kept) = (b.clone(), Counted(drops.clone()));
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.ask(&to, 1, LIMIT, move |this: &mut Puppet, _, _| {
            drop(kept);
            this.says("must not");
        });
        panic!("meant");
    };
    a.tell(run(part)).unwrap();
    drops.reaches(1);
    // One of the new incarnation runs.
    let to = b.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.ask(&to, 2, LIMIT, |this: &mut Puppet, result, _| this.says(format_args!("hears {result:?}")));
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "drops", "starts", "hears Ok(4)"]);
    eventually("two letters", || letters.get().len() == 2);
    assert_eq!(letters.get(), [(DeadLetterReason::Panicked, false), (DeadLetterReason::Restarted, false)]);
    stage.end();
}

fn a_drain_goes_on_after_it(on: Engine) {
    let stage = Stage::new(on);
    let (_parent, child) = stage.family(at_once());
    let held = hold(&child);
    child.tell(1).unwrap();
    fail(&child);
    child.tell(2).unwrap();
    child.drain();
    assert!(child.tell(3).is_err());
    drop(held);
    stage.log.expect("child", &["starts", "gets 1", "drops", "starts", "gets 2", "stops: drained", "drops"]);
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.dead_lettered, counters.returned), (1, 0, 1));
}

fn always_is_also_after_its_own_stop(on: Engine) {
    let stage = Stage::new(on);
    let rule = Restart::always().unlimited().backoff(Duration::ZERO, Duration::ZERO);
    let (_parent, child) = stage.family(rule);
    let held = hold(&child);
    child.tell(run(|_, ctx| ctx.stop())).unwrap();
    child.tell(1).unwrap();
    fail(&child);
    child.tell(2).unwrap();
    child.tell(run(|_, ctx| ctx.drain())).unwrap();
    drop(held);
    let life = ["starts", "drops", "starts", "gets 1", "drops", "starts", "gets 2", "stops: drained", "drops"];
    stage.log.expect("child", &life);
    // From outside it is a stop.
    let a = stage.restarted("a", Restart::always());
    assert_eq!(a.ask(1).wait(), Ok(2));
    a.stop();
    stage.log.expect("a", &["starts", "gets 1", "stops: stopped", "drops"]);
    // With a rule for panics its own stop is one, too.
    let b = stage.restarted("b", at_once());
    b.tell(run(|_, ctx| ctx.stop())).unwrap();
    stage.log.expect("b", &["starts", "stops: stopped", "drops"]);
    assert_eq!(stage.end().restarts, 2);
}

fn what_is_just_spawned_ends(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let log = stage.log.clone();
    let b = stage.actor(move || Puppet::new("b", &log)).spawn().unwrap();
    fail(&a);
    fail(&b);
    for name in ["a", "b"] {
        stage.log.expect(name, &["starts", "stops: panicked: meant", "drops"]);
    }
    stage.living(0);
    // A root that fails for good ends, and nothing else does.
    assert_eq!(stage.failure(), None);
    let never = stage.restarted("c", Restart::never());
    fail(&never);
    stage.log.expect("c", &["starts", "stops: panicked: meant", "drops"]);
    assert_eq!(stage.failure(), None);
    assert_eq!(stage.end().restarts, 0);
}

fn bad_values_are_named(on: Engine) {
    let stage = Stage::new(on);
    let (ns, second) = (Duration::from_nanos(1), Duration::from_secs(1));
    let spawn = |rule| {
        let log = stage.log.clone();
        stage.actor(move || Puppet::new("a", &log)).restart(rule).spawn().unwrap_err()
    };
    let error = spawn(at_once().backoff(second, ns));
    assert_eq!(error, SpawnError::Backoff { min: second, max: ns });
    assert_eq!(error.to_string(), "a backoff from 1s to 1ns: the first wait must not be longer than the last");
    let error = spawn(at_once().backoff(Duration::ZERO, second));
    assert_eq!(error.to_string(), "a backoff from 0ns to 1s: it grows from more than zero, or both are zero");
    let error = spawn(at_once().limit(3, Duration::ZERO));
    assert_eq!(error, SpawnError::ZeroWindow { limit: 3 });
    assert_eq!(error.to_string(), "a limit of 3 restarts in a window of no time: it must be longer than zero");
    assert!(stage.log.lines().is_empty());
    stage.restarted("b", at_once().backoff(ns, Duration::MAX).limit(u32::MAX, Duration::MAX));
    assert_eq!(stage.end().live_actors, 0);
}

/// A child that waits for a restart that does not come, with a backlog.
fn suspended(stage: &Stage) -> (ActorRef<Puppet>, ActorRef<Puppet>, Count) {
    let (parent, child) = stage.family(never_comes());
    let (a, drops) = (stage.puppet("a"), Count::default());
    watch(&a, &child);
    let held = hold(&child);
    fail(&child);
    child.send_all((0..100).map(|n| Token::new(n, &drops))).unwrap();
    drop(held);
    stage.log.until("child drops");
    (parent, child, drops)
}

/// What the end of such a child leaves behind.
fn gone(stage: Stage, child: &ActorRef<Puppet>, drops: &Count, reason: &str) {
    drops.reaches(100);
    stage.log.until(&format!("a hears of {}: {reason}", child.id()));
    stage.log.expect("child", &["starts", "drops"]);
    assert!(child.is_stopped());
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.dead_lettered), (0, 100));
}

fn a_stop_wins_over_the_wait(on: Engine) {
    let stage = Stage::new(on);
    let (_parent, child, drops) = suspended(&stage);
    child.stop();
    gone(stage, &child, &drops, "stopped");
}

fn the_end_of_the_parent_wins_over_the_wait(on: Engine) {
    let stage = Stage::new(on);
    let (parent, child, drops) = suspended(&stage);
    // The parent drains, which the child cannot, and is then stopped.
    parent.drain();
    parent.stop();
    gone(stage, &child, &drops, "parent stopped");
}

fn a_shutdown_wins_over_the_wait(on: Engine) {
    let stage = Stage::new(on);
    let (_parent, child, drops) = suspended(&stage);
    stage.system.shutdown(LIMIT).unwrap();
    drops.reaches(100);
    stage.log.expect("child", &["starts", "drops"]);
    assert!(child.is_stopped());
    stage.end();
}

fn a_drain_waits_for_the_restart(on: Engine) {
    let stage = Stage::new(on);
    let rule = Restart::on_panic().backoff(Duration::from_millis(5), Duration::from_millis(5));
    let (parent, child) = stage.family(rule);
    let held = hold(&child);
    fail(&child);
    child.tell(1).unwrap();
    drop(held);
    stage.log.until("child drops");
    // It may be back by now.
    parent.drain();
    stage.log.expect("child", &["starts", "drops", "starts", "gets 1", "stops: drained", "drops"]);
    stage.log.until("parent stops: drained");
    stage.end();
}

fn a_factory_that_panics_is_a_failure(on: Engine) {
    let stage = Stage::new(on);
    let (calls, log) = (Count::default(), stage.log.clone());
    let seen = calls.clone();
    let factory = move || {
        seen.add(1);
        assert!(!(2..5).contains(&seen.get()), "meant: no luck");
        Puppet::new("a", &log)
    };
    let a = stage.actor(factory).restart(at_once()).spawn().unwrap();
    a.tell(1).unwrap();
    fail(&a);
    assert_eq!(a.ask(2).wait(), Ok(4));
    assert_eq!(calls.get(), 5);
    stage.log.expect("a", &["starts", "gets 1", "drops", "starts", "gets 2"]);
    a.stop();
    stage.living(0);
    // One that never makes it: the limit counts the factory's panics.
    let (calls, log) = (Count::default(), stage.log.clone());
    let seen = calls.clone();
    let factory = move || {
        seen.add(1);
        assert!(seen.get() < 2, "meant: no luck");
        Puppet::new("b", &log)
    };
    let rule = at_once().limit(3, LIMIT);
    let b = stage.actor(factory).restart(rule).spawn().unwrap();
    fail(&b);
    eventually("the end of the system", || stage.failure().is_some());
    let failure = stage.failure().unwrap();
    assert_eq!((failure.id, failure.restarts), (b.id(), 3));
    assert_eq!(failure.reason, StopReason::Panicked("meant: no luck".into()));
    stage.living(0);
    assert_eq!(calls.get(), 4);
    stage.log.expect("b", &["starts", "drops"]);
    stage.end();
}

/// Panics where it is told to, a number of times.
struct Fragile {
    starts: Count,
    bad_starts: u64,
    bad_drops: bool,
    _drops: Counted,
}

impl Actor for Fragile {
    fn started(&mut self, _: &mut Context<Self>) {
        self.starts.add(1);
        assert!(self.starts.get() > self.bad_starts, "meant: started");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        if self.bad_drops && !thread::panicking() {
            panic!("meant: dropped");
        }
    }
}

impl Handler<u64> for Fragile {
    type Reply = u64;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        assert_ne!(n, 13, "meant: handled");
        n
    }
}

fn a_start_that_panics_is_a_failure(on: Engine) {
    let stage = Stage::new(on);
    let (starts, drops) = (Count::default(), Count::default());
    let (seen, counted) = (starts.clone(), drops.clone());
    let factory = move || {
        let _drops = Counted(counted.clone());
        Fragile { starts: seen.clone(), bad_starts: 3, bad_drops: false, _drops }
    };
    let fragile = stage.actor(factory).restart(at_once().limit(3, LIMIT)).spawn().unwrap();
    let queued = fragile.ask(1);
    assert_eq!(queued.wait(), Ok(1));
    assert_eq!((starts.get(), drops.get()), (4, 3));
    stage.end();
    assert_eq!(drops.get(), 4);
}

fn a_drop_that_panics_is_none(on: Engine) {
    let stage = Stage::new(on);
    let (starts, drops) = (Count::default(), Count::default());
    let (seen, counted) = (starts.clone(), drops.clone());
    let factory = move || {
        let _drops = Counted(counted.clone());
        Fragile { starts: seen.clone(), bad_starts: 0, bad_drops: true, _drops }
    };
    let fragile = stage.actor(factory).restart(at_once().limit(1, LIMIT)).spawn().unwrap();
    assert_eq!(fragile.ask(13).wait(), Err(AskError::Panicked));
    assert_eq!(fragile.ask(1).wait(), Ok(1));
    assert_eq!((starts.get(), drops.get()), (2, 1));
    assert_eq!(stage.end().restarts, 1);
    assert_eq!(drops.get(), 2);
}

fn a_stop_wins_over_the_children(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.restarted("a", at_once());
    let child = stage.child(&a, "child", at_once());
    let held = hold(&child);
    fail(&a);
    stage.log.until("a drops");
    a.stop();
    assert!(!child.is_stopped());
    drop(held);
    stage.living(0);
    stage.log.expect("a", &["starts", "drops"]);
    assert_eq!(stage.end().restarts, 0);
}
