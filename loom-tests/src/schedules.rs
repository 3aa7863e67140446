//! A harness for whole systems: many schedules of a body that is too long for loom.
//!
//! Promise: a model that passed under shuttle has run as often as was asked, in orders that seeds picked; one that fails
//! says with which seed it does so again.
//!
//! How: [`schedules`] hands the body to shuttle with a scheduler of our own, which knows no state but its seed. Of four seeds
//! two choose at random, at each step or seldom, and two by priorities with a few changes (PCT: Burckhardt et al.,
//! ASPLOS 2010), whose depth is two to four. Without the cfg the body runs on real threads, a few times.
//!
//! Gives up: memory orders, which shuttle does not know, and completeness. PCT's bound on steps is measured once, on an
//! execution that runs each thread until it waits, and taken twice.

/// Whether waits with a time limit end without a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// They may end whenever the others have had a turn; the time that they had has then passed.
    End,
    /// They go on, so that a wake-up that is lost is a deadlock.
    GoOn,
}

/// How often a model runs on real threads.
#[cfg(not(shuttle))]
const PLAIN_RUNS: usize = 20;

/// Runs `body` in 10 000 schedules, or as many as `CUELIGHT_SCHEDULES` says; in one only if `CUELIGHT_SEED` names it.
/// Prints how many there were, and their steps.
///
/// Whatever `body` shares between its threads is made inside it.
///
/// # Panics
/// If `body` does in any of them, ends in a deadlock, or takes a million steps.
#[cfg(not(shuttle))]
pub fn schedules(name: &str, _: Waits, body: fn()) {
    (0..PLAIN_RUNS).for_each(|_| body());
    println!("{name}: {PLAIN_RUNS} runs on real threads");
}

#[cfg(shuttle)]
pub use woven::schedules;

#[cfg(shuttle)]
mod woven {
    use super::Waits;
    use cuelight::dev_hooks::sync::time;
    use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
    use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
    use std::cell::Cell;
    use std::rc::Rc;

    const SCHEDULES: u64 = 10_000;
    const MOST_STEPS: usize = 1_000_000;
    const STACK: usize = 256 * 1024;

    /// As without shuttle, in earnest.
    pub fn schedules(name: &str, waits: Waits, body: fn()) {
        let number = |variable| {
            let text = std::env::var(variable).ok()?;
            Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
        };
        let seeds = match number("CUELIGHT_SEED") {
            Some(seed) => seed..seed + 1,
            None => 0..number("CUELIGHT_SCHEDULES").unwrap_or(SCHEDULES),
        };
        let mut config = Config::new();
        config.stack_size = STACK;
        config.failure_persistence = FailurePersistence::None;
        config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
        config.silence_warnings = true;
        let run = move |seeds, most, notes: &Rc<Notes>| {
            let told = Told { name, notes };
            Runner::new(Seeded::new(seeds, most, notes.clone()), config.clone()).run(move || {
                time::begin(waits == Waits::End);
                body();
            });
            std::mem::forget(told);
        };
        // Oldest first, each until it waits: for the number of choices.
        let measured = Rc::new(Notes::default());
        run(0..1, None, &measured);
        let notes = Rc::new(Notes::default());
        let count = seeds.end - seeds.start;
        run(seeds, Some(measured.choices.get()), &notes);
        println!("{name}: {count} schedules, {} choices in the middle", notes.choices.get() / count.max(1));
    }

    /// What is known outside of the scheduler.
    #[derive(Default)]
    struct Notes {
        seed: Cell<Option<u64>>,
        choices: Cell<u64>,
    }

    /// Says how to come back to a failure.
    struct Told<'a> {
        name: &'a str,
        notes: &'a Notes,
    }

    impl Drop for Told<'_> {
        fn drop(&mut self) {
            match self.notes.seed.get() {
                Some(seed) => eprintln!("{}: fails with CUELIGHT_SEED={seed}", self.name),
                None => eprintln!("{}: fails in any schedule", self.name),
            }
        }
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, bound: u64) -> u64 {
            self.next() % bound.max(1)
        }
    }

    enum Policy {
        /// Any thread; the running one goes on, but for one choice of so many.
        Chance(u64),
        /// The thread of the highest priority. The running one gets the lowest at these choices, and when it yields either that
        /// or another one: with always the lowest, those that look for work would run last in all schedules.
        Priorities(Vec<u64>),
    }

    struct Seeded {
        seeds: std::ops::Range<u64>,
        /// About how many choices there are; none to be measured.
        most: Option<u64>,
        policy: Policy,
        random: Random,
        data: Random,
        priorities: Vec<i64>,
        lowest: i64,
        choices: u64,
        notes: Rc<Notes>,
    }

    impl Seeded {
        fn new(seeds: std::ops::Range<u64>, most: Option<u64>, notes: Rc<Notes>) -> Self {
            let policy = Policy::Priorities(Vec::new());
            let (random, data) = (Random(0), Random(0));
            Self { seeds, most, policy, random, data, priorities: Vec::new(), lowest: 0, choices: 0, notes }
        }

        fn priority(&mut self, task: TaskId) -> &mut i64 {
            let index = usize::from(task);
            while self.priorities.len() <= index {
                let first = self.most.is_none().then_some(i64::MAX - self.priorities.len() as i64);
                let priority = first.unwrap_or_else(|| (self.random.next() >> 1) as i64);
                self.priorities.push(priority);
            }
            &mut self.priorities[index]
        }
    }

    impl Scheduler for Seeded {
        fn new_execution(&mut self) -> Option<Schedule> {
            let seed = self.seeds.next()?;
            self.notes.seed.set(self.most.map(|_| seed));
            (self.random, self.data) = (Random(seed), Random(!seed));
            self.priorities.clear();
            (self.lowest, self.choices) = (0, 0);
            let depth = 2 + seed / 4 % 3;
            self.policy = match (self.most, seed % 4) {
                (None, _) => Policy::Priorities(Vec::new()),
                (_, 0) => Policy::Chance(1),
                (_, 1) => Policy::Chance(2 + self.random.below(30)),
                (Some(most), _) => Policy::Priorities((1..depth).map(|_| 1 + self.random.below(2 * most)).collect()),
            };
            Some(Schedule::new(seed))
        }

        fn next_task(&mut self, tasks: &[&Task], current: Option<TaskId>, yields: bool) -> Option<TaskId> {
            if let [only] = tasks {
                return Some(only.id());
            }
            self.choices += 1;
            self.notes.choices.set(self.notes.choices.get() + 1);
            match &self.policy {
                &Policy::Chance(of) => {
                    let running = tasks.iter().find(|task| !yields && Some(task.id()) == current);
                    match running {
                        Some(task) if self.random.below(of) != 0 => Some(task.id()),
                        _ => Some(tasks[self.random.below(tasks.len() as u64) as usize].id()),
                    }
                }
                Policy::Priorities(changes) => {
                    if yields || changes.contains(&self.choices) {
                        self.lowest -= 1;
                        let drawn = yields && self.most.is_some() && self.random.below(2) == 0;
                        let priority = if drawn { (self.random.next() >> 1) as i64 } else { self.lowest };
                        current.into_iter().for_each(|task| *self.priority(task) = priority);
                    }
                    tasks.iter().map(|task| task.id()).max_by_key(|&task| *self.priority(task))
                }
            }
        }

        fn next_u64(&mut self) -> u64 {
            self.data.next()
        }
    }
}
