//! An actor's timers: each comes once, or is taken back, and none outlives its actor.

use cuelight::{ActorRef, Context, TimerKey};
use loom_tests::kernel::{Beat, Bomb, Do, Due, Expected, Probe, Stage, Waits};
use loom_tests::model;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LATE: u64 = 10_000_000;

/// Has the actor set a timer, on this thread.
fn set(
    stage: &Stage,
    probe: &ActorRef<Probe>,
    set: impl FnOnce(&mut Context<Probe>) -> TimerKey + Send + 'static,
) -> TimerKey {
    // No part of the model: it is over before the threads begin.
    let key = Arc::new(Mutex::new(None));
    let place = key.clone();
    stage.here(|stage| {
        stage.order(probe, Do::new(move |_, context| *place.lock().unwrap() = Some(set(context))));
    });
    let key = *key.lock().unwrap();
    key.unwrap()
}

fn cancel(stage: &Stage, probe: &ActorRef<Probe>, key: TimerKey) {
    stage.order(probe, Do::new(move |probe, context| probe.ledger().note(context.cancel(key))));
}

#[test]
fn timer_cancelled_against_firing() {
    model("L17 a timer is taken back while it fires: it comes, or it was taken back", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let token = stage.token(10).kept();
        let key = set(&stage, &probe, |context| context.send_after(Duration::ZERO, Due(token)));
        let fire = stage.thread(|stage| {
            stage.system().fire_timers(LATE);
        });
        let other = probe.clone();
        let send = stage.thread(move |stage| stage.tell(&other, 30));
        stage.here(|stage| cancel(stage, &probe, key));
        let ledger = stage.ledger().clone();
        stage.end([fire, send], [probe], Expected::default());
        assert_eq!(ledger.resumed(), u64::from(!ledger.noted()));
    });
}

#[test]
fn timers_against_the_end() {
    model("L17 a timer fires while its actor ends, and another one never comes: none is left", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let (first, second) = (stage.token(10).kept(), stage.token(20).kept());
        set(&stage, &probe, |context| context.send_after(Duration::MAX, Due(first)));
        set(&stage, &probe, |context| context.send_after(Duration::ZERO, Due(second)));
        let fire = stage.thread(|stage| {
            stage.system().fire_timers(LATE);
        });
        stage.here(|_| probe.stop());
        let ledger = stage.ledger().clone();
        stage.end([fire], [probe], Expected::default());
        assert!(ledger.resumed() < 2);
    });
}

#[test]
fn timers_against_a_restart() {
    model(
        "L17 a timer fires while its actor is restarted, and another one never comes: the new state gets none",
        2,
        || {
            let stage = Stage::new();
            let probe = stage.restarted(1, &Waits::none());
            let (first, second) = (stage.token(10).kept(), stage.token(20).kept());
            let key = set(&stage, &probe, |context| context.send_after(Duration::MAX, Due(first)));
            set(&stage, &probe, |context| context.send_after(Duration::ZERO, Due(second)));
            let fire = stage.thread(|stage| {
                stage.system().fire_timers(LATE);
            });
            stage.here(|stage| {
                stage.order(&probe, Bomb(stage.token(30)));
                let look = move |probe: &mut Probe, context: &mut Context<Probe>| {
                    if context.cancel(key) {
                        probe.ledger().fault("a timer of the old state is set");
                    }
                    // From now on none may come.
                    probe.ledger().note(true);
                };
                stage.order(&probe, Do::new(look));
            });
            let ledger = stage.ledger().clone();
            stage.end([fire], [probe], Expected { panics: 1, bare: 0 });
            assert_eq!(ledger.restarts(), 1);
            assert!(ledger.resumed() < 2);
        },
    );
}

#[test]
fn a_period_against_its_cancelling() {
    model("L17 a period is taken back while two fire it: nothing comes afterwards", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let key = set(&stage, &probe, |context| context.send_every(Duration::ZERO, Beat));
        let fire = || {
            stage.thread(|stage| {
                stage.system().fire_timers(LATE);
            })
        };
        let threads = [fire(), fire()];
        stage.here(|stage| cancel(stage, &probe, key));
        let ledger = stage.ledger().clone();
        stage.end(threads, [probe], Expected::default());
        assert!(ledger.noted() && ledger.resumed() < 3);
    });
}
