//! What a restart keeps of an actor that has a name, links and timers: all but the timers.

use crate::support::puppet::{Puppet, run, watch};
use crate::support::restarts::{at_once, fail, never_comes};
use crate::support::stage::{Engine, Stage, contract, parallel_contract};
use crate::support::{Count, Counted, Log, Shared, eventually};
use cuelight::{Actor, ActorRef, Context, Handler, IdleTimeout, Restart, SpawnError, StopReason, TimerKey};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

contract! {
    name_and_links_stay_and_timers_go,
    the_name_is_taken_while_it_waits,
    get_or_spawn_one_that_is_restarted,
    a_restart_that_cannot_be_takes_no_name,
    traps_stay,
    a_linked_end_is_no_failure,
    a_linked_end_wins_over_the_wait,
    peers_of_one_that_is_given_up,
    more_timers_than_a_turn_takes_back,
    timers_in_each_life,
}

parallel_contract! {
    timers_that_are_queued_when_it_fails,
}

/// Sets timers in each of its lives, and notes whose come.
struct Ringer {
    life: u64,
    log: Log,
    keys: Vec<TimerKey>,
}

/// Of this life.
#[derive(Clone)]
struct Ring(u64, &'static str);

/// Says which life it is.
struct Life;

/// Fails, with timers set that are due at once.
struct Fail;

impl Actor for Ringer {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.says("starts");
        ctx.send_after(Duration::ZERO, Ring(self.life, "first"));
        // Later than all that an earlier life has left, if it has left any.
        ctx.send_after(20 * MS, Ring(self.life, "last"));
        self.keys.push(ctx.send_after(HOUR, Ring(self.life, "never")));
    }

    fn stopped(&mut self, reason: &StopReason) {
        self.says(&format!("stops: {reason}"));
    }
}

impl Ringer {
    fn says(&self, what: &str) {
        self.log.line(format!("{} {what}", self.life));
    }
}

impl Handler<Ring> for Ringer {
    type Reply = ();

    fn handle(&mut self, Ring(life, which): Ring, _: &mut Context<Self>) {
        self.says(&format!("rings: {life} {which}"));
    }
}

impl Handler<IdleTimeout> for Ringer {
    type Reply = ();

    fn handle(&mut self, _: IdleTimeout, _: &mut Context<Self>) {
        self.says("is idle");
    }
}

impl Handler<Life> for Ringer {
    type Reply = (u64, Vec<TimerKey>);

    fn handle(&mut self, _: Life, _: &mut Context<Self>) -> Self::Reply {
        (self.life, self.keys.clone())
    }
}

/// Takes a timer back.
struct Cancel(TimerKey);

impl Handler<Cancel> for Ringer {
    type Reply = bool;

    fn handle(&mut self, Cancel(key): Cancel, ctx: &mut Context<Self>) -> bool {
        ctx.cancel(key)
    }
}

impl Handler<Fail> for Ringer {
    type Reply = ();

    fn handle(&mut self, _: Fail, ctx: &mut Context<Self>) {
        ctx.send_after(MS, Ring(self.life, "old"));
        ctx.send_every(MS, Ring(self.life, "old"));
        ctx.set_idle_timeout(Some(MS));
        panic!("meant");
    }
}

fn ringer(stage: &Stage) -> ActorRef<Ringer> {
    let (log, lives) = (stage.log.clone(), Count::default());
    let factory = move || {
        lives.add(1);
        Ringer { life: lives.get(), log: log.clone(), keys: Vec::new() }
    };
    stage.actor(factory).name("bell").restart(at_once()).spawn().unwrap()
}

#[track_caller]
fn link(a: &ActorRef<Puppet>, b: &ActorRef<impl Actor>) {
    let b = b.clone();
    a.ask(run(move |_, ctx| ctx.link(&b))).wait().expect("a link");
}

fn name_and_links_stay_and_timers_go(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (ringer(&stage), stage.puppet("b"));
    link(&b, &a);
    watch(&b, &a);
    let (_, old) = a.ask(Life).wait().unwrap();
    stage.log.until("1 rings: 1 last");
    a.tell(Fail).unwrap();
    stage.log.until("2 rings: 2 last");
    stage.log.expect("2", &["starts", "rings: 2 first", "rings: 2 last"]);
    let (life, new) = a.ask(Life).wait().unwrap();
    assert_eq!(life, 2);
    assert_eq!(a.ask(Cancel(old[0])).wait(), Ok(false), "a key of the first life");
    assert_eq!(a.ask(Cancel(new[0])).wait(), Ok(true));
    assert_eq!((a.name(), stage.lookup::<Ringer>("bell")), (Some("bell"), Some(a.clone())));
    a.stop();
    stage.log.until("b drops");
    assert!(stage.log.of("b").contains(&"stops: linked actor ended".to_owned()));
    assert_eq!(stage.lookup::<Ringer>("bell"), None);
    assert_eq!(stage.end().restarts, 1);
}

fn restarted(stage: &Stage, rule: Restart) -> ActorRef<Puppet> {
    let log = stage.log.clone();
    stage.actor(move || Puppet::new("a", &log)).restart(rule).name("desk").spawn().unwrap()
}

fn the_name_is_taken_while_it_waits(on: Engine) {
    let stage = Stage::new(on);
    let a = restarted(&stage, never_comes());
    fail(&a);
    stage.log.until("a drops");
    assert_eq!(stage.lookup("desk"), Some(a.clone()));
    let second = stage.actor(|| -> Puppet { unreachable!() }).name("desk").spawn();
    assert_eq!(second, Err(SpawnError::NameTaken { asked: "desk".into() }));
    a.stop();
    stage.living(0);
    eventually("the name is free", || stage.lookup::<Puppet>("desk").is_none());
    restarted(&stage, at_once());
    stage.end();
}

fn get_or_spawn_one_that_is_restarted(on: Engine) {
    let stage = Stage::new(on);
    let made = Count::default();
    let get = || {
        let (log, made) = (stage.log.clone(), made.clone());
        let factory = move || {
            made.add(1);
            Puppet::new("a", &log)
        };
        stage.actor(factory).restart(at_once()).get_or_spawn("desk").unwrap()
    };
    let a = get();
    assert_eq!((get(), made.get()), (a.clone(), 1));
    fail(&a);
    assert_eq!(a.ask(1).wait(), Ok(2));
    assert_eq!((get(), made.get()), (a, 2));
    // A child as well.
    let (place, parent) = (Shared::new(None), stage.puppet("parent"));
    let put = place.clone();
    let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let child = ctx.actor(this.factory("child")).restart(at_once()).get_or_spawn("below").unwrap();
        put.with(|place| *place = Some(child));
    };
    parent.ask(run(part)).wait().unwrap();
    let child: ActorRef<Puppet> = place.with(Option::take).unwrap();
    fail(&child);
    assert_eq!(child.ask(1).wait(), Ok(2));
    assert_eq!(stage.lookup("below"), Some(child));
    assert_eq!(stage.end().restarts, 2);
}

fn a_restart_that_cannot_be_takes_no_name(on: Engine) {
    let stage = Stage::new(on);
    let bad = || Restart::on_panic().limit(1, Duration::ZERO);
    let factory = || -> Puppet { unreachable!() };
    let error = Err(SpawnError::ZeroWindow { limit: 1 });
    assert_eq!(stage.actor(factory).name("desk").restart(bad()).spawn(), error);
    assert_eq!(stage.actor(factory).restart(bad()).get_or_spawn("desk"), error);
    restarted(&stage, at_once());
    stage.end();
}

fn traps_stay(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.restarted("a", at_once()), stage.puppet("b"));
    a.ask(run(|_, ctx| ctx.trap_links(true))).wait().unwrap();
    link(&a, &b);
    fail(&a);
    b.stop();
    stage.log.expect("a", &["starts", "drops", "starts", &format!("hears of {}: stopped", b.id())]);
    stage.end();
}

fn a_linked_end_is_no_failure(on: Engine) {
    for rule in [at_once(), Restart::always().unlimited()] {
        let stage = Stage::new(on);
        let (parent, child) = stage.family(rule.clone());
        let (a, b) = (restarted(&stage, rule), stage.puppet("b"));
        link(&b, &a);
        link(&child, &b);
        watch(&parent, &child);
        b.stop();
        for ended in ["a", "child"] {
            stage.log.expect(ended, &["starts", "stops: linked actor ended", "drops"]);
        }
        stage.log.until(&format!("parent hears of {}: linked actor ended", child.id()));
        assert_eq!(stage.end().restarts, 0);
    }
}

fn a_linked_end_wins_over_the_wait(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (restarted(&stage, never_comes()), stage.puppet("b"), stage.puppet("c"));
    link(&a, &b);
    watch(&c, &a);
    fail(&a);
    stage.log.until("a drops");
    b.stop();
    stage.log.until(&format!("c hears of {}: linked actor ended", a.id()));
    stage.living(1);
    assert_eq!(stage.lookup::<Puppet>("desk"), None);
    stage.end();
}

fn peers_of_one_that_is_given_up(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.restarted("a", at_once()), stage.puppet("b"));
    let (_parent, child) = stage.family(Restart::never());
    link(&b, &a);
    link(&b, &child);
    fail(&a);
    assert_eq!(a.ask(1).wait(), Ok(2));
    assert_eq!(b.ask(1).wait(), Ok(2), "its peer lives on");
    fail(&child);
    for ended in ["a", "b"] {
        stage.log.until(&format!("{ended} stops: linked actor ended"));
    }
    stage.living(1);
    assert_eq!(stage.end().restarts, 1);
}

fn more_timers_than_a_turn_takes_back(on: Engine) {
    let stage = Stage::new(on);
    let drops = Count::default();
    let a = stage.restarted("a", at_once());
    let carried = drops.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        for _ in 0..5000 {
            let carried = Counted(carried.clone());
            ctx.send_after(HOUR, run(move |_, _| drop(carried)));
        }
        panic!("meant");
    };
    a.tell(run(part)).unwrap();
    assert_eq!(a.ask(1).wait(), Ok(2));
    assert_eq!(drops.get(), 5000);
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.sent, counters.handled), (1, 2, 2));
}

fn timers_in_each_life(on: Engine) {
    let stage = Stage::new(on);
    let a = ringer(&stage);
    for life in 1..=50 {
        assert_eq!(a.ask(Life).wait().map(|(life, _)| life), Ok(life));
        a.tell(Fail).unwrap();
    }
    stage.log.until("51 rings: 51 last");
    for line in stage.log.lines() {
        let life = line.split(' ').next().unwrap();
        let own = line.ends_with("starts") || line.contains(&format!("rings: {life} "));
        assert!(own && !line.ends_with("old"), "{line}");
    }
    assert_eq!(stage.end().restarts, 50);
}

fn timers_that_are_queued_when_it_fails(on: Engine) {
    let stage = Stage::new(on);
    let letters = stage.letters(drop);
    let a = stage.restarted("a", at_once());
    let drops = Count::default();
    let (system, carried) = (stage.system.clone(), Counted(drops.clone()));
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.send_after(MS, run(move |_, _| drop(carried)));
        ctx.send_every(MS, 2_u64);
        ctx.set_idle_timeout(Some(MS));
        // This message, the three, and the question that comes from outside meanwhile.
        eventually("all are queued", || system.counters().sent >= 5);
        panic!("meant");
    };
    a.tell(run(part)).unwrap();
    assert_eq!(a.ask(1).wait(), Ok(2));
    drops.reaches(1);
    stage.quiet();
    stage.log.expect("a", &["starts", "drops", "starts", "gets 1"]);
    // That of the message whose handler panicked.
    eventually("a letter", || !letters.get().is_empty());
    stage.quiet();
    assert_eq!(letters.get().len(), 1);
    a.stop();
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (5, 5, 0));
}
