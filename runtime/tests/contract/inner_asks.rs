//! Asks from inside a handler: the continuation is a message.

use crate::support::puppet::{Puppet, Token, run};
use crate::support::stage::{Engine, Stage, contract, end, hold, threads_contract};
use crate::support::{Count, Gate, LIMIT, Shared, eventually, scaled};
use cuelight::{Actor, ActorRef, AskError, Context};
use std::time::{Duration, Instant};

contract! {
    are_answered,
    stand_between_other_messages,
    of_oneself,
    of_an_actor_that_has_stopped,
    of_an_actor_that_stops,
    of_an_actor_that_panics,
    time_out,
    of_an_actor_that_drains,
    run_once_each,
    with_large_and_aligned_continuations,
    in_a_chain,
    in_the_first_hook,
    across_systems,
    across_systems_that_end,
    see_the_state_and_the_context,
}

threads_contract! {
    time_out_while_all_is_quiet,
    of_no_time_and_of_all_time,
    of_an_actor_that_has_gone_before_the_reply,
}

type Ctx = Context<Puppet>;

/// Has `a` ask `b` for a number, and say what comes.
fn ask(a: &ActorRef<Puppet>, b: &ActorRef<Puppet>, number: u64, timeout: Duration) {
    let b = b.clone();
    let part = move |_: &mut Puppet, ctx: &mut Ctx| {
        ctx.ask(&b, number, timeout, |this: &mut Puppet, result, _| this.says(format_args!("hears {result:?}")));
    };
    a.tell(run(part)).unwrap();
}

fn are_answered(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    ask(&a, &b, 21, LIMIT);
    stage.log.expect("a", &["starts", "hears Ok(42)"]);
    let counters = stage.end();
    // What it was told, the request, the continuation.
    assert_eq!((counters.sent, counters.handled, counters.late_replies), (3, 3, 0));
}

fn stand_between_other_messages(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let to = b.clone();
    let part = move |this: &mut Puppet, ctx: &mut Ctx| {
        ctx.ask(&to, 1, LIMIT, |this: &mut Puppet, _, _| this.says("hears"));
        // One at a time: the continuation never comes into the middle of a handler.
        let wait = Gate::default();
        let open = wait.clone();
        if this.name == "a" {
            to.tell(run(move |_, _| open.open())).unwrap();
            ctx.publish();
        }
        let begin = Instant::now();
        while !wait.is_open() && begin.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        this.says("ends");
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "ends", "hears"]);
    stage.end();
}

fn of_oneself(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    ask(&a, &a, 3, LIMIT);
    stage.log.expect("a", &["starts", "gets 3", "hears Ok(6)"]);
    stage.end();
}

fn of_an_actor_that_has_stopped(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    b.stop();
    stage.living(1);
    ask(&a, &b, 3, LIMIT);
    stage.log.expect("a", &["starts", "hears Err(Stopped)"]);
    assert_eq!(stage.end().dead_lettered, 1);
}

fn of_an_actor_that_stops(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let (to, again) = (b.clone(), b.clone());
    let part = move |_: &mut Puppet, ctx: &mut Ctx| {
        to.tell(run(|_, ctx| ctx.stop())).unwrap();
        for n in 0..3 {
            ctx.ask(&again, n, LIMIT, |this: &mut Puppet, result, _| this.says(format_args!("hears {result:?}")));
        }
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "hears Err(Stopped)", "hears Err(Stopped)", "hears Err(Stopped)"]);
    stage.end();
}

fn of_an_actor_that_panics(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let part = move |_: &mut Puppet, ctx: &mut Ctx| {
        let bad = run(|_, _| panic!("meant"));
        ctx.ask(&b, bad, LIMIT, |this: &mut Puppet, result, _| this.says(format_args!("hears {result:?}")));
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "hears Err(Panicked)"]);
    stage.end();
}

fn time_out(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    if on.workers() > 1 {
        let held = hold(&b);
        ask(&a, &b, 3, Duration::from_millis(5));
        stage.log.expect("a", &["starts", "hears Err(Timeout)"]);
        drop(held);
    } else {
        // The only worker is held until the time is up: both are there then, and either may be first.
        ask(&a, &b, 3, Duration::from_millis(1));
        let held = hold(&b);
        drop(held);
        stage.log.until("b gets 3");
        eventually("an outcome", || stage.log.of("a").len() == 2);
        let heard = stage.log.of("a").remove(1);
        assert!(["hears Err(Timeout)", "hears Ok(6)"].contains(&heard.as_str()), "{heard}");
    }
    stage.log.until("b gets 3");
    stage.quiet();
    // A late reply goes nowhere.
    ask(&a, &b, 4, LIMIT);
    stage.log.until("a hears Ok(8)");
    assert_eq!(stage.log.of("a").len(), 3);
    let late = u64::from(stage.log.of("a").contains(&"hears Err(Timeout)".to_owned()));
    assert_eq!(stage.end().late_replies, late);
}

fn time_out_while_all_is_quiet(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    // Whoever does not answer is busy, and would take one of our workers.
    let other = Stage::new(Engine::threads(1));
    let far = other.puppet("far");
    let held = hold(&far);
    ask(&a, &far, 1, Duration::from_millis(30));
    stage.log.expect("a", &["starts", "hears Err(Timeout)"]);
    // Many, at different times; none early.
    let (done, early) = (Count::default(), Count::default());
    for n in 0..100 {
        let (far, done, early) = (far.clone(), done.clone(), early.clone());
        let part = move |_: &mut Puppet, ctx: &mut Ctx| {
            let time = Duration::from_micros(n * 317);
            let begin = ctx.now();
            ctx.ask(&far, 1, time, move |_: &mut Puppet, result, ctx: &mut Ctx| {
                assert_eq!(result, Err(AskError::Timeout));
                if ctx.now() < begin + time {
                    early.add(1);
                }
                done.add(1);
            });
        };
        a.tell(run(part)).unwrap();
    }
    done.reaches(100);
    assert_eq!(early.get(), 0);
    drop(held);
    other.end();
    stage.end();
}

fn of_no_time_and_of_all_time(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let other = Stage::new(Engine::threads(1));
    let far = other.puppet("far");
    let held = hold(&far);
    ask(&a, &far, 1, Duration::ZERO);
    stage.log.expect("a", &["starts", "hears Err(Timeout)"]);
    ask(&a, &far, 2, Duration::from_nanos(1));
    stage.log.expect("a", &["starts", "hears Err(Timeout)", "hears Err(Timeout)"]);
    ask(&a, &far, 3, Duration::MAX);
    drop(held);
    stage.log.until("a hears Ok(6)");
    other.end();
    stage.end();
}

fn of_an_actor_that_has_gone_before_the_reply(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, drops) = (stage.puppet("a"), stage.puppet("b"), Count::default());
    let other = Stage::new(Engine::threads(1));
    let far = other.puppet("far");
    let held = hold(&far);
    // The asker ends before the reply comes: its continuation is never run, and dropped.
    let (token, to) = (Token::new(0, &drops), far.clone());
    let part = move |_: &mut Puppet, ctx: &mut Ctx| {
        ctx.ask(&to, 1, LIMIT, move |this: &mut Puppet, _, _| this.says(format_args!("must not {token:?}")));
        ctx.stop();
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    assert_eq!(drops.get(), 0);
    drop(held);
    drops.reaches(1);
    // Its timer has gone with it: what would have come of that makes no difference.
    let held = hold(&far);
    let (token, to) = (Token::new(1, &drops), far.clone());
    let part = move |_: &mut Puppet, ctx: &mut Ctx| {
        ctx.ask(&to, 1, Duration::from_millis(3), move |_: &mut Puppet, _, _| panic!("must not {token:?}"));
        ctx.stop();
    };
    b.tell(run(part)).unwrap();
    stage.living(0);
    drop(held);
    drops.reaches(2);
    other.end();
    // Each was told to ask; the requests belong to the other system; the continuations are lost.
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (4, 2, 2));
}

fn of_an_actor_that_drains(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let part = move |_: &mut Puppet, ctx: &mut Ctx| {
        ctx.ask(&b, 1, LIMIT, |this: &mut Puppet, _, _| this.says("must not"));
        ctx.drain();
    };
    a.tell(run(part)).unwrap();
    // The continuation would come after the close.
    stage.log.expect("a", &["starts", "stops: drained", "drops"]);
    stage.quiet();
    let counters = stage.end();
    assert_eq!((counters.handled, counters.dead_lettered), (2, 1));
}

fn run_once_each(on: Engine) {
    let stage = Stage::new(on);
    let (askers, done, timeouts) = (10, Count::default(), Count::default());
    let targets: Vec<_> = (0..5).map(|_| stage.puppet("t")).collect();
    let each = scaled(500, 20);
    for _ in 0..askers {
        let (targets, done, timeouts) = (targets.clone(), done.clone(), timeouts.clone());
        let part = move |_: &mut Puppet, ctx: &mut Ctx| {
            for n in 0..each {
                let (done, timeouts) = (done.clone(), timeouts.clone());
                // Replies and timeouts race.
                let time = if n % 3 == 0 { Duration::from_micros(n) } else { LIMIT };
                ctx.ask(&targets[n as usize % 5], n, time, move |_: &mut Puppet, result, _| {
                    match result {
                        Ok(reply) => assert_eq!(reply, 2 * n),
                        Err(error) => {
                            assert!(error == AskError::Timeout && n % 3 == 0);
                            timeouts.add(1);
                        }
                    }
                    done.add(1);
                });
            }
        };
        stage.puppet("a").tell(run(part)).unwrap();
    }
    done.reaches(askers * each);
    stage.quiet();
    let counters = stage.end();
    assert!(counters.late_replies <= timeouts.get(), "{counters}");
    assert_eq!(counters.handled, askers + 2 * askers * each);
}

#[derive(Clone, Copy)]
#[repr(align(128))]
struct Wide([u64; 40]);

fn with_large_and_aligned_continuations(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, drops) = (stage.puppet("a"), stage.puppet("b"), Count::default());
    let (wide, token, to) = (Wide([7; 40]), Token::new(1, &drops), b.clone());
    let part = move |_: &mut Puppet, ctx: &mut Ctx| {
        ctx.ask(&to, 1, LIMIT, move |this: &mut Puppet, result, _| {
            // All of it, not only the fields that are used.
            let (wide, token) = (&wide, token);
            assert!(std::ptr::from_ref(wide).addr() % 128 == 0 && wide.0 == [7; 40]);
            this.says(format_args!("hears {result:?} and has {}", token.0));
        });
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "hears Ok(2) and has 1"]);
    drops.reaches(1);
    // Sizes around what lies in the node.
    let sizes = Count::default();
    let to = b.clone();
    let seen = sizes.clone();
    let part = move |_: &mut Puppet, ctx: &mut Ctx| {
        let (one, two, three, four) = ([1_u8; 55], [2_u8; 56], [3_u8; 57], [4_u8; 300]);
        let counts = [seen.clone(), seen.clone(), seen.clone(), seen];
        let [a, b, c, d] = counts;
        ctx.ask(&to, 1, LIMIT, move |_: &mut Puppet, _, _| a.add(one.iter().map(|&byte| u64::from(byte)).sum()));
        ctx.ask(&to, 1, LIMIT, move |_: &mut Puppet, _, _| b.add(two.iter().map(|&byte| u64::from(byte)).sum()));
        ctx.ask(&to, 1, LIMIT, move |_: &mut Puppet, _, _| c.add(three.iter().map(|&byte| u64::from(byte)).sum()));
        ctx.ask(&to, 1, LIMIT, move |_: &mut Puppet, _, _| d.add(four.iter().map(|&byte| u64::from(byte)).sum()));
    };
    a.tell(run(part)).unwrap();
    sizes.reaches(55 + 2 * 56 + 3 * 57 + 4 * 300);
    stage.end();
}

fn in_a_chain(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    fn next(left: u64, to: ActorRef<Puppet>, done: Gate, ctx: &mut Ctx) {
        if left == 0 {
            return done.open();
        }
        let again = to.clone();
        ctx.ask(&to, left, LIMIT, move |_: &mut Puppet, result, ctx: &mut Ctx| {
            assert_eq!(result, Ok(2 * left));
            next(left - 1, again, done, ctx);
        });
    }
    let done = Gate::default();
    let opens = done.clone();
    a.tell(run(move |_, ctx| next(1000, b, opens, ctx))).unwrap();
    done.wait();
    stage.end();
}

/// Asks before it does anything else.
struct Eager(ActorRef<Puppet>, Shared<Option<Result<u64, AskError>>>);

impl Actor for Eager {
    fn started(&mut self, ctx: &mut Context<Self>) {
        let target = self.0.clone();
        ctx.ask(&target, 4, LIMIT, |this: &mut Self, result, _| this.1.with(|place| *place = Some(result)));
    }
}

fn in_the_first_hook(on: Engine) {
    let stage = Stage::new(on);
    let (b, place) = (stage.puppet("b"), Shared::new(None));
    stage.spawn(Eager(b, place.clone()));
    eventually("an answer", || place.get() == Some(Ok(8)));
    stage.end();
}

fn across_systems(on: Engine) {
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let (a, b) = (stage.puppet("a"), other.puppet("b"));
    for n in 0..50 {
        ask(&a, &b, n, LIMIT);
        stage.log.until(&format!("a hears Ok({})", 2 * n));
    }
    assert_eq!(other.end().handled, 50);
    ask(&a, &b, 99, LIMIT);
    stage.log.until("a hears Err(Stopped)");
    assert_eq!(stage.end().handled, 102);
}

fn across_systems_that_end(on: Engine) {
    let (stage, other, drops) = (Stage::new(on), Stage::new(on), Count::default());
    let (a, b) = (stage.puppet("a"), other.puppet("b"));
    let held = hold(&b);
    for n in 0..10 {
        let (to, token) = (b.clone(), Token::new(n, &drops));
        let part = move |_: &mut Puppet, ctx: &mut Ctx| {
            ctx.ask(&to, 1, Duration::MAX, move |_: &mut Puppet, _, _| panic!("must not {token:?}"));
        };
        a.ask(run(part)).wait().unwrap();
    }
    // The asker's system ends first, with ten asks on their way.
    end(&stage.system);
    drop(held);
    // Now the replies come, and nobody is there.
    other.end();
    drops.reaches(10);
    let counters = stage.system.counters();
    assert_eq!(counters.in_flight(), 0, "{counters}");
}

fn see_the_state_and_the_context(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let part = move |_: &mut Puppet, ctx: &mut Ctx| {
        ctx.ask(&b, 1, LIMIT, |this: &mut Puppet, _, ctx: &mut Ctx| {
            this.replies.clear();
            let child = ctx.spawn(this.other("c"));
            child.tell(7).unwrap();
            ctx.me().tell(8).unwrap();
            ctx.drain();
        });
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("c", &["starts", "gets 7", "stops: drained", "drops"]);
    stage.log.expect("a", &["starts", "gets 8", "stops: drained", "drops"]);
    stage.end();
}
