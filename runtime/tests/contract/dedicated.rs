//! Actors with a thread of their own: the same as others, and they may block.

use crate::support::coins::{Books, Clumsy, Coin};
use crate::support::puppet::{ENDS, Puppet, Run, Token, run, watch};
use crate::support::restarts::at_once;
use crate::support::stage::{Engine, Stage, hold, threads_contract};
use crate::support::{Count, Gate, LIMIT, Log, Shared, eventually, quiet_panics, scaled};
use cuelight::{
    Actor, ActorRef, ActorState, AskError, Context, Handler, Mailbox, Overflow, Overrun, Restart, ShutdownError,
    SpawnError, StopReason, System, TellTimeoutError,
};
use std::any::type_name;
use std::thread::{self, ThreadId};
use std::time::Duration;

threads_contract! {
    its_turns_run_on_one_thread,
    it_may_block_while_all_others_go_on,
    it_may_wait_for_others,
    it_may_not_wait_for_itself,
    it_does_not_wait_for_room_of_its_own,
    it_looks_at_all_and_does_not_wait_for_itself,
    its_poisoned_messages_are_counted,
    a_factory_that_shuts_down,
    messages_of_all_kinds_in_order,
    it_ends_in_every_way,
    its_children_run_on_workers,
    a_child_with_a_thread,
    it_is_restarted,
    its_timers_come,
    a_shutdown_that_it_holds_up,
    a_shutdown_from_its_own_thread,
    a_spawn_that_comes_to_nothing,
    many_come_and_go,
    it_is_watched_and_seen,
    actors_that_ask_each_other,
}

fn dedicated(stage: &Stage, name: &'static str) -> ActorRef<Puppet> {
    let log = stage.log.clone();
    stage.actor(move || Puppet::new(name, &log)).dedicated_thread().spawn().expect("a thread")
}

type Seen = Shared<Vec<(ThreadId, Option<String>)>>;

/// Has the puppet note its thread.
fn note(seen: &Seen) -> crate::support::puppet::Run {
    let seen = seen.clone();
    run(move |_, _| {
        let thread = thread::current();
        seen.with(|seen| seen.push((thread.id(), thread.name().map(str::to_owned))));
    })
}

fn its_turns_run_on_one_thread(on: Engine) {
    let stage = Stage::of(on.builder().name("home"));
    let log = stage.log.clone();
    let a = stage.actor(move || Puppet::new("a", &log)).name("de\0sk").dedicated_thread().spawn().unwrap();
    let (b, seen) = (stage.puppet("b"), Seen::default());
    for _ in 0..scaled(200, 20) {
        // From outside, alone and in rows, and from a worker.
        a.ask(note(&seen)).wait().unwrap();
        a.send_all([note(&seen), note(&seen)]).unwrap();
        let (to, note) = (a.clone(), note(&seen));
        b.ask(run(move |_, _| to.tell(note).unwrap())).wait().unwrap();
    }
    // The last one counts as handled a moment before it is noted.
    let all = 4 * scaled(200, 20);
    eventually("all are noted", || seen.with(|seen| seen.len()) as u64 >= all);
    let seen = seen.get();
    assert_eq!(seen.len() as u64, all);
    assert!(seen.iter().all(|each| each == &seen[0]), "more than one thread");
    // The operating system keeps 15 bytes of it.
    assert_eq!(seen[0].1.as_deref(), Some("home-de sk"));
    let mut turns: Vec<u64> = stage.counters().workers.iter().map(|worker| worker.messages).collect();
    turns.sort_unstable();
    assert_eq!(turns.iter().sum::<u64>(), scaled(200, 20), "b's alone");
    a.stop();
    stage.living(1);
    stage.end();
}

fn it_may_block_while_all_others_go_on(on: Engine) {
    let stage = Stage::new(on);
    let a = dedicated(&stage, "a");
    let held = hold(&a);
    a.tell(7).unwrap();
    // Every worker is free.
    let others: Vec<_> = (0..on.workers()).map(|_| stage.puppet("b")).collect();
    for other in &others {
        assert_eq!(other.ask(1).timeout(LIMIT).wait(), Ok(2));
    }
    let inside: Vec<_> = others.iter().map(hold).collect();
    drop(held);
    // And it needs none.
    stage.log.until("a gets 7");
    drop(inside);
    stage.end();
}

/// Has `actor` ask `target`, and wait.
fn wait_there(actor: &ActorRef<Puppet>, target: &ActorRef<Puppet>) -> Result<u64, AskError> {
    let (place, to) = (Shared::new(None), target.clone());
    let kept = place.clone();
    let asked = actor.ask(run(move |_, _| {
        let answer = to.ask(21).timeout(LIMIT).wait();
        kept.with(|kept| *kept = Some(answer));
    }));
    asked.timeout(LIMIT).wait().unwrap();
    place.get().unwrap()
}

fn it_may_wait_for_others(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (dedicated(&stage, "a"), stage.puppet("b"), dedicated(&stage, "c"));
    assert_eq!(wait_there(&a, &b), Ok(42));
    assert_eq!(wait_there(&a, &c), Ok(42));
    assert_eq!(wait_there(&b, &a), Err(AskError::WouldDeadlock), "a worker waits for nobody");
    let other = Stage::new(on);
    assert_eq!(wait_there(&a, &other.puppet("d")), Ok(42));
    b.stop();
    assert_eq!(wait_there(&a, &b), Err(AskError::Stopped));
    other.end();
    stage.end();
}

fn it_may_not_wait_for_itself(on: Engine) {
    let stage = Stage::new(on);
    let a = dedicated(&stage, "a");
    assert_eq!(wait_there(&a, &a), Err(AskError::WouldDeadlock));
    // Its own question was a message like any other.
    stage.log.until("a gets 21");
    stage.end();
}

fn it_does_not_wait_for_room_of_its_own(on: Engine) {
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let mailbox = Mailbox::bounded(1, Overflow::Reject);
    let a = stage.actor(move || Puppet::new("a", &log)).mailbox(mailbox).dedicated_thread().spawn().unwrap();
    let (place, me) = (Shared::new(None), a.clone());
    let kept = place.clone();
    let asked = a.ask(run(move |_, _| {
        let told = [1, 2].map(|n| me.tell_timeout(n, Duration::MAX));
        kept.with(|kept| *kept = Some(told));
    }));
    asked.timeout(LIMIT).wait().unwrap();
    assert_eq!(place.get(), Some([Ok(()), Err(TellTimeoutError::WouldDeadlock(2))]));
    stage.log.until("a gets 1");
    stage.quiet();
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.returned), (3, 2, 1));
}

fn it_looks_at_all_and_does_not_wait_for_itself(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (dedicated(&stage, "a"), stage.puppet("b"));
    let place = Shared::new(None);
    let kept = place.clone();
    let asked = a.ask(run(move |_, ctx| {
        let snapshot = ctx.system().snapshot_within(Duration::MAX);
        kept.with(|kept| *kept = Some(snapshot));
    }));
    asked.timeout(LIMIT).wait().unwrap();
    let snapshot = place.get().unwrap();
    let find = |id| snapshot.actors.iter().find(|each| each.id == id).unwrap();
    assert_eq!((find(a.id()).state, find(a.id()).answered), (ActorState::Running, false));
    assert!(find(b.id()).answered);
    stage.end();
}

fn its_poisoned_messages_are_counted(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let factory = Clumsy::new(&stage.log).factory();
    let a = stage.actor(factory).restart(at_once()).retry::<Coin>(2).dedicated_thread().spawn().unwrap();
    a.send_all([books.coin(1, 9), books.coin(2, 0)]).unwrap();
    stage.log.expect("a", &["1.1", "1.2", "1.3", "2.1"]);
    stage.quiet();
    let counters = stage.end();
    assert_eq!((counters.dead_lettered, counters.retries, counters.poisoned), (1, 2, 1));
    books.balance();
}

/// The thread that waits for its actor does not hold the shutdown up.
fn a_factory_that_shuts_down(on: Engine) {
    let stage = Stage::new(on);
    let (system, log) = (stage.system.clone(), stage.log.clone());
    let place = Shared::new(None);
    let told = place.clone();
    let factory = move || {
        let ended = system.shutdown(LIMIT);
        told.with(|told| *told = Some(ended));
        Puppet::new("a", &log)
    };
    assert_eq!(stage.actor(factory).dedicated_thread().spawn(), Err(SpawnError::Stopping));
    assert_eq!(place.get(), Some(Ok(())));
    stage.end();
}

fn messages_of_all_kinds_in_order(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (dedicated(&stage, "a"), stage.puppet("b"));
    let rounds = scaled(500, 50);
    let to = a.clone();
    b.tell(run(move |_, _| {
        for n in 0..rounds {
            match n % 4 {
                0 => to.tell(n).unwrap(),
                1 => drop(to.send_all([n]).unwrap()),
                2 => drop(to.ask(n)),
                _ => drop(to.recipient::<u64>().tell(n)),
            }
        }
    }))
    .unwrap();
    eventually("all are handled", || stage.log.of("a").len() as u64 == rounds + 1);
    let expected: Vec<String> =
        std::iter::once("starts".to_owned()).chain((0..rounds).map(|n| format!("gets {n}"))).collect();
    assert_eq!(stage.log.of("a"), expected);
    // And the other way round: what it sends is published at once.
    let (to, gate) = (b.clone(), Gate::default());
    let release = gate.clone();
    a.tell(run(move |_, _| {
        (0..10_u64).for_each(|n| to.tell(n).unwrap());
        release.wait();
    }))
    .unwrap();
    stage.log.until("b gets 9");
    gate.open();
    stage.end();
}

fn it_ends_in_every_way(on: Engine) {
    for end in ENDS {
        let stage = Stage::new(on);
        let (a, b) = (dedicated(&stage, "a"), stage.puppet("b"));
        watch(&b, &a);
        end(&a);
        stage.living(1);
        eventually("a notice", || stage.log.of("b").len() == 2);
        assert!(a.tell(1).is_err() && a.is_stopped());
        // What waits in front of a stop and of a drain.
        let (c, drops) = (dedicated(&stage, "c"), Count::default());
        let held = hold(&c);
        c.send_all((0..10).map(|n| Token::new(n, &drops))).unwrap();
        end(&c);
        drop(held);
        drops.reaches(10);
        stage.living(1);
        stage.end();
    }
}

fn its_children_run_on_workers(on: Engine) {
    let stage = Stage::new(on);
    let (a, place) = (dedicated(&stage, "a"), Shared::new(None));
    let kept = place.clone();
    a.ask(run(move |this, ctx| {
        let child = ctx.spawn(this.other("b"));
        let named = ctx.actor({
            let log = this.log.clone();
            move || Puppet::new("c", &log)
        });
        let named = named.name("desk").restart(Restart::on_panic()).spawn().unwrap();
        ctx.watch(&child);
        assert_eq!(ctx.children().len(), 2);
        assert_eq!(ctx.system().lookup::<Puppet>("desk"), Some(named.clone()));
        // It waits for its own child.
        assert_eq!(child.ask(1).timeout(LIMIT).wait(), Ok(2));
        kept.with(|kept| *kept = Some((child, named)));
    }))
    .wait()
    .unwrap();
    let (b, c) = place.get().unwrap();
    assert_eq!((b.ask(3).wait(), c.ask(4).wait()), (Ok(6), Ok(8)));
    assert!(b.id() != c.id() && b.id() != a.id());
    b.stop();
    stage.log.until(&format!("a hears of {}: stopped", b.id()));
    // A failure comes to its parent, which restarts it.
    quiet_panics();
    c.tell(run(|_, _| panic!("meant: so"))).unwrap();
    assert_eq!(c.ask(5).timeout(LIMIT).wait(), Ok(10));
    a.stop();
    stage.living(0);
    let lines = stage.log.lines();
    let place = |line: &str| lines.iter().position(|each| each == line).unwrap();
    assert!(place("c stops: parent stopped") < place("a stops: stopped"), "{lines:#?}");
    stage.end();
}

fn a_child_with_a_thread(on: Engine) {
    let stage = Stage::new(on);
    let (a, seen) = (stage.puppet("a"), Seen::default());
    let note = note(&seen);
    a.ask(run(move |this, ctx| {
        let log = this.log.clone();
        let child = ctx.actor(move || Puppet::new("b", &log)).dedicated_thread().spawn().unwrap();
        child.tell(note).unwrap();
        child.tell(1).unwrap();
    }))
    .wait()
    .unwrap();
    stage.log.until("b gets 1");
    assert_eq!(seen.get().len(), 1);
    // It drains with its parent.
    a.drain();
    stage.living(0);
    stage.log.until("b stops: drained");
    stage.end();
}

fn it_is_restarted(on: Engine) {
    let stage = Stage::new(on);
    let (log, seen) = (stage.log.clone(), Seen::default());
    let restart = Restart::on_panic().backoff(Duration::from_millis(1), Duration::from_millis(2));
    let a = stage.actor(move || Puppet::new("a", &log)).restart(restart).dedicated_thread().spawn().unwrap();
    for n in 0..5_u64 {
        a.tell(note(&seen)).unwrap();
        a.tell(run(|_, _| panic!("meant: so"))).unwrap();
        assert_eq!(a.ask(n).timeout(LIMIT).wait(), Ok(2 * n));
    }
    assert_eq!(stage.counters().restarts, 5);
    let seen = seen.get();
    assert!(seen.iter().all(|each| each == &seen[0]), "it keeps its thread");
    stage.end();
}

fn its_timers_come(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (dedicated(&stage, "a"), stage.puppet("b"));
    let done = Gate::default();
    let open = done.clone();
    a.tell(run(move |_, ctx| {
        ctx.send_after(Duration::from_millis(2), 1_u64);
        // Continuations are run there, too.
        ctx.ask(&b, 21, LIMIT, move |this: &mut Puppet, answer, _| {
            this.says(format_args!("is told {answer:?}"));
            open.open();
        });
    }))
    .unwrap();
    stage.log.until("a gets 1");
    done.wait();
    stage.log.until("a is told Ok(42)");
    stage.end();
}

fn a_shutdown_that_it_holds_up(on: Engine) {
    let stage = Stage::new(on);
    let a = dedicated(&stage, "a");
    let held = hold(&a);
    let error = stage.system.shutdown(Duration::from_millis(5)).unwrap_err();
    let ShutdownError::Timeout { ref holders } = error else { panic!("{error}") };
    assert_eq!(holders.len(), 1, "{error}");
    assert_eq!((holders[0].worker, holders[0].actor), (None, a.id().get()));
    let text = format!("; its own thread runs {} (#{})", std::any::type_name::<Puppet>(), a.id().get());
    assert!(error.to_string().ends_with(&text), "{error}");
    drop(held);
    stage.end();
}

fn a_shutdown_from_its_own_thread(on: Engine) {
    let stage = Stage::new(on);
    let (a, place) = (dedicated(&stage, "a"), Shared::new(None));
    let (system, kept) = (stage.system.clone(), place.clone());
    a.tell(run(move |_, _| {
        let result = system.shutdown(LIMIT);
        kept.with(|kept| *kept = Some(result));
    }))
    .unwrap();
    eventually("it is refused", || place.get().is_some());
    assert_eq!(place.get(), Some(Err(ShutdownError::WouldDeadlock)));
    // Another system's end it may wait for.
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let a = dedicated(&stage, "a");
    let system = other.system.clone();
    a.ask(run(move |_, _| system.shutdown(LIMIT).unwrap())).wait().unwrap();
    other.end();
    stage.end();
}

fn a_spawn_that_comes_to_nothing(on: Engine) {
    let stage = Stage::new(on);
    let failed = stage.actor(|| -> Puppet { panic!("meant: no luck") }).dedicated_thread().spawn();
    assert_eq!(failed, Err(SpawnError::FactoryPanicked("meant: no luck".into())));
    let a = stage.puppet("a");
    let place = Shared::new(None);
    let kept = place.clone();
    a.tell(run(move |this, ctx| {
        ctx.stop();
        let log = this.log.clone();
        let late = ctx.actor(move || Puppet::new("b", &log)).dedicated_thread().spawn();
        kept.with(|kept| *kept = Some(late));
    }))
    .unwrap();
    stage.living(0);
    assert_eq!(place.get(), Some(Err(SpawnError::Stopping)));
    let (system, log) = (stage.system.clone(), stage.log.clone());
    stage.end();
    let late = system.actor(move || Puppet::new("c", &log)).dedicated_thread().spawn();
    assert_eq!(late, Err(SpawnError::Stopping));
}

fn many_come_and_go(on: Engine) {
    let stage = Stage::new(on);
    let count = scaled(100, 10);
    for round in 0..4 {
        let actors: Vec<_> = (0..count / 4).map(|_| dedicated(&stage, "a")).collect();
        let asked: Vec<_> = actors.iter().map(|a| a.ask(round)).collect();
        assert!(asked.into_iter().all(|asked| asked.timeout(LIMIT).wait() == Ok(2 * round)));
        // Some are left to the shutdown.
        actors.iter().skip(2).for_each(ActorRef::stop);
        stage.living(2 * (round + 1));
    }
    stage.end();
}

fn it_is_watched_and_seen(on: Engine) {
    let reports: Shared<Vec<Overrun>> = Shared::default();
    let kept = reports.clone();
    let hook = move |overrun| kept.with(|kept| kept.push(overrun));
    let stage = Stage::of(on.builder().watchdog(Duration::from_millis(5), hook));
    let a = dedicated(&stage, "a");
    assert_eq!(a.ask(1).wait(), Ok(2));
    // It may still be about to go idle.
    let find = |patience| stage.snapshot_within(patience).actors.into_iter().find(|each| each.id == a.id()).unwrap();
    eventually("it is idle", || find(Duration::ZERO).state == ActorState::Idle);
    assert_eq!(a.ask(2).wait(), Ok(4), "a look has not lost it");
    let held = hold(&a);
    // A slow machine may hold up others, too.
    let of_hold = |each: &Overrun| each.actor == a.id() && each.message == Some(type_name::<Run>());
    let find_report = |ended| reports.get().into_iter().find(|each| of_hold(each) && each.ended == ended);
    eventually("a report", || find_report(false).is_some());
    let overrun = find_report(false).unwrap();
    assert_eq!(overrun.worker, None, "{overrun}");
    assert!(overrun.to_string().ends_with(", on its own thread"), "{overrun}");
    let seen = find(Duration::from_millis(2));
    assert_eq!((seen.state, seen.answered, seen.handled), (ActorState::Running, false, 3));
    assert!(seen.running_for.is_some_and(|time| time >= Duration::from_millis(2)));
    drop(held);
    eventually("its end", || find_report(true).is_some());
    stage.end();
}

/// Asks the next one, with or without a wait.
fn actors_that_ask_each_other(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (dedicated(&stage, "a"), dedicated(&stage, "b"));
    // In a circle: whoever waits for who waits for it gets a timeout, and both go on.
    let place = Shared::new(None);
    let (to, back, kept) = (b.clone(), a.clone(), place.clone());
    a.tell(run(move |_, _| {
        let inner = run(move |_, _| {
            let answer = back.ask(1).timeout(Duration::from_millis(5)).wait();
            kept.with(|kept| *kept = Some(answer));
        });
        to.ask(inner).timeout(LIMIT).wait().unwrap();
    }))
    .unwrap();
    eventually("it goes on", || place.get().is_some());
    assert_eq!(place.get(), Some(Err(AskError::Timeout)));
    stage.log.until("a gets 1");
    eventually("the reply came late", || stage.counters().late_replies == 1);
    stage.end();
}

#[test]
fn a_simulation_has_one_thread() {
    let sim = System::simulation(1);
    let log = Log::default();
    let refused = sim.actor(move || Puppet::new("a", &log)).dedicated_thread().spawn().unwrap_err();
    assert_eq!(refused, SpawnError::Simulated);
    assert_eq!(refused.to_string(), "a simulated actor has no thread of its own: all run on the simulation's");
}

/// Ends where its thread does.
struct Quiet(Count);

impl Actor for Quiet {
    fn stopped(&mut self, _: &StopReason) {
        self.0.add(1);
    }
}

impl Handler<()> for Quiet {
    type Reply = ();

    fn handle(&mut self, (): (), _: &mut Context<Self>) {}
}

/// Nobody waits for the end of a system whose last handle is dropped, on whatever thread: its threads end by themselves.
#[test]
fn the_last_handle_is_dropped() {
    let stopped = Count::default();
    let system = System::builder().workers(1).build().unwrap();
    let count = stopped.clone();
    let quiet = system.actor(move || Quiet(count.clone())).dedicated_thread().spawn().unwrap();
    quiet.ask(()).wait().unwrap();
    drop(system);
    stopped.reaches(1);
    eventually("it has ended", || quiet.is_stopped());
}
