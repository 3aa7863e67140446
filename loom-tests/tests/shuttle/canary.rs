//! The models are worth something only if the runtime is built on shuttle's atomics, and shuttle finds what is planted.

use cuelight::dev_hooks::sync::atomic::{AtomicUsize, Ordering};
use cuelight::dev_hooks::sync::{Condvar, Mutex};
#[cfg(shuttle)]
use loom_tests::canary::in_two_steps;
use loom_tests::canary::{at_once, two_adders};
use loom_tests::schedules::{Waits, schedules};
use loom_tests::{Arc, thread};
use std::time::Duration;

/// Compiles only while the switch of the runtime's `sync` module and that of this crate are one and the same.
#[cfg(shuttle)]
const _: fn() -> shuttle::sync::atomic::AtomicUsize = || AtomicUsize::new(0);
#[cfg(not(shuttle))]
const _: fn() -> std::sync::atomic::AtomicUsize = || AtomicUsize::new(0);

/// `.ci/shuttle` sets the variable together with the flag.
#[test]
fn the_wanted_cfg_arrived() {
    let wanted = std::env::var_os("CUELIGHT_EXPECT_SHUTTLE").is_some();
    assert!(cfg!(shuttle) || !wanted, "shuttle was asked for, but the models were built without it");
}

#[test]
fn an_atomic_update_is_not_lost() {
    schedules("canary: fetch_add", Waits::GoOn, || two_adders(at_once));
}

/// What a failing model says.
#[cfg(shuttle)]
fn failure(name: &'static str, waits: Waits, body: fn()) -> String {
    let failed = std::panic::catch_unwind(|| schedules(name, waits, body));
    let panic = failed.expect_err("shuttle has not found what was planted: the models check nothing");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
#[cfg(shuttle)]
fn a_lost_update_is_found() {
    let said = failure("canary: load and store", Waits::GoOn, || two_adders(in_two_steps));
    assert!(said.contains("an update was lost"), "shuttle failed for another reason: {said}");
}

/// One waits for a flag that another one sets, without the lock: the notification may come before the wait.
fn set_and_wait() {
    let stage = Arc::new((AtomicUsize::new(0), Mutex::new(()), Condvar::new()));
    let other = {
        let stage = stage.clone();
        thread::spawn(move || {
            // Ordering: SeqCst, to show that no ordering saves it.
            stage.0.store(1, Ordering::SeqCst);
            stage.2.notify_one();
        })
    };
    let mut guard = stage.1.lock();
    // Ordering: SeqCst, as above.
    while stage.0.load(Ordering::SeqCst) == 0 {
        guard = stage.2.wait_timeout(guard, Duration::from_millis(1));
    }
    drop(guard);
    other.join().unwrap();
}

#[test]
#[cfg(shuttle)]
fn a_lost_wake_up_is_found() {
    let said = failure("canary: a wait without a lock", Waits::GoOn, set_and_wait);
    assert!(said.contains("deadlock"), "shuttle failed for another reason: {said}");
}

#[test]
fn a_wait_that_ends_hides_it() {
    schedules("canary: the same with a tick", Waits::End, set_and_wait);
}
