//! The slot beside a worker's queue: the owner fills and empties it, and sends to who waits there; a thief may be quicker.

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

/// What the owner has left in the slot and on its own list, at the end of its turn.
fn run_own(stage: &Stage, slot: &Slot) {
    if let Some(runnable) = slot.take() {
        stage.system().turn(runnable);
    }
    stage.system().run();
}

/// The owner sends to an idle actor, and then to the same one in its slot, while a thief comes: every message is handled
/// once, in order, by one of the two at a time.
#[test]
fn own_sends_against_a_thief() {
    model("slot: sends to who waits there against a thief", 3, || {
        let stage = Stage::new();
        let slot = Arc::new(Slot::new());
        let probe = stage.idle(1);
        let thief = thief(&stage, &slot);
        for id in [10, 11, 12] {
            stage.send(&slot, &probe, id);
        }
        run_own(&stage, &slot);
        let ledger = stage.ledger().clone();
        stage.end([thief], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 3);
        ledger.check_order();
    });
}

/// As above, with somebody else who sends to the same actor: what is in its mailbox came before what the owner sends later.
#[test]
fn own_sends_against_a_thief_and_a_sender() {
    model("slot: sends to who waits there against a thief and another sender", 2, || {
        let stage = Stage::new();
        let slot = Arc::new(Slot::new());
        let probe = stage.idle(1);
        let thief = thief(&stage, &slot);
        let other = probe.clone();
        let sender = stage.thread(move |stage| stage.tell(&other, 20));
        stage.send(&slot, &probe, 10);
        stage.send(&slot, &probe, 11);
        run_own(&stage, &slot);
        let ledger = stage.ledger().clone();
        stage.end([thief, sender], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 3);
        ledger.check_order();
    });
}

/// A sender's messages by way of the mailbox and by way of the slot, in its order.
#[test]
fn own_sends_after_sends_to_the_mailbox() {
    model("slot: one sender's messages by mailbox and by slot", 3, || {
        let stage = Stage::new();
        let slot = Arc::new(Slot::new());
        let (probe, runnable) = runnable(&stage, 1);
        let thief = thief(&stage, &slot);
        stage.tell(&probe, 10);
        assert!(slot.put(runnable).is_ok());
        stage.send(&slot, &probe, 11);
        stage.tell(&probe, 12);
        stage.send(&slot, &probe, 13);
        run_own(&stage, &slot);
        let ledger = stage.ledger().clone();
        stage.end([thief], [probe], Expected::default());
        assert_eq!(ledger.order_of(1), [1, 10, 11, 12, 13]);
    });
}

/// Sends by way of the slot against a stop and a drain: each message has one fate, and none is handled out of order.
#[test]
fn own_sends_against_the_end() {
    model("slot: sends to who waits there against a stop and a drain", 3, || {
        let stage = Stage::new();
        let slot = Arc::new(Slot::new());
        let (one, two) = (stage.idle(1), stage.idle(2));
        let (stopped, drained) = (one.clone(), two.clone());
        let thread = stage.thread(move |_| {
            stopped.stop();
            drained.drain();
        });
        for (probe, id) in [(&one, 10), (&two, 20)] {
            stage.send(&slot, probe, id);
            stage.send(&slot, probe, id + 1);
            run_own(&stage, &slot);
        }
        let ledger = stage.ledger().clone();
        stage.end([thread], [one, two], Expected::default());
        ledger.check_order();
    });
}

/// The owner sends to others than who waits in the slot, each for the first time: past it, into mailboxes that somebody else
/// sends to, stops and drains.
#[test]
fn own_sends_past_the_slot() {
    model("slot: sends to others than who waits there against a sender, a stop and a drain", 3, || {
        let stage = Stage::new();
        let slot = Slot::new();
        let (first, one, two) = (stage.idle(1), stage.idle(2), stage.idle(3));
        let (stopped, drained) = (one.clone(), two.clone());
        let thread = stage.thread(move |stage| {
            stage.tell(&stopped, 21);
            stopped.stop();
            drained.drain();
        });
        for (probe, id) in [(&first, 10), (&one, 20), (&two, 30)] {
            stage.send(&slot, probe, id);
        }
        run_own(&stage, &slot);
        let ledger = stage.ledger().clone();
        stage.end([thread], [first, one, two], Expected::default());
        ledger.check_order();
    });
}

/// The owner finds an actor idle whose last turn another thread has just ended.
#[test]
fn own_send_after_a_turn_elsewhere() {
    model("slot: a send to an actor that goes idle elsewhere", 3, || {
        let stage = Stage::new();
        let slot = Arc::new(Slot::new());
        let probe = stage.idle(1);
        let other = probe.clone();
        let thread = stage.thread(move |stage| {
            stage.tell(&other, 20);
            stage.system().run();
            stage.tell(&other, 21);
        });
        for id in [10, 11] {
            stage.send(&slot, &probe, id);
            run_own(&stage, &slot);
        }
        let ledger = stage.ledger().clone();
        stage.end([thread], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 4);
        ledger.check_order();
    });
}
