//! Bounded mailboxes over panics, restarts and ends.

use super::bounds::{ALL, gets};
use crate::support::coins::{Books, Clumsy, Coin, clerk};
use crate::support::puppet::{Puppet, Token, run};
use crate::support::restarts::{at_once, fail, never_comes};
use crate::support::stage::{Engine, Stage, contract, hold};
use crate::support::{Count, eventually};
use cuelight::{AskError, DeadLetterReason, Mailbox, Overflow, TellError};
use std::time::Duration;

contract! {
    panics_give_credits_back,
    restarts_keep_mailbox_and_credits,
    oldest_are_dropped_of_one_that_waits_to_be_restarted,
    a_stop_gives_credits_back,
    a_drain_handles_what_waits,
    a_stop_during_a_drain_buries_what_waits,
    what_is_tried_again_has_no_credit,
    what_waits_to_be_tried_again_is_not_displaced,
}

fn panics_give_credits_back(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let log = stage.log.clone();
        let a = stage
            .actor(move || Puppet::new("a", &log))
            .mailbox(Mailbox::bounded(2, overflow))
            .restart(at_once())
            .spawn()
            .unwrap();
        for n in 0..20 {
            fail(&a);
            assert_eq!(a.ask(n).wait(), Ok(2 * n));
        }
        stage.quiet();
        let held = hold(&a);
        assert_eq!(a.send_all([1, 2]), Ok(2));
        assert_eq!(a.tell(3).is_err(), overflow == Overflow::Reject);
        drop(held);
        stage.end();
    }
}

fn restarts_keep_mailbox_and_credits(on: Engine) {
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let slowly = at_once().backoff(Duration::from_millis(5), Duration::from_millis(5));
    let mailbox = Mailbox::bounded(4, Overflow::Reject);
    let a = stage.actor(move || Puppet::new("a", &log)).mailbox(mailbox).restart(slowly).spawn().unwrap();
    let held = hold(&a);
    fail(&a);
    assert_eq!(a.send_all(0..3), Ok(3));
    assert_eq!(a.tell(3), Err(TellError::Full(3)));
    drop(held);
    stage.log.until("a gets 2");
    assert_eq!(stage.log.of("a"), ["starts", "drops", "starts", "gets 0", "gets 1", "gets 2"]);
    stage.quiet();
    let held = hold(&a);
    assert_eq!(a.send_all(4..8), Ok(4));
    assert_eq!(a.tell(8), Err(TellError::Full(8)));
    drop(held);
    stage.log.until("a gets 7");
    stage.end();
}

fn oldest_are_dropped_of_one_that_waits_to_be_restarted(on: Engine) {
    for drain in [false, true] {
        let stage = Stage::new(on);
        let log = stage.log.clone();
        let mailbox = Mailbox::bounded(3, Overflow::DropOldest);
        let a = stage.actor(move || Puppet::new("a", &log)).mailbox(mailbox).restart(never_comes()).spawn().unwrap();
        fail(&a);
        stage.log.until("a drops");
        (0..10).for_each(|n| a.tell(n).unwrap());
        if drain {
            a.drain();
            assert!(a.tell(10).is_err());
        }
        let asked = a.ask(11);
        a.stop();
        assert_eq!(asked.wait(), Err(AskError::Stopped));
        stage.living(0);
        assert_eq!(stage.log.of("a"), ["starts", "drops"]);
        let counters = stage.end();
        assert_eq!(counters.dead_lettered, 11);
    }
}

fn a_stop_gives_credits_back(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let (a, drops) = (stage.bounded("a", 5, overflow), Count::default());
        let held = hold(&a);
        for n in 0..5 {
            a.tell(Token::new(n, &drops)).unwrap();
        }
        let asked = a.ask(5);
        a.stop();
        drop(held);
        assert!(asked.wait().is_err());
        drops.reaches(5);
        stage.end();
    }
}

fn a_drain_handles_what_waits(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 5, overflow);
        let held = hold(&a);
        (0..5).for_each(|n| a.tell(n).unwrap());
        if overflow != Overflow::Reject {
            a.tell(5).unwrap();
        }
        a.drain();
        assert_eq!(a.tell(6), Err(TellError::Stopped(6)));
        drop(held);
        let first = u64::from(overflow == Overflow::DropOldest);
        let mut wanted = gets(first..first + 5);
        wanted.extend(["stops: drained".to_owned(), "drops".to_owned()]);
        stage.log.expect("a", &wanted);
        stage.end();
    }
}

fn a_stop_during_a_drain_buries_what_waits(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 5, overflow);
        let held = hold(&a);
        a.tell(run(|_, ctx| ctx.stop())).unwrap();
        (0..4).for_each(|n| a.tell(n).unwrap());
        a.drain();
        drop(held);
        stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
        assert_eq!(stage.end().dead_lettered, 4);
    }
}

fn what_is_tried_again_has_no_credit(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let books = Books::default();
        let builder = stage.actor(Clumsy::new(&stage.log).factory()).restart(at_once()).retry::<Coin>(2);
        let a = builder.mailbox(Mailbox::bounded(2, overflow)).spawn().unwrap();
        for number in 1..10 {
            a.tell(books.coin(number, 2)).unwrap();
            stage.quiet();
            assert_eq!(a.ask(books.coin(100 + number, 1)).wait(), Ok(2 * (100 + number)));
            a.tell(books.coin(200 + number, 9)).unwrap();
            stage.quiet();
        }
        eventually("restarts", || stage.counters().restarts == 9 * (2 + 1 + 3));
        if let Engine::Simulated { .. } = on {
            // There is room for as many as in the beginning.
            assert_eq!(a.send_all([books.coin(300, 0), books.coin(301, 0)]).unwrap(), 2);
            assert_eq!(a.tell(books.coin(302, 0)).is_err(), overflow == Overflow::Reject);
        }
        let counters = stage.end();
        assert_eq!((counters.retries, counters.poisoned), (9 * (2 + 1 + 2), 9));
        books.balance();
    }
}

fn what_waits_to_be_tried_again_is_not_displaced(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let builder = stage.actor(Clumsy::new(&stage.log).factory()).restart(never_comes()).retry::<Coin>(2);
    let a = builder.mailbox(Mailbox::bounded(2, Overflow::DropOldest)).spawn().unwrap();
    a.tell(books.coin(1, 9)).unwrap();
    stage.log.until("a 1.1");
    eventually("it waits", || stage.counters().in_flight() == 1);
    for number in 2..8 {
        a.tell(books.coin(number, 0)).unwrap();
    }
    a.stop();
    eventually("letters", || seen.with(|seen| seen.len()) == 7);
    let mut wanted: Vec<_> = (2..6).map(|n| (DeadLetterReason::Full, Some(n))).collect();
    wanted.push((DeadLetterReason::Panicked, Some(1)));
    wanted.extend([6, 7].map(|n| (DeadLetterReason::Stopped, Some(n))));
    assert_eq!(seen.get(), wanted);
    stage.end();
    books.balance();
}
