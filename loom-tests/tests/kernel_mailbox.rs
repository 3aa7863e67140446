//! The mailbox: who schedules, what is refused, in which order it is handled, and the lone message.

use loom_tests::kernel::{Bomb, Expected, Stage};
use loom_tests::model;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[test]
fn two_senders_and_going_idle() {
    model("L1 two senders and a consumer going idle", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let (a, b) = (probe.clone(), probe.clone());
        let one = stage.thread(move |stage| stage.tell(&a, 10));
        let two = stage.thread(move |stage| stage.tell(&b, 20));
        stage.here(|stage| stage.tell(&probe, 30));
        let ledger = stage.ledger().clone();
        stage.end([one, two], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 3);
    });
}

#[test]
fn producers_keep_their_order() {
    model("L4 two producers, chain and single, FIFO per producer", 2, || {
        let stage = Stage::with(false, 2);
        let probe = stage.queued(1);
        let (a, b) = (probe.clone(), probe.clone());
        let one = stage.thread(move |stage| {
            stage.tell(&a, 10);
            stage.tell_all(&a, &[11, 12]);
        });
        let two = stage.thread(move |stage| {
            stage.tell_all(&b, &[20, 21]);
            stage.tell(&b, 22);
        });
        stage.here(|_| ());
        let ledger = stage.ledger().clone();
        stage.end([one, two], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 6);
        ledger.check_order();
    });
}

#[test]
fn close_against_send() {
    model("L6 close against send, chain and single", 2, || {
        let stage = Stage::with(true, 64);
        let probe = stage.idle(1);
        let (a, b) = (probe.clone(), probe.clone());
        let one = stage.thread(move |stage| stage.tell(&a, 10));
        let two = stage.thread(move |stage| stage.tell_all(&b, &[20, 21]));
        stage.here(move |_| probe.stop());
        let ledger = stage.ledger().clone();
        stage.end([one, two], [], Expected::default());
        ledger.check_order();
    });
}

#[test]
fn queued_messages_are_dropped() {
    model("L7 an actor that is stopped before its first turn; a parcel and a chain that are never sent", 3, || {
        let stage = Stage::new();
        let probe = stage.queued(1);
        let other = probe.clone();
        let thread = stage.thread(move |stage| {
            stage.tell(&other, 10);
            stage.tell_all(&other, &[11, 12]);
            stage.unsent(&other, 13);
            let tokens = [14, 15].map(|id| stage.token(id).kept());
            let broken = tokens.into_iter().chain(std::iter::once_with(|| resume_unwind(Box::new(()))));
            assert!(catch_unwind(AssertUnwindSafe(|| other.send_all(broken))).is_err());
        });
        stage.here(move |_| probe.stop());
        let ledger = stage.ledger().clone();
        stage.end([thread], [], Expected::default());
        assert!(ledger.order().is_empty());
    });
}

#[test]
fn lone_message_against_push() {
    model("L10 a lone message against pushes", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |stage| {
            stage.tell(&other, 10);
            stage.tell(&other, 11);
        });
        stage.here(|stage| {
            stage.tell(&probe, 20);
            stage.system().run();
            stage.tell(&probe, 21);
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 4);
        ledger.check_order();
    });
}

#[test]
fn lone_message_against_panic() {
    model("L20 a lone message whose handler panics, against pushes", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |stage| {
            stage.tell(&other, 10);
            stage.tell(&other, 11);
        });
        stage.here(move |stage| stage.order(&probe, Bomb(stage.token(20))));
        let ledger = stage.ledger().clone();
        stage.end([thread], [], Expected { panics: 1, ..Expected::default() });
        ledger.check_order();
    });
}

#[test]
fn lone_message_against_close() {
    model("L20 a lone message against a stop, a drain and a push", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let (a, b) = (probe.clone(), probe.clone());
        let one = stage.thread(move |stage| {
            stage.tell(&a, 10);
            a.drain();
        });
        let two = stage.thread(move |_| b.stop());
        stage.here(move |stage| stage.tell(&probe, 20));
        stage.end([one, two], [], Expected::default());
    });
}
