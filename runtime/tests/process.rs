//! Whole processes: few CPUs, no CPU of choice, too many workers, no threads to be had; systems that are still there when
//! the process ends; what an idle system costs, and one in backoff; a process that is stopped and goes on.
//!
//! No harness, for some of these need a `main` of their own: the test runs itself again, with the name of a scene in the
//! environment, and looks at what that process prints and how it ends. Arguments that are no options are parts of names.

mod support;

use cuelight::{Actor, ActorRef, BuildError, Context, Handler, Pin, Restart, SpawnError, System, WorkerCounters};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, fs, panic, thread};
use support::{Count, Gate, LIMIT, detach, eventually, quiet_panics};

/// Names the scene.
const SCENE: &str = "CUELIGHT_SCENE";

/// The one reason that holds for CI, too.
const SANITIZED: &str = "a sanitizer reserves more addresses than the limit would leave";

/// What a check comes to: nothing, or why it cannot be made here.
type Verdict = Result<(), String>;

/// The name of a scene, what the child does in it, and what its parent checks.
type Case = (&'static str, fn(), fn(&str) -> Verdict);

const CASES: &[Case] = &[
    ("one_cpu_of_several", one_cpu, check_one_cpu),
    ("a_cpu_outside_the_mask", foreign_cpu, check_foreign_cpu),
    ("many_more_workers_than_cpus", many_workers, |scene| ends_well(run(scene))),
    ("no_more_threads", no_threads, check_no_threads),
    ("a_system_in_a_static", in_a_static, |scene| ends_well(run(scene))),
    ("a_system_in_thread_local_storage", in_a_thread_local, |scene| ends_well(run(scene))),
    ("a_system_when_main_panics", at_mains_panic, |scene| ends_with(101, run(scene))),
    ("a_busy_system_when_main_returns", busy_at_the_end, |scene| ends_well(run(scene))),
    ("a_blocked_system_when_main_returns", blocked_at_the_end, |scene| ends_well(run(scene))),
    ("exit_beside_a_busy_system", exit_beside, |scene| ends_with(3, run(scene))),
    ("exit_in_a_handler", exit_inside, |scene| ends_with(4, run(scene))),
    ("an_idle_system", idle, |scene| ends_well(run(scene))),
    ("a_system_in_backoff", in_backoff, |scene| ends_well(run(scene))),
    ("a_process_that_is_stopped", stopped, check_stopped),
];

fn main() -> ExitCode {
    if let Ok(scene) = env::var(SCENE) {
        let (_, act, _) = CASES.iter().find(|(name, ..)| *name == scene).expect("a scene of this file");
        act();
        return ExitCode::SUCCESS;
    }
    let filters: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let (mut failed, mut passed, mut left_out, begin) = (Vec::new(), 0, 0, Instant::now());
    for (name, _, check) in CASES.iter().filter(|(name, ..)| wanted(name)) {
        match panic::catch_unwind(|| check(name)) {
            Ok(Ok(())) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Ok(Err(why)) if env::var_os("CI").is_none() || why == SANITIZED => {
                println!("test {name} ... cannot be made here: {why}");
                left_out += 1;
            }
            Ok(Err(why)) => {
                println!("test {name} ... FAILED: cannot be made here, and must be, for CI is set: {why}");
                failed.push(*name);
            }
            Err(_) => {
                println!("test {name} ... FAILED");
                failed.push(*name);
            }
        }
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    let time = begin.elapsed().as_secs_f64();
    let failures = failed.len();
    println!(
        "\ntest result: {result}. {passed} passed; {failures} failed; {left_out} ignored; finished in {time:.2}s\n"
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How a child has ended, and what it said.
struct Ended {
    status: ExitStatus,
    out: String,
    err: String,
}

fn again(scene: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a path"));
    command.env(SCENE, scene);
    command
}

/// The command under another one.
fn under(program: &str, args: &[&str], inner: &Command) -> Command {
    let mut outer = Command::new(program);
    outer.args(args).arg(inner.get_program());
    for (name, value) in inner.get_envs() {
        outer.env(name, value.expect("a value"));
    }
    outer
}

fn run(scene: &str) -> Ended {
    finish(again(scene)).expect("this program can be run again")
}

fn finish(mut command: Command) -> Result<Ended, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("RUST_BACKTRACE", "0");
    let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    Ok(wait(child))
}

/// Waits for a child, which says little enough for a pipe.
#[track_caller]
fn wait(mut child: Child) -> Ended {
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if begin.elapsed() > LIMIT {
            let _ = child.kill();
            panic!("the process has not ended within {LIMIT:?}");
        }
        thread::park_timeout(Duration::from_millis(2));
    };
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut out).expect("text"));
    child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut err).expect("text"));
    out.lines().for_each(|line| println!("    {line}"));
    Ended { status, out, err }
}

#[track_caller]
fn ends_with(code: i32, ended: Ended) -> Verdict {
    let Ended { status, out, err } = ended;
    assert_eq!(status.code(), Some(code), "{status}\n{out}\n{err}");
    // Whatever it was, nobody lost a worker on the way.
    assert!(!err.contains("panicked at") || code == 101, "{err}");
    Ok(())
}

#[track_caller]
fn ends_well(ended: Ended) -> Verdict {
    ends_with(0, ended)
}

/// Counts, and answers.
#[derive(Default)]
struct Counter(u64);

impl Actor for Counter {}

impl Handler<u64> for Counter {
    type Reply = u64;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

/// Waits until the gate opens.
impl Handler<(Gate, Gate)> for Counter {
    type Reply = ();

    fn handle(&mut self, (inside, release): (Gate, Gate), _: &mut Context<Self>) {
        inside.open();
        release.wait();
    }
}

/// Runs a closure on a worker.
impl Handler<Box<dyn FnOnce() + Send>> for Counter {
    type Reply = ();

    fn handle(&mut self, f: Box<dyn FnOnce() + Send>, _: &mut Context<Self>) {
        f();
    }
}

/// Has every worker do something.
fn works(system: &System) {
    let actors: Vec<_> = (0..200).map(|_| system.spawn(Counter(0))).collect();
    for round in 1..=20 {
        let asked: Vec<_> = actors.iter().map(|actor| actor.ask(1)).collect();
        assert!(asked.into_iter().all(|asked| asked.timeout(LIMIT).wait() == Ok(round)));
    }
}

/// Keeps all workers busy for good.
struct SelfSender;

impl Actor for SelfSender {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.me().tell(()).expect("running");
    }
}

impl Handler<()> for SelfSender {
    type Reply = ();

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) {
        let _ = ctx.me().tell(());
    }
}

fn busy() -> System {
    let system = System::builder().workers(2).build().expect("a system");
    (0..4).for_each(|_| drop(system.spawn(SelfSender)));
    works(&system);
    system
}

/// The CPUs of this process.
fn allowed() -> Vec<usize> {
    let system = System::builder().workers(1).pin(Pin::Off).build().expect("a system");
    system.report().allowed_cpus
}

fn one_cpu() {
    let system = System::new().expect("a system");
    let report = system.report();
    assert_eq!((report.allowed_cpus.len(), report.workers.len()), (1, 1), "{report}");
    assert_eq!(report.workers[0].cpu, Some(report.allowed_cpus[0]), "{report}");
    works(&system);
    println!("{}", report.allowed_cpus[0]);
    let system = System::builder().workers(3).build().expect("a system");
    let report = system.report();
    assert!(report.workers.iter().all(|worker| worker.cpu.is_none()), "{report}");
    assert_eq!(report.warnings, [format!("3 workers share 1 CPU ({})", report.allowed_cpus[0])]);
    works(&system);
    let system = System::builder().workers(2).pin(Pin::Cores).build().expect("a system");
    let report = system.report();
    assert!(report.workers.iter().all(|worker| worker.cpu == Some(report.allowed_cpus[0])), "{report}");
    works(&system);
}

fn check_one_cpu(scene: &str) -> Verdict {
    // The last one, so that CPU 0 is none of them.
    let last = *allowed().last().ok_or("the allowed CPUs cannot be found out")?;
    let ended = finish(under("taskset", &["-c", &last.to_string()], &again(scene)))?;
    if ended.status.success() {
        assert_eq!(ended.out.trim(), last.to_string());
    }
    ends_well(ended)
}

fn foreign_cpu() {
    // The parent says which one it has taken away.
    let cpu: usize = env::var("CUELIGHT_CPU").expect("a CPU").parse().expect("a number");
    let error = System::builder().workers(1).pin(Pin::Only(vec![cpu])).build().expect_err("not allowed");
    println!("{error}");
    assert!(matches!(error, BuildError::Cpus { .. }));
}

fn check_foreign_cpu(scene: &str) -> Verdict {
    let cpus = allowed();
    let [first, .., last] = cpus[..] else { return Err("it takes two CPUs".into()) };
    let mut child = again(scene);
    child.env("CUELIGHT_CPU", last.to_string());
    let ended = finish(under("taskset", &["-c", &first.to_string()], &child))?;
    let text = format!("CPU {last} is not among the CPUs allowed to this process ({first})");
    assert_eq!(ended.out.trim(), text, "{}", ended.err);
    println!("    a pin that the operating system refuses cannot be had here: it takes a filter of system calls");
    ends_well(ended)
}

fn many_workers() {
    let begin = Instant::now();
    let system = System::builder().workers(64).build().expect("a system");
    let report = system.report();
    assert!(report.warnings.iter().any(|warning| warning.contains("64 workers share")) || allowed().len() >= 64);
    works(&system);
    let rings = Count::default();
    for _ in 0..64 {
        let links: Vec<_> = (0..10).map(|_| system.spawn(Link { next: None, over: rings.clone() })).collect();
        for (link, next) in links.iter().zip(links.iter().cycle().skip(1)) {
            link.tell(next.clone()).expect("running");
        }
        links[0].tell(500).expect("running");
    }
    rings.reaches(64);
    system.shutdown(LIMIT).expect("a shutdown");
    println!("64 workers did it in {:.1?}", begin.elapsed());
}

/// Passes a number on until it is zero.
struct Link {
    next: Option<ActorRef<Link>>,
    over: Count,
}

impl Actor for Link {}

impl Handler<ActorRef<Link>> for Link {
    type Reply = ();

    fn handle(&mut self, next: ActorRef<Link>, _: &mut Context<Self>) {
        self.next = Some(next);
    }
}

impl Handler<u64> for Link {
    type Reply = ();

    fn handle(&mut self, left: u64, _: &mut Context<Self>) {
        match left.checked_sub(1) {
            Some(left) => self.next.as_ref().expect("a ring").tell(left).expect("running"),
            None => self.over.add(1),
        }
    }
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("a list of threads").count()
}

fn no_threads() {
    let before = threads();
    let error = System::builder().workers(1000).build().expect_err("too little memory for so many stacks");
    println!("{error}");
    assert!(matches!(error, BuildError::Thread { .. }), "{error:?}");
    assert!(std::error::Error::source(&error).is_some());
    // Those that had begun have ended.
    eventually("no thread is left", || threads() == before);
    let system = System::builder().workers(2).build().expect("a smaller one");
    works(&system);
    // Nor for actors of their own: until there are none.
    let spawn = |n| system.actor(|| Idler).name(format!("idler {n}")).dedicated_thread().spawn();
    let (last, error) =
        (0..1000).find_map(|n| Some((n, spawn(n).err()?))).expect("too little memory for so many stacks");
    assert!(matches!(error, SpawnError::Thread { .. }), "{error:?}");
    assert!(error.to_string().starts_with("a thread for the actor could not be started: "), "{error}");
    // Whose thread is given back gives it to the next, and the name is free.
    let first = system.lookup::<Idler>("idler 0").expect("the first had one");
    first.stop();
    eventually("a thread is free", || spawn(last).is_ok());
    works(&system);
    system.shutdown(LIMIT).expect("a shutdown");
    eventually("no thread is left", || threads() == before);
}

/// Has a thread of its own, and nothing to do.
struct Idler;

impl Actor for Idler {}

fn check_no_threads(scene: &str) -> Verdict {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse().ok());
    if size.is_none_or(|kilobytes: u64| kilobytes > 1 << 19) {
        return Err(SANITIZED.into());
    }
    // By the size of the address space: root is exempt from the limit on processes. Large stacks, so that what is left is
    // enough for everything else; one arena, because each takes 64 MiB of addresses.
    let mut child = again(scene);
    child.env("RUST_MIN_STACK", (64 << 20).to_string()).env("MALLOC_ARENA_MAX", "1");
    let ended = finish(under("prlimit", &["--as=1073741824"], &child))?;
    if ended.status.success() {
        assert!(ended.out.starts_with("a worker thread could not be started: "), "{}", ended.out);
    }
    ends_well(ended)
}

fn in_a_static() {
    static SYSTEM: OnceLock<System> = OnceLock::new();
    let system = SYSTEM.get_or_init(|| System::builder().workers(2).build().expect("a system"));
    works(system);
}

thread_local! {
    static LOCAL: RefCell<Option<System>> = const { RefCell::new(None) };
}

fn in_a_thread_local() {
    // On a thread that ends, on the main thread, and on a worker.
    let other = thread::spawn(|| LOCAL.with(|local| works(local.borrow_mut().insert(busy()))));
    other.join().expect("a thread");
    LOCAL.with(|local| works(local.borrow_mut().insert(busy())));
    let system = System::builder().workers(1).build().expect("a system");
    let inner = busy();
    let put: Box<dyn FnOnce() + Send> = Box::new(|| LOCAL.with(|local| *local.borrow_mut() = Some(inner)));
    system.spawn(Counter(0)).ask(put).wait().expect("a reply");
    system.shutdown(LIMIT).expect("a shutdown");
}

fn at_mains_panic() {
    let _system = busy();
    panic!("meant");
}

fn busy_at_the_end() {
    let system = busy();
    let kept = system.spawn(Counter(0));
    drop(system);
    drop(kept.ask(1));
}

fn blocked_at_the_end() {
    let system = busy();
    let (inside, release) = (Gate::default(), Gate::default());
    system.spawn(Counter(0)).tell((inside.clone(), release)).expect("running");
    inside.wait();
    let error = system.shutdown(Duration::from_millis(10)).expect_err("a handler holds on");
    println!("{error}");
}

fn exit_beside() {
    let _system = busy();
    std::process::exit(3);
}

fn exit_inside() {
    let system = busy();
    let exit: Box<dyn FnOnce() + Send> = Box::new(|| std::process::exit(4));
    system.spawn(Counter(0)).tell(exit).expect("running");
    thread::park_timeout(LIMIT);
}

/// CPU time of all threads, if the kernel tells it.
fn cpu_time() -> Option<Duration> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task").ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        sum += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
}

fn idle() {
    const TIME: Duration = Duration::from_secs(2);
    let system = System::builder().workers(2).build().expect("a system");
    let actors: Vec<_> = (0..1000).map(|_| system.spawn(Counter(0))).collect();
    assert!(actors.iter().all(|actor| actor.ask(1).wait() == Ok(1)));
    let Some(before) = cpu_time() else {
        println!("the kernel does not tell CPU time");
        return;
    };
    let begin = Instant::now();
    while begin.elapsed() < TIME {
        thread::park_timeout(TIME - begin.elapsed().min(TIME));
    }
    let used = cpu_time().expect("as before") - before;
    let share = 100.0 * used.as_secs_f64() / begin.elapsed().as_secs_f64();
    println!("1000 idle actors used {share:.3} % of a core for two seconds");
    // The promise is 1 %; a machine that is busy with other things may charge us for some of them.
    assert!(share < 5.0, "{share} %");
    assert!(actors.iter().all(|actor| actor.ask(1).wait() == Ok(2)));
}

/// Fails as soon as it is made.
struct Frail;

impl Actor for Frail {
    fn started(&mut self, _: &mut Context<Self>) {
        panic!("meant: frail");
    }
}

fn in_backoff() {
    const TIME: Duration = Duration::from_secs(2);
    const ACTORS: u64 = 100;
    quiet_panics();
    let system = System::builder().workers(2).build().expect("a system");
    let rule = Restart::on_panic().unlimited().backoff(TIME / 10, 5 * TIME);
    for _ in 0..ACTORS {
        system.actor(|| Frail).restart(rule.clone()).spawn().expect("an actor");
    }
    eventually("each has failed, and been restarted", || system.counters().restarts >= ACTORS);
    let (before, begin) = (cpu_time(), Instant::now());
    while begin.elapsed() < TIME {
        thread::park_timeout(TIME - begin.elapsed().min(TIME));
    }
    let counters = system.counters();
    let sum = |of: fn(&WorkerCounters) -> u64| counters.workers.iter().map(of).sum::<u64>();
    let (turns, parks) = (sum(|worker| worker.activations), sum(|worker| worker.parks));
    let restarts = counters.restarts;
    if let (Some(before), Some(after)) = (before, cpu_time()) {
        let share = 100.0 * (after - before).as_secs_f64() / begin.elapsed().as_secs_f64();
        println!("{ACTORS} actors in backoff used {share:.3} % of a core for two seconds");
    }
    println!("{restarts} restarts, {turns} turns, {parks} parks");
    // A birth, and for each restart a failure and a new beginning; nobody looks meanwhile.
    assert!(turns <= 2 * restarts + 3 * ACTORS, "{turns} turns for {restarts} restarts");
}

fn stopped() {
    let system = busy();
    let counter = system.spawn(Counter(0));
    println!("ready");
    std::io::stdout().flush().expect("a pipe");
    // Asks until it is told to end; some with timeouts that a stop outlasts.
    let told = Gate::default();
    let tell = told.clone();
    detach(thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        tell.open();
    }));
    let (mut answers, mut timeouts) = (0_u64, 0_u64);
    while !told.is_open() {
        match counter.ask(1).timeout(Duration::from_millis(200)).wait() {
            Ok(_) => answers += 1,
            Err(_) => timeouts += 1,
        }
    }
    assert_eq!(counter.ask(0).wait(), Ok(answers + timeouts));
    system.shutdown(LIMIT).expect("a shutdown");
    println!("{answers} answers, {timeouts} timeouts");
}

fn signal(child: &Child, name: &str) -> Verdict {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("kill {name}: {other:?}")),
    }
}

fn check_stopped(scene: &str) -> Verdict {
    let mut command = again(scene);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("this program can be run again");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    let verdict = signal(&child, "-STOP").and_then(|()| {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(1) {
            thread::park_timeout(Duration::from_millis(100));
        }
        signal(&child, "-CONT")
    });
    if let Err(why) = verdict {
        let _ = (child.kill(), child.wait());
        return Err(why);
    }
    child.stdin.take().expect("a pipe").write_all(b"end\n").expect("a reader");
    let ended = wait(child);
    println!("    {}", lines.next().expect("a line").expect("text"));
    ends_well(ended)
}
