//! A look at an actor from outside: it takes the right to run for a moment, and gives it back or hands it on.

use cuelight::dev_hooks::kernel::{ask_report, inspect, next_duty, spawn_child};
use loom_tests::kernel::{Do, Expected, Probe, Stage};
use loom_tests::model;

#[test]
fn a_look_against_sends() {
    model("L24 two looks at an actor that is sent to", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |_| {
            inspect(&other);
            inspect(&other);
        });
        let sent = probe.clone();
        stage.here(move |stage| {
            stage.tell(&sent, 10);
            stage.system().run();
            stage.tell(&sent, 11);
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [probe], Expected::default());
        assert_eq!(ledger.order(), [10, 11], "a message was left, or overtaken");
    });
}

#[test]
fn a_look_against_a_stop() {
    model("L24 a look at an actor that is stopped", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |_| {
            inspect(&other);
        });
        stage.here(move |_| probe.stop());
        // Nobody asks again: a stop that is overlooked leaves the actor there.
        stage.end([thread], [], Expected::default());
    });
}

#[test]
fn a_look_at_a_parent_that_waits() {
    model("L24 looks at a parent that awaits its child, which ends", 3, || {
        let stage = Stage::new();
        let parent = stage.idle(1);
        let born = Do::new(|this, context| {
            drop(spawn_child(context, Probe::new(2, this.ledger()), 2));
        });
        stage.order(&parent, born);
        stage.system().run();
        parent.stop();
        let last = next_duty().unwrap();
        let thread = stage.thread(move |_| {
            inspect(&parent);
            inspect(&parent);
        });
        // It stops the child, which ends after it.
        stage.here(move |stage| stage.system().turn(last));
        let ledger = stage.ledger().clone();
        stage.end([thread], [], Expected::default());
        assert_eq!(ledger.ends(), [2, 1], "a parent ended before its child");
    });
}

#[test]
fn a_question_against_messages() {
    model("L24 a busy actor is asked to tell of itself", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |_| {
            ask_report(&other);
            inspect(&other);
        });
        let sent = probe.clone();
        stage.here(move |stage| stage.tell_all(&sent, &[10, 11]));
        let ledger = stage.ledger().clone();
        stage.end([thread], [probe], Expected::default());
        assert_eq!(ledger.order(), [10, 11], "a question is no stop");
    });
}
