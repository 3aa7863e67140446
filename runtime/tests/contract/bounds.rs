//! Bounded mailboxes: no more wait than may, on whatever way they come; what finds no room comes back or is a dead letter.

use crate::support::letters::{Clerk, number};
use crate::support::puppet::{Keep, Puppet, Token, run, watch};
use crate::support::stage::{Engine, Stage, contract, end, hold, parallel_contract};
use crate::support::{Count, Gate, LIMIT, Log, Shared, eventually};
use cuelight::{
    Actor, ActorRef, AskError, Context, DeadLetter, DeadLetterReason, Handler, Mailbox, Overflow, SendAllError,
    SpawnError, TellError,
};
use std::time::Duration;

contract! {
    what_is_no_bound,
    full_on_every_way,
    the_credit_is_back_when_the_handler_begins,
    a_mailbox_of_one,
    newest_are_dropped,
    oldest_are_dropped,
    send_all_takes_what_there_is_room_for,
    send_all_drops_the_newest,
    send_all_drops_the_oldest,
    asks_without_room,
    asks_make_room,
    a_stopped_mailbox_is_not_full,
    notices_and_timers_are_outside,
    children_have_bounds_too,
    letters_to_a_bounded_listener,
    letters_of_the_listener_itself,
    order_is_kept,
}

parallel_contract! {
    oldest_are_dropped_of_what_another_handler_holds,
    what_a_handler_holds_has_credits,
    a_handler_that_finds_no_room_publishes,
    notices_are_not_dropped,
    a_continuation_hears_of_no_room,
}

pub(crate) const ALL: [Overflow; 3] = [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest];

impl Stage {
    pub(crate) fn bounded(&self, name: &'static str, limit: usize, overflow: Overflow) -> ActorRef<Puppet> {
        let log = self.log.clone();
        let mailbox = Mailbox::bounded(limit, overflow);
        self.actor(move || Puppet::new(name, &log)).mailbox(mailbox).spawn().expect("a puppet")
    }
}

pub(crate) fn gets(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    let mut wanted = vec!["starts".to_owned()];
    wanted.extend(numbers.into_iter().map(|n| format!("gets {n}")));
    wanted
}

type Letters = Shared<Vec<(DeadLetterReason, Option<u64>)>>;

fn reason_and_number(letter: DeadLetter) -> (DeadLetterReason, Option<u64>) {
    (letter.reason, number(&letter))
}

fn letters(stage: &Stage) -> Letters {
    stage.letters(reason_and_number)
}

#[track_caller]
fn full(letters: &Letters, numbers: &[u64]) {
    eventually("letters", || letters.with(|letters| letters.len()) >= numbers.len());
    let wanted: Vec<_> = numbers.iter().map(|&n| (DeadLetterReason::Full, Some(n))).collect();
    assert_eq!(letters.get(), wanted);
}

fn what_is_no_bound(on: Engine) {
    let stage = Stage::new(on);
    for asked in [0, (1 << 30) + 1, usize::MAX] {
        let log = stage.log.clone();
        let builder = stage.actor(move || Puppet::new("a", &log)).mailbox(Mailbox::bounded(asked, Overflow::Reject));
        assert_eq!(builder.spawn(), Err(SpawnError::Mailbox { asked, most: 1 << 30 }));
        let log = stage.log.clone();
        let builder = stage.actor(move || Puppet::new("a", &log)).mailbox(Mailbox::bounded(asked, Overflow::Reject));
        assert_eq!(builder.get_or_spawn("a"), Err(SpawnError::Mailbox { asked, most: 1 << 30 }));
    }
    let log = stage.log.clone();
    let most = Mailbox::bounded(1 << 30, Overflow::DropOldest);
    let a = stage.actor(move || Puppet::new("a", &log)).mailbox(most).mailbox(Mailbox::unbounded()).spawn().unwrap();
    let held = hold(&a);
    assert_eq!(a.send_all(0..1000), Ok(1000));
    drop(held);
    stage.log.expect("a", &gets(0..1000));
    let b = stage.bounded("b", 1 << 30, Overflow::Reject);
    assert_eq!(b.ask(2).wait(), Ok(4));
    stage.end();
}

fn full_on_every_way(on: Engine) {
    for limit in [1, 2, 3, 10] {
        let stage = Stage::new(on);
        let a = stage.bounded("a", limit as usize, Overflow::Reject);
        let held = hold(&a);
        (0..limit).for_each(|n| a.tell(n).unwrap());
        assert_eq!(a.tell(100), Err(TellError::Full(100)));
        assert_eq!(a.recipient().tell(101), Err(TellError::Full(101)));
        let error: SendAllError<u64> = a.send_all([102, 103]).unwrap_err();
        assert!(error.is_full());
        assert_eq!((error.taken(), error.into_messages()), (0, vec![102, 103]));
        assert_eq!(a.send_all(None::<u64>), Ok(0));
        let asks = (a.ask(104), a.ask_with(Keep));
        drop(held);
        assert_eq!((asks.0.wait(), asks.1.wait()), (Err(AskError::Full), Err(AskError::Full)));
        stage.log.expect("a", &gets(0..limit));
        stage.quiet();
        // There is room again.
        assert_eq!(a.ask(limit).wait(), Ok(2 * limit));
        let counters = stage.end();
        assert_eq!((counters.handled, counters.returned, counters.dead_lettered), (limit + 2, 4, 2));
    }
}

fn the_credit_is_back_when_the_handler_begins(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 1, overflow);
        let log = letters(&stage);
        // By itself, while it is in its handler: one waits, the next finds no room.
        let part = |_: &mut Puppet, ctx: &mut Context<Puppet>| {
            ctx.me().tell(0).unwrap();
            assert_eq!(ctx.me().tell(1).is_err(), ctx.me().tell(2).is_err());
        };
        a.ask(run(part)).wait().unwrap();
        let (wanted, lost): (u64, &[u64]) = match overflow {
            Overflow::DropOldest => (2, &[0, 1]),
            Overflow::DropNewest => (0, &[1, 2]),
            _ => (0, &[]),
        };
        stage.log.expect("a", &gets([wanted]));
        full(&log, lost);
        stage.end();
    }
}

fn a_mailbox_of_one(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 1, overflow);
        for n in 0..100 {
            assert_eq!(a.ask(n).wait(), Ok(2 * n));
            assert_eq!(a.send_all([1000 + n]), Ok(1));
            // It counts as handled a moment before its place is free.
            stage.log.until(&format!("a gets {}", 1000 + n));
        }
        stage.log.expect("a", &gets((0..100).flat_map(|n| [n, 1000 + n])));
        assert_eq!(stage.end().handled, 200);
    }
}

fn newest_are_dropped(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.bounded("a", 3, Overflow::DropNewest);
    let letters = letters(&stage);
    let held = hold(&a);
    (0..6).for_each(|n| a.tell(n).unwrap());
    drop(held);
    stage.log.expect("a", &gets(0..3));
    full(&letters, &[3, 4, 5]);
    let counters = stage.end();
    assert_eq!((counters.returned, counters.dead_lettered), (0, 3));
}

fn oldest_are_dropped(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.bounded("a", 3, Overflow::DropOldest);
    let letters = letters(&stage);
    let held = hold(&a);
    (0..10).for_each(|n| a.tell(n).unwrap());
    a.recipient().tell(10).unwrap();
    drop(held);
    stage.log.expect("a", &gets(8..11));
    full(&letters, &[0, 1, 2, 3, 4, 5, 6, 7]);
    a.tell(11).unwrap();
    stage.log.expect("a", &gets(8..12));
    let counters = stage.end();
    assert_eq!((counters.returned, counters.dead_lettered), (0, 8));
}

fn oldest_are_dropped_of_what_another_handler_holds(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.bounded("a", 5, Overflow::DropOldest), stage.puppet("b"));
    let letters = letters(&stage);
    let held = hold(&a);
    let to = a.clone();
    b.ask(run(move |_, _| (0..8).for_each(|n| to.tell(n).unwrap()))).wait().unwrap();
    a.tell(8).unwrap();
    drop(held);
    stage.log.expect("a", &gets(4..9));
    full(&letters, &[0, 1, 2, 3]);
    stage.end();
}

fn send_all_takes_what_there_is_room_for(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.bounded("a", 5, Overflow::Reject), Count::default());
    let held = hold(&a);
    a.tell(0).unwrap();
    let error = a.send_all((1..10).map(|n| Token::new(n, &drops))).unwrap_err();
    assert_eq!((error.taken(), error.is_full()), (4, true));
    let back = error.into_messages();
    assert_eq!(back.iter().map(|token| token.0).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
    drop(held);
    stage.log.expect("a", &gets(0..5));
    stage.quiet();
    // And then the rest, all of which there is room for.
    assert_eq!(a.send_all(back).unwrap(), 5);
    stage.log.expect("a", &gets(0..10));
    drops.reaches(9);
    let counters = stage.end();
    assert_eq!((counters.returned, counters.dead_lettered), (5, 0));
}

fn send_all_drops_the_newest(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.bounded("a", 4, Overflow::DropNewest);
    let letters = letters(&stage);
    let held = hold(&a);
    a.tell(0).unwrap();
    assert_eq!(a.send_all(1..8), Ok(7));
    drop(held);
    stage.log.expect("a", &gets(0..4));
    full(&letters, &[4, 5, 6, 7]);
    stage.end();
}

fn send_all_drops_the_oldest(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.bounded("a", 4, Overflow::DropOldest);
    let letters = letters(&stage);
    let held = hold(&a);
    a.tell(0).unwrap();
    assert_eq!(a.send_all(1..3), Ok(2));
    // It displaces two; one finds room.
    assert_eq!(a.send_all(3..6), Ok(3));
    assert_eq!(stage.counters().dead_lettered, 2);
    // More than may wait: only the last of them do.
    assert_eq!(a.send_all(6..13), Ok(7));
    drop(held);
    stage.log.expect("a", &gets(9..13));
    eventually("letters", || letters.with(|letters| letters.len()) == 9);
    let mut lost: Vec<u64> = letters.get().into_iter().map(|(_, number)| number.unwrap()).collect();
    lost.sort_unstable();
    assert_eq!(lost, (0..9).collect::<Vec<_>>());
    stage.end();
}

fn asks_without_room(on: Engine) {
    for overflow in [Overflow::Reject, Overflow::DropNewest] {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 2, overflow);
        let letters = letters(&stage);
        let held = hold(&a);
        let (first, second) = (a.ask(1), a.ask_with(Keep));
        let (third, fourth) = (a.ask(3), a.ask_with(Keep));
        assert_eq!((third.wait(), fourth.wait()), (Err(AskError::Full), Err(AskError::Full)));
        drop(held);
        assert_eq!(first.wait(), Ok(2));
        a.ask(run(|this, _| this.replies.pop().unwrap().send(7))).wait().unwrap();
        assert_eq!(second.wait(), Ok(7));
        eventually("letters", || letters.with(|letters| letters.len()) == 2);
        let wanted = [(DeadLetterReason::Full, Some(3)), (DeadLetterReason::Full, None)];
        assert_eq!(letters.get(), wanted);
        stage.end();
    }
}

fn a_continuation_hears_of_no_room(on: Engine) {
    for overflow in [Overflow::Reject, Overflow::DropNewest] {
        let stage = Stage::new(on);
        let (a, b) = (stage.bounded("a", 2, overflow), stage.puppet("b"));
        let held = hold(&a);
        a.send_all([4, 5]).unwrap();
        let to = a.clone();
        let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
            ctx.ask(&to, 6, LIMIT, |this: &mut Puppet, result, _| this.says(format_args!("hears {result:?}")));
        };
        b.tell(run(part)).unwrap();
        stage.log.until("b hears Err(Full)");
        drop(held);
        stage.end();
    }
}

fn asks_make_room(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.bounded("a", 2, Overflow::DropOldest);
    let held = hold(&a);
    let (first, second, third) = (a.ask(1), a.ask(2), a.ask(3));
    a.tell(4).unwrap();
    // The first two made room.
    assert_eq!((first.wait(), second.wait()), (Err(AskError::Full), Err(AskError::Full)));
    drop(held);
    assert_eq!(third.wait(), Ok(6));
    stage.log.expect("a", &gets([3, 4]));
    let counters = stage.end();
    assert_eq!(counters.dead_lettered, 2);
}

fn a_stopped_mailbox_is_not_full(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 1, overflow);
        let held = hold(&a);
        a.tell(0).unwrap();
        a.drain();
        assert_eq!(a.tell(1), Err(TellError::Stopped(1)));
        let error = a.send_all([2, 3]).unwrap_err();
        assert!(!error.is_full());
        assert_eq!(error.to_string(), "the actor has stopped; 2 messages were not taken");
        assert_eq!((error.taken(), error.into_messages()), (0, vec![2, 3]));
        assert_eq!(a.ask(4).wait(), Err(AskError::Stopped));
        drop(held);
        stage.log.until("a drops");
        assert_eq!(a.tell(5), Err(TellError::Stopped(5)));
        stage.end();
    }
}

fn what_a_handler_holds_has_credits(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.bounded("a", 10, Overflow::Reject), stage.puppet("b"));
    let held = hold(&a);
    let to = a.clone();
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        (0..10).for_each(|n| to.tell(n).unwrap());
        assert_eq!(to.tell(10), Err(TellError::Full(10)));
        assert!(to.send_all([11]).unwrap_err().is_full());
    };
    b.ask(run(part)).wait().unwrap();
    assert_eq!(a.tell(12), Err(TellError::Full(12)));
    drop(held);
    stage.log.expect("a", &gets(0..10));
    stage.end();
}

fn a_handler_that_finds_no_room_publishes(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.bounded("a", 5, Overflow::Reject), stage.puppet("b"));
    let to = a.clone();
    // It insists, and all it waits for is what it holds itself.
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        for n in 0..200 {
            eventually("room", || to.tell(n).is_ok());
        }
    };
    b.tell(run(part)).unwrap();
    stage.log.expect("a", &gets(0..200));
    stage.end();
}

fn notices_and_timers_are_outside(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 1, overflow);
        let (b, c) = (stage.puppet("b"), stage.puppet("c"));
        watch(&a, &b);
        watch(&a, &c);
        a.ask(run(|_, ctx| {
            ctx.send_after(Duration::from_millis(1), 70);
            ctx.send_after(Duration::from_millis(2), 71);
        }))
        .wait()
        .unwrap();
        let held = hold(&a);
        a.tell(0).unwrap();
        b.stop();
        c.stop();
        let (b, c) = (b.id(), c.id());
        if on.workers() > 1 {
            stage.log.until("c drops");
        }
        drop(held);
        let lines = || stage.log.of("a");
        eventually("all comes", || lines().len() == 6);
        for line in [&format!("hears of {b}: stopped"), &format!("hears of {c}: stopped"), "gets 70", "gets 71"] {
            assert!(lines().iter().any(|each| each == line), "{:?}", lines());
        }
        stage.end();
    }
}

fn notices_are_not_dropped(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.bounded("a", 2, Overflow::DropOldest);
    let b = stage.puppet("b");
    watch(&a, &b);
    let id = b.id();
    let held = hold(&a);
    a.tell(0).unwrap();
    b.stop();
    stage.log.until("b drops");
    // The notice is on its way now, and comes before what comes later; what came earlier makes room.
    stage.living(1);
    (1..10).for_each(|n| a.tell(n).unwrap());
    drop(held);
    eventually("all comes", || stage.log.of("a").len() == 4);
    let wanted = ["starts".to_owned(), format!("hears of {id}: stopped"), "gets 8".to_owned(), "gets 9".to_owned()];
    stage.log.expect("a", &wanted);
    stage.end();
}

/// Starts when the gate opens.
struct Late(Gate, Log);

impl Actor for Late {
    fn started(&mut self, _: &mut Context<Self>) {
        self.0.wait();
        self.1.line("c starts");
    }
}

impl Handler<u64> for Late {
    type Reply = ();

    fn handle(&mut self, n: u64, _: &mut Context<Self>) {
        self.1.line(format!("c gets {n}"));
    }
}

fn children_have_bounds_too(on: Engine) {
    let stage = Stage::new(on);
    let parent = stage.puppet("p");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let mailbox = Mailbox::bounded(3, Overflow::Reject);
        // A slow handler's child runs elsewhere meanwhile.
        let (gate, log) = (Gate::default(), this.log.clone());
        let open = gate.clone();
        let child = ctx.actor(move || Late(open.clone(), log.clone())).mailbox(mailbox).spawn().unwrap();
        let error = child.send_all(0..5).unwrap_err();
        gate.open();
        assert_eq!((error.taken(), error.into_messages()), (3, vec![3, 4]));
        let none = ctx.actor(this.factory("d")).mailbox(Mailbox::bounded(0, Overflow::Reject)).spawn();
        assert!(none.is_err());
    };
    parent.ask(run(part)).wait().unwrap();
    stage.log.expect("c", &gets(0..3));
    stage.end();
}

fn letters_to_a_bounded_listener(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let seen = Letters::default();
        let mine = seen.clone();
        let mailbox = Mailbox::bounded(3, overflow);
        let clerk = stage.actor(move || Clerk::new(&mine, reason_and_number)).mailbox(mailbox).spawn().unwrap();
        stage.dead_letters(&clerk);
        let dead = stage.puppet("dead");
        dead.drain();
        stage.log.until("dead drops");
        for round in 0..20_u64 {
            // Dead letters that find no room are lost, whatever the policy says: none makes another one.
            (0..10).for_each(|_| drop(dead.ask(round)));
        }
        eventually("some come", || seen.with(|seen| seen.len()) >= 3);
        let counters = end(&stage.system);
        assert_eq!(counters.dead_lettered, 200);
        assert!(seen.with(|seen| seen.len()) <= 200);
    }
}

/// Hears of dead letters, also of those that were its own messages.
struct Both(Letters);
impl Actor for Both {}
impl Handler<DeadLetter> for Both {
    type Reply = ();
    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        let number = letter.payload.and_then(|payload| payload.downcast::<u64>().ok()).map(|number| *number);
        self.0.with(|seen| seen.push((letter.reason, number)));
    }
}
impl Handler<u64> for Both {
    type Reply = ();
    fn handle(&mut self, _: u64, _: &mut Context<Self>) {}
}

fn letters_of_the_listener_itself(on: Engine) {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let stage = Stage::new(on);
        let seen = Letters::default();
        let mine = seen.clone();
        let mailbox = Mailbox::bounded(100, overflow);
        let both = stage.actor(move || Both(mine.clone())).mailbox(mailbox).spawn().unwrap();
        stage.dead_letters(&both);
        for n in 0..5000 {
            both.tell(n).unwrap();
        }
        stage.end();
    }
}

fn order_is_kept(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.bounded("a", 300, Overflow::Reject), stage.puppet("b"));
    let to = a.clone();
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        for n in (0..200).step_by(4) {
            to.tell(n).unwrap();
            to.tell(n + 1).unwrap();
            drop(to.ask(n + 2));
            to.send_all([n + 3]).unwrap();
        }
    };
    b.tell(run(part)).unwrap();
    stage.log.expect("a", &gets(0..200));
    stage.end();
}
