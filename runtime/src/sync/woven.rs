//! shuttle in place of `std`, in the shapes of `native` and `locks`, and a time of its own.
//!
//! Promise: every step on an atomic, every lock, wait, start and end of a thread is a place where shuttle may run another
//! thread; the same schedule gives the same run, its times and timeouts, too.
//!
//! How: shuttle's types. It does not know time: here every look at the clock lets some pass, and so does a wait that is
//! over without a notification. Such a wait gives the others their turns first, and after each of them ends by chance, which
//! shuttle records. So it ends at any point, never at once for ever, and never not at all.
//!
//! Gives up: memory orders. To shuttle each access is sequentially consistent, and fences are nothing: those are for loom.

pub use shuttle::sync::atomic;
pub(crate) use shuttle::thread::LocalKey;
pub(crate) use shuttle::thread_local;
pub use std::sync::Arc;

use shuttle::rand::{RngCore, thread_rng};
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Threads.
pub mod thread {
    pub use shuttle::thread::{Builder, JoinHandle, yield_now};
    pub use std::thread::panicking;

    /// Whether a thread has ended: shuttle does not tell.
    pub fn is_finished<T>(_: &JoinHandle<T>) -> bool {
        false
    }
}

/// Memory.
pub(crate) mod alloc {
    pub(crate) use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
}

/// Spinning.
pub mod hint {
    pub use shuttle::hint::spin_loop;
}

/// The time of an execution. All its threads are one to the operating system, which holds it.
pub mod time {
    use std::cell::Cell;
    use std::time::Duration;

    /// What a look at the clock takes.
    const LOOK: Duration = Duration::from_micros(10);
    /// Time goes no further: `Instant` goes as far anywhere.
    const END: Duration = Duration::from_secs(u32::MAX as u64);

    std::thread_local! {
        static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
        static WAITS_END: Cell<bool> = const { Cell::new(false) };
    }

    /// An execution begins. Whether waits with a limit end without a notification: if not, a wake-up that is lost is a
    /// deadlock, whatever tick would have come to the rescue.
    pub fn begin(waits_end: bool) {
        NOW.set(Duration::ZERO);
        WAITS_END.set(waits_end);
    }

    pub(super) fn waits_end() -> bool {
        WAITS_END.get()
    }

    pub(super) fn look() -> Duration {
        pass(LOOK)
    }

    pub(super) fn pass(time: Duration) -> Duration {
        NOW.set(NOW.get().saturating_add(time).min(END));
        NOW.get()
    }
}

std::thread_local! {
    static BEGINNING: Instant = Instant::now();
}

/// The time: some has passed since the last look.
pub(crate) fn now() -> Instant {
    BEGINNING.with(|instant| *instant) + time::look()
}

/// shuttle's mutex without poisoning.
#[derive(Debug, Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

/// The right to the data.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    guard: shuttle::sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    /// Takes the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, guard: self.0.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// shuttle's condition variable, with waits that end.
#[derive(Debug, Default)]
pub struct Condvar {
    inner: shuttle::sync::Condvar,
    /// For those that wait with a limit, whom shuttle's does not know. No step of the model.
    notified: AtomicU64,
}

impl Condvar {
    /// Makes one.
    pub const fn new() -> Self {
        Self { inner: shuttle::sync::Condvar::new(), notified: AtomicU64::new(0) }
    }

    /// Waits for a notification.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let MutexGuard { lock, guard } = guard;
        MutexGuard { lock, guard: self.inner.wait(guard).unwrap_or_else(PoisonError::into_inner) }
    }

    /// Waits for a notification, or until `timeout` has passed: after each turn of the others it may have. Without end in an
    /// execution whose waits do not end.
    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
        /// Of so many turns of the others a wait outlasts all but one.
        const TURNS: u64 = 8;
        if !time::waits_end() {
            return self.wait(guard);
        }
        let lock = guard.lock;
        let before = self.notified();
        drop(guard);
        loop {
            thread::yield_now();
            if self.notified() != before {
                break;
            }
            if thread_rng().next_u64() % TURNS == 0 {
                time::pass(timeout);
                break;
            }
        }
        lock.lock()
    }

    fn notified(&self) -> u64 {
        // Ordering: Relaxed: to the operating system there is one thread.
        self.notified.load(Ordering::Relaxed)
    }

    fn note(&self) {
        // Ordering: Relaxed, as above.
        self.notified.fetch_add(1, Ordering::Relaxed);
    }

    /// Wakes one waiter, and whoever waits with a limit.
    pub fn notify_one(&self) {
        self.inner.notify_one();
        self.note();
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.inner.notify_all();
        self.note();
    }
}
