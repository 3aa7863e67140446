//! Bounded mailboxes: credits, those who wait for one, and the oldest that makes room.

use cuelight::dev_hooks::kernel::next_duty;
use cuelight::{ActorRef, Overflow, TellError};
use loom_tests::kernel::{Do, Expected, Probe, Stage, Token, Wakes};
use loom_tests::{model, thread};
use std::sync::Arc;
use std::task::Poll;

/// An actor with room for one, which is taken.
fn taken(stage: &Stage, overflow: Overflow) -> ActorRef<Probe> {
    let probe = stage.bounded(1, 1, overflow);
    stage.tell(&probe, 10);
    probe
}

/// A thread that gives the actor its turn.
fn turn(stage: &Stage) -> thread::JoinHandle<()> {
    let turn = next_duty().unwrap();
    stage.thread(move |stage| stage.system().turn(turn))
}

/// An actor with room for one, which is taken, and a thread that runs it.
fn full(stage: &Stage, overflow: Overflow) -> (ActorRef<Probe>, thread::JoinHandle<()>) {
    let probe = taken(stage, overflow);
    (probe, turn(stage))
}

/// A thread that sends one message.
fn sender(stage: &Stage, to: &ActorRef<Probe>, id: u32) -> thread::JoinHandle<()> {
    let to = to.clone();
    stage.thread(move |stage| stage.tell(&to, id))
}

#[test]
fn two_senders_at_the_last_credit() {
    model("L14 two senders at the last two credits, before anything is handled", 3, || {
        let stage = Stage::new();
        let probe = stage.bounded(1, 2, Overflow::Reject);
        let to = probe.clone();
        let thread = stage.thread(move |stage| {
            stage.tell(&to, 10);
            stage.tell(&to, 11);
        });
        stage.tell(&probe, 20);
        stage.tell(&probe, 21);
        thread.join().unwrap();
        stage.system().run();
        // Two found room, whoever sent them.
        assert_eq!(stage.ledger().order().len(), 2);
        stage.ledger().check_order();
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn credits_come_back() {
    model("L14 two senders and a consumer at two credits", 2, || {
        let stage = Stage::new();
        let probe = stage.bounded(1, 2, Overflow::Reject);
        stage.tell(&probe, 5);
        let senders = [10, 20].map(|id| sender(&stage, &probe, id));
        stage.system().run();
        senders.into_iter().for_each(|thread| thread.join().unwrap());
        stage.system().run();
        // All credits are back: there is room for two, and for no more.
        let before = stage.ledger().order().len();
        (30..33).for_each(|id| stage.tell(&probe, id));
        stage.system().run();
        assert_eq!(stage.ledger().order()[before..], [30, 31]);
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn a_credit_against_one_who_waits() {
    model("L14 a credit that comes back against one who begins to wait and one who only sends", 2, || {
        let stage = Stage::new();
        let (probe, thread) = full(&stage, Overflow::Reject);
        let other = sender(&stage, &probe, 30);
        let wakes = Wakes::new();
        let mut tell = probe.tell_async(stage.token(20));
        let mut sent = wakes.poll_tell(&mut tell);
        thread.join().unwrap();
        other.join().unwrap();
        stage.system().run();
        if sent.is_pending() {
            assert_eq!(wakes.count(), 1, "a wake-up is lost");
            sent = wakes.poll_tell(&mut tell);
        }
        assert!(matches!(sent, Poll::Ready(Ok(()))));
        drop(tell);
        assert_eq!(Arc::strong_count(&wakes), 1, "a waker was kept");
        stage.system().run();
        let order = stage.ledger().order();
        assert!(order[0] == 10 && order.contains(&20), "{order:?}");
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn a_credit_against_one_who_gives_up() {
    model("L14 a credit that comes back against the first of two who gives up, and one who only sends", 2, || {
        let stage = Stage::new();
        let probe = taken(&stage, Overflow::Reject);
        let (first_wakes, wakes) = (Wakes::new(), Wakes::new());
        let (mut first, mut second) = (probe.tell_async(stage.token(20).kept()), probe.tell_async(stage.token(30)));
        assert!(first_wakes.poll_tell(&mut first).is_pending() && wakes.poll_tell(&mut second).is_pending());
        let thread = turn(&stage);
        let other = sender(&stage, &probe, 40);
        drop(first);
        let mut sent = wakes.poll_tell(&mut second);
        thread.join().unwrap();
        other.join().unwrap();
        if sent.is_pending() {
            assert_eq!(wakes.count(), 1, "the credit is lost");
            sent = wakes.poll_tell(&mut second);
        }
        assert!(matches!(sent, Poll::Ready(Ok(()))));
        drop(second);
        assert_eq!((Arc::strong_count(&first_wakes), Arc::strong_count(&wakes)), (1, 1), "a waker was kept");
        stage.system().run();
        // Nobody overtakes those who wait.
        assert_eq!(stage.ledger().order()[..2], [10, 30]);
        stage.end([], [probe], Expected::default());
    });
}

/// What one sees who waited until the mailbox was closed.
fn closed(stage: &Stage, sent: Poll<Result<(), TellError<Token>>>) {
    match sent {
        Poll::Ready(Err(TellError::Stopped(token))) => token.returned(),
        other => stage.ledger().fault(format!("{other:?}")),
    }
}

#[test]
fn a_drain_against_one_who_waits() {
    model("L14 a drain against one who begins to wait and one who only sends, while nothing is handled", 2, || {
        let stage = Stage::new();
        let probe = taken(&stage, Overflow::Reject);
        let drained = probe.clone();
        let thread = stage.thread(move |_| drained.drain());
        let other = sender(&stage, &probe, 30);
        let wakes = Wakes::new();
        let mut tell = probe.tell_async(stage.token(20));
        let mut sent = wakes.poll_tell(&mut tell);
        thread.join().unwrap();
        other.join().unwrap();
        if sent.is_pending() {
            assert_eq!(wakes.count(), 1, "a wake-up is lost");
            sent = wakes.poll_tell(&mut tell);
        }
        closed(&stage, sent);
        drop(tell);
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn an_end_against_one_who_waits() {
    model("L14 the end of an actor against those who wait, one who begins to, and one who only sends", 2, || {
        let stage = Stage::new();
        let probe = taken(&stage, Overflow::Reject);
        let wakes = [(); 3].map(|()| Wakes::new());
        let mut tells = [20, 21, 22].map(|id| probe.tell_async(stage.token(id)));
        // The first will get the credit that comes back, and does not look before all is over.
        assert!(wakes[0].poll_tell(&mut tells[0]).is_pending() && wakes[1].poll_tell(&mut tells[1]).is_pending());
        probe.stop();
        let thread = turn(&stage);
        let other = sender(&stage, &probe, 30);
        let third = wakes[2].poll_tell(&mut tells[2]);
        thread.join().unwrap();
        other.join().unwrap();
        // All were woken, though nobody has used or given back the credit.
        let woken = wakes.each_ref().map(|wakes| wakes.count());
        assert_eq!(woken, [1, 1, usize::from(third.is_pending())], "a wake-up is lost");
        if third.is_ready() {
            closed(&stage, third);
        }
        for (tell, count) in tells.iter_mut().zip(woken) {
            if count == 1 {
                closed(&stage, Wakes::new().poll_tell(tell));
            }
        }
        drop(tells);
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn a_notice_of_room_against_the_credit() {
    model("L14 a credit that comes back against an actor that asks to be told, and one who only sends", 2, || {
        let stage = Stage::new();
        let writer = stage.idle(2);
        let (probe, thread) = full(&stage, Overflow::Reject);
        let other = sender(&stage, &probe, 30);
        let target = probe.clone();
        stage.order(&writer, Do::new(move |_, context| context.notify_writable(&target)));
        stage.system().run();
        thread.join().unwrap();
        other.join().unwrap();
        stage.system().run();
        assert_eq!(stage.ledger().resumed(), 1, "exactly one notice");
        stage.end([], [probe, writer], Expected::default());
    });
}

#[test]
fn the_oldest_makes_room() {
    model("L14 a sender displaces what the consumer is about to handle", 3, || {
        let stage = Stage::new();
        let (probe, thread) = full(&stage, Overflow::DropOldest);
        stage.tell(&probe, 20);
        stage.tell(&probe, 21);
        thread.join().unwrap();
        stage.system().run();
        let order = stage.ledger().order();
        assert_eq!(order.last(), Some(&21), "the newest is not dropped: {order:?}");
        assert_eq!(order.len() as u64 + stage.ledger().buried(), 3);
        assert!(order.is_sorted(), "{order:?}");
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn two_displace_at_once() {
    model("L14 two senders displace, while the consumer goes idle", 2, || {
        let stage = Stage::new();
        let (probe, thread) = full(&stage, Overflow::DropOldest);
        let other = sender(&stage, &probe, 30);
        stage.tell(&probe, 20);
        stage.tell(&probe, 21);
        thread.join().unwrap();
        other.join().unwrap();
        stage.system().run();
        assert_eq!(stage.ledger().order().len() as u64 + stage.ledger().buried(), 4);
        stage.ledger().check_order();
        // The one credit is back.
        stage.tell(&probe, 40);
        stage.system().run();
        assert_eq!(stage.ledger().order().last(), Some(&40));
        stage.end([], [probe], Expected::default());
    });
}

#[test]
fn displacing_against_the_end() {
    model("L14 a sender displaces while the actor is stopped", 3, || {
        let stage = Stage::new();
        let (probe, thread) = full(&stage, Overflow::DropOldest);
        stage.tell(&probe, 20);
        probe.stop();
        stage.tell(&probe, 21);
        thread.join().unwrap();
        stage.end([], [probe], Expected::default());
    });
}
