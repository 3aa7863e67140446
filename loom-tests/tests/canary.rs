//! The models are worth something only if the runtime is built on loom's atomics and loom sees its races.

use cuelight::dev_hooks::sync::atomic::{AtomicUsize, Ordering};
#[cfg(loom)]
use loom_tests::model;
use loom_tests::{Arc, model_above, thread};

/// Compiles only while the switch of the runtime's `sync` module and that of this crate are one and the same.
#[cfg(loom)]
const _: fn() -> loom::sync::atomic::AtomicUsize = || AtomicUsize::new(0);
#[cfg(not(loom))]
const _: fn() -> std::sync::atomic::AtomicUsize = || AtomicUsize::new(0);

/// `.cargo/config.toml` sets the variable together with `--cfg loom`; a `RUSTFLAGS` from outside would silently
/// replace the flag, and every model would run on real threads.
#[test]
fn the_configured_cfg_arrived() {
    let wanted = std::env::var_os("CUELIGHT_EXPECT_LOOM").is_some();
    assert!(cfg!(loom) || !wanted, "loom was asked for, but the models were built without it: unset RUSTFLAGS");
}

/// Two threads add one each, by `add`.
fn two_adders(add: fn(&AtomicUsize)) {
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

#[test]
#[cfg(loom)]
fn a_lost_update_is_found() {
    let found = std::panic::catch_unwind(|| {
        model("canary: load and store", 3, || {
            two_adders(|total| {
                // Ordering: SeqCst, to show that no ordering saves a load and a store.
                let seen = total.load(Ordering::SeqCst);
                // Ordering: SeqCst, as above.
                total.store(seen + 1, Ordering::SeqCst);
            });
        });
    });
    let panic = found.expect_err("loom has not found a lost update: the models check nothing");
    let said = panic.downcast_ref::<String>().map_or("", String::as_str);
    assert!(said.contains("an update was lost"), "loom failed for another reason: {said}");
}

#[test]
fn an_atomic_update_is_not_lost() {
    model_above("canary: fetch_add", 3, 1, "two atomic additions have few orders", || {
        two_adders(|total| {
            // Ordering: Relaxed. One counter, read after the join.
            total.fetch_add(1, Ordering::Relaxed);
        });
    });
}

#[test]
#[cfg(loom)]
fn a_small_model_is_refused() {
    let refused = std::panic::catch_unwind(|| model("canary: nothing to interleave", 3, || ()));
    assert!(refused.is_err(), "a model of one execution was accepted");
}
