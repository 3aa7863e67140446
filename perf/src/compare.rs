//! Two reports, one verdict: is any figure of ours worse?
//!
//! For each row the ratio of the medians, new over old, gets a confidence interval. Wholly beyond the tolerance it is
//! worse, wholly within it or better it is fine, else undecided. Peers are shown, not judged: where they moved too,
//! the machine did.

use crate::{
    record::{Report, Run, SCHEMA},
    stats,
    table::{self, OURS},
};
use std::{fs, path::Path};

/// What came of a comparison, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Fine,
    Undecided,
    Worse,
}

impl Verdict {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Worse => 1,
            Self::Undecided => 2,
        }
    }

    fn of((low, high): (f64, f64), tolerance: f64) -> Self {
        let limit = 1.0 + tolerance / 100.0;
        if high <= limit {
            Self::Fine
        } else if low > limit {
            Self::Worse
        } else {
            Self::Undecided
        }
    }
}

pub(crate) fn load(path: &Path) -> Result<Report, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{shown}: no report: {error}"))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) => return Err(format!("{shown}: schema {schema}; this build reads {SCHEMA}")),
        None => return Err(format!("{shown}: no report: it has no schema")),
    }
    serde_json::from_value(value).map_err(|error| format!("{shown}: no report: {error}"))
}

/// The table and the verdict. An error if the two have nothing in common.
pub(crate) fn compare(old: &Report, new: &Report, tolerance: f64) -> Result<(String, Verdict), String> {
    let heads = ["row", "runtime", "old ns", "new ns", "new/old", "99 % interval", "verdict"];
    let mut grid = vec![heads.map(str::to_owned).to_vec()];
    let mut worst = None;
    let old_rows = table::rows(old);
    for (name, cells) in table::rows(new) {
        let Some((_, before)) = old_rows.iter().find(|row| row.0 == name) else {
            continue;
        };
        for ((runtime, workers), cell) in cells {
            let key = (runtime.clone(), workers);
            let Some(before) = before.get(&key).filter(|cell| !cell.wall.is_empty()) else {
                continue;
            };
            let Some(interval) = stats::ratio_interval(&before.wall, &cell.wall) else {
                continue;
            };
            let (was, is) = (stats::median(&before.wall), stats::median(&cell.wall));
            let verdict = Verdict::of(interval, tolerance);
            let judged = runtime == OURS;
            if judged {
                worst = worst.max(Some(verdict));
            }
            grid.push(vec![
                name.clone(),
                format!("{runtime} {workers}w"),
                table::figure(was),
                table::figure(is),
                format!("{:.3}", is / was),
                format!("{:.3}..{:.3}", interval.0, interval.1),
                if judged { format!("{verdict:?}").to_lowercase() } else { "(a peer)".to_owned() },
            ]);
        }
    }
    let failed = new.runs.iter().filter(|run| run.runtime == OURS && !run.valid()).count();
    let mut text = String::new();
    table::align(&grid, &mut text);
    if failed > 0 {
        text.push_str(&format!("{failed} runs of ours are invalid in the new report: worse\n"));
        worst = Some(Verdict::Worse);
    }
    if old.machine.cpu != new.machine.cpu || old.machine.allowed_cpus != new.machine.allowed_cpus {
        text.push_str("warning: the two were taken on different machines\n");
    }
    let hop = |report: &Report| stats::median(&report.runs.iter().filter_map(|run| run.hop_ns).collect::<Vec<_>>());
    let (was, is) = (hop(old), hop(new));
    if (is / was).max(was / is) > 1.5 {
        text.push_str(&format!("warning: a cache line's hop took {was:.0} ns then and {is:.0} ns now\n"));
    }
    let rescaled = |run: &&Run| new.runs.iter().any(|other| other.bench == run.bench && other.scale != run.scale);
    if let Some(run) = old.runs.iter().find(rescaled) {
        text.push_str(&format!("warning: {} and perhaps others ran at different scales\n", run.bench));
    }
    let worst = worst.ok_or("the two reports have no row of ours in common")?;
    Ok((text, worst))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::made_up::{self, run};

    #[test]
    fn verdicts_follow_the_interval() {
        assert_eq!(Verdict::of((0.9, 1.04), 5.0), Verdict::Fine);
        assert_eq!(Verdict::of((0.5, 0.6), 5.0), Verdict::Fine);
        assert_eq!(Verdict::of((0.9, 1.2), 5.0), Verdict::Undecided);
        assert_eq!(Verdict::of((1.06, 1.2), 5.0), Verdict::Worse);
        assert_eq!([Verdict::Fine, Verdict::Worse, Verdict::Undecided].map(Verdict::exit_code), [0, 1, 2]);
    }

    #[test]
    fn ours_is_judged_and_peers_are_not() {
        let report = |ours: u64, tokio: u64| {
            let runs = (0..6).flat_map(|i| [run("ours", 2, ours + i), run("tokio", 2, tokio + i)]);
            made_up::report(runs.collect())
        };
        let verdict = |new: Report| compare(&report(1000, 5000), &new, 5.0).unwrap().1;
        assert_eq!(verdict(report(1000, 5000)), Verdict::Fine);
        assert_eq!(verdict(report(900, 9000)), Verdict::Fine);
        assert_eq!(verdict(report(1200, 5000)), Verdict::Worse);
        let mut failed = report(1000, 5000);
        failed.runs[0].invalid = Some("wrong sum".to_owned());
        assert_eq!(verdict(failed), Verdict::Worse);
        let mut other = report(1000, 5000);
        other.benches.clear();
        assert!(compare(&other, &report(1, 1), 5.0).is_err());
    }

    #[test]
    fn what_is_no_report_is_named() {
        let missing = load(Path::new("no-such-file.json")).unwrap_err();
        assert!(missing.contains("no-such-file.json"), "{missing}");
        let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert!(load(here).unwrap_err().contains("no report"));
    }
}
