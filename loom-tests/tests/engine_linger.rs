//! An actor that lingers at the worker that has run it: who comes for it gets it, and nobody else has it meanwhile.

use cuelight::ActorRef;
use cuelight::dev_hooks::kernel::{Next, Slot, inspect, next_duty, spawn_child};
use loom_tests::kernel::{Bomb, Do, Expected, Probe, Stage};
use loom_tests::{Arc, model, thread};

/// Runs as that worker who waits in its slot.
fn run_own(stage: &Stage, slot: &Slot) {
    if let Some(runnable) = slot.take() {
        stage.system().turn_and_keep(runnable);
    }
}

/// The worker's next turn is over.
fn go_on(stage: &Stage, slot: &Slot) {
    run_own(stage, slot);
    stage.system().let_go();
    stage.system().run();
}

/// An actor that lingers at this thread after its message 10.
fn lingering(stage: &Stage, slot: &Slot) -> ActorRef<Probe> {
    let probe = stage.idle(1);
    stage.send(slot, &probe, 10);
    run_own(stage, slot);
    probe
}

fn sender(stage: &Stage, to: &ActorRef<Probe>, id: u32) -> thread::JoinHandle<()> {
    let to = to.clone();
    stage.thread(move |stage| stage.tell(&to, id))
}

/// Its worker is in a turn that does not end.
#[test]
fn senders_against_each_other() {
    model("linger: two senders find it", 3, || {
        let (stage, slot) = (Stage::new(), Slot::new());
        let probe = lingering(&stage, &slot);
        for sender in [sender(&stage, &probe, 20), sender(&stage, &probe, 30)] {
            sender.join().unwrap();
        }
        assert_eq!(stage.ledger().order().len(), 3, "a message waits for the worker");
        stage.system().let_go();
        stage.end([], [probe], Expected::default());
    });
}

/// Its worker sends to it, runs it, and keeps it again.
#[test]
fn its_worker_against_a_sender() {
    model("linger: its worker sends to it, and somebody else", 3, || {
        let (stage, slot) = (Stage::new(), Slot::new());
        let probe = lingering(&stage, &slot);
        let sender = sender(&stage, &probe, 20);
        for id in [11, 12] {
            stage.send(&slot, &probe, id);
            run_own(&stage, &slot);
        }
        go_on(&stage, &slot);
        let ledger = stage.ledger().clone();
        stage.end([sender], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 4, "a message was left");
        ledger.check_order();
    });
}

/// It goes in and out while a message comes.
#[test]
fn a_sender_before_and_after() {
    model("linger: a message while it goes in, and while it goes out", 3, || {
        let (stage, slot) = (Stage::new(), Slot::new());
        let probe = stage.idle(1);
        let other = probe.clone();
        let sender = stage.thread(move |stage| {
            stage.tell(&other, 20);
            stage.system().run();
            stage.tell(&other, 21);
        });
        stage.send(&slot, &probe, 10);
        run_own(&stage, &slot);
        go_on(&stage, &slot);
        let ledger = stage.ledger().clone();
        stage.end([sender], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 3, "a message was left");
        ledger.check_order();
    });
}

/// A thief comes for what is stuck, and a message comes, while the worker's turn ends.
#[test]
fn a_thief_against_a_sender() {
    model("linger: a thief, a sender, and its worker lets go", 2, || {
        let (stage, slot) = (Stage::new(), Slot::new());
        let probe = lingering(&stage, &slot);
        let thief = stage.thread(move |stage| {
            if let Some(runnable) = stage.system().steal_lingering() {
                stage.system().turn(runnable);
            }
        });
        let sender = sender(&stage, &probe, 20);
        go_on(&stage, &slot);
        let ledger = stage.ledger().clone();
        stage.end([thief, sender], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 2, "a message was left");
    });
}

/// Its worker is in a turn that does not end.
fn an_end_against_a_sender(end: fn(&ActorRef<Probe>)) {
    let (stage, slot) = (Stage::new(), Slot::new());
    let probe = lingering(&stage, &slot);
    let other = probe.clone();
    let ends = stage.thread(move |_| end(&other));
    for thread in [ends, sender(&stage, &probe, 20)] {
        thread.join().unwrap();
    }
    assert!(stage.ledger().end_of(1).is_some(), "its end waits for the worker");
    stage.system().let_go();
    stage.end([], [probe], Expected::default());
}

#[test]
fn a_stop_against_a_sender() {
    model("linger: a stop and a message find it", 3, || an_end_against_a_sender(ActorRef::stop));
}

#[test]
fn a_drain_against_a_sender() {
    model("linger: a drain and a message find it", 3, || an_end_against_a_sender(ActorRef::drain));
}

/// Whoever looks gives it back, or hands it on.
#[test]
fn a_look_against_a_sender() {
    model("linger: a look, and its worker sends to it", 2, || {
        let (stage, slot) = (Stage::new(), Slot::new());
        let probe = lingering(&stage, &slot);
        let other = probe.clone();
        let look = stage.thread(move |_| {
            inspect(&other);
        });
        let sender = sender(&stage, &probe, 20);
        stage.send(&slot, &probe, 11);
        go_on(&stage, &slot);
        let ledger = stage.ledger().clone();
        stage.end([look, sender], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 3, "a message was left");
    });
}

/// Its child fails while its worker is in a turn that does not end.
#[test]
fn a_child_that_fails() {
    model("linger: its child fails, and a message finds it", 3, || {
        let (stage, slot) = (Stage::new(), Slot::new());
        let probe = stage.idle(1);
        let (born, child) = std::sync::mpsc::channel();
        stage.order(
            &probe,
            Do::new(move |this, context| {
                let _ = born.send(spawn_child(context, Probe::new(2, this.ledger()), 2));
            }),
        );
        stage.system().run();
        let child = child.recv().unwrap();
        stage.send(&slot, &probe, 10);
        run_own(&stage, &slot);
        let fails = stage.thread(move |stage| {
            let token = stage.token(40);
            stage.order(&child, Bomb(token));
        });
        for thread in [fails, sender(&stage, &probe, 20)] {
            thread.join().unwrap();
        }
        assert!(stage.system().steal_lingering().is_none(), "a failure waits for the worker");
        assert!(next_duty().is_none());
        stage.end([], [probe], Expected { panics: 1, ..Expected::default() });
    });
}

/// Those who come too early leave it its note, which it needs again.
#[test]
fn a_look_before_it_is_back() {
    model("linger: looks that come too early, then a sender", 3, || {
        let (stage, slot) = (Stage::new(), Slot::new());
        let probe = lingering(&stage, &slot);
        let other = probe.clone();
        let looks = stage.thread(move |_| {
            inspect(&other);
            inspect(&other);
        });
        stage.send(&slot, &probe, 11);
        run_own(&stage, &slot);
        stage.system().run();
        looks.join().unwrap();
        sender(&stage, &probe, 20).join().unwrap();
        assert_eq!(stage.ledger().order().len(), 3, "a message waits for the worker");
        stage.system().let_go();
        stage.end([], [probe], Expected::default());
    });
}

/// Two actors that run may still be in their parent's stack, which it turns round meanwhile.
#[test]
fn notes_against_links() {
    model("linger: notes of places against links", 3, || {
        let nexts = Arc::new([Next::new(), Next::new()]);
        nexts[0].link(256);
        let notes = [0, 1].map(|actor| {
            let nexts = nexts.clone();
            thread::spawn(move || {
                for worker in [3, 4] {
                    nexts[actor].note(worker);
                }
            })
        });
        assert_eq!((nexts[0].linked(), nexts[1].linked()), (256, 0));
        nexts[0].link(0);
        nexts[1].link(512);
        for note in notes {
            note.join().unwrap();
        }
        assert_eq!((nexts[0].linked(), nexts[1].linked()), (0, 512), "a link was lost");
        assert!(!nexts[1].note(5), "a note took the place of a link");
        assert!(nexts[0].note(5));
        assert_eq!((nexts[0].place(), nexts[1].place()), (Some(5), None));
    });
}
