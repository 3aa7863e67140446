//! Parents of actors that fail: the limit, escalation, decisions, strategies.

use crate::support::puppet::{Puppet, run, watch};
use crate::support::restarts::{at_once, fail};
use crate::support::stage::{Engine, Stage, contract, hold, parallel_contract};
use crate::support::{Gate, LIMIT, Shared, eventually};
use cuelight::{Actor, ActorRef, AskError, Context, Decision, Failure, Handler, Restart, StopReason, Strategy};
use std::time::Duration;

contract! {
    the_limit_is_exact,
    the_root_s_limit_stops_the_system,
    escalation_fails_the_parent,
    escalation_reaches_the_root,
    escalation_of_a_plain_child,
    a_parent_that_panics_over_it,
    a_parent_that_stops_over_it,
    decisions,
    strategies,
}

parallel_contract! {
    a_stop_wins_over_the_decision,
    the_decision_waits_for_the_parent,
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

fn a_stop_wins_over_the_decision(on: Engine) {
    let stage = Stage::new(on);
    let boss = stage.spawn(Boss::new(Strategy::OneForOne, |failure| failure.proposed));
    let child = bear(&stage, &boss, "child", Some(at_once()));
    let gate = Gate::default();
    boss.tell(gate.clone()).unwrap();
    let failed = child.ask(run(|_, _| panic!("meant")));
    assert_eq!(failed.wait(), Err(AskError::Panicked));
    child.stop();
    // The parent is still in its handler. The stop may have come before the failure was dealt with at all.
    stage.log.until("child drops");
    let lines = stage.log.of("child");
    assert!(["stops: stopped", "stops: panicked: meant"].contains(&lines[1].as_str()), "{lines:?}");
    assert_eq!(lines.len(), 3);
    gate.open();
    bear(&stage, &boss, "other", None);
    boss.stop();
    stage.living(0);
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
