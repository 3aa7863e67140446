//! The command line. Every error names the value it does not like and says what is allowed.

use crate::{one::Job, runtimes, workloads::Bench};
use lexopt::{
    Arg::{Long, Short, Value},
    Parser, ValueExt,
};
use std::{ffi::OsString, path::PathBuf, time::Duration};

pub(crate) const HELP: &str = "\
perf: what a whole system of actors does, beside other runtimes

  perf [--json FILE]               a quick look, under a minute
  perf run [options]               a measurement worth keeping
      --bench A,B | all            default all
      --runtime A,B | all          default all
      --workers N,M                default 1,2
      --runs N                     rounds that count, default 5
      --warmup N                   rounds discarded before them, default 1
      --scale F                    factor on the full counts, default 1
      --json FILE                  write every raw run
  perf compare OLD NEW             two such files; exit 0: same or better, 1: worse, 2: undecided
      --tolerance PERCENT          what counts as the same, default 5
  perf doctor                      what figures from this machine are worth

Exit 1: a run failed or miscounted. Exit 3: bad arguments, or a file that cannot be used.
";

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Version,
    Doctor,
    Measure(Plan),
    Compare {
        old: PathBuf,
        new: PathBuf,
        tolerance: f64,
    },
    /// Hidden: one job in this process, its record on stdout.
    One(Job),
}

/// A measurement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) benches: Vec<Bench>,
    pub(crate) runtimes: Vec<String>,
    pub(crate) workers: Vec<usize>,
    pub(crate) runs: u32,
    pub(crate) warmup: u32,
    /// None: each bench's own scale for a quick look.
    pub(crate) scale: Option<f64>,
    /// No new round, and past the first no new run, is begun that would go beyond this.
    pub(crate) budget: Option<Duration>,
    /// How long any wait inside one run may take.
    pub(crate) limit: Duration,
    /// Whether to add a pass that counts allocations.
    pub(crate) counting: bool,
    pub(crate) json: Option<PathBuf>,
}

impl Plan {
    fn full() -> Self {
        Self {
            benches: Bench::all().collect(),
            runtimes: runtimes::ALL.iter().map(|entry| entry.name.to_owned()).collect(),
            workers: vec![1, 2],
            runs: 5,
            warmup: 1,
            scale: Some(1.0),
            budget: None,
            limit: Duration::from_secs(60),
            counting: true,
            json: None,
        }
    }

    /// Under a minute, build excluded.
    fn quick() -> Self {
        Self {
            warmup: 0,
            scale: None,
            runtimes: runtimes::ALL.iter().filter(|entry| entry.quick).map(|entry| entry.name.to_owned()).collect(),
            budget: Some(Duration::from_secs(45)),
            limit: Duration::from_secs(10),
            counting: false,
            ..Self::full()
        }
    }
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    command(&mut Parser::from_args(args)).map_err(|error| format!("{error}; see `perf --help`"))
}

fn command(parser: &mut Parser) -> Result<Command, lexopt::Error> {
    let mut plan = Plan::quick();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long("json") => plan.json = Some(parser.value()?.into()),
            Value(name) => match name.to_string_lossy().as_ref() {
                "quick" => {}
                "run" => return run(parser),
                "compare" => return compare(parser),
                "doctor" => return rest_is_empty(parser, Command::Doctor),
                "one" => return one(parser),
                other => return Err(format!("no command `{other}`; allowed: run, compare, doctor, or none").into()),
            },
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Command::Measure(plan))
}

fn rest_is_empty(parser: &mut Parser, command: Command) -> Result<Command, lexopt::Error> {
    match parser.next()? {
        Some(Short('h') | Long("help")) => Ok(Command::Help),
        Some(arg) => Err(arg.unexpected()),
        None => Ok(command),
    }
}

fn run(parser: &mut Parser) -> Result<Command, lexopt::Error> {
    let mut plan = Plan::full();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("bench") => plan.benches = list(parser, plan.benches, bench)?,
            Long("runtime") => plan.runtimes = list(parser, plan.runtimes, runtime)?,
            Long("workers") => plan.workers = list(parser, plan.workers, workers)?,
            Long("runs") => plan.runs = within(parser, "--runs", 1, 1000)?,
            Long("warmup") => plan.warmup = within(parser, "--warmup", 0, 1000)?,
            Long("scale") => plan.scale = Some(scale(&parser.value()?.string()?)?),
            Long("json") => plan.json = Some(parser.value()?.into()),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Command::Measure(plan))
}

fn compare(parser: &mut Parser) -> Result<Command, lexopt::Error> {
    let (mut files, mut tolerance) = (Vec::new(), 5.0);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("tolerance") => {
                let given = parser.value()?.string()?;
                tolerance = (given.parse().ok())
                    .filter(|percent| (0.0..=100.0).contains(percent))
                    .ok_or_else(|| format!("--tolerance `{given}`; allowed: 0 to 100, in percent"))?;
            }
            Value(file) => files.push(PathBuf::from(file)),
            _ => return Err(arg.unexpected()),
        }
    }
    match <[PathBuf; 2]>::try_from(files) {
        Ok([old, new]) => Ok(Command::Compare { old, new, tolerance }),
        Err(files) => Err(format!("compare takes two files, OLD and NEW, not {}", files.len()).into()),
    }
}

fn one(parser: &mut Parser) -> Result<Command, lexopt::Error> {
    let mut job = Job {
        bench: Bench::Pingpong,
        runtime: runtimes::ALL[0].name.to_owned(),
        workers: 1,
        scale: 1.0,
        limit: Duration::from_secs(60),
        counting: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("bench") => job.bench = bench(&parser.value()?.string()?)?,
            Long("runtime") => job.runtime = runtime(&parser.value()?.string()?)?,
            Long("workers") => job.workers = workers(&parser.value()?.string()?)?,
            Long("scale") => job.scale = scale(&parser.value()?.string()?)?,
            Long("limit") => job.limit = Duration::from_secs(within(parser, "--limit", 1, 3600)?.into()),
            Long("count-allocations") => job.counting = true,
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Command::One(job))
}

/// The option's value, split at commas; `all` stands for what the plan holds already.
fn list<T: PartialEq>(
    parser: &mut Parser,
    all: Vec<T>,
    item: fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, lexopt::Error> {
    let given = parser.value()?.string()?;
    if given == "all" {
        return Ok(all);
    }
    let mut chosen = Vec::new();
    for name in given.split(',') {
        let one = item(name.trim())?;
        if !chosen.contains(&one) {
            chosen.push(one);
        }
    }
    Ok(chosen)
}

fn bench(name: &str) -> Result<Bench, String> {
    Bench::find(name).ok_or_else(|| {
        let known: Vec<_> = Bench::all().map(Bench::name).collect();
        format!("no bench `{name}`; allowed: {}, all", known.join(", "))
    })
}

fn runtime(name: &str) -> Result<String, String> {
    match runtimes::Entry::find(name) {
        Some(entry) => Ok(entry.name.to_owned()),
        None => {
            let known: Vec<_> = runtimes::ALL.iter().map(|entry| entry.name).collect();
            Err(format!("no runtime `{name}` in this build; allowed: {}, all", known.join(", ")))
        }
    }
}

fn workers(given: &str) -> Result<usize, String> {
    (given.parse().ok())
        .filter(|workers| (1..=1024).contains(workers))
        .ok_or_else(|| format!("workers `{given}`; allowed: 1 to 1024"))
}

fn scale(given: &str) -> Result<f64, String> {
    (given.parse().ok())
        .filter(|scale| (1e-6..=100.0).contains(scale))
        .ok_or_else(|| format!("scale `{given}`; allowed: 0.000001 to 100"))
}

fn within(parser: &mut Parser, name: &str, least: u32, most: u32) -> Result<u32, lexopt::Error> {
    let given = parser.value()?.string()?;
    (given.parse().ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("{name} `{given}`; allowed: {least} to {most}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn plan(line: &str) -> Plan {
        match parsed(line) {
            Ok(Command::Measure(plan)) => plan,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn alone_it_is_quick() {
        assert_eq!(plan(""), Plan::quick());
        assert_eq!(plan("--json x.json").json, Some("x.json".into()));
    }

    #[test]
    fn lists_are_split_and_deduplicated() {
        let plan = plan("run --bench fanin,ring,fanin --workers 2,4 --runs 10 --scale 0.5");
        assert_eq!(plan.benches, [Bench::Fanin, Bench::Ring]);
        assert_eq!(plan.workers, [2, 4]);
        assert_eq!((plan.runs, plan.scale), (10, Some(0.5)));
    }

    #[test]
    fn all_is_everything() {
        let plan = plan("run --bench all --runtime all");
        assert_eq!(plan.benches.len(), Bench::all().count());
        assert_eq!(plan.runtimes.len(), runtimes::ALL.len());
    }

    #[test]
    fn one_job_round_trips() {
        let job = match parsed("one --bench big --workers 3 --scale 0.25 --limit 7 --count-allocations") {
            Ok(Command::One(job)) => job,
            other => panic!("{other:?}"),
        };
        assert_eq!((job.bench, job.workers, job.scale), (Bench::Big, 3, 0.25));
        assert_eq!((job.limit, job.counting), (Duration::from_secs(7), true));
    }

    #[test]
    fn comparisons_take_two_files() {
        let command = parsed("compare a b --tolerance 3").unwrap();
        let (old, new) = ("a".into(), "b".into());
        assert_eq!(command, Command::Compare { old, new, tolerance: 3.0 });
        assert!(parsed("compare a").unwrap_err().contains("not 1"));
    }

    #[test]
    fn errors_name_the_value_and_what_is_allowed() {
        for (line, value, allowed) in [
            ("run --bench pong", "`pong`", "pingpong"),
            ("run --runtime erlang", "`erlang`", "all"),
            ("run --workers 0", "`0`", "1 to 1024"),
            ("run --workers 1,x", "`x`", "1 to 1024"),
            ("run --runs none", "`none`", "1 to 1000"),
            ("run --scale -1", "`-1`", "to 100"),
            ("run --scale NaN", "`NaN`", "to 100"),
            ("compare a b --tolerance 200", "`200`", "0 to 100"),
            ("walk", "`walk`", "run, compare, doctor"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(value) && error.contains(allowed), "{line}: {error}");
        }
        assert!(parsed("run --bend x").unwrap_err().contains("--bend"));
        assert!(parsed("doctor more").unwrap_err().contains("more"));
    }
}
