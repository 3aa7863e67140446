//! Actors that are made anew: the wait for it, the parent's answer, the last child, each against a stop and against senders.

use cuelight::dev_hooks::kernel::{next_duty, spawn_child, spawn_restarted_child};
use cuelight::{ActorRef, StopReason};
use loom_tests::kernel::{Bomb, Do, Expected, Ledger, Probe, Stage, Waits, restarts};
use loom_tests::model;
use std::sync::{Arc, Mutex};

/// What is expected after one panic of an actor that may have ended without a state.
fn after_one(ledger: &Ledger, id: u64) -> Expected {
    Expected { panics: 1, bare: u64::from(ledger.end_of(id).is_none()) }
}

/// Ends the model: the check needs to know who ended how.
fn end<const T: usize, const A: usize>(
    stage: Stage,
    threads: [loom_tests::thread::JoinHandle<()>; T],
    actors: [ActorRef<Probe>; A],
    expected: impl FnOnce(&Ledger) -> Expected,
) {
    for thread in threads {
        thread.join().unwrap();
    }
    stage.system().run();
    for actor in &actors {
        actor.stop();
    }
    stage.system().run();
    drop(actors);
    let expected = expected(stage.ledger());
    stage.end([], [], expected);
}

/// A parent without a restart, and a child with one; both idle.
fn family(stage: &Stage, waits: &Waits) -> (ActorRef<Probe>, ActorRef<Probe>) {
    let parent = stage.idle(1);
    let (born, waits) = (Arc::new(Mutex::new(None)), waits.clone());
    let place = born.clone();
    let birth = Do::new(move |this, context| {
        let (probe, restarts) = restarts(2, this.ledger(), &waits);
        *place.lock().unwrap() = Some(spawn_restarted_child(context, probe, 2, restarts));
    });
    stage.order(&parent, birth);
    stage.system().run();
    let child = born.lock().unwrap().take().unwrap();
    (parent, child)
}

#[test]
fn alarm_against_stop() {
    model("L23 the alarm of a backoff against a stop", 3, || {
        let stage = Stage::new();
        let waits = Waits::new();
        let probe = stage.restarted(1, &waits);
        stage.order(&probe, Bomb(stage.token(10)));
        stage.system().run();
        stage.tell(&probe, 11);
        let alarm = waits.take().unwrap();
        let thread = stage.thread(move |_| alarm.wake());
        stage.here(move |_| probe.stop());
        // Nobody asks again: a stop that is overlooked leaves the actor there.
        end(stage, [thread], [], |ledger| after_one(ledger, 1));
    });
}

#[test]
fn going_to_wait_against_stop_and_alarm() {
    model("L23 an actor goes to wait for its alarm while that sounds, and a stop comes", 2, || {
        let stage = Stage::new();
        let waits = Waits::new();
        let probe = stage.restarted(1, &waits);
        stage.order(&probe, Bomb(stage.token(10)));
        let failing = next_duty().unwrap();
        let one = stage.thread(move |stage| {
            stage.system().turn(failing);
            if let Some(alarm) = waits.take() {
                alarm.wake();
            }
        });
        stage.here(move |_| probe.stop());
        end(stage, [one], [], |ledger| Expected { panics: ledger.order().len() as u64, ..after_one(ledger, 1) });
    });
}

#[test]
fn going_to_wait_against_alarm() {
    model("L23 an actor goes to wait for its alarm while that sounds, and a message comes", 2, || {
        let stage = Stage::new();
        let threads = Arc::new(Mutex::new(Vec::new()));
        let (begin, begun) = (stage.clone(), threads.clone());
        let waits = Waits::handing(move |alarm| begun.lock().unwrap().push(begin.thread(move |_| alarm.wake())));
        let probe = stage.restarted(1, &waits);
        drop(waits);
        let other = probe.clone();
        let thread = stage.thread(move |stage| stage.tell(&other, 11));
        stage.here(|stage| stage.order(&probe, Bomb(stage.token(20))));
        thread.join().unwrap();
        let alarms = std::mem::take(&mut *threads.lock().unwrap());
        alarms.into_iter().for_each(|alarm| alarm.join().unwrap());
        stage.system().run();
        assert_eq!(stage.ledger().restarts(), 1, "the alarm was not heard");
        assert_eq!(stage.ledger().order().len(), 2);
        end(stage, [], [probe], |ledger| after_one(ledger, 1));
    });
}

#[test]
fn messages_against_suspension() {
    model("L23 senders against a failure, the wait and the restart: all is kept, in order", 3, || {
        let stage = Stage::with(false, 1);
        let waits = Waits::new();
        let probe = stage.restarted(1, &waits);
        let (other, alarm) = (probe.clone(), waits.clone());
        let one = stage.thread(move |stage| {
            stage.tell(&other, 10);
            stage.tell(&other, 11);
        });
        stage.here(|stage| {
            stage.order(&probe, Bomb(stage.token(20)));
            stage.tell(&probe, 21);
        });
        one.join().unwrap();
        stage.system().run();
        // It waits; or another thread made it wait, and left.
        stage.here(|_| alarm.take().unwrap().wake());
        let ledger = stage.ledger().clone();
        end(stage, [], [probe], |ledger| after_one(ledger, 1));
        ledger.check_order();
        assert_eq!((ledger.restarts(), ledger.buried(), ledger.order().len()), (1, 0, 4));
    });
}

#[test]
fn failing_child_against_stop_of_its_parent() {
    model("L23 a child fails while its parent is stopped", 3, || {
        let stage = Stage::new();
        let (parent, child) = family(&stage, &Waits::none());
        let thread = stage.thread(move |stage| {
            if let Err(refused) = child.tell(Bomb(stage.token(10))) {
                refused.into_message().0.returned();
            }
        });
        stage.here(move |_| parent.stop());
        let ledger = stage.ledger().clone();
        end(stage, [thread], [], |ledger| {
            let panics = ledger.order().len() as u64;
            Expected { panics, ..after_one(ledger, 2) }
        });
        assert_eq!(ledger.ends().last(), Some(&1), "a parent ended before its child");
        assert_eq!(ledger.end_of(1), Some(StopReason::Stopped));
    });
}

#[test]
fn report_against_going_idle() {
    model("L23 a child's report against its parent's going idle", 3, || {
        let stage = Stage::new();
        let (parent, child) = family(&stage, &Waits::none());
        let other = child.clone();
        let thread = stage.thread(move |stage| stage.order(&other, Bomb(stage.token(10))));
        stage.here(|stage| stage.tell(&parent, 20));
        thread.join().unwrap();
        stage.system().run();
        // Nobody reminds the parent.
        stage.tell(&child, 11);
        stage.system().run();
        assert_eq!(stage.ledger().restarts(), 1, "a report was not heard");
        assert_eq!(stage.ledger().order_of(2), [10, 11]);
        drop(child);
        end(stage, [], [parent], |ledger| after_one(ledger, 2));
    });
}

#[test]
fn answer_against_stop_of_the_child() {
    model("L23 a parent's answer against a stop of the child that waits for it", 3, || {
        let stage = Stage::new();
        let (parent, child) = family(&stage, &Waits::none());
        stage.order(&child, Bomb(stage.token(10)));
        stage.system().turn(next_duty().unwrap());
        // The parent is to look.
        let deciding = next_duty().unwrap();
        let thread = stage.thread(move |stage| stage.system().turn(deciding));
        stage.here(move |_| child.stop());
        let ledger = stage.ledger().clone();
        end(stage, [thread], [parent], |ledger| after_one(ledger, 2));
        assert_eq!(ledger.ends().last(), Some(&1));
    });
}

#[test]
fn restart_against_last_child() {
    model("L23 a restart waits for the last child, while that ends", 3, || {
        let stage = Stage::new();
        let probe = stage.restarted(1, &Waits::none());
        let birth = Do::new(|this, context| {
            let (mut probe, ledger) = (Probe::new(2, this.ledger()), this.ledger().clone());
            probe.at_the_end(move || ledger.note(ledger.restarts() == 0));
            let child = spawn_child(context, probe, 2);
            child.tell(this.ledger().token(20)).unwrap();
        });
        stage.order(&probe, birth);
        // The child has its first turn, and a message, while its parent fails.
        stage.system().turn(next_duty().unwrap());
        let child = next_duty().unwrap();
        let thread = stage.thread(move |stage| stage.system().turn(child));
        stage.here(|stage| {
            stage.order(&probe, Bomb(stage.token(10)));
            stage.tell(&probe, 11);
        });
        thread.join().unwrap();
        stage.system().run();
        assert_eq!(stage.ledger().restarts(), 1, "the restart has not come");
        assert!(stage.ledger().noted(), "a restart did not wait for the child");
        assert_eq!(stage.ledger().order_of(1), [10, 11]);
        end(stage, [], [probe], |ledger| after_one(ledger, 1));
    });
}

#[test]
fn escalation_against_stop() {
    model("L23 a child's failure is escalated while its parent is stopped", 3, || {
        let stage = Stage::new();
        let (parent, child) = family(&stage, &Waits::escalates());
        stage.order(&child, Bomb(stage.token(10)));
        drop(child);
        let failing = next_duty().unwrap();
        let thread = stage.thread(move |stage| stage.system().turn(failing));
        stage.here(move |_| parent.stop());
        let ledger = stage.ledger().clone();
        end(stage, [thread], [], |ledger| Expected { panics: ledger.order().len() as u64, ..Expected::default() });
        assert_eq!(ledger.ends(), [2, 1], "a parent ended before its child");
        let escalated = matches!(ledger.end_of(1), Some(StopReason::Escalated(_)));
        assert_eq!(ledger.escalated(), u64::from(escalated), "a failure was lost on its way");
    });
}
