//! Names: one actor at a time, from its making to its end.

use crate::support::puppet::{ENDS, Puppet, run};
use crate::support::stage::{Engine, Stage, contract, end, hold, parallel_contract, threads_contract};
use crate::support::{Count, Gate, Log, Shared, scaled};
use cuelight::{
    Actor, ActorRef, AskError, Context, Handler, ShutdownError, SpawnError, StopReason, System, SystemRef, Terminated,
};
use std::thread;
use std::time::Duration;

contract! {
    a_name_leads_to_its_actor,
    names_that_are_refused,
    a_name_that_is_taken,
    free_before_watchers_hear,
    each_end_frees_it,
    free_after_a_factory_that_panics,
    of_children,
    get_or_spawn_makes_one,
    get_or_spawn_of_another_type,
    a_factory_that_wants_its_own_name,
    a_factory_that_waits,
    a_system_that_has_ended,
}

threads_contract! {
    free_after_the_end_and_not_before,
    callers_race,
    callers_race_with_ends,
    a_factory_that_shuts_down,
}

parallel_contract! {
    handlers_wait_for_a_maker,
}

fn taken(name: &str) -> SpawnError {
    SpawnError::NameTaken { asked: name.to_owned() }
}

fn named(stage: &Stage, name: &str) -> Result<ActorRef<Puppet>, SpawnError> {
    let log = stage.log.clone();
    stage.actor(move || Puppet::new("a", &log)).name(name).spawn()
}

fn a_name_leads_to_its_actor(on: Engine) {
    let stage = Stage::new(on);
    let names = ["a", "b", "with spaces", "π", "\0", &"x".repeat(255)];
    let actors = names.map(|name| named(&stage, name).unwrap());
    for (name, actor) in names.iter().zip(&actors) {
        assert_eq!(actor.name(), Some(*name));
        assert_eq!(stage.lookup::<Puppet>(name).as_ref(), Some(actor));
        assert_eq!(stage.lookup::<Speaker>(name), None, "of another type");
        assert_eq!(actor.ask(2).wait(), Ok(4));
    }
    assert_eq!(stage.lookup::<Puppet>("nobody"), None);
    assert_eq!(stage.lookup::<Puppet>(""), None);
    assert_eq!(stage.puppet("p").name(), None);
    let other = Stage::new(on);
    assert_eq!(other.lookup::<Puppet>("a"), None, "names are of one system");
    named(&other, "a").unwrap();
    end(&stage.system);
    assert_eq!(actors[0].name(), Some("a"), "also after the end");
    assert_eq!(stage.lookup::<Puppet>("a"), None);
    other.end();
}

fn names_that_are_refused(on: Engine) {
    let stage = Stage::new(on);
    for (name, text) in [
        (String::new(), "the name \"\" has 0 bytes: 1 to 255 are allowed".to_owned()),
        ("x".repeat(256), format!("the name {:?}.. has 256 bytes: 1 to 255 are allowed", "x".repeat(32))),
        ("π".repeat(128), format!("the name {:?}.. has 256 bytes: 1 to 255 are allowed", "π".repeat(32))),
    ] {
        let makes = || -> Puppet { unreachable!("no factory is called for a name that is refused") };
        let error = SpawnError::Name { asked: name.clone(), most: 255 };
        assert_eq!(error.to_string(), text);
        assert_eq!(stage.actor(makes).name(name.clone()).spawn(), Err(error.clone()));
        assert_eq!(stage.actor(makes).get_or_spawn(name), Err(error));
    }
    stage.end();
}

fn a_name_that_is_taken(on: Engine) {
    let stage = Stage::new(on);
    let a = named(&stage, "a").unwrap();
    let makes = || -> Puppet { unreachable!("no factory is called for a name that is taken") };
    assert_eq!(stage.actor(makes).name("a").spawn(), Err(taken("a")));
    let text = "the name \"a\" is taken: each is allowed for one actor at a time, until it has ended";
    assert_eq!(taken("a").to_string(), text);
    assert_eq!(stage.lookup(a.name().unwrap()), Some(a));
    stage.end();
}

/// Looks its own name up at its end, and waits for a gate.
struct Speaker(Shared<Option<SystemRef>>, Log, Gate);

impl Actor for Speaker {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.0.with(|system| *system = Some(ctx.system()));
    }

    fn stopped(&mut self, _: &StopReason) {
        let system = self.0.with(Option::take).unwrap();
        self.1.line(format!("there: {}", system.lookup::<Self>("s").is_some()));
        let again = system.actor(|| -> Self { unreachable!() }).name("s").spawn();
        self.1.line(format!("taken: {}", again.is_err()));
        self.2.wait();
    }
}

fn free_after_the_end_and_not_before(on: Engine) {
    let stage = Stage::new(on);
    let gate = Gate::default();
    let (log, door) = (stage.log.clone(), gate.clone());
    let speaker = stage.actor(move || Speaker(Shared::default(), log.clone(), door.clone())).name("s").spawn().unwrap();
    speaker.drain();
    stage.log.expect_all(&["there: true", "taken: true"]);
    assert_eq!(stage.lookup(speaker.name().unwrap()), Some(speaker));
    gate.open();
    stage.living(0);
    assert_eq!(stage.lookup::<Speaker>("s"), None);
    assert!(named(&stage, "s").is_ok());
    stage.end();
}

/// Spawns an actor again when it has ended, under the same name.
struct Keeper {
    log: Log,
    ends: Count,
}

impl Keeper {
    fn spawn(&self, ctx: &mut Context<Self>) {
        let log = self.log.clone();
        let child = ctx.actor(move || Puppet::new("c", &log)).name("child").spawn().expect("a free name");
        ctx.watch(&child);
        child.stop();
    }
}

impl Actor for Keeper {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.spawn(ctx);
    }
}

impl Handler<Terminated> for Keeper {
    type Reply = ();

    fn handle(&mut self, _: Terminated, ctx: &mut Context<Self>) {
        self.ends.add(1);
        if self.ends.get() < 50 {
            self.spawn(ctx);
        }
    }
}

fn free_before_watchers_hear(on: Engine) {
    let stage = Stage::new(on);
    let ends = Count::default();
    stage.spawn(Keeper { log: stage.log.clone(), ends: ends.clone() });
    ends.reaches(50);
    stage.end();
}

fn each_end_frees_it(on: Engine) {
    let stage = Stage::new(on);
    for end in ENDS {
        let a = named(&stage, "a").unwrap();
        end(&a);
        stage.living(0);
        assert_eq!(stage.lookup::<Puppet>("a"), None);
    }
    named(&stage, "a").unwrap();
    let counters = stage.end();
    assert_eq!(counters.live_actors, 0);
}

fn free_after_a_factory_that_panics(on: Engine) {
    let stage = Stage::new(on);
    let failed = SpawnError::FactoryPanicked("meant: no luck".into());
    let makes = || -> Puppet { panic!("meant: no luck") };
    assert_eq!(stage.actor(makes).name("a").spawn(), Err(failed.clone()));
    assert_eq!(stage.actor(makes).get_or_spawn("a"), Err(failed));
    assert_eq!(stage.lookup::<Puppet>("a"), None);
    assert!(named(&stage, "a").is_ok());
    stage.end();
}

fn of_children(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let log = this.log.clone();
        let child = ctx.actor(move || Puppet::new("c", &log)).name("c").spawn().unwrap();
        let makes = || -> Puppet { unreachable!() };
        assert_eq!(ctx.actor(makes).name("c").spawn(), Err(taken("c")));
        assert_eq!(ctx.actor(makes).get_or_spawn("c").as_ref(), Ok(&child));
        assert_eq!((ctx.children(), ctx.system().lookup("c")), (vec![child.id()], Some(child)));
        ctx.stop();
        let log = this.log.clone();
        assert_eq!(ctx.actor(move || Puppet::new("d", &log)).name("d").spawn(), Err(SpawnError::Stopping));
        assert_eq!(ctx.system().lookup::<Puppet>("d"), None, "what never lived has no name");
    };
    a.tell(run(part)).unwrap();
    stage.log.until("a drops");
    stage.living(0);
    assert_eq!(stage.lookup::<Puppet>("c"), None);
    assert!(stage.log.lines().contains(&"a stops: stopped".to_owned()));
    stage.end();
}

fn get_or_spawn_makes_one(on: Engine) {
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let a = stage.actor(move || Puppet::new("a", &log)).get_or_spawn("a").unwrap();
    let makes = || -> Puppet { unreachable!("it is there") };
    assert_eq!(stage.actor(makes).get_or_spawn("a").as_ref(), Ok(&a));
    let held = hold(&a);
    a.stop();
    // It has the name until it has ended.
    assert_eq!(stage.actor(makes).get_or_spawn("a").as_ref(), Ok(&a));
    drop(held);
    stage.living(0);
    let log = stage.log.clone();
    let again = stage.actor(move || Puppet::new("a", &log)).name("unused").get_or_spawn("a").unwrap();
    assert_ne!(again, a);
    assert_eq!(again.name(), Some("a"));
    stage.end();
}

fn get_or_spawn_of_another_type(on: Engine) {
    let stage = Stage::new(on);
    named(&stage, "a").unwrap();
    let makes = || -> Speaker { unreachable!() };
    assert_eq!(stage.actor(makes).get_or_spawn("a"), Err(taken("a")));
    stage.end();
}

fn a_factory_that_wants_its_own_name(on: Engine) {
    let stage = Stage::new(on);
    let (inner, log) = ((*stage.system).clone(), stage.log.clone());
    let factory = move || {
        let makes = || -> Puppet { unreachable!() };
        assert_eq!(inner.actor(makes).get_or_spawn("a"), Err(taken("a")));
        assert_eq!(inner.lookup::<Puppet>("a"), None);
        let log = log.clone();
        let other = log.clone();
        assert!(inner.actor(move || Puppet::new("b", &other)).get_or_spawn("b").is_ok());
        Puppet::new("a", &log)
    };
    let a = stage.actor(factory).get_or_spawn("a").unwrap();
    assert_eq!(stage.lookup("a"), Some(a));
    stage.end();
}

fn a_factory_that_waits(on: Engine) {
    let stage = Stage::new(on);
    let (b, log) = (stage.puppet("b"), stage.log.clone());
    let asked = b.clone();
    let factory = move || {
        assert_eq!(asked.ask(1).wait(), Err(AskError::WouldDeadlock));
        Puppet::new("a", &log)
    };
    stage.actor(factory).get_or_spawn("a").unwrap();
    assert_eq!(b.ask(1).wait(), Ok(2), "and afterwards it may");
    stage.end();
}

fn a_system_that_has_ended(on: Engine) {
    let stage = Stage::new(on);
    end(&stage.system);
    assert_eq!(named(&stage, "a"), Err(SpawnError::Stopping));
    let log = stage.log.clone();
    assert_eq!(stage.actor(move || Puppet::new("a", &log)).get_or_spawn("a"), Err(SpawnError::Stopping));
    assert_eq!(stage.lookup::<Puppet>("a"), None);
}

/// Wants an actor of a name, and counts the factories that run.
fn want(system: &System, log: &Log, made: &Count, name: &str) -> ActorRef<Puppet> {
    let (log, made) = (log.clone(), made.clone());
    let factory = move || {
        made.add(1);
        thread::yield_now();
        Puppet::new("a", &log)
    };
    system.actor(factory).get_or_spawn(name.to_owned()).expect("an actor")
}

fn callers_race(on: Engine) {
    let stage = Stage::new(on);
    let (made, rounds) = (Count::default(), scaled(200, 20));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (system, log, made) = (stage.system.clone(), stage.log.clone(), made.clone());
            thread::spawn(move || (0..rounds).map(|n| want(&system, &log, &made, &n.to_string())).collect::<Vec<_>>())
        })
        .collect();
    let got: Vec<Vec<_>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(made.get(), rounds);
    assert!(got.iter().all(|each| *each == got[0]), "all get the same");
    stage.end();
}

fn callers_race_with_ends(on: Engine) {
    let stage = Stage::new(on);
    let (made, rounds) = (Count::default(), scaled(300, 20));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (system, log, made) = (stage.system.clone(), stage.log.clone(), made.clone());
            thread::spawn(move || {
                for _ in 0..rounds {
                    let a = want(&system, &log, &made, "a");
                    assert_eq!(a.name(), Some("a"));
                    a.stop();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    stage.living(0);
    assert_eq!(stage.lookup::<Puppet>("a"), None);
    // Each that was made has ended by itself, one after the other.
    let lines = stage.log.of("a");
    assert_eq!(lines.iter().filter(|line| *line == "drops").count() as u64, made.get());
    let life = ["starts", "stops: stopped", "drops"];
    assert!(lines.chunks(3).all(|lines| lines == life), "two lived at a time: {lines:?}");
    stage.end();
}

fn handlers_wait_for_a_maker(on: Engine) {
    let stage = Stage::new(on);
    let (inside, go) = (Gate::default(), Gate::default());
    let maker = {
        let (system, log, inside, go) = (stage.system.clone(), stage.log.clone(), inside.clone(), go.clone());
        thread::spawn(move || {
            let factory = move || {
                inside.open();
                go.wait();
                Puppet::new("a", &log)
            };
            system.actor(factory).get_or_spawn("a").unwrap()
        })
    };
    inside.wait();
    assert_eq!(stage.lookup::<Puppet>("a"), None, "not there yet");
    let b = stage.puppet("b");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        this.says("wants");
        let makes = || -> Puppet { unreachable!("another one makes it") };
        let a = ctx.actor(makes).get_or_spawn("a").unwrap();
        this.says(format_args!("has {}", a.id()));
    };
    b.tell(run(part)).unwrap();
    stage.log.expect("b", &["starts", "wants"]);
    go.open();
    let a = maker.join().unwrap();
    stage.log.expect("b", &["starts".to_owned(), "wants".to_owned(), format!("has {}", a.id())]);
    stage.end();
}

/// A worker may wait for the name, and the shutdown for that worker.
fn a_factory_that_shuts_down(on: Engine) {
    let stage = Stage::new(on);
    let (system, log) = (stage.system.clone(), stage.log.clone());
    let made = move || {
        assert_eq!(system.shutdown(Duration::MAX), Err(ShutdownError::WouldDeadlock));
        Puppet::new("a", &log)
    };
    // Whether it is still made, or the system was faster.
    let _ = stage.actor(made).get_or_spawn("a");
    end(&stage.system);
    assert_eq!(stage.lookup::<Puppet>("a"), None);
}
