//! A system under test, and the check of its books at the end.

use super::letters::Clerk;
use super::puppet::{Puppet, run};
use super::{Gate, LIMIT, Log, Shared, eventually, quiet_panics, scaled, sims};
use cuelight::{ActorRef, Builder, Counters, DeadLetter, Simulation, System};
use std::ops::Deref;
use std::rc::Rc;
use std::thread;

/// What a contract runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    Threads { workers: usize },
    Simulated { seed: u64 },
}

impl Engine {
    pub(crate) fn threads(workers: usize) -> Self {
        Self::Threads { workers }
    }

    pub(crate) fn workers(self) -> usize {
        match self {
            Self::Threads { workers } => workers,
            Self::Simulated { .. } => 1,
        }
    }

    /// Of threads only.
    #[track_caller]
    pub(crate) fn builder(self) -> Builder {
        match self {
            Self::Threads { workers } => System::builder().workers(workers),
            Self::Simulated { .. } => panic!("a case about workers is for `threads_contract!`"),
        }
    }
}

/// Runs a case on many seeds. Its handlers run on its own stack: it has room for theirs.
pub(crate) fn simulated(case: fn(Engine)) {
    let all = move || (0..scaled(10, 2)).for_each(|seed| case(Engine::Simulated { seed }));
    let thread = thread::Builder::new().stack_size(64 << 20).spawn(all).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Makes a test of each case on each engine.
#[allow(unused_macros, reason = "as the module")]
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod simulated { $(#[test] fn $case() { $crate::support::stage::simulated(super::$case); })* }
        mod on_1_worker { $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(1)); })* }
        mod on_2_workers { $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(2)); })* }
        mod on_8_workers { $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(8)); })* }
    };
}
#[allow(unused_imports, reason = "as the module")]
pub(crate) use contract;

/// As `contract!`, for cases whose handlers block, that send from several threads, or that are about workers.
#[allow(unused_macros, reason = "as the module")]
macro_rules! threads_contract {
    ($($case:ident),* $(,)?) => {
        mod threads_on_1_worker { $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(1)); })* }
        mod threads_on_2_workers { $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(2)); })* }
        mod threads_on_8_workers { $(#[test] fn $case() { super::$case($crate::support::stage::Engine::threads(8)); })* }
    };
}
#[allow(unused_imports, reason = "as the module")]
pub(crate) use threads_contract;

/// As `threads_contract!`, for cases that need a second worker.
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
    /// Kept for those who drive it.
    sim: Option<Rc<Simulation>>,
}

impl Deref for Stage {
    type Target = System;

    fn deref(&self) -> &System {
        &self.system
    }
}

impl Stage {
    pub(crate) fn new(on: Engine) -> Self {
        let Engine::Simulated { seed } = on else { return Self::of(on.builder()) };
        quiet_panics();
        let sim = Rc::new(System::simulation(seed));
        sims::add(&sim);
        Self { system: (**sim).clone(), log: Log::default(), sim: Some(sim) }
    }

    #[track_caller]
    pub(crate) fn of(builder: Builder) -> Self {
        quiet_panics();
        Self { system: builder.build().expect("a system"), log: Log::default(), sim: None }
    }

    pub(crate) fn puppet(&self, name: &'static str) -> ActorRef<Puppet> {
        self.system.spawn(Puppet::new(name, &self.log))
    }

    /// What `look` sees in each dead letter from now on.
    pub(crate) fn letters<T: Send + 'static>(&self, look: fn(DeadLetter) -> T) -> Shared<Vec<T>> {
        let notes = Shared::new(Vec::new());
        self.dead_letters(self.spawn(Clerk::new(&notes, look)));
        notes
    }

    /// Waits until this many actors live.
    #[track_caller]
    pub(crate) fn living(&self, count: u64) {
        eventually(&format!("{count} living actors"), || self.counters().live_actors == count);
    }

    /// Waits until nothing is in flight. Handlers may still be running.
    #[track_caller]
    pub(crate) fn quiet(&self) {
        self.quiet_but(0);
    }

    /// Waits until no more than this is in flight.
    #[track_caller]
    pub(crate) fn quiet_but(&self, count: u64) {
        eventually("nothing more in flight", || self.counters().in_flight() == count);
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
    if sims::any() {
        // A simulated actor is held anyway, until somebody drives.
        puppet.ask(run(|_, _| ())).wait().expect("an actor that can be held");
        return Hold { release: Gate::default() };
    }
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
