//! Names: one actor at a time, which all who want it get.

use cuelight::ActorRef;
use loom_tests::kernel::{Expected, Probe, Stage};
use loom_tests::model;

/// The actor that has the name, or a new one with this identity.
fn want(stage: &Stage, id: u64) -> ActorRef<Probe> {
    stage.system().get_or_spawn("n", id, || Probe::new(id, stage.ledger())).expect("nobody waits in a circle")
}

#[test]
fn two_want_one_name() {
    model("names: two who want one actor: one makes it, both get it", 3, || {
        let stage = Stage::new();
        let other = stage.thread(|stage| stage.tell(&want(stage, 1), 10));
        stage.here(|stage| stage.tell(&want(stage, 2), 20));
        let ledger = stage.ledger().clone();
        let probe = want(&stage, 3);
        assert!([1, 2].contains(&probe.id().get()));
        stage.end([other], [probe], Expected::default());
        assert_eq!((ledger.ends().len(), ledger.order().len()), (1, 2));
    });
}

#[test]
fn a_name_is_wanted_while_its_actor_ends() {
    model("names: an actor ends while two want its name: the old one, or one new one after it", 2, || {
        let stage = Stage::new();
        let old = want(&stage, 1);
        stage.system().run();
        let stop = stage.thread(move |_| old.stop());
        let ledger = stage.ledger().clone();
        let after = |stage: &Stage, wanted: &ActorRef<Probe>| {
            if wanted.id().get() > 1 {
                assert_eq!(stage.ledger().ends()[0], 1, "the old one has ended");
            }
        };
        let other = stage.thread(move |stage| {
            let wanted = want(stage, 2);
            after(stage, &wanted);
            stage.tell(&wanted, 20);
        });
        let wanted = want(&stage, 3);
        after(&stage, &wanted);
        stage.here(|stage| stage.tell(&wanted, 30));
        stop_all(stage, [stop, other], wanted);
        assert_eq!(ledger.ends().len(), 2, "the old one, and one of the others");
    });
}

/// Ends whoever has the name now, too.
fn stop_all(stage: Stage, threads: [loom_tests::thread::JoinHandle<()>; 2], wanted: ActorRef<Probe>) {
    for thread in threads {
        thread.join().unwrap();
    }
    stage.system().run();
    let last = want(&stage, 4);
    stage.system().run();
    stage.end([], [wanted, last], Expected::default());
}
