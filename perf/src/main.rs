//! `perf`: what a whole system of actors does, beside other runtimes.
//!
//! `perf` alone takes a quick look in under a minute: every workload on every runtime of the build, with one worker
//! and with two, in turn, each run in a fresh process; it checks all counts and sums and prints a table. `perf run`
//! measures with full counts, `perf compare` holds two reports against each other, `perf doctor` says what figures
//! from this machine are worth. `perf --help` has the options, `workloads` what each bench does, `runtimes` how a
//! further runtime is added.
//!
//! How: a workload is one piece of code, compiled for each runtime through two small traits. A run boots a system,
//! makes the actors, warms up briefly, and is timed from the go signal to the last completion seen from outside. Each
//! figure is a median over fresh processes, printed with its spread, the processor time, and the price of an exchange
//! and of a cache line's hop at that hour.
//!
//! What it is not for: latency at a given load (this is a closed loop: how much, never how late); single paths of our
//! own code (see `benches`); programs whose handlers do real work, which hardly notice the runtime; machines unlike
//! yours. Differences below the printed spread are none, and below a factor of 1.5 between two runtimes they are no
//! evidence.

#![deny(unsafe_code)]

mod allocs;
mod args;
mod compare;
mod lock;
mod machine;
mod measure;
mod one;
mod record;
mod runtimes;
mod stage;
mod stats;
mod table;
mod tally;
mod usage;
mod workloads;

use args::{Command, Plan};
use compare::Verdict;
use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

#[global_allocator]
static ALLOCATOR: allocs::Counted = allocs::Counted;

/// Bad arguments, or a file that cannot be used.
const USAGE: u8 = 3;

fn main() -> ExitCode {
    match args::parse(env::args_os().skip(1)).and_then(act) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("perf: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn act(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Help => say(args::HELP)?,
        Command::Version => say(concat!("perf ", env!("CARGO_PKG_VERSION"), "\n"))?,
        Command::Doctor => {
            let mut text = String::new();
            let grid: Vec<_> = machine::doctor().into_iter().map(|(what, value)| vec![what + ":  " + &value]).collect();
            table::align(&grid, &mut text);
            say(&text)?;
        }
        Command::One(job) => {
            one::watch(&job);
            let record = job.run();
            let line = serde_json::to_string(&record).map_err(|error| error.to_string())?;
            say(&(line + "\n"))?;
            return Ok(verdict(record.valid()));
        }
        Command::Compare { old, new, tolerance } => {
            let (text, verdict) = compare::compare(&compare::load(&old)?, &compare::load(&new)?, tolerance)?;
            say(&text)?;
            let word = match verdict {
                Verdict::Fine => "same or better",
                Verdict::Undecided => "undecided: more runs would tell",
                Verdict::Worse => "worse",
            };
            say(&format!("{word}\n"))?;
            return Ok(ExitCode::from(verdict.exit_code()));
        }
        Command::Measure(plan) => return measure(&plan),
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(plan: &Plan) -> Result<ExitCode, String> {
    if let Some(path) = &plan.json {
        // Better now than after the runs.
        write(path, "")?;
    }
    let machine = machine::look();
    let most = plan.workers.iter().copied().max().unwrap_or(1);
    let warnings = machine::warnings(&machine, most);
    say(&table::head(&measure::blank(plan, machine.clone(), warnings.clone())))?;
    let report = measure::measure(plan, machine, warnings)?;
    say(&table::body(&report))?;
    if let Some(path) = &plan.json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        write(path, &(text + "\n"))?;
    }
    Ok(verdict(report.runs.iter().all(record::Run::valid)))
}

fn verdict(valid: bool) -> ExitCode {
    if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("--json {}: {error}", path.display()))
}

/// Prints; a reader that has gone away is an error, not a panic.
fn say(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| format!("cannot write: {error}"))
}
