//! Watching: exactly one notice for each watch.

use crate::support::puppet::{Puppet, run, watch};
use crate::support::stage::{Engine, Stage, contract, end, hold};
use crate::support::{Count, eventually, scaled};
use cuelight::{Actor, ActorRef, Context, Handler, StopReason, Terminated};

contract! {
    before_the_end,
    during_the_end,
    after_the_end,
    of_an_actor_that_never_began,
    by_many,
    twice_is_two,
    unwatch_takes_all_back,
    unwatch_of_what_was_never_watched,
    watch_again_after_unwatch,
    each_reason,
    a_watcher_that_has_gone,
    of_oneself,
    of_each_other,
    of_another_system,
    unwatch_across_systems_is_exact,
    watches_race_with_ends,
}

fn notice(of: &ActorRef<impl Actor>, reason: &str) -> String {
    format!("hears of {}: {reason}", of.id())
}

fn unwatch(watcher: &ActorRef<Puppet>, target: &ActorRef<Puppet>) {
    let target = target.clone();
    watcher.ask(run(move |_, ctx| ctx.unwatch(&target))).wait().unwrap();
}

/// The watcher's lines, after everything that is on its way to it has come.
fn hears(stage: &Stage, watcher: &ActorRef<Puppet>) -> Vec<String> {
    stage.quiet();
    watcher.ask(0).wait().unwrap();
    stage.log.of("a").into_iter().filter(|line| line.starts_with("hears")).collect()
}

fn before_the_end(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    watch(&a, &b);
    b.stop();
    stage.log.until(&format!("a {}", notice(&b, "stopped")));
    assert_eq!(hears(&stage, &a), [notice(&b, "stopped")]);
    stage.end();
}

fn during_the_end(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let held = hold(&b);
    b.tell(1).unwrap();
    b.drain();
    let target = b.clone();
    a.tell(run(move |_, ctx| ctx.watch(&target))).unwrap();
    if on.workers() > 1 {
        stage.log.expect("a", &["starts"]);
    }
    drop(held);
    stage.log.until(&format!("a {}", notice(&b, "drained")));
    assert_eq!(hears(&stage, &a), [notice(&b, "drained")]);
    stage.end();
}

fn after_the_end(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    b.tell(run(|_, _| panic!("meant: gone"))).unwrap();
    stage.living(1);
    watch(&a, &b);
    watch(&a, &b);
    let wanted = notice(&b, "panicked: meant: gone");
    assert_eq!(hears(&stage, &a), [wanted.clone(), wanted]);
    stage.end();
}

fn of_an_actor_that_never_began(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let other = Stage::new(on);
    end(&other.system);
    let late = other.puppet("b");
    watch(&a, &late);
    assert_eq!(hears(&stage, &a), [notice(&late, "system shut down")]);
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.stop();
        let child = ctx.spawn(this.other("c"));
        assert!(child.is_stopped());
        this.says(child.id());
        // The notice comes too late for this actor.
        ctx.watch(&child);
    };
    a.tell(run(part)).unwrap();
    stage.log.until("a drops");
    assert_eq!(stage.end().dead_lettered, 1);
}

fn by_many(on: Engine) {
    let stage = Stage::new(on);
    let b = stage.puppet("b");
    let watchers: Vec<_> = (0..200).map(|_| stage.puppet("a")).collect();
    for (n, watcher) in watchers.iter().enumerate() {
        if n % 2 == 0 {
            watch(watcher, &b);
        }
    }
    let held = hold(&b);
    b.stop();
    for (n, watcher) in watchers.iter().enumerate() {
        if n % 2 == 1 {
            let target = b.clone();
            watcher.tell(run(move |_, ctx| ctx.watch(&target))).unwrap();
        }
    }
    drop(held);
    let wanted = notice(&b, "stopped");
    eventually("all hear", || stage.log.of("a").iter().filter(|line| **line == wanted).count() >= 200);
    assert_eq!(hears(&stage, &watchers[0]).len(), 200);
    stage.end();
}

fn twice_is_two(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    watch(&a, &b);
    watch(&a, &b);
    b.stop();
    stage.living(1);
    assert_eq!(hears(&stage, &a), [notice(&b, "stopped"), notice(&b, "stopped")]);
    stage.end();
}

fn unwatch_takes_all_back(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
    watch(&a, &b);
    watch(&a, &b);
    watch(&a, &c);
    unwatch(&a, &b);
    b.stop();
    c.stop();
    stage.living(1);
    assert_eq!(hears(&stage, &a), [notice(&c, "stopped")]);
    // Too late to take anything back, and no harm.
    unwatch(&a, &b);
    unwatch(&a, &c);
    assert_eq!(hears(&stage, &a).len(), 1);
    stage.end();
}

fn unwatch_of_what_was_never_watched(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
    watch(&c, &b);
    unwatch(&a, &b);
    unwatch(&a, &a);
    b.stop();
    stage.log.until(&format!("c {}", notice(&b, "stopped")));
    assert_eq!(hears(&stage, &a), Vec::<String>::new());
    stage.end();
}

fn watch_again_after_unwatch(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    watch(&a, &b);
    unwatch(&a, &b);
    watch(&a, &b);
    b.drain();
    stage.living(1);
    assert_eq!(hears(&stage, &a), [notice(&b, "drained")]);
    stage.end();
}

/// Keeps notices as they are.
struct Keeper(crate::support::Shared<Vec<Terminated>>);

impl Actor for Keeper {}

impl Handler<Terminated> for Keeper {
    type Reply = ();

    fn handle(&mut self, notice: Terminated, _: &mut Context<Self>) {
        self.0.with(|notices| notices.push(notice));
    }
}

/// Something to watch.
struct Watch(ActorRef<Puppet>);

impl Handler<Watch> for Keeper {
    type Reply = ();

    fn handle(&mut self, Watch(target): Watch, ctx: &mut Context<Self>) {
        ctx.watch(&target);
    }
}

fn each_reason(on: Engine) {
    let stage = Stage::new(on);
    let (other, notices) = (Stage::new(on), crate::support::Shared::default());
    let keeper = other.spawn(Keeper(notices.clone()));
    let names = ["stopped", "drained", "panicked", "parent", "shutdown"];
    let actors = names.map(|name| stage.puppet(name));
    let (child, made) = (crate::support::Shared::new(None), crate::support::Gate::default());
    let (place, gate) = (child.clone(), made.clone());
    let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        place.with(|place| *place = Some(ctx.spawn(this.other("child"))));
        gate.open();
    };
    actors[3].tell(run(part)).unwrap();
    made.wait();
    let child = child.with(Option::take).unwrap();
    let targets = [&actors[0], &actors[1], &actors[2], &child, &actors[4]];
    for target in targets {
        keeper.ask(Watch(target.clone())).wait().unwrap();
    }
    actors[0].stop();
    actors[1].drain();
    actors[2].tell(run(|_, _| panic!("meant: so"))).unwrap();
    actors[3].stop();
    stage.living(1);
    stage.end();
    eventually("five notices", || notices.with(|notices| notices.len()) == 5);
    let reasons = [
        StopReason::Stopped,
        StopReason::Drained,
        StopReason::Panicked("meant: so".into()),
        StopReason::ParentStopped,
        StopReason::SystemShutdown,
    ];
    for (target, reason) in targets.into_iter().zip(reasons) {
        let notices = notices.with(|notices| notices.clone());
        let notice = notices.iter().find(|notice| notice.id == target.id()).expect("a notice");
        assert_eq!(notice.reason, reason);
    }
    other.end();
}

fn a_watcher_that_has_gone(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    watch(&a, &b);
    a.stop();
    stage.living(1);
    b.stop();
    stage.living(0);
    let counters = stage.end();
    // The notice was sent, and nobody handled it.
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (2, 1, 1));
}

fn of_oneself(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    watch(&a, &a);
    a.stop();
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    assert_eq!(stage.end().dead_lettered, 1);
}

fn of_each_other(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    watch(&a, &b);
    watch(&b, &a);
    b.stop();
    stage.log.expect("a", &["starts".to_owned(), notice(&b, "stopped")]);
    a.stop();
    stage.living(0);
    assert_eq!(stage.end().dead_lettered, 1);
}

fn of_another_system(on: Engine) {
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let (a, b) = (stage.puppet("a"), other.puppet("b"));
    watch(&a, &b);
    let counters = other.end();
    assert_eq!(counters.sent, 0);
    stage.log.until(&format!("a {}", notice(&b, "system shut down")));
    // The notice is a message of the watcher's system.
    assert_eq!(stage.end().handled, 2);
}

fn unwatch_across_systems_is_exact(on: Engine) {
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let target = stage.puppet("t");
    // Identities are unique in their system only: find two that are the same.
    let here: Vec<_> = (0..20).map(|_| stage.puppet("a")).collect();
    let there: Vec<_> = (0..20).map(|_| other.puppet("a")).collect();
    let pair = here.iter().find_map(|a| Some((a, there.iter().find(|b| a.id() == b.id())?)));
    let Some((a, b)) = pair else {
        println!("no two actors with the same number");
        return;
    };
    watch(a, &target);
    watch(b, &target);
    unwatch(a, &target);
    target.stop();
    other.log.until(&format!("a {}", notice(&target, "stopped")));
    assert_eq!(hears(&stage, a), Vec::<String>::new());
    stage.end();
    other.end();
}

/// Counts notices.
struct Counter(Count);

impl Actor for Counter {}

impl Handler<Terminated> for Counter {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.0.add(1);
    }
}

impl Handler<Watch> for Counter {
    type Reply = ();

    fn handle(&mut self, Watch(target): Watch, ctx: &mut Context<Self>) {
        ctx.watch(&target);
    }
}

fn watches_race_with_ends(on: Engine) {
    let stage = Stage::new(on);
    let notices = Count::default();
    let watchers: Vec<_> = (0..4).map(|_| stage.spawn(Counter(notices.clone()))).collect();
    let rounds = scaled(500, 20);
    for round in 0..rounds {
        let target = stage.puppet("t");
        for (n, watcher) in watchers.iter().enumerate() {
            if n as u64 == round % 5 {
                target.stop();
            }
            watcher.tell(Watch(target.clone())).unwrap();
        }
        target.stop();
    }
    notices.reaches(rounds * 4);
    stage.living(4);
    stage.end();
}
