//! The simulations of a test's thread: whoever waits there drives them, for nobody else does.

use cuelight::Simulation;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Virtual milliseconds for which somebody waits before the wait is in vain.
const PATIENCE: u32 = 2_000;

thread_local! {
    static HERE: RefCell<Vec<Weak<Simulation>>> = const { RefCell::new(Vec::new()) };
    static WAITED: Cell<u32> = const { Cell::new(0) };
}

/// Has a simulation driven by those who wait on its thread.
pub(crate) fn add(sim: &Rc<Simulation>) {
    HERE.with_borrow_mut(|all| {
        all.retain(|sim| sim.strong_count() > 0);
        all.push(Rc::downgrade(sim));
    });
    WAITED.set(0);
}

/// Whether the calling thread has simulations.
pub(crate) fn any() -> bool {
    HERE.with_borrow(|all| all.iter().any(|sim| sim.strong_count() > 0))
}

/// Runs what there is to run, and lets a millisecond pass if that is nothing. False on a thread without simulations.
#[track_caller]
pub(crate) fn drive() -> bool {
    let all: Vec<Rc<Simulation>> = HERE.with_borrow(|all| all.iter().filter_map(Weak::upgrade).collect());
    if all.is_empty() {
        return false;
    }
    let mut idle = true;
    for sim in &all {
        idle &= !sim.step().expect("only the test waits, not a handler");
    }
    if idle {
        for sim in &all {
            sim.run_for(Duration::from_millis(1)).expect("a millisecond");
        }
        WAITED.set(WAITED.get() + 1);
        assert!(WAITED.get() < PATIENCE, "nothing happens any more in {:?}", all[0]);
    } else {
        WAITED.set(0);
    }
    true
}
