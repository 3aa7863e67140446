//! Asks and continuations: one outcome, one reply, one run.

use cuelight::dev_hooks::kernel::{Continuation, next_duty};
use cuelight::{AskError, ReplyTo};
use loom_tests::kernel::{Bomb, Expected, Question, Stage, Token, Wakes};
use loom_tests::model;
use std::sync::Arc;
use std::task::Poll;

/// Checks an outcome that came.
fn answered(outcome: &Result<Token, AskError>, id: u32) {
    match outcome {
        Ok(token) => assert_eq!(token.id(), id),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn reply_against_poll() {
    model("L16 a reply against its asker, which polls with two wakers", 3, || {
        let stage = Stage::new();
        let probe = stage.queued(1);
        let turn = next_duty().unwrap();
        let mut ask = probe.ask(Question(stage.token(10)));
        let thread = stage.thread(move |stage| stage.system().turn(turn));
        let (first, second) = (Wakes::new(), Wakes::new());
        let mut outcome = first.poll(&mut ask);
        if outcome.is_pending() {
            outcome = second.poll(&mut ask);
        }
        thread.join().unwrap();
        match outcome {
            Poll::Ready(outcome) => answered(&outcome, 10),
            Poll::Pending => {
                assert_eq!((first.count(), second.count()), (0, 1), "the last waker is to be woken, once");
                let Poll::Ready(outcome) = second.poll(&mut ask) else { panic!("woken for nothing") };
                answered(&outcome, 10);
            }
        }
        drop(ask);
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 1), "a waker was kept");
        assert_eq!(stage.ledger().late(), 0);
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn reply_against_drop() {
    model("L16 a reply against its asker, which gives up", 5, || {
        let stage = Stage::new();
        let probe = stage.queued(1);
        let turn = next_duty().unwrap();
        let mut ask = probe.ask(Question(stage.token(10)));
        let thread = stage.thread(move |stage| stage.system().turn(turn));
        let wakes = Wakes::new();
        let heard = match wakes.poll(&mut ask) {
            Poll::Ready(outcome) => {
                answered(&outcome, 10);
                true
            }
            Poll::Pending => false,
        };
        drop(ask);
        thread.join().unwrap();
        assert_eq!(Arc::strong_count(&wakes), 1, "a waker was kept");
        // A reply that nobody has taken was either there before the asker went, or late.
        assert!(stage.ledger().late() <= u64::from(!heard));
        assert!(wakes.count() <= 1);
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn three_owners_of_an_ask() {
    model("L16 asker, mailbox and replier let go of an ask at once", 2, || {
        let stage = Stage::new();
        let probe = stage.queued(1);
        let turn = next_duty().unwrap();
        let mut replier: Option<ReplyTo<Token>> = None;
        let mut ask = probe.ask_with(|reply| {
            replier = Some(reply);
            stage.token(10)
        });
        let replier = replier.unwrap();
        let one = stage.thread(move |stage| stage.system().turn(turn));
        let two = stage.thread(move |stage| replier.send(stage.token(11).kept()));
        let wakes = Wakes::new();
        if let Poll::Ready(outcome) = wakes.poll(&mut ask) {
            answered(&outcome, 11);
        }
        drop(ask);
        one.join().unwrap();
        two.join().unwrap();
        assert_eq!(Arc::strong_count(&wakes), 1, "a waker was kept");
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn replier_dropped_against_poll() {
    model("L16 a replier that is dropped against its asker", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let mut replier: Option<ReplyTo<Token>> = None;
        let mut ask = probe.ask_with(|reply| {
            replier = Some(reply);
            stage.token(10)
        });
        stage.system().run();
        let thread = stage.thread(move |_| drop(replier));
        let wakes = Wakes::new();
        let mut outcome = wakes.poll(&mut ask);
        if outcome.is_pending() {
            outcome = wakes.poll(&mut ask);
        }
        thread.join().unwrap();
        if outcome.is_pending() {
            assert_eq!(wakes.count(), 1);
            outcome = wakes.poll(&mut ask);
        }
        assert!(matches!(outcome, Poll::Ready(Err(AskError::NoReply))));
        drop(ask);
        assert_eq!(Arc::strong_count(&wakes), 1, "a waker was kept");
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn queued_ask_against_close() {
    model("L16 a queued ask against a stop: answered or failed, before the actor has ended", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |_| other.stop());
        let mut ask = probe.ask(Question(stage.token(10)));
        drop(probe);
        stage.here(|_| ());
        thread.join().unwrap();
        let wakes = Wakes::new();
        match wakes.poll(&mut ask) {
            Poll::Ready(Err(AskError::Stopped)) => {}
            Poll::Ready(outcome) => answered(&outcome, 10),
            Poll::Pending => panic!("nobody will ever answer"),
        }
        drop(ask);
        stage.end([], [], Expected::default());
    });
}

#[test]
fn lone_ask_against_panic() {
    model("L20 a lone ask whose handler panics, against its asker and a push", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let (asked, other) = (probe.clone(), probe.clone());
        let mut ask = asked.ask(Bomb(stage.token(10)));
        let turn = next_duty().unwrap();
        drop(asked);
        let one = stage.thread(move |stage| stage.system().turn(turn));
        let two = stage.thread(move |stage| stage.tell(&other, 20));
        let wakes = Wakes::new();
        let mut outcome = wakes.poll(&mut ask);
        one.join().unwrap();
        two.join().unwrap();
        if outcome.is_pending() {
            assert_eq!(wakes.count(), 1);
            outcome = wakes.poll(&mut ask);
        }
        assert_eq!(outcome, Poll::Ready(Err(AskError::Panicked)));
        drop(ask);
        drop(probe);
        assert_eq!(Arc::strong_count(&wakes), 1, "a waker was kept");
        stage.end([], [], Expected { panics: 1, ..Expected::default() });
    });
}

#[test]
fn lone_ask_dropped_against_push() {
    model("L20 a lone ask whose asker goes, against a push", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let (asked, other) = (probe.clone(), probe.clone());
        let ask = asked.ask(Question(stage.token(10)));
        let turn = next_duty().unwrap();
        let one = stage.thread(move |stage| stage.system().turn(turn));
        let two = stage.thread(move |stage| stage.tell(&other, 20));
        drop(ask);
        drop(asked);
        stage.end([one, two], [probe], Expected::default());
    });
}

#[test]
fn continuation_woken_twice() {
    model("L16 a continuation woken by two wakers at once runs once", 4, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let continuation = Continuation::new(&probe, stage.token(10));
        let (reply, timeout) = (continuation.waker(), continuation.waker());
        let one = stage.thread(move |_| reply.wake());
        let two = stage.thread(move |_| timeout.wake_by_ref());
        drop(continuation);
        let ledger = stage.ledger().clone();
        stage.end([one, two], [probe], Expected::default());
        assert_eq!(ledger.order(), [10]);
    });
}

#[test]
fn continuation_never_woken() {
    model("L16 a continuation whose wakers are dropped at once is dropped once", 4, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let continuation = Continuation::new(&probe, stage.token(10).kept());
        let (reply, timeout) = (continuation.waker(), continuation.waker());
        let one = stage.thread(move |_| drop(reply.clone()));
        let two = stage.thread(move |_| drop(timeout));
        drop(continuation);
        let ledger = stage.ledger().clone();
        stage.end([one, two], [probe], Expected::default());
        assert!(ledger.order().is_empty());
    });
}

#[test]
fn continuation_against_stop() {
    model("L16 a continuation's wake against the end of its actor and the last other waker", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let continuation = Continuation::new(&probe, stage.token(10));
        let (reply, timeout) = (continuation.waker(), continuation.waker());
        drop(continuation);
        let one = stage.thread(move |_| reply.wake());
        let two = stage.thread(move |_| drop(timeout));
        stage.here(move |_| probe.stop());
        stage.end([one, two], [], Expected::default());
    });
}

#[test]
fn reply_against_timeout() {
    model("L16 a reply against a timeout: one continuation, one outcome", 2, || {
        let stage = Stage::new();
        let (asker, asked) = (stage.idle(1), stage.queued(2));
        let turn = next_duty().unwrap();
        let mut continuation = Continuation::new(&asker, asked.ask(Question(stage.token(10))));
        let (reply, timeout) = (continuation.waker(), continuation.waker());
        assert!(Wakes::poll_with(&reply, continuation.payload()).is_pending());
        drop(reply);
        drop(continuation);
        let one = stage.thread(move |stage| stage.system().turn(turn));
        let two = stage.thread(move |_| timeout.wake());
        let ledger = stage.ledger().clone();
        stage.end([one, two], [asker, asked], Expected::default());
        assert_eq!(ledger.resumed(), 1);
    });
}
