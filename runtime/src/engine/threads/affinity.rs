//! Which worker is pinned where.
//!
//! Promise: a decision for each worker with its reason, made before any thread exists, from a description of the
//! machine and nothing else. Never a CPU outside the allowed ones, unless they are unknown and the user names it.
//!
//! How: [`plan`] is a pure function of what was asked and of [`Machine`]; its result is the system's report as it will
//! be if every pin succeeds. [`pin_current`] then pins, and [`Report::pin_failed`] says so where it did not.
//!
//! Gives up: two systems, or two processes, do not know of each other: with fewer workers than CPUs both begin at the
//! same core. Use `Pin::Only` or `Pin::Off` there.

use std::fmt;

use super::machine::Machine;
use crate::engine::config::Pin;
use crate::engine::report::{CpuList, Report, WorkerReport};

/// The first CPU number that core_affinity cannot express; past it, it would panic or pin to something else.
const MAX_CPU: usize = if cfg!(windows) { usize::BITS as usize } else { 1024 };

/// A [`Pin`] that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlanError {
    /// The list of CPUs is empty.
    EmptyList,
    /// The list names a CPU twice.
    Duplicate {
        /// That CPU.
        cpu: usize,
    },
    /// The list names a CPU that this process may not use.
    CpuNotAllowed {
        /// That CPU.
        cpu: usize,
        /// Those it may use.
        allowed: Vec<usize>,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::EmptyList => write!(f, "the list of CPUs to pin to is empty"),
            PlanError::Duplicate { cpu } => write!(f, "the list of CPUs to pin to names CPU {cpu} twice"),
            PlanError::CpuNotAllowed { cpu, allowed } => {
                write!(f, "CPU {cpu} is not among the CPUs allowed to this process ({})", CpuList(allowed))
            }
        }
    }
}

impl std::error::Error for PlanError {}

/// Decides where each of `workers` is to run.
pub(crate) fn plan(workers: usize, pin: &Pin, machine: &Machine) -> Result<Report, PlanError> {
    let allowed = machine.allowed.as_slice();
    let cpus: Result<Vec<usize>, String> = match pin {
        Pin::Off => Err("pinning is off".into()),
        Pin::Only(list) => Ok(check(list, allowed)?.to_vec()),
        Pin::Auto | Pin::Cores if allowed.is_empty() => Err("the allowed CPUs cannot be found out here".into()),
        Pin::Auto if workers > allowed.len() => Err(format!("{workers} workers on {} allowed CPUs", allowed.len())),
        Pin::Auto if machine.is_throttled() => {
            let quota = machine.quota.unwrap_or_default();
            Err(format!("a CPU quota of {quota} is smaller than the {} allowed CPUs", allowed.len()))
        }
        Pin::Auto | Pin::Cores => Ok(machine.cores_first()),
    };
    let seat = |index| match &cpus {
        Ok(cpus) => WorkerReport { index, cpu: Some(cpus[index % cpus.len()]), reason: None },
        Err(reason) => WorkerReport { index, cpu: None, reason: Some(reason.clone()) },
    };
    Ok(Report {
        workers: (0..workers).map(seat).collect(),
        allowed_cpus: allowed.to_vec(),
        quota: machine.quota,
        warnings: warnings(workers, cpus.as_deref().ok(), machine),
    })
}

fn check<'a>(list: &'a [usize], allowed: &[usize]) -> Result<&'a [usize], PlanError> {
    if list.is_empty() {
        return Err(PlanError::EmptyList);
    }
    for (position, &cpu) in list.iter().enumerate() {
        if !allowed.is_empty() && !allowed.contains(&cpu) {
            return Err(PlanError::CpuNotAllowed { cpu, allowed: allowed.to_vec() });
        }
        if list[..position].contains(&cpu) {
            return Err(PlanError::Duplicate { cpu });
        }
    }
    Ok(list)
}

fn warnings(workers: usize, pinned: Option<&[usize]>, machine: &Machine) -> Vec<String> {
    let mut warnings = Vec::new();
    let cpus = pinned.unwrap_or(&machine.allowed);
    if !cpus.is_empty() && workers > cpus.len() {
        let mut cpus = cpus.to_vec();
        cpus.sort_unstable();
        let noun = if cpus.len() == 1 { "CPU" } else { "CPUs" };
        warnings.push(format!("{workers} workers share {} {noun} ({})", cpus.len(), CpuList(&cpus)));
    }
    if let Some(quota) = machine.quota {
        if quota < workers as f64 {
            warnings
                .push(format!("a CPU quota of {quota} is smaller than the {workers} workers: they will be held up"));
        } else if pinned.is_some() && machine.is_throttled() {
            warnings.push(format!("pinned under a CPU quota of {quota}: others may be pinned to the same CPUs"));
        }
    }
    warnings
}

/// Pins the calling thread to `cpu`, and says whether that worked.
pub(crate) fn pin_current(cpu: usize) -> bool {
    cpu < MAX_CPU && core_affinity::set_for_current(core_affinity::CoreId { id: cpu })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::machine::Place;
    use super::*;
    use crate::sync::thread;

    /// Cores of two neighbouring threads each.
    fn machine(allowed: &[usize], quota: Option<f64>) -> Machine {
        let place = |cpu| Place { core: cpu / 2 * 2, l3: Some(0), node: Some(0) };
        let places = allowed.iter().map(|&cpu| (cpu, place(cpu))).collect();
        Machine { allowed: allowed.to_vec(), quota, places }
    }

    fn cpus(report: &Report) -> Vec<Option<usize>> {
        for (index, worker) in report.workers.iter().enumerate() {
            assert_eq!(worker.index, index);
            assert!(worker.cpu.is_some() != worker.reason.is_some(), "a CPU or a reason");
        }
        report.workers.iter().map(|worker| worker.cpu).collect()
    }

    fn reason(report: &Report) -> &str {
        report.workers[0].reason.as_deref().expect("not pinned")
    }

    #[test]
    fn auto_pins_when_there_is_a_cpu_for_each() {
        let eight = machine(&[0, 1, 2, 3, 4, 5, 6, 7], None);
        let report = plan(4, &Pin::Auto, &eight).unwrap();
        assert_eq!(cpus(&report), [Some(0), Some(2), Some(4), Some(6)]);
        assert_eq!((report.allowed_cpus.len(), report.quota, report.warnings.len()), (8, None, 0));
        let report = plan(6, &Pin::Auto, &eight).unwrap();
        assert_eq!(cpus(&report), [Some(0), Some(2), Some(4), Some(6), Some(1), Some(3)]);
        let report = plan(2, &Pin::Auto, &machine(&[1, 3], Some(2.0))).unwrap();
        assert_eq!(cpus(&report), [Some(1), Some(3)]);
        assert!(report.warnings.is_empty());
    }

    #[test]
    fn auto_says_why_not() {
        let report = plan(3, &Pin::Auto, &machine(&[1, 3], None)).unwrap();
        assert_eq!(cpus(&report), [None; 3]);
        assert_eq!(reason(&report), "3 workers on 2 allowed CPUs");
        assert_eq!(report.warnings, ["3 workers share 2 CPUs (1,3)"]);

        let report = plan(2, &Pin::Auto, &machine(&[0, 1, 2, 3, 4, 5, 6, 7], Some(1.5))).unwrap();
        assert_eq!(reason(&report), "a CPU quota of 1.5 is smaller than the 8 allowed CPUs");
        assert_eq!(report.warnings, ["a CPU quota of 1.5 is smaller than the 2 workers: they will be held up"]);
        assert_eq!(report.quota, Some(1.5));

        let report = plan(1, &Pin::Auto, &Machine::default()).unwrap();
        assert_eq!(reason(&report), "the allowed CPUs cannot be found out here");
    }

    #[test]
    fn cores_pins_whatever_it_takes() {
        let report = plan(5, &Pin::Cores, &machine(&[0, 1, 5], None)).unwrap();
        assert_eq!(cpus(&report), [Some(0), Some(5), Some(1), Some(0), Some(5)]);
        assert_eq!(report.warnings, ["5 workers share 3 CPUs (0-1,5)"]);
        let report = plan(1, &Pin::Cores, &machine(&[0, 1], Some(1.0))).unwrap();
        assert_eq!(cpus(&report), [Some(0)]);
        assert_eq!(report.warnings, ["pinned under a CPU quota of 1: others may be pinned to the same CPUs"]);
        assert_eq!(cpus(&plan(2, &Pin::Cores, &Machine::default()).unwrap()), [None, None]);
    }

    #[test]
    fn off_never_pins() {
        let report = plan(2, &Pin::Off, &machine(&[0, 1], None)).unwrap();
        assert_eq!((cpus(&report), reason(&report)), (vec![None, None], "pinning is off"));
        assert!(plan(0, &Pin::Off, &Machine::default()).unwrap().workers.is_empty());
    }

    #[test]
    fn only_takes_the_list_as_it_is() {
        let some = machine(&[1, 3, 5], None);
        let only = |list: &[usize]| plan(2, &Pin::Only(list.to_vec()), &some);
        assert_eq!(cpus(&only(&[5, 1]).unwrap()), [Some(5), Some(1)]);
        assert_eq!(cpus(&only(&[5, 1, 3]).unwrap()), [Some(5), Some(1)]);
        let shared = only(&[3]).unwrap();
        assert_eq!(cpus(&shared), [Some(3), Some(3)]);
        assert_eq!(shared.warnings, ["2 workers share 1 CPU (3)"]);
        let unknown = plan(1, &Pin::Only(vec![7]), &Machine::default()).unwrap();
        assert_eq!(cpus(&unknown), [Some(7)], "nobody can tell that it is not allowed");

        assert_eq!(only(&[]).unwrap_err().to_string(), "the list of CPUs to pin to is empty");
        let twice = only(&[1, 3, 1]).unwrap_err();
        assert_eq!(twice.to_string(), "the list of CPUs to pin to names CPU 1 twice");
        let other = only(&[1, 2]).unwrap_err();
        assert_eq!(other, PlanError::CpuNotAllowed { cpu: 2, allowed: vec![1, 3, 5] });
        assert_eq!(other.to_string(), "CPU 2 is not among the CPUs allowed to this process (1,3,5)");
    }

    #[test]
    fn pins_the_calling_thread() {
        let work = || {
            assert!(!pin_current(MAX_CPU) && !pin_current(usize::MAX));
            let before = Machine::read();
            let Some(&cpu) = before.allowed.last() else { return };
            if pin_current(cpu) && cfg!(target_os = "linux") {
                assert_eq!(Machine::read().allowed, [cpu], "a pinned thread sees one CPU");
            }
        };
        thread::Builder::new().spawn(work).unwrap().join().unwrap();
    }
}
