//! A test over many seeds.

use super::{Schedule, Simulation, SimulationBuilder};
use crate::engine::sim::choice::Choice;
use crate::engine::sim::trace::Trace;
use crate::kernel::guard::guarded;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, Once, available_parallelism, thread, thread_local};
use crate::time::{Clock, Tick};
use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Runs that shrinking makes at most, and messages that they handle in all.
const SHRINKING: (u64, u64) = (2000, 20_000_000);
/// Events that a report shows.
const SHOWN: usize = 100;
/// Names the one seed to run.
const VARIABLE: &str = "CUELIGHT_SEED";

/// What a test of [`explore`] says: nothing, or a `Result`.
pub trait Verdict {
    /// Returns why the test has failed, if it has.
    ///
    /// # Examples
    /// ```
    /// use cuelight::Verdict;
    /// assert_eq!(().failure(), None);
    /// assert_eq!(Err::<(), _>("no luck").failure().as_deref(), Some("no luck"));
    /// ```
    fn failure(self) -> Option<String>;
}

impl Verdict for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> Verdict for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// Runs a test once for each seed, on as many threads as there are CPUs, until one fails; that one is shrunk.
///
/// The test gets a fresh simulation, and fails by a panic or by an `Err`. Of several seeds that fail the lowest is reported. Its
/// choices are recorded and taken back one after the other while the test still fails; what remains is a schedule with few
/// choices that are not the plain ones, and the trace of a run that follows it. If the environment has `CUELIGHT_SEED`, only
/// that seed is run. To configure the simulations, see [`SimulationBuilder::explore`].
///
/// While a test runs, panics of its thread print nothing: the first call wraps the process's panic hook for that.
///
/// # Panics
/// If `CUELIGHT_SEED` is no seed, or if no thread can be had.
///
/// # Examples
/// Two actors, each checks and then acts; a message fits in between:
/// ```
/// use cuelight::{Actor, ActorRef, Context, Handler, Simulation, System, explore};
/// use std::time::Duration;
///
/// #[derive(Default)]
/// struct Account(u32);
/// impl Actor for Account {}
/// struct Balance;
/// impl Handler<Balance> for Account {
///     type Reply = u32;
///     fn handle(&mut self, _: Balance, _: &mut Context<Self>) -> u32 { self.0 }
/// }
/// struct Set(u32);
/// impl Handler<Set> for Account {
///     type Reply = ();
///     fn handle(&mut self, Set(balance): Set, _: &mut Context<Self>) { self.0 = balance }
/// }
///
/// struct Teller(ActorRef<Account>);
/// impl Actor for Teller {
///     fn started(&mut self, ctx: &mut Context<Self>) {
///         // Wrong: what was read may be old when it is written.
///         ctx.ask(&self.0, Balance, Duration::from_secs(1), |this, balance, _| {
///             let _ = this.0.tell(Set(balance.unwrap() + 10));
///         });
///     }
/// }
///
/// let explored = explore(0..100, |sim| {
///     let account = sim.spawn(Account::default());
///     for _ in 0..2 {
///         sim.spawn(Teller(account.clone()));
///     }
///     sim.run_until_idle().unwrap();
///     assert_eq!(account.ask(Balance).wait().unwrap(), 20);
/// });
/// let failure = explored.failure().expect("a deposit is lost");
/// assert!(failure.reason().contains("left: 10"));
/// println!("{explored}");
/// ```
pub fn explore<T: Verdict>(seeds: Range<u64>, test: impl Fn(&Simulation) -> T + Sync) -> Explored {
    Simulation::builder().explore(seeds, test)
}

/// What [`explore`] has found. `Display` prints it, with how to repeat it.
#[derive(Debug, Clone)]
#[must_use = "`check` fails the test, `failure` tells"]
pub struct Explored {
    seeds: u64,
    messages: u64,
    time: Duration,
    failure: Option<Counterexample>,
}

/// A seed with which a test fails. There is an example at [`explore`].
#[derive(Debug, Clone)]
pub struct Counterexample {
    seed: u64,
    signature: u64,
    reason: String,
    choices: usize,
    schedule: Schedule,
    trace: Trace,
    test: Option<String>,
}

/// One run of the test.
struct Run {
    failure: Option<String>,
    messages: u64,
    signature: u64,
    record: Vec<Choice>,
    trace: Trace,
}

thread_local! {
    /// Panics of this thread are part of a test.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` without a word from the panic hook.
fn quietly<R>(f: impl FnOnce() -> R) -> R {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.try_with(Cell::get).unwrap_or(false) {
                loud(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = f();
    QUIET.set(before);
    result
}

impl SimulationBuilder {
    /// As [`explore`], with simulations of this configuration. The seed, a schedule and a trace are set for each run.
    ///
    /// # Panics
    /// If [`build`](Self::build) would fail, if `CUELIGHT_SEED` is no seed, or if no thread can be had.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Policy, Simulation};
    /// # use cuelight::{Actor, Context, Handler};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = u64; fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 { self.0 += n; self.0 } }
    /// let explored = Simulation::builder().policy(Policy::Pct { depth: 2, picks: 100 }).explore(0..100, |sim| {
    ///     assert_eq!(sim.spawn(Sum(0)).ask(2).wait(), Ok(2));
    /// });
    /// explored.check();
    /// assert_eq!(explored.seeds(), 100);
    /// ```
    #[track_caller]
    pub fn explore<T: Verdict>(self, seeds: Range<u64>, test: impl Fn(&Simulation) -> T + Sync) -> Explored {
        if let Err(error) = self.check() {
            panic!("{error}");
        }
        let seeds = std::env::var(VARIABLE).map_or(seeds, |text| match text.parse::<u64>() {
            Ok(seed) if seed < u64::MAX => seed..seed + 1,
            _ => panic!("{VARIABLE} is {text:?}: a number from 0 to {} is allowed", u64::MAX - 1),
        });
        let clock = Clock::real();
        let (done, messages) = (AtomicU64::new(0), AtomicU64::new(0));
        let next = AtomicU64::new(seeds.start);
        let failed = Mutex::new(None::<u64>);
        let search = || loop {
            // Ordering: Relaxed: it only hands out numbers, here and below.
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // All seeds below a failing one have been handed out before it.
            if seed >= seeds.end || failed.lock().is_some() {
                return;
            }
            let run = self.run(seed, None, false, &test);
            // Ordering: Relaxed, as above; read after the threads have ended.
            done.fetch_add(1, Ordering::Relaxed);
            // Ordering: Relaxed, as above.
            messages.fetch_add(run.messages, Ordering::Relaxed);
            if run.failure.is_some() {
                let mut failed = failed.lock();
                *failed = Some(failed.map_or(seed, |other| other.min(seed)));
            }
        };
        let threads = (available_parallelism() as u64).min(seeds.end.saturating_sub(seeds.start));
        thread::scope(|scope| {
            let searches: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
            // One by one: ThreadSanitizer sees a join, but not how a scope ends.
            for search in searches {
                search.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        });
        let time = clock.now().since(Tick(0));
        let failed = *failed.lock();
        let failure = failed.map(|seed| {
            thread::scope(|scope| {
                // On a thread of its own, as the others: the caller's may have simulations.
                let found = scope.spawn(|| self.shrink(seed, &test)).join();
                found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        });
        let failure =
            failure.map(|failure| Counterexample { test: thread::current().name().map(str::to_owned), ..failure });
        // Ordering: Relaxed: the threads have ended.
        let (seeds, messages) = (done.load(Ordering::Relaxed), messages.load(Ordering::Relaxed));
        Explored { seeds, messages, time, failure }
    }

    fn run<T: Verdict>(
        &self,
        seed: u64,
        script: Option<Vec<Choice>>,
        trace: bool,
        test: impl Fn(&Simulation) -> T,
    ) -> Run {
        let mut builder = self.clone().seed(seed).trace(trace);
        builder.setup.script = script;
        quietly(|| {
            let sim = builder.start();
            let outcome = guarded(|| test(&sim).failure());
            let run = Run {
                failure: outcome.unwrap_or_else(|text| Some(text.to_string())),
                messages: sim.driver.handled(),
                signature: sim.signature(),
                record: sim.driver.record(),
                trace: sim.trace(),
            };
            // Its end belongs to the test: handlers may panic.
            drop(sim);
            run
        })
    }

    /// Takes back what can be taken back of the choices of a failing run: halves of them, quarters, and so on (Zeller, Hildebrandt:
    /// *Simplifying and Isolating Failure-Inducing Input*, IEEE TSE 2002).
    fn shrink<T: Verdict>(&self, seed: u64, test: impl Fn(&Simulation) -> T) -> Counterexample {
        let first = self.run(seed, None, true, &test);
        let Some(reason) = first.failure.clone() else {
            // Nothing that can be followed: the test takes something from elsewhere.
            let reason = "it failed once, and not when it was repeated: it takes something from outside".to_owned();
            let schedule = Schedule(first.record);
            let (signature, trace, choices) = (first.signature, first.trace, schedule.len());
            return Counterexample { seed, signature, reason, choices, schedule, trace, test: None };
        };
        let (signature, choices) = (first.signature, first.record.len());
        let (mut best, mut reason) = (first, reason);
        let (mut runs, mut messages) = (0, 0);
        let mut length = best.record.len().div_ceil(2);
        'out: while length > 0 {
            let (mut start, mut progress) = (0, false);
            while start < best.record.len() {
                if runs >= SHRINKING.0 || messages >= SHRINKING.1 {
                    break 'out;
                }
                let end = (start + length).min(best.record.len());
                let mut script = best.record.clone();
                script.drain(start..end);
                let run = self.run(seed, Some(script), true, &test);
                runs += 1;
                messages += run.messages;
                match &run.failure {
                    Some(text) if run.record.len() < best.record.len() => {
                        reason.clone_from(text);
                        best = run;
                        progress = true;
                    }
                    _ => start = end,
                }
            }
            if length > 1 || !progress {
                length /= 2;
            }
        }
        Counterexample {
            seed,
            signature,
            reason,
            choices,
            schedule: Schedule(best.record),
            trace: best.trace,
            test: None,
        }
    }
}

impl Explored {
    /// Returns how many seeds were run.
    #[must_use]
    pub fn seeds(&self) -> u64 {
        self.seeds
    }

    /// Returns how many messages were handled, by all runs that looked for a failure.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Returns how many seeds were run in a second.
    #[must_use]
    pub fn seeds_per_second(&self) -> f64 {
        self.seeds as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// Returns the lowest seed with which the test fails, and what is known of it.
    #[must_use]
    pub fn failure(&self) -> Option<&Counterexample> {
        self.failure.as_ref()
    }

    /// Panics with the report if the test fails with some seed. There is an example at [`SimulationBuilder::explore`].
    ///
    /// # Panics
    /// See above.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.failure.is_none(), "{self}");
    }
}

impl Counterexample {
    /// Returns the seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns why the shrunk run fails: the text of the panic or of the error.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns what remains of the schedule. [`SimulationBuilder::schedule`] follows it.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Returns what happens in the shrunk run.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.seeds_per_second();
        write!(f, "{} seeds with {} messages, {rate:.0} seeds a second", self.seeds, self.messages)?;
        match &self.failure {
            Some(failure) => write!(f, "; {failure}"),
            None => f.write_str(": none fails"),
        }
    }
}

/// How to repeat it, why it fails, and what happens.
impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, signature, reason, choices, schedule, .. } = self;
        let test = self.test.as_deref().unwrap_or_default();
        writeln!(f, "seed {seed} fails (signature {signature:016x}): {reason}")?;
        writeln!(f, "to repeat it: {VARIABLE}={seed} cargo test {test}")?;
        writeln!(f, "shrunk from {choices} choices to {}: schedule {:?}", schedule.len(), schedule.to_string())?;
        let events = self.trace.events();
        let hidden = events.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(f, "  .. {hidden} earlier events")?;
        }
        events[hidden..].iter().try_for_each(|event| writeln!(f, "  {event}"))
    }
}
