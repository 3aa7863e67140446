//! The beginning and the end of a system's threads: the gate, the count of those that have left, the join.

use cuelight::dev_hooks::engine::{Crew, gate};
use cuelight::dev_hooks::sync::atomic::{AtomicUsize, Ordering};
use cuelight::dev_hooks::sync::thread::Builder;
use loom_tests::{Arc, model, thread};

/// The gate opens when the last has gone through, not before, whoever that is; what each did before it is seen behind.
#[test]
fn the_gate_opens_after_the_last() {
    model("gate: two pass, one waits", 2, || {
        let passed = Arc::new(AtomicUsize::new(0));
        let (pass, wait) = gate();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (pass, passed) = (pass.clone(), passed.clone());
                thread::spawn(move || {
                    // Ordering: Relaxed: the gate publishes it, or the model fails.
                    passed.fetch_add(1, Ordering::Relaxed);
                    drop(pass);
                })
            })
            .collect();
        drop(pass);
        wait();
        // Ordering: Relaxed, as above.
        assert_eq!(passed.load(Ordering::Relaxed), 2, "the gate was open too early");
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Joins; afterwards the workers have come to their very end.
fn ended((crew, ends): &(Crew, AtomicUsize)) {
    assert!(crew.join());
    // Ordering: Relaxed: written by the workers, published by the join.
    assert_eq!(ends.load(Ordering::Relaxed), 2, "joined too early");
}

/// Two workers leave while a shutdown waits for them and another one, from elsewhere, waits too; a third worker never
/// began. Both return when the threads have ended, not when they are about to.
#[test]
fn a_join_waits_for_all_who_leave() {
    model("end: two leave, two join", 2, || {
        let crew = Arc::new((Crew::new(3), AtomicUsize::new(0)));
        let worker = |_| {
            let crew = crew.clone();
            let body = move || {
                drop(crew.0.leaving());
                // Ordering: Relaxed: the join of the thread publishes it, or the model fails.
                crew.1.fetch_add(1, Ordering::Relaxed);
            };
            Builder::new().spawn(body).unwrap()
        };
        let handles = (0..2).map(worker).collect();
        crew.0.never_began(1);
        crew.0.keep(handles);
        let other = {
            let crew = crew.clone();
            thread::spawn(move || ended(&crew))
        };
        ended(&crew);
        other.join().unwrap();
    });
}
