//! A system under test, and the check of its books at the end.

use super::puppet::{Puppet, run};
use super::{Gate, LIMIT, Log, eventually, quiet_panics};
use cuelight::{ActorRef, Builder, Counters, System};
use std::ops::Deref;

/// What a contract runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine {
    workers: usize,
}

impl Engine {
    pub(crate) fn threads(workers: usize) -> Self {
        Self { workers }
    }

    pub(crate) fn workers(self) -> usize {
        self.workers
    }

    pub(crate) fn builder(self) -> Builder {
        System::builder().workers(self.workers)
    }
}

/// Makes a test of each case on each engine.
#[allow(unused_macros, reason = "as the module")]
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod on_1_worker { $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(1)); })* }
        mod on_2_workers { $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(2)); })* }
        mod on_8_workers { $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(8)); })* }
    };
}
#[allow(unused_imports, reason = "as the module")]
pub(crate) use contract;

/// As `contract!`, for cases that need a second worker.
#[allow(unused_macros, reason = "as the module")]
macro_rules! parallel_contract {
    ($($case:ident),* $(,)?) => {
        mod parallel_on_2_workers {
            $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(2)); })*
        }
        mod parallel_on_8_workers {
            $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(8)); })*
        }
    };
}
#[allow(unused_imports, reason = "as the module")]
pub(crate) use parallel_contract;

/// A system with a log.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) system: System,
    pub(crate) log: Log,
}

impl Deref for Stage {
    type Target = System;

    fn deref(&self) -> &System {
        &self.system
    }
}

impl Stage {
    pub(crate) fn new(on: Engine) -> Self {
        Self::of(on.builder())
    }

    #[track_caller]
    pub(crate) fn of(builder: Builder) -> Self {
        quiet_panics();
        Self { system: builder.build().expect("a system"), log: Log::default() }
    }

    pub(crate) fn puppet(&self, name: &'static str) -> ActorRef<Puppet> {
        self.system.spawn(Puppet::new(name, &self.log))
    }

    /// Waits until this many actors live.
    #[track_caller]
    pub(crate) fn living(&self, count: u64) {
        eventually(&format!("{count} living actors"), || self.counters().live_actors == count);
    }

    /// Waits until nothing is in flight. Handlers may still be running.
    #[track_caller]
    pub(crate) fn quiet(&self) {
        eventually("nothing in flight", || self.counters().in_flight() == 0);
    }

    /// Shuts down, and checks the books.
    #[track_caller]
    pub(crate) fn end(self) -> Counters {
        end(&self.system)
    }
}

/// Shuts a system down, and checks its books.
#[track_caller]
pub(crate) fn end(system: &System) -> Counters {
    system.shutdown(LIMIT).expect("a shutdown");
    let counters = system.counters();
    assert_eq!(counters.in_flight(), 0, "{counters}");
    assert_eq!(counters.live_actors, 0, "{counters}");
    assert_eq!(counters.sent, counters.handled + counters.returned + counters.dead_lettered, "{counters}");
    counters
}

/// An actor that is inside a handler until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    release: Gate,
}

/// Sends an actor into a handler that does not return before the result is dropped. Returns when it is there.
#[track_caller]
pub(crate) fn hold(puppet: &ActorRef<Puppet>) -> Hold {
    let (entered, release) = (Gate::default(), Gate::default());
    let hold = Hold { release: release.clone() };
    let inside = entered.clone();
    puppet
        .tell(run(move |_, _| {
            inside.open();
            release.wait();
        }))
        .expect("an actor that can be held");
    entered.wait();
    hold
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release.open();
    }
}
