//! Links: both or neither, and each is told once.

use cuelight::{ActorRef, StopReason};
use loom_tests::kernel::{Do, Expected, Probe, Stage};
use loom_tests::model;

fn link(stage: &Stage, from: &ActorRef<Probe>, to: &ActorRef<Probe>) {
    let to = to.clone();
    // One that has been stopped takes no orders.
    if from.tell(Do::new(move |_, context| context.link(&to))).is_err() {
        stage.system().ledger().look();
    }
}

#[test]
fn link_against_stop() {
    model("links: a link against the end of its target: the linker ends, too", 3, || {
        let stage = Stage::new();
        let (linker, target) = (stage.idle(1), stage.idle(2));
        let stopped = target.clone();
        let stop = stage.thread(move |_| stopped.stop());
        stage.here(|stage| link(stage, &linker, &target));
        let ledger = stage.ledger().clone();
        stop.join().unwrap();
        stage.system().run();
        assert_eq!(ledger.end_of(1), Some(StopReason::Linked));
        drop((linker, target));
        stage.end([], [], Expected::default());
    });
}

#[test]
fn trapped_link_against_stop() {
    model("links: the same when the linker traps: one notice", 3, || {
        let stage = Stage::new();
        let (linker, target) = (stage.idle(1), stage.idle(2));
        stage.here(|stage| stage.order(&linker, Do::new(|_, context| context.trap_links(true))));
        let stopped = target.clone();
        let stop = stage.thread(move |_| stopped.stop());
        stage.here(|stage| link(stage, &linker, &target));
        let ledger = stage.ledger().clone();
        drop(target);
        stage.end([stop], [linker], Expected::default());
        assert_eq!(ledger.notices(), [(2, StopReason::Stopped)]);
    });
}

#[test]
fn linked_actors_end_together() {
    model("links: both ends of a link end at once, and a third one with them", 2, || {
        let stage = Stage::new();
        let (a, b, c) = (stage.idle(1), stage.idle(2), stage.idle(3));
        stage.here(|stage| {
            link(stage, &a, &b);
            link(stage, &b, &c);
        });
        let one = stage.thread(move |_| a.stop());
        let two = stage.thread(move |_| b.stop());
        drop(c);
        let ledger = stage.ledger().clone();
        stage.end([one, two], [], Expected::default());
        assert_eq!(ledger.ends().len(), 3);
    });
}

#[test]
fn two_link_each_other_while_one_ends() {
    model("links: two link each other while one ends: both end", 2, || {
        let stage = Stage::new();
        let (a, b) = (stage.idle(1), stage.idle(2));
        let (from, to, stopped) = (b.clone(), a.clone(), a.clone());
        let one = stage.thread(move |stage| link(stage, &from, &to));
        let two = stage.thread(move |_| stopped.stop());
        stage.here(|stage| link(stage, &a, &b));
        let ledger = stage.ledger().clone();
        drop((a, b));
        stage.end([one, two], [], Expected::default());
        assert_eq!(ledger.ends().len(), 2);
    });
}
