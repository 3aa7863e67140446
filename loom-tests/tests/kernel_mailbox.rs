//! The mailbox: who schedules, what is refused, in which order it is handled.

use loom_tests::kernel::{Expected, Stage};
use loom_tests::model;

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
