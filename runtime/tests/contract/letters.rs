//! Dead letters: for the listener, with payload; counted in any case, and not counted themselves.

use crate::support::puppet::{Puppet, Token, run};
use crate::support::stage::{Engine, Stage, contract, end, hold};
use crate::support::{Count, Gate, Shared, eventually, quiet_panics, scaled};
use cuelight::{Actor, ActorId, ActorRef, Context, DeadLetter, DeadLetterReason, Handler, Recipient, StopReason};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

contract! {
    come_with_their_payload,
    of_every_kind,
    of_refused_asks_but_not_of_refused_tells,
    of_panics_have_no_payload,
    what_leaves_none,
    are_counted_when_nobody_listens,
    the_latest_listener_hears,
    a_listener_that_has_stopped_hears_nothing,
    a_listener_that_ends_with_a_backlog,
    a_listener_that_panics,
    a_listener_in_another_system,
    listeners_that_listen_to_each_other,
    a_listener_that_makes_more,
    after_the_end,
    never_make_in_flight_negative,
    handled_is_never_beyond_what_was_sent,
}

/// What a listener has seen of a letter.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    to: ActorId,
    type_name: &'static str,
    reason: DeadLetterReason,
    number: Option<u64>,
}

/// Listens.
struct Clerk {
    seen: Shared<Vec<Seen>>,
    wait: Option<Gate>,
}

impl Actor for Clerk {}

impl Handler<DeadLetter> for Clerk {
    type Reply = ();

    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        if let Some(wait) = &self.wait {
            wait.wait();
        }
        let number = letter.payload.and_then(|payload| {
            let payload = match payload.downcast::<u64>() {
                Ok(number) => return Some(*number),
                Err(payload) => payload,
            };
            payload.downcast::<Token>().ok().map(|token| token.0)
        });
        let seen = Seen { to: letter.to, type_name: letter.type_name, reason: letter.reason, number };
        self.seen.with(|all| all.push(seen));
    }
}

fn clerk(stage: &Stage) -> (ActorRef<Clerk>, Shared<Vec<Seen>>) {
    let seen = Shared::default();
    let clerk = stage.spawn(Clerk { seen: seen.clone(), wait: None });
    stage.dead_letters(&clerk);
    (clerk, seen)
}

/// Waits for that many letters, and takes them.
fn letters(seen: &Shared<Vec<Seen>>, count: usize) -> Vec<Seen> {
    eventually("letters", || seen.with(|seen| seen.len()) >= count);
    let letters = seen.with(std::mem::take);
    assert_eq!(letters.len(), count, "{letters:#?}");
    letters
}

fn letter<M>(to: &ActorRef<Puppet>, number: Option<u64>) -> Seen {
    let reason = DeadLetterReason::Stopped;
    Seen { to: to.id(), type_name: std::any::type_name::<M>(), reason, number }
}

/// Stops an actor with these numbers queued.
fn bury(stage: &Stage, numbers: std::ops::Range<u64>) -> ActorRef<Puppet> {
    let a = stage.puppet("a");
    let held = hold(&a);
    a.send_all(numbers).unwrap();
    a.stop();
    drop(held);
    a
}

fn come_with_their_payload(on: Engine) {
    let stage = Stage::new(on);
    let (_clerk, seen) = clerk(&stage);
    let a = bury(&stage, 0..100);
    let wanted: Vec<Seen> = (0..100).map(|n| letter::<u64>(&a, Some(n))).collect();
    assert_eq!(letters(&seen, 100), wanted);
    assert_eq!(DeadLetterReason::Stopped.to_string(), "the receiver has stopped");
    assert_eq!(DeadLetterReason::Panicked.to_string(), "the handler panicked");
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (101, 1, 100));
}

fn of_every_kind(on: Engine) {
    let stage = Stage::new(on);
    let (_clerk, seen) = clerk(&stage);
    let (a, b, drops) = (stage.puppet("a"), stage.puppet("b"), Count::default());
    b.stop();
    stage.living(2);
    let held = hold(&a);
    let (target, dead) = (a.clone(), b.clone());
    a.tell(run(move |_, _| drop((target, dead)))).unwrap();
    a.tell(Token::new(1, &drops)).unwrap();
    drop(a.ask(2));
    drop(a.ask(Token::new(3, &drops)));
    drop(a.ask_with(|_reply: cuelight::ReplyTo<()>| 4_u64));
    a.send_all([5, 6]).unwrap();
    a.recipient().tell(7_u64).unwrap();
    a.stop();
    drop(held);
    let heard = letters(&seen, 8);
    let numbers: Vec<Option<u64>> = heard.iter().map(|seen| seen.number).collect();
    assert_eq!(numbers, [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(7)]);
    assert_eq!(heard[1], letter::<Token>(&a, Some(1)));
    assert_eq!(heard[2], letter::<u64>(&a, Some(2)));
    drops.reaches(2);
    // A notice and a continuation that come too late.
    let c = stage.puppet("c");
    let dead = b.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.stop();
        ctx.watch(&dead);
        ctx.ask(&dead, 1, crate::support::LIMIT, |_: &mut Puppet, _, _| {});
    };
    c.tell(run(part)).unwrap();
    let heard = letters(&seen, 3);
    assert!(heard.contains(&letter::<cuelight::Terminated>(&c, None)), "{heard:#?}");
    assert!(heard.contains(&letter::<u64>(&b, Some(1))), "{heard:#?}");
    assert_eq!(heard.iter().filter(|seen| seen.to == c.id()).count(), 2);
    stage.end();
}

fn of_refused_asks_but_not_of_refused_tells(on: Engine) {
    let stage = Stage::new(on);
    let (clerk, seen) = clerk(&stage);
    let a = stage.puppet("a");
    a.stop();
    stage.living(1);
    assert!(a.tell(1).is_err());
    assert!(a.send_all([2, 3]).is_err());
    assert!(a.ask(4).wait().is_err());
    assert_eq!(letters(&seen, 1), [letter::<u64>(&a, Some(4))]);
    drop(clerk);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.returned, counters.dead_lettered), (4, 3, 1));
}

fn of_panics_have_no_payload(on: Engine) {
    let stage = Stage::new(on);
    let (_clerk, seen) = clerk(&stage);
    let a = stage.puppet("a");
    a.tell(run(|_, _| panic!("meant"))).unwrap();
    let heard = letters(&seen, 1).remove(0);
    assert_eq!((heard.to, heard.reason, heard.number), (a.id(), DeadLetterReason::Panicked, None));
    assert!(heard.type_name.ends_with("Run"), "{heard:?}");
    let counters = stage.end();
    // Handled, and so not counted twice.
    assert_eq!((counters.handled, counters.dead_lettered), (1, 0));
}

fn what_leaves_none(on: Engine) {
    let stage = Stage::new(on);
    let (_clerk, seen) = clerk(&stage);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    // Replies: too late, and unwanted.
    let held = hold(&a);
    drop(a.ask(1));
    let kept = a.ask_with(crate::support::puppet::Keep);
    drop(held);
    stage.quiet();
    drop(kept);
    a.tell(run(|this, _| this.replies.drain(..).for_each(|reply| reply.send(2)))).unwrap();
    eventually("late replies", || stage.counters().late_replies == 2);
    // Timers: taken back before and after they have come, by a restart, and by the end.
    let c = stage.restarted("c", crate::support::restarts::at_once());
    let part = |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        let key = ctx.send_after(std::time::Duration::ZERO, 3_u64);
        assert!(ctx.cancel(key));
        ctx.send_after(crate::support::LIMIT, 4_u64);
    };
    c.tell(run(part)).unwrap();
    crate::support::restarts::fail(&c);
    c.tell(run(part)).unwrap();
    stage.quiet();
    eventually("a restart", || stage.counters().restarts == 1);
    assert_eq!(c.ask(5).wait(), Ok(10));
    // What came back to its sender.
    b.stop();
    c.stop();
    stage.living(2);
    assert!(b.tell(6).is_err() && b.send_all([7]).is_err());
    stage.end();
    let seen: Vec<DeadLetterReason> = seen.get().into_iter().map(|seen| seen.reason).collect();
    assert_eq!(seen, [DeadLetterReason::Panicked]);
    let texts =
        [DeadLetterReason::Poisoned, DeadLetterReason::Restarted, DeadLetterReason::Lost].map(|r| r.to_string());
    assert_eq!(texts, ["the handler panicked each time", "the receiver has been restarted", "lost on its way"]);
}

fn are_counted_when_nobody_listens(on: Engine) {
    let stage = Stage::new(on);
    bury(&stage, 0..50);
    stage.living(0);
    assert_eq!(stage.counters().dead_lettered, 50);
    stage.end();
}

fn the_latest_listener_hears(on: Engine) {
    let stage = Stage::new(on);
    let (_first, heard_first) = clerk(&stage);
    bury(&stage, 0..3);
    assert_eq!(letters(&heard_first, 3).len(), 3);
    let (_second, heard_second) = clerk(&stage);
    bury(&stage, 0..4);
    assert_eq!(letters(&heard_second, 4).len(), 4);
    stage.end();
    assert_eq!((heard_first.get(), heard_second.get()), (vec![], vec![]));
}

fn a_listener_that_has_stopped_hears_nothing(on: Engine) {
    let stage = Stage::new(on);
    let (clerk, seen) = clerk(&stage);
    clerk.stop();
    stage.living(0);
    for _ in 0..5 {
        bury(&stage, 0..20);
    }
    stage.living(0);
    let counters = stage.end();
    assert_eq!((counters.handled, counters.dead_lettered), (5, 100));
    assert_eq!(seen.get(), []);
}

fn a_listener_that_ends_with_a_backlog(on: Engine) {
    let stage = Stage::new(on);
    let (seen, gate) = (Shared::default(), Gate::default());
    let clerk = stage.spawn(Clerk { seen: seen.clone(), wait: Some(gate.clone()) });
    stage.dead_letters(&clerk);
    if on.workers() > 1 {
        bury(&stage, 0..200);
        eventually("all are buried", || stage.counters().dead_lettered == 200);
    } else {
        // The only worker would wait in the clerk.
        let a = stage.puppet("a");
        a.stop();
        (0..200).for_each(|n| drop(a.ask(n)));
    }
    clerk.stop();
    gate.open();
    stage.living(0);
    let counters = stage.end();
    // Letters are not counted, neither the handled nor the lost.
    assert_eq!(counters.dead_lettered, 200);
    assert_eq!(counters.sent, counters.dead_lettered + counters.handled);
}

/// Panics at every letter.
struct Faint;

impl Actor for Faint {}

impl Handler<DeadLetter> for Faint {
    type Reply = ();

    fn handle(&mut self, _: DeadLetter, _: &mut Context<Self>) {
        panic!("meant: a letter");
    }
}

fn a_listener_that_panics(on: Engine) {
    quiet_panics();
    let stage = Stage::new(on);
    for _ in 0..5 {
        let faint = stage.spawn(Faint);
        stage.dead_letters(&faint);
        bury(&stage, 0..20);
        stage.living(0);
        assert!(faint.is_stopped());
    }
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (105, 5, 100));
}

fn a_listener_in_another_system(on: Engine) {
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let (_clerk, seen) = clerk(&other);
    stage.dead_letters(other.spawn(Clerk { seen: seen.clone(), wait: None }));
    bury(&stage, 0..30);
    assert_eq!(letters(&seen, 30).len(), 30);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (31, 1, 30));
    let counters = other.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (0, 0, 0));
}

fn listeners_that_listen_to_each_other(on: Engine) {
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let seen = Shared::default();
    let here = stage.spawn(Clerk { seen: seen.clone(), wait: None });
    let there = other.spawn(Clerk { seen: seen.clone(), wait: None });
    stage.dead_letters(&there);
    other.dead_letters(&here);
    bury(&stage, 0..10);
    bury(&other, 10..20);
    assert_eq!(letters(&seen, 20).len(), 20);
    end(&stage.system);
    bury(&other, 20..30);
    other.end();
    assert_eq!(seen.get(), []);
}

/// Answers each letter with a message that becomes one.
struct Stubborn {
    dead: ActorRef<Puppet>,
    left: u64,
    seen: Count,
}

impl Actor for Stubborn {
    fn stopped(&mut self, _: &StopReason) {
        // Also in its last moment.
        drop(self.dead.ask(0));
    }
}

impl Handler<DeadLetter> for Stubborn {
    type Reply = ();

    fn handle(&mut self, _: DeadLetter, _: &mut Context<Self>) {
        self.seen.add(1);
        if self.left > 0 {
            self.left -= 1;
            drop(self.dead.ask(self.left));
        }
    }
}

fn a_listener_that_makes_more(on: Engine) {
    let stage = Stage::new(on);
    let (dead, seen) = (stage.puppet("a"), Count::default());
    dead.stop();
    stage.living(0);
    let left = 500;
    let stubborn = stage.spawn(Stubborn { dead: dead.clone(), left, seen: seen.clone() });
    stage.dead_letters(&stubborn);
    drop(dead.ask(1));
    seen.reaches(left + 1);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.dead_lettered), (left + 2, left + 2));
    assert_eq!(seen.get(), left + 1);
}

fn after_the_end(on: Engine) {
    let stage = Stage::new(on);
    let (clerk, seen) = clerk(&stage);
    let (a, drops) = (stage.puppet("a"), Count::default());
    end(&stage.system);
    drop(a.ask(Token::new(1, &drops)));
    assert_eq!(drops.get(), 1);
    let to: Recipient<DeadLetter> = clerk.into();
    stage.dead_letters(to);
    drop(a.ask(Token::new(2, &drops)));
    assert_eq!(drops.get(), 2);
    assert_eq!(seen.get(), []);
    let counters = stage.counters();
    assert_eq!((counters.dead_lettered, counters.in_flight()), (2, 0));
}

/// Reads the counters while letters fly.
fn watched(on: Engine, look: fn(&cuelight::Counters)) {
    let stage = Stage::new(on);
    let (_clerk, _seen) = clerk(&stage);
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let reader = {
        let (system, done) = (stage.system.clone(), done.clone());
        thread::spawn(move || {
            // Ordering: Relaxed: only whether to go on.
            while !done.load(Ordering::Relaxed) {
                look(&system.counters());
            }
        })
    };
    let rounds = scaled(300, 20);
    for _ in 0..rounds {
        bury(&stage, 0..50);
        let dead = bury(&stage, 0..0);
        (0..50).for_each(|n| drop(dead.ask(n)));
    }
    stage.living(1);
    // Ordering: Relaxed, as above.
    done.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    let counters = stage.end();
    assert_eq!((counters.handled, counters.dead_lettered), (2 * rounds, 100 * rounds));
}

fn never_make_in_flight_negative(on: Engine) {
    watched(on, |counters| assert!(counters.in_flight() < u64::MAX / 2, "{counters}"));
}

fn handled_is_never_beyond_what_was_sent(on: Engine) {
    watched(on, |counters| assert!(counters.handled + counters.dead_lettered <= counters.sent, "{counters}"));
}
