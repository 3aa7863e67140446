//! A gate that opens when everybody has gone through: the start of a system's threads.

use super::{Arc, Condvar, Mutex};

/// Held by each who has yet to go through; dropping it is going through.
#[derive(Debug, Clone)]
pub(crate) struct Pass(#[allow(dead_code, reason = "its drop is what matters")] Arc<Counted>);

#[derive(Debug)]
struct Counted(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.open.lock() = true;
        self.0.changed.notify_all();
    }
}

/// A first pass, and the wait until the last one is gone.
pub(crate) fn gate() -> (Pass, impl FnOnce()) {
    let gate = Arc::new(Gate { open: Mutex::new(false), changed: Condvar::new() });
    let pass = Pass(Arc::new(Counted(gate.clone())));
    let wait = move || {
        let mut open = gate.open.lock();
        while !*open {
            open = gate.changed.wait(open);
        }
    };
    (pass, wait)
}
