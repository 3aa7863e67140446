//! Carries out a plan: every run in a process of its own, runtimes and worker counts in turn.
//!
//! A round runs each bench once on each runtime with each number of workers, the order moved on by one from round to
//! round, so that whatever drifts (clock, neighbours, the hop) falls on all alike. The parent sleeps while a child
//! runs. A child that fails, hangs or dies leaves an invalid run behind, never a missing one.

use crate::{
    args::Plan,
    lock, machine,
    one::Job,
    record::{Machine, Peer, Report, Run, SCHEMA},
    runtimes::Entry,
    workloads::Bench,
};
use std::{
    env,
    io::{IsTerminal, Write, stderr},
    process::{Command, Stdio},
    time::Instant,
};

/// Runs everything; `machine` was looked at before.
pub(crate) fn measure(plan: &Plan, machine: Machine, warnings: Vec<String>) -> Result<Report, String> {
    let mut driver = Driver::new(plan)?;
    driver.rounds();
    driver.extras();
    driver.progress.clear();
    let mut report = blank(plan, machine, warnings);
    report.warnings.append(&mut driver.notes);
    report.runs = driver.runs;
    Ok(report)
}

/// What a report says before anything has run.
pub(crate) fn blank(plan: &Plan, machine: Machine, warnings: Vec<String>) -> Report {
    let peers = plan.runtimes.iter().filter_map(|name| Entry::find(name));
    Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        toolchain: env!("PERF_TOOLCHAIN").to_owned(),
        profile: env!("PERF_PROFILE").to_owned(),
        commit: commit(),
        lock: lock::hash(),
        allocator: format!("mimalloc {}", lock::version("mimalloc").unwrap_or("?")),
        machine,
        runtimes: peers
            .map(|entry| Peer {
                name: entry.name.to_owned(),
                version: lock::version(entry.package).unwrap_or("?").to_owned(),
                mode: entry.mode.to_owned(),
            })
            .collect(),
        benches: plan.benches.iter().map(|bench| bench.name().to_owned()).collect(),
        workers: plan.workers.clone(),
        warmup: plan.warmup,
        warnings,
        runs: Vec::new(),
    }
}

/// The commit of the working directory, with a mark if it has changes; none outside a repository.
fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).stderr(Stdio::null()).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if clean { commit } else { commit + "+changes" })
}

struct Driver<'p> {
    plan: &'p Plan,
    program: std::path::PathBuf,
    begun: Instant,
    progress: Progress,
    runs: Vec<Run>,
    notes: Vec<String>,
}

impl<'p> Driver<'p> {
    fn new(plan: &'p Plan) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        Ok(Self {
            plan,
            program,
            begun: Instant::now(),
            progress: Progress::new(),
            runs: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// The runs that are repeated.
    fn rounds(&mut self) {
        let plan = self.plan;
        let jobs: Vec<Vec<Job>> =
            (plan.benches.iter()).filter(|bench| !bench.once()).map(|&bench| self.jobs(bench, false)).collect();
        let total = plan.warmup + plan.runs;
        for round in 0..total {
            let started = Instant::now();
            let hop = machine::hop();
            for jobs in &jobs {
                for turn in 0..jobs.len() {
                    let job = &jobs[(turn + round as usize) % jobs.len()];
                    if round == 0 && self.over_after(0.0) {
                        self.notes.push("out of time in the first round: the table has gaps".to_owned());
                        return;
                    }
                    self.progress.show(&format!("round {} of {total}", round + 1), job);
                    let mut run = self.child(job);
                    run.hop_ns = hop;
                    run.round = round + 1;
                    if round >= plan.warmup || !run.valid() {
                        self.runs.push(run);
                    }
                }
            }
            // A round is begun if one as long as this one still fits.
            if round + 1 < total && self.over_after(started.elapsed().as_secs_f64()) {
                if round < 2 {
                    self.notes.push(format!("the time was enough for {} of {total} rounds", round + 1));
                }
                return;
            }
        }
    }

    /// The runs made once: figures that are no times, and counts of allocations.
    fn extras(&mut self) {
        let plan = self.plan;
        for &bench in plan.benches.iter().filter(|bench| bench.once()) {
            for job in self.jobs(bench, false) {
                self.progress.show("once", &job);
                let run = self.child(&job);
                self.runs.push(run);
            }
        }
        if plan.counting {
            for &bench in plan.benches.iter().filter(|bench| !bench.once()) {
                for job in self.jobs(bench, true) {
                    self.progress.show("counting allocations", &job);
                    let run = self.child(&job);
                    self.runs.push(run);
                }
            }
        }
    }

    fn jobs(&self, bench: Bench, counting: bool) -> Vec<Job> {
        let plan = self.plan;
        let workers = plan.workers.iter().filter(|&&workers| workers >= bench.least_workers());
        let job = |workers: usize, runtime: &String| Job {
            bench,
            runtime: runtime.clone(),
            workers,
            scale: plan.scale.unwrap_or_else(|| bench.quick_scale()),
            limit: plan.limit,
            counting,
        };
        workers.flat_map(|&workers| plan.runtimes.iter().map(move |runtime| job(workers, runtime))).collect()
    }

    /// Whether that much more would go beyond the budget.
    fn over_after(&self, seconds: f64) -> bool {
        let spent = self.begun.elapsed().as_secs_f64() + seconds;
        self.plan.budget.is_some_and(|budget| spent > budget.as_secs_f64())
    }

    fn child(&self, job: &Job) -> Run {
        let mut command = Command::new(&self.program);
        command
            .args(["one", "--bench", job.bench.name(), "--runtime", &job.runtime])
            .args(["--workers", &job.workers.to_string()])
            .args(["--scale", &job.scale.to_string()])
            .args(["--limit", &job.limit.as_secs().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        if job.counting {
            command.arg("--count-allocations");
        }
        let invalid = |why: String| Run { invalid: Some(why), ..job.blank() };
        let out = match command.output() {
            Ok(out) => out,
            Err(error) => return invalid(format!("not started: {error}")),
        };
        let text = String::from_utf8_lossy(&out.stdout);
        let record = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
        record.unwrap_or_else(|| invalid(format!("no record; the process ended with {}", out.status)))
    }
}

/// A line on the terminal that says what runs; nothing where stderr is no terminal.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { shown: stderr().is_terminal() }
    }

    fn show(&self, when: &str, job: &Job) {
        self.line(&format!("{when}: {} on {}, {} workers", job.bench.name(), job.runtime, job.workers));
    }

    fn clear(&self) {
        self.line("");
    }

    fn line(&self, text: &str) {
        if self.shown {
            // A terminal that cannot be written to is no reason to stop measuring.
            drop(write!(stderr(), "\r\x1b[K{text}"));
        }
    }
}
