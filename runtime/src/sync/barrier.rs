//! A fence whose cost is on one side: for two threads of which one passes all the time, and the other one seldom.
//!
//! Promise: of two threads, one of which stores, passes [`light`] and loads, while the other one stores, passes [`heavy`]
//! and loads, at least one sees the other one's store. As two sequentially consistent fences promise.
//!
//! How: `membarrier(2)`, private and expedited (Linux 4.14): the kernel has every CPU that runs a thread of this process
//! pass a full fence before the call returns; a thread that does not run passes one when it is switched in. So `light`
//! need only hold the compiler back, which costs nothing, where an exchange costs 20 cycles. Where the call cannot be
//! had (other systems, seccomp), both sides are real fences. The same idea: Dice, Huang and Yang, "Asymmetric Dekker
//! Synchronization" (2001); liburcu and folly use it so.
//!
//! Gives up: the heavy side, if the call is forbidden after `prepare` has found it (a late seccomp filter): `heavy` says
//! so. And `heavy` interrupts the other cores (0.6 microseconds where this was built). In models both are fences.

use super::atomic::{Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU8, compiler_fence};

/// Nobody has asked yet: until then `light` is a fence.
#[cfg(not(loom))]
const UNKNOWN: u8 = 0;
#[cfg(not(loom))]
const SYMMETRIC: u8 = 1;
#[cfg(not(loom))]
const ASYMMETRIC: u8 = 2;

/// What this process has. It leaves `UNKNOWN` once, before the first worker starts.
#[cfg(not(loom))]
static KIND: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Finds out what this process has; before the threads that will pass the fences are started.
#[cfg(not(loom))]
pub(crate) fn prepare() {
    // Ordering: Relaxed: starting a thread publishes it.
    if KIND.load(Ordering::Relaxed) == UNKNOWN {
        let kind = if os::register() { ASYMMETRIC } else { SYMMETRIC };
        // Of two that find out at once the first decides for both: a registration is the process's, a refusal may be for lack of
        // memory, and workers may rely on what they have seen.
        // Ordering: Relaxed, as above.
        let _ = KIND.compare_exchange(UNKNOWN, kind, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(loom)]
pub(crate) fn prepare() {}

/// The side that passes often.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn light() {
    // Ordering: Relaxed: see `prepare`.
    if KIND.load(Ordering::Relaxed) == ASYMMETRIC {
        compiler_fence(Ordering::SeqCst); // Ordering: the other side's `heavy` makes it a fence when one is needed.
    } else {
        strong();
    }
}

#[cfg(loom)]
pub(crate) fn light() {
    strong();
}

/// The side that passes seldom. False: there was no fence (the call was forbidden meanwhile), so nothing may rest on it.
#[must_use]
#[cfg(not(loom))]
pub(crate) fn heavy() -> bool {
    strong();
    // Ordering: Relaxed: see `prepare`.
    KIND.load(Ordering::Relaxed) != ASYMMETRIC || os::interrupt()
}

#[must_use]
#[cfg(loom)]
pub(crate) fn heavy() -> bool {
    strong();
    true
}

#[cfg_attr(not(loom), cold)]
fn strong() {
    fence(Ordering::SeqCst); // Ordering: pairs with the other side's, `light` or `heavy`.
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(any(loom, shuttle, miri))))]
mod os {
    const EXPEDITED: i32 = 1 << 3;
    const REGISTER: i32 = 1 << 4;

    fn call(command: i32) -> bool {
        // SAFETY: the system call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn register() -> bool {
        call(REGISTER)
    }

    pub(super) fn interrupt() -> bool {
        call(EXPEDITED)
    }
}

#[cfg(all(not(loom), any(shuttle, miri, not(any(target_os = "linux", target_os = "android")))))]
mod os {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn interrupt() -> bool {
        false
    }
}
