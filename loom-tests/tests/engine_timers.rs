//! The timers that all workers share: each value comes out once.

use cuelight::dev_hooks::engine::Timers;
use loom_tests::{Arc, model, thread};

const MS: u64 = 1_000_000;

/// A timer is cancelled while it fires and another one is set.
#[test]
fn a_timer_is_cancelled_or_fires() {
    model("timers: insert, cancel and fire", 2, || {
        let timers = Arc::new(Timers::new());
        let key = timers.insert(MS, 1).key;
        let canceller = {
            let timers = timers.clone();
            thread::spawn(move || timers.cancel(key))
        };
        let worker = {
            let timers = timers.clone();
            thread::spawn(move || {
                let mut due = Vec::new();
                timers.poll(MS, &mut due);
                due
            })
        };
        let second = timers.insert(MS, 2);
        let cancelled = canceller.join().unwrap();
        let fired = worker.join().unwrap();
        let mut all = fired.clone();
        all.extend(cancelled);
        assert_eq!(timers.cancel(key), None, "it has come out");
        assert_eq!(timers.next_deadline(), (!fired.contains(&2)).then_some(MS));
        timers.poll(MS, &mut all);
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
        assert_eq!((timers.cancel(second.key), timers.next_deadline()), (None, None));
    });
}

/// The end takes out what is left, while two workers look whether something is due.
#[test]
fn two_polls_and_the_end_share_the_timers() {
    model("timers: two polls and the end", 2, || {
        let timers = Arc::new(Timers::new());
        timers.insert(MS, 1);
        timers.insert(2 * MS, 2);
        let poll = || {
            let timers = timers.clone();
            thread::spawn(move || {
                let mut due = Vec::new();
                let count = timers.poll(MS, &mut due);
                assert_eq!(count, due.len());
                due
            })
        };
        let polls = [poll(), poll()];
        let mut all = timers.clear();
        let [first, second] = polls.map(|poll| poll.join().unwrap());
        assert!(!first.contains(&2) && !second.contains(&2), "fired early");
        all.extend(first);
        all.extend(second);
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
        assert_eq!(timers.next_deadline(), None);
    });
}
