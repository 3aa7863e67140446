//! The models are worth something only if the runtime is built on loom's atomics and loom sees its races.

use cuelight::dev_hooks::sync::atomic::AtomicUsize;
use loom_tests::canary::{at_once, two_adders};
use loom_tests::model_above;
#[cfg(loom)]
use loom_tests::{canary::in_two_steps, model};

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

#[test]
#[cfg(loom)]
fn a_lost_update_is_found() {
    let found = std::panic::catch_unwind(|| {
        model("canary: load and store", 3, || two_adders(in_two_steps));
    });
    let panic = found.expect_err("loom has not found a lost update: the models check nothing");
    let said = panic.downcast_ref::<String>().map_or("", String::as_str);
    assert!(said.contains("an update was lost"), "loom failed for another reason: {said}");
}

#[test]
fn an_atomic_update_is_not_lost() {
    model_above("canary: fetch_add", 3, 1, "two atomic additions have few orders", || two_adders(at_once));
}

#[test]
#[cfg(loom)]
fn a_small_model_is_refused() {
    let refused = std::panic::catch_unwind(|| model("canary: nothing to interleave", 3, || ()));
    assert!(refused.is_err(), "a model of one execution was accepted");
}
