//! Parents and children: who is whose, and what is spawned too late.

use crate::support::puppet::{Puppet, run};
use crate::support::stage::{Engine, Stage, contract, end, hold, threads_contract};
use crate::support::{Count, Counted, Gate, Shared, eventually, scaled};
use cuelight::{Actor, ActorId, ActorRef, AskError, Context, SpawnError, StopReason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

contract! {
    parents_and_children_know_each_other,
    children_that_end_are_forgotten,
    many_children,
    many_generations,
    spawned_under_a_stopping_parent,
    spawned_under_a_draining_parent,
    spawned_by_the_system_from_an_actor,
    spawned_after_the_shutdown,
    made_by_factories,
    whose_drop_panics_too_late,
    identities_are_unique,
    a_child_outlives_no_parent,
    spawn_storm,
}

threads_contract! {
    spawned_during_the_shutdown,
}

type Ctx = Context<Puppet>;

fn children(of: &ActorRef<Puppet>) -> Vec<ActorId> {
    let place = Shared::default();
    let put = place.clone();
    of.ask(run(move |_, ctx| put.with(|place| *place = ctx.children()))).wait().unwrap();
    place.get()
}

fn spawn_child(of: &ActorRef<Puppet>, name: &'static str) -> ActorRef<Puppet> {
    let place = Shared::new(None);
    let put = place.clone();
    let part = move |this: &mut Puppet, ctx: &mut Ctx| put.with(|place| *place = Some(ctx.spawn(this.other(name))));
    of.ask(run(part)).wait().unwrap();
    place.with(Option::take).unwrap()
}

fn parents_and_children_know_each_other(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let (b, c) = (spawn_child(&a, "b"), spawn_child(&a, "c"));
    let d = spawn_child(&b, "d");
    assert_eq!(children(&a), [b.id(), c.id()]);
    assert_eq!(children(&b), [d.id()]);
    assert_eq!(children(&d), []);
    for (actor, parent) in [(&a, None), (&b, Some(a.id())), (&c, Some(a.id())), (&d, Some(b.id()))] {
        actor.ask(run(move |_, ctx| assert_eq!(ctx.parent(), parent))).wait().unwrap();
    }
    stage.end();
}

fn children_that_end_are_forgotten(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let all: Vec<_> = (0..10).map(|_| spawn_child(&a, "c")).collect();
    for n in [0, 9, 4, 5] {
        all[n].stop();
    }
    all[3].drain();
    all[7].tell(run(|_, _| panic!("meant"))).unwrap();
    stage.living(5);
    let mut left = children(&a);
    left.sort_unstable();
    let mut wanted: Vec<ActorId> = [1, 2, 6, 8].map(|n| all[n].id()).to_vec();
    wanted.sort_unstable();
    assert_eq!(left, wanted);
    a.stop();
    stage.living(0);
    stage.end();
}

fn many_children(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let count = scaled(20_000, 500);
    let seen = drops.clone();
    a.tell(run(move |_, ctx| (0..count).for_each(|_| drop(ctx.spawn(Leaf { _drops: Counted(seen.clone()) })))))
        .unwrap();
    stage.living(count + 1);
    assert_eq!(children(&a).len() as u64, count);
    a.stop();
    stage.living(0);
    drops.reaches(count);
    stage.end();
}

/// Does nothing.
struct Leaf {
    _drops: Counted,
}

impl Actor for Leaf {}

/// Spawns the next generation.
struct Generation {
    left: u64,
    ended: Count,
    grown: Gate,
}

impl Actor for Generation {
    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.left == 0 {
            self.grown.open();
        } else {
            let next = Self { left: self.left - 1, ended: self.ended.clone(), grown: self.grown.clone() };
            ctx.spawn(next);
        }
    }

    fn stopped(&mut self, _: &StopReason) {
        // The leaves first: those with fewer generations below them have ended.
        assert_eq!(self.ended.get(), self.left);
        self.ended.add(1);
    }
}

fn many_generations(on: Engine) {
    let stage = Stage::new(on);
    let count = scaled(50_000, 1000);
    for drain in [false, true] {
        let (ended, grown) = (Count::default(), Gate::default());
        let root = stage.spawn(Generation { left: count, ended: ended.clone(), grown: grown.clone() });
        grown.wait();
        if drain {
            root.drain()
        } else {
            root.stop()
        }
        ended.reaches(count + 1);
        stage.living(0);
    }
    stage.end();
}

fn stillborn(child: &ActorRef<Puppet>) {
    assert!(child.is_stopped());
    assert_eq!(child.tell(1).unwrap_err().into_message(), 1);
    // Nobody can wait here; that it is refused shows in the counters.
    drop(child.ask(1));
    child.stop();
    child.drain();
}

fn spawned_under_a_stopping_parent(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Ctx| {
        ctx.stop();
        let child = ctx.spawn(this.other("b"));
        stillborn(&child);
        let other = this.other("c");
        let mut other = Some(other);
        let made = ctx.actor(move || other.take().expect("once")).spawn();
        assert_eq!(made.unwrap_err(), SpawnError::Stopping);
        assert!(ctx.children().is_empty());
        this.says("is done");
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "is done", "stops: stopped", "drops"]);
    // Dropped without having begun.
    stage.log.expect("b", &["drops"]);
    stage.log.expect("c", &["drops"]);
    let counters = stage.end();
    assert_eq!((counters.returned, counters.dead_lettered), (1, 1));
}

fn spawned_under_a_draining_parent(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    let part = |this: &mut Puppet, ctx: &mut Ctx| {
        // What is queued may need children.
        let child = ctx.spawn(this.other("b"));
        child.tell(1).unwrap();
        assert_eq!(ctx.children(), [child.id()]);
    };
    a.tell(run(part)).unwrap();
    a.drain();
    drop(held);
    stage.log.until("a drops");
    stage.log.expect("b", &["starts", "gets 1", "stops: drained", "drops"]);
    stage.log.expect("a", &["starts", "stops: drained", "drops"]);
    stage.end();
}

fn spawned_by_the_system_from_an_actor(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Ctx| {
        let root = ctx.system().spawn(this.other("r"));
        root.tell(run(|this, ctx| this.says(format_args!("has {:?}", ctx.parent())))).unwrap();
        assert!(ctx.children().is_empty());
        ctx.stop();
    };
    a.tell(run(part)).unwrap();
    stage.log.until("a drops");
    // It is nobody's child, and goes on.
    stage.log.expect("r", &["starts", "has None"]);
    stage.living(1);
    stage.end();
}

fn spawned_after_the_shutdown(on: Engine) {
    let stage = Stage::new(on);
    end(&stage.system);
    let late = stage.puppet("a");
    assert_eq!(late.ask(1).wait(), Err(AskError::Stopped));
    stillborn(&late);
    let log = stage.log.clone();
    let made = stage.actor(move || Puppet::new("b", &log)).spawn();
    assert_eq!(made.unwrap_err(), SpawnError::Stopping);
    assert_eq!(SpawnError::Stopping.to_string(), "the parent or the system is stopping");
    assert_eq!(stage.log.lines(), ["a drops", "b drops"]);
    let counters = stage.counters();
    assert_eq!((counters.live_actors, counters.in_flight()), (0, 0));
}

fn spawned_during_the_shutdown(on: Engine) {
    for _ in 0..20 {
        let stage = Stage::new(on);
        let drops = Count::default();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (system, drops) = (stage.system.clone(), drops.clone());
                thread::spawn(move || {
                    let mut made = 0;
                    loop {
                        made += 1;
                        if system.spawn(Leaf { _drops: Counted(drops.clone()) }).is_stopped() {
                            // Ended, or never began; the second stays so.
                            if system.spawn(Leaf { _drops: Counted(drops.clone()) }).is_stopped() {
                                return made + 1;
                            }
                            made += 1;
                        }
                    }
                })
            })
            .collect();
        eventually("some live", || stage.counters().live_actors > 10);
        let system = stage.system.clone();
        stage.end();
        let made: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(drops.get(), made);
        assert_eq!(system.counters().live_actors, 0);
    }
}

fn made_by_factories(on: Engine) {
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let a = stage.actor(move || Puppet::new("a", &log)).spawn().unwrap();
    assert_eq!(a.ask(1).wait(), Ok(2));
    let part = |this: &mut Puppet, ctx: &mut Ctx| {
        let (log, name) = (this.log.clone(), "b");
        let child = ctx.actor(move || Puppet::new(name, &log)).spawn().unwrap();
        assert_eq!(ctx.children(), [child.id()]);
        child.tell(5).unwrap();
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("b", &["starts", "gets 5"]);
    assert!(format!("{:?}", stage.actor(|| -> Puppet { unreachable!() })).starts_with("ActorBuilder"));
    stage.end();
}

/// Panics when it is dropped.
struct Brittle;

impl Actor for Brittle {}

impl Drop for Brittle {
    fn drop(&mut self) {
        panic!("meant: too late");
    }
}

fn whose_drop_panics_too_late(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |_: &mut Puppet, ctx: &mut Ctx| {
        ctx.stop();
        ctx.spawn(Brittle);
    };
    a.tell(run(part)).unwrap();
    // A panic in its handler; the stop that it asked for is overtaken by it.
    stage.log.expect("a", &["starts", "stops: panicked: meant: too late", "drops"]);
    end(&stage.system);
    // Outside it is the caller's.
    assert!(catch_unwind(AssertUnwindSafe(|| stage.spawn(Brittle))).is_err());
    assert_eq!(stage.counters().live_actors, 0);
}

fn identities_are_unique(on: Engine) {
    let stage = Stage::new(on);
    let ids = Shared::new(Vec::new());
    let each = scaled(2000, 100);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (system, ids) = (stage.system.clone(), ids.clone());
            thread::spawn(move || {
                for _ in 0..each {
                    let actor = system.spawn(Leaf { _drops: Counted(Count::default()) });
                    ids.with(|ids| ids.push(actor.id()));
                    actor.stop();
                }
            })
        })
        .collect();
    for _ in 0..on.workers() {
        let ids = ids.clone();
        let part = move |_: &mut Puppet, ctx: &mut Ctx| {
            for n in 0..each {
                let leaf = Leaf { _drops: Counted(Count::default()) };
                let child = if n % 2 == 0 { ctx.spawn(leaf) } else { ctx.system().spawn(leaf) };
                ids.with(|ids| ids.push(child.id()));
            }
        };
        stage.puppet("a").tell(run(part)).unwrap();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let all = each * (3 + on.workers() as u64);
    eventually("all are made", || ids.with(|ids| ids.len() as u64) == all);
    end(&stage.system);
    ids.with(|ids| ids.push(stage.spawn(Leaf { _drops: Counted(Count::default()) }).id()));
    let mut ids = ids.with(std::mem::take);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64, all + 1);
}

fn a_child_outlives_no_parent(on: Engine) {
    let stage = Stage::new(on);
    for _ in 0..scaled(200, 20) {
        let a = stage.puppet("a");
        let drops = Count::default();
        let seen = drops.clone();
        let part = move |_: &mut Puppet, ctx: &mut Ctx| {
            for _ in 0..10 {
                let child = ctx.spawn(Leaf { _drops: Counted(seen.clone()) });
                child.stop();
            }
        };
        a.tell(run(part)).unwrap();
        a.drain();
        stage.living(0);
        assert_eq!(drops.get(), 10);
    }
    stage.end();
}

fn spawn_storm(on: Engine) {
    let stage = Stage::new(on);
    let drops = Count::default();
    let each = scaled(3000, 100);
    for _ in 0..4 {
        let drops = drops.clone();
        let part = move |_: &mut Puppet, ctx: &mut Ctx| {
            for n in 0..each {
                let child = ctx.spawn(Leaf { _drops: Counted(drops.clone()) });
                if n % 3 == 0 { child.drain() } else { child.stop() }
            }
        };
        stage.puppet("a").tell(run(part)).unwrap();
    }
    drops.reaches(4 * each);
    stage.living(4);
    stage.end();
}
