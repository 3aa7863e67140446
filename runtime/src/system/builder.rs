//! The configuration of a system, checked where it is given.

use super::System;
use crate::engine::config::{Budget, Idle, MAX_WORKERS, Pin};
use crate::engine::core::{Core, Plan};
use crate::engine::memory::{MemoryAlarm, MemoryUse};
use crate::engine::overrun::{Overrun, Watchdog};
use crate::engine::threads::Machine;
use crate::engine::threads::affinity;
use crate::error::BuildError;
use crate::time::Clock;
use std::time::Duration;

/// The configuration of a [`System`] that is about to start.
///
/// # Examples
/// ```
/// use cuelight::{Budget, Idle, Pin, System};
/// use std::time::Duration;
///
/// let system = System::builder()
///     .name("orders")
///     .workers(2)
///     .pin(Pin::Off)
///     .idle(Idle::Park)
///     .budget(Budget { messages: 32, time: Duration::from_micros(200) })
///     .build()?;
/// assert_eq!(system.report().workers.len(), 2);
/// assert_eq!(system.name(), "orders");
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a system is started by `build`"]
pub struct Builder {
    name: String,
    workers: Option<usize>,
    pin: Pin,
    idle: Idle,
    budget: Budget,
    watchdog: Option<Watchdog>,
    alarm: Option<MemoryAlarm>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            name: "cuelight".to_owned(),
            workers: None,
            pin: Pin::Auto,
            idle: Idle::Hybrid,
            budget: Budget::default(),
            watchdog: None,
            alarm: None,
        }
    }

    /// Names the system, and its threads after it. "cuelight" unless it is set. A zero byte in it is an error of
    /// [`build`](Self::build).
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Budget, Idle, Pin, System};
    /// let system = System::builder().workers(1).name("orders").build()?;
    /// assert_eq!(format!("{system:?}"), "System(\"orders\")");
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the number of workers: 1 to 1024, taken as given. [`std::thread::available_parallelism`] unless it is set.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Budget, Idle, Pin, System};
    /// let system = System::builder().workers(3).build()?;
    /// assert_eq!(system.counters().workers.len(), 3);
    /// assert!(System::builder().workers(0).build().is_err());
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Sets how workers are pinned to CPUs. [`Pin::Auto`] unless it is set.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Budget, Idle, Pin, System};
    /// let system = System::builder().workers(1).pin(Pin::Off).build()?;
    /// assert_eq!(system.report().workers[0].cpu, None);
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn pin(mut self, pin: Pin) -> Self {
        self.pin = pin;
        self
    }

    /// Sets what idle workers do. [`Idle::Hybrid`] unless it is set.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Budget, Idle, Pin, System};
    /// let system = System::builder().workers(1).idle(Idle::Park).build()?;
    /// assert_eq!(system.report().workers.len(), 1);
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn idle(mut self, idle: Idle) -> Self {
        self.idle = idle;
        self
    }

    /// Sets how much an actor may do before others have their turn. [`Budget::default`] unless it is set.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Budget, Idle, Pin, System};
    /// let none = Budget { messages: 0, ..Budget::default() };
    /// let error = System::builder().workers(1).budget(none).build().unwrap_err();
    /// assert_eq!(error.to_string(), "a budget of zero messages: at least one is needed");
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Has handlers reported to `hook` that take longer than `threshold`: once within twice the threshold, while the handler goes
    /// on, and once when it has ended. Also if it never does, and if all workers are in such handlers. None is unless this is set.
    ///
    /// `threshold` is 1 ms to a day; what else is asked for is an error of [`build`](Self::build). `hook` runs on a thread of its
    /// own, which looks four times per threshold or more; while it blocks nothing is reported, nor does a shutdown end. Its panics
    /// are caught, and ignored. It is kept as long as the system: give it a [`SystemRef`](crate::SystemRef), for a `System` in it would
    /// keep the system from ending by its last drop. Costs that thread, and about a nanosecond for each message; nothing if it is not set.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, Overrun, System};
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// /// Blocks its worker until it is let go.
    /// struct Stubborn(mpsc::Receiver<()>);
    /// impl Actor for Stubborn {}
    /// struct Block;
    /// impl Handler<Block> for Stubborn {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: Block, _: &mut Context<Self>) { self.0.recv().unwrap() }
    /// }
    ///
    /// let (sender, overruns) = mpsc::channel();
    /// let hook = move |overrun: Overrun| sender.send(overrun).unwrap();
    /// let system = System::builder().workers(1).watchdog(Duration::from_millis(20), hook).build()?;
    /// let (let_go, wait) = mpsc::channel();
    /// let stubborn = system.spawn(Stubborn(wait));
    /// stubborn.tell(Block)?;
    ///
    /// let overrun = overruns.recv()?; // for instance into a log
    /// assert_eq!((overrun.actor, overrun.worker, overrun.ended), (stubborn.id(), Some(0), false));
    /// assert!(overrun.message.is_some_and(|message| message.ends_with("Block")));
    /// assert!(overrun.elapsed >= Duration::from_millis(20));
    ///
    /// let_go.send(())?;
    /// assert!(overruns.recv()?.ended);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watchdog(mut self, threshold: Duration, hook: impl Fn(Overrun) + Send + Sync + 'static) -> Self {
        self.watchdog = Some(Watchdog::new(threshold, hook));
        self
    }

    /// Has it reported to `hook` when messages take more than `limit` bytes of memory: once when they have passed it, while whoever
    /// sends goes on, and once when they have fallen below three quarters of it again. None is unless this is set.
    ///
    /// The bytes are those of [`message_bytes`](crate::SystemRef::message_bytes): of the whole process, not of this system
    /// alone. Nothing is refused, and nothing slowed down: what is to be bounded needs a
    /// [`Mailbox::bounded`](crate::Mailbox::bounded). This is for what was forgotten: to log it, to shed load, or to end in order
    /// before memory is gone.
    ///
    /// Memory of a burst of small messages counts until a worker that has sent them has slept for a second, which with
    /// [`Idle::Spin`] none does; of a thread from outside until it ends. So the second report may come late, or never.
    ///
    /// `limit` is 1 MiB or more; what else is asked for is an error of [`build`](Self::build). Leave room for idle pools: each
    /// worker may keep 4 MiB. `hook` runs on a thread of its own (shared with a [`watchdog`](Self::watchdog)'s), which looks every
    /// 10 ms, and sees nothing of what comes and goes in between; while it blocks nothing is reported, nor does a shutdown end. Its
    /// panics are caught, and ignored. Costs that thread; nothing if it is not set. [Simulations](crate::Simulation) have none.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, Context, Handler, MemoryUse, System};
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// /// Blocks its worker until it is let go, and then takes what has come.
    /// struct Slow(mpsc::Receiver<()>);
    /// impl Actor for Slow {}
    /// struct Block;
    /// impl Handler<Block> for Slow {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: Block, _: &mut Context<Self>) { self.0.recv().unwrap() }
    /// }
    /// impl Handler<[u8; 4096]> for Slow {
    ///     type Reply = ();
    ///     fn handle(&mut self, _: [u8; 4096], _: &mut Context<Self>) {}
    /// }
    ///
    /// let (sender, uses) = mpsc::channel();
    /// let hook = move |memory: MemoryUse| sender.send(memory).unwrap();
    /// let system = System::builder().workers(1).memory_alarm(8 << 20, hook).build()?;
    /// let (let_go, wait) = mpsc::channel();
    /// let slow = system.spawn(Slow(wait));
    /// slow.tell(Block)?;
    /// slow.send_all((0..4096).map(|_| [0; 4096]))?; // 16 MiB, which wait
    ///
    /// let memory = uses.recv()?; // for instance into a log
    /// assert!(memory.over && memory.bytes > memory.limit);
    /// let_go.send(())?;
    /// let memory = uses.recv()?;
    /// assert!(!memory.over && memory.bytes < 6 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory_alarm(mut self, limit: u64, hook: impl Fn(MemoryUse) + Send + Sync + 'static) -> Self {
        self.alarm = Some(MemoryAlarm::new(limit, hook));
        self
    }

    /// Starts the system. Its threads run, and are pinned as far as they can be, when this returns. There is an example above.
    ///
    /// # Errors
    /// [`BuildError`] names the value that cannot be had, and what is allowed. A pin that the operating system refuses is a
    /// warning in [`SystemRef::report`](crate::SystemRef::report), and no error.
    pub fn build(self) -> Result<System, BuildError> {
        let machine = Machine::read();
        let workers = self.workers.unwrap_or_else(crate::sync::available_parallelism);
        if workers == 0 || workers > MAX_WORKERS {
            return Err(BuildError::Workers { asked: workers, most: MAX_WORKERS });
        }
        if let Some(part) = self.budget.zero() {
            return Err(BuildError::ZeroBudget { part });
        }
        if let Some(watchdog) = &self.watchdog {
            watchdog.check()?;
        }
        if let Some(alarm) = &self.alarm {
            alarm.check()?;
        }
        if self.name.contains('\0') {
            return Err(BuildError::Name { asked: self.name });
        }
        let report = affinity::plan(workers, &self.pin, &machine)
            .map_err(|error| BuildError::Cpus { why: error.to_string() })?;
        let cpu_of = |worker: usize| report.workers.get(worker).and_then(|worker| worker.cpu);
        let victims = (0..workers)
            .map(|me| {
                let distance = |other: usize| match (cpu_of(me), cpu_of(other)) {
                    (Some(a), Some(b)) => machine.distance(a, b),
                    _ => 0,
                };
                // From the next one on, so that not all begin with the same.
                let mut others: Box<[usize]> = (1..workers).map(|step| (me + step) % workers).collect();
                others.sort_by_key(|&other| distance(other));
                others
            })
            .collect();
        // A list may name fewer CPUs than are allowed.
        let mut cpus: Vec<usize> = (0..workers).filter_map(cpu_of).collect();
        cpus.sort_unstable();
        cpus.dedup();
        let cpus = if cpus.is_empty() { machine.allowed.len() } else { cpus.len() };
        let crowded = machine.is_throttled() || (cpus != 0 && cpus < workers);
        let Self { name, budget, idle, watchdog, alarm, .. } = self;
        let plan = Plan { name, budget, idle, watchdog, alarm, report, victims, crowded };
        Core::start(plan, Clock::real()).map(System::start).map_err(|error| BuildError::Thread { error })
    }
}
