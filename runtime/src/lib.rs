//! cuelight runs actors: small state machines that own their state, handle one message at a time, and are moved
//! between a few worker threads, which may be pinned to cores and take work from each other.
//!
//! For services that care for latency, pipelines of many messages, and those who compare runtimes. A handler is an
//! ordinary function: it neither awaits nor blocks.
//!
//! ```
//! use cuelight::{Actor, Context, Handler, System};
//! use std::{error::Error, time::Duration};
//!
//! struct Counter(u64);
//! impl Actor for Counter {}
//!
//! struct Add(u64);
//! impl Handler<Add> for Counter {
//!     type Reply = u64;
//!     fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
//!         self.0 += n;
//!         self.0
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     let system = System::new()?; // a worker for each CPU
//!     let counter = system.spawn(Counter(0));
//!     counter.tell(Add(2))?; // never blocks; an `Err` gives the message back
//!     let sum = counter.ask(Add(40)).timeout(Duration::from_secs(5)).wait()?; // or `.await`
//!     println!("the sum is {sum}");
//! #   assert_eq!(sum, 42);
//!     system.shutdown(Duration::from_secs(5))?;
//!     Ok(())
//! }
//! ```
//! It prints `the sum is 42`.
//!
//! # The types at a glance
//! | type | what it is |
//! |---|---|
//! | [`System`], [`Builder`] | the actors' home and its configuration: [`Pin`], [`Idle`], [`Budget`] |
//! | [`SystemRef`] | the same as actors know it: everything but the end |
//! | [`Actor`], [`Handler`] | what you write: a state, and what it does with a type of message |
//! | [`Context`] | what a handler can do: spawn, stop, drain, watch, link, ask, set timers |
//! | [`ActorRef`] | the address of an actor, one word: `tell`, `send_all`, `ask`, `ask_with`, `stop`, `drain` |
//! | [`Recipient`] | an address for one type of message, whoever handles it |
//! | [`Ask`], [`ReplyTo`] | a reply that will come, as a future or by `wait`; the means to give one from anywhere |
//! | [`ActorBuilder`] | spawning by a factory, with a name, with errors for its panic and for a system that is closing |
//! | [`Mailbox`], [`Overflow`] | how many messages may wait for an actor, and what happens to more |
//! | [`Tell`], [`Writable`] | a message that is sent when there is room, as a future; the notice that there is room |
//! | [`Restart`] | when an actor that has failed is made anew by its factory, after which wait, and how often |
//! | [`Failure`], [`Decision`], [`Strategy`] | what a parent is told of a child that has failed, and what it may answer |
//! | [`Terminated`], [`StopReason`] | the notice that a watched actor has ended, and why |
//! | [`TimerKey`], [`IdleTimeout`] | a timer that an actor has set; the message that it was idle |
//! | [`Stash`] | messages that an actor keeps for later |
//! | [`Pool`], [`Topic`] | many actors behind one address; a place to publish what all subscribers get |
//! | [`CircuitBreaker`] | calls that are likely to fail, kept from failing again and again |
//! | [`DeadLetter`] | a message that nobody will handle, for whoever listens |
//! | [`Counters`], [`Report`] | what became of messages and what workers did; CPUs, pins and warnings |
//! | [`Snapshot`], [`ActorStatus`] | all actors, seen while they go on: a tree that prints itself |
//! | [`Overrun`] | what a watchdog says of a handler that takes too long |
//! | [`MemoryUse`] | what a memory alarm says of the bytes that messages take |
//! | [`Simulation`], [`SimulationBuilder`] | the same actors on one thread, in virtual time, in an order that a seed picks |
//! | [`explore`], [`Faults`], [`Policy`], [`Trace`] | a test over many seeds; what goes wrong in it, whom it picks, what happened |
//! | [`TellError`], [`TellTimeoutError`], [`SendAllError`], [`AskError`], [`SpawnError`], [`BuildError`], [`ShutdownError`], [`RunError`], [`StashError`], [`PoolError`], [`CircuitError`] | one error for each operation; a refused message comes back in it |
//!
//! # Promises, in short
//! - An actor handles one message at a time; nobody else ever sees its state.
//! - Messages from one sender (an actor, or one outside thread) to one receiver are handled in the order in which they
//!   were sent, also when `tell`, `ask`, `send_all`, replies and notices mix. Nothing is said of different senders.
//! - Each message is handled at most once, and accounted for: handled, returned in an `Err`, or dead-lettered. See
//!   [`Counters`].
//! - A bounded mailbox is bounded on every path: a send takes one of its credits before it returns, and what finds no room
//!   comes back or is dead-lettered, as its [`Overflow`] says. Threads and tasks may wait for room, in order. What has no
//!   bound may fill memory; [`Builder::memory_alarm`] has that reported.
//! - Sends never block, unless that is asked for ([`ActorRef::tell_timeout`]). A handler's first send to a receiver goes out before `tell` returns; up to 63 further ones in a
//!   row to the same busy receiver are held until it sends elsewhere, returns, or calls [`Context::publish`].
//! - A busy actor gives way after its [`Budget`]; what waits behind a handler that blocks is run by another worker, if
//!   there is one that is not blocked. [`Builder::watchdog`] has such handlers reported.
//! - A panic ends its actor and nothing else; watchers learn the reason, exactly once per watch. An actor with a [`Restart`]
//!   is made anew instead, behind the same address and with its mailbox, until its limit is used up: then its parent fails,
//!   or decides otherwise.
//! - [`ActorRef::stop`] ends an actor after the message that it handles, [`ActorRef::drain`] after those that are
//!   queued. Children end before their parents.
//! - To wait for a reply on a worker is an error, at once, not a deadlock.
//! - [`System::shutdown`] ends, or names the actor that holds it up.
//!
//! # Testing your actors
//! Actors do not know what runs them. [`System::simulation`] runs them on the test's thread, one message at a time, in an order
//! that a seed picks, and in virtual time: a day of timeouts takes no time, nothing sleeps, and what happened once happens
//! again. `wait` drives the simulation; so do [`Simulation::run_until_idle`], [`run_for`](Simulation::run_for),
//! [`run_until`](Simulation::run_until) and [`step`](Simulation::step).
//!
//! 1. Write a test as a function of a [`Simulation`]: spawn, tell, run, ask, compare. What must hold in any order is a test;
//!    what holds in one only is not.
//! 2. Give it to [`explore`], which runs it with thousands of seeds a second on all CPUs. A seed that fails is shrunk: what is
//!    printed is a run with as little out of the ordinary as still fails, message by message.
//! 3. Repeat it with `CUELIGHT_SEED=n cargo test ..`; a fixed bug's seed is a good regression test.
//! 4. Add [`Faults`]: actors that panic, are stopped or slow, messages that are late, overtaken or lost. Spare those that the test
//!    itself listens with.
//! 5. Where a bug needs few switches between actors at the right places, try [`Policy::Pct`].
//!
//! ```
//! use cuelight::{Actor, Context, Faults, Handler, Simulation, Terminated};
//! use std::time::Duration;
//!
//! struct Worker;
//! impl Actor for Worker {}
//! impl Handler<u32> for Worker {
//!     type Reply = u32;
//!     fn handle(&mut self, n: u32, _: &mut Context<Self>) -> u32 { n + 1 }
//! }
//!
//! /// Learns of every end.
//! struct Boss(u32);
//! impl Actor for Boss {
//!     fn started(&mut self, ctx: &mut Context<Self>) {
//!         for n in 0..3 {
//!             let worker = ctx.spawn(Worker);
//!             ctx.watch(&worker);
//!             let _ = worker.tell(n);
//!             worker.drain();
//!         }
//!     }
//! }
//! impl Handler<Terminated> for Boss {
//!     type Reply = ();
//!     fn handle(&mut self, _: Terminated, _: &mut Context<Self>) { self.0 += 1 }
//! }
//! impl Handler<()> for Boss {
//!     type Reply = u32;
//!     fn handle(&mut self, (): (), _: &mut Context<Self>) -> u32 { self.0 }
//! }
//!
//! let faults = Faults::none().panics(0.1).slow(0.1, Duration::from_secs(1)).spare::<Boss>();
//! let explored = Simulation::builder().faults(faults).explore(0..200, |sim| {
//!     let boss = sim.spawn(Boss(0));
//!     sim.run_until_idle().unwrap();
//!     assert_eq!(boss.ask(()).wait(), Ok(3));
//! });
//! explored.check();
//! ```
//! A run repeats if actors take time from [`Context::now`] alone, random numbers from seeds, and no order from a `HashMap` with
//! its default hasher. A simulation finds what order, time and faults can do; it does not find data races in a handler's own
//! `unsafe` code, nor what only parallel threads do.
//!
//! # Units and costs
//! Times are [`Duration`](std::time::Duration)s; timers have a resolution of a millisecond, and are never early. An actor
//! is one allocation of 128 bytes and its state. A message is a node of 32 to 256 bytes: 16 of header, then the message; one of
//! more than 240 bytes, or aligned to more than 16, is boxed. Nodes come from slabs of 64 KiB, one at least for each size
//! in use and each thread that sends, without a call of the allocator once the slabs hold the peak. A `tell` is one
//! compare-exchange; a clone of an address one atomic addition. An `ask` takes one node for request and reply; with a
//! timeout, a future that has to wait sets a timer, and no thread. Counting costs a plain addition for each send and
//! each handling.
//!
//! # What it gives up
//! - Handlers do not await. Use [`Context::ask`], [`Actor`]s as states, or an executor of your own that tells the result.
//! - A handler that blocks holds its worker. Give such an actor a [thread of its own](ActorBuilder::dedicated_thread).
//! - Mailboxes have no bound unless they are given one by [`ActorBuilder::mailbox`]: a sender that outruns its receiver fills
//!   memory.
//! - No other hosts.
//! - An ended child's memory waits for its parent's next turn.
//! - Systems must not be used after `fork`, nor do messages survive the process.
//! - Panics must unwind: with `panic = "abort"` the first one ends the process.
//!
//! How it works and why it is right: `README.md` beside `kernel/mod.rs` (mailbox, life, asks, memory) and beside
//! `engine/threads/mod.rs` (sleep, stealing). The repository's README has the promises in full and measurements.

mod actor;
#[cfg(feature = "dev-hooks")]
#[doc(hidden)]
pub mod dev_hooks;
mod engine;
mod error;
mod kernel;
mod metrics;
mod patterns;
mod sim;
mod supervision;
mod sync;
mod system;
mod time;

pub use actor::{Actor, ActorBuilder, ActorRef, Ask, Handler, IdleTimeout, Mailbox, Recipient, ReplyTo, Tell};
pub use engine::config::{Budget, Idle, Pin};
pub use engine::letters::{DeadLetter, DeadLetterReason};
pub use engine::memory::MemoryUse;
pub use engine::overrun::Overrun;
pub use engine::report::{Report, WorkerReport};
pub use engine::sim::faults::Faults;
pub use engine::sim::policy::Policy;
pub use engine::sim::trace::{Happened, Trace, TraceEvent};
pub use error::{
    AskError, BuildError, CircuitConfigError, CircuitError, CircuitOpen, HeldWorker, HotActor, PoolError, RunError,
    SendAllError, ShutdownError, SpawnError, StashError, TellError, TellTimeoutError,
};
pub use kernel::context::Context;
pub use kernel::credits::{Overflow, Writable};
pub use kernel::failure::{Decision, Failure, Strategy};
pub use kernel::timers::TimerKey;
pub use kernel::watch::{ActorId, StopReason, Terminated};
pub use metrics::{Counters, WorkerCounters};
pub use patterns::{
    CircuitAsk, CircuitBreaker, CircuitBreakerBuilder, CircuitCounters, CircuitPermit, CircuitState, Pool, PoolBuilder,
    PoolStatus, Routing, Stash, Topic,
};
#[cfg(not(any(loom, shuttle)))]
pub use sim::{Counterexample, Explored, Verdict, explore};
pub use sim::{ParseScheduleError, Schedule, Simulation, SimulationBuilder};
pub use supervision::Restart;
pub use system::{ActorState, ActorStatus, Builder, Snapshot, System, SystemRef};
