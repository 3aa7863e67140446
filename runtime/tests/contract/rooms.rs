//! Waiting for room in a bounded mailbox: threads and futures.

use super::bounds::ALL;
use crate::support::puppet::{ENDS, Puppet, Token, run};
use crate::support::restarts::{at_once, fail, never_comes};
use crate::support::stage::{Engine, Stage, contract, hold, parallel_contract, threads_contract};
use crate::support::{Count, Counted, Gate, LIMIT, Shared, block_on, eventually, scaled};
use cuelight::{ActorRef, Context, Mailbox, Overflow, Tell, TellError, TellTimeoutError};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

contract! {
    a_thread_waits_for_room,
    a_thread_waits_in_vain,
    a_thread_that_need_not_wait,
    a_worker_does_not_wait,
    a_thread_that_waits_learns_of_the_end,
    futures_wait_for_room,
    futures_have_their_turns_in_order,
    nobody_overtakes_one_who_waits,
    a_future_that_is_dropped_makes_way,
    a_future_that_was_granted_a_credit_gives_it_back,
    the_end_wakes_all,
    a_drain_wakes_all,
    a_future_is_polled_with_another_waker,
    a_future_that_is_polled_too_often,
    wakers_that_panic,
    wakers_that_panic_when_dropped,
    one_that_waits_to_be_restarted_has_waiters,
}

threads_contract! {
    threads_wait_in_turns,
    many_wait_while_it_ends,
}

parallel_contract! {
    a_waiting_thread_is_woken_by_the_handler,
}

/// Counts its wake-ups.
struct Alarm(Count);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.add(1);
    }
}

fn alarm() -> (Waker, Count) {
    let count = Count::default();
    (Waker::from(Arc::new(Alarm(count.clone()))), count)
}

fn poll<M: Send + 'static>(tell: &mut Tell<M>, waker: &Waker) -> Poll<Result<(), TellError<M>>> {
    Pin::new(tell).poll(&mut Task::from_waker(waker))
}

/// A puppet whose only place is taken, and that handles nothing until the result is dropped.
pub(crate) fn full(stage: &Stage, overflow: Overflow) -> (ActorRef<Puppet>, crate::support::stage::Hold) {
    let a = stage.bounded("a", 1, overflow);
    let held = hold(&a);
    a.tell(0).unwrap();
    (a, held)
}

fn a_thread_waits_for_room(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let (a, held) = full(&stage, overflow);
        drop(held);
        for n in 1..50 {
            // It waits also where a `tell` would drop something.
            a.tell_timeout(n, LIMIT).unwrap();
            a.recipient().tell_timeout(100 + n, LIMIT).unwrap();
        }
        eventually("all come", || stage.log.of("a").len() == 1 + 99);
        let counters = stage.end();
        assert_eq!((counters.returned, counters.dead_lettered), (0, 0));
    }
}

fn a_thread_waits_in_vain(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 1, overflow);
        let drops = Count::default();
        if let Engine::Simulated { .. } = on {
            // One whose messages wait for a restart.
            let log = stage.log.clone();
            let mailbox = Mailbox::bounded(1, overflow);
            let a =
                stage.actor(move || Puppet::new("b", &log)).mailbox(mailbox).restart(never_comes()).spawn().unwrap();
            fail(&a);
            stage.log.until("b drops");
            a.tell(0).unwrap();
            let error = a.tell_timeout(Token::new(7, &drops), Duration::from_millis(5)).unwrap_err();
            assert!(matches!(&error, TellTimeoutError::Timeout(token) if token.0 == 7), "{error:?}");
        } else {
            let held = hold(&a);
            a.tell(0).unwrap();
            for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(2)] {
                let error = a.tell_timeout(Token::new(7, &drops), timeout).unwrap_err();
                assert!(matches!(&error, TellTimeoutError::Timeout(token) if token.0 == 7), "{error:?}");
                assert_eq!(error.to_string(), "no room in time");
            }
            drop(held);
            // Who has given up takes nobody's place.
            stage.log.until("a gets 0");
            stage.quiet();
            a.tell(Token::new(8, &drops)).unwrap();
            stage.log.until("a gets 8");
        }
        stage.end();
    }
}

fn a_thread_that_need_not_wait(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.bounded("b", 100, Overflow::Reject));
    for timeout in [Duration::ZERO, Duration::MAX] {
        for n in 0..10 {
            a.tell_timeout(n, timeout).unwrap();
            b.tell_timeout(n, timeout).unwrap();
            block_on(a.tell_async(n)).unwrap();
            block_on(b.tell_async(n)).unwrap();
        }
    }
    eventually("all come", || stage.log.lines().len() == 82);
    stage.end();
}

fn a_worker_does_not_wait(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.bounded("b", 1, Overflow::Reject));
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        assert_eq!(b.tell_timeout(1, Duration::MAX), Err(TellTimeoutError::WouldDeadlock(1)));
    };
    a.ask(run(part)).wait().unwrap();
    let counters = stage.end();
    assert_eq!((counters.handled, counters.returned), (1, 1));
}

fn a_thread_that_waits_learns_of_the_end(on: Engine) {
    for (way, end) in ENDS.iter().take(2).enumerate() {
        let stage = Stage::new(on);
        let (a, held) = full(&stage, Overflow::Reject);
        end(&a);
        if way == 0 {
            // A stop is seen when the handler returns.
            drop(held);
            let mut n = 1;
            let error = loop {
                match a.tell_timeout(n, LIMIT) {
                    Ok(()) => n += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(error, TellTimeoutError::Stopped(n));
        } else {
            assert_eq!(a.tell_timeout(1, LIMIT), Err(TellTimeoutError::Stopped(1)));
            drop(held);
        }
        stage.log.until("a drops");
        assert_eq!(a.tell_timeout(2, LIMIT), Err(TellTimeoutError::Stopped(2)));
        assert_eq!(block_on(a.tell_async(3)), Err(TellError::Stopped(3)));
        stage.end();
        assert_eq!(a.tell_timeout(2, LIMIT), Err(TellTimeoutError::Stopped(2)));
        assert_eq!(block_on(a.tell_async(3)), Err(TellError::Stopped(3)));
    }
}

fn futures_wait_for_room(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let (a, held) = full(&stage, overflow);
        let (waker, woken) = alarm();
        let mut first = a.tell_async(1);
        assert!(poll(&mut first, &waker).is_pending() && poll(&mut first, &waker).is_pending());
        assert_eq!((woken.get(), stage.counters().in_flight()), (0, 1));
        drop(held);
        woken.reaches(1);
        assert_eq!(poll(&mut first, &waker), Poll::Ready(Ok(())));
        stage.log.expect("a", &["starts", "gets 0", "gets 1"]);
        assert_eq!(block_on(a.tell_async(2)), Ok(()));
        stage.log.expect("a", &["starts", "gets 0", "gets 1", "gets 2"]);
        let counters = stage.end();
        assert_eq!((counters.returned, counters.dead_lettered), (0, 0));
    }
}

fn futures_have_their_turns_in_order(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let mut waiting: Vec<_> = (1..20).map(|n| (a.tell_async(n), alarm())).collect();
    for (tell, (waker, _)) in &mut waiting {
        assert!(poll(tell, waker).is_pending());
    }
    drop(held);
    for n in 0..waiting.len() {
        let (_, (_, woken)) = &waiting[n];
        woken.reaches(1);
        // One place, one turn.
        assert!(waiting[n + 1..].iter().all(|(_, (_, woken))| woken.get() == 0));
        let (tell, (waker, _)) = &mut waiting[n];
        assert_eq!(poll(tell, waker), Poll::Ready(Ok(())));
    }
    eventually("all come", || stage.log.lines().len() == 21);
    assert_eq!(stage.log.of("a")[1..], (0..20).map(|n| format!("gets {n}")).collect::<Vec<_>>());
    assert!(waiting.iter().all(|(_, (_, woken))| woken.get() == 1));
    stage.end();
}

fn nobody_overtakes_one_who_waits(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let (waker, woken) = alarm();
    let mut first = a.tell_async(1);
    assert!(poll(&mut first, &waker).is_pending());
    drop(held);
    woken.reaches(1);
    // The place is free, and is the other one's.
    assert_eq!(a.tell(2), Err(TellError::Full(2)));
    assert_eq!(poll(&mut first, &waker), Poll::Ready(Ok(())));
    stage.log.until("a gets 1");
    a.tell(3).unwrap();
    stage.log.expect("a", &["starts", "gets 0", "gets 1", "gets 3"]);
    stage.end();
}

fn a_future_that_is_dropped_makes_way(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let (drops, mut waiting) = (Count::default(), Vec::new());
    for n in 0..6 {
        let (waker, woken) = alarm();
        let mut tell = a.tell_async(Token::new(n, &drops));
        assert!(poll(&mut tell, &waker).is_pending());
        waiting.push(Some((tell, waker, woken)));
    }
    drop(a.tell_async(Token::new(6, &drops)));
    // The first, one in the middle, the last.
    for n in [0, 3, 5] {
        waiting[n] = None;
    }
    assert_eq!(drops.get(), 4);
    drop(held);
    for n in [1, 2, 4] {
        let (tell, waker, woken) = waiting[n].as_mut().unwrap();
        woken.reaches(1);
        assert!(poll(tell, waker).is_ready());
    }
    stage.log.expect("a", &["starts", "gets 0", "gets 1", "gets 2", "gets 4"]);
    // Nobody waits any more.
    stage.quiet();
    assert_eq!(a.tell(7), Ok(()));
    stage.log.until("a gets 7");
    let counters = stage.end();
    assert_eq!((counters.handled, counters.sent), (counters.sent, counters.handled));
}

fn a_future_that_was_granted_a_credit_gives_it_back(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let ((waker, woken), (second_waker, second_woken)) = (alarm(), alarm());
    let (mut first, mut second) = (a.tell_async(1), a.tell_async(2));
    assert!(poll(&mut first, &waker).is_pending() && poll(&mut second, &second_waker).is_pending());
    drop(held);
    woken.reaches(1);
    stage.quiet();
    assert_eq!(second_woken.get(), 0);
    drop(first);
    assert_eq!(second_woken.get(), 1);
    drop(second);
    a.tell(3).unwrap();
    stage.log.expect("a", &["starts", "gets 0", "gets 3"]);
    stage.end();
}

fn the_end_wakes_all(on: Engine) {
    for end in ENDS {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 3, Overflow::Reject);
        let held = hold(&a);
        end(&a);
        while a.tell(0).is_ok() {}
        let waiting = (1..5).map(|n| (n, a.tell_async(n), alarm())).map(|(n, mut tell, (waker, woken))| {
            let first = poll(&mut tell, &waker);
            (n, tell, first, woken)
        });
        let waiting: Vec<_> = waiting.collect();
        drop(held);
        stage.log.until("a drops");
        for (n, mut tell, first, woken) in waiting {
            let outcome = if first.is_ready() { first } else { poll(&mut tell, Waker::noop()) };
            assert_eq!(outcome, Poll::Ready(Err(TellError::Stopped(n))));
            assert!(first.is_ready() || woken.get() == 1);
        }
        stage.end();
    }
}

fn a_drain_wakes_all(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let mut waiting: Vec<_> = (1..5).map(|n| (a.tell_async(n), alarm())).collect();
    for (tell, (waker, _)) in &mut waiting {
        assert!(poll(tell, waker).is_pending());
    }
    a.drain();
    // At once, though a handler is still running.
    for (n, (tell, (waker, woken))) in (1..).zip(&mut waiting) {
        assert_eq!(woken.get(), 1);
        assert_eq!(poll(tell, waker), Poll::Ready(Err(TellError::Stopped(n))));
    }
    drop(held);
    stage.log.expect("a", &["starts", "gets 0", "stops: drained", "drops"]);
    assert_eq!(stage.end().returned, 4);
}

fn a_future_is_polled_with_another_waker(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let ((old, not_woken), (new, woken)) = (alarm(), alarm());
    let mut tell = a.tell_async(1);
    assert!(poll(&mut tell, &old).is_pending() && poll(&mut tell, &new).is_pending());
    drop(held);
    woken.reaches(1);
    assert_eq!(poll(&mut tell, &old), Poll::Ready(Ok(())));
    assert_eq!(not_woken.get(), 0);
    stage.end();
}

/// Panics when it wakes, and sends when it is dropped.
struct Nasty(ActorRef<Puppet>, #[allow(dead_code, reason = "its drop is counted")] Counted);

impl Wake for Nasty {
    fn wake(self: Arc<Self>) {
        panic!("meant");
    }
}

impl Drop for Nasty {
    fn drop(&mut self) {
        let _ = self.0.tell(9);
    }
}

fn wakers_that_panic(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let (b, drops) = (stage.puppet("b"), Count::default());
    let mut tells = [a.tell_async(1), a.tell_async(2), a.tell_async(3)];
    for tell in &mut tells {
        let nasty = Waker::from(Arc::new(Nasty(b.clone(), Counted(drops.clone()))));
        assert!(poll(tell, &nasty).is_pending());
    }
    let [first, mut second, mut third] = tells;
    drop(held);
    stage.log.until("a gets 0");
    drops.reaches(1);
    // The first was woken, and gives way.
    drop(first);
    drops.reaches(2);
    assert_eq!(poll(&mut second, Waker::noop()), Poll::Ready(Ok(())));
    drops.reaches(3);
    assert_eq!(poll(&mut third, Waker::noop()), Poll::Ready(Ok(())));
    stage.log.until("a gets 2");
    stage.log.until("a gets 3");
    stage.log.expect("b", &["starts", "gets 9", "gets 9", "gets 9"]);
    stage.end();
}

fn a_future_that_is_polled_too_often(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.bounded("a", 1, Overflow::Reject);
    let mut tell = a.tell_async(1);
    assert_eq!(poll(&mut tell, Waker::noop()), Poll::Ready(Ok(())));
    stage.log.until("a gets 1");
    let again = catch_unwind(AssertUnwindSafe(|| poll(&mut tell, Waker::noop())));
    assert!(again.is_err());
    // It has taken nobody's place.
    a.tell(2).unwrap();
    stage.log.until("a gets 2");
    stage.end();
}

/// Panics when the last waker made from it is dropped.
struct Clingy;

impl Wake for Clingy {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Clingy {
    fn drop(&mut self) {
        panic!("meant");
    }
}

fn wakers_that_panic_when_dropped(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let (mut replaced, mut left) = (a.tell_async(1), a.tell_async(2));
    for tell in [&mut replaced, &mut left] {
        assert!(poll(tell, &Waker::from(Arc::new(Clingy))).is_pending());
    }
    let (waker, woken) = alarm();
    assert!(poll(&mut replaced, &waker).is_pending());
    drop(left);
    drop(held);
    woken.reaches(1);
    assert_eq!(poll(&mut replaced, &waker), Poll::Ready(Ok(())));
    stage.log.expect("a", &["starts", "gets 0", "gets 1"]);
    stage.end();
}

fn one_that_waits_to_be_restarted_has_waiters(on: Engine) {
    for how in [ActorRef::stop, ActorRef::drain] {
        let stage = Stage::new(on);
        let log = stage.log.clone();
        let mailbox = Mailbox::bounded(1, Overflow::Reject);
        let a = stage.actor(move || Puppet::new("a", &log)).mailbox(mailbox).restart(never_comes()).spawn().unwrap();
        fail(&a);
        stage.log.until("a drops");
        a.tell(0).unwrap();
        let (waker, woken) = alarm();
        let mut tell = a.tell_async(1);
        assert!(poll(&mut tell, &waker).is_pending());
        how(&a);
        woken.reaches(1);
        assert_eq!(poll(&mut tell, &waker), Poll::Ready(Err(TellError::Stopped(1))));
        a.stop();
        stage.end();
    }
    // And those who wait over a restart have their turn after it.
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let mailbox = Mailbox::bounded(1, Overflow::Reject);
    let a = stage.actor(move || Puppet::new("a", &log)).mailbox(mailbox).restart(at_once()).spawn().unwrap();
    let held = hold(&a);
    fail(&a);
    let (waker, woken) = alarm();
    let mut tell = a.tell_async(1);
    assert!(poll(&mut tell, &waker).is_pending());
    drop(held);
    woken.reaches(1);
    assert_eq!(poll(&mut tell, &waker), Poll::Ready(Ok(())));
    stage.log.expect("a", &["starts", "drops", "starts", "gets 1"]);
    stage.end();
}

fn threads_wait_in_turns(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 2, overflow);
        let each = scaled(2_000, 100);
        let threads: Vec<_> = (0..3_u64)
            .map(|sender| {
                let a = a.clone();
                thread::spawn(move || {
                    for n in 0..each {
                        a.tell_timeout(sender * 1_000_000 + n, LIMIT).unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        eventually("all come", || stage.log.lines().len() as u64 == 1 + 3 * each);
        let counters = stage.end();
        assert_eq!((counters.handled, counters.dead_lettered, counters.returned), (3 * each, 0, 0));
    }
}

fn many_wait_while_it_ends(on: Engine) {
    for round in 0..scaled(50, 5) {
        let stage = Stage::new(on);
        let (a, taken, drops) = (stage.bounded("a", 2, ALL[round as usize % 3]), Count::default(), Count::default());
        let threads: Vec<_> = (0..4_u64)
            .map(|sender| {
                let (a, taken, drops) = (a.clone(), taken.clone(), drops.clone());
                thread::spawn(move || {
                    for n in 0.. {
                        let token = Token::new(n, &drops);
                        let sent = if sender % 2 == 0 {
                            a.tell_timeout(token, LIMIT).map_err(TellTimeoutError::into_message)
                        } else {
                            block_on(a.tell_async(token)).map_err(TellError::into_message)
                        };
                        if sent.is_err() {
                            return n + 1;
                        }
                        taken.add(1);
                    }
                    unreachable!()
                })
            })
            .collect();
        eventually("some come", || taken.get() > 20 + round);
        if round % 2 == 0 {
            a.stop()
        } else {
            a.drain()
        }
        let made: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        stage.living(0);
        eventually("all is dropped", || drops.get() == made);
        let counters = stage.end();
        assert_eq!((counters.returned, counters.sent), (4, taken.get() + 4));
    }
}

fn a_waiting_thread_is_woken_by_the_handler(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let (begun, done) = (Gate::default(), Shared::new(None));
    let thread = {
        let (a, begun, done) = (a.clone(), begun.clone(), done.clone());
        thread::spawn(move || {
            begun.open();
            let result = a.tell_timeout(1, LIMIT);
            done.with(|done| *done = Some(result));
        })
    };
    begun.wait();
    assert_eq!(done.with(|done| done.take()), None);
    drop(held);
    thread.join().unwrap();
    assert_eq!(done.with(|done| done.take()), Some(Ok(())));
    stage.log.expect("a", &["starts", "gets 0", "gets 1"]);
    stage.end();
}
