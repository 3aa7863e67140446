//! `send_all`, prompt sends, `publish`, and what is held back.

use crate::support::puppet::{Puppet, Token, run};
use crate::support::stage::{Engine, Stage, contract, hold, parallel_contract, threads_contract};
use crate::support::{Count, Gate, eventually};
use cuelight::{ActorRef, Context};

contract! {
    send_all_keeps_its_order,
    send_all_of_nothing,
    send_all_that_is_refused,
    send_all_of_many,
    send_all_whose_iterator_sends,
    sends_that_are_held_go_out_when_the_handler_returns,
    sends_that_are_held_are_refused_with_their_receiver,
    sends_in_drops_go_out,
    sends_to_oneself,
    sends_to_another_system,
}

threads_contract! {
    send_all_stays_together,
}

parallel_contract! {
    the_first_send_goes_out_at_once,
    a_send_elsewhere_publishes,
    a_send_elsewhere_ends_a_row,
    at_most_63_are_held,
    publish_publishes,
    everything_else_publishes,
    an_idle_receiver_gets_all_at_once,
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    let mut wanted = vec!["starts".to_owned()];
    wanted.extend(range.map(|n| format!("gets {n}")));
    wanted
}

fn send_all_keeps_its_order(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    a.tell(0).unwrap();
    assert_eq!(a.send_all(1..50), Ok(49));
    a.tell(50).unwrap();
    assert_eq!(a.recipient().send_all((51..60).collect::<Vec<u64>>()), Ok(9));
    a.tell(60).unwrap();
    stage.log.expect("a", &numbers(0..61));
    stage.end();
}

fn send_all_of_nothing(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    assert_eq!(a.send_all(Vec::<u64>::new()), Ok(0));
    assert_eq!(a.send_all(None::<u64>), Ok(0));
    assert_eq!(stage.counters().sent, 0);
    assert_eq!(stage.end().sent, 0);
}

fn send_all_that_is_refused(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, drops) = (stage.puppet("a"), stage.puppet("b"), Count::default());
    a.stop();
    stage.living(1);
    let error = a.send_all((0..10).map(|n| Token::new(n, &drops)));
    let back = error.unwrap_err().into_messages();
    assert_eq!(back.iter().map(|token| token.0).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert_eq!(drops.get(), 0);
    // What came back can be sent elsewhere.
    assert_eq!(b.send_all(back).unwrap(), 10);
    stage.log.expect("b", &numbers(0..10));
    drops.reaches(10);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.returned), (20, 10, 10));
}

fn send_all_of_many(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let count = 20_000;
    assert_eq!(a.send_all((0..count).map(|n| Token::new(n, &drops))).unwrap(), count as usize);
    drops.reaches(count);
    stage.log.expect("a", &numbers(0..count));
    stage.end();
}

fn send_all_whose_iterator_sends(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let to = b.clone();
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        to.tell(0).unwrap();
        to.tell(1).unwrap();
        let outer = to.clone();
        let inner = |n: u64| {
            outer.tell(100 + n).unwrap();
            n
        };
        to.send_all((2..5).map(inner)).unwrap();
        to.tell(5).unwrap();
    };
    a.tell(run(part)).unwrap();
    // The iterator runs before anything of it is sent.
    let wanted = [0, 1, 102, 103, 104, 2, 3, 4, 5].map(|n| format!("gets {n}"));
    let mut lines = vec!["starts".to_owned()];
    lines.extend(wanted);
    stage.log.expect("b", &lines);
    stage.end();
}

fn send_all_stays_together(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let a = a.clone();
            std::thread::spawn(move || {
                for round in 0..50 {
                    let first = (thread * 50 + round) * 10;
                    assert_eq!(a.send_all(first..first + 10), Ok(10));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    eventually("all come", || stage.log.lines().len() == 2001);
    let got: Vec<u64> =
        stage.log.of("a")[1..].iter().map(|line| line.strip_prefix("gets ").unwrap().parse().unwrap()).collect();
    for batch in got.chunks(10) {
        assert!(batch[0] % 10 == 0 && batch.iter().zip(batch[0]..).all(|(a, b)| *a == b), "{batch:?}");
    }
    stage.end();
}

fn sends_that_are_held_go_out_when_the_handler_returns(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    for round in 0..20 {
        let to = b.clone();
        // Two handlers in one batch.
        let part = |n: u64| {
            let to = to.clone();
            run(move |_: &mut Puppet, _: &mut Context<Puppet>| (n..n + 5).for_each(|n| to.tell(n).unwrap()))
        };
        a.send_all([part(round * 10), part(round * 10 + 5)]).unwrap();
    }
    stage.log.expect("b", &numbers(0..200));
    stage.end();
}

fn sends_that_are_held_are_refused_with_their_receiver(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, drops) = (stage.puppet("a"), stage.puppet("b"), Count::default());
    let (to, seen) = (b.clone(), drops.clone());
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        let mut back = 0;
        for n in 0..50 {
            if n == 25 {
                to.drain();
            }
            back += u64::from(to.tell(Token::new(n, &seen)).is_err());
        }
        assert_eq!(back, 25);
    };
    a.ask(run(part)).wait().unwrap();
    drops.reaches(50);
    stage.log.until("b drops");
    let counters = stage.end();
    assert_eq!((counters.handled, counters.returned, counters.dead_lettered), (26, 25, 0));
}

/// Sends numbers when it is dropped.
struct Testament(ActorRef<Puppet>, u64);

impl Drop for Testament {
    fn drop(&mut self) {
        for n in self.1..self.1 + 3 {
            let _ = self.0.tell(n);
        }
    }
}

impl cuelight::Handler<Testament> for Puppet {
    type Reply = ();

    fn handle(&mut self, _: Testament, _: &mut Context<Self>) {}
}

fn sends_in_drops_go_out(on: Engine) {
    let stage = Stage::new(on);
    let (a, heir) = (stage.puppet("a"), stage.puppet("h"));
    let held = hold(&a);
    a.send_all([Testament(heir.clone(), 0), Testament(heir.clone(), 3)]).unwrap();
    a.tell(Testament(heir.clone(), 6)).unwrap();
    a.stop();
    drop(held);
    stage.log.expect("h", &numbers(0..9));
    // And of a message that is handled.
    let b = stage.puppet("b");
    b.tell(Testament(heir.clone(), 9)).unwrap();
    stage.log.expect("h", &numbers(0..12));
    stage.end();
}

fn sends_to_oneself(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |_: &mut Puppet, ctx: &mut Context<Puppet>| (0..200).for_each(|n| ctx.me().tell(n).unwrap());
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &numbers(0..200));
    stage.end();
}

fn sends_to_another_system(on: Engine) {
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let (a, b) = (stage.puppet("a"), other.puppet("b"));
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| (0..200).for_each(|n| b.tell(n).unwrap());
    a.tell(run(part)).unwrap();
    other.log.expect("b", &numbers(0..200));
    assert_eq!(stage.end().sent, 1);
    assert_eq!(other.end().handled, 200);
}

/// Has `a` send in a handler that does not return, and hands `check` the way out of it.
fn inside(stage: &Stage, sends: impl FnOnce(&mut Context<Puppet>) + Send + 'static, check: impl FnOnce()) {
    let a = stage.puppet("a");
    let (sent, release) = (Gate::default(), Gate::default());
    let (done, wait) = (sent.clone(), release.clone());
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        sends(ctx);
        done.open();
        wait.wait();
    };
    a.tell(run(part)).unwrap();
    sent.wait();
    check();
    release.open();
    a.stop();
}

fn the_first_send_goes_out_at_once(on: Engine) {
    let stage = Stage::new(on);
    let b = stage.puppet("b");
    let to = b.clone();
    inside(&stage, move |_| to.tell(0).unwrap(), || stage.log.expect("b", &numbers(0..1)));
    if on.workers() > 2 {
        // Also to a receiver that is busy.
        let held = hold(&b);
        let to = b.clone();
        let check = || {
            assert_eq!(stage.counters().in_flight(), 1);
            drop(held);
            stage.log.expect("b", &numbers(0..2));
        };
        inside(&stage, move |_| to.tell(1).unwrap(), check);
    }
    stage.end();
}

fn a_send_elsewhere_publishes(on: Engine) {
    let stage = Stage::new(on);
    let (b, c) = (stage.puppet("b"), stage.puppet("c"));
    let to = (b.clone(), c.clone());
    let sends = move |_: &mut Context<Puppet>| {
        (0..10).for_each(|n| to.0.tell(n).unwrap());
        to.1.tell(0).unwrap();
    };
    inside(&stage, sends, || {
        stage.log.expect("b", &numbers(0..10));
        stage.log.expect("c", &numbers(0..1));
    });
    stage.end();
}

fn a_send_elsewhere_ends_a_row(on: Engine) {
    let stage = Stage::new(on);
    let (b, c) = (stage.puppet("b"), stage.puppet("c"));
    stage.log.until("c starts");
    stage.quiet();
    let held = hold(&b);
    let to = (b.clone(), c.clone());
    let sends = move |_: &mut Context<Puppet>| {
        // To the second by its own ways: it is idle, and then it waits to be the next that this worker runs.
        to.1.tell(0).unwrap();
        to.0.tell(0).unwrap();
        to.1.tell(1).unwrap();
        to.0.tell(1).unwrap();
    };
    inside(&stage, sends, || {
        drop(held);
        stage.log.expect("b", &numbers(0..2));
        stage.log.expect("c", &numbers(0..2));
    });
    stage.end();
}

fn at_most_63_are_held(on: Engine) {
    let stage = Stage::new(on);
    let b = stage.puppet("b");
    let to = b.clone();
    let sends = move |_: &mut Context<Puppet>| (0..1000).for_each(|n| to.tell(n).unwrap());
    inside(&stage, sends, || {
        eventually("all but 63 come", || stage.log.of("b").len() > 1000 - 63);
    });
    stage.log.expect("b", &numbers(0..1000));
    stage.end();
}

fn publish_publishes(on: Engine) {
    let stage = Stage::new(on);
    let b = stage.puppet("b");
    let to = b.clone();
    let sends = move |ctx: &mut Context<Puppet>| {
        (0..10).for_each(|n| to.tell(n).unwrap());
        ctx.publish();
        ctx.publish();
    };
    inside(&stage, sends, || stage.log.expect("b", &numbers(0..10)));
    stage.end();
}

fn everything_else_publishes(on: Engine) {
    type Step = fn(&ActorRef<Puppet>, &mut Context<Puppet>);
    let steps: [(&str, Step); 7] = [
        ("ask", |to, _| drop(to.ask(10))),
        ("ask elsewhere", |_, ctx| drop(ctx.me().ask(0))),
        ("send_all", |to, _| assert_eq!(to.send_all([10]), Ok(1))),
        ("wait", |to, _| assert!(to.ask(10).wait().is_err())),
        ("drain", |to, _| to.drain()),
        ("watch", |to, ctx| ctx.watch(to)),
        ("ctx.ask", |to, ctx| {
            ctx.ask(to, 10, crate::support::LIMIT, |_: &mut Puppet, _, _| {});
        }),
    ];
    for (name, step) in steps {
        let stage = Stage::new(on);
        let b = stage.puppet("b");
        let to = b.clone();
        let sends = move |ctx: &mut Context<Puppet>| {
            (0..10).for_each(|n| to.tell(n).unwrap());
            step(&to, ctx);
        };
        inside(&stage, sends, || eventually(name, || stage.log.of("b").len() >= 11));
        assert_eq!(stage.log.of("b")[..11], numbers(0..10));
        stage.end();
    }
}

fn an_idle_receiver_gets_all_at_once(on: Engine) {
    let stage = Stage::new(on);
    let b = stage.puppet("b");
    let (to, log) = (b.clone(), stage.log.clone());
    let sends = move |_: &mut Context<Puppet>| {
        for n in 0..20 {
            to.tell(n).unwrap();
            // What it has got it has handled, and nothing is held once it is idle: the next send shows that.
            let whole = numbers(0..n + 1).len();
            eventually("the receiver handles what it sees", || log.of("b").len() + 63 > whole);
        }
    };
    inside(&stage, sends, || ());
    stage.log.expect("b", &numbers(0..20));
    stage.end();
}
