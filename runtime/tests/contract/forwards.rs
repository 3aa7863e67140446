//! Questions that are handed on, what is held until a message has met its fate, and asks by `ReplyTo` inside handlers.

use crate::support::puppet::{Keep, Puppet, Token, run};
use crate::support::restarts::at_once;
use crate::support::stage::{Engine, Stage, contract, hold};
use crate::support::{Count, Counted, LIMIT, eventually};
use cuelight::{Actor, ActorRef, AskError, Context, Handler, Overflow, ReplyTo, TellError};
use std::time::Duration;

contract! {
    an_answer_goes_to_the_asker,
    a_panic_is_told,
    a_stop_is_told,
    want_of_room_is_told,
    a_refused_one_comes_back,
    what_is_held_goes_with_the_message,
    an_asker_that_has_gone,
    large_ones,
    asks_with_inside,
    asks_with_inside_time_out,
    a_make_that_panics_sends_nothing,
}

/// Hands every question on.
struct Front(ActorRef<Puppet>);

impl Actor for Front {}

struct Double(u64, ReplyTo<u64>);

impl Handler<Double> for Front {
    type Reply = ();

    fn handle(&mut self, Double(n, reply): Double, _: &mut Context<Self>) {
        self.0.forward(n, reply).expect("the puppet runs");
    }
}

fn an_answer_goes_to_the_asker(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let front = stage.spawn(Front(a));
    let asks: Vec<_> = (0..50).map(|n| front.ask_with(|reply| Double(n, reply))).collect();
    for (n, ask) in (0..).zip(asks) {
        assert_eq!(ask.wait(), Ok(2 * n));
    }
    let gets = (0..50).map(|n| format!("gets {n}"));
    let wanted: Vec<String> = ["starts".to_owned()].into_iter().chain(gets).collect();
    stage.log.expect("a", &wanted);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled), (100, 100));
}

fn a_panic_is_told(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.restarted("a", at_once());
    let target = a.clone();
    let ask = stage.puppet("b").ask_with(|reply: ReplyTo<()>| {
        run(move |_, _| target.forward(run(|_, _| panic!("meant")), reply).expect("it runs"))
    });
    assert_eq!(ask.wait(), Err(AskError::Panicked));
    assert_eq!(a.ask(1).wait(), Ok(2));
    assert_eq!(stage.end().restarts, 1);
}

fn a_stop_is_told(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let kept = Counted(drops.clone());
    let ask = a.ask_with(|reply: ReplyTo<u64>| {
        run(move |_, ctx| {
            ctx.me().forward_holding(7, reply, kept).expect("it runs");
            ctx.stop();
        })
    });
    assert_eq!(ask.wait(), Err(AskError::Stopped));
    drops.reaches(1);
    assert_eq!(stage.end().dead_lettered, 1);
}

fn want_of_room_is_told(on: Engine) {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let stage = Stage::new(on);
        let (a, b) = (stage.bounded("a", 1, overflow), stage.puppet("b"));
        let held = hold(&a);
        // At once, for the only worker may be held.
        let forward = |n: u64| {
            b.ask_with(|reply: ReplyTo<u64>| {
                a.forward(n, reply).expect("it runs");
                run(|_, _| {})
            })
        };
        // The first has the only place, until the second makes it lose that, or is lost itself.
        let (first, second) = (forward(1), forward(2));
        let (lost, handled) = if overflow == Overflow::DropOldest { (first, second) } else { (second, first) };
        assert_eq!(lost.wait(), Err(AskError::Full));
        drop(held);
        assert!(handled.wait().is_ok());
        stage.quiet();
        assert_eq!(stage.end().dead_lettered, 1);
    }
}

fn a_refused_one_comes_back(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    a.stop();
    eventually("an end", || a.is_stopped());
    let drops = Count::default();
    let refused = a.tell_holding(7, Counted(drops.clone())).unwrap_err();
    assert_eq!((refused, drops.get()), (TellError::Stopped(7), 1));
    let ask = b.ask_with(|reply: ReplyTo<u64>| {
        run(move |_, _| {
            let (n, reply) = a.forward(7, reply).expect_err("it has stopped").into_message();
            reply.send(n + 1);
        })
    });
    assert_eq!(ask.wait(), Ok(8));
    assert_eq!(stage.end().returned, 2);
}

fn what_is_held_goes_with_the_message(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.restarted("a", at_once()), Count::default());
    let held = hold(&a);
    for n in 0..10 {
        a.tell_holding(n, Counted(drops.clone())).unwrap();
    }
    a.tell_holding(run(|_, _| panic!("meant")), Counted(drops.clone())).unwrap();
    assert_eq!(drops.get(), 0);
    drop(held);
    drops.reaches(11);
    assert_eq!(a.ask(1).wait(), Ok(2));
    let held = hold(&a);
    for n in 0..5 {
        a.tell_holding(n, Counted(drops.clone())).unwrap();
    }
    a.stop();
    drop(held);
    drops.reaches(16);
    assert_eq!(stage.end().dead_lettered, 5);
}

fn an_asker_that_has_gone(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let front = stage.spawn(Front(a.clone()));
    let held = hold(&a);
    drop(front.ask_with(|reply| Double(7, reply)));
    drop(held);
    stage.log.until("a gets 7");
    eventually("a late reply", || stage.counters().late_replies == 1);
    stage.end();
}

fn large_ones(on: Engine) {
    struct Whale([u64; 100], Token);
    struct Sea;
    impl Actor for Sea {}
    impl Handler<Whale> for Sea {
        type Reply = [u64; 100];
        fn handle(&mut self, whale: Whale, _: &mut Context<Self>) -> [u64; 100] {
            let _ = whale.1;
            whale.0
        }
    }
    struct Shore(ActorRef<Sea>);
    impl Actor for Shore {}
    struct Look(Whale, ReplyTo<[u64; 100]>);
    impl Handler<Look> for Shore {
        type Reply = ();
        fn handle(&mut self, Look(whale, reply): Look, _: &mut Context<Self>) {
            let reply = self.0.forward_holding(whale, reply, [7_u64; 40]).map_err(|_| "refused");
            assert_eq!(reply, Ok(()));
        }
    }
    let stage = Stage::new(on);
    let (shore, drops) = (stage.spawn(Shore(stage.spawn(Sea))), Count::default());
    let whale = Whale([9; 100], Token::new(1, &drops));
    assert_eq!(shore.ask_with(|reply| Look(whale, reply)).wait(), Ok([9; 100]));
    drops.reaches(1);
    stage.end();
}

fn asks_with_inside(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    // Answered later, in another order.
    let to = b.clone();
    a.ask(run(move |_, ctx| {
        for _ in 0..2 {
            ctx.ask_with(&to, Keep, LIMIT, |this: &mut Puppet, result, _| this.says(format_args!("hears {result:?}")));
        }
    }))
    .wait()
    .unwrap();
    eventually("two questions", || {
        let count = Count::default();
        let seen = count.clone();
        b.ask(run(move |this, _| seen.add(this.replies.len() as u64))).wait().unwrap();
        count.get() == 2
    });
    b.tell(run(|this, _| {
        this.replies.pop().expect("the second").send(2);
        drop(this.replies.pop().expect("the first"));
    }))
    .unwrap();
    stage.log.expect("a", &["starts", "hears Ok(2)", "hears Err(NoReply)"]);
    // One that is refused.
    b.stop();
    eventually("an end", || b.is_stopped());
    a.tell(run(move |_, ctx| {
        ctx.ask_with(&b, Keep, LIMIT, |this: &mut Puppet, result, _| this.says(format_args!("hears {result:?}")));
    }))
    .unwrap();
    stage.log.until("a hears Err(Stopped)");
    stage.end();
}

fn asks_with_inside_time_out(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let large = [7_u64; 64];
    a.tell(run(move |_, ctx| {
        let then = move |this: &mut Puppet, result: Result<u64, AskError>, _: &mut Context<Puppet>| {
            this.says(format_args!("hears {result:?} with {}", large[63]));
        };
        ctx.ask_with(&b, Keep, Duration::from_millis(1), then);
    }))
    .unwrap();
    stage.log.until("a hears Err(Timeout) with 7");
    stage.end();
}

fn a_make_that_panics_sends_nothing(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.restarted("a", at_once()), stage.puppet("b"));
    let drops = Count::default();
    let kept = Counted(drops.clone());
    a.tell(run(move |_, ctx| {
        let make = |_: ReplyTo<u64>| -> Keep { panic!("meant") };
        ctx.ask_with(&b, make, LIMIT, move |_: &mut Puppet, _, _| drop(kept));
    }))
    .unwrap();
    drops.reaches(1);
    assert_eq!(a.ask(1).wait(), Ok(2));
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.handled, counters.sent), (1, 2, 2));
}
