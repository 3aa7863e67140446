//! What the figures are taken on: what the system says of itself, and three costs measured here.
//!
//! The costs are those the runtimes pay for: an exchange on a line nobody else wants, the hop of a cache line from
//! core to core, and waking a parked thread. Each takes some tens of milliseconds and is a median of batches; on a
//! shared machine they move by the minute, so the hop is measured again before every round. They are no benchmark of
//! the processor.

use crate::{record::Machine, stats};
use core_affinity::CoreId;
use std::{
    fs,
    hint::{black_box, spin_loop},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// How long each measured cost may take.
const PATIENCE: Duration = Duration::from_millis(40);

/// Reads and measures everything.
pub(crate) fn look() -> Machine {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    let busy = busy(Duration::from_millis(100));
    Machine {
        cpu: read("/proc/cpuinfo").and_then(|text| cpu_model(&text)),
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        allowed_cpus: allowed.len().max(1),
        usable_cpus: thread::available_parallelism().map_or(1, usize::from),
        load: load(),
        busy,
        exchange_ns: exchange(),
        hop_ns: hop(),
        park_ns: park(),
    }
}

/// Why figures from here are to be doubted.
pub(crate) fn warnings(machine: &Machine, workers: usize) -> Vec<String> {
    let mut all = Vec::new();
    let (allowed, usable) = (machine.allowed_cpus, machine.usable_cpus);
    if cfg!(debug_assertions) {
        all.push("built without optimisation: the figures say nothing; use --release".to_owned());
    }
    if allowed == 1 {
        all.push("one CPU only: nothing here says how two workers do, or what a hop costs".to_owned());
    } else if workers > allowed {
        all.push(format!("{workers} workers on {allowed} CPUs: they take turns"));
    }
    if usable < allowed {
        all.push(format!("a quota of about {usable} CPUs on {allowed}: threads are held back in turn"));
    }
    if let Some(load) = machine.load.filter(|&load| load > 0.5 * allowed as f64) {
        let now = machine.busy.map_or(String::new(), |busy| format!(" ({:.0} % busy just now)", 100.0 * busy));
        all.push(format!("load average {load:.1}{now}: something else runs or has just run, perhaps the build"));
    } else if let Some(busy) = machine.busy.filter(|&busy| busy > 0.1) {
        all.push(format!("the CPUs were {:.0} % busy before the first run", 100.0 * busy));
    }
    all
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The load average of the last minute.
fn load() -> Option<f64> {
    read("/proc/loadavg")?.split_whitespace().next()?.parse().ok()
}

/// Share of all CPUs' time that was not idle during a pause. Time stolen by other guests counts as busy.
fn busy(pause: Duration) -> Option<f64> {
    let before = ticks(&read("/proc/stat")?)?;
    thread::sleep(pause);
    let after = ticks(&read("/proc/stat")?)?;
    let all = (after.0 - before.0).max(1);
    Some(1.0 - after.1.saturating_sub(before.1) as f64 / all as f64)
}

/// All ticks and idle ticks of all CPUs since boot.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let fields: Vec<u64> = line.split_whitespace().skip(1).take(8).map_while(|f| f.parse().ok()).collect();
    Some((fields.iter().sum(), fields.get(3)? + fields.get(4)?))
}

/// Two CPUs to measure between, if there are two.
fn two_cores() -> Option<(CoreId, CoreId)> {
    match core_affinity::get_core_ids()?[..] {
        [one, other, ..] => Some((one, other)),
        _ => None,
    }
}

/// A word on a line, and a neighbouring line, of its own.
#[repr(align(128))]
struct Line(AtomicU64);

/// One exchange nobody contends for, in nanoseconds.
pub(crate) fn exchange() -> f64 {
    const BATCH: u64 = 200_000;
    let line = Line(AtomicU64::new(0));
    let batch = || {
        let start = Instant::now();
        for i in 0..BATCH {
            // Ordering: AcqRel, as a mailbox has it; nothing is read through it here.
            black_box(line.0.swap(i, Ordering::AcqRel));
        }
        start.elapsed().as_nanos() as f64 / BATCH as f64
    };
    batch();
    stats::median(&(0..15).map(|_| batch()).collect::<Vec<_>>())
}

/// Leaves the other side of an exchange of turns.
const OVER: u64 = u64::MAX;

/// One way of a cache line from one core to another, in nanoseconds: half a round of two pinned threads that pass a
/// number to and fro, each spinning for its turn. None with one CPU, or where threads cannot be pinned.
pub(crate) fn hop() -> Option<f64> {
    const BATCH: u64 = 1000;
    let (near, far) = two_cores()?;
    let line = Arc::new(Line(AtomicU64::new(0)));
    let echo = {
        let line = Arc::clone(&line);
        thread::spawn(move || {
            let pinned = core_affinity::set_for_current(far);
            loop {
                // Ordering: Acquire pairs with the other side's Release; each turn follows the one before.
                match line.0.load(Ordering::Acquire) {
                    OVER => break pinned,
                    // Ordering: Release, see above.
                    turn if turn % 2 == 1 => line.0.store(turn + 1, Ordering::Release),
                    _ => spin_loop(),
                }
            }
        })
    };
    let lead = thread::spawn(move || {
        let pinned = core_affinity::set_for_current(near);
        let (mut turn, mut batches) = (0, Vec::new());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let start = Instant::now();
            for _ in 0..BATCH {
                // Ordering: Release and Acquire, as on the other side.
                line.0.store(turn + 1, Ordering::Release);
                turn += 2;
                // Ordering: see the store.
                while line.0.load(Ordering::Acquire) != turn {
                    spin_loop();
                }
            }
            batches.push(start.elapsed().as_nanos() as f64 / (2 * BATCH) as f64);
        }
        // Ordering: Release; the last turn.
        line.0.store(OVER, Ordering::Release);
        // The first batch waits for the other thread to start.
        pinned.then(|| stats::median(batches.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(&batches)))
    });
    let hop = lead.join().ok()?;
    echo.join().ok()?.then_some(hop?)
}

/// One way of waking a thread that sleeps, in nanoseconds: half a round of two threads, pinned if possible, that wake
/// each other in turn and sleep.
pub(crate) fn park() -> Option<f64> {
    let cores = two_cores();
    // Not on the caller's thread: a pinned main thread would hand its mask on to the processes it starts.
    thread::spawn(move || wake_in_turn(cores)).join().ok()?
}

fn wake_in_turn(cores: Option<(CoreId, CoreId)>) -> Option<f64> {
    let turn = Arc::new(Line(AtomicU64::new(0)));
    let echo = {
        let turn = Arc::clone(&turn);
        let lead = thread::current();
        thread::spawn(move || {
            cores.map(|(_, far)| core_affinity::set_for_current(far));
            let mut next = 1;
            while await_turn(&turn.0, next) {
                give_turn(&turn.0, next + 1, &lead);
                next += 2;
            }
        })
    };
    cores.map(|(near, _)| core_affinity::set_for_current(near));
    let (mut next, mut rounds) = (1, Vec::new());
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let start = Instant::now();
        give_turn(&turn.0, next, echo.thread());
        await_turn(&turn.0, next + 1);
        next += 2;
        rounds.push(start.elapsed().as_nanos() as f64 / 2.0);
    }
    give_turn(&turn.0, OVER, echo.thread());
    echo.join().ok()?;
    Some(stats::median(&rounds))
}

fn give_turn(turn: &AtomicU64, next: u64, to: &Thread) {
    // Ordering: Release pairs with the Acquire of whoever waits for the turn.
    turn.store(next, Ordering::Release);
    to.unpark();
}

/// False when it is over.
fn await_turn(turn: &AtomicU64, mine: u64) -> bool {
    loop {
        // Ordering: Acquire, see `give_turn`.
        match turn.load(Ordering::Acquire) {
            OVER => return false,
            now if now == mine => return true,
            _ => thread::park(),
        }
    }
}

/// Everything that is known of the machine, for `perf doctor`.
pub(crate) fn doctor() -> Vec<(String, String)> {
    let machine = look();
    let unknown = || "not told".to_owned();
    let ns = |cost: Option<f64>| cost.map_or_else(unknown, |ns| format!("{ns:.1} ns"));
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let mut rows = vec![
        ("processor".to_owned(), machine.cpu.clone().unwrap_or_else(unknown)),
        ("allowed CPUs".to_owned(), format!("{:?}", cores.iter().map(|core| core.id).collect::<Vec<_>>())),
        ("usable at once (quota)".to_owned(), machine.usable_cpus.to_string()),
    ];
    for core in cores {
        let about = |leaf: &str| {
            let path = format!("/sys/devices/system/cpu/cpu{}/{leaf}", core.id);
            read(&path).map_or_else(unknown, |text| text.trim().to_owned())
        };
        rows.push((format!("CPU {}: siblings", core.id), about("topology/thread_siblings_list")));
        rows.push((format!("CPU {}: governor", core.id), about("cpufreq/scaling_governor")));
    }
    rows.extend([
        ("load average".to_owned(), machine.load.map_or_else(unknown, |load| format!("{load:.2}"))),
        ("busy now".to_owned(), machine.busy.map_or_else(unknown, |busy| format!("{:.0} %", 100.0 * busy))),
        ("uncontended exchange".to_owned(), ns(Some(machine.exchange_ns))),
        ("hop of a cache line, one way".to_owned(), ns(machine.hop_ns)),
        ("park/unpark, one way".to_owned(), ns(machine.park_ns)),
    ]);
    rows.extend(warnings(&machine, 1).into_iter().map(|warning| ("warning".to_owned(), warning)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_files_are_read() {
        assert_eq!(cpu_model("processor : 0\nmodel name\t: Some CPU \n"), Some("Some CPU".to_owned()));
        assert_eq!(ticks("cpu  10 0 5 80 5 0 0 0 0 0\ncpu0 1 2 3\n"), Some((100, 85)));
        assert_eq!(ticks("nothing"), None);
    }

    #[test]
    fn costs_are_positive() {
        assert!(exchange() > 0.0);
        assert!(hop().is_none_or(|ns| ns > 0.0));
        assert!(park().is_none_or(|ns| ns > 0.0));
    }

    #[test]
    fn what_spoils_figures_is_said() {
        let fine = Machine { allowed_cpus: 4, usable_cpus: 4, ..Machine::default() };
        let said = |machine: Machine, workers| warnings(&machine, workers).join("\n");
        assert!(!said(fine.clone(), 2).contains("CPU"));
        assert!(said(fine.clone(), 8).contains("8 workers on 4 CPUs"));
        assert!(said(Machine { usable_cpus: 2, ..fine.clone() }, 2).contains("quota of about 2 CPUs on 4"));
        assert!(said(Machine { allowed_cpus: 1, usable_cpus: 1, ..fine.clone() }, 2).contains("one CPU only"));
        assert!(said(Machine { load: Some(3.0), ..fine.clone() }, 2).contains("load average 3.0"));
        assert!(said(Machine { busy: Some(0.5), ..fine }, 2).contains("50 % busy"));
    }
}
