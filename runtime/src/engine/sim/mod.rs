//! The engine of simulation: one thread, virtual time, the next actor picked by a seeded generator.
//!
//! Promise: the same program with the same seed does the same, message by message, on any machine and in any build. Each step
//! is one turn with one message at most; the start of an actor is a step by itself.
//!
//! How: the shipped kernel, and one shipped worker that no thread runs. While a turn lasts the calling thread is that worker,
//! so that sends and spawns go their ordinary ways into its queues; between turns these are emptied into a list, of which
//! the next one is chosen. What reaches a mailbox passes the thread's [tap](crate::kernel::tap) first, which gives it a number.
//! The clock stands while there is something to do, and then moves on to the next event.
//!
//! No decision follows an address, a type's name or the order of a hash map: the map of messages on their way is keyed by
//! address and never iterated. Identities and numbers are the system's own.
//!
//! Gives up: other threads. What they call is refused where there is a way to say so, and otherwise noted, so that the next
//! call that drives says so.

pub(crate) mod choice;
mod driver;
pub(crate) mod faults;
mod overruns;
pub(crate) mod policy;
mod posts;
pub(crate) mod rng;
pub(crate) mod trace;
mod transit;

pub(crate) use driver::Driver;

use super::core::{Core, core_of};
use super::overrun::Watchdog;
use super::threads::worker::is_worker;
use crate::kernel::cell::CellRef;
use crate::kernel::held::Held;
use crate::kernel::hub::Hub;
use crate::kernel::pool;
use crate::kernel::tap::{self, Piece, Ruling, Tap};
use crate::kernel::watch::ActorId;
use crate::sync::thread_local;
use crate::time::Tick;
use choice::Choice;
use faults::Faults;
use policy::Policy;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

#[cfg(not(loom))]
thread_local! {
    /// The simulations that this thread has made and not yet ended.
    static HERE: RefCell<Vec<Rc<Driver>>> = const { RefCell::new(Vec::new()) };
}
#[cfg(loom)]
thread_local! {
    static HERE: RefCell<Vec<Rc<Driver>>> = RefCell::new(Vec::new());
}

/// Whether the calling thread may have an effect on a simulated system.
pub(crate) fn is_here(core: &Core) -> bool {
    let here = HERE.try_with(|all| all.borrow().iter().any(|driver| driver.is_of(core)));
    here.unwrap_or(false)
}

/// What drives a simulated system, on its own thread.
pub(crate) fn here(core: &Core) -> Option<Rc<Driver>> {
    let here = HERE.try_with(|all| all.borrow().iter().find(|driver| driver.is_of(core)).cloned());
    here.ok().flatten()
}

/// What a simulation is made with.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) step_limit: u64,
    pub(crate) clock_start: Duration,
    pub(crate) policy: Policy,
    pub(crate) faults: Faults,
    pub(crate) watchdog: Option<Watchdog>,
    pub(crate) trace: bool,
    /// Choices to follow instead of the seed.
    pub(crate) script: Option<Vec<Choice>>,
}

/// How far a drive may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Horizon {
    /// To this time, if there is something to do until then.
    Time(Tick),
    /// Until nothing is to be done but to wait for timers.
    Rest,
}

/// How a drive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driven {
    /// What it was for has come.
    Done,
    /// Nothing is left to do before the deadline.
    Idle,
}

/// Why it did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The caller is inside a handler of this simulation.
    Nested,
    /// Another thread has had an effect.
    Disturbed,
    /// The limit; the actors that handled most of the last messages, with their types and how many.
    Limit(Vec<(ActorId, &'static str, u64)>),
}

/// Why the wait of a thread ended in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InVain {
    Timeout,
    WouldDeadlock,
    OtherThread,
    Stalled,
}

/// Sees what the thread sends, for whichever of its simulations it is.
struct Switch;

impl Tap for Switch {
    fn sent(&self, to: &CellRef, pieces: &[Piece<'_>], losable: bool) -> Ruling {
        here(core_of(to)).map_or(Ruling::Pass, |driver| driver.sent(to, pieces, losable))
    }

    fn put_back(&self, to: &CellRef, pieces: &[Piece<'_>]) {
        if let Some(driver) = here(core_of(to)) {
            driver.put_back(pieces);
        }
    }

    fn full(&self, to: &CellRef) -> bool {
        here(core_of(to)).is_some_and(|driver| driver.full(to))
    }

    fn keep(&self, held: Held) {
        match here(core_of(held.cell())) {
            Some(driver) => driver.keep(held),
            None => held.deliver(),
        }
    }

    fn publish(&self) {
        let all = HERE.try_with(|all| all.borrow().clone()).unwrap_or_default();
        all.iter().for_each(|driver| driver.publish());
    }
}

/// Makes a simulated system, whose thread is the calling one from here on.
pub(crate) fn start(setup: Setup) -> (Rc<Driver>, Hub<Core>) {
    let (driver, hub) = Driver::new(setup);
    let driver = Rc::new(driver);
    HERE.with(|all| all.borrow_mut().push(driver.clone()));
    pool::keep_cache();
    tap::install(Some(Rc::new(Switch)));
    (driver, hub)
}

/// Lets a simulation go: with the last one its thread is like any other again.
pub(crate) fn leave(driver: &Rc<Driver>) {
    let (gone, last) = HERE.with(|all| {
        let mut all = all.borrow_mut();
        let place = all.iter().position(|other| Rc::ptr_eq(other, driver));
        let gone = place.map(|place| all.swap_remove(place));
        (gone, all.is_empty())
    });
    drop(gone);
    if last {
        tap::install(None);
        if !is_worker() {
            pool::release_thread();
        }
    }
}
