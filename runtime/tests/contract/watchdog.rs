//! Handlers that take too long are reported: once while they do, and once when they have ended.

use crate::support::puppet::{Block, Puppet, run};
use crate::support::stage::{Engine, Stage, hold, threads_contract};
use crate::support::{Gate, LIMIT, Shared, eventually, quiet_panics};
use cuelight::{Actor, ActorId, BuildError, Context, Faults, Overrun, ShutdownError, Simulation, System};
use std::any::type_name;
use std::time::Duration;

const THRESHOLD: Duration = Duration::from_millis(5);

threads_contract! {
    a_handler_that_blocks,
    when_all_workers_block,
    a_hook_that_blocks,
    the_actors_name,
    a_report_that_panics,
    a_handler_that_outlasts_the_shutdown,
    nothing_waits_for_a_watchdog,
}

type Reports = Shared<Vec<Overrun>>;

/// A system whose overruns are kept.
fn watched(on: Engine) -> (Stage, Reports) {
    let reports = Reports::default();
    let kept = reports.clone();
    let stage = Stage::of(on.builder().watchdog(THRESHOLD, move |overrun| kept.with(|kept| kept.push(overrun))));
    (stage, reports)
}

/// The reports of what one actor handled. A slow machine may hold up others, too, and hooks.
fn of(reports: &Reports, actor: ActorId) -> Vec<Overrun> {
    reports.get().into_iter().filter(|overrun| overrun.actor == actor && overrun.message.is_some()).collect()
}

#[track_caller]
fn reported(reports: &Reports, actor: ActorId, ended: bool) -> Overrun {
    found(|| of(reports, actor).into_iter().find(|overrun| overrun.ended == ended))
}

#[track_caller]
fn found(find: impl Fn() -> Option<Overrun>) -> Overrun {
    eventually("a report", || find().is_some());
    find().unwrap()
}

fn a_handler_that_blocks(on: Engine) {
    let (stage, reports) = watched(on);
    let (a, gate) = (stage.puppet("a"), Gate::default());
    a.tell(Block(gate.clone())).unwrap();
    let first = reported(&reports, a.id(), false);
    assert_eq!((first.type_name, first.name.clone()), (type_name::<Puppet>(), None));
    assert_eq!(first.message, Some(type_name::<Block>()));
    assert!(first.worker.is_some_and(|worker| worker < on.workers()), "{first}");
    assert!(first.elapsed >= THRESHOLD, "{first}");
    // What comes behind it waits, or is run by another worker.
    let b = stage.puppet("b");
    b.tell(1).unwrap();
    if on.workers() > 1 {
        stage.log.until("b gets 1");
    }
    gate.open();
    let last = reported(&reports, a.id(), true);
    assert!(last.elapsed >= first.elapsed, "{first}; {last}");
    assert_eq!((last.message, last.worker, last.type_name), (first.message, first.worker, first.type_name));
    // Asks are messages, too, and the next overrun is another one.
    let gate = Gate::default();
    let asked = a.ask(Block(gate.clone()));
    eventually("a second report", || of(&reports, a.id()).len() == 3);
    gate.open();
    asked.wait().unwrap();
    eventually("its end", || of(&reports, a.id()).len() == 4);
    let all = of(&reports, a.id());
    assert!(all.iter().all(|overrun| overrun.message == Some(type_name::<Block>())), "{all:?}");
    assert_eq!(all.iter().map(|overrun| overrun.ended).collect::<Vec<_>>(), [false, true, false, true]);
    stage.log.until("b gets 1");
    stage.end();
    // Nothing else was said of it.
    assert_eq!(of(&reports, a.id()).len(), 4);
}

fn when_all_workers_block(on: Engine) {
    let (stage, reports) = watched(on);
    let actors: Vec<_> = (0..on.workers()).map(|_| stage.puppet("a")).collect();
    let held: Vec<_> = actors.iter().map(hold).collect();
    let mut workers: Vec<_> = actors.iter().map(|a| reported(&reports, a.id(), false).worker).collect();
    workers.sort_unstable();
    assert_eq!(workers, (0..on.workers()).map(Some).collect::<Vec<_>>());
    drop(held);
    for actor in &actors {
        assert!(reported(&reports, actor.id(), true).elapsed >= THRESHOLD);
    }
    stage.end();
}

/// Blocks when it starts.
struct Late(Gate);

impl Actor for Late {
    fn started(&mut self, _: &mut Context<Self>) {
        self.0.wait();
    }
}

fn a_hook_that_blocks(on: Engine) {
    let (stage, reports) = watched(on);
    let gate = Gate::default();
    let late = stage.spawn(Late(gate.clone()));
    let hooks = |ended| reports.get().into_iter().find(|overrun| overrun.actor == late.id() && overrun.ended == ended);
    assert_eq!(found(|| hooks(false)).message, None);
    gate.open();
    assert_eq!(found(|| hooks(true)).message, None);
    stage.end();
}

fn the_actors_name(on: Engine) {
    let (stage, reports) = watched(on);
    let log = stage.log.clone();
    let a = stage.actor(move || Puppet::new("a", &log)).name("desk").spawn().unwrap();
    let held = hold(&a);
    let overrun = reported(&reports, a.id(), false);
    assert_eq!(overrun.name.as_deref(), Some("desk"));
    let worker = overrun.worker.unwrap();
    let line = format!(
        "{} ({} \"desk\") is in a handler of {} for {:?}, on worker {worker}",
        overrun.type_name,
        a.id(),
        overrun.message.unwrap(),
        overrun.elapsed
    );
    assert_eq!(overrun.to_string(), line);
    drop(held);
    // The next one there has none.
    let b = stage.puppet("b");
    let held = hold(&b);
    assert_eq!(reported(&reports, b.id(), false).name, None);
    drop(held);
    stage.end();
}

fn a_report_that_panics(on: Engine) {
    quiet_panics();
    let reports = Reports::default();
    let kept = reports.clone();
    let hook = move |overrun| {
        kept.with(|kept| kept.push(overrun));
        panic!("meant: a report");
    };
    let stage = Stage::of(on.builder().watchdog(THRESHOLD, hook));
    let a = stage.puppet("a");
    for round in 0..2 {
        let held = hold(&a);
        eventually("a report", || of(&reports, a.id()).len() == 2 * round + 1);
        drop(held);
        eventually("its end", || of(&reports, a.id()).len() == 2 * round + 2);
    }
    stage.end();
}

fn a_handler_that_outlasts_the_shutdown(on: Engine) {
    let (stage, reports) = watched(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    let error = stage.system.shutdown(Duration::ZERO).unwrap_err();
    assert!(matches!(&error, ShutdownError::Timeout { holders } if holders.len() == 1), "{error}");
    reported(&reports, a.id(), false);
    drop(held);
    stage.end();
    // The watchdog has been joined, and has said so before.
    assert!(of(&reports, a.id()).last().is_some_and(|overrun| overrun.ended));
}

fn nothing_waits_for_a_watchdog(on: Engine) {
    // It would look again in six hours, and is woken by the end.
    let stage = Stage::of(on.builder().watchdog(Duration::from_secs(24 * 60 * 60), |_| unreachable!()));
    assert_eq!(stage.puppet("a").ask(1).wait(), Ok(2));
    stage.end();
}

#[test]
fn a_threshold_that_cannot_be() {
    for asked in [Duration::ZERO, Duration::from_micros(999), Duration::from_secs(86_401), Duration::MAX] {
        let error = System::builder().workers(1).watchdog(asked, |_| ()).build().unwrap_err();
        assert!(matches!(error, BuildError::Threshold { asked: same, .. } if same == asked), "{error:?}");
        let text = format!("a watchdog's threshold of {asked:?}: 1ms to 86400s are allowed");
        assert_eq!(error.to_string(), text);
        assert_eq!(Simulation::builder().watchdog(asked, |_| ()).build().unwrap_err().to_string(), text);
    }
}

/// The hook's own calls: those that would wait for the watchdog itself are refused.
#[test]
fn a_shutdown_by_the_watchdog() {
    let results: Shared<Vec<Result<(), ShutdownError>>> = Shared::default();
    let place: Shared<Option<System>> = Shared::default();
    let (kept, to) = (results.clone(), place.clone());
    let hook = move |_| {
        if let Some(system) = to.get() {
            let result = system.shutdown(LIMIT);
            kept.with(|kept| kept.push(result));
        }
    };
    let stage = Stage::of(System::builder().workers(1).watchdog(THRESHOLD, hook));
    place.with(|place| *place = Some(stage.system.clone()));
    let held = hold(&stage.puppet("a"));
    eventually("a report", || !results.get().is_empty());
    assert_eq!(results.get()[0], Err(ShutdownError::WouldDeadlock));
    drop(held);
    place.with(|place| *place = None);
    stage.end();
}

/// In a simulation the rule is exact.
#[test]
fn simulated_handlers_that_are_slow() {
    let second = Duration::from_secs(1);
    for seed in 0..20 {
        let reports: Shared<Vec<Overrun>> = Shared::default();
        let kept = reports.clone();
        let sim = Simulation::builder()
            .seed(seed)
            .trace(true)
            .faults(Faults::none().slow(0.5, 2 * second))
            .watchdog(second, move |overrun| kept.with(|kept| kept.push(overrun)))
            .build()
            .unwrap();
        let log = crate::support::Log::default();
        let a = sim.actor(move || Puppet::new("a", &log)).name("desk").spawn().unwrap();
        a.send_all(0..20_u64).unwrap();
        a.tell(run(|_, _| ())).unwrap();
        sim.run_for(Duration::from_secs(100)).unwrap();
        let reports = reports.get();
        // What was slow for longer than a second, by the trace.
        let trace = sim.trace();
        let slow: Vec<Duration> = trace
            .events()
            .iter()
            .filter_map(|event| if let cuelight::Happened::Slowed(time) = event.what { Some(time) } else { None })
            .filter(|&time| time >= second)
            .collect();
        let (first, last): (Vec<_>, Vec<_>) = reports.iter().partition(|overrun| !overrun.ended);
        assert!(first.iter().all(|overrun| overrun.elapsed == second), "{reports:?}");
        assert_eq!(last.iter().map(|overrun| overrun.elapsed).collect::<Vec<_>>(), slow, "seed {seed}");
        assert_eq!(first.len(), slow.len(), "seed {seed}");
        for overrun in &reports {
            assert_eq!((overrun.actor, overrun.name.as_deref()), (a.id(), Some("desk")), "{overrun}");
            assert!(overrun.message.is_some(), "{overrun}");
        }
    }
}
