//! Messages that are tried again: how often, in which place, as whose, and what becomes of them in the end.

use crate::support::coins::{Books, Clerk, Clumsy, Coin, Plain, SENDER, clerk, clumsy, clumsy_for, letters};
use crate::support::puppet::{Puppet, run};
use crate::support::restarts::{at_once, never_comes};
use crate::support::stage::{Engine, Stage, contract, hold, threads_contract};
use crate::support::{Count, Gate, LIMIT, Log, Shared, eventually, quiet_panics, scaled};
use DeadLetterReason::{Panicked, Poisoned, Stopped};
use cuelight::{Actor, ActorRef, AskError, Context, DeadLetterReason, Decision, Failure, Handler};
use std::thread;
use std::time::Duration;

contract! {
    until_it_succeeds,
    before_anything_newer,
    poisoned_with_its_payload,
    an_ask_gets_the_answer_that_succeeds,
    an_ask_that_nobody_waits_for_any_more,
    without_a_restart_it_ends,
    a_stop_wins_over_the_next_attempt,
    a_drain_comes_after_it,
    a_supervisor_that_says_no,
    a_limit_that_is_used_up_first,
    a_start_that_panics_is_no_attempt,
    in_one_batch_after_the_other,
    a_storm_of_one_sender,
}

threads_contract! {
    a_storm_of_many_senders,
}

fn until_it_succeeds(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let a = clumsy(&stage, at_once(), 3);
    for (number, bad) in [(1, 0), (2, 3), (3, 1)] {
        // One by one: each is alone in the mailbox.
        a.tell(books.coin(number, bad)).unwrap();
        stage.quiet();
    }
    stage.log.expect("a", &["1.1", "2.1", "2.2", "2.3", "2.4", "3.1", "3.2"]);
    let counters = stage.counters();
    assert_eq!((counters.retries, counters.poisoned, counters.restarts), (4, 0, 4));
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (7, 7, 0));
    assert_eq!(seen.get(), []);
    stage.end();
    books.balance();
}

fn before_anything_newer(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let rule = at_once().backoff(Duration::from_millis(2), Duration::from_millis(2));
    let a = clumsy(&stage, rule, 2);
    let (b, to, coins) = (stage.puppet("b"), a.clone(), books.clone());
    a.tell(books.coin(1, 2)).unwrap();
    a.tell(books.coin(2, 0)).unwrap();
    // From another actor, that fills its slot and its mailbox, all the time.
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        for n in 10..20 {
            to.tell(coins.coin(n, 0)).unwrap();
        }
    };
    let sent = b.ask(run(part));
    a.send_all([books.coin(3, 1), books.coin(4, 0)]).unwrap();
    assert_eq!(a.ask(books.coin(5, 2)).wait(), Ok(10));
    sent.wait().unwrap();
    eventually("all attempts", || stage.log.of("a").len() == 20);
    let lines = stage.log.of("a");
    // Whatever comes after a first attempt of a number that fails is its next one.
    for (number, tries) in [(1, 3), (3, 2), (5, 3)] {
        let first = lines.iter().position(|line| *line == format!("{number}.1")).expect("an attempt");
        for tried in 1..=tries {
            assert_eq!(lines[first + tried - 1], format!("{number}.{tried}"), "{lines:#?}");
        }
    }
    let order = |senders: &[u64]| -> Vec<u64> {
        let numbers = lines.iter().map(|line| line.split('.').next().unwrap().parse().unwrap());
        let mut numbers: Vec<u64> = numbers.filter(|number| senders.contains(number)).collect();
        numbers.dedup();
        numbers
    };
    assert_eq!(order(&[1, 2, 3, 4, 5]), [1, 2, 3, 4, 5]);
    let others: Vec<u64> = (10..20).collect();
    assert_eq!(order(&others), others);
    stage.end();
    books.balance();
}

fn poisoned_with_its_payload(on: Engine) {
    for listens in [true, false] {
        let stage = Stage::new(on);
        let (books, seen) = (Books::default(), Shared::default());
        if listens {
            stage.dead_letters(stage.spawn(Clerk(seen.clone())));
        }
        let a = clumsy(&stage, at_once(), 2);
        a.send_all([books.coin(1, 9), books.coin(2, 0)]).unwrap();
        stage.log.expect("a", &["1.1", "1.2", "1.3", "2.1"]);
        if listens {
            letters(&seen, &[(Poisoned, Some(1))]);
        }
        stage.quiet();
        eventually("restarts", || stage.counters().restarts == 3);
        let counters = stage.end();
        // Three attempts, and the clone that is left; one more message.
        assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (5, 4, 1));
        assert_eq!((counters.retries, counters.poisoned, counters.restarts), (2, 1, 3));
        books.balance();
    }
    assert_eq!(Poisoned.to_string(), "the handler panicked each time");
}

fn an_ask_gets_the_answer_that_succeeds(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let a = clumsy(&stage, at_once(), 2);
    let asks = [(1, 0), (2, 2), (3, 3), (4, 1)].map(|(n, bad)| a.ask(books.coin(n, bad)));
    let replies = asks.map(|ask| ask.timeout(LIMIT).wait());
    assert_eq!(replies, [Ok(2), Ok(4), Err(AskError::Panicked), Ok(8)]);
    letters(&seen, &[(Poisoned, Some(3))]);
    // From inside.
    let (b, heard) = (stage.puppet("b"), Shared::new(Vec::new()));
    for (n, bad) in [(5, 2), (6, 3)] {
        let (a, coin, heard) = (a.clone(), books.coin(n, bad), heard.clone());
        b.tell(run(move |_, ctx| {
            ctx.ask(&a, coin, LIMIT, move |_, reply, _| heard.with(|heard| heard.push(reply)));
        }))
        .unwrap();
    }
    eventually("replies", || heard.with(|heard| heard.len()) == 2);
    assert_eq!(heard.get(), [Ok(10), Err(AskError::Panicked)]);
    letters(&seen, &[(Poisoned, Some(6))]);
    assert_eq!(stage.end().late_replies, 0);
    books.balance();
}

fn an_ask_that_nobody_waits_for_any_more(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let rule = at_once().backoff(Duration::from_millis(5), Duration::from_millis(5));
    // Its second life begins when the gate opens.
    let (clumsy, lives, gate) = (Clumsy::new(&stage.log), Count::default(), Gate::default());
    let open = gate.clone();
    let factory = move || {
        if lives.get() == 1 {
            open.wait();
        }
        lives.add(1);
        clumsy.again()
    };
    let a = stage.actor(factory).restart(rule).retry::<Coin>(2).spawn().unwrap();
    let early = a.ask(books.coin(1, 1));
    stage.log.until("a 1.1");
    // Dropped between two attempts, or before them.
    drop(early);
    drop(a.ask(books.coin(2, 2)));
    drop(a.ask(books.coin(3, 3)));
    gate.open();
    stage.log.until("a 3.3");
    stage.quiet();
    assert_eq!(a.ask(books.coin(4, 0)).wait(), Ok(8));
    let counters = stage.end();
    assert_eq!((counters.late_replies, counters.poisoned), (2, 1));
    books.balance();
}

fn without_a_restart_it_ends(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let factory = Clumsy::new(&stage.log).factory();
    let a = stage.actor(factory).retry::<Coin>(5).spawn().unwrap();
    a.send_all([books.coin(1, 0), books.coin(2, 1), books.coin(3, 0)]).unwrap();
    stage.log.expect("a", &["1.1", "2.1", "stops: panicked: meant: 2.1"]);
    letters(&seen, &[(Panicked, Some(2)), (Stopped, Some(3))]);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (4, 2, 2));
    assert_eq!((counters.retries, counters.poisoned), (0, 0));
    books.balance();
}

/// An actor that waits for its next attempt at 1, with 2 queued, and the ask that brought 1.
fn suspended(stage: &Stage, books: &Books) -> (ActorRef<Clumsy>, cuelight::Ask<u64>) {
    let a = clumsy(stage, never_comes(), 5);
    let ask = a.ask(books.coin(1, 1));
    stage.log.until("a 1.1");
    a.tell(books.coin(2, 0)).unwrap();
    (a, ask)
}

fn a_stop_wins_over_the_next_attempt(on: Engine) {
    let ends: [fn(&Stage, &ActorRef<Clumsy>); 2] = [
        |_, a| a.stop(),
        |stage, _| {
            stage.system.shutdown(LIMIT).expect("a shutdown");
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let stage = Stage::new(on);
        let (books, seen) = (Books::default(), clerk(&stage));
        let (a, ask) = suspended(&stage, &books);
        end(&stage, &a);
        assert_eq!(ask.wait(), Err(AskError::Panicked));
        if index == 0 {
            letters(&seen, &[(Panicked, Some(1)), (Stopped, Some(2))]);
        }
        let counters = stage.end();
        assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (3, 1, 2));
        assert_eq!((counters.retries, counters.poisoned), (0, 0));
        books.balance();
    }
}

fn a_drain_comes_after_it(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let rule = at_once().backoff(Duration::from_millis(5), Duration::from_millis(5));
    let a = clumsy(&stage, rule, 2);
    let held = Books::default();
    a.send_all([books.coin(1, 2), books.coin(2, 3), held.coin(3, 1)]).unwrap();
    a.drain();
    stage.log.until("a stops: drained");
    stage.log.expect("a", &["1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "3.1", "3.2", "stops: drained"]);
    letters(&seen, &[(Poisoned, Some(2))]);
    stage.end();
    books.balance();
    held.balance();
}

/// A parent that answers each failure.
struct Strict(Decision);

impl Actor for Strict {
    fn child_failed(&mut self, _: &Failure, _: &mut Context<Self>) -> Decision {
        self.0
    }
}

impl Handler<Log> for Strict {
    type Reply = ActorRef<Clumsy>;

    fn handle(&mut self, log: Log, ctx: &mut Context<Self>) -> ActorRef<Clumsy> {
        let child = ctx.actor(Clumsy::new(&log).factory()).restart(at_once()).retry::<Coin>(5);
        child.spawn().expect("a child")
    }
}

fn a_supervisor_that_says_no(on: Engine) {
    for decision in [Decision::Stop, Decision::Escalate] {
        let stage = Stage::new(on);
        let (books, seen) = (Books::default(), clerk(&stage));
        // It stays above an escalation, which would stop the system.
        let above = stage.spawn(Strict(Decision::Stop));
        let strict = above.ask(decision).wait().unwrap();
        let a = strict.ask(stage.log.clone()).wait().unwrap();
        let ask = a.ask(books.coin(1, 1));
        assert_eq!(ask.timeout(LIMIT).wait(), Err(AskError::Panicked), "{decision:?}");
        letters(&seen, &[(Panicked, Some(1))]);
        stage.log.until("a stops: panicked: meant: 1.1");
        stage.end();
        books.balance();
    }
}

impl Handler<Decision> for Strict {
    type Reply = ActorRef<Strict>;

    fn handle(&mut self, decision: Decision, ctx: &mut Context<Self>) -> ActorRef<Strict> {
        ctx.spawn(Strict(decision))
    }
}

fn a_limit_that_is_used_up_first(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let a = clumsy(&stage, at_once().limit(2, LIMIT), 5);
    let ask = a.ask(books.coin(1, 9));
    assert_eq!(ask.wait(), Err(AskError::Panicked));
    stage.living(0);
    stage.log.expect("a", &["1.1", "1.2", "1.3", "stops: panicked: meant: 1.3"]);
    assert_eq!(stage.failure().map(|failure| failure.restarts), Some(2));
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (4, 3, 1));
    assert_eq!((counters.retries, counters.poisoned), (2, 0));
    books.balance();
}

fn a_start_that_panics_is_no_attempt(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let actor = Clumsy::new(&stage.log);
    let bad_starts = actor.bad_starts.clone();
    let a = stage.actor(actor.factory()).restart(at_once()).retry::<Coin>(1).spawn().unwrap();
    assert_eq!(a.ask(books.coin(1, 0)).wait(), Ok(2));
    bad_starts.with(|bad| *bad = 3);
    assert_eq!(a.ask(books.coin(2, 1)).wait(), Ok(4));
    stage.log.expect("a", &["1.1", "2.1", "2.2"]);
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.retries), (4, 1));
    books.balance();
}

fn in_one_batch_after_the_other(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let a = clumsy(&stage, at_once(), 3);
    let (b, to, coins) = (stage.puppet("b"), a.clone(), books.clone());
    let held = hold(&b);
    let count = scaled(500, 50);
    // All at once, from an actor: by the slot, the chain and the mailbox.
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        for n in 0..count {
            to.tell(coins.coin(n, (n % 4) as u32)).unwrap();
        }
    };
    b.tell(run(part)).unwrap();
    drop(held);
    let wanted: Vec<String> =
        (0..count).flat_map(|n| (1..=n % 4 + 1).map(move |tried| format!("{n}.{tried}"))).collect();
    // Not `quiet`: between an attempt that fails and the next one nothing is in flight.
    stage.log.expect("a", &wanted);
    stage.end();
    books.balance();
}

fn a_storm_of_one_sender(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let waits = Duration::from_micros(100);
    for rule in [at_once(), at_once().backoff(waits, 4 * waits)] {
        let a = clumsy(&stage, rule, 2);
        let (each, mut asks) = (scaled(200, 40), Vec::new());
        for n in 0..each {
            let coin = books.coin(n, (n % 5) as u32);
            match n % 3 {
                0 => a.tell(coin).unwrap(),
                1 => asks.push((n, a.ask(coin))),
                _ => drop(a.send_all([coin]).unwrap()),
            }
            if n == each / 2 {
                fail_plainly(&a, &books);
            }
        }
        for (n, ask) in asks {
            let wanted = if n % 5 > 2 { Err(AskError::Panicked) } else { Ok(2 * n) };
            assert_eq!(ask.timeout(LIMIT).wait(), wanted, "{n}");
        }
        a.drain();
        eventually("an end", || stage.counters().live_actors == 1);
        let poisoned: Vec<u64> = (0..each).filter(|n| n % 5 > 2).collect();
        eventually("letters", || seen.with(|seen| seen.len()) > poisoned.len());
        let mut heard = seen.with(std::mem::take);
        heard.retain(|&(reason, _)| reason != Panicked);
        assert_eq!(heard, poisoned.iter().map(|&n| (Poisoned, Some(n))).collect::<Vec<_>>());
        let counters = stage.counters();
        assert_eq!(counters.sent, counters.handled + counters.dead_lettered, "{counters}");
    }
    stage.end();
    books.balance();
}

/// A panic that is not tried again, among those that are.
fn fail_plainly(a: &ActorRef<Clumsy>, books: &Books) {
    a.tell(Plain(books.coin(SENDER, u32::MAX))).unwrap();
}

fn a_storm_of_many_senders(on: Engine) {
    quiet_panics();
    for round in 0..scaled(6, 2) {
        let stage = Stage::new(on);
        let books = Books::default();
        let waits = Duration::from_micros(50);
        let rules = [at_once(), at_once().backoff(waits, 4 * waits), never_comes()];
        let logs = [(); 3].map(|()| Log::default());
        let mut places = logs.iter();
        let actors: Vec<_> = rules.map(|rule| clumsy_for(&stage, places.next().unwrap(), rule, 2)).into();
        let stop = Gate::default();
        let senders: Vec<_> = (0..3_u64)
            .map(|sender| {
                let (actors, books, stop) = (actors.clone(), books.clone(), stop.clone());
                thread::spawn(move || {
                    let mut refused = 0;
                    for n in 0..scaled(600, 60) {
                        let (to, number) = (&actors[(n % 3) as usize], sender * SENDER + n);
                        let coin = books.coin(number, (n / 3 % 4) as u32);
                        refused += u64::from(match n % 2 {
                            0 => to.tell(coin).is_err(),
                            _ => {
                                drop(to.ask(coin));
                                false
                            }
                        });
                        if n == 300 && sender == round % 3 {
                            stop.open();
                        }
                    }
                    stop.open();
                    refused
                })
            })
            .collect();
        stop.wait();
        match round % 3 {
            0 => actors.iter().for_each(ActorRef::stop),
            1 => actors.iter().for_each(ActorRef::drain),
            _ => {}
        }
        let refused: u64 = senders.into_iter().map(|sender| sender.join().expect("it does not panic")).sum();
        actors[2].stop();
        if round % 3 == 2 {
            actors.iter().for_each(ActorRef::drain);
        }
        stage.living(0);
        let counters = stage.end();
        assert_eq!(counters.returned, refused);
        for log in &logs {
            in_order(&log.of("a"));
        }
        books.balance();
    }
}

/// Each sender's numbers came in order, and the attempts at each in a row.
fn in_order(lines: &[String]) {
    let attempt = |line: &String| -> Option<(u64, u32)> {
        let (number, tried) = line.split_once('.')?;
        Some((number.parse().ok()?, tried.parse().ok()?))
    };
    let attempts: Vec<(u64, u32)> = lines.iter().filter_map(attempt).collect();
    let mut last = [None; 3];
    for (index, &(number, tried)) in attempts.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| attempts[before]);
        assert!(tried == 1 || before == Some((number, tried - 1)), "{number}.{tried} after {before:?}");
        let last = &mut last[(number / SENDER) as usize];
        assert!(tried > 1 || *last < Some(number), "{number} after {last:?}");
        *last = Some(number);
    }
}
