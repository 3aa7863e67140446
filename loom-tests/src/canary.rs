//! What loom and shuttle must find, and what they must let pass: two threads that add one each.

use crate::{Arc, thread};
use cuelight::dev_hooks::sync::atomic::{AtomicUsize, Ordering};

/// Two threads add one each, by `add`.
///
/// # Panics
/// If one of the additions was lost.
pub fn two_adders(add: fn(&AtomicUsize)) {
    let total = Arc::new(AtomicUsize::new(0));
    let other = {
        let total = total.clone();
        thread::spawn(move || add(&total))
    };
    add(&total);
    other.join().unwrap();
    // Ordering: Relaxed. The join has ordered both additions before this.
    assert_eq!(total.load(Ordering::Relaxed), 2, "an update was lost");
}

/// Adds one by a load and a store: the other one's addition in between is lost.
pub fn in_two_steps(total: &AtomicUsize) {
    // Ordering: SeqCst, to show that no ordering saves a load and a store.
    let seen = total.load(Ordering::SeqCst);
    // Ordering: SeqCst, as above.
    total.store(seen + 1, Ordering::SeqCst);
}

/// Adds one by one operation.
pub fn at_once(total: &AtomicUsize) {
    // Ordering: Relaxed. One counter, read after the join.
    total.fetch_add(1, Ordering::Relaxed);
}
