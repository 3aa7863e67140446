//! Actors that outlive failure: what a restart keeps and drops, how a stop wins over it, the limit, escalation, strategies.

use crate::support::puppet::{Puppet, Token, run, watch};
use crate::support::stage::{Engine, Stage, contract, hold, parallel_contract};
use crate::support::{Count, Counted, Gate, LIMIT, Shared, eventually, scaled};
use cuelight::{
    Actor, ActorRef, AskError, Context, DeadLetter, DeadLetterReason, Decision, Failure, Handler, Restart, SpawnError,
    StopReason, Strategy, Terminated,
};
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
    the_limit_is_exact,
    the_root_s_limit_stops_the_system,
    escalation_fails_the_parent,
    escalation_reaches_the_root,
    escalation_of_a_plain_child,
    a_parent_that_panics_over_it,
    a_parent_that_stops_over_it,
    decisions,
    strategies,
    a_thousand_children,
    a_depth_of_a_thousand,
    accounts_in_a_storm,
    stops_in_a_storm,
}

parallel_contract! {
    a_stop_wins_over_the_decision,
    a_stop_wins_over_the_children,
    the_decision_waits_for_the_parent,
}

/// A restart at once, as often as need be.
fn at_once() -> Restart {
    Restart::on_panic().unlimited().backoff(Duration::ZERO, Duration::ZERO)
}

/// A restart that no test lives to see.
fn never_comes() -> Restart {
    Restart::on_panic().backoff(Duration::from_secs(3600), Duration::from_secs(3600))
}

impl Puppet {
    fn factory(&self, name: &'static str) -> impl FnMut() -> Puppet + Send + 'static {
        let log = self.log.clone();
        move || Puppet::new(name, &log)
    }
}

impl Stage {
    fn restarted(&self, name: &'static str, rule: Restart) -> ActorRef<Puppet> {
        let log = self.log.clone();
        self.actor(move || Puppet::new(name, &log)).restart(rule).spawn().expect("a puppet")
    }

    /// A parent and a child of it with this rule.
    fn family(&self, rule: Restart) -> (ActorRef<Puppet>, ActorRef<Puppet>) {
        let parent = self.puppet("parent");
        let child = self.child(&parent, "child", rule);
        (parent, child)
    }

    fn child(&self, parent: &ActorRef<Puppet>, name: &'static str, rule: Restart) -> ActorRef<Puppet> {
        let place = Shared::new(None);
        let put = place.clone();
        let spawn = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
            let child = ctx.actor(this.factory(name)).restart(rule).spawn().expect("a child");
            put.with(|place| *place = Some(child));
        };
        parent.ask(run(spawn)).wait().expect("a parent");
        place.with(Option::take).expect("a child")
    }
}

/// Makes a puppet's handler panic.
fn fail(puppet: &ActorRef<Puppet>) {
    puppet.tell(run(|_, _| panic!("meant"))).expect("an actor that can fail");
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

/// Notes the dead letters that it gets.
struct Undertaker(Shared<Vec<(DeadLetterReason, bool)>>);

impl Actor for Undertaker {}

impl Handler<DeadLetter> for Undertaker {
    type Reply = ();

    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        self.0.with(|letters| letters.push((letter.reason, letter.payload.is_some())));
    }
}

fn old_continuations_are_dropped(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.restarted("a", at_once()), stage.puppet("b"));
    let (letters, drops) = (Shared::default(), Count::default());
    stage.dead_letters(stage.spawn(Undertaker(letters.clone())));
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

type Answer = Box<dyn FnMut(&Failure) -> Decision + Send>;

/// A parent that decides for itself.
struct Boss {
    strategy: Strategy,
    answer: Answer,
}

impl Boss {
    fn new(strategy: Strategy, answer: impl FnMut(&Failure) -> Decision + Send + 'static) -> Self {
        Self { strategy, answer: Box::new(answer) }
    }
}

impl Actor for Boss {
    fn child_failed(&mut self, failure: &Failure, ctx: &mut Context<Self>) -> Decision {
        if failure.reason == StopReason::Panicked("meant: stop it all".into()) {
            ctx.stop();
        }
        (self.answer)(failure)
    }

    fn strategy(&self) -> Strategy {
        self.strategy
    }
}

/// Spawns a child, by the log's puppet.
type Birth = Box<dyn FnOnce(&mut Context<Boss>) -> ActorRef<Puppet> + Send>;

impl Handler<Birth> for Boss {
    type Reply = ActorRef<Puppet>;

    fn handle(&mut self, birth: Birth, ctx: &mut Context<Self>) -> ActorRef<Puppet> {
        birth(ctx)
    }
}

impl Handler<Gate> for Boss {
    type Reply = ();

    fn handle(&mut self, gate: Gate, _: &mut Context<Self>) {
        gate.wait();
    }
}

fn bear(stage: &Stage, boss: &ActorRef<Boss>, name: &'static str, rule: Option<Restart>) -> ActorRef<Puppet> {
    let log = stage.log.clone();
    let birth: Birth = Box::new(move |ctx| {
        let factory = move || Puppet::new(name, &log);
        let builder = ctx.actor(factory);
        let builder = if let Some(rule) = rule { builder.restart(rule) } else { builder };
        builder.spawn().expect("a child")
    });
    let child = boss.ask(birth).wait().expect("a boss");
    stage.log.until(&format!("{name} starts"));
    child
}

fn the_limit_is_exact(on: Engine) {
    let stage = Stage::new(on);
    let heard = Shared::new(Vec::new());
    let seen = heard.clone();
    let boss = stage.spawn(Boss::new(Strategy::OneForOne, move |failure| {
        seen.with(|heard| heard.push((failure.restarts, failure.proposed)));
        if failure.proposed == Decision::Escalate { Decision::Stop } else { failure.proposed }
    }));
    let siblings = ["s", "t", "u"].map(|name| bear(&stage, &boss, name, Some(at_once().limit(0, LIMIT))));
    let child = bear(&stage, &boss, "child", Some(at_once().limit(7, LIMIT)));
    let held = hold(&child);
    for _ in 0..20 {
        fail(&child);
    }
    drop(held);
    stage.log.until("child stops: panicked: meant");
    let mut wanted: Vec<_> = (0..7).map(|n| (n, Decision::Restart)).collect();
    wanted.push((7, Decision::Escalate));
    assert_eq!(heard.get(), wanted);
    for sibling in &siblings {
        assert_eq!(sibling.ask(1).wait(), Ok(2));
    }
    for name in ["s", "t", "u"] {
        stage.log.expect(name, &["starts", "gets 1"]);
    }
    stage.living(4);
    let counters = stage.end();
    // Eight have failed it, twelve were left.
    assert_eq!((counters.restarts, counters.dead_lettered), (7, 12));
}

fn the_root_s_limit_stops_the_system(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.restarted("a", at_once().limit(2, LIMIT)), stage.puppet("b"));
    assert_eq!(b.ask(1).wait(), Ok(2));
    for _ in 0..3 {
        fail(&a);
    }
    stage.living(0);
    stage.log.expect("a", &["starts", "drops", "starts", "drops", "starts", "stops: panicked: meant", "drops"]);
    stage.log.expect("b", &["starts", "gets 1", "stops: system shut down", "drops"]);
    let failure = stage.failure().unwrap();
    assert_eq!((failure.id, failure.restarts, failure.proposed), (a.id(), 2, Decision::Escalate));
    assert!(stage.spawn(Puppet::new("c", &stage.log)).is_stopped());
    stage.end();
}

fn escalation_fails_the_parent(on: Engine) {
    let stage = Stage::new(on);
    let parent = stage.restarted("parent", at_once());
    let child = stage.child(&parent, "child", at_once().limit(1, LIMIT));
    let bystander = stage.child(&parent, "bystander", at_once());
    let held = hold(&child);
    fail(&child);
    fail(&child);
    drop(held);
    stage.log.expect("child", &["starts", "drops", "starts", "stops: panicked: meant", "drops"]);
    stage.log.expect("bystander", &["starts", "stops: parent stopped", "drops"]);
    assert_eq!(parent.ask(1).wait(), Ok(2));
    stage.log.expect("parent", &["starts", "drops", "starts", "gets 1"]);
    assert!(child.is_stopped() && bystander.is_stopped());
    assert_eq!(stage.failure(), None);
    assert_eq!(stage.end().restarts, 2);
}

fn escalation_reaches_the_root(on: Engine) {
    let stage = Stage::new(on);
    // Neither of the two above was made to deal with it.
    let (root, other) = (stage.puppet("root"), stage.puppet("other"));
    let place = Shared::new(None);
    let put = place.clone();
    let part =
        move |this: &mut Puppet, ctx: &mut Context<Puppet>| put.with(|p| *p = Some(ctx.spawn(this.other("mid"))));
    root.ask(run(part)).wait().unwrap();
    let mid = place.with(Option::take).unwrap();
    let leaf = stage.child(&mid, "leaf", at_once().limit(0, LIMIT));
    fail(&leaf);
    stage.living(0);
    let failure = stage.failure().unwrap();
    assert_eq!(failure.id, root.id());
    let text = format!("{} {} panicked: meant", failure.type_name, leaf.id());
    assert_eq!(failure.reason, StopReason::Escalated(text.as_str().into()));
    for name in ["root", "mid"] {
        stage.log.until(&format!("{name} stops: escalated: {text}"));
    }
    stage.log.until("other stops: system shut down");
    assert!(other.is_stopped());
    stage.end();
}

fn escalation_of_a_plain_child(on: Engine) {
    let stage = Stage::new(on);
    let boss = stage.actor(|| {
        Boss::new(Strategy::OneForOne, |failure| {
            assert_eq!(failure.proposed, Decision::Stop);
            Decision::Escalate
        })
    });
    let boss = boss.restart(at_once()).spawn().unwrap();
    let child = bear(&stage, &boss, "child", None);
    fail(&child);
    stage.log.expect("child", &["starts", "stops: panicked: meant", "drops"]);
    eventually("a restart", || stage.counters().restarts == 1);
    bear(&stage, &boss, "other", None);
    assert_eq!(stage.failure(), None);
    stage.end();
}

fn a_parent_that_panics_over_it(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let boss = stage.spawn(Boss::new(Strategy::OneForOne, |_| panic!("meant: over it")));
    watch(&a, &boss);
    let child = bear(&stage, &boss, "child", Some(at_once()));
    fail(&child);
    stage.log.until(&format!("a hears of {}: panicked: meant: over it", boss.id()));
    stage.log.expect("child", &["starts", "stops: parent stopped", "drops"]);
    stage.living(1);
    assert_eq!(stage.end().restarts, 0);
}

fn a_parent_that_stops_over_it(on: Engine) {
    let stage = Stage::new(on);
    let boss = stage.spawn(Boss::new(Strategy::OneForAll, |failure| failure.proposed));
    let children = ["b", "c"].map(|name| bear(&stage, &boss, name, Some(at_once())));
    children[0].tell(run(|_, _| panic!("meant: stop it all"))).unwrap();
    stage.living(0);
    assert!(boss.is_stopped() && children.iter().all(ActorRef::is_stopped));
    stage.log.until("c stops: parent stopped");
    stage.end();
}

fn decisions(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    for (rule, decision, ends) in [
        (Some(at_once()), Decision::Restart, false),
        (Some(at_once()), Decision::Stop, true),
        (Some(Restart::never()), Decision::Stop, true),
        (Some(at_once().limit(0, LIMIT)), Decision::Restart, false),
        (Some(Restart::never().backoff(Duration::ZERO, Duration::ZERO)), Decision::Restart, false),
        // There is nothing that it could be made by.
        (None, Decision::Restart, true),
        (None, Decision::Stop, true),
    ] {
        let boss = stage.spawn(Boss::new(Strategy::OneForOne, move |_| decision));
        let child = bear(&stage, &boss, "child", rule);
        watch(&a, &child);
        fail(&child);
        if ends {
            stage.log.until(&format!("a hears of {}: panicked: meant", child.id()));
        } else {
            assert_eq!(child.ask(1).wait(), Ok(2));
            child.stop();
            stage.log.until(&format!("a hears of {}: stopped", child.id()));
        }
        bear(&stage, &boss, "other", None);
        boss.stop();
        stage.living(1);
    }
    assert_eq!(stage.end().restarts, 3);
}

fn strategies(on: Engine) {
    const NAMES: [&str; 5] = ["b", "c", "d", "e", "f"];
    for (strategy, restarted) in [
        (Strategy::OneForOne, &["d"][..]),
        (Strategy::OneForAll, &["b", "c", "d", "e"]),
        (Strategy::RestForOne, &["d", "e"]),
    ] {
        let stage = Stage::new(on);
        let boss = stage.spawn(Boss::new(strategy, |failure| failure.proposed));
        let children = NAMES.map(|name| bear(&stage, &boss, name, (name != "f").then(at_once)));
        let temporary = bear(&stage, &boss, "temporary", Some(Restart::never()));
        // Whoever goes before does not change who was born when.
        let gone = bear(&stage, &boss, "gone", Some(at_once()));
        gone.stop();
        stage.living(7);
        let d = &children[2];
        let held = hold(d);
        fail(d);
        for child in &children {
            child.tell(1).unwrap();
        }
        drop(held);
        eventually("all restarts", || stage.counters().restarts == restarted.len() as u64);
        for (child, name) in children.iter().zip(NAMES) {
            assert_eq!(child.ask(2).wait(), Ok(4));
            let lines = stage.log.of(name);
            let starts = lines.iter().filter(|line| *line == "starts").count();
            assert_eq!(starts, if restarted.contains(&name) { 2 } else { 1 }, "{strategy:?}: {name}: {lines:?}");
            let got: Vec<_> = lines.iter().filter(|line| line.starts_with("gets")).collect();
            assert_eq!(got, ["gets 1", "gets 2"], "{strategy:?}: {name}");
        }
        if strategy == Strategy::OneForOne {
            assert!(!temporary.is_stopped());
        } else {
            stage.log.until("temporary stops: parent stopped");
        }
        assert_eq!(stage.end().restarts, restarted.len() as u64);
    }
}

fn a_thousand_children(on: Engine) {
    let stage = Stage::new(on);
    let (count, starts) = (scaled(1000, 50), Count::default());
    let (log, seen) = (stage.log.clone(), starts.clone());
    let factory = move || {
        seen.add(1);
        Parent { children: if seen.get() == 1 { count } else { 0 }, log: log.clone() }
    };
    let parent = stage.actor(factory).restart(at_once().limit(1, LIMIT)).spawn().unwrap();
    // All of them fail at about the same time, and each failure would be escalated: the parent fails once.
    eventually("a restart of the parent", || stage.counters().restarts == 1);
    assert_eq!(parent.ask(()).wait(), Ok(0));
    stage.living(1);
    assert_eq!(starts.get(), 2);
    assert_eq!(stage.failure(), None);
    assert_eq!(stage.end().restarts, 1);
}

/// Has children that fail at once.
struct Parent {
    children: u64,
    log: crate::support::Log,
}

impl Actor for Parent {
    fn started(&mut self, ctx: &mut Context<Self>) {
        for _ in 0..self.children {
            let log = self.log.clone();
            let child = ctx.actor(move || Puppet::new("child", &log)).restart(at_once().limit(0, LIMIT));
            fail(&child.spawn().expect("a child"));
        }
    }
}

impl Handler<()> for Parent {
    type Reply = usize;

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> usize {
        ctx.children().len()
    }
}

/// One of a line of descendants, the last of which fails.
struct Link {
    below: u64,
    ends: Count,
    _drops: Counted,
}

impl Link {
    fn new(below: u64, ends: &Count, drops: &Count) -> Self {
        Self { below, ends: ends.clone(), _drops: Counted(drops.clone()) }
    }
}

impl Actor for Link {
    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.below == 0 {
            panic!("meant: the last");
        }
        let (below, ends, drops) = (self.below - 1, self.ends.clone(), self._drops.0.clone());
        let child = ctx.actor(move || Link::new(below, &ends, &drops)).restart(at_once().limit(0, LIMIT));
        child.spawn().expect("a child");
    }

    fn stopped(&mut self, _: &StopReason) {
        self.ends.add(1);
    }
}

fn a_depth_of_a_thousand(on: Engine) {
    let stage = Stage::new(on);
    let (depth, ends, drops) = (scaled(1000, 50), Count::default(), Count::default());
    let root = stage.spawn(Link::new(depth, &ends, &drops));
    stage.living(0);
    ends.reaches(depth + 1);
    drops.reaches(depth + 1);
    let failure = stage.failure().unwrap();
    assert_eq!(failure.id, root.id());
    match failure.reason {
        StopReason::Escalated(text) => assert!(text.ends_with("panicked: meant: the last") && text.len() < 200),
        other => panic!("{other}"),
    }
    assert_eq!(stage.end().restarts, 0);
}

/// Numbers of one sender.
const SENDER: u64 = 1_000_000;

/// Actors that are restarted all the time, and four senders to them.
fn storm(actors: &[ActorRef<Puppet>], each: u64, drops: &Count) -> (u64, u64) {
    let (taken, refused) = (Count::default(), Count::default());
    thread::scope(|scope| {
        for sender in 0..4 {
            let (taken, refused) = (taken.clone(), refused.clone());
            scope.spawn(move || {
                for n in 0..each {
                    let to = &actors[(n + sender) as usize % actors.len()];
                    let sent = if n % 10 == 9 {
                        to.tell(run(|_, _| panic!("meant"))).is_ok()
                    } else {
                        to.tell(Token::new(SENDER * sender + n, drops)).is_ok()
                    };
                    if sent { &taken } else { &refused }.add(1);
                }
            });
        }
    });
    (taken.get(), refused.get())
}

fn accounts_in_a_storm(on: Engine) {
    let stage = Stage::new(on);
    let (parent, drops) = (stage.puppet("parent"), Count::default());
    let actors: Vec<_> = ["b", "c", "d", "e"].map(|name| stage.child(&parent, name, at_once())).into();
    let each = scaled(5000, 200);
    let (taken, refused) = storm(&actors, each, &drops);
    assert_eq!((taken, refused), (4 * each, 0));
    stage.quiet();
    for actor in &actors {
        assert_eq!(actor.ask(1).wait(), Ok(2));
    }
    let bombs = 4 * (each / 10);
    drops.reaches(4 * each - bombs);
    let counters = stage.counters();
    assert_eq!(counters.restarts, bombs);
    // Each sender's messages came in order, over all restarts.
    for name in ["b", "c", "d", "e"] {
        let mut last = [0; 4];
        let lines = stage.log.of(name);
        for n in lines.iter().filter_map(|line| line.strip_prefix("gets ")?.parse::<u64>().ok()) {
            let before = &mut last[(n / SENDER) as usize];
            assert!(n == 1 || *before <= n, "{name}: {n} after {before}");
            *before = n;
        }
    }
    let counters = stage.end();
    // Four births, the storm, four questions.
    assert_eq!((counters.handled, counters.dead_lettered), (4 * each + 8, 0));
}

fn stops_in_a_storm(on: Engine) {
    let rules = [
        at_once(),
        Restart::on_panic().unlimited().backoff(Duration::from_micros(50), Duration::from_millis(2)),
        never_comes(),
        Restart::always().unlimited().backoff(Duration::ZERO, Duration::ZERO),
    ];
    for round in 0..scaled(8, 2) {
        for rule in &rules {
            let stage = Stage::new(on);
            let (drops, ends) = (Count::default(), Shared::new(Vec::new()));
            let ear = stage.spawn(Ear(ends.clone()));
            let parent = stage.puppet("parent");
            let actors: Vec<_> = ["b", "c", "d", "e", "f"].map(|name| stage.child(&parent, name, rule.clone())).into();
            for actor in &actors {
                ear.ask(actor.clone()).wait().unwrap();
            }
            let each = scaled(500, 100);
            let (taken, refused) = thread::scope(|scope| {
                scope.spawn(|| {
                    for (n, actor) in actors.iter().enumerate() {
                        thread::yield_now();
                        match (n as u64 + round) % 5 {
                            0 => actor.stop(),
                            1 => actor.drain(),
                            2 => drop(actor.tell(run(|_, ctx| ctx.stop()))),
                            3 => {}
                            _ => parent.stop(),
                        }
                    }
                });
                storm(&actors, each, &drops)
            });
            assert_eq!(taken + refused, 4 * each);
            parent.stop();
            eventually("five notices", || ends.get().len() == 5);
            let mut heard = ends.get();
            heard.sort_unstable();
            let mut ids: Vec<_> = actors.iter().map(|actor| actor.id().get()).collect();
            ids.sort_unstable();
            assert_eq!(heard, ids);
            stage.living(1);
            stage.quiet();
            drops.reaches(4 * (each - each / 10));
            stage.end();
        }
    }
}

/// Watches, and notes who has ended.
struct Ear(Shared<Vec<u64>>);

impl Actor for Ear {}

impl Handler<ActorRef<Puppet>> for Ear {
    type Reply = ();

    fn handle(&mut self, target: ActorRef<Puppet>, ctx: &mut Context<Self>) {
        ctx.watch(&target);
    }
}

impl Handler<Terminated> for Ear {
    type Reply = ();

    fn handle(&mut self, notice: Terminated, _: &mut Context<Self>) {
        self.0.with(|ends| ends.push(notice.id.get()));
    }
}

fn a_stop_wins_over_the_decision(on: Engine) {
    let stage = Stage::new(on);
    let boss = stage.spawn(Boss::new(Strategy::OneForOne, |failure| failure.proposed));
    let child = bear(&stage, &boss, "child", Some(at_once()));
    let gate = Gate::default();
    boss.tell(gate.clone()).unwrap();
    let failed = child.ask(run(|_, _| panic!("meant")));
    assert_eq!(failed.wait(), Err(AskError::Panicked));
    child.stop();
    // The parent is still in its handler.
    stage.log.expect("child", &["starts", "stops: stopped", "drops"]);
    gate.open();
    bear(&stage, &boss, "other", None);
    boss.stop();
    stage.living(0);
    assert_eq!(stage.end().restarts, 0);
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

fn the_decision_waits_for_the_parent(on: Engine) {
    let stage = Stage::new(on);
    let boss = stage.spawn(Boss::new(Strategy::OneForOne, |failure| failure.proposed));
    let child = bear(&stage, &boss, "child", Some(at_once()));
    let gate = Gate::default();
    boss.tell(gate.clone()).unwrap();
    assert_eq!(child.ask(run(|_, _| panic!("meant"))).wait(), Err(AskError::Panicked));
    let queued = child.ask(1);
    gate.open();
    assert_eq!(queued.wait(), Ok(2));
    stage.log.expect("child", &["starts", "drops", "starts", "gets 1"]);
    assert_eq!(stage.end().restarts, 1);
}
