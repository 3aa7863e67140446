//! The parker: no wake-up is lost, none is taken twice.

use cuelight::dev_hooks::engine::Parker;
use cuelight::dev_hooks::sync::atomic::{AtomicUsize, Ordering};
use loom_tests::{Arc, model, thread};
use std::time::Duration;

/// Two wakers against an owner that parks again: what either published before its `unpark` is seen after the owner's
/// parks, however many of them the two wake-ups took, and nothing is left behind.
fn two_wakers(park: fn(&Parker) -> bool) {
    let shared = Arc::new((Parker::new(), [AtomicUsize::new(0), AtomicUsize::new(0)]));
    let wakers: Vec<_> = (0..2)
        .map(|waker| {
            let shared = shared.clone();
            thread::spawn(move || {
                // Ordering: Relaxed: the parker publishes it, or the model fails.
                shared.1[waker].store(1, Ordering::Relaxed);
                shared.0.unpark();
            })
        })
        .collect();
    let (parker, published) = &*shared;
    let mut parks = 0;
    // Ordering: Relaxed, as above.
    while published.iter().any(|published| published.load(Ordering::Relaxed) == 0) {
        // A lost wake-up is a deadlock here.
        if park(parker) {
            parks += 1;
            assert!(parks <= 2, "a wake-up was taken twice");
        }
    }
    wakers.into_iter().for_each(|waker| waker.join().unwrap());
    // A waker that came between the owner's last look and now has left its token: one at most, and then it is empty.
    let left = usize::from(parker.try_take());
    assert!(parks + left <= 2 && !parker.try_take(), "{parks} parks and {left} more from two wake-ups");
    parker.unpark();
    assert!(park(parker) && !parker.try_take());
}

#[test]
fn two_wakers_and_a_re_park() {
    model("two wakers and a re-park", 2, || two_wakers(Parker::park));
}

/// A time limit that does not run out changes nothing.
#[test]
fn two_wakers_and_a_timed_re_park() {
    model("two wakers and a timed re-park", 2, || two_wakers(|parker| parker.park_timeout(Duration::from_secs(60))));
}
