//! The outbox: a handler's held chain against its receiver.

use cuelight::ActorRef;
use loom_tests::kernel::{Do, Expected, Ledger, Probe, Question, Stage};
use loom_tests::model;

#[test]
fn flush_against_going_idle() {
    model("L11 a handler's held sends against a receiver that goes idle", 3, || {
        let stage = Stage::new();
        let (sender, receiver) = (stage.idle(1), stage.idle(2));
        let (other, to) = (receiver.clone(), receiver.clone());
        let thread = stage.thread(move |stage| {
            stage.tell(&other, 20);
            stage.system().run();
            stage.tell(&other, 21);
        });
        let books = stage.ledger().clone();
        stage.here(|stage| {
            let send = move |_: &mut _, _: &mut _| {
                for id in 10..14 {
                    to.tell(books.token(id)).unwrap();
                }
            };
            stage.order(&sender, Do::new(send));
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [sender, receiver], Expected::default());
        assert_eq!(ledger.order().len(), 6);
        ledger.check_order();
    });
}

#[test]
fn chain_against_the_end() {
    model("L21 a held chain against its receiver's end: the chain's reference is the last", 3, || {
        let stage = Stage::with(true, 64);
        let (sender, receiver) = (stage.idle(1), stage.idle(2));
        let other = receiver.clone();
        let thread = stage.thread(move |stage| {
            stage.tell(&other, 20);
            other.stop();
        });
        let books = stage.ledger().clone();
        stage.here(move |stage| {
            // The script's own reference is dropped with it, before what it has sent is flushed.
            let send = move |_: &mut _, _: &mut _| {
                for id in 10..13 {
                    if let Err(refused) = receiver.tell(books.token(id)) {
                        refused.into_message().returned();
                    }
                }
            };
            stage.order(&sender, Do::new(send));
            stage.system().run();
            sender.stop();
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [], Expected::default());
        ledger.check_order();
    });
}

#[test]
fn every_kind_of_send_keeps_the_order() {
    model("promise 2: tell, ask, send_all of one handler, in order", 3, || {
        let stage = Stage::new();
        let (sender, receiver) = (stage.idle(1), stage.idle(2));
        let (other, to) = (receiver.clone(), receiver.clone());
        let thread = stage.thread(move |stage| stage.tell(&other, 20));
        let books = stage.ledger().clone();
        stage.here(|stage| {
            let send = move |_: &mut _, _: &mut _| {
                to.tell(books.token(10)).unwrap();
                to.tell(books.token(11)).unwrap();
                drop(to.ask(Question(books.token(12))));
                to.tell(books.token(13)).unwrap();
                to.send_all([14, 15].map(|id| books.token(id))).unwrap();
                to.tell(books.token(16)).unwrap();
            };
            stage.order(&sender, Do::new(send));
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [sender, receiver], Expected::default());
        assert_eq!(ledger.order().len(), 8);
        ledger.check_order();
    });
}

/// Sends when it is dropped.
struct Echo {
    to: ActorRef<Probe>,
    ledger: Ledger,
}

impl Drop for Echo {
    fn drop(&mut self) {
        for id in [30, 31] {
            self.to.tell(self.ledger.token(id)).unwrap();
        }
    }
}

#[test]
fn drops_that_send() {
    model("outbox: a dead letter's drop sends, too", 3, || {
        let stage = Stage::new();
        let [sender, closing, receiver, third] = [1, 2, 3, 4].map(|id| stage.idle(id));
        let (other, a, b) = (closing.clone(), closing.clone(), receiver.clone());
        let thread = stage.thread(move |_| other.drain());
        let echo = Echo { to: third.clone(), ledger: stage.ledger().clone() };
        let books = stage.ledger().clone();
        stage.here(|stage| {
            let send = move |_: &mut _, _: &mut _| {
                // The second is held, and dropped where the next send flushes it, if the receiver has closed by then.
                let _ = a.tell(Do::new(|_, _| ()));
                let _ = a.tell(Do::new(move |_, _| drop(echo)));
                for id in 10..13 {
                    b.tell(books.token(id)).unwrap();
                }
            };
            stage.order(&sender, Do::new(send));
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [sender, closing, receiver, third], Expected::default());
        assert_eq!(ledger.order_of(3), [10, 11, 12]);
        assert_eq!(ledger.order_of(4), [30, 31]);
    });
}
