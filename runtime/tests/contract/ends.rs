//! `stop` and `drain`: what becomes of what is queued, of children, of later sends; who overtakes whom.

use crate::support::puppet::{Keep, Puppet, Token, run};
use crate::support::stage::{Engine, Stage, contract, hold, parallel_contract, threads_contract};
use crate::support::{Count, Gate, Shared, eventually, scaled};
use cuelight::{ActorRef, AskError, Context, TellError};

contract! {
    stop_buries_what_is_queued,
    stop_comes_before_what_is_queued,
    stop_ends_with_the_current_message,
    a_stopped_actor_gives_messages_back,
    drain_handles_what_is_queued,
    drain_refuses_while_it_works,
    drain_stands_in_its_senders_order,
    drain_does_not_undo_a_stop,
    stop_takes_the_children_along_first,
    drain_drains_the_children_first,
    an_actor_that_delegates_drains_itself,
    ending_twice_is_ending_once,
    stop_before_the_first_message,
    stop_in_the_first_hook,
    drain_in_the_first_hook,
    a_parent_drains_while_its_child_stops,
    a_deep_family_ends_from_the_leaves,
    ends_race_with_sends,
}

threads_contract! {
    stop_overtakes_a_drain_at_work,
}

// A child that is held holds a worker.
parallel_contract! {
    stop_overtakes_a_drain_that_waits_for_children,
    a_parent_waits_for_a_child_that_is_busy,
}

fn stop_buries_what_is_queued(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let held = hold(&a);
    for n in 0..100 {
        a.tell(Token::new(n, &drops)).unwrap();
    }
    let ask = a.ask(Token::new(100, &drops));
    let kept = a.ask_with(Keep);
    a.stop();
    drop(held);
    assert_eq!(ask.wait().unwrap_err(), AskError::Stopped);
    assert_eq!(kept.wait().unwrap_err(), AskError::Stopped);
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    drops.reaches(101);
    let counters = stage.end();
    assert_eq!((counters.handled, counters.dead_lettered, counters.returned), (1, 102, 0));
}

fn stop_comes_before_what_is_queued(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let held = hold(&a);
    // More than a batch, and more than one turn buries.
    let count = 5000;
    a.send_all((0..count).map(|n| Token::new(n, &drops))).unwrap();
    a.stop();
    drop(held);
    drops.reaches(count);
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    assert_eq!(stage.end().dead_lettered, count);
}

fn stop_ends_with_the_current_message(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.stop();
        ctx.me().tell(1).unwrap();
        this.says("goes on");
    };
    a.send_all([run(part), run(|this, _| this.says("must not"))]).unwrap();
    stage.log.expect("a", &["starts", "goes on", "stops: stopped", "drops"]);
    assert_eq!(stage.end().dead_lettered, 2);
}

fn refuses(actor: &ActorRef<Puppet>, drops: &Count) {
    assert!(actor.is_stopped());
    let before = drops.get();
    let error = actor.tell(Token::new(7, drops)).unwrap_err();
    assert_eq!(drops.get(), before);
    assert_eq!(format!("{error} / {error:?}"), "the actor has stopped / Stopped(..)");
    assert_eq!(error.into_message().0, 7);
    match actor.tell(8) {
        Err(TellError::Stopped(message)) => assert_eq!(message, 8),
        other => panic!("{other:?}"),
    }
    assert_eq!(actor.recipient().tell(9_u64), Err(TellError::Stopped(9)));
    let error = actor.send_all([1, 2, 3]).unwrap_err();
    assert_eq!(error.to_string(), "the actor has stopped; 3 messages were not taken");
    assert_eq!(error.taken(), 0);
    assert_eq!(error.into_messages(), [1, 2, 3]);
    assert_eq!(actor.send_all(Vec::<u64>::new()), Ok(0));
    assert_eq!(actor.ask(1).wait(), Err(AskError::Stopped));
    drop(actor.ask(Token::new(1, drops)));
    assert_eq!(drops.get(), before + 2);
}

fn a_stopped_actor_gives_messages_back(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, drops) = (stage.puppet("a"), stage.puppet("b"), Count::default());
    a.stop();
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    refuses(&a, &drops);
    // From an actor, too, in a row.
    let (to, seen) = (a.clone(), drops.clone());
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        for n in 0..100 {
            assert_eq!(to.tell(Token::new(n, &seen)).unwrap_err().into_message().0, n);
        }
    };
    b.ask(run(part)).wait().unwrap();
    assert_eq!(drops.get(), 102);
    let counters = stage.end();
    assert_eq!((counters.returned, counters.dead_lettered), (106, 2));
}

fn drain_handles_what_is_queued(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    for n in 0..200 {
        a.tell(n).unwrap();
    }
    let ask = a.ask(200);
    a.drain();
    assert!(a.is_stopped());
    drop(held);
    let mut wanted = vec!["starts".to_owned()];
    wanted.extend((0..=200).map(|n| format!("gets {n}")));
    wanted.extend(["stops: drained".to_owned(), "drops".to_owned()]);
    stage.log.expect("a", &wanted);
    assert_eq!(ask.wait(), Ok(400));
    assert_eq!(stage.end().handled, 202);
}

fn drain_refuses_while_it_works(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let held = hold(&a);
    a.tell(1).unwrap();
    a.drain();
    refuses(&a, &drops);
    drop(held);
    stage.log.expect("a", &["starts", "gets 1", "stops: drained", "drops"]);
    refuses(&a, &drops);
    stage.end();
}

fn drain_stands_in_its_senders_order(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let to = b.clone();
    // The sends before it are held when it comes.
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        for n in 0..10 {
            to.tell(n).unwrap();
        }
        to.drain();
        assert!(to.tell(10).is_err());
    };
    a.ask(run(part)).wait().unwrap();
    let mut wanted = vec!["starts".to_owned()];
    wanted.extend((0..10).map(|n| format!("gets {n}")));
    wanted.extend(["stops: drained".to_owned(), "drops".to_owned()]);
    stage.log.expect("b", &wanted);
    stage.end();
}

fn stop_overtakes_a_drain_at_work(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let held = hold(&a);
    let (entered, release) = (Gate::default(), Gate::default());
    let (inside, wait) = (entered.clone(), release.clone());
    a.tell(run(move |_, _| {
        inside.open();
        wait.wait();
    }))
    .unwrap();
    a.send_all((0..10).map(|n| Token::new(n, &drops))).unwrap();
    a.drain();
    drop(held);
    // Now it drains, and is in the middle of it.
    entered.wait();
    a.stop();
    release.open();
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    drops.reaches(10);
    let counters = stage.end();
    assert_eq!((counters.handled, counters.dead_lettered), (2, 10));
}

/// Spawns a child of `parent`, and returns its address.
fn child_of(parent: &ActorRef<Puppet>, name: &'static str) -> ActorRef<Puppet> {
    let (place, filled) = (Shared::new(None), Gate::default());
    let (put, done) = (place.clone(), filled.clone());
    parent
        .tell(run(move |this, ctx| {
            let child = ctx.spawn(this.other(name));
            put.with(|place| *place = Some(child));
            done.open();
        }))
        .unwrap();
    filled.wait();
    place.with(|place| place.take()).expect("a child")
}

fn stop_overtakes_a_drain_that_waits_for_children(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let b = child_of(&a, "b");
    let held = hold(&b);
    b.tell(1).unwrap();
    a.drain();
    // The child has been told to drain: its parent waits for it.
    eventually("the child drains", || b.is_stopped());
    a.stop();
    drop(held);
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    let child = stage.log.of("b");
    // The stop reaches the child through its parent's turn: before its message, after it, or after its own end.
    let early = child == ["starts", "stops: parent stopped", "drops"];
    let late = child == ["starts", "gets 1", "stops: parent stopped", "drops"];
    let drained = child == ["starts", "gets 1", "stops: drained", "drops"];
    assert!(early || late || drained, "{child:?}");
    stage.end();
}

fn drain_does_not_undo_a_stop(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    a.tell(1).unwrap();
    a.stop();
    a.drain();
    drop(held);
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    stage.end();
}

fn stop_takes_the_children_along_first(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let (b, c) = (child_of(&a, "b"), child_of(&a, "c"));
    let d = child_of(&b, "d");
    let held = hold(&d);
    c.tell(1).unwrap();
    a.stop();
    drop(held);
    stage.log.until("a drops");
    let lines = stage.log.lines();
    let at = |line: &str| lines.iter().position(|each| each == line).unwrap_or_else(|| panic!("{line}: {lines:#?}"));
    assert!(at("d drops") < at("b stops: parent stopped"), "{lines:#?}");
    assert!(at("b drops") < at("a stops: stopped"), "{lines:#?}");
    assert!(at("c drops") < at("a stops: stopped"), "{lines:#?}");
    assert!(at("d stops: parent stopped") < at("d drops"), "{lines:#?}");
    for actor in [a, b, c, d] {
        assert!(actor.tell(1).is_err());
    }
    stage.end();
}

fn drain_drains_the_children_first(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let b = child_of(&a, "b");
    let c = child_of(&b, "c");
    let held = hold(&c);
    c.send_all([1, 2]).unwrap();
    b.tell(3).unwrap();
    a.tell(4).unwrap();
    a.drain();
    drop(held);
    stage.log.until("a drops");
    stage.log.expect("c", &["starts", "gets 1", "gets 2", "stops: drained", "drops"]);
    stage.log.expect("b", &["starts", "gets 3", "stops: drained", "drops"]);
    stage.log.expect("a", &["starts", "gets 4", "stops: drained", "drops"]);
    let lines = stage.log.lines();
    let last: Vec<&str> = lines.iter().rev().take(6).rev().map(String::as_str).collect();
    let wanted = ["c stops: drained", "c drops", "b stops: drained", "b drops", "a stops: drained", "a drops"];
    assert_eq!(last, wanted);
    stage.end();
}

fn a_parent_waits_for_a_child_that_is_busy(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let b = child_of(&a, "b");
    let held = hold(&b);
    a.stop();
    eventually("the mailbox closes", || a.is_stopped());
    // Refuses already, though it has not ended: that comes before the wait for children.
    assert_eq!(a.ask(1).wait(), Err(AskError::Stopped));
    assert_eq!(stage.counters().live_actors, 2);
    stage.log.expect("a", &["starts"]);
    drop(held);
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    stage.end();
}

fn an_actor_that_delegates_drains_itself(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let worker = ctx.spawn(this.other("b"));
        worker.send_all([1, 2, 3]).unwrap();
        ctx.drain();
    };
    a.tell(run(part)).unwrap();
    let wanted = [
        "a starts",
        "b starts",
        "b gets 1",
        "b gets 2",
        "b gets 3",
        "b stops: drained",
        "b drops",
        "a stops: drained",
        "a drops",
    ];
    stage.log.expect_all(&wanted);
    stage.end();
}

fn ending_twice_is_ending_once(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    for _ in 0..3 {
        a.stop();
        a.drain();
    }
    // A stop that comes after the drain was asked for may find it done.
    stage.log.until("a drops");
    a.stop();
    a.drain();
    assert_eq!(stage.log.of("a").len(), 3, "{:?}", stage.log.lines());
    stage.end();
}

fn stop_before_the_first_message(on: Engine) {
    let stage = Stage::new(on);
    let blocker = stage.puppet("x");
    let held = hold(&blocker);
    let a = stage.puppet("a");
    a.tell(1).unwrap();
    a.stop();
    drop(held);
    stage.log.until("a drops");
    let lines = stage.log.of("a");
    // `started` is the first activation, and it comes in any case; the message does not overtake the stop if that was there
    // before it.
    assert_eq!(lines[0], "starts");
    assert_eq!(lines[lines.len() - 2..], ["stops: stopped", "drops"]);
    stage.end();
}

/// Does something when it starts.
struct Starter {
    puppet: Puppet,
    first: fn(&mut Context<Self>),
}

impl cuelight::Actor for Starter {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.puppet.says("starts");
        (self.first)(ctx);
    }

    fn stopped(&mut self, reason: &cuelight::StopReason) {
        self.puppet.says(format_args!("stops: {reason}"));
    }
}

impl cuelight::Handler<u64> for Starter {
    type Reply = ();

    fn handle(&mut self, n: u64, _: &mut Context<Self>) {
        self.puppet.says(format_args!("gets {n}"));
    }
}

fn starter(stage: &Stage, first: fn(&mut Context<Starter>)) -> ActorRef<Starter> {
    stage.spawn(Starter { puppet: Puppet::new("a", &stage.log), first })
}

fn stop_in_the_first_hook(on: Engine) {
    let stage = Stage::new(on);
    let blocker = stage.puppet("x");
    let held = hold(&blocker);
    let a = starter(&stage, |ctx| ctx.stop());
    // It may have stopped already.
    let _ = a.tell(1);
    drop(held);
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    stage.end();
}

fn drain_in_the_first_hook(on: Engine) {
    let stage = Stage::new(on);
    let first = |ctx: &mut Context<Starter>| {
        ctx.me().tell(1).unwrap();
        ctx.me().tell(2).unwrap();
        ctx.drain();
        assert!(ctx.me().tell(3).is_err());
    };
    starter(&stage, first);
    stage.log.expect("a", &["starts", "gets 1", "gets 2", "stops: drained", "drops"]);
    stage.end();
}

fn a_parent_drains_while_its_child_stops(on: Engine) {
    for _ in 0..50 {
        let stage = Stage::new(on);
        let a = stage.puppet("a");
        let b = child_of(&a, "b");
        b.stop();
        a.drain();
        stage.log.until("a drops");
        assert_eq!(stage.log.of("a"), ["starts", "stops: drained", "drops"]);
        assert_eq!(stage.log.of("b").len(), 3);
        stage.end();
    }
}

fn a_deep_family_ends_from_the_leaves(on: Engine) {
    let stage = Stage::new(on);
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let root = stage.puppet(NAMES[0]);
    let mut last = root.clone();
    for name in &NAMES[1..] {
        last = child_of(&last, name);
    }
    root.stop();
    stage.log.until("a drops");
    let drops: Vec<String> =
        stage.log.lines().iter().filter_map(|line| Some(line.strip_suffix(" drops")?.to_owned())).collect();
    assert_eq!(drops, ["f", "e", "d", "c", "b", "a"]);
    stage.end();
}

fn ends_race_with_sends(on: Engine) {
    let stage = Stage::new(on);
    let drops = Count::default();
    let (mut created, mut before) = (0, 0);
    let rounds = scaled(300, 30);
    for round in 0..rounds {
        let a = stage.puppet("a");
        let ender = {
            let a = a.clone();
            std::thread::spawn(move || if round % 2 == 0 { a.stop() } else { a.drain() })
        };
        let (mut taken, mut back) = (0, 0);
        for n in 0..50 {
            created += 1;
            match a.tell(Token::new(n, &drops)) {
                Ok(()) if back == 0 => taken += 1,
                Ok(()) => panic!("taken after a refusal"),
                Err(error) => {
                    assert_eq!(error.into_message().0, n);
                    back += 1;
                }
            }
        }
        ender.join().unwrap();
        stage.living(0);
        let all = stage.log.of("a").iter().filter(|line| line.starts_with("gets")).count();
        let handled = all - std::mem::replace(&mut before, all);
        // A drain handles what was taken, a stop at most that.
        assert!(handled <= taken && (round % 2 == 0 || handled == taken), "{handled} of {taken}");
    }
    drops.reaches(created);
    let counters = stage.end();
    assert_eq!(counters.sent, created);
}
