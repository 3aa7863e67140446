//! Circuit breakers: what opens and closes them, one probe at a time, and their books.

use crate::support::puppet::{Keep, Puppet, run};
use crate::support::restarts::at_once;
use crate::support::stage::{Engine, Stage, contract, threads_contract};
use crate::support::{Count, LIMIT, block_on, eventually, scaled};
use cuelight::{AskError, CircuitBreaker, CircuitConfigError, CircuitError, CircuitOpen, CircuitState, Context};
use std::thread;
use std::time::Duration;

contract! {
    failures_in_a_row_open_it,
    inside_an_actor,
    a_refused_message_comes_back,
    what_is_given_up_counts_neither_way,
    late_outcomes_decide_nothing,
    what_cannot_be_is_named,
    a_restart_gives_the_call_up,
}

threads_contract! {
    many_threads_share_one,
}

const LONG: Duration = Duration::from_secs(3600);

fn breaker(stage: &Stage, failures: u32, reset: Duration) -> CircuitBreaker {
    CircuitBreaker::builder().failures(failures).reset(reset, LONG).build(stage).expect("a breaker")
}

fn failures_in_a_row_open_it(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.restarted("a", at_once());
    let breaker = breaker(&stage, 2, LONG);
    let works = || breaker.call(|| a.ask(1).timeout(LIMIT)).wait();
    let fails = || breaker.call(|| a.ask(run(|_, _| panic!("meant"))).timeout(LIMIT)).wait();
    for _ in 0..3 {
        assert_eq!(fails(), Err(CircuitError::Ask(AskError::Panicked)));
        assert_eq!(works(), Ok(2));
    }
    // By `.await`, too.
    assert_eq!(block_on(breaker.call(|| a.ask(2))), Ok(4));
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert!(fails().is_err() && fails().is_err());
    assert_eq!(breaker.state(), CircuitState::Open);
    let sent = stage.counters().sent;
    let rejected = breaker.call(|| a.ask(1)).wait().expect_err("it is open");
    assert!(matches!(rejected, CircuitError::Open(CircuitOpen { retry_after, .. }) if retry_after <= LONG));
    assert!(matches!(block_on(breaker.call(|| a.ask(1))), Err(CircuitError::Open(_))));
    assert_eq!(stage.counters().sent, sent);
    let counters = breaker.counters();
    assert_eq!((counters.passed, counters.succeeded, counters.failed), (9, 4, 5));
    assert_eq!((counters.rejected, counters.opened, counters.probes, counters.given_up), (2, 1, 0, 0));
    stage.end();
}

fn inside_an_actor(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let breaker = breaker(&stage, 1, LONG);
    b.stop();
    eventually("an end", || b.is_stopped());
    let inside = breaker.clone();
    let ask = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        let then = |this: &mut Puppet, result: Result<u64, _>, _: &mut Context<Puppet>| {
            this.says(format_args!("hears {result:?}"));
        };
        inside.ask(ctx, &b, 1, LIMIT, then).expect("it is closed");
    };
    a.tell(run(ask)).unwrap();
    stage.log.until("a hears Err(Stopped)");
    assert_eq!(breaker.state(), CircuitState::Open);
    stage.end();
}

fn a_refused_message_comes_back(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let (breaker, drops) = (breaker(&stage, 1, LONG), Count::default());
    breaker.admit().expect("it is closed").fail();
    let (inside, me, kept) = (breaker.clone(), a.clone(), crate::support::Counted(drops.clone()));
    let ask = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let then = move |_: &mut Puppet, _: Result<u64, _>, _: &mut Context<Puppet>| drop(kept);
        let open = inside.ask(ctx, &me, 7, LIMIT, then).expect_err("it is open");
        this.says(format_args!("has {} again", open.message));
    };
    a.ask(run(ask)).wait().unwrap();
    stage.log.until("a has 7 again");
    drops.reaches(1);
    let counters = stage.end();
    assert_eq!((counters.sent, breaker.counters().rejected), (1, 1));
}

fn what_is_given_up_counts_neither_way(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let breaker = breaker(&stage, 2, LONG);
    breaker.admit().unwrap().fail();
    drop(breaker.admit().unwrap());
    drop(breaker.call(|| a.ask_with(Keep)));
    let inside = breaker.clone();
    // A worker cannot wait: that says nothing of whom it would have asked.
    let me = a.clone();
    a.ask(run(move |_, _| {
        assert_eq!(inside.call(|| me.ask(1)).wait(), Err(CircuitError::Ask(AskError::WouldDeadlock)));
    }))
    .wait()
    .unwrap();
    assert_eq!((breaker.state(), breaker.counters().given_up), (CircuitState::Closed, 3));
    breaker.admit().unwrap().fail();
    assert_eq!(breaker.state(), CircuitState::Open);
    stage.end();
}

fn late_outcomes_decide_nothing(on: Engine) {
    let stage = Stage::new(on);
    let breaker = breaker(&stage, 1, LONG);
    let early: Vec<_> = (0..4).map(|_| breaker.admit().unwrap()).collect();
    breaker.admit().unwrap().fail();
    let mut early = early.into_iter();
    early.next().unwrap().succeed();
    early.next().unwrap().fail();
    drop(early);
    let counters = breaker.counters();
    assert_eq!((breaker.state(), counters.opened), (CircuitState::Open, 1));
    assert_eq!((counters.passed, counters.succeeded, counters.failed, counters.given_up), (5, 1, 2, 2));
    stage.end();
}

fn what_cannot_be_is_named(on: Engine) {
    let stage = Stage::new(on);
    let second = Duration::from_secs(1);
    for (first, longest) in [(Duration::ZERO, second), (2 * second, second)] {
        let error = CircuitBreaker::builder().reset(first, longest).build(&stage).unwrap_err();
        assert_eq!(error, CircuitConfigError::Reset { first, longest });
    }
    assert!(CircuitBreaker::builder().reset(Duration::MAX, Duration::MAX).failures(u32::MAX).build(&stage).is_ok());
    let forever = CircuitBreaker::builder().reset(Duration::MAX, Duration::MAX).failures(1).build(&stage).unwrap();
    forever.admit().unwrap().fail();
    assert!(forever.admit().unwrap_err().to_string().starts_with("the circuit is open, for another "));
    stage.end();
}

fn a_restart_gives_the_call_up(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.restarted("a", at_once()), stage.puppet("b"));
    let breaker = breaker(&stage, 1, LONG);
    let inside = breaker.clone();
    a.tell(run(move |_, ctx| {
        inside.ask(ctx, &b, 1, LIMIT, |this: &mut Puppet, _, _| this.says("must not")).unwrap();
        panic!("meant");
    }))
    .unwrap();
    eventually("a call given up", || breaker.counters().given_up == 1);
    assert_eq!(breaker.state(), CircuitState::Closed);
    stage.end();
}

fn many_threads_share_one(on: Engine) {
    let stage = Stage::new(on);
    let breaker = breaker(&stage, 3, Duration::from_micros(50));
    let (passed, rejected, each) = (Count::default(), Count::default(), scaled(5_000, 500));
    let threads: Vec<_> = (0..3_u64)
        .map(|thread| {
            let (breaker, passed, rejected) = (breaker.clone(), passed.clone(), rejected.clone());
            thread::spawn(move || {
                for n in 0..each {
                    match breaker.admit() {
                        Ok(permit) => {
                            passed.add(1);
                            match (n + thread) % 5 {
                                0 => drop(permit),
                                1 => permit.succeed(),
                                _ => permit.fail(),
                            }
                        }
                        Err(open) => {
                            assert!(!open.retry_after.is_zero());
                            rejected.add(1);
                        }
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread");
    }
    let counters = breaker.counters();
    assert_eq!((counters.passed, counters.rejected), (passed.get(), rejected.get()));
    assert_eq!(counters.passed, counters.succeeded + counters.failed + counters.given_up, "{counters:?}");
    assert_eq!(counters.passed + counters.rejected, 3 * each);
    assert!(counters.opened > 0 && counters.opened <= counters.failed + counters.probes, "{counters:?}");
    stage.end();
}
