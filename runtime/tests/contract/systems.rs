//! Systems and their handles: how they end, and what outlives them.

use crate::support::puppet::{Puppet, Token, run};
use crate::support::stage::{Engine, Stage, contract, end, hold, parallel_contract, threads_contract};
use crate::support::{Count, Counted, Gate, LIMIT, Shared, eventually, scaled};
use cuelight::{Actor, ActorRef, AskError, Context, Handler, ShutdownError, System, TellError};
use std::cell::RefCell;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

contract! {
    shutdown_twice,
    shutdown_on_a_worker,
    shutdown_stops_the_leaves_first,
    shutdown_while_actors_end,
    addresses_outlive_it,
    two_that_talk,
    many_at_once,
    counters_tell_everything,
}

threads_contract! {
    handles_lead_to_one_system,
    the_last_handle_ends_it,
    the_last_handle_ends_it_with_work_left,
    a_shutdown_leaves_nothing,
    shutdown_by_many,
    shutdown_that_takes_too_long,
    shutdown_of_no_time,
    shutdown_buries_what_is_queued,
    shutdown_against_a_storm,
    what_actors_know_does_not_keep_it,
    dropped_by_its_own_actor,
    dropped_with_its_own_actors_state,
    dropped_while_a_thread_panics,
    two_that_know_each_other,
}

parallel_contract! {
    shutdown_names_all_who_hold_on,
}

/// A name that no other test uses, short enough for a thread's.
fn fresh_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Ordering: Relaxed: only the number matters.
    format!("sys{}x", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// How many of this process's threads have a name that begins so; none where that cannot be known.
fn threads_named(name: &str) -> usize {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return 0 };
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.starts_with(name)).count()
}

fn named(on: Engine) -> (Stage, String) {
    let name = fresh_name();
    let stage = Stage::of(on.builder().name(&name));
    if fs::read_dir("/proc/self/task").is_ok() {
        // The list is no snapshot: while other tests' threads end it may lack some.
        eventually("all threads are there", || threads_named(&name) == on.workers());
    }
    (stage, name)
}

thread_local! {
    static LEFT: RefCell<Option<Counted>> = const { RefCell::new(None) };
}

/// Has the worker that runs `actor` count when its thread ends. A thread that was joined has ended, though the kernel may
/// list it for a moment more.
fn count_end(actor: &ActorRef<Puppet>, ends: &Count) {
    let ends = ends.clone();
    actor.ask(run(move |_, _| LEFT.with(|left| *left.borrow_mut() = Some(Counted(ends))))).wait().unwrap();
}

#[track_caller]
fn no_threads(name: &str) {
    eventually("the threads end", || threads_named(name) == 0);
}

fn handles_lead_to_one_system(on: Engine) {
    let stage = Stage::of(on.builder().name("orders"));
    let other = stage.system.clone();
    assert_eq!((stage.name(), other.name()), ("orders", "orders"));
    assert_eq!(format!("{other:?} / {:?}", *other), "System(\"orders\") / SystemRef(\"orders\")");
    let a = other.spawn(Puppet::new("a", &stage.log));
    drop(other);
    assert_eq!(a.ask(1).wait(), Ok(2));
    assert_eq!(stage.counters().live_actors, 1);
    assert_eq!(stage.report().workers.len(), on.workers());
    stage.end();
}

fn the_last_handle_ends_it(on: Engine) {
    let (stage, name) = named(on);
    let (a, log) = (stage.puppet("a"), stage.log.clone());
    let second = stage.system.clone();
    drop(stage);
    assert_eq!(a.ask(1).wait(), Ok(2));
    drop(second);
    no_threads(&name);
    log.expect("a", &["starts", "gets 1", "stops: system shut down", "drops"]);
    assert_eq!(a.tell(2), Err(TellError::Stopped(2)));
}

fn the_last_handle_ends_it_with_work_left(on: Engine) {
    let (stage, name) = named(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let held = hold(&a);
    a.send_all((0..1000).map(|n| Token::new(n, &drops))).unwrap();
    let asked = a.ask(1);
    // Returns at once, although a handler is running.
    drop(stage);
    assert_eq!(drops.get(), 0);
    drop(held);
    assert_eq!(asked.wait(), Err(AskError::Stopped));
    no_threads(&name);
    assert_eq!(drops.get(), 1000);
}

fn a_shutdown_leaves_nothing(on: Engine) {
    let (stage, name) = named(on);
    let (drops, ends) = (Count::default(), Count::default());
    count_end(&stage.puppet("a"), &ends);
    for n in 1..100 {
        stage.puppet("a").tell(Token::new(n, &drops)).unwrap();
    }
    stage.system.shutdown(LIMIT).unwrap();
    // Joined, not merely ending.
    assert_eq!(ends.get(), 1);
    assert_eq!(drops.get(), 99);
    let lines = stage.log.lines();
    assert_eq!(lines.iter().filter(|line| *line == "a drops").count(), 100);
    let counters = stage.counters();
    assert_eq!((counters.live_actors, counters.in_flight(), counters.sent), (0, 0, 100));
    no_threads(&name);
}

fn shutdown_twice(on: Engine) {
    let stage = Stage::new(on);
    stage.puppet("a");
    assert_eq!(stage.system.shutdown(LIMIT), Ok(()));
    assert_eq!(stage.system.shutdown(Duration::ZERO), Ok(()));
    assert_eq!(stage.system.clone().shutdown(Duration::MAX), Ok(()));
    stage.end();
}

fn shutdown_by_many(on: Engine) {
    let (stage, name) = named(on);
    let (a, ends) = (stage.puppet("a"), Count::default());
    count_end(&a, &ends);
    let held = hold(&a);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (system, ends) = (stage.system.clone(), ends.clone());
            thread::spawn(move || {
                let result = system.shutdown(LIMIT);
                (result, ends.get())
            })
        })
        .collect();
    drop(held);
    for thread in threads {
        assert_eq!(thread.join().unwrap(), (Ok(()), 1));
    }
    no_threads(&name);
    stage.end();
}

fn shutdown_on_a_worker(on: Engine) {
    let stage = Stage::new(on);
    let (a, result) = (stage.puppet("a"), Shared::new(None));
    let (system, place) = (stage.system.clone(), result.clone());
    a.tell(run(move |_, _| place.with(|place| *place = Some(system.shutdown(LIMIT))))).unwrap();
    // It has begun all the same.
    stage.log.expect("a", &["starts", "stops: system shut down", "drops"]);
    assert_eq!(result.get(), Some(Err(ShutdownError::WouldDeadlock)));
    let text = "a thread of the system must not wait for the end of all";
    assert_eq!(ShutdownError::WouldDeadlock.to_string(), text);
    stage.end();
    // From a worker of another system, too.
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let (a, result) = (stage.puppet("a"), Shared::new(None));
    let (system, place) = (other.system.clone(), result.clone());
    a.ask(run(move |_, _| place.with(|place| *place = Some(system.shutdown(LIMIT))))).wait().unwrap();
    assert_eq!(result.get(), Some(Err(ShutdownError::WouldDeadlock)));
    other.end();
    stage.end();
}

fn shutdown_that_takes_too_long(on: Engine) {
    let (stage, name) = named(on);
    let (a, log) = (stage.puppet("a"), stage.log.clone());
    let held = hold(&a);
    let error = stage.system.shutdown(Duration::from_millis(10)).unwrap_err();
    let ShutdownError::Timeout { ref holders } = error else { panic!("{error:?}") };
    assert_eq!(holders.len(), 1, "{error}");
    assert_eq!((holders[0].actor, holders[0].type_name), (a.id().get(), std::any::type_name::<Puppet>()));
    assert!(holders[0].worker.is_some_and(|worker| worker < on.workers()));
    let text = format!(
        "the shutdown was not complete in time; worker {} runs {} (#{})",
        holders[0].worker.unwrap(),
        std::any::type_name::<Puppet>(),
        a.id().get()
    );
    assert_eq!(error.to_string(), text);
    // Refuses, although it has not ended: its mailbox is closed when its handler returns, but nothing new is spawned.
    assert!(stage.puppet("late").is_stopped());
    drop(held);
    // It goes on by itself.
    no_threads(&name);
    log.expect("a", &["starts", "stops: system shut down", "drops"]);
    assert_eq!(stage.system.shutdown(Duration::ZERO), Ok(()));
    stage.end();
}

fn shutdown_of_no_time(on: Engine) {
    let (stage, name) = named(on);
    stage.puppet("a");
    match stage.system.shutdown(Duration::ZERO) {
        Ok(()) => assert_eq!(stage.counters().live_actors, 0),
        Err(error) => assert!(matches!(error, ShutdownError::Timeout { .. })),
    }
    no_threads(&name);
    stage.end();
}

fn shutdown_names_all_who_hold_on(on: Engine) {
    let stage = Stage::new(on);
    let actors: Vec<_> = (0..on.workers()).map(|_| stage.puppet("a")).collect();
    let held: Vec<_> = actors.iter().map(hold).collect();
    let Err(ShutdownError::Timeout { holders }) = stage.system.shutdown(Duration::from_millis(1)) else {
        panic!("not complete");
    };
    let mut named: Vec<u64> = holders.iter().map(|holder| holder.actor).collect();
    let mut wanted: Vec<u64> = actors.iter().map(|actor| actor.id().get()).collect();
    named.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(named, wanted);
    drop(held);
    stage.end();
}

fn shutdown_buries_what_is_queued(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let held = hold(&a);
    a.send_all((0..3000).map(|n| Token::new(n, &drops))).unwrap();
    let asked = a.ask(1);
    let system = stage.system.clone();
    let shutdown = thread::spawn(move || system.shutdown(LIMIT));
    eventually("the shutdown has begun", || stage.puppet("late").is_stopped());
    drop(held);
    shutdown.join().unwrap().unwrap();
    assert_eq!(asked.wait(), Err(AskError::Stopped));
    assert_eq!(drops.get(), 3000);
    let counters = stage.end();
    assert_eq!(counters.dead_lettered, 3001);
}

fn shutdown_against_a_storm(on: Engine) {
    for _ in 0..scaled(10, 3) {
        let stage = Stage::new(on);
        let drops = Count::default();
        let actors: Vec<_> = (0..8).map(|_| stage.puppet("a")).collect();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (actors, drops) = (actors.clone(), drops.clone());
                thread::spawn(move || {
                    let (mut created, mut refused) = (0, 0);
                    for n in 0.. {
                        created += 1;
                        match actors[n as usize % 8].tell(Token::new(n, &drops)) {
                            Ok(()) => {}
                            Err(_) => refused += 1,
                        }
                        if refused > 100 {
                            return created;
                        }
                    }
                    created
                })
            })
            .collect();
        eventually("the storm has begun", || drops.get() > 1000);
        stage.system.shutdown(LIMIT).unwrap();
        let created: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(drops.get(), created);
        assert_eq!(stage.end().sent, created);
    }
}

fn shutdown_stops_the_leaves_first(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let child = ctx.spawn(this.other("b"));
        child.tell(run(|this, ctx| drop(ctx.spawn(this.other("c"))))).unwrap();
    };
    a.tell(run(part)).unwrap();
    stage.log.until("c starts");
    let log = stage.log.clone();
    stage.end();
    let lines: Vec<String> = log.lines().into_iter().filter(|line| !line.contains("starts")).collect();
    let wanted = [
        "c stops: system shut down",
        "c drops",
        "b stops: system shut down",
        "b drops",
        "a stops: system shut down",
        "a drops",
    ];
    assert_eq!(lines, wanted);
}

fn shutdown_while_actors_end(on: Engine) {
    for _ in 0..scaled(50, 10) {
        let stage = Stage::new(on);
        let actors: Vec<_> = (0..50).map(|_| stage.puppet("a")).collect();
        let ender = thread::spawn(move || actors.iter().for_each(ActorRef::stop));
        stage.system.shutdown(LIMIT).unwrap();
        ender.join().unwrap();
        assert_eq!(stage.log.lines().len(), 150);
        stage.end();
    }
}

fn addresses_outlive_it(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let recipient = a.recipient::<Token>();
    let id = a.id();
    stage.end();
    // The system and all its handles are gone.
    assert_eq!(a.id(), id);
    assert_eq!(a, a.clone());
    assert_eq!(format!("{a:?}"), format!("ActorRef({} {id})", std::any::type_name::<Puppet>()));
    assert!(a.is_stopped());
    assert_eq!(a.tell(Token::new(1, &drops)).unwrap_err().into_message().0, 1);
    assert!(recipient.tell(Token::new(2, &drops)).is_err());
    assert_eq!(a.ask(Token::new(3, &drops)).wait().unwrap_err(), AskError::Stopped);
    assert_eq!(recipient.send_all([Token::new(4, &drops)]).unwrap_err().into_messages().len(), 1);
    a.stop();
    a.drain();
    assert_eq!(drops.get(), 4);
    // On another thread, from another system's actor.
    let other = Stage::new(on);
    let b = other.puppet("b");
    b.ask(run(move |_, _| assert!(a.tell(1).is_err()))).wait().unwrap();
    let last = thread::spawn(move || recipient.tell(Token::new(5, &drops)).is_err());
    assert!(last.join().unwrap());
    other.end();
}

fn what_actors_know_does_not_keep_it(on: Engine) {
    let (stage, name) = named(on);
    let (a, place) = (stage.puppet("a"), Shared::new(None));
    let put = place.clone();
    a.ask(run(move |_, ctx| put.with(|place| *place = Some(ctx.system())))).wait().unwrap();
    let known = place.with(Option::take).unwrap();
    assert_eq!(known.name(), name);
    assert_eq!(known.spawn(Puppet::new("b", &stage.log)).ask(1).wait(), Ok(2));
    let log = stage.log.clone();
    drop(stage);
    no_threads(&name);
    assert!(known.spawn(Puppet::new("c", &log)).is_stopped());
    assert_eq!((known.counters().live_actors, known.counters().in_flight()), (0, 0));
    assert_eq!(known.report().workers.len(), on.workers());
}

fn dropped_by_its_own_actor(on: Engine) {
    let (stage, name) = named(on);
    let (a, log) = (stage.puppet("a"), stage.log.clone());
    let system = stage.system;
    a.tell(run(move |this, ctx| {
        drop(system);
        this.says("goes on");
        assert!(ctx.spawn(this.other("b")).is_stopped() || !ctx.children().is_empty());
    }))
    .unwrap();
    no_threads(&name);
    let lines = log.of("a");
    assert_eq!(lines, ["starts", "goes on", "stops: system shut down", "drops"]);
}

/// Keeps its own system.
struct Hermit {
    _system: System,
    _drops: Counted,
}

impl Actor for Hermit {}

impl Handler<()> for Hermit {
    type Reply = ();

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

fn dropped_with_its_own_actors_state(on: Engine) {
    let (stage, name) = named(on);
    let drops = Count::default();
    let hermit = Hermit { _system: stage.system.clone(), _drops: Counted(drops.clone()) };
    let hermit = stage.spawn(hermit);
    drop(stage);
    // Kept by its own actor, until that ends.
    hermit.tell(()).unwrap();
    no_threads(&name);
    assert_eq!(drops.get(), 1);
    // In a message that nobody handles.
    let (stage, name) = named(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    let system = stage.system;
    a.tell(run(move |_, _| drop(system))).unwrap();
    a.stop();
    drop(held);
    no_threads(&name);
}

fn dropped_while_a_thread_panics(on: Engine) {
    let (stage, name) = named(on);
    let (a, log) = (stage.puppet("a"), stage.log.clone());
    let system = stage.system;
    let panics = thread::spawn(move || {
        let _system = system;
        panic!("meant: with a system");
    });
    assert!(panics.join().is_err());
    no_threads(&name);
    assert!(a.is_stopped());
    log.expect("a", &["starts", "stops: system shut down", "drops"]);
}

/// Returns a ball until it has been hit often enough.
struct Player {
    done: Gate,
}

impl Actor for Player {}

struct Ball(u64, ActorRef<Player>);

impl Handler<Ball> for Player {
    type Reply = ();

    fn handle(&mut self, Ball(left, from): Ball, ctx: &mut Context<Self>) {
        match left.checked_sub(1) {
            Some(left) => from.tell(Ball(left, ctx.me())).unwrap(),
            None => self.done.open(),
        }
    }
}

fn two_that_talk(on: Engine) {
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let done = Gate::default();
    let here = stage.spawn(Player { done: done.clone() });
    let there = other.spawn(Player { done: done.clone() });
    let hits = scaled(10_000, 500) / 2 * 2;
    there.tell(Ball(hits, here)).unwrap();
    done.wait();
    assert_eq!(stage.end().handled, hits / 2);
    assert_eq!(other.end().handled, hits / 2 + 1);
}

/// Keeps its friends' addresses.
struct Friend {
    friends: Vec<ActorRef<Friend>>,
    _drops: Counted,
}

impl Actor for Friend {}

impl Handler<ActorRef<Friend>> for Friend {
    type Reply = ();

    fn handle(&mut self, friend: ActorRef<Friend>, _: &mut Context<Self>) {
        self.friends.push(friend);
    }
}

fn two_that_know_each_other(on: Engine) {
    let (one, other) = (named(on), named(on));
    let drops = Count::default();
    let a = one.0.spawn(Friend { friends: Vec::new(), _drops: Counted(drops.clone()) });
    let b = other.0.spawn(Friend { friends: Vec::new(), _drops: Counted(drops.clone()) });
    a.tell(b.clone()).unwrap();
    b.tell(a.clone()).unwrap();
    a.tell(a.clone()).unwrap();
    drop((one.0, other.0));
    no_threads(&one.1);
    no_threads(&other.1);
    assert_eq!(drops.get(), 2);
}

fn many_at_once(on: Engine) {
    let stages: Vec<_> = (0..10).map(|_| Stage::new(on)).collect();
    let actors: Vec<_> = stages.iter().map(|stage| stage.puppet("a")).collect();
    for round in 0..20 {
        let asked: Vec<_> = actors.iter().map(|actor| actor.ask(round)).collect();
        assert!(asked.into_iter().all(|asked| asked.wait() == Ok(2 * round)));
    }
    for stage in stages {
        assert_eq!(stage.end().handled, 20);
    }
}

fn counters_tell_everything(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    for n in 0..100 {
        a.tell(n).unwrap();
    }
    b.stop();
    stage.living(1);
    for n in 0..10 {
        assert!(b.tell(n).is_err());
        assert!(b.ask(n).wait().is_err());
    }
    let spawned = |this: &mut Puppet, ctx: &mut Context<Puppet>| (0..5).for_each(|_| drop(ctx.spawn(this.other("c"))));
    a.ask(run(spawned)).wait().unwrap();
    let counters = stage.counters();
    assert_eq!((counters.sent, counters.handled, counters.returned, counters.dead_lettered), (121, 101, 10, 10));
    assert_eq!((counters.live_actors, counters.in_flight(), counters.workers.len()), (6, 0, on.workers()));
    assert_eq!(counters.workers.iter().map(|worker| worker.messages).sum::<u64>(), 101);
    // Each has had a turn at last.
    let turns = || stage.counters().workers.iter().map(|worker| worker.activations).sum::<u64>();
    eventually("a turn each", || turns() >= 7);
    let table = counters.to_string();
    assert!(table.starts_with("messages  sent 121 = handled 101 + returned 10"), "{table}");
    end(&stage.system);
    assert_eq!(stage.counters().live_actors, 0);
}
