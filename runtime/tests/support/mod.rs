//! What the tests share: waiting for a condition, counts and data that several threads write, an actor that does what it
//! is told, and the engines that a contract runs on.
//!
//! Nothing here sleeps to synchronise: whoever waits looks again and again, and gives up after a [`LIMIT`] that no healthy
//! run comes near.

#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod channel;
pub(crate) mod coins;
pub(crate) mod letters;
pub(crate) mod players;
pub(crate) mod puppet;
pub(crate) mod random;
pub(crate) mod restarts;
pub(crate) mod sims;
pub(crate) mod stage;

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long anything may take that happens at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    let mut looks = 0_u32;
    while !condition() {
        if sims::drive() {
            continue;
        }
        assert!(begin.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        looks += 1;
        if looks < 100 {
            thread::yield_now();
        } else {
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}

/// What `CUELIGHT_SCALE` divides counts by.
pub(crate) fn scale() -> u64 {
    let scale = std::env::var("CUELIGHT_SCALE").ok();
    scale.map_or(1, |scale| scale.parse().ok().filter(|&scale| scale > 0).expect("CUELIGHT_SCALE is a positive number"))
}

/// `count`, divided by `CUELIGHT_SCALE`; at least `least`.
pub(crate) fn scaled(count: u64, least: u64) -> u64 {
    (count / scale()).max(least)
}

/// Whether `CUELIGHT_FULL=1` asks for the whole counts where less is the rule.
pub(crate) fn is_full() -> bool {
    std::env::var_os("CUELIGHT_FULL").is_some_and(|full| full == "1")
}

/// A number that several threads add to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<AtomicU64>);

impl Count {
    pub(crate) fn add(&self, count: u64) {
        // Ordering: AcqRel: whoever reads the count has seen what came before it.
        self.0.fetch_add(count, Ordering::AcqRel);
    }

    pub(crate) fn get(&self) -> u64 {
        // Ordering: Acquire pairs with `add`.
        self.0.load(Ordering::Acquire)
    }

    /// Waits until the count is `wanted`.
    #[track_caller]
    pub(crate) fn reaches(&self, wanted: u64) {
        eventually(&format!("a count of {wanted}"), || self.get() >= wanted);
        assert_eq!(self.get(), wanted);
    }
}

/// Counts its drops.
#[derive(Debug)]
pub(crate) struct Counted(pub(crate) Count);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add(1);
    }
}

/// A door that is opened once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    pub(crate) fn open(&self) {
        // Ordering: Release pairs with `is_open`.
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_open(&self) -> bool {
        // Ordering: Acquire pairs with `open`.
        self.0.load(Ordering::Acquire)
    }

    #[track_caller]
    pub(crate) fn wait(&self) {
        eventually("a gate opens", || self.is_open());
    }
}

/// Data that several threads write.
///
/// `std`'s lock with an atomic of our own beside the data: ThreadSanitizer sees nothing of what goes on in `std`.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(Arc<Locked<T>>);

#[derive(Debug, Default)]
struct Locked<T> {
    seen: AtomicBool,
    value: Mutex<T>,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Locked { seen: AtomicBool::new(false), value: Mutex::new(value) }))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.0.value.lock().unwrap_or_else(PoisonError::into_inner);
        // Ordering: Acquire pairs with the Release of the lock's last holder.
        self.0.seen.load(Ordering::Acquire);
        let result = f(&mut value);
        // Ordering: Release pairs with the Acquire of the lock's next holder.
        self.0.seen.store(true, Ordering::Release);
        result
    }
}

impl<T: Clone> Shared<T> {
    pub(crate) fn get(&self) -> T {
        self.with(|value| value.clone())
    }
}

/// Lines in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Shared<Vec<String>>);

impl Log {
    pub(crate) fn line(&self, line: impl Into<String>) {
        let line = line.into();
        self.0.with(|lines| lines.push(line));
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.get()
    }

    /// The lines of one actor.
    pub(crate) fn of(&self, name: &str) -> Vec<String> {
        let prefix = format!("{name} ");
        self.lines().iter().filter_map(|line| Some(line.strip_prefix(&prefix)?.to_owned())).collect()
    }

    /// Waits for as many lines of one actor as there are in `wanted`; they must be these.
    #[track_caller]
    pub(crate) fn expect<L: AsRef<str> + Debug>(&self, name: &str, wanted: &[L]) {
        self.wait(|| self.of(name).len() >= wanted.len());
        let lines = self.of(name);
        assert!(same(&lines, wanted), "{name}: {lines:#?} instead of {wanted:#?}");
    }

    /// Waits for as many lines as there are in `wanted`; they must be these, and in this order.
    #[track_caller]
    pub(crate) fn expect_all<L: AsRef<str> + Debug>(&self, wanted: &[L]) {
        self.wait(|| self.lines().len() >= wanted.len());
        let lines = self.lines();
        assert!(same(&lines, wanted), "{lines:#?} instead of {wanted:#?}");
    }

    /// Waits for a line.
    #[track_caller]
    pub(crate) fn until(&self, line: &str) {
        self.wait(|| self.lines().iter().any(|each| each == line));
    }

    #[track_caller]
    fn wait(&self, mut condition: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !condition() {
            if sims::drive() {
                continue;
            }
            assert!(begin.elapsed() < LIMIT, "no more than this within {LIMIT:?}: {:#?}", self.lines());
            thread::park_timeout(Duration::from_micros(200));
        }
    }
}

fn same<L: AsRef<str>>(lines: &[String], wanted: &[L]) -> bool {
    lines.iter().map(String::as_str).eq(wanted.iter().map(AsRef::as_ref))
}

/// Polls a future on the calling thread until it is ready.
#[track_caller]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let flag = Arc::new(Flag { woken: AtomicBool::new(false), thread: thread::current() });
    keep(&flag.thread);
    let waker = Waker::from(flag.clone());
    let begin = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        // Only a wake-up leads to the next poll: one that never comes must show.
        // Ordering: Acquire pairs with `wake`.
        while !flag.woken.swap(false, Ordering::Acquire) {
            if sims::drive() {
                continue;
            }
            assert!(begin.elapsed() < LIMIT, "not woken within {LIMIT:?}");
            thread::park_timeout(Duration::from_millis(50));
        }
    }
}

/// For ThreadSanitizer: leaves `std`'s record of the thread behind, which otherwise the last to let go frees, behind a
/// fence that is not seen.
fn keep(thread: &Thread) {
    if cfg!(cuelight_tsan) {
        std::mem::forget(thread.clone());
    }
}

/// Lets a thread go that nobody waits for.
pub(crate) fn detach(handle: JoinHandle<()>) {
    keep(handle.thread());
}

struct Flag {
    woken: AtomicBool,
    thread: Thread,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        // Ordering: Release pairs with the swap in `block_on`.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Runs `f` without the panic hook's noise for panics that are meant, whose text begins with "meant".
pub(crate) fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            if text.is_none_or(|text| !text.starts_with("meant")) && !payload.is::<Unspeakable>() {
                loud(info);
            }
        }));
    });
}

/// What somebody panics with who has no text.
#[derive(Debug)]
pub(crate) struct Unspeakable;
