//! The slot beside a worker's queue: the owner fills and empties it, a thief may be quicker.

use cuelight::ActorRef;
use cuelight::dev_hooks::kernel::{Runnable, Slot, next_duty};
use loom_tests::kernel::{Expected, Probe, Stage};
use loom_tests::{Arc, model, thread};

/// An actor with a message, and with turns behind it on this thread.
fn runnable(stage: &Stage, id: u64) -> (ActorRef<Probe>, Runnable) {
    let probe = stage.idle(id);
    stage.tell(&probe, id as u32);
    (probe, next_duty().expect("the tell found it idle"))
}

/// A thread that comes once, and runs what it gets.
fn thief(stage: &Stage, slot: &Arc<Slot>) -> thread::JoinHandle<()> {
    let slot = slot.clone();
    stage.thread(move |stage| {
        if let Some(runnable) = slot.steal() {
            stage.system().turn(runnable);
        }
    })
}

/// The owner puts two actors in, one after the other, and takes out what is there; two thieves come. Each actor has one
/// turn, on one of the three, after its earlier ones; the ledger knows.
#[test]
fn owner_against_thieves() {
    model("slot: two puts and takes against two thefts", 2, || {
        let stage = Stage::new();
        let slot = Arc::new(Slot::new());
        let (first, one) = runnable(&stage, 1);
        let (second, two) = runnable(&stage, 2);
        let thieves = [thief(&stage, &slot), thief(&stage, &slot)];
        assert!(slot.put(one).is_ok(), "only the owner fills it");
        // A full slot gives the newcomer back, for the queue.
        let queued = slot.put(two).err();
        let taken = slot.take();
        assert!(slot.take().is_none(), "taken twice");
        for runnable in [taken, queued].into_iter().flatten() {
            stage.system().turn(runnable);
        }
        stage.end(thieves, [first, second], Expected::default());
    });
}

/// An actor comes back into the slot while thieves still look at its last stay: whoever gets it then has it alone.
#[test]
fn an_actor_comes_back_to_the_slot() {
    model("slot: the same actor again", 2, || {
        let stage = Stage::new();
        let slot = Arc::new(Slot::new());
        let (probe, runnable) = runnable(&stage, 1);
        let thieves = [thief(&stage, &slot), thief(&stage, &slot)];
        assert!(slot.put(runnable).is_ok());
        if let Some(runnable) = slot.take() {
            stage.system().turn(runnable);
            stage.tell(&probe, 2);
            let again = next_duty().expect("its turn was over");
            assert!(slot.put(again).is_ok());
            if let Some(runnable) = slot.take() {
                stage.system().turn(runnable);
            }
        }
        stage.end(thieves, [probe], Expected::default());
    });
}
