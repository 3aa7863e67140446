//! What a system found and did about CPUs when it was built.
//!
//! Promise: for each worker its CPU, or the reason why it has none; whatever a user might wonder about later is a
//! warning. How: filled in when the system starts. Gives up: it does not follow changes of the process's CPUs.

use std::fmt;

/// A system's workers and CPUs, as they were when it was built.
///
/// `Display` prints some lines for a log.
///
/// ```
/// use cuelight::System;
///
/// let system = System::builder().workers(2).build()?;
/// let report = system.report();
/// assert_eq!(report.workers.len(), 2);
/// assert!(report.workers.iter().all(|worker| worker.cpu.is_some() != worker.reason.is_some()));
/// println!("{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The workers, by index.
    pub workers: Vec<WorkerReport>,
    /// The CPUs that this process may use, ascending; empty if that could not be found out.
    pub allowed_cpus: Vec<usize>,
    /// How many CPUs' worth of time the process's control groups grant it, if they limit it.
    pub quota: Option<f64>,
    /// What may disappoint.
    pub warnings: Vec<String>,
}

/// Where one worker runs. `Display` prints it as a line of its [`Report`].
///
/// # Examples
/// ```
/// use cuelight::{Pin, System};
///
/// let system = System::builder().workers(1).pin(Pin::Off).build()?;
/// let worker = &system.report().workers[0];
/// assert_eq!(worker.to_string(), "worker 0: not pinned: pinning is off");
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Its index.
    pub index: usize,
    /// The CPU it is pinned to.
    pub cpu: Option<usize>,
    /// Why it is not pinned, if it is not.
    pub reason: Option<String>,
}

impl Report {
    /// Notes that pinning a worker as planned has failed.
    pub(crate) fn pin_failed(&mut self, worker: usize) {
        let Some(worker) = self.workers.get_mut(worker) else { return };
        if let Some(cpu) = worker.cpu.take() {
            let reason = format!("the operating system refused CPU {cpu}");
            self.warnings.push(format!("worker {} is not pinned: {reason}", worker.index));
            worker.reason = Some(reason);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.allowed_cpus.as_slice() {
            [] => write!(f, "allowed CPUs unknown")?,
            cpus => write!(f, "{} allowed CPUs ({})", cpus.len(), CpuList(cpus))?,
        }
        match self.quota {
            Some(quota) => write!(f, ", quota of {quota} CPUs")?,
            None => write!(f, ", no quota")?,
        }
        self.workers.iter().try_for_each(|worker| write!(f, "\n{worker}"))?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}

impl fmt::Display for WorkerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}: ", self.index)?;
        match (self.cpu, &self.reason) {
            (Some(cpu), _) => write!(f, "CPU {cpu}"),
            (None, Some(reason)) => write!(f, "not pinned: {reason}"),
            (None, None) => write!(f, "not pinned"),
        }
    }
}

/// CPUs as people write them: `0-3,8`. Ascending ones are drawn together.
pub(crate) struct CpuList<'a>(pub(crate) &'a [usize]);

impl fmt::Display for CpuList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|&a, &b| a.checked_add(1) == Some(b));
        for (position, run) in runs.enumerate() {
            let comma = if position == 0 { "" } else { "," };
            match run {
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [only] => write!(f, "{comma}{only}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn lists_are_drawn_together() {
        assert_eq!(CpuList(&[]).to_string(), "");
        assert_eq!(CpuList(&[1, 3]).to_string(), "1,3");
        assert_eq!(CpuList(&[0, 1, 2, 8, 10, 11]).to_string(), "0-2,8,10-11");
        assert_eq!(CpuList(&[usize::MAX, 0]).to_string(), format!("{},0", usize::MAX));
    }

    #[test]
    fn prints_where_and_why() {
        let worker = |index, cpu| WorkerReport { index, cpu: Some(cpu), reason: None };
        let mut report = Report {
            workers: vec![worker(0, 1), worker(1, 3)],
            allowed_cpus: vec![1, 2, 3],
            quota: Some(1.5),
            warnings: vec!["it rains".into()],
        };
        report.pin_failed(1);
        report.pin_failed(1);
        report.pin_failed(7);
        assert_eq!(
            report.to_string(),
            "3 allowed CPUs (1-3), quota of 1.5 CPUs\n\
             worker 0: CPU 1\n\
             worker 1: not pinned: the operating system refused CPU 3\n\
             warning: it rains\n\
             warning: worker 1 is not pinned: the operating system refused CPU 3"
        );
        assert_eq!(Report::default().to_string(), "allowed CPUs unknown, no quota");
    }
}
