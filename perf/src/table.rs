//! The report as text.
//!
//! Rows are what was measured, columns each runtime with each number of workers; every figure is the median of the
//! valid runs. Rows where we lose are printed like the others.

use crate::{
    record::{Machine, Report, Run, Sample},
    stats::{self, Spread},
};
use std::{collections::BTreeMap, fmt::Write};

/// Our name among the runtimes.
pub(crate) const OURS: &str = "ours";

/// One row's figures for one runtime with one number of workers.
#[derive(Default)]
pub(crate) struct Cell {
    /// Nanoseconds per operation, run by run.
    pub(crate) wall: Vec<f64>,
    cpu: Vec<f64>,
    /// Per operation, from the counting pass.
    allocations: Option<f64>,
    /// Over all runs.
    operations: u64,
    counters: BTreeMap<String, u64>,
}

/// Rows by name, in order of appearance; cells by runtime and workers.
pub(crate) type Rows = Vec<(String, BTreeMap<(String, usize), Cell>)>;

/// Sorts the valid runs of a report into rows.
pub(crate) fn rows(report: &Report) -> Rows {
    sorted(report, |run| &run.samples)
}

/// The same of the first passes, on memory nobody had touched.
fn cold_rows(report: &Report) -> Rows {
    let mut rows = sorted(report, |run| if run.counting { &[] } else { &run.cold });
    for row in &mut rows {
        row.0 += ", cold";
    }
    rows
}

fn sorted(report: &Report, samples: fn(&Run) -> &[Sample]) -> Rows {
    let mut rows = Rows::new();
    for bench in &report.benches {
        for run in report.runs.iter().filter(|run| run.valid() && run.bench == *bench) {
            for sample in samples(run) {
                let at = rows.iter().position(|row| row.0 == sample.name).unwrap_or_else(|| {
                    rows.push((sample.name.clone(), BTreeMap::new()));
                    rows.len() - 1
                });
                let cell = rows[at].1.entry((run.runtime.clone(), run.workers)).or_default();
                if run.counting {
                    let calls = sample.allocations.unwrap_or(0) as f64;
                    cell.allocations = Some(calls / sample.operations as f64);
                    continue;
                }
                cell.wall.push(sample.wall_per_operation());
                cell.cpu.push(sample.cpu_per_operation());
                cell.operations += sample.operations;
                for (name, moved) in &sample.counters {
                    *cell.counters.entry(name.clone()).or_default() += moved;
                }
            }
        }
    }
    rows
}

/// The lines before the runs begin.
pub(crate) fn head(report: &Report) -> String {
    let mut text = String::new();
    let names = report.runtimes.iter().map(|peer| format!("{} ({})", peer.name, peer.version));
    let names = names.collect::<Vec<_>>().join(", ");
    let commit = report.commit.as_deref().map_or("no commit", |commit| commit);
    let _ = writeln!(text, "perf {}: {names}", report.version);
    let _ = writeln!(
        text,
        "built by {}, {}, {}; commit {commit}, lock {}",
        report.toolchain, report.profile, report.allocator, report.lock
    );
    text.push_str(&machine(&report.machine));
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn machine(machine: &Machine) -> String {
    let ns = |cost: Option<f64>| cost.map_or_else(|| "not measured".to_owned(), |ns| format!("{} ns", figure(ns)));
    let load = machine.load.map_or_else(String::new, |load| format!(", load {load:.2}"));
    let busy = machine.busy.map_or_else(String::new, |busy| format!(", {:.0} % busy", 100.0 * busy));
    format!(
        "machine: {}, {}, {} CPUs ({} usable at once){load}{busy}\n\
         exchange {}, hop of a cache line {}, park/unpark {} (one way, between two cores)\n",
        machine.cpu.as_deref().unwrap_or("processor not told"),
        machine.os,
        machine.allowed_cpus,
        machine.usable_cpus,
        ns(Some(machine.exchange_ns)),
        ns(machine.hop_ns),
        ns(machine.park_ns),
    )
}

/// Everything after the runs.
pub(crate) fn body(report: &Report) -> String {
    let rows = rows(report);
    let mut text = String::new();
    if !rows.is_empty() {
        medians(report, "ns per message or actor", &rows, &mut text);
        let cold = cold_rows(report);
        if !cold.is_empty() {
            medians(report, "first pass of the process", &cold, &mut text);
        }
        spreads(report, &rows, &mut text);
        reasons(report, &rows, &mut text);
    }
    values(report, &mut text);
    memory(report, &mut text);
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    failures(report, &mut text);
    fairness(report, &mut text);
    text
}

/// Every runtime with every number of workers, in the order asked for.
fn columns(report: &Report) -> Vec<(String, usize)> {
    let runtimes = report.runtimes.iter();
    runtimes.flat_map(|peer| report.workers.iter().map(|&workers| (peer.name.clone(), workers))).collect()
}

fn fewest(report: &Report) -> usize {
    report.workers.iter().copied().min().unwrap_or(1)
}

fn most(report: &Report) -> usize {
    report.workers.iter().copied().max().unwrap_or(1)
}

fn medians(report: &Report, title: &str, rows: &Rows, text: &mut String) {
    let columns = columns(report);
    let (fewest, most) = (fewest(report), most(report));
    let ours = report.runtimes.iter().any(|peer| peer.name == OURS);
    let peers: Vec<&str> =
        (report.runtimes.iter().map(|peer| peer.name.as_str())).filter(|name| ours && *name != OURS).collect();
    let counted = rows.iter().flat_map(|row| row.1.values()).any(|cell| cell.allocations.is_some());

    let mut head = vec![title.to_owned()];
    head.extend(columns.iter().map(|(name, workers)| format!("{name} {workers}w")));
    head.extend(peers.iter().map(|peer| format!("{peer}/{OURS} {most}w")));
    let scaling = report.runtimes.iter().filter(|peer| peer.name == OURS || !ours);
    let scaling: Vec<&str> = scaling.filter(|_| most > fewest).map(|peer| peer.name.as_str()).collect();
    head.extend(scaling.iter().map(|name| format!("{name} {most}w/{fewest}w")));
    head.extend(report.runtimes.iter().map(|peer| format!("CPU {} {most}w", peer.name)));
    if counted {
        head.extend(report.runtimes.iter().map(|peer| format!("allocs {} {most}w", peer.name)));
    }

    let mut grid = vec![head];
    let mut ratios = vec![Vec::new(); peers.len()];
    for (name, cells) in rows {
        let cell = |runtime: &str, workers| cells.get(&(runtime.to_owned(), workers));
        let wall = |runtime: &str, workers| {
            cell(runtime, workers).filter(|cell| !cell.wall.is_empty()).map(|cell| stats::median(&cell.wall))
        };
        let mut line = vec![name.clone()];
        line.extend(columns.iter().map(|(runtime, workers)| optional(wall(runtime, *workers), figure)));
        for (peer, ratios) in peers.iter().zip(&mut ratios) {
            let ratio = wall(peer, most).zip(wall(OURS, most)).map(|(peer, ours)| peer / ours);
            // Each bench once: the rows of a bench with several say the same thing again.
            ratios.extend(ratio.filter(|_| report.benches.contains(name)));
            line.push(optional(ratio, times));
        }
        for runtime in &scaling {
            let ratio = wall(runtime, most).zip(wall(runtime, fewest)).map(|(many, few)| many / few);
            line.push(optional(ratio, times));
        }
        for peer in &report.runtimes {
            let cell = cell(&peer.name, most).filter(|cell| !cell.cpu.is_empty());
            line.push(optional(cell.map(|cell| stats::median(&cell.cpu)), figure));
        }
        if counted {
            for peer in &report.runtimes {
                let calls = cell(&peer.name, most).and_then(|cell| cell.allocations);
                line.push(optional(calls, |calls| format!("{calls:.3}")));
            }
        }
        grid.push(line);
    }
    text.push('\n');
    align(&grid, text);
    for (peer, ratios) in peers.iter().zip(&ratios) {
        if let Some(mean) = stats::geometric_mean(ratios) {
            let _ = writeln!(text, "geometric mean {peer}/{OURS}, {most} workers: {mean:.2}");
        }
    }
}

/// Least and most, for the rows that ran more than once.
fn spreads(report: &Report, rows: &Rows, text: &mut String) {
    let columns = columns(report);
    let mut grid = vec![vec!["least..most of the runs".to_owned()]];
    grid[0].extend(columns.iter().map(|(name, workers)| format!("{name} {workers}w")));
    let mut runs = Vec::new();
    for (name, cells) in rows {
        let mut line = vec![name.clone()];
        for column in &columns {
            let walls = cells.get(column).map_or(&[][..], |cell| &cell.wall);
            runs.push(walls.len());
            line.push(optional(Spread::of(walls), |s| format!("{}..{}", figure(s.min), figure(s.max))));
        }
        grid.push(line);
    }
    let (least, most) = (*runs.iter().min().unwrap_or(&0), *runs.iter().max().unwrap_or(&0));
    if most < 2 {
        let _ = writeln!(text, "\none run each: no spread, no evidence");
        return;
    }
    let count = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let hops: Vec<f64> = report.runs.iter().filter_map(|run| run.hop_ns).collect();
    let hops = Spread::of(&hops)
        .map_or_else(String::new, |s| format!("; the hop before each round: {}..{} ns", figure(s.min), figure(s.max)));
    let _ = writeln!(text, "\nmedians of {count} valid runs, each a fresh process{hops}");
    align(&grid, text);
}

/// Where more workers are slower for us: what they did instead.
fn reasons(report: &Report, rows: &Rows, text: &mut String) {
    let (fewest, most) = (fewest(report), most(report));
    for (name, cells) in rows {
        let cell = |workers| cells.get(&(OURS.to_owned(), workers)).filter(|cell| !cell.wall.is_empty());
        let (Some(few), Some(many)) = (cell(fewest), cell(most)) else {
            continue;
        };
        let ratio = stats::median(&many.wall) / stats::median(&few.wall);
        if most == fewest || ratio <= 1.0 {
            continue;
        }
        let rates = many.counters.iter().filter(|(name, _)| !name.starts_with("worker "));
        let rates =
            rates.map(|(name, &moved)| format!("{name} {}", rate(1000.0 * moved as f64 / many.operations as f64)));
        let rates = rates.collect::<Vec<_>>().join(", ");
        let by_worker: Vec<u64> = (many.counters.iter())
            .filter(|(name, _)| name.starts_with("worker "))
            .map(|(_, &handled)| handled)
            .collect();
        let all = by_worker.iter().sum::<u64>().max(1) as f64;
        let shares = by_worker.iter().map(|&handled| format!("{:.0} %", 100.0 * handled as f64 / all));
        let shares = shares.collect::<Vec<_>>().join(" / ");
        let _ = writeln!(
            text,
            "{name}: {ratio:.2} times as long with {most} workers; per 1000 operations: {rates}; handled by worker: {shares}"
        );
    }
}

/// Figures that are no times per operation.
fn values(report: &Report, text: &mut String) {
    let mut lines: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    for run in report.runs.iter().filter(|run| run.valid() && !run.counting) {
        let at = report.benches.iter().position(|bench| *bench == run.bench).unwrap_or(0);
        for name in run.values.keys() {
            lines.entry((at, name.clone())).or_default();
        }
    }
    if !lines.is_empty() {
        text.push('\n');
    }
    let columns = columns(report);
    let mut grid = vec![vec!["other figures, medians".to_owned()]];
    grid[0].extend(columns.iter().map(|(name, workers)| format!("{name} {workers}w")));
    for (at, name) in lines.keys() {
        let bench = &report.benches[*at];
        let mut line = vec![format!("{bench}: {name}")];
        for (runtime, workers) in &columns {
            let here = |run: &&Run| {
                run.valid()
                    && !run.counting
                    && run.bench == *bench
                    && run.runtime == *runtime
                    && run.workers == *workers
            };
            let found: Vec<f64> =
                (report.runs.iter().filter(here)).filter_map(|run| run.values.get(name).copied()).collect();
            line.push(optional(Spread::of(&found).map(|spread| spread.median), |value| format!("{value:.2}")));
        }
        grid.push(line);
    }
    if grid.len() > 1 {
        align(&grid, text);
    }
}

/// The largest process of each runtime.
fn memory(report: &Report, text: &mut String) {
    let mut peaks: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for run in &report.runs {
        let peak = (run.peak_kib.unwrap_or(0), run.bench.as_str());
        let most = peaks.entry(&run.runtime).or_insert(peak);
        *most = (*most).max(peak);
    }
    for (runtime, (kib, bench)) in peaks.iter().filter(|(_, peak)| peak.0 > 0) {
        let _ = writeln!(text, "peak memory of {runtime}: {} MiB, in {bench}", kib / 1024);
    }
}

fn failures(report: &Report, text: &mut String) {
    for run in &report.runs {
        if let Some(why) = &run.invalid {
            let _ = writeln!(
                text,
                "INVALID: {} on {}, {} workers, round {}: {why}",
                run.bench, run.runtime, run.workers, run.round
            );
        }
    }
}

fn fairness(report: &Report, text: &mut String) {
    let _ = write!(
        text,
        "\nThe same for all: workload code, messages of at most 16 bytes, unbounded mailboxes, worker threads,\n\
         {}, {}. A fresh process a run with a warm-up in it, runtimes in turn.\n\
         Time from the go signal to the last completion seen from outside; actors are made before it, except in\n\
         skynet and spawn. Counts and sums are checked. CPU: time of the whole process, spinning included.\n",
        report.allocator, report.profile
    );
    for peer in &report.runtimes {
        let _ = writeln!(text, "{} {}: {}", peer.name, peer.version, peer.mode);
    }
    let _ = writeln!(text, "The adapters are perf/src/runtimes/*.rs, one file each; corrections are welcome.");
}

/// Three digits or so.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn rate(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..1.0 => format!("{value:.3}"),
        _ => figure(value),
    }
}

fn times(value: f64) -> String {
    format!("{value:.2}")
}

fn optional<T>(value: Option<T>, shown: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), shown)
}

/// The first column to the left, the others to the right.
pub(crate) fn align(grid: &[Vec<String>], text: &mut String) {
    let columns = grid.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| grid.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    for line in grid {
        let mut shown = String::new();
        for (at, cell) in line.iter().enumerate() {
            let _ = match at {
                0 => write!(shown, "{cell:<0$}", widths[at]),
                _ => write!(shown, "  {cell:>0$}", widths[at]),
            };
        }
        let _ = writeln!(text, "{}", shown.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::made_up::{report, run};

    fn line<'t>(text: &'t str, start: &str) -> Vec<&'t str> {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().collect()
    }

    #[test]
    fn medians_ratios_and_reasons() {
        let runs = [1000, 1100, 5000].map(|ns| run("ours", 1, ns));
        let mut runs = runs.to_vec();
        runs.extend([run("ours", 2, 2200), run("tokio", 1, 8000), run("tokio", 2, 11_000)]);
        let text = body(&report(runs));
        // Name, the four medians, the peer's ratio, our scaling, processor time of both.
        assert_eq!(line(&text, "ring "), ["ring", "11.0", "22.0", "80.0", "110", "5.00", "2.00", "44.0", "220"]);
        let reason = line(&text, "ring: 2.00").join(" ");
        assert!(reason.contains("steals won 30.0") && reason.contains("75 % / 25 %"), "{reason}");
        assert!(text.contains("10.0..50.0"), "{text}");
        assert!(text.contains("geometric mean tokio/ours, 2 workers: 5.00"), "{text}");
    }

    #[test]
    fn what_failed_is_named_and_not_counted() {
        let bad = Run { invalid: Some("wrong sum".to_owned()), ..run("ours", 1, 1) };
        let text = body(&report(vec![run("tokio", 2, 1000), bad]));
        assert_eq!(line(&text, "ring ")[1..5], ["-", "-", "-", "10.0"]);
        assert!(text.contains("INVALID: ring on ours, 1 workers, round 1: wrong sum"), "{text}");
    }

    #[test]
    fn an_empty_report_is_still_fair() {
        assert!(body(&report(Vec::new())).contains("The same for all"));
    }

    #[test]
    fn reports_survive_json() {
        let before = report(vec![run("ours", 1, 10)]);
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), before);
    }
}
