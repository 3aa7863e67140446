//! Other threads: refused where there is a way to say so, noted where there is none.

use crate::support::puppet::{Keep, Puppet};
use crate::support::{Log, quiet_panics};
use cuelight::{AskError, RunError, ShutdownError, Simulation, SpawnError, System, TellError};
use std::thread;
use std::time::Duration;

fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(f).join().expect("it does not panic"))
}

fn stage() -> (Simulation, Log) {
    quiet_panics();
    (System::simulation(5), Log::default())
}

#[test]
fn calls_are_refused_with_what_they_brought() {
    let (sim, log) = stage();
    let a = sim.spawn(Puppet::new("a", &log));
    sim.run_until_idle().unwrap();
    let system = (*sim).clone();
    elsewhere(|| {
        let error = a.tell(7_u64).unwrap_err();
        assert_eq!(error, TellError::OtherThread(7));
        assert_eq!(error.to_string(), "a simulated system is its own thread's alone");
        assert_eq!(error.into_message(), 7);
        let error = a.send_all([1_u64, 2]).unwrap_err();
        assert_eq!(error.to_string(), "a simulated system is its own thread's alone; 2 messages were not taken");
        assert_eq!(error.into_messages(), [1, 2]);
        assert_eq!(a.recipient::<u64>().tell(1), Err(TellError::OtherThread(1)));
        assert_eq!(a.ask(1_u64).wait(), Err(AskError::OtherThread));
        assert_eq!(a.ask(1_u64).timeout(Duration::ZERO).wait(), Err(AskError::OtherThread));
        assert_eq!(crate::support::block_on(a.ask(1_u64)), Err(AskError::OtherThread));
        assert!(system.spawn(Puppet::new("b", &log)).is_stopped());
        let log = log.clone();
        assert_eq!(system.actor(move || Puppet::new("c", &log)).spawn().unwrap_err(), SpawnError::OtherThread);
        assert_eq!(system.shutdown(Duration::ZERO), Err(ShutdownError::OtherThread));
        // What only looks is allowed.
        assert!(!a.is_stopped());
        assert_eq!(system.counters().live_actors, 1);
    });
    // None of it had an effect, and each message has a fate.
    assert_eq!(a.ask(21_u64).wait(), Ok(42));
    let counters = sim.counters();
    assert_eq!((counters.in_flight(), counters.returned, counters.handled), (0, 4, 1), "{counters}");
    assert_eq!(log.of("a"), ["starts", "gets 21"]);
    sim.shutdown(Duration::ZERO).unwrap();
}

#[test]
fn what_cannot_be_refused_is_noted() {
    let (sim, log) = stage();
    let a = sim.spawn(Puppet::new("a", &log));
    sim.run_until_idle().unwrap();
    elsewhere(|| a.stop());
    assert_eq!(sim.run_until_idle(), Err(RunError::OtherThread));
    assert_eq!(sim.step(), Err(RunError::OtherThread));
    assert_eq!(a.ask_with(Keep).wait(), Err(AskError::OtherThread));
    assert_eq!(sim.step().unwrap_err().to_string(), "another thread has had an effect on the simulation");
    // It can still be ended.
    sim.shutdown(Duration::ZERO).unwrap();
    assert_eq!(log.of("a"), ["starts", "stops: stopped", "drops"]);
}

#[test]
fn actors_of_threads_are_other_threads() {
    let (sim, log) = stage();
    let a = sim.spawn(Puppet::new("a", &log));
    let workers = System::builder().workers(1).build().unwrap();
    let b = workers.spawn(Puppet::new("b", &log));
    let to = a.clone();
    let told = b.ask(crate::support::puppet::run(move |this, _| this.says(format_args!("{:?}", to.tell(1_u64)))));
    told.wait().unwrap();
    assert_eq!(log.of("b"), ["starts", "Err(OtherThread(..))"]);
    // The other way is open.
    a.tell(crate::support::puppet::run(move |_, _| b.tell(2_u64).unwrap())).unwrap();
    sim.run_until_idle().unwrap();
    log.until("b gets 2");
    workers.shutdown(Duration::from_secs(60)).unwrap();
}

#[test]
fn each_thread_has_its_own() {
    let run = |seed| {
        let sim = System::simulation(seed);
        let heard = crate::town::populate(&sim, 10, 40);
        sim.run_for(Duration::from_secs(1)).unwrap();
        (sim.signature(), heard.get())
    };
    let here: Vec<_> = (0..4).map(run).collect();
    let there: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || run(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(here, there);
}
