//! One job in this process: boot, a warm-up pass, the pass that counts, shutdown.
//!
//! The warm-up runs on the same system ([`Bench::warmup`] says how much of it). A watchdog ends a process whose run neither ends nor fails.

use crate::{
    allocs,
    record::Run,
    runtimes::{self, Entry, Runtime},
    stage::Stage,
    usage,
    workloads::{self, Bench},
};
use std::{thread, time::Duration};

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) bench: Bench,
    pub(crate) runtime: String,
    pub(crate) workers: usize,
    pub(crate) scale: f64,
    /// How long any wait inside the run may take.
    pub(crate) limit: Duration,
    /// Count allocations; the times are then worth nothing.
    pub(crate) counting: bool,
}

/// What came of it. The record is complete, also of a run that failed.
pub(crate) type Outcome = Run;

impl Job {
    /// The record of this job before anything has run.
    pub(crate) fn blank(&self) -> Run {
        Run {
            bench: self.bench.name().to_owned(),
            runtime: self.runtime.clone(),
            workers: self.workers,
            scale: self.scale,
            round: 0,
            hop_ns: None,
            invalid: None,
            counting: self.counting,
            cold: Vec::new(),
            samples: Vec::new(),
            values: Default::default(),
            peak_kib: None,
        }
    }

    /// Runs it here.
    pub(crate) fn run(&self) -> Outcome {
        match Entry::find(&self.runtime) {
            Some(entry) => (entry.run)(self),
            None => Run { invalid: Some(format!("no runtime `{}` in this build", self.runtime)), ..self.blank() },
        }
    }
}

/// Runs a job on `R` and records it.
pub(crate) fn run<R: Runtime>(job: &Job) -> Outcome {
    let mut record = job.blank();
    if job.counting {
        allocs::count();
    }
    record.invalid = passes::<R>(job, &mut record).err();
    record.peak_kib = usage::peak_kib();
    record
}

fn passes<R: Runtime>(job: &Job, record: &mut Run) -> Result<(), String> {
    let refused = runtimes::refused();
    let runtime = R::boot(job.workers)?;
    if let Some(share) = job.bench.warmup() {
        let mut warmup = Stage::new(&runtime, job.scale * share, job.limit);
        workloads::run(job.bench, &mut warmup).map_err(|error| format!("warm-up: {error}"))?;
        if share == 1.0 {
            record.cold = warmup.samples;
        }
    }
    let mut stage = Stage::new(&runtime, job.scale, job.limit);
    let played = workloads::run(job.bench, &mut stage);
    record.samples = stage.samples;
    record.values = stage.values;
    played?;
    runtime.audit()?;
    runtime.shutdown().map_err(|error| format!("shutdown: {error}"))?;
    match runtimes::refused() - refused {
        0 => Ok(()),
        some => Err(format!("{some} messages were refused")),
    }
}

/// Ends the process with a record that says so if the job is not over in time. The thread sleeps; it costs nothing.
pub(crate) fn watch(job: &Job) {
    let limit = 2 * job.limit;
    let record = Run { invalid: Some(format!("hung for {} s", limit.as_secs())), ..job.blank() };
    thread::spawn(move || {
        thread::sleep(limit);
        if let Ok(line) = serde_json::to_string(&record) {
            println!("{line}");
        }
        std::process::exit(1);
    });
}
