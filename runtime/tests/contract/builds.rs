//! Configuration: what is taken, and what is refused in which words.

use crate::support::puppet::Puppet;
use crate::support::stage::{Engine, Stage, end, threads_contract};
use cuelight::{Budget, BuildError, Builder, Idle, Pin, System};
use std::error::Error;
use std::time::Duration;

threads_contract! {
    all_settings_are_taken,
    every_way_to_idle_and_to_pin,
    a_report_tells_where_workers_are,
    a_list_of_cpus_is_followed,
}

fn refused(builder: Builder) -> BuildError {
    builder.build().expect_err("refused")
}

fn allowed() -> Vec<usize> {
    System::builder().workers(1).pin(Pin::Off).build().unwrap().report().allowed_cpus
}

#[test]
fn absurd_numbers_of_workers() {
    for (workers, text) in [
        (0, "0 workers: at least 1 and at most 1024 are allowed"),
        (1025, "1025 workers: at least 1 and at most 1024 are allowed"),
        (usize::MAX, "18446744073709551615 workers: at least 1 and at most 1024 are allowed"),
    ] {
        let error = refused(System::builder().workers(workers));
        assert!(matches!(error, BuildError::Workers { asked, most: 1024 } if asked == workers), "{error:?}");
        assert_eq!(error.to_string(), text);
        assert!(error.source().is_none());
    }
}

#[test]
fn budgets_of_nothing() {
    for (budget, text) in [
        (Budget { messages: 0, ..Budget::default() }, "a budget of zero messages: at least one is needed"),
        (Budget { time: Duration::ZERO, ..Budget::default() }, "a budget of zero time: at least one is needed"),
        (Budget { messages: 0, time: Duration::ZERO }, "a budget of zero messages: at least one is needed"),
    ] {
        let error = refused(System::builder().workers(1).budget(budget));
        assert!(matches!(error, BuildError::ZeroBudget { .. }), "{error:?}");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn lists_of_cpus_that_cannot_be() {
    let only = |cpus: &[usize]| {
        let error = refused(System::builder().workers(1).pin(Pin::Only(cpus.to_vec())));
        assert!(matches!(error, BuildError::Cpus { .. }), "{error:?}");
        error.to_string()
    };
    assert_eq!(only(&[]), "the list of CPUs to pin to is empty");
    let allowed = allowed();
    let Some(&cpu) = allowed.first() else {
        println!("the allowed CPUs cannot be found out here");
        return;
    };
    assert_eq!(only(&[cpu, cpu]), format!("the list of CPUs to pin to names CPU {cpu} twice"));
    let foreign = only(&[cpu, 1000]);
    assert!(foreign.starts_with("CPU 1000 is not among the CPUs allowed to this process ("), "{foreign}");
    assert!(foreign.contains(&cpu.to_string()), "{foreign}");
}

#[test]
fn a_name_that_no_thread_can_bear() {
    let error = refused(System::builder().workers(1).name("a\0b"));
    assert!(matches!(&error, BuildError::Name { asked } if asked == "a\0b"), "{error:?}");
    assert_eq!(error.to_string(), "the name \"a\\0b\" contains a zero byte");
}

#[test]
fn defaults() {
    let system = System::new().unwrap();
    assert_eq!(system.name(), "cuelight");
    let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(system.report().workers.len(), parallelism);
    assert_eq!((Pin::default(), Idle::default()), (Pin::Auto, Idle::Hybrid));
    assert!(Budget::default().messages > 0 && !Budget::default().time.is_zero());
    end(&system);
}

#[test]
fn names_of_any_kind() {
    for name in ["", "a name that is much longer than an operating system lets a thread's be", "Ünïcödé ⚙"] {
        let system = System::builder().workers(1).name(name).build().unwrap();
        assert_eq!(system.name(), name);
        end(&system);
    }
}

fn all_settings_are_taken(on: Engine) {
    let builder = on
        .builder()
        .name("all")
        .pin(Pin::Off)
        .idle(Idle::Park)
        .budget(Budget { messages: u32::MAX, time: Duration::MAX })
        .workers(1)
        .workers(on.workers());
    let again = builder.clone();
    assert!(format!("{builder:?}").contains("\"all\""));
    for builder in [builder, again] {
        let stage = Stage::of(builder);
        assert_eq!(stage.puppet("a").ask(1).wait(), Ok(2));
        assert_eq!(stage.report().workers.len(), on.workers());
        stage.end();
    }
}

fn every_way_to_idle_and_to_pin(on: Engine) {
    for idle in [Idle::Hybrid, Idle::Spin, Idle::Park] {
        for pin in [Pin::Auto, Pin::Cores, Pin::Off] {
            let stage = Stage::of(on.builder().idle(idle).pin(pin));
            let actors: Vec<_> = (0..4).map(|_| stage.spawn(Puppet::new("a", &stage.log))).collect();
            for actor in &actors {
                assert_eq!(actor.ask(3).wait(), Ok(6));
            }
            stage.end();
        }
    }
}

fn a_report_tells_where_workers_are(on: Engine) {
    let stage = Stage::of(on.builder().pin(Pin::Off));
    let report = stage.report();
    for (index, worker) in report.workers.iter().enumerate() {
        assert_eq!((worker.index, worker.cpu, worker.reason.as_deref()), (index, None, Some("pinning is off")));
    }
    let text = report.to_string();
    assert_eq!(text.matches("not pinned: pinning is off").count(), on.workers(), "{text}");
    stage.end();
    let stage = Stage::of(on.builder().pin(Pin::Auto));
    let report = stage.report();
    for worker in &report.workers {
        assert!(worker.cpu.is_some() != worker.reason.is_some(), "{report}");
        assert!(worker.cpu.is_none_or(|cpu| report.allowed_cpus.contains(&cpu)), "{report}");
    }
    if on.workers() > report.allowed_cpus.len() && !report.allowed_cpus.is_empty() {
        assert!(report.workers.iter().all(|worker| worker.cpu.is_none()), "{report}");
        assert!(!report.warnings.is_empty(), "{report}");
    }
    stage.end();
}

fn a_list_of_cpus_is_followed(on: Engine) {
    let allowed = allowed();
    let Some(&cpu) = allowed.last() else { return };
    let stage = Stage::of(on.builder().pin(Pin::Only(vec![cpu])));
    assert_eq!(stage.puppet("a").ask(1).wait(), Ok(2));
    let report = stage.report();
    for worker in &report.workers {
        assert!(worker.cpu == Some(cpu) || worker.reason.is_some(), "{report}");
    }
    if on.workers() > 1 {
        let warning = format!("{} workers share 1 CPU ({cpu})", on.workers());
        assert!(report.warnings.contains(&warning), "{report}");
    }
    stage.end();
}
