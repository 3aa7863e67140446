//! Counts the words in the files of a folder.
//!
//! Run it with `cargo run --release -p examples --bin wordcount -- [FOLDER] [--workers N] [--top N]
//! [--shards N]`; without a folder it counts cuelight's own sources. It prints how many files,
//! bytes, words and distinct words there are and the most frequent words; complaints, a progress
//! bar (on a terminal) and the speed go to the standard error. It ends with 1 if the folder cannot
//! be read, with 2 if it is called wrongly; files within that cannot be read are named and
//! counted, and the rest goes on.

use std::env;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cuelight::System;
use examples::wordcount::args::{self, Command, Options, USAGE};
use examples::wordcount::console::Console;
use examples::wordcount::count;
use examples::wordcount::document::{Document, walk};
use examples::wordcount::job::{Plan, Summary};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Count(options)) => options,
        Ok(Command::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("wordcount: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wordcount: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut found = match &options.folder {
        Some(folder) => walk(folder, &[])?,
        None => walk(&own_sources(), &[".git", "target"])?,
    };
    for skipped in &found.skipped {
        eprintln!("{skipped}");
    }
    let mut builder = System::builder().name("wordcount");
    if let Some(workers) = options.workers {
        builder = builder.workers(workers);
    }
    let system = builder.build()?;
    let workers = system.report().workers.len();
    let plan = Plan {
        readers: workers,
        tokenizers: workers,
        shards: options.shards.unwrap_or(workers).min(args::MAX_SHARDS),
        top: options.top,
    };
    let mut console = Console::new(io::stderr());
    if io::stderr().is_terminal() {
        console = console.with_bar(found.bytes);
    }
    let begun = Instant::now();
    let boxed = |file| -> Box<dyn Document> { Box::new(file) };
    let documents = found.files.drain(..).map(boxed).collect();
    let mut summary = count(&system, plan, documents, console)?;
    let seconds = begun.elapsed().as_secs_f64();
    summary.skipped += found.skipped.len() as u64;
    let speed = summary.bytes as f64 / 1e6 / seconds.max(1e-9);
    eprintln!("{seconds:.2} s with {workers} workers, {speed:.0} MB/s");
    match print(&summary) {
        // Who reads only the head of it has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    system.shutdown(Duration::from_secs(10))?;
    Ok(())
}

/// The repository this was built from, or, if it has moved, the current folder.
fn own_sources() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let there = built.filter(|path| path.is_dir());
    there.unwrap_or(Path::new(".")).to_path_buf()
}

fn print(summary: &Summary) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let totals = &summary.totals;
    for (name, count) in [
        ("files", summary.files),
        ("skipped", summary.skipped),
        ("bytes", summary.bytes),
        ("words", totals.words),
        ("distinct", totals.distinct),
    ] {
        writeln!(out, "{name:<8} {count:>14}")?;
    }
    for (word, count) in &totals.top {
        writeln!(out, "{count:>23}  {word}")?;
    }
    out.flush()
}
