//! Messages that are tried again: against who waits for them, who comes after them, and a stop.

use cuelight::dev_hooks::kernel::next_duty;
use loom_tests::kernel::{Attempt, Expected, Stage, Waits, Wakes};
use loom_tests::model;
use std::task::Poll;

#[test]
fn retried_ask_against_its_asker() {
    model("promise 6 an ask whose handler panics once, against its asker, who polls, and gives up", 5, || {
        let stage = Stage::new();
        let waits = Waits::none();
        let probe = stage.retrying(1, &waits);
        let mut ask = probe.ask(Attempt::new(stage.token(10)));
        let turn = next_duty().unwrap();
        let thread = stage.thread(move |stage| stage.system().turn(turn));
        let wakes = Wakes::new();
        if let Poll::Ready(outcome) = wakes.poll(&mut ask) {
            assert_eq!(outcome, Ok(10), "the panic was its answer");
        }
        drop(ask);
        thread.join().unwrap();
        let ledger = stage.ledger().clone();
        assert!(ledger.late() <= 1 && wakes.count() <= 1);
        assert_eq!((ledger.order(), ledger.restarts(), ledger.buried()), (vec![10], 1, 0));
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn retried_message_against_newer_ones() {
    model("promise 6 a message whose handler panics once, against one that is sent meanwhile", 3, || {
        let stage = Stage::new();
        let probe = stage.retrying(1, &Waits::none());
        let other = probe.clone();
        let thread = stage.thread(move |stage| {
            stage.order(&other, Attempt::new(stage.token(10)));
            stage.tell(&other, 11);
        });
        stage.here(|stage| stage.tell(&probe, 20));
        thread.join().unwrap();
        stage.system().run();
        let ledger = stage.ledger().clone();
        stage.end([], [probe], Expected::default());
        ledger.check_order();
        assert_eq!((ledger.restarts(), ledger.buried(), ledger.order().len()), (1, 0, 3));
    });
}

#[test]
fn retried_message_against_stop() {
    model("promise 6 a message waits to be tried again: alarm, stop and a sender at once", 2, || {
        let stage = Stage::new();
        let waits = Waits::new();
        let probe = stage.retrying(1, &waits);
        stage.order(&probe, Attempt::new(stage.token(10)));
        stage.system().run();
        let alarm = waits.take().unwrap();
        let (one, two) = (probe.clone(), probe.clone());
        let threads = [stage.thread(move |_| alarm.wake()), stage.thread(move |stage| stage.tell(&one, 11))];
        stage.here(move |_| two.stop());
        let ledger = stage.ledger().clone();
        for thread in threads {
            thread.join().unwrap();
        }
        stage.system().run();
        drop(probe);
        let bare = u64::from(ledger.end_of(1).is_none());
        stage.end([], [], Expected { panics: 0, bare });
        ledger.check_order();
        // Tried again, or buried: whoever comes after it does not come alone.
        assert!(ledger.order().is_empty() || ledger.order()[0] == 10, "{:?}", ledger.order());
    });
}
