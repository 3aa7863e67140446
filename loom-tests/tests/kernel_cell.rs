//! The actor cell: stop, drain, panic and their signals; children; references; the slot; the system's references.

use cuelight::StopReason;
use cuelight::dev_hooks::kernel::{Slot, next_duty, spawn_child};
use loom_tests::kernel::{Bomb, Do, Expected, Probe, Stage};
use loom_tests::{Arc, model};

#[test]
fn last_reference_against_send_and_activation() {
    model("L8 the last reference against a send and an activation", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |stage| {
            stage.tell(&other, 10);
            stage.tell(&other, 11);
        });
        stage.here(move |stage| {
            stage.tell(&probe, 20);
            probe.stop();
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [], Expected::default());
        ledger.check_order();
    });
}

#[test]
fn stop_against_sends() {
    model("L15 stop against two senders", 2, || {
        let stage = Stage::with(true, 1);
        let probe = stage.idle(1);
        let (a, b) = (probe.clone(), probe.clone());
        let one = stage.thread(move |stage| {
            stage.tell(&a, 10);
            stage.tell(&a, 11);
        });
        let two = stage.thread(move |stage| stage.tell(&b, 20));
        stage.here(move |_| probe.stop());
        let ledger = stage.ledger().clone();
        stage.end([one, two], [], Expected::default());
        ledger.check_order();
        assert_eq!(ledger.end_of(1), Some(StopReason::Stopped));
    });
}

#[test]
fn panic_against_sends() {
    model("L15 a panic against two senders", 2, || {
        let stage = Stage::with(true, 64);
        let probe = stage.queued(1);
        let (a, b) = (probe.clone(), probe.clone());
        let one = stage.thread(move |stage| stage.tell_all(&a, &[10, 11]));
        let two = stage.thread(move |stage| stage.tell(&b, 20));
        stage.here(move |stage| stage.order(&probe, Bomb(stage.token(30))));
        let ledger = stage.ledger().clone();
        stage.end([one, two], [], Expected { panics: 1, ..Expected::default() });
        ledger.check_order();
        assert_eq!(ledger.end_of(1), Some(StopReason::Panicked("intended".into())));
    });
}

#[test]
fn drain_against_sends() {
    model("L15 a drain against two senders: what was taken is handled", 2, || {
        let stage = Stage::with(false, 2);
        let probe = stage.idle(1);
        let (a, b) = (probe.clone(), probe.clone());
        let one = stage.thread(move |stage| {
            stage.tell(&a, 10);
            stage.tell(&a, 11);
        });
        let two = stage.thread(move |stage| stage.tell_all(&b, &[20, 21]));
        stage.here(move |_| probe.drain());
        let ledger = stage.ledger().clone();
        stage.end([one, two], [], Expected::default());
        ledger.check_order();
        assert_eq!(ledger.buried(), 0, "a message that was taken before the drain was not handled");
        assert_eq!(ledger.end_of(1), Some(StopReason::Drained));
    });
}

#[test]
fn signal_against_going_idle_alone() {
    model("L19 a stop against going idle over a lone message", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |_| other.stop());
        stage.here(move |stage| {
            stage.tell(&probe, 10);
            stage.system().run();
            stage.tell(&probe, 11);
        });
        // Nobody asks again: a stop that is overlooked leaves the actor there.
        stage.end([thread], [], Expected::default());
    });
}

#[test]
fn signal_against_going_idle_after_a_list() {
    model("L19 a stop against going idle after a list", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |_| other.stop());
        stage.here(move |stage| stage.tell_all(&probe, &[10, 11]));
        stage.end([thread], [], Expected::default());
    });
}

#[test]
fn drain_against_going_idle() {
    model("L19 two drains against going idle, over a lone message and after a list", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let (a, b) = (probe.clone(), probe.clone());
        let one = stage.thread(move |_| a.drain());
        let two = stage.thread(move |_| b.drain());
        stage.here(move |stage| {
            stage.tell(&probe, 10);
            stage.system().run();
            stage.tell_all(&probe, &[11, 12]);
        });
        let ledger = stage.ledger().clone();
        stage.end([one, two], [], Expected::default());
        assert_eq!(ledger.buried(), 0, "a message that was taken before the drain was not handled");
    });
}

/// Spawns a parent with children, all idle. The children's references come back in order.
fn family(stage: &Stage, children: &[u64]) -> (cuelight::ActorRef<Probe>, Vec<cuelight::ActorRef<Probe>>) {
    let parent = stage.idle(1);
    let born = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    for &id in children {
        let born = born.clone();
        stage.order(
            &parent,
            Do::new(move |this, context| {
                let child = spawn_child(context, Probe::new(id, this.ledger()), id);
                born.lock().unwrap().push(child);
            }),
        );
        stage.system().run();
    }
    let children = std::mem::take(&mut *born.lock().unwrap());
    (parent, children)
}

#[test]
fn child_born_against_stop() {
    model("L23 a child is born while its parent is stopped", 3, || {
        let stage = Stage::new();
        let parent = stage.idle(1);
        let other = parent.clone();
        let thread = stage.thread(move |_| other.stop());
        stage.here(move |_| {
            let born = Do::new(|this, context| {
                let child = spawn_child(context, Probe::new(2, this.ledger()), 2);
                child.tell(this.ledger().token(10)).unwrap();
            });
            let _ = parent.tell(born);
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [], Expected::default());
        assert_eq!(ledger.ends().last(), Some(&1), "a parent ended before its child");
    });
}

#[test]
fn last_child_against_wait() {
    model("L23 the last child ends while its parent stops and waits for it", 3, || {
        let stage = Stage::new();
        let (parent, mut children) = family(&stage, &[2]);
        let child = children.remove(0);
        let thread = stage.thread(move |_| child.stop());
        stage.here(move |_| parent.stop());
        let ledger = stage.ledger().clone();
        stage.end([thread], [], Expected::default());
        assert_eq!(ledger.ends(), [2, 1], "a parent ended before its child");
    });
}

#[test]
fn last_child_against_stop() {
    model("L23 a parent awaits its draining child: a stop comes while the child ends", 3, || {
        let stage = Stage::new();
        let (parent, children) = family(&stage, &[2]);
        drop(children);
        parent.drain();
        stage.system().turn(next_duty().unwrap());
        let child = next_duty().unwrap();
        let one = stage.thread(move |stage| stage.system().turn(child));
        stage.here(move |_| parent.stop());
        let ledger = stage.ledger().clone();
        stage.end([one], [], Expected::default());
        assert_eq!(ledger.ends(), [2, 1], "a parent ended before its child");
    });
}

#[test]
fn stop_reaches_the_child_that_is_left() {
    model("L23 a parent awaits two draining children: a stop comes while one ends, and reaches the other", 3, || {
        let stage = Stage::new();
        let (parent, children) = family(&stage, &[2, 3]);
        // The second has work left, and gets its turn after everybody else.
        stage.tell(&children[1], 10);
        let second = next_duty().unwrap();
        drop(children);
        parent.drain();
        stage.system().turn(next_duty().unwrap());
        let first = next_duty().unwrap();
        let thread = stage.thread(move |stage| stage.system().turn(first));
        stage.here(move |_| parent.stop());
        thread.join().unwrap();
        stage.system().turn(second);
        let ledger = stage.ledger().clone();
        stage.end([], [], Expected::default());
        assert_eq!(ledger.end_of(1), Some(StopReason::Stopped));
        assert_eq!(ledger.end_of(3), Some(StopReason::ParentStopped));
        assert!(ledger.order().is_empty(), "a child that was stopped went on");
    });
}

#[test]
fn stop_overtakes_drain() {
    model("L23 a stop against a drain, down to the child", 3, || {
        let stage = Stage::new();
        let (parent, children) = family(&stage, &[2]);
        drop(children);
        let other = parent.clone();
        let thread = stage.thread(move |_| other.stop());
        stage.here(move |stage| {
            stage.tell(&parent, 10);
            parent.drain();
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [], Expected::default());
        assert_eq!(ledger.ends(), [2, 1], "a parent ended before its child");
    });
}

#[test]
fn two_last_children() {
    model("L23 two children end at once, their parent waits for both", 2, || {
        let stage = Stage::new();
        let (parent, mut children) = family(&stage, &[2, 3]);
        let (second, first) = (children.pop().unwrap(), children.pop().unwrap());
        let one = stage.thread(move |_| first.stop());
        let two = stage.thread(move |_| second.stop());
        stage.here(move |_| parent.stop());
        let ledger = stage.ledger().clone();
        stage.end([one, two], [], Expected::default());
        assert_eq!(ledger.ends().last(), Some(&1), "a parent ended before its children");
    });
}

#[test]
fn slot_owner_against_thief() {
    model("L22 the slot: owner against two thieves", 2, || {
        let stage = Stage::new();
        let slot = Arc::new(Slot::new());
        let thieves = [slot.clone(), slot.clone()].map(|slot| {
            stage.thread(move |stage| {
                if let Some(runnable) = slot.steal() {
                    stage.system().turn(runnable);
                }
            })
        });
        // Actors whose first turn a thief may take: all that it knows of them comes by way of the slot.
        let (first, second) = (stage.queued(1), stage.queued(2));
        stage.here(|stage| {
            for _ in 0..2 {
                let runnable = next_duty().unwrap();
                if let Err(runnable) = slot.put(runnable) {
                    stage.system().turn(runnable);
                }
            }
            if let Some(runnable) = slot.take() {
                stage.system().turn(runnable);
            }
        });
        stage.end(thieves, [first, second], Expected::default());
    });
}

#[test]
fn bundle_against_last_reference() {
    model("hub: stocks of references against the last one", 2, || {
        let stage = Stage::new();
        let (mine, theirs) = (stage.system().bundle(), stage.system().bundle());
        let (back, away) = (mine.take(), mine.take());
        let one = stage.thread(move |stage| {
            stage.system().ledger().look();
            theirs.put(back);
            let other = theirs.take();
            drop(theirs);
            drop(other);
        });
        let two = stage.thread(move |stage| {
            stage.system().ledger().look();
            drop(away);
        });
        let (keep, put) = (mine.take(), mine.take());
        mine.put(put);
        drop(mine);
        drop(keep);
        let ledger = stage.ledger().clone();
        stage.leave([one, two]);
        ledger.check(Expected::default());
    });
}
