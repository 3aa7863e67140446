//! Watches: exactly one notice for each.

use cuelight::StopReason;
use loom_tests::kernel::{Bomb, Do, Expected, NOTICE, Stage};
use loom_tests::model;

#[test]
fn watch_against_stop() {
    model("L18 a watch against the end of its target: one notice", 3, || {
        let stage = Stage::new();
        let (watcher, target) = (stage.idle(1), stage.idle(2));
        let watched = target.clone();
        let stop = stage.thread(move |_| target.stop());
        stage.here(|stage| stage.order(&watcher, Do::new(move |_, context| context.watch(&watched))));
        let ledger = stage.ledger().clone();
        stage.end([stop], [watcher], Expected::default());
        assert_eq!(ledger.notices(), [(2, StopReason::Stopped)]);
    });
}

#[test]
fn watch_against_panic() {
    model("L18 two watchers against a panic of their target: a notice each, with the reason", 2, || {
        let stage = Stage::new();
        let (first, second, target) = (stage.idle(1), stage.idle(3), stage.idle(2));
        let (a, b) = (target.clone(), target.clone());
        let (watch, other) = (first.clone(), second.clone());
        let one = stage.thread(move |stage| stage.order(&watch, Do::new(move |_, context| context.watch(&a))));
        let two = stage.thread(move |stage| stage.order(&other, Do::new(move |_, context| context.watch(&b))));
        stage.here(move |stage| stage.order(&target, Bomb(stage.token(10))));
        let ledger = stage.ledger().clone();
        stage.end([one, two], [first, second], Expected { panics: 1, ..Expected::default() });
        let notice = (2, StopReason::Panicked("intended".into()));
        assert_eq!(ledger.notices(), [notice.clone(), notice]);
    });
}

#[test]
fn unwatch_against_stop() {
    model("L18 an unwatch against the end of its target: one notice at most, and its node comes back", 3, || {
        let stage = Stage::new();
        let (watcher, target) = (stage.idle(1), stage.idle(2));
        let (watched, unwatched) = (target.clone(), target.clone());
        stage.order(&watcher, Do::new(move |_, context| context.watch(&watched)));
        stage.system().run();
        let stop = stage.thread(move |_| target.stop());
        let books = stage.ledger().clone();
        stage.here(|stage| {
            stage.order(
                &watcher,
                Do::new(move |this, context| {
                    context.unwatch(&unwatched);
                    books.note(this.ledger().end_of(2).is_none());
                }),
            );
        });
        let ledger = stage.ledger().clone();
        stage.end([stop], [watcher], Expected::default());
        let in_time = ledger.noted();
        assert!(ledger.notices().len() <= usize::from(!in_time), "{:?}, in time: {in_time}", ledger.notices());
    });
}

#[test]
fn watcher_and_target_end_together() {
    model("L18 watcher and target end together: the notice arrives or is buried", 3, || {
        let stage = Stage::new();
        let (watcher, target) = (stage.idle(1), stage.idle(2));
        let watched = target.clone();
        stage.order(&watcher, Do::new(move |_, context| context.watch(&watched)));
        stage.system().run();
        let thread = stage.thread(move |_| target.stop());
        stage.here(move |_| watcher.stop());
        let ledger = stage.ledger().clone();
        stage.end([thread], [], Expected::default());
        assert_eq!(ledger.notices().len() as u64 + ledger.buried(), 1);
    });
}

#[test]
fn notice_comes_last() {
    model("promise 7: a notice comes after all that the ended actor has sent", 3, || {
        let stage = Stage::new();
        let (watcher, target) = (stage.idle(1), stage.idle(2));
        let (watched, other) = (target.clone(), watcher.clone());
        stage.order(&watcher, Do::new(move |_, context| context.watch(&watched)));
        stage.system().run();
        let thread = stage.thread(move |stage| stage.tell(&other, 20));
        let (to, books) = (watcher.clone(), stage.ledger().clone());
        stage.here(move |stage| {
            let end = Do::new(move |this, context| {
                let (last, pen) = (to.clone(), books.clone());
                this.at_the_end(move || [12, 13].into_iter().for_each(|id| last.tell(pen.token(id)).unwrap()));
                [10, 11].into_iter().for_each(|id| to.tell(books.token(id)).unwrap());
                context.stop();
            });
            stage.order(&target, end);
        });
        let ledger = stage.ledger().clone();
        stage.end([thread], [watcher], Expected::default());
        let mut order = ledger.order_of(1);
        order.retain(|id| *id != 20);
        assert_eq!(order, [10, 11, 12, 13, NOTICE]);
    });
}
